"""A picture on a terminal that is redrawn in place, with rich.

No thread redraws it: each event may, at most ten times a second and never for more than a small share of
the time, because the display and the model share the processor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType, Segment
from rich.text import Text

from longwriter_edge.render import Clock
from longwriter_edge.render.drawing import Line

#: Seconds between two pictures, at least.
MINIMUM_INTERVAL = 0.1
#: Share of the time that drawing may take.
MAXIMUM_SHARE = 0.02


class TerminalConsole(Console):
    """A console for a display that is not worth ending a run for."""

    def on_broken_pipe(self) -> None:
        """Raises where rich would end the process; the canvas then goes silent."""
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


class Canvas:
    """Draws a picture over the last one, and lines above it that stay.

    It goes silent for good when the terminal is gone: the text that is written goes somewhere else.

    Args:
        console: A terminal, best made by :func:`terminal_console`.
        clock: Measures how long drawing takes.
        picture: The picture of this moment, for the console's size.
    """

    def __init__(self, console: Console, clock: Clock, picture: Callable[[], Picture]) -> None:
        self._console = console
        self._clock = clock
        # The streams stay as they are: the document may be on standard output at the same time.
        self._live = Live(
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            get_renderable=picture,
        )
        self._running = False
        self._gone = False
        self._due = 0.0
        self._size = tuple(console.size)

    def draw(self, now: float, *, at_once: bool = False) -> None:
        """Draws the picture if it is time to, or ``at_once``."""
        if not self._gone and (at_once or now >= self._due):
            with self._silent_when_gone():
                self._refresh()
                self._due = now + max(MINIMUM_INTERVAL, (self._clock() - now) / MAXIMUM_SHARE)

    def print(self, *lines: str) -> None:
        """Prints lines above the picture, where they stay."""
        if not self._gone:
            with self._silent_when_gone():
                for line in lines:
                    self._console.print(Text(line), soft_wrap=not self._running)

    def remove(self) -> None:
        """Takes the picture away and shows the cursor again."""
        if self._running and not self._gone:
            with self._silent_when_gone():
                self._running = False
                self._live.stop()

    def _refresh(self) -> None:
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

    @contextmanager
    def _silent_when_gone(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            # ValueError is what a closed stream raises; any other is a fault that must be seen.
            if isinstance(error, ValueError) and not self._console.file.closed:
                raise
            self._gone = True
