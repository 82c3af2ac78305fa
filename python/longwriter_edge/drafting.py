"""Writes the sections of one planned document on an engine: the engine's events in, the run's out.

The store gets text and tokens before anybody is shown them; the output follows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from longwriter_edge import _core
from longwriter_edge.engine_events import fault_error
from longwriter_edge.events import (
    Event,
    Notice,
    Prefill,
    SectionEnd,
    SectionEnded,
    SectionPlan,
    SectionStarted,
    SectionText,
)


@dataclass(frozen=True, slots=True)
class WrittenSection:
    """What the store holds of a section: its text, sampled tokens, and how it ended if it has."""

    text: str = ""
    tokens: tuple[int, ...] = ()
    reason: SectionEnd | None = None


class Keeper(Protocol):
    """Where text goes before it is shown."""

    def append(self, section: int, text: str, tokens: Sequence[int]) -> None:
        """Takes more text of a section and the tokens sampled since the last call."""

    def finish(self, section: int, text: str, tokens: Sequence[int], kept: int, reason: SectionEnd) -> None:
        """Takes the end of a section, of whose tokens the first ``kept`` stay."""


class Draft:
    """One document on its way through an engine.

    Attributes:
        usage: What the engine counted; ``None`` until the document has ended.
        unfinished: Sections that were cut by their token limit.
        texts: The text of each section so far.
    """

    def __init__(self, sections: Sequence[SectionPlan], written: Sequence[WrittenSection]) -> None:
        self.usage: _core.Usage | None = None
        self.unfinished: list[int] = []
        self.texts = ["" for _ in sections]
        self._sections = sections
        self._written = written
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
            yield self._ended(number, section.reason)

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
                    event.section, self._title(event.section), self._target(event.section), event.text
                )
            case _core.Event.Text():
                keeper.append(event.section, event.text, event.tokens)
                yield from self._grow(event)
            case _core.Event.Compacted():
                yield Notice(
                    "info",
                    f"section {event.section + 1}: the text has outgrown the context; the model now sees the "
                    f"instruction, the plan and the last {event.kept:,} tokens of the text",
                )
            case _core.Event.SectionEnded():
                reason = cast("SectionEnd", event.reason)
                keeper.finish(event.section, event.text, event.tokens, event.kept, reason)
                yield from self._grow(event)
                self._tokens[event.section] = event.kept
                yield self._ended(event.section, reason)
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
            yield SectionText(number, event.text, len(event.tokens), event.words, self.words)

    def _ended(self, number: int, reason: SectionEnd) -> SectionEnded:
        if reason == "token_limit":
            self.unfinished.append(number)
        return SectionEnded(number, reason, self._words[number], self._target(number), self._tokens[number])

    def _title(self, number: int) -> str:
        return self._sections[number].title

    def _target(self, number: int) -> int:
        return self._sections[number].words
