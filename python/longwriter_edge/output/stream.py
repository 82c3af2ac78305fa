"""A document on a text stream such as standard output."""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

from longwriter_edge.errors import OutputError
from longwriter_edge.output.failures import write_error


class StreamSink:
    """A text stream, such as standard output; its encoding need not be able to carry the text.

    Args:
        stream: Where the text goes; not closed.
        clean: Applied to the text first; for a terminal something that removes control characters.
    """

    location = None
    replaces = False

    def __init__(self, stream: TextIO, clean: Callable[[str], str] | None = None) -> None:
        self._stream = stream
        self._clean = clean

    def start(self, text: str) -> None:
        """Writes ``text``."""
        self.write(text)

    def write(self, text: str) -> None:
        """Writes ``text`` with a question mark for what the encoding cannot carry.

        Raises:
            OutputError: the reader has gone away, or the stream cannot be written.
        """
        if self._clean is not None:
            text = self._clean(text)
        encoding = self._stream.encoding or "utf-8"
        carried = text.encode(encoding, "replace").decode(encoding)
        try:
            self._stream.write(carried)
            self._stream.flush()
        except BrokenPipeError as error:
            raise OutputError(
                "the reader of the output went away", hint="resume the run to write the rest of the document"
            ) from error
        except OSError as error:
            raise write_error("the output", error) from error

    def commit(self) -> None:
        """Does nothing: all text has been written."""

    def close(self) -> None:
        """Does nothing: the stream belongs to the caller."""
