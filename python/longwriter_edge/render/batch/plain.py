"""Shows a batch as plain lines, for logs, pipes and simple terminals; or only what went wrong."""

from __future__ import annotations

from typing import TextIO

from longwriter_edge.events import (
    BatchEnded,
    BatchEvent,
    BatchStarted,
    DocumentEvent,
    Notice,
    RunEnded,
    RunStarted,
)
from longwriter_edge.render import Clock, Renderer
from longwriter_edge.render.batch.lines import (
    count_texts,
    described,
    documents_text,
    incident_lines,
    summary_lines,
)
from longwriter_edge.render.batch.progress import BatchProgress
from longwriter_edge.render.plain import PROGRESS_INTERVAL, LineStream
from longwriter_edge.render.progress import duration
from longwriter_edge.render.summary import OUTCOMES


class PlainBatchRenderer(Renderer[BatchEvent]):
    """A line when a document begins or ends, and one about every half a minute on the whole batch."""

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        self._out = LineStream(stream)
        self._clock = clock
        self._progress = BatchProgress(self._out.encoding)
        # Other lines do not put it off: documents may begin and end all the time.
        self._last_overview = clock()

    def handle(self, event: BatchEvent) -> None:
        """Writes the lines of one event, if it has any."""
        now = self._clock()
        self._progress.handle(event, now)
        lines = [*self._lines(event), *incident_lines(event, self._progress)]
        due = now - self._last_overview >= PROGRESS_INTERVAL
        if due and self._progress.started is not None and not isinstance(event, BatchEnded):
            self._last_overview = now
            lines.append(self._overview())
        if lines:
            self._out.write(*lines)

    def _lines(self, event: BatchEvent) -> list[str]:
        progress = self._progress
        match event:
            case BatchStarted():
                return [self._beginning(event), *described(event, progress.line)]
            case DocumentEvent(document, RunStarted() as started):
                verb = "Resuming" if started.resumed else "Writing"
                return [f"{verb} {progress.line(document)}: {started.words:,} words"]
            case DocumentEvent(document, RunEnded() as ended) if ended.outcome != "failed":
                return [self._ended_line(document, ended)]
            case BatchEnded():
                return summary_lines(event, progress)
            case _:
                return []

    def _beginning(self, event: BatchStarted) -> str:
        line = f"Batch of {documents_text(event.rows)}"
        if event.finished:
            line += f", {event.finished:,} of them finished before"
        if event.bad_rows:
            line += f"; bad rows left out: {event.bad_rows:,}"
        return line

    def _ended_line(self, document: str, ended: RunEnded) -> str:
        progress = self._progress
        number = f" {progress.done:,}/{progress.rows:,}" if ended.outcome == "complete" else ""
        line = f"{OUTCOMES[ended.outcome]}{number} {progress.line(document)}: "
        line += f"{ended.words:,} of {ended.target:,} words"
        if progress.ended is not None and (sections := len(progress.ended.progress.sections)):
            line += f", {sections} section{'s' if sections > 1 else ''}"
        if ended.usage.tokens_written and ended.wall_seconds > 0:
            line += f", {ended.usage.tokens_written / ended.wall_seconds:.1f} tokens/s"
        return line

    def _overview(self) -> str:
        progress = self._progress
        line = f"{', '.join(count_texts(progress))}; {progress.words:,} words"
        if progress.pace.tokens_per_second is not None:
            line += f"; {progress.pace.tokens_per_second:.1f} tokens/s"
        remaining = progress.remaining()
        if remaining is not None:
            line += f"; about {duration(remaining)} left"
        return line


class QuietBatchRenderer(Renderer[BatchEvent]):
    """Warnings and failures only."""

    def __init__(self, stream: TextIO) -> None:
        self._out = LineStream(stream)
        self._progress = BatchProgress(self._out.encoding)

    def handle(self, event: BatchEvent) -> None:
        """Writes a line if the event is a warning or a failure."""
        self._progress.handle(event, 0.0)
        match event:
            case Notice(level="info") | DocumentEvent(event=Notice(level="info")):
                return
            case _:
                if lines := incident_lines(event, self._progress):
                    self._out.write(*lines)
