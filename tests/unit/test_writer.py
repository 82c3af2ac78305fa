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
    ModelError,
    RunInterruptedError,
    StoreError,
    WriterBusyError,
)
from longwriter_edge.events import PlanReady, RunEnded, RunStarted, SectionText
from longwriter_edge.testing import FakeModel

#: Longest wait for another thread, in seconds.
PATIENCE = 30.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "runs.sqlite3") as opened:
        yield opened


def sea() -> WriteRequest:
    # The scripted answers have the lengths that they have.
    return WriteRequest.of(INSTRUCTION, words=24, sections=2, seed=1, length_control="soft")


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
    class Once(FakeModel):
        """Its first engine panics, in the middle of its first documents."""

        def engine(self, *arguments: Any, **options: Any) -> Any:
            engine = super().engine(*arguments, **options)
            self._faults = []
            return engine

    requests = [short(f"Write number {number}", words=60, seed=number) for number in range(6)]
    writer = Writer(Once(faults=[(20, "panic")]), store, settings=EngineSettings(sequences=2))
    done = {written.number: written for written in writer.write_many(requests)}
    assert sorted(done) == list(range(6))
    lost = [number for number, written in done.items() if written.error is not None]
    assert 1 <= len(lost) <= 2
    assert all("the engine failed" in str(done[number].error) for number in lost)
    assert all(done[number].document is not None for number in done.keys() - set(lost))


#: A plan whose lines are far longer than is reckoned with before there is one.
LONG_POINT = "how far the water reaches and who has seen it, " * 24
LONG_TITLE = "and all that lies beyond it, as far as anybody has gone, " * 3
LONG_PLAN = (
    "Title: The Sea\n"
    f"Paragraph 1 - Title: Wide Water {LONG_TITLE} - Main Point: one, {LONG_POINT} - Word Count: 100 words\n"
    f"Paragraph 2 - Title: Old Ships {LONG_TITLE} - Main Point: two, {LONG_POINT} - Word Count: 100 words\n"
)


class Counting(FakeModel):
    """Keeps the sizes of its engines; those from ``fails_from`` on cannot be made."""

    def __init__(self, *, fails_from: int = 100) -> None:
        super().__init__([(INSTRUCTION, LONG_PLAN), ("Wide Water", WATER), ("Old Ships", SHIPS)])
        self.cells: list[int] = []
        self._fails_from = fails_from

    def engine(self, size: Any, **options: Any) -> Any:
        self.cells.append(size.cells_per_sequence)
        if len(self.cells) >= self._fails_from:
            raise ModelError("there is no memory")
        return super().engine(size, **options)


def test_a_plan_that_needs_more_cells_gets_a_larger_engine(store: Store) -> None:
    model = Counting()
    document = Writer(model, store).write(sea())
    assert [section.text for section in document.sections] == [WATER, SHIPS]
    first, second = model.cells
    assert second > first


def test_a_larger_engine_that_cannot_be_made_fails_that_document_alone(store: Store) -> None:
    writer = Writer(Counting(fails_from=2), store, settings=EngineSettings(sequences=1))
    done = {written.number: written for written in writer.write_many([sea(), short("Write a short one")])}
    assert "no memory" in str(done[0].error)
    assert done[1].error is None


def test_the_first_engine_that_cannot_be_made_raises_and_leaves_a_run_to_resume(store: Store) -> None:
    with pytest.raises(ModelError, match="no memory"):
        Writer(Counting(fails_from=1), store).write(sea())
    (summary,) = store.runs(10)
    assert summary.status == "interrupted"
    assert list(Writer(FakeModel(ANSWERS), store).resume(summary.run))[-1].outcome == "complete"


def test_a_stop_before_the_start_leaves_a_run_that_can_be_resumed_at_once(store: Store) -> None:
    writer = Writer(FakeModel(ANSWERS), store)
    writer.stop()
    with pytest.raises(RunInterruptedError) as caught:
        list(writer.stream(sea()))
    # Inside the handler the error, and all that it refers to, is still alive.
    assert list(writer.resume(caught.value.run or ""))[-1].outcome == "complete"


def test_the_right_model_resumes_what_the_wrong_one_may_not(store: Store) -> None:
    writer = Writer(FakeModel(ANSWERS, faults=[(300, "nan")]), store)
    with pytest.raises(GenerationError) as caught:
        writer.write(sea())
    other = FakeModel(ANSWERS)
    other.fingerprint = "other"
    with pytest.raises(StoreError, match="another model"):
        list(Writer(other, store).resume(caught.value.run or ""))
    assert list(Writer(FakeModel(ANSWERS), store).resume(caught.value.run or ""))[-1].outcome == "complete"


def test_a_stream_that_is_closed_between_plan_and_sections_is_saved(store: Store) -> None:
    events = Writer(FakeModel(ANSWERS), store).stream(sea())
    assert any(isinstance(event, PlanReady) for event in events)
    events.close()
    (summary,) = store.runs(10)
    assert (summary.status, summary.sections) == ("interrupted", 2)


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
