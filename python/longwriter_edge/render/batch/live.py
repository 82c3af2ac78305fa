"""Shows a batch on a terminal, redrawn in place."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console

from longwriter_edge.events import BatchEnded, BatchEvent, BatchStarted
from longwriter_edge.render import Clock, Renderer
from longwriter_edge.render.batch.frame import compose
from longwriter_edge.render.batch.lines import incident_lines, summary_lines
from longwriter_edge.render.batch.progress import BatchProgress
from longwriter_edge.render.canvas import Canvas, Picture
from longwriter_edge.render.drawing import glyphs_for


class LiveBatchRenderer(Renderer[BatchEvent]):
    """The documents under way and the whole batch; what went wrong and a plain summary stay.

    Args:
        console: A terminal, best made by :func:`longwriter_edge.render.canvas.terminal_console`.
        clock: Measures pace, and how often to draw.
    """

    def __init__(self, console: Console, clock: Clock) -> None:
        self._console = console
        self._clock = clock
        self._glyphs = glyphs_for(console.encoding)
        self._progress = BatchProgress(console.encoding)
        self._canvas = Canvas(console, clock, self.picture)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Removes the picture and shows the cursor again."""
        self._canvas.remove()

    def handle(self, event: BatchEvent) -> None:
        """Takes one event and draws if it is time to, or if the event changes the picture's shape."""
        now = self._clock()
        shape = self._progress.most_running
        self._progress.handle(event, now)
        grown = self._progress.most_running > shape
        self._canvas.print(*incident_lines(event, self._progress))
        if isinstance(event, BatchEnded):
            self._canvas.remove()
            self._canvas.print(*summary_lines(event, self._progress))
        elif self._progress.started is not None:
            self._canvas.draw(now, at_once=grown or isinstance(event, BatchStarted))

    def picture(self) -> Picture:
        """The picture of this moment, for the console's size."""
        return Picture(compose(self._progress, self._clock(), self._console.size, self._glyphs))
