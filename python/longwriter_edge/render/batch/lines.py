"""Lines about a batch that every display prints: what went wrong, how far it is, what came out."""

from __future__ import annotations

from longwriter_edge.events import (
    BatchEnded,
    BatchEvent,
    BatchStarted,
    DocumentEvent,
    Notice,
    RowFailed,
    RunEnded,
)
from longwriter_edge.render.batch.progress import BatchProgress
from longwriter_edge.render.plain import notice_line
from longwriter_edge.render.progress import Clean, duration
from longwriter_edge.render.summary import OUTCOMES, cost_lines, cut_sections


def incident_lines(event: BatchEvent, progress: BatchProgress) -> list[str]:
    """Failures, notices and cut sections, with the document that they are about.

    ``progress`` has had the event. A document that failed is told of by its :class:`RowFailed`, which has
    the line in the input.
    """
    clean = progress.line
    match event:
        case RowFailed():
            row = f"{clean(event.document)} (line {event.line})" if event.document else f"line {event.line}"
            return [f"Failed: {row}: {clean(event.reason)}"]
        case Notice():
            return [notice_line(event, clean)]
        case DocumentEvent(document, Notice() as notice):
            return [notice_line(Notice(notice.level, f"{document}: {notice.message}"), clean)]
        case DocumentEvent(document, RunEnded() as ended) if progress.ended is not None:
            cut = cut_sections(ended, progress.ended.progress)
            return [f"Warning: {clean(document)}: {cut}"] if cut else []
        case _:
            return []


def count_texts(progress: BatchProgress, *, waiting: bool = True) -> list[str]:
    """How many documents are done, running, waiting (if that is wanted) and failed, a text each."""
    texts = [f"{progress.done:,} done", f"{len(progress.running):,} running"]
    if waiting:
        texts.append(f"{progress.waiting:,} waiting")
    if progress.failed:
        texts.append(f"{progress.failed:,} failed")
    return texts


def documents_text(count: int) -> str:
    """So many documents."""
    return f"{count:,} document" if count == 1 else f"{count:,} documents"


def place_texts(started: BatchStarted, clean: Clean) -> list[str]:
    """What runs where, how many at a time and in which context, a text each."""
    sequences = "1 sequence" if started.sequences == 1 else f"{started.sequences:,} sequences"
    return [clean(started.device), sequences, f"context {started.context_tokens:,} tokens"]


def described(started: BatchStarted, clean: Clean) -> list[str]:
    """The model and where it runs, as :class:`BatchStarted` says it."""
    return [f"Model: {clean(started.model)}", f"Runs on: {'; '.join(place_texts(started, clean))}"]


def summary_lines(ended: BatchEnded, progress: BatchProgress) -> list[str]:
    """The summary, one string a line."""
    asked = ended.finished + ended.failed + ended.remaining
    outcome = f"{OUTCOMES[ended.outcome]} after {duration(ended.wall_seconds)}: "
    outcome += f"{ended.finished:,} of {documents_text(asked)} finished"
    if ended.failed:
        outcome += f", {ended.failed:,} failed"
    if ended.remaining:
        outcome += f", {ended.remaining:,} remaining"
    lines = [outcome]
    if ended.error:
        lines.append(f"Error: {progress.line(ended.error)}")
    written = f"Written now: {documents_text(ended.written)}, {ended.words:,} words"
    lines += [written, *cost_lines(ended.usage, ended.wall_seconds)]
    if ended.busy:
        lines.append(f"Sequences busy: {ended.busy:.0%} of the time")
    if progress.started is not None:
        lines += described(progress.started, progress.line)
    if ended.output is not None:
        lines.append(f"Written to: {progress.line(ended.output)}")
    return lines
