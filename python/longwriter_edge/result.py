"""What :class:`longwriter_edge.Writer` returns: documents that were written, as plain values."""

from __future__ import annotations

from dataclasses import dataclass

from longwriter_edge.errors import LongWriterError
from longwriter_edge.events import RunEnded, SectionEnd, Usage
from longwriter_edge.output import render_markdown
from longwriter_edge.request import WriteRequest
from longwriter_edge.store import RunRecord


@dataclass(frozen=True, slots=True)
class DocumentSection:
    """One section: its title, its text, its target in words, and why it ended."""

    title: str
    text: str
    target: int
    reason: SectionEnd | None


@dataclass(frozen=True, slots=True)
class WrittenDocument:
    """A whole document.

    Attributes:
        run: Its id in the store.
        title: As planned; empty with the method ``direct``.
        sections: In order.
        words: Words, the reader's count.
        benchmark_words: Words as LongBench-Write counts them.
        target: Words that were asked for.
        unfinished: Numbers of the sections (from 0) that their token limit cut.
        usage: Tokens and times it took; what it took before a :meth:`Writer.resume` is not known any more.
        wall_seconds: Time from its start to its end.
    """

    run: str
    title: str
    sections: tuple[DocumentSection, ...]
    words: int
    benchmark_words: int
    target: int
    unfinished: tuple[int, ...]
    usage: Usage
    wall_seconds: float

    @property
    def text(self) -> str:
        """The document as Markdown."""
        return render_markdown(self.title, [(section.title, section.text) for section in self.sections])

    @classmethod
    def of(cls, record: RunRecord, ended: RunEnded) -> WrittenDocument:
        """The document that the store holds, with the figures of its last event."""
        return cls(
            run=record.run,
            title=record.title,
            sections=tuple(
                DocumentSection(section.title, section.text, section.words, section.reason)
                for section in record.sections
            ),
            words=ended.words,
            benchmark_words=ended.benchmark_words,
            target=ended.target,
            unfinished=ended.unfinished,
            usage=ended.usage,
            wall_seconds=ended.wall_seconds,
        )


@dataclass(frozen=True, slots=True)
class Written:
    """What became of one of many requests.

    Attributes:
        number: Its place among the requests, from 0.
        request: What was asked for.
        document: The document; ``None`` if it failed.
        error: Why it failed; its ``run`` can be resumed unless that is ``None``.
    """

    number: int
    request: WriteRequest
    document: WrittenDocument | None
    error: LongWriterError | None
