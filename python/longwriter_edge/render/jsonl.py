"""Writes each event as one line of JSON."""

from __future__ import annotations

from typing import TextIO

from longwriter_edge.errors import OutputError
from longwriter_edge.events import BatchEvent, Event, name_of, to_json
from longwriter_edge.render import Renderer


class JsonLinesRenderer(Renderer[Event | BatchEvent]):
    """One event a line, flushed at once, so that a reader at the other end of a pipe can follow."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def handle(self, event: Event | BatchEvent) -> None:
        """Writes one line.

        Raises:
            OutputError: the reader is gone, or the disk is full.
        """
        try:
            self._stream.write(to_json(event) + "\n")
            self._stream.flush()
        except BrokenPipeError as error:
            raise OutputError(
                f"the reader of the JSON lines went away before the event {name_of(event)}",
                hint="what was written until now is kept; longwriter-edge resume goes on",
            ) from error
        except OSError as error:
            reason = error.strerror or error
            raise OutputError(
                f"the JSON line of the event {name_of(event)} cannot be written: {reason}",
                hint="what was written until now is kept; make room or choose another file, then resume",
            ) from error
