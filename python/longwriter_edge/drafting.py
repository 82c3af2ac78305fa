"""Writes the sections of one planned document on an engine: the engine's events in, the run's out.

The store gets text and tokens before anybody is shown them; the output follows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from longwriter_edge import _core
from longwriter_edge.engine_events import fault_error
from longwriter_edge.events import (
    Event,
    Notice,
    Prefill,
    RewindCause,
    SectionEnd,
    SectionEnded,
    SectionPlan,
    SectionRewound,
    SectionStarted,
    SectionText,
)
from longwriter_edge.length import length_score


@dataclass(frozen=True, slots=True)
class WrittenSection:
    """What the store holds of a section: its text, sampled tokens, and how it ended if it has.

    Of a section that has not ended ``tokens`` has all that were sampled, also those that were taken back.
    """

    text: str = ""
    tokens: tuple[int, ...] = ()
    reason: SectionEnd | None = None


class Keeper(Protocol):
    """Where text goes before it is shown."""

    def append(self, section: int, text: str, tokens: Sequence[int]) -> None:
        """Takes more text of a section and the tokens sampled since the last call."""

    def rewind(self, section: int, text_kept: int, tokens: Sequence[int]) -> None:
        """Takes a section's text back to its first characters; its tokens stay, and ``tokens`` are new."""

    def finish(self, section: int, text: str, kept: Sequence[int], reason: SectionEnd) -> None:
        """Takes the last text of a section, and the tokens that stay of it."""


class Draft:
    """One document on its way through an engine.

    Attributes:
        usage: What the engine counted; ``None`` until the document has ended.
        unfinished: Sections that lack words or were cut for want of room.
        rewinds: How often text was taken back, by cause.
        texts: The text of each section so far.
    """

    def __init__(
        self,
        sections: Sequence[SectionPlan],
        written: Sequence[WrittenSection],
        floors: Sequence[int] | None = None,
    ) -> None:
        self.usage: _core.Usage | None = None
        self.unfinished: list[int] = []
        self.rewinds: Counter[RewindCause] = Counter()
        self.texts = ["" for _ in sections]
        self._sections = sections
        self._written = written
        self._floors = floors
        self._words = [0 for _ in sections]
        self._tokens = [0 for _ in sections]
        for number, section in enumerate(written):
            self._tokens[number] = len(section.tokens)

    @property
    def words(self) -> int:
        """Words of the document so far, the reader's count."""
        return sum(self._words)

    @property
    def benchmark_words(self) -> int:
        """Words of the document so far as LongBench-Write counts them."""
        return sum(_core.count_words(text).benchmark for text in self.texts)

    def restored(self) -> Iterator[Event]:
        """The sections that an earlier process finished, as if they were written now."""
        for number, section in enumerate(self._written):
            if section.reason is None:
                continue
            self.texts[number] = section.text
            self._words[number] = _core.count_words(section.text).reader
            yield SectionStarted(number, self._title(number), self._target(number), section.text)
            yield self._ended(number, section.reason, self._was_unfinished(number, section.reason))

    def take(self, event: _core.Event, keeper: Keeper) -> Iterator[Event]:
        """Takes an event of the engine, hands what was written to the keeper, and tells what happened.

        Raises:
            GenerationError: the evaluation failed; what was written is with the keeper.
            StoreError: the keeper cannot keep.
        """
        match event:
            case _core.Event.Prefill():
                yield Prefill(event.section, event.done, event.total)
            case _core.Event.SectionStarted():
                self.texts[event.section] = event.text
                self._words[event.section] = event.words
                yield SectionStarted(
                    event.section,
                    self._title(event.section),
                    self._target(event.section),
                    event.text,
                    event.settled,
                )
            case _core.Event.Text():
                keeper.append(event.section, event.text, event.tokens)
                yield from self._grow(event)
            case _core.Event.Rewound():
                keeper.rewind(event.section, event.text_kept, event.tokens)
                yield self._take_back(event)
            case _core.Event.Compacted():
                yield Notice(
                    "info",
                    f"section {event.section + 1}: the text has outgrown the context; the model now sees the "
                    f"instruction, the plan and the last {event.kept:,} tokens of the text",
                )
            case _core.Event.SectionEnded():
                reason = cast("SectionEnd", event.reason)
                keeper.finish(event.section, event.text, event.kept, reason)
                yield from self._grow(event)
                self._tokens[event.section] = len(event.kept)
                yield self._ended(event.section, reason, event.unfinished)
                if not self.texts[event.section]:
                    yield Notice(
                        "warning", f"section {event.section + 1} is empty: the model wrote nothing for it"
                    )
            case _core.Event.DocumentEnded():
                self.usage = event.usage
                if event.fault is not None:
                    raise fault_error(event)

    def _grow(self, event: _core.Event.Text | _core.Event.SectionEnded) -> Iterator[Event]:
        number = event.section
        self.texts[number] += event.text
        self._words[number] = event.words
        self._tokens[number] += len(event.tokens)
        if event.text or event.tokens:
            settled = event.settled if isinstance(event, _core.Event.Text) else -1
            yield SectionText(number, event.text, len(event.tokens), event.words, self.words, settled)

    def _take_back(self, event: _core.Event.Rewound) -> SectionRewound:
        number = event.section
        removed = len(self.texts[number]) - event.text_kept
        self.texts[number] = self.texts[number][: event.text_kept]
        self._words[number] = event.words
        cause = cast("RewindCause", event.cause)
        self.rewinds[cause] += 1
        return SectionRewound(number, cause, event.text_kept, removed, event.words, self.words)

    def _was_unfinished(self, number: int, reason: SectionEnd) -> bool:
        """Whether a section of an earlier process lacks words; from its planned floor, where there is one."""
        if self._floors is None:
            return reason == "token_limit"
        cut = reason in ("token_limit", "ceiling", "next_heading")
        return cut and self._words[number] < self._floors[number]

    def _ended(self, number: int, reason: SectionEnd, unfinished: bool) -> SectionEnded:
        if unfinished:
            self.unfinished.append(number)
        target, benchmark = self._target(number), _core.count_words(self.texts[number]).benchmark
        return SectionEnded(
            number,
            reason,
            self._words[number],
            target,
            self._tokens[number],
            unfinished,
            benchmark,
            round(length_score(target, benchmark), 1),
        )

    def _title(self, number: int) -> str:
        return self._sections[number].title

    def _target(self, number: int) -> int:
        return self._sections[number].words
