"""Shows a run as plain lines, for logs, pipes and simple terminals; or only its warnings."""

from __future__ import annotations

from typing import TextIO

from longwriter_edge.events import (
    Event,
    Notice,
    PlanReady,
    PlanStarted,
    RunEnded,
    RunStarted,
    SectionEnded,
    SectionStarted,
    SectionText,
)
from longwriter_edge.render import Clock, Renderer
from longwriter_edge.render.progress import Clean, Progress, duration, fraction
from longwriter_edge.render.summary import cut_sections, described, summary_lines

#: Seconds without a line after which one says how far the run is.
PROGRESS_INTERVAL = 30.0


class LineStream:
    """Writes whole lines; goes silent for good when the stream cannot be written any more.

    A closed terminal or pipe must not end a run whose document goes somewhere else.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._gone = False

    @property
    def encoding(self) -> str:
        """The encoding of the stream; streams of strings, which have none, can take everything."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, *lines: str) -> None:
        """Writes and flushes the lines."""
        if self._gone:
            return
        try:
            self._stream.writelines(f"{line}\n" for line in lines)
            self._stream.flush()
        except (OSError, ValueError):
            # ValueError is what a closed stream raises.
            self._gone = True


class PlainRenderer(Renderer[Event]):
    """One line for each thing that happens, and one about every half a minute of writing.

    No colour, no carriage returns, no line per token.
    """

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        self._out = LineStream(stream)
        self._clock = clock
        self._progress = Progress(self._out.encoding)
        self._last_line = clock()
        # Tokens of the section that is being written, and when its first and last arrived.
        self._tokens = 0
        self._span: tuple[float, float] | None = None

    def handle(self, event: Event) -> None:
        """Writes the lines of one event, if it has any."""
        now = self._clock()
        self._progress.handle(event, now)
        lines = self._lines(event, now)
        if not lines and now - self._last_line >= PROGRESS_INTERVAL:
            lines = self._progress_lines()
        if lines:
            self._last_line = now
            self._out.write(*lines)

    def _lines(self, event: Event, now: float) -> list[str]:
        progress = self._progress
        match event:
            case RunStarted():
                verb = "Resuming" if event.resumed else "Writing"
                about = f"{verb} {event.words:,} words (run {progress.line(event.run)})"
                return [about, *described(event, progress.line)]
            case Notice():
                return [notice_line(event, progress.line)]
            case PlanStarted():
                return ["Planning" if event.attempt == 1 else f"Planning, attempt {event.attempt}"]
            case PlanReady():
                return self._plan_lines(event)
            case SectionStarted():
                self._tokens, self._span = 0, None
                goes_on = ", goes on" if event.written else ""
                title = progress.line(event.title)
                return [f"Section {self._number(event.section)}: {title} ({event.target:,} words{goes_on})"]
            case SectionText():
                self._tokens += event.tokens if self._span else 0
                self._span = (self._span[0] if self._span else now, now)
                return []
            case SectionEnded():
                return [self._ended_line(event)]
            case RunEnded():
                return summary_lines(event, progress)
            case _:
                return []

    def _plan_lines(self, event: PlanReady) -> list[str]:
        digits = len(str(len(event.sections)))
        size = f"{len(event.sections)} sections, {event.words:,} words"
        return [f"Plan: {self._progress.line(event.title)} ({size})"] + [
            f"  {number:>{digits}}. {section.title} ({section.target:,} words)"
            for number, section in enumerate(self._progress.sections, start=1)
        ]

    def _ended_line(self, event: SectionEnded) -> str:
        how = "unfinished" if event.unfinished else "done"
        # Without new text it is a section that an earlier process wrote.
        if self._span is None:
            how = f"{how} before"
        line = f"Section {self._number(event.section)} {how}: {event.words:,}/{event.target:,} words"
        if self._span and self._tokens and self._span[1] > self._span[0]:
            line += f", {self._tokens / (self._span[1] - self._span[0]):.1f} tokens/s"
        return line

    def _progress_lines(self) -> list[str]:
        progress = self._progress
        if progress.phase == "reading" and progress.prefill is not None:
            part = fraction(progress.prefill.done, progress.prefill.total)
            number = progress.prefill.section
            what = "the plan" if number is None else f"section {self._number(number)}"
            return [f"Reading the prompt of {what}: {part:.0%}"]
        if progress.phase == "writing" and progress.current is not None:
            section = progress.sections[progress.current]
            line = (
                f"Section {self._number(progress.current)}: {section.words:,}/{section.target:,} words; "
                f"document {progress.document_words:,}/{progress.target_words:,} words"
            )
            if progress.pace.tokens_per_second is not None:
                line += f"; {progress.pace.tokens_per_second:.1f} tokens/s"
            remaining = progress.remaining()
            if remaining is not None:
                line += f"; about {duration(remaining)} left"
            return [line]
        return []

    def _number(self, section: int) -> str:
        return f"{section + 1} of {len(self._progress.sections)}"


class QuietRenderer(Renderer[Event]):
    """Warnings and errors only."""

    def __init__(self, stream: TextIO) -> None:
        self._out = LineStream(stream)
        self._progress = Progress(self._out.encoding)

    def handle(self, event: Event) -> None:
        """Writes a line if the event is a warning or an error."""
        self._progress.handle(event, 0.0)
        match event:
            case Notice(level="warning"):
                self._out.write(notice_line(event, self._progress.line))
            case RunEnded():
                if cut := cut_sections(event, self._progress):
                    self._out.write(f"Warning: {cut}")
                if event.error:
                    self._out.write(f"Error: {self._progress.line(event.error)}")
            case _:
                pass


def notice_line(notice: Notice, clean: Clean) -> str:
    """A notice as one line."""
    kind = "Warning" if notice.level == "warning" else "Note"
    return f"{kind}: {clean(notice.message)}"
