"""What is known of a batch so far, folded from its events.

Only the documents that are being written are kept, so that it stays small however many there are. All texts
in it are safe for a terminal of the given encoding.
"""

from __future__ import annotations

from dataclasses import dataclass

from longwriter_edge.events import (
    BatchEvent,
    BatchStarted,
    DocumentEvent,
    Event,
    RowFailed,
    RunEnded,
    RunStarted,
    SectionStarted,
    SectionText,
)
from longwriter_edge.render.progress import Pace, Progress, fraction
from longwriter_edge.render.sanitize import encodable_line

#: While documents wait, the remaining time is told from this part of a mean document on: what is written
#: before all sequences are busy says little about the pace of the rest.
ESTIMATE_PART = 0.1


@dataclass(slots=True)
class Document:
    """One document that is being written.

    ``counted`` is how many of its words the batch has counted or knows to be older; ``None`` where older
    words came with a continued section and their number is not known yet.
    """

    name: str
    progress: Progress
    counted: int | None = 0

    def new_words(self, document_words: int) -> int:
        """Words since the last call."""
        new = 0 if self.counted is None else document_words - self.counted
        self.counted = document_words
        return new


class BatchProgress:
    """The state of a batch. Times come from whoever feeds the events.

    Args:
        encoding: Of the stream that the texts go to.
    """

    def __init__(self, encoding: str) -> None:
        self.started: BatchStarted | None = None
        #: By id, in the order in which they began.
        self.running: dict[str, Document] = {}
        #: The most documents that ran at the same time.
        self.most_running = 0
        #: The document that ended last.
        self.ended: Document | None = None
        #: Words that this process wrote.
        self.words = 0
        self.pace = Pace()
        self._start_time: float | None = None
        self._bad_rows = 0
        self._completed = 0
        self._failed: set[str] = set()
        self._targets = 0
        self._begun = 0
        self._encoding = encoding

    def line(self, text: str) -> str:
        """A text as one line that the terminal can take."""
        return encodable_line(text, self._encoding)

    def handle(self, event: BatchEvent, now: float) -> None:
        """Takes one event, which happened at ``now`` (seconds)."""
        if self._start_time is None:
            self._start_time = now
        match event:
            case BatchStarted():
                self.started, self._bad_rows = event, event.bad_rows
            case RowFailed() if self.started is None:
                self._bad_rows += 1
            case RowFailed():
                self._failed.add(event.document)
            case DocumentEvent():
                self._handle_document(event.document, event.event, now)
            case _:
                pass

    @property
    def rows(self) -> int:
        """Documents asked for, without the bad rows."""
        return self.started.rows if self.started else 0

    @property
    def done(self) -> int:
        """Documents that are whole, those of earlier processes included."""
        return self._completed + (self.started.finished if self.started else 0)

    @property
    def failed(self) -> int:
        """Rows that are lost, bad rows included."""
        return self._bad_rows + len(self._failed)

    @property
    def waiting(self) -> int:
        """Documents that nothing happens to yet, or no more in this process."""
        return max(self.rows - self.done - len(self._failed) - len(self.running), 0)

    @property
    def part(self) -> float:
        """How much is settled, from 0 to 1; each document counts the same."""
        settled = self.done + len(self._failed)
        running = (document.progress for document in self.running.values())
        begun = sum(fraction(progress.document_words, progress.target_words) for progress in running)
        return fraction(settled + begun, self.rows)

    def elapsed(self, now: float) -> float:
        """Seconds since the first event."""
        return 0.0 if self._start_time is None else max(now - self._start_time, 0.0)

    def remaining(self) -> float | None:
        """Seconds until the last document has its words, at the pace so far; ``None`` if unknown.

        A document that waits is taken to be as long as those that have begun are on average.
        """
        pace = self.pace.words_per_second
        if pace is None:
            return None
        missing = float(sum(document.progress.missing_words() for document in self.running.values()))
        if self.waiting:
            mean = self._targets / max(self._begun, 1)
            if self.words < mean * ESTIMATE_PART:
                return None
            missing += self.waiting * mean
        return missing / pace

    def _handle_document(self, name: str, event: Event, now: float) -> None:
        if isinstance(event, RunStarted):
            self.running[name] = Document(self.line(name), Progress(self._encoding))
            self.most_running = max(self.most_running, len(self.running))
            self._targets += event.words
            self._begun += 1
        document = self.running.get(name)
        if document is None:
            return
        document.progress.handle(event, now)
        match event:
            case SectionStarted() if event.written:
                document.counted = None
            case SectionText():
                self.words += document.new_words(event.document_words)
                self.pace.add(now, event.tokens, self.words)
            case RunEnded():
                self.ended = self.running.pop(name)
                if event.outcome == "complete":
                    self._completed += 1
                elif event.outcome == "failed":
                    self._failed.add(name)
            case _:
                pass
