"""The display of a batch: its counts and estimate, its picture, its lines, and which one is chosen."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from itertools import product

import pytest
from render_events import USAGE, FakeClock, plan_ready, run_ended, run_started
from rich.cells import cell_len

from longwriter_edge.events import (
    BatchEnded,
    BatchEvent,
    BatchStarted,
    DocumentEvent,
    Event,
    Notice,
    PlanStarted,
    RowFailed,
    SectionStarted,
    SectionText,
)
from longwriter_edge.render import choose_batch
from longwriter_edge.render.batch.live import LiveBatchRenderer
from longwriter_edge.render.batch.plain import PlainBatchRenderer, QuietBatchRenderer
from longwriter_edge.render.batch.progress import BatchProgress
from longwriter_edge.render.canvas import TerminalConsole
from longwriter_edge.render.jsonl import JsonLinesRenderer

HOSTILE = "a\x1b[31m\x9b2J\x07\u202eb[bold]c"
STEERING = "\x1b[31m", "\x9b", "\x07", "\u202e"


def batch_started(rows: int = 10, finished: int = 0, bad_rows: int = 0) -> BatchStarted:
    return BatchStarted(rows, finished, bad_rows, "SmolLM2-135M-Instruct", "CPU, 2 threads", 4, 16384)


def batch_ended() -> BatchEnded:
    return BatchEnded("complete", 7, 8, 2, 0, 7100, USAGE, 200.0, "out.jsonl")


def of(document: str, *events: Event) -> list[BatchEvent]:
    return [DocumentEvent(document, event) for event in events]


def begun(document: str, words: int = 600) -> list[BatchEvent]:
    """A document of three sections whose first one begins."""
    return of(document, run_started(words), plan_ready(), SectionStarted(0, "The City", 200, ""))


def text(words: int, document_words: int | None = None) -> SectionText:
    return SectionText(0, "word ", 10, words, words if document_words is None else document_words)


def folded(events: list[BatchEvent], seconds: float = 0.0) -> BatchProgress:
    progress = BatchProgress("utf-8")
    for number, event in enumerate(events):
        progress.handle(event, number * seconds)
    return progress


def counts(progress: BatchProgress) -> tuple[int, int, int, int]:
    return progress.done, len(progress.running), progress.waiting, progress.failed


class Screen:
    """A live renderer on a terminal of a size, with its clock and all that it wrote."""

    def __init__(self, width: int = 80, height: int = 24) -> None:
        self.clock = FakeClock()
        self.stream = io.StringIO()
        self.console = TerminalConsole(
            file=self.stream, width=width, height=height, force_terminal=True, color_system=None, markup=False
        )
        self.renderer = LiveBatchRenderer(self.console, self.clock)

    def feed(self, events: list[BatchEvent], seconds: float = 0.25) -> None:
        for event in events:
            self.clock.advance(seconds)
            self.renderer.handle(event)

    def lines(self) -> list[str]:
        return ["".join(part.text for part in line) for line in self.renderer.picture().lines]


def plain(events: list[BatchEvent], seconds: float = 0.5) -> list[str]:
    stream, clock = io.StringIO(), FakeClock()
    with PlainBatchRenderer(stream, clock) as renderer:
        for event in events:
            clock.advance(seconds)
            renderer.handle(event)
    return stream.getvalue().splitlines()


def quiet(events: list[BatchEvent]) -> list[str]:
    stream = io.StringIO()
    with QuietBatchRenderer(stream) as renderer:
        for event in events:
            renderer.handle(event)
    return stream.getvalue().splitlines()


def test_documents_are_counted_from_waiting_to_done() -> None:
    events: list[BatchEvent] = [RowFailed("", 3, "no prompt"), batch_started(10, finished=2, bad_rows=1)]
    assert counts(folded(events)) == (2, 0, 8, 1)
    events += [*begun("rome"), *begun("athens")]
    assert counts(folded(events)) == (2, 2, 6, 1)
    events += of("rome", run_ended())
    assert counts(folded(events)) == (3, 1, 6, 1)


def test_a_document_that_failed_is_counted_once() -> None:
    events = [batch_started(), *begun("rome"), *of("rome", run_ended("failed", error="NaN"))]
    assert counts(folded(events)) == (0, 0, 9, 1)
    assert counts(folded([*events, RowFailed("rome", 1, "NaN")])) == (0, 0, 9, 1)


def test_a_document_that_never_began_can_fail() -> None:
    assert counts(folded([batch_started(), RowFailed("rome", 1, "no room")])) == (0, 0, 9, 1)


def test_an_interrupted_document_waits_again() -> None:
    events = [batch_started(), *begun("rome"), *of("rome", run_ended("interrupted"))]
    assert counts(folded(events)) == (0, 0, 10, 0)


def test_words_of_an_earlier_process_are_not_counted_as_new() -> None:
    resumed = of("rome", run_started(), plan_ready(), SectionStarted(0, "The City", 200, "Rome was " * 50))
    progress = folded([batch_started(), *resumed, *of("rome", text(110), text(130))])
    assert progress.words == 20


def test_words_of_all_documents_are_summed() -> None:
    events = [*begun("rome"), *begun("athens"), *of("rome", text(30)), *of("athens", text(50))]
    assert folded([batch_started(), *events]).words == 80


def test_the_remaining_time_takes_waiting_documents_to_be_like_the_others() -> None:
    progress = folded([batch_started(4), *begun("rome")])
    progress.handle(DocumentEvent("rome", text(0)), 0.0)
    assert progress.remaining() is None
    progress.handle(DocumentEvent("rome", text(100)), 10.0)
    # 500 words of this one and 600 of each of the three others, at 10 words a second.
    assert progress.remaining() == pytest.approx(230.0)


def test_the_remaining_time_is_unknown_while_little_of_many_documents_is_written() -> None:
    progress = folded([batch_started(4), *begun("rome")])
    progress.handle(DocumentEvent("rome", text(0)), 0.0)
    progress.handle(DocumentEvent("rome", text(50)), 5.0)
    assert progress.remaining() is None
    alone = folded([batch_started(1), *begun("rome")])
    alone.handle(DocumentEvent("rome", text(0)), 0.0)
    alone.handle(DocumentEvent("rome", text(50)), 5.0)
    assert alone.remaining() == pytest.approx(55.0)


@pytest.mark.parametrize(("width", "height"), tuple(product((40, 41, 60, 80, 200), (8, 10, 15, 24, 50))))
@pytest.mark.parametrize("name", ["d", "a-very-long-id-" * 10, "罗马" * 30, "👩\u200d🚀" * 20])
def test_no_picture_is_wider_or_higher_than_the_terminal(width: int, height: int, name: str) -> None:
    screen = Screen(width, height)
    with screen.renderer:
        screen.feed([batch_started(100_000), RowFailed("x", 1, "bad")])
        for number in range(16):
            screen.feed([*begun(f"{name}{number}", 100_000), *of(f"{name}{number}", text(12_345))])
        lines = screen.lines()
    assert len(lines) < height
    assert max(cell_len(line) for line in lines) < width
    assert "0 done" in lines[-2]
    assert "1 failed" in lines[-2]
    assert "ETA" in lines[-1]


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 50), (20, 4), (15, 30)])
def test_a_tiny_terminal_does_not_crash_it(width: int, height: int) -> None:
    screen = Screen(width, height)
    with screen.renderer:
        screen.feed([batch_started(), *begun("rome"), *of("rome", text(50))])
        assert len(screen.lines()) <= height


def test_the_picture_shows_documents_and_the_batch() -> None:
    screen = Screen(80, 24)
    with screen.renderer:
        screen.feed([batch_started(4), *begun("rome"), *of("athens", run_started(), PlanStarted(1))])
        screen.feed(of("rome", *(text(10 * count) for count in range(31))))
        lines = screen.lines()
    assert lines[0] == " Batch of 4 documents"
    assert "SmolLM2-135M-Instruct · CPU, 2 threads · 4 sequences" in lines[1]
    assert lines[3].startswith(" › rome    Rome: A History")
    assert "  1/3  ━━━" in lines[3]
    assert lines[3].endswith("300/600")
    assert lines[4].startswith(" › athens  Write a history of Rome")
    assert "planning" in lines[4]
    assert lines[6].endswith("0/4  12%")
    assert lines[7] == " 0 done · 2 running · 2 waiting"
    # Ten words and ten tokens every quarter of a second. Two sections of the first document, 400 words,
    # and three documents of 600 words are missing; that its first section has too many spares none.
    assert lines[8].startswith(" 300 words · 40.0 tokens/s")
    assert lines[8].endswith("ETA 0:55")


def test_documents_without_a_line_are_counted() -> None:
    screen = Screen(80, 10)
    with screen.renderer:
        screen.feed([batch_started(20), *(event for n in range(16) for event in begun(f"doc{n}"))])
        lines = screen.lines()
    shown = [line for line in lines if " doc" in line and "documents" not in line]
    assert 0 < len(shown) < 16
    assert lines[1 + len(shown)] == f"   … and {16 - len(shown)} more"


def test_the_picture_keeps_its_height_when_documents_end() -> None:
    screen = Screen()
    with screen.renderer:
        screen.feed([batch_started(), *begun("rome"), *begun("athens")])
        before = len(screen.lines())
        screen.feed(of("rome", run_ended()))
        assert len(screen.lines()) == before


def test_a_smaller_terminal_is_filled_anew() -> None:
    screen = Screen(120, 30)
    with screen.renderer:
        screen.feed([batch_started(), *begun("rome")])
        screen.console.size = (50, 10)  # type: ignore[assignment]
        before = len(screen.stream.getvalue())
        screen.feed(of("rome", text(50)))
        assert "\x1b[2J" in screen.stream.getvalue()[before:]
        assert max(cell_len(line) for line in screen.lines()) < 50


def hostile_batch() -> list[BatchEvent]:
    return [
        RowFailed(HOSTILE, 1, HOSTILE),
        replace(batch_started(), model=HOSTILE, device=HOSTILE),
        *of(HOSTILE, replace(run_started(), instruction=HOSTILE), Notice("warning", HOSTILE)),
        *of(HOSTILE, plan_ready([HOSTILE]), SectionStarted(0, HOSTILE, 200, HOSTILE), text(10)),
        *of(HOSTILE, run_ended("complete", unfinished=(0,))),
        replace(batch_ended(), output=HOSTILE),
    ]


def test_no_escape_of_any_field_gets_out() -> None:
    screen = Screen()
    with screen.renderer:
        screen.feed(hostile_batch()[:-2])
        assert not set("".join(screen.lines())) & set("\x1b\x9b\x07\u202e")
        screen.feed(hostile_batch()[-2:])
    for written in (screen.stream.getvalue(), *plain(hostile_batch()), *quiet(hostile_batch())):
        assert not any(steering in written for steering in STEERING)
    assert "ab[bold]c" in screen.stream.getvalue()


def test_failures_and_the_summary_stay_on_the_terminal() -> None:
    screen = Screen()
    with screen.renderer:
        screen.feed(
            [batch_started(), *begun("rome"), RowFailed("rome", 4, "NaN in the logits"), batch_ended()]
        )
    written = screen.stream.getvalue()
    assert "Failed: rome (line 4): NaN in the logits" in written
    assert "Done after 3:20: 8 of 10 documents finished" in written.rsplit("\x1b[?25h", 1)[1]


def test_a_batch_reads_as_a_log() -> None:
    events = [RowFailed("", 3, "no prompt"), batch_started(10, 2, 1), *begun("rome"), *of("rome", text(590))]
    lines = plain([*events, *of("rome", run_ended()), batch_ended()])
    assert lines[:6] == [
        "Failed: line 3: no prompt",
        "Batch of 10 documents, 2 of them finished before; bad rows left out: 1",
        "Model: SmolLM2-135M-Instruct",
        "Runs on: CPU, 2 threads; 4 sequences; context 16,384 tokens",
        "Writing rome: 600 words",
        "Done 3/10 rome: 590 of 600 words, 3 sections, 9.5 tokens/s",
    ]
    assert lines[6:9] == [
        "Done after 3:20: 8 of 10 documents finished, 2 failed",
        "Written now: 7 documents, 7,100 words",
        "Tokens: 1,900 written, 2,310 read (12 of them again), 10,233 reused",
    ]
    assert lines[-1] == "Written to: out.jsonl"


def test_a_line_on_the_whole_comes_every_half_minute() -> None:
    texts = of("rome", *(text(10 * count) for count in range(20)))
    overviews = [
        line for line in plain([batch_started(2), *begun("rome"), *texts], 10.0) if "waiting" in line
    ]
    assert len(overviews) == 24 // 3
    assert overviews[-1] == ("0 done, 1 running, 1 waiting; 190 words; 1.0 tokens/s; about 16:50 left")


def test_quiet_says_what_went_wrong_and_nothing_else() -> None:
    events: list[BatchEvent] = [Notice("info", "as usual"), batch_started(), *begun("rome")]
    events += of("rome", Notice("info", "fine"), Notice("warning", "repeats"), run_ended(unfinished=(1,)))
    assert quiet([*events, RowFailed("athens", 2, "no room"), batch_ended()]) == [
        "Warning: rome: repeats",
        'Warning: rome: Unfinished: 2 "The Republic"',
        "Failed: athens (line 2): no room",
    ]


def test_the_json_line_of_a_document_names_it() -> None:
    stream = io.StringIO()
    JsonLinesRenderer(stream).handle(DocumentEvent("rome", text(5)))
    line = json.loads(stream.getvalue())
    assert (line["event"], line["document"], line["section_words"]) == ("section_text", "rome", 5)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("terminal", "wishes", "expected"),
    [
        (True, {}, LiveBatchRenderer),
        (True, {"width": 30}, PlainBatchRenderer),
        (False, {}, PlainBatchRenderer),
        (True, {"quiet": True}, QuietBatchRenderer),
        (True, {"json": True, "quiet": True}, JsonLinesRenderer),
    ],
)
def test_the_renderer_of_a_batch_fits_the_streams(
    terminal: bool, wishes: dict[str, bool], expected: type
) -> None:
    stderr = Terminal() if terminal else io.StringIO()
    renderer = choose_batch(stdout=io.StringIO(), stderr=stderr, environment={"TERM": "xterm"}, **wishes)  # type: ignore[arg-type]
    assert type(renderer) is expected
