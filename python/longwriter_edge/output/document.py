"""The document as it leaves the program, section by section, to a file or a stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, TextIO

from longwriter_edge.output.markdown import Markdown
from longwriter_edge.output.part_file import PartFile
from longwriter_edge.output.stream import StreamSink


class Sink(Protocol):
    """Where a document goes."""

    @property
    def location(self) -> str | None:
        """The path of the finished file, if it will be one."""

    @property
    def replaces(self) -> bool:
        """Whether an existing file is replaced."""

    def start(self, text: str) -> None:
        """Begins with ``text``, in place of what an earlier process left."""

    def write(self, text: str) -> None:
        """Adds text, so that a reader sees it at once."""

    def commit(self) -> None:
        """Makes the document final."""

    def close(self) -> None:
        """Gives up what is held; what was written stays. Idempotent."""


class DocumentOutput:
    """A document on its way to a sink, section by section.

    :meth:`begin` comes first, then for each section :meth:`begin_section` and :meth:`write`, and
    :meth:`commit` once all is written. Left without it, what was written stays in FILE.part.

    Every method raises :class:`OutputError` if the sink cannot be written.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._markdown = Markdown()

    @classmethod
    def to_file(cls, path: Path, *, force: bool = False, resumed: bool = False) -> DocumentOutput:
        """An output to a file; see :class:`PartFile` for what is refused at once."""
        return cls(PartFile(path, force=force, resumed=resumed))

    @classmethod
    def to_stream(cls, stream: TextIO, clean: Callable[[str], str] | None = None) -> DocumentOutput:
        """An output to a text stream; see :class:`StreamSink`."""
        return cls(StreamSink(stream, clean))

    def __enter__(self) -> DocumentOutput:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def location(self) -> str | None:
        """The path of the finished file, absolute; ``None`` for a stream."""
        return self._sink.location

    @property
    def replaces(self) -> bool:
        """Whether an existing file is replaced at the end."""
        return self._sink.replaces

    def begin(self, title: str, sections: Sequence[tuple[str, str]] = ()) -> None:
        """Begins the document, with the headings and texts that an earlier process wrote.

        They reach a file in one step, so that a reader never finds less of the document than before. The last
        of them is still open: :meth:`write` goes on with it.
        """
        self._markdown = Markdown()
        self._sink.start(self._markdown.opening(title, sections))

    def begin_section(self, heading: str) -> None:
        """Begins the next section; its heading is written with its first text."""
        self._markdown.section(heading)

    def write(self, text: str) -> None:
        """Adds text to the section."""
        added = self._markdown.text(text)
        if added:
            self._sink.write(added)

    def commit(self) -> str | None:
        """Ends the document and returns the path of its file, ``None`` for a stream."""
        self._sink.write(self._markdown.end())
        self._sink.commit()
        return self._sink.location

    def close(self) -> None:
        """Gives up what is held, whether the document is whole or not. Idempotent."""
        self._sink.close()
