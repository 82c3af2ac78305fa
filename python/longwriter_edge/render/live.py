"""Shows a run on a terminal, redrawn in place, with rich.

No thread redraws it: each event may, at most ten times a second and never for more than a small share of
the time, because the display and the model share the processor.
"""

from __future__ import annotations

from types import TracebackType
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType, Segment
from rich.text import Text

from longwriter_edge.events import (
    Event,
    Notice,
    PlanReady,
    PlanStarted,
    PlanText,
    RunEnded,
    SectionRewound,
    SectionStarted,
    SectionText,
)
from longwriter_edge.render import Clock
from longwriter_edge.render.frame import Line, compose, glyphs_for
from longwriter_edge.render.plain import notice_line
from longwriter_edge.render.progress import Progress
from longwriter_edge.render.sanitize import encodable, safe
from longwriter_edge.render.summary import summary_lines
from longwriter_edge.render.tail import TextTail

#: Seconds between two pictures, at least.
MINIMUM_INTERVAL = 0.1
#: Share of the time that drawing may take.
MAXIMUM_SHARE = 0.02


class TerminalConsole(Console):
    """A console for a display that is not worth ending a run for."""

    def on_broken_pipe(self) -> None:
        """Raises where rich would end the process; the renderer then goes silent."""
        raise BrokenPipeError


def terminal_console(stream: TextIO, *, color: bool) -> Console:
    """A console on a terminal that takes every text literally."""
    return TerminalConsole(
        file=stream, force_terminal=True, no_color=not color, markup=False, emoji=False, highlight=False
    )


class Picture:
    """Lines of segments as something that rich can print."""

    def __init__(self, lines: list[Line]) -> None:
        self.lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The segments, with a line end after each line but the last."""
        for number, line in enumerate(self.lines):
            if number:
                yield Segment.line()
            yield from line


class LiveRenderer:
    """Sections, document, phase, pace and the text as it grows; a plain summary stays at the end.

    Args:
        console: A terminal, best made by :func:`terminal_console`.
        clock: Measures pace, and how often to draw.
    """

    def __init__(self, console: Console, clock: Clock) -> None:
        self._console = console
        self._clock = clock
        self._glyphs = glyphs_for(console.encoding)
        self._progress = Progress(console.encoding)
        self._tail = TextTail()
        # The streams stay as they are: the document may be on standard output at the same time.
        self._live = Live(
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            get_renderable=self.picture,
        )
        self._running = False
        self._gone = False
        self._due = 0.0
        self._size = tuple(console.size)

    def __enter__(self) -> LiveRenderer:
        """Nothing yet: drawing begins with the first event."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Removes the picture and shows the cursor again."""
        try:
            self._stop()
        except (OSError, ValueError) as failure:
            self._give_up(failure)

    def handle(self, event: Event) -> None:
        """Takes one event and draws if it is time to, or if the event changes the picture's shape."""
        now = self._clock()
        self._progress.handle(event, now)
        self._take_text(event)
        if self._gone:
            return
        try:
            match event:
                case Notice():
                    self._print(notice_line(event, self._progress))
                case RunEnded():
                    self._stop()
                    for line in summary_lines(event, self._progress):
                        self._print(line)
                case _:
                    at_once = isinstance(event, PlanStarted | PlanReady | SectionStarted)
                    if at_once or now >= self._due:
                        self._draw(now)
        except (OSError, ValueError) as error:
            self._give_up(error)

    def picture(self) -> Picture:
        """The picture of this moment, for the console's size."""
        return Picture(compose(self._progress, self._tail, self._clock(), self._console.size, self._glyphs))

    def _take_text(self, event: Event) -> None:
        match event:
            case PlanStarted() | PlanReady():
                self._tail.clear()
            case PlanText():
                self._add(event.text)
            case SectionStarted():
                self._add(f"\n\n{self._progress.line(event.title)}\n\n{event.written}")
            case SectionRewound() if event.section == self._progress.current:
                self._tail.take_back(event.removed)
            case SectionText() if event.section == self._progress.current:
                self._add(event.text)
            case _:
                pass

    def _add(self, text: str) -> None:
        self._tail.add(encodable(safe(text), self._console.encoding))

    def _print(self, line: str) -> None:
        """Prints a line above the picture, where it stays."""
        self._console.print(Text(line), soft_wrap=not self._running)

    def _draw(self, now: float) -> None:
        size = self._console.size
        if self._running and (size[0] < self._size[0] or size[1] < self._size[1]):
            # The terminal broke or moved the lines of the last picture; where to is unknown.
            self._console.control(Control(ControlType.CLEAR, ControlType.HOME))
        self._size = size
        if self._running:
            self._live.refresh()
        else:
            self._running = True
            self._live.start(refresh=True)
        self._due = now + max(MINIMUM_INTERVAL, (self._clock() - now) / MAXIMUM_SHARE)

    def _stop(self) -> None:
        if self._running and not self._gone:
            self._running = False
            self._live.stop()

    def _give_up(self, error: OSError | ValueError) -> None:
        """Goes silent for good: the terminal is gone, but the document may go somewhere else."""
        # ValueError is what a closed stream raises; any other is a fault that must be seen.
        if isinstance(error, ValueError) and not self._console.file.closed:
            raise error
        self._gone = True
