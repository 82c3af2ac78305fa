"""What happens during a run, as typed events.

A run is a stream of these from :class:`longwriter_edge.Writer`. Renderers and scripts read them and
need nothing else. Sections are numbered from 0. Words are counted the reader's way (CJK characters
plus words with their digits, accents and apostrophes) unless a field says otherwise; times are
seconds.

The JSON form (:func:`to_json`) of an event is one object with ``schema``, ``event`` and the fields.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

#: Version of the JSON form. It changes when a field is removed or changes its meaning.
SCHEMA_VERSION = 1

#: Why a section ended: the model ended its turn, the next heading began, the section had its words and a
#: paragraph or sentence ended, it had too many and was cut back to its last whole sentence, or the token
#: limit was reached.
SectionEnd: TypeAlias = Literal["end_of_turn", "next_heading", "target_reached", "ceiling", "token_limit"]

#: Why text was taken back: a heading or a closing phrase came before the section had its words; it had too
#: many; it reached its token limit.
RewindCause: TypeAlias = Literal["early_heading", "early_end", "ceiling", "token_limit"]

Outcome: TypeAlias = Literal["complete", "failed", "interrupted"]


@dataclass(frozen=True, slots=True)
class SectionPlan:
    """One planned section: its title, its main point and its target in words.

    ``repeats`` is the number of the earlier section whose main point this one repeats.
    """

    title: str
    point: str
    words: int
    repeats: int | None = None


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run begins, or goes on if ``resumed``.

    ``device`` says what runs where ("CPU, 8 threads", "Metal, 33 of 33 layers").
    ``context_tokens`` are the KV cells that it can use, ``layout`` that of the method ``agentwrite``, empty
    for the others. ``sizing`` says how the engine was set up and why, a sentence for each choice.
    """

    run: str
    instruction: str
    model: str
    profile: str
    layout: str
    device: str
    context_tokens: int
    words: int
    seed: int
    resumed: bool
    method: str = "agentwrite"
    sizing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the user should know: a default that was taken, a warning, a retry."""

    level: Literal["info", "warning"]
    message: str


@dataclass(frozen=True, slots=True)
class PlanStarted:
    """The plan is being asked for, for the ``attempt``-th time (from 1)."""

    attempt: int


@dataclass(frozen=True, slots=True)
class PlanText:
    """More text of the plan as it is generated; not yet checked."""

    text: str


@dataclass(frozen=True, slots=True)
class PlanReady:
    """The plan that will be written. ``words`` is the sum of the targets."""

    title: str
    sections: tuple[SectionPlan, ...]
    words: int


@dataclass(frozen=True, slots=True)
class Prefill:
    """Prompt tokens of a section read so far; ``section`` is ``None`` for the plan's prompt."""

    section: int | None
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class SectionStarted:
    """A section begins; ``written`` is the text that a resumed section already has.

    ``settled`` as in :class:`SectionText`.
    """

    section: int
    title: str
    target: int
    written: str
    settled: int = -1


@dataclass(frozen=True, slots=True)
class SectionText:
    """More text of a section.

    ``section_words`` and ``document_words`` are the totals with this text; ``tokens`` the tokens
    sampled for it. The first ``settled`` characters of the section's text cannot be taken back any more by a
    :class:`SectionRewound`; -1 for all of them.
    """

    section: int
    text: str
    tokens: int
    section_words: int
    document_words: int
    settled: int = -1


@dataclass(frozen=True, slots=True)
class SectionRewound:
    """The end of a section's text was taken back: ``kept`` characters stay, ``removed`` go.

    The section goes on from there, or its end follows.
    """

    section: int
    cause: RewindCause
    kept: int
    removed: int
    section_words: int
    document_words: int


