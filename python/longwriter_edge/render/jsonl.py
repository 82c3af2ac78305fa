"""Writes each event as one line of JSON."""

from __future__ import annotations

from types import TracebackType
from typing import TextIO

from longwriter_edge.errors import OutputError
from longwriter_edge.events import NAMES, Event, to_json


class JsonLinesRenderer:
    """One event a line, flushed at once, so that a reader at the other end of a pipe can follow."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __enter__(self) -> JsonLinesRenderer:
        """Nothing to take hold of."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing to give back; every line is already flushed."""

    def handle(self, event: Event) -> None:
        """Writes one line.

        Raises:
            OutputError: the reader is gone, or the disk is full.
        """
        try:
            self._stream.write(to_json(event) + "\n")
            self._stream.flush()
        except BrokenPipeError as error:
            raise OutputError(
                f"the reader of the JSON lines went away before the event {NAMES[type(event)]}",
                hint="what was written until now is kept; longwriter-edge resume goes on",
            ) from error
        except OSError as error:
            reason = error.strerror or error
            raise OutputError(
                f"the JSON line of the event {NAMES[type(event)]} cannot be written: {reason}",
                hint="what was written until now is kept; make room or choose another file, then resume",
            ) from error
