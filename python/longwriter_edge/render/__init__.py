"""Chooses how a run or a batch is shown, by what the streams and the environment can carry.

A renderer takes the events of :mod:`longwriter_edge.events` and knows nothing of engines, models or
stores. The document itself is never printed here.
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Generic, TextIO, TypeAlias, TypeVar

from longwriter_edge.events import BatchEvent, Event

#: Seconds that only go forward, from any origin; :func:`time.monotonic` outside of tests.
Clock: TypeAlias = Callable[[], float]

#: Columns below which the live display would show little more than ellipses.
MINIMUM_WIDTH = 40

#: The events that a renderer takes: those of a run, of a batch, or both.
Shown = TypeVar("Shown", contravariant=True)
Held = TypeVar("Held", bound="Renderer[Any]")


class Renderer(ABC, Generic[Shown]):
    """Shows events between ``__enter__`` and ``__exit__``."""

    def __enter__(self: Held) -> Held:
        """Takes hold of the stream, where there is something to take hold of."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Gives the stream back as it was, whatever happened; nothing to do where each line is flushed."""

    @abstractmethod
    def handle(self, event: Shown) -> None:
        """Shows one event.

        Raises:
            OutputError: the event is data that somebody reads (JSON) and cannot be delivered. A display
                that cannot be written goes silent instead: the document matters more.
        """


def choose(
    *,
    stdout: TextIO,
    stderr: TextIO,
    environment: Mapping[str, str],
    json: bool = False,
    quiet: bool = False,
    width: int | None = None,
    clock: Clock = time.monotonic,
) -> Renderer[Event]:
    """The renderer for these streams and wishes; ``json`` goes before ``quiet``.

    Args:
        stdout: Takes the JSON lines, and nothing else.
        stderr: Takes everything that is for people.
        environment: Environment variables: a non-empty ``NO_COLOR`` (no-color.org) turns colour off,
            ``TERM=dumb`` the live display.
        json: One event a line.
        quiet: Warnings and errors only.
        width: Columns of the terminal; asked from ``stderr`` if not given.
        clock: Measures pace and remaining time.
    """
    # Each import is made only when its renderer is taken: rich costs a noticeable part of the start.
    if json:
        from longwriter_edge.render.jsonl import JsonLinesRenderer

        return JsonLinesRenderer(stdout)
    if quiet:
        from longwriter_edge.render.plain import QuietRenderer

        return QuietRenderer(stderr)
    if _can_redraw(stderr, environment, width):
        from longwriter_edge.render.canvas import terminal_console
        from longwriter_edge.render.live import LiveRenderer

        return LiveRenderer(terminal_console(stderr, color=not environment.get("NO_COLOR")), clock)

    from longwriter_edge.render.plain import PlainRenderer

    return PlainRenderer(stderr, clock)


def choose_batch(
    *,
    stdout: TextIO,
    stderr: TextIO,
    environment: Mapping[str, str],
    json: bool = False,
    quiet: bool = False,
    width: int | None = None,
    clock: Clock = time.monotonic,
) -> Renderer[BatchEvent]:
    """The renderer of a batch, by the rules and with the arguments of :func:`choose`."""
    if json:
        from longwriter_edge.render.jsonl import JsonLinesRenderer

        return JsonLinesRenderer(stdout)
    if quiet:
        from longwriter_edge.render.batch.plain import QuietBatchRenderer

        return QuietBatchRenderer(stderr)
    if _can_redraw(stderr, environment, width):
        from longwriter_edge.render.batch.live import LiveBatchRenderer
        from longwriter_edge.render.canvas import terminal_console

        return LiveBatchRenderer(terminal_console(stderr, color=not environment.get("NO_COLOR")), clock)

    from longwriter_edge.render.batch.plain import PlainBatchRenderer

    return PlainBatchRenderer(stderr, clock)


def _can_redraw(stream: TextIO, environment: Mapping[str, str], width: int | None) -> bool:
    if not stream.isatty() or environment.get("TERM", "").lower() in ("dumb", "unknown"):
        return False
    if width is None:
        try:
            width = os.get_terminal_size(stream.fileno()).columns
        except (OSError, ValueError):
            return True
    # Some serial consoles and CI systems say 0 for "unknown".
    return width == 0 or width >= MINIMUM_WIDTH