@dataclass(frozen=True, slots=True)
class SectionEnded:
    """A section is finished. ``tokens`` counts the sampled tokens that were kept.

    ``unfinished``: it lacks words, or was cut for want of room. ``benchmark_words`` is counted as
    LongBench-Write does, ``length_score`` is its S_l, 0 to 100.
    """

    section: int
    reason: SectionEnd
    words: int
    target: int
    tokens: int
    unfinished: bool = False
    benchmark_words: int = 0
    length_score: float = 0.0


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and time of a run, from the engine's own counters.

    Attributes:
        tokens_read: Prompt tokens evaluated.
        tokens_reread: Those of ``tokens_read`` that had been evaluated or sampled before.
        tokens_reused: Prompt tokens that were not evaluated because their KV was still there.
        tokens_written: Tokens sampled.
        prefill_seconds: Time in llama_decode for prompt tokens.
        decode_seconds: Time in llama_decode for sampled tokens.
        sampling_seconds: Time in the samplers.
        other_seconds: The rest of the engine's working time.
    """

    tokens_read: int
    tokens_reread: int
    tokens_reused: int
    tokens_written: int
    prefill_seconds: float
    decode_seconds: float
    sampling_seconds: float
    other_seconds: float


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The run ends. With ``complete`` the document is whole; else the store can continue it.

    ``benchmark_words`` is counted as LongBench-Write does, ``length_score`` is its S_l, 0 to 100.
    ``unfinished`` lists the sections that lack words or were cut for want of room, ``rewinds`` counts how
    often text was taken back, by cause. ``output`` is the path of the written file.
    """

    run: str
    outcome: Outcome
    error: str | None
    words: int
    benchmark_words: int
    target: int
    unfinished: tuple[int, ...]
    output: str | None
    usage: Usage
    wall_seconds: float
    length_score: float = 0.0
    rewinds: dict[RewindCause, int] = field(default_factory=dict)


Event: TypeAlias = (
    RunStarted
    | Notice
    | PlanStarted
    | PlanText
    | PlanReady
    | Prefill
    | SectionStarted
    | SectionText
    | SectionRewound
    | SectionEnded
    | RunEnded
)


@dataclass(frozen=True, slots=True)
class BatchStarted:
    """A batch begins, or goes on.

    Attributes:
        rows: Documents asked for, without the bad rows.
        finished: Those of ``rows`` that an earlier process wrote.
        bad_rows: Rows that cannot be used; each has had its :class:`RowFailed`.
        model: Name of the model.
        device: What runs where.
        sequences: Documents or sections that are written at the same time, at most.
        context_tokens: Size of the KV cache that they share.
        sizing: How the engine was set up and why, a sentence for each choice.
    """

    rows: int
    finished: int
    bad_rows: int
    model: str
    device: str
    sequences: int
    context_tokens: int
    sizing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DocumentEvent:
    """Something that happened to one document of several; ``document`` is its id."""

    document: str
    event: Event


@dataclass(frozen=True, slots=True)
class RowFailed:
    """A row of a batch that could not be written.

    ``document`` is its id, empty if it has none; ``line`` its line in the input, from 1.
    """

    document: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class BatchEnded:
    """A batch ends.

    Attributes:
        outcome: ``complete`` if nothing is left to do, with or without failures; ``interrupted`` if somebody
            asked to stop; ``failed`` if the batch could not go on.
        written: Documents that this process completed.
        finished: Documents that are whole, those of earlier processes included.
        failed: Rows that failed, bad rows included.
        remaining: Documents that were not begun or not completed.
        words: Words of the documents that this process worked on, the reader's count.
        usage: What this process's documents took together.
        wall_seconds: Time from the start.
        output: Path of the output file.
        error: Why the batch could not go on.
        busy: Share of the engine's time in which its sequences were in use, 0 to 1.
    """

    outcome: Outcome
    written: int
    finished: int
    failed: int
    remaining: int
    words: int
    usage: Usage
    wall_seconds: float
    output: str | None
    error: str | None = None
    busy: float = 0.0


BatchEvent: TypeAlias = BatchStarted | DocumentEvent | RowFailed | Notice | BatchEnded

#: The name of each event in its JSON form.
NAMES: dict[type[Event | BatchEvent], str] = {
    RunStarted: "run_started",
    Notice: "notice",
    PlanStarted: "plan_started",
    PlanText: "plan_text",
    PlanReady: "plan_ready",
    Prefill: "prefill",
    SectionStarted: "section_started",
    SectionText: "section_text",
    SectionRewound: "section_rewound",
    SectionEnded: "section_ended",
    RunEnded: "run_ended",
    BatchStarted: "batch_started",
    RowFailed: "row_failed",
    BatchEnded: "batch_ended",
}


def name_of(event: Event | BatchEvent) -> str:
    """The name of an event in its JSON form; for one of several documents, that of what happened to it."""
    return NAMES[type(event.event if isinstance(event, DocumentEvent) else event)]


def to_json(event: Event | BatchEvent) -> str:
    """One line of JSON, ASCII only so that any stream can carry it, without the newline.

    The event of one document of several has the field ``document`` beside its own.
    """
    fields: dict[str, object] = {"schema": SCHEMA_VERSION, "event": name_of(event)}
    if isinstance(event, DocumentEvent):
        fields["document"], event = event.document, event.event
    fields.update(dataclasses.asdict(event))
    return json.dumps(fields)
