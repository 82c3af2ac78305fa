"""The writer as Python code uses it, on a fake model."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fake_cli import ANSWERS, DOCUMENT, INSTRUCTION, SHIPS, WATER
from longwriter_edge import EngineSettings, Store, Writer, WriteRequest
from longwriter_edge.errors import (
    DoesNotFitError,
    GenerationError,
    InputError,
    RunInterruptedError,
    WriterBusyError,
)
from longwriter_edge.events import RunEnded, RunStarted, SectionText
from longwriter_edge.testing import FakeModel

#: Longest wait for another thread, in seconds.
PATIENCE = 30.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "runs.sqlite3") as opened:
        yield opened


def sea() -> WriteRequest:
    return WriteRequest.of(INSTRUCTION, words=24, sections=2, seed=1)


def short(text: str, **choices: Any) -> WriteRequest:
    return WriteRequest.of(text, **{"words": 20, "method": "direct", "seed": 1, **choices})


def test_write_returns_the_whole_document(store: Store, tmp_path: Path) -> None:
    output = tmp_path / "sea.md"
    document = Writer(FakeModel(ANSWERS), store).write(sea(), output=output)
    assert document.text == DOCUMENT
    assert output.read_text(encoding="utf-8") == DOCUMENT
    assert [section.text for section in document.sections] == [WATER, SHIPS]
    assert document.words == len((WATER + " " + SHIPS).split())
    assert document.usage.tokens_written > 0
    assert store.load(document.run).status == "complete"


def test_an_instruction_alone_says_how_many_words_are_wanted(store: Store) -> None:
    with Writer(FakeModel(), store) as writer:
        started = next(event for event in writer.stream("Write 450 words about ships"))
    assert isinstance(started, RunStarted)
    assert started.words == 450


def test_what_cannot_be_used_is_refused_before_a_run_is_made(store: Store) -> None:
    writer = Writer(FakeModel(trained_context=2048), store)
    with pytest.raises(DoesNotFitError):
        writer.write(WriteRequest.of("Write", words=100_000))
    with pytest.raises(InputError, match="no colour"):
        WriteRequest.of("Write", colour="blue")
    with pytest.raises(InputError, match="instruction is empty"):
        writer.write("  ")
    assert store.runs(10) == []


def test_a_failure_raises_with_the_run_which_can_be_resumed(store: Store) -> None:
    writer = Writer(FakeModel(ANSWERS, faults=[(300, "nan")]), store)
    with pytest.raises(GenerationError, match="not_finite") as caught:
        writer.write(sea())
    assert caught.value.run is not None
    ended = list(Writer(FakeModel(ANSWERS), store).resume(caught.value.run))[-1]
    assert isinstance(ended, RunEnded)
    assert ended.outcome == "complete"
    record = store.load(caught.value.run)
    assert [section.text for section in record.sections] == [WATER, SHIPS]


def test_stop_ends_a_document_and_not_the_next(store: Store) -> None:
    # Slow enough that the document is not whole before it is stopped.
    writer = Writer(FakeModel(ANSWERS, step_seconds=0.002), store)
    outcomes = []
    for stopped in (True, False):
        for event in writer.stream(sea()):
            if stopped and isinstance(event, SectionText):
                writer.stop()
            if isinstance(event, RunEnded):
                outcomes.append(event.outcome)
    assert outcomes == ["interrupted", "complete"]
    writer.stop()
    with pytest.raises(RunInterruptedError) as caught:
        writer.write(sea())
    assert caught.value.run is not None


def test_a_closed_stream_saves_what_was_written(store: Store) -> None:
    writer = Writer(FakeModel(ANSWERS), store)
    events = writer.stream(sea())
    assert any(isinstance(event, SectionText) and event.text for event in events)
    events.close()
    run = store.latest_unfinished()
    assert run is not None
    assert store.load(run).status == "interrupted"
    assert store.load(run).sections[0].text
    assert list(writer.resume(run))[-1].outcome == "complete"


def test_many_documents_come_as_they_are_finished_and_one_failure_stays_alone(store: Store) -> None:
    requests = [
        short("Write a long one", words=600),
        short("Write a short one"),
        WriteRequest.of("Write too much", words=500_000, seed=1),
    ]
    # Slow enough that all are under way before the first is whole.
    done = list(Writer(FakeModel(step_seconds=0.0005), store).write_many(requests))
    assert [written.number for written in done] == [2, 1, 0]
    assert isinstance(done[0].error, DoesNotFitError)
    assert done[0].document is None
    assert [written.document is not None for written in done[1:]] == [True, True]
    assert done[1].request is requests[1]


def test_many_documents_are_the_same_as_each_alone(store: Store) -> None:
    requests = [short(f"Write number {number}", words=60, seed=number) for number in range(5)]
    alone = [Writer(FakeModel(), store).write(request).text for request in requests]
    together = {
        written.number: written.document for written in Writer(FakeModel(), store).write_many(requests)
    }
    assert [together[number].text for number in range(5)] == alone


def test_documents_that_wait_for_a_sequence_have_not_begun(store: Store) -> None:
    requests = [short(f"Write number {number}", words=60, seed=number) for number in range(4)]
    writer = Writer(FakeModel(step_seconds=0.001), store, settings=EngineSettings(sequences=1))
    first = next(writer.write_many(requests))
    assert first.number == 0
    begun = [store.load(summary.run) for summary in store.runs(10)]
    assert sum(record.status == "complete" for record in begun) == 1
    assert sum(bool(record.sections) for record in begun) <= 2, "the others have no plan stored yet"


def test_a_dead_engine_takes_only_the_documents_in_it_along(store: Store) -> None:
    requests = [short(f"Write number {number}", words=60, seed=number) for number in range(6)]
    model = FakeModel(faults=[(20, "panic")])
    settings = EngineSettings(sequences=2)
    done = list(Writer(model, store, settings=settings).write_many(requests))
    # Each engine panics at its twentieth evaluation, which is in the middle of its first documents.
    assert sorted(written.number for written in done) == list(range(6))
    errors = [str(written.error) for written in done]
    assert all("the engine failed" in error for error in errors), errors


def test_a_document_whose_plan_is_larger_than_its_engine_gets_a_larger_one(store: Store) -> None:
    settings = EngineSettings(sequences=2)
    requests = [short("Write a short one", words=5), sea(), short("Write a long one", words=2000)]
    model = FakeModel(ANSWERS)
    # The first is known to be small, so the engine is; the others come later and do not fit.
    writer = Writer(model, store, settings=settings)
    assert [written.error for written in writer.write_many(requests)] == [None, None, None]


def test_a_second_document_in_the_middle_of_the_first_is_refused(store: Store) -> None:
    writer = Writer(FakeModel(ANSWERS), store)
    events = writer.stream(sea())
    next(events)
    with pytest.raises(WriterBusyError):
        writer.write(sea())
    assert list(events)[-1].outcome == "complete"
    assert writer.write(sea()).text == DOCUMENT


def test_threads_take_turns(store: Store) -> None:
    writer = Writer(FakeModel(ANSWERS), store)
    texts: list[str] = []
    threads = [
        threading.Thread(target=lambda: texts.append(writer.write(sea()).text), daemon=True) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert texts == [DOCUMENT] * 4


def test_a_plan_is_made_without_a_run(store: Store) -> None:
    writer = Writer(FakeModel(ANSWERS), store)
    making = writer.make_plan(sea())
    while True:
        try:
            next(making)
        except StopIteration as end:
            plan = end.value
            break
    assert [section.title for section in plan.sections] == ["Wide Water", "Old Ships"]
    assert store.runs(10) == []
