"""The events of a run as a test needs them, and a clock that goes when it is told to."""

from __future__ import annotations

from collections.abc import Sequence

from longwriter_edge.events import (
    Event,
    Notice,
    Outcome,
    PlanReady,
    PlanStarted,
    PlanText,
    Prefill,
    RunEnded,
    RunStarted,
    SectionEnded,
    SectionPlan,
    SectionStarted,
    SectionText,
    Usage,
)

TITLES = ("The Founding of the City", "The Republic", "The Fall of the West")
USAGE = Usage(
    tokens_read=2310,
    tokens_reread=12,
    tokens_reused=10233,
    tokens_written=1900,
    prefill_seconds=20.0,
    decode_seconds=150.0,
    sampling_seconds=2.0,
    other_seconds=4.0,
)


class FakeClock:
    """Stands still unless it is advanced."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def run_started(words: int = 600) -> RunStarted:
    return RunStarted(
        run="rome-1",
        instruction="Write a history of Rome",
        model="SmolLM2-135M-Instruct",
        profile="chatml",
        layout="turns",
        device="CPU, 2 threads",
        context_tokens=8192,
        words=words,
        seed=42,
        resumed=False,
    )


def plan_ready(titles: Sequence[str] = TITLES, words: int = 200) -> PlanReady:
    sections = tuple(SectionPlan(title, "what it is about", words) for title in titles)
    return PlanReady("Rome: A History", sections, words * len(titles))


def run_ended(
    outcome: Outcome = "complete",
    *,
    error: str | None = None,
    unfinished: tuple[int, ...] = (),
    output: str | None = "rome.md",
    words: int = 590,
) -> RunEnded:
    return RunEnded(
        "rome-1", outcome, error, words, 580, 600, unfinished, output, USAGE, 200.0, 98.3, {"early_end": 2}
    )


def beginning(titles: Sequence[str] = TITLES, words: int = 200) -> list[Event]:
    """Up to the plan."""
    return [
        run_started(words * len(titles)),
        PlanStarted(1),
        Prefill(None, 0, 400),
        Prefill(None, 400, 400),
        PlanText("Paragraph 1 - Main Point: the founding"),
        plan_ready(titles, words),
    ]


def section(
    number: int, title: str, text: Sequence[str], *, before: int, words: int = 200, cut: bool = False
) -> list[Event]:
    """One section whose pieces of text are one token and ten words each."""
    pieces: list[Event] = [
        SectionText(number, piece, 1, 10 * count, before + 10 * count)
        for count, piece in enumerate(text, start=1)
    ]
    count = 10 * len(text)
    end = SectionEnded(number, "token_limit" if cut else "end_of_turn", count, words, len(text), cut)
    return [SectionStarted(number, title, words, ""), Prefill(number, 20, 40), *pieces, end]


def whole_run(titles: Sequence[str] = TITLES, *, piece: str = "Rome was not built in a day. ") -> list[Event]:
    """A run with a warning and a section that the token limit cut."""
    events = [*beginning(titles), Notice("warning", "section 2 repeats section 1")]
    for number, title in enumerate(titles):
        events += section(number, title, [piece] * 20, before=200 * number, cut=number == 1)
    return [*events, run_ended(unfinished=(1,))]
