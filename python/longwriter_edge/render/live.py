"""Shows a run on a terminal, redrawn in place."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console

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
from longwriter_edge.render import Clock, Renderer
from longwriter_edge.render.canvas import Canvas, Picture
from longwriter_edge.render.drawing import glyphs_for
from longwriter_edge.render.frame import compose
from longwriter_edge.render.plain import notice_line
from longwriter_edge.render.progress import Progress
from longwriter_edge.render.sanitize import encodable, safe
from longwriter_edge.render.summary import summary_lines
from longwriter_edge.render.tail import TextTail


class LiveRenderer(Renderer[Event]):
    """Sections, document, phase, pace and the text as it grows; a plain summary stays at the end.

    Args:
        console: A terminal, best made by :func:`longwriter_edge.render.canvas.terminal_console`.
        clock: Measures pace, and how often to draw.
    """

    def __init__(self, console: Console, clock: Clock) -> None:
        self._console = console
        self._clock = clock
        self._glyphs = glyphs_for(console.encoding)
        self._progress = Progress(console.encoding)
        self._tail = TextTail()
        self._canvas = Canvas(console, clock, self.picture)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Removes the picture and shows the cursor again."""
        self._canvas.remove()

    def handle(self, event: Event) -> None:
        """Takes one event and draws if it is time to, or if the event changes the picture's shape."""
        now = self._clock()
        self._progress.handle(event, now)
        self._take_text(event)
        match event:
            case Notice():
                self._canvas.print(notice_line(event, self._progress.line))
            case RunEnded():
                self._canvas.remove()
                self._canvas.print(*summary_lines(event, self._progress))
            case _:
                self._canvas.draw(now, at_once=isinstance(event, PlanStarted | PlanReady | SectionStarted))

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
