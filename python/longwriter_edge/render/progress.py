"""What is known of a run so far, folded from its events.

All texts in it are safe for a terminal of the given encoding.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from longwriter_edge.events import (
    Event,
    PlanReady,
    PlanStarted,
    PlanText,
    Prefill,
    RunStarted,
    SectionEnded,
    SectionRewound,
    SectionStarted,
    SectionText,
)
from longwriter_edge.render.sanitize import encodable_line

SectionState: TypeAlias = Literal["waiting", "reading", "writing", "done", "cut"]
Phase: TypeAlias = Literal["starting", "reading", "planning", "writing"]

#: Seconds of writing over which the shown tokens a second are averaged: long enough to be steady.
RATE_WINDOW = 10.0
#: The estimate of the remaining time waits for so many words and seconds; less is guessing.
ESTIMATE_WORDS = 20
ESTIMATE_SECONDS = 2.0


@dataclass(slots=True)
class SectionProgress:
    """One section: its title, how many words it has and should have, and what happens to it."""

    title: str
    target: int
    words: int = 0
    state: SectionState = "waiting"

    @property
    def ended(self) -> bool:
        """Whether nothing more will be written into it."""
        return self.state in ("done", "cut")


class Progress:
    """The state of a run. Times come from whoever feeds the events.

    Args:
        encoding: Of the stream that the texts go to.
    """

    def __init__(self, encoding: str) -> None:
        self.phase: Phase = "starting"
        self.title = ""
        self.started: RunStarted | None = None
        self.sections: list[SectionProgress] = []
        self.current: int | None = None
        self.plan_attempt = 1
        self.prefill: Prefill | None = None
        self.document_words = 0
        self.target_words = 0
        self.pace = Pace()
        self.start_time: float | None = None
        self._encoding = encoding

    def line(self, text: str) -> str:
        """A text as one line that the terminal can take."""
        return encodable_line(text, self._encoding)

    def handle(self, event: Event, now: float) -> None:
        """Takes one event, which happened at ``now`` (seconds)."""
        if self.start_time is None:
            self.start_time = now
        match event:
            case RunStarted():
                self.started = event
                self.target_words = event.words
                self.title = self.title or self.line(event.instruction)
            case PlanStarted():
                self.phase, self.plan_attempt = "planning", event.attempt
            case PlanText():
                self.phase = "planning"
            case PlanReady():
                self._take_plan(event)
            case Prefill():
                self._read(event)
            case SectionStarted():
                self.phase, self.current = "writing", event.section
                section = self._section(event.section)
                section.title, section.target = self.line(event.title), event.target
                section.state = "writing"
                self.pace.pause()
            case SectionText():
                self.phase = "writing"
                section = self._section(event.section)
                section.words, section.state = event.section_words, "writing"
                self.document_words = event.document_words
                self.pace.add(now, event.tokens, event.document_words)
            case SectionRewound():
                self._section(event.section).words = event.section_words
                self.document_words = event.document_words
            case SectionEnded():
                section = self._section(event.section)
                section.words, section.target = event.words, event.target
                section.state = "cut" if event.unfinished else "done"
                self.document_words = sum(section.words for section in self.sections)
                self.pace.pause()
            case _:
                pass

    def elapsed(self, now: float) -> float:
        """Seconds since the first event."""
        return 0.0 if self.start_time is None else max(now - self.start_time, 0.0)

    def remaining(self) -> float | None:
        """Seconds until the last section has its words, at the pace so far; ``None`` if unknown."""
        pace = self.pace.words_per_second
        return None if pace is None else self.missing_words() / pace

    def missing_words(self) -> int:
        """Words that are still to be written until each section has its target."""
        if not self.sections:
            return max(self.target_words - self.document_words, 0)
        # By section: words that one has too many do not spare another section its own.
        return sum(max(part.target - part.words, 0) for part in self.sections if not part.ended)

    def _take_plan(self, event: PlanReady) -> None:
        self.title = self.line(event.title) or self.title
        self.target_words = event.words
        self.sections = [SectionProgress(self.line(part.title), part.words) for part in event.sections]
        self.phase, self.prefill = "starting", None

    def _read(self, event: Prefill) -> None:
        if self.phase != "reading":
            self.pace.pause()
        self.phase, self.prefill = "reading", event
        if event.section is not None:
            self.current = event.section
            self._section(event.section).state = "reading"

    def _section(self, number: int) -> SectionProgress:
        """The section, made up to be there: without a plan there is no list of them beforehand."""
        while len(self.sections) <= number:
            self.sections.append(SectionProgress("", 0))
        return self.sections[number]


class Pace:
    """How fast text is written: now, and over the whole run."""

    def __init__(self) -> None:
        self.tokens_per_second: float | None = None
        self._recent: deque[tuple[float, int]] = deque()
        self._recent_tokens = 0
        self._first: tuple[float, int] | None = None
        self._last: tuple[float, int] = (0.0, 0)

    def pause(self) -> None:
        """The next tokens do not follow directly: a prompt is read between."""
        self._recent.clear()
        self._recent_tokens = 0

    def add(self, now: float, tokens: int, document_words: int) -> None:
        """Counts tokens that arrived at ``now``, when the document had so many words."""
        self._recent.append((now, tokens))
        self._recent_tokens += tokens
        while now - self._recent[0][0] > RATE_WINDOW:
            self._recent_tokens -= self._recent.popleft()[1]
        first_time, first_tokens = self._recent[0]
        # A second or more: single tokens arrive in bursts.
        if now - first_time >= 1.0:
            # The first tokens came before the span that is measured.
            self.tokens_per_second = (self._recent_tokens - first_tokens) / (now - first_time)
        if self._first is None:
            self._first = (now, document_words)
        self._last = (now, document_words)

    @property
    def words_per_second(self) -> float | None:
        """Words a second since the first text, prompts that were read between included.

        That is tokens a second times words a token, both over the whole run.
        """
        if self._first is None:
            return None
        seconds, words = self._last[0] - self._first[0], self._last[1] - self._first[1]
        if seconds < ESTIMATE_SECONDS or words < ESTIMATE_WORDS:
            return None
        return words / seconds


def way(started: RunStarted) -> str:
    """How the document is written: the method, and its layout where it has several."""
    return f"{started.method}, {started.layout}" if started.layout else started.method


def duration(seconds: float) -> str:
    """A time as people read it: ``0:07``, ``12:41``, ``3:02:09``."""
    minutes, rest = divmod(max(round(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def fraction(part: float, whole: float) -> float:
    """The part of the whole, from 0 to 1; 0 of 0 is 0."""
    return min(max(part / whole, 0.0), 1.0) if whole > 0 else 0.0


#: Cleans a text for one stream.
Clean: TypeAlias = Callable[[str], str]
