"""What the store gives out: runs, sections and events as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from longwriter_edge.events import SectionEnd, SectionPlan

#: A run that was killed stays ``planning`` or ``writing``; its lock tells whether it is still alive.
RunStatus: TypeAlias = Literal["planning", "writing", "complete", "failed", "interrupted"]


@dataclass(frozen=True, slots=True)
class SectionRecord:
    """One section of a stored run.

    Attributes:
        number: Counted from 0.
        title: As planned.
        point: Main point, as planned.
        words: Target in words, as in :class:`~longwriter_edge.events.SectionPlan`.
        repeats: The earlier section whose main point this one repeats.
        text: What was written so far.
        tokens: The sampled tokens, oldest first: of a finished section those of its text, else all of them,
            also those that were taken back.
        reason: Why the section ended; ``None`` while it is not finished.
    """

    number: int
    title: str
    point: str
    words: int
    repeats: int | None
    text: str
    tokens: tuple[int, ...]
    reason: SectionEnd | None

    @property
    def finished(self) -> bool:
        """Whether the section has ended and can never change again."""
        return self.reason is not None

    @property
    def plan(self) -> SectionPlan:
        """The section as it was planned."""
        return SectionPlan(self.title, self.point, self.words, self.repeats)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One stored run with its sections, which are empty until it has a plan.

    ``config`` is what :meth:`Store.create_run` was given; ``created`` and ``updated`` are in UTC.
    """

    run: str
    status: RunStatus
    created: datetime
    updated: datetime
    instruction: str
    config: Mapping[str, Any]
    title: str
    error: str | None
    sections: tuple[SectionRecord, ...]


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One stored run without its text: ``finished`` of its planned ``sections`` have ended."""

    run: str
    status: RunStatus
    created: datetime
    updated: datetime
    instruction: str
    title: str
    sections: int
    finished: int


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event that was kept: its JSON name, when it happened (UTC), and its fields."""

    time: datetime
    name: str
    fields: Mapping[str, Any]
