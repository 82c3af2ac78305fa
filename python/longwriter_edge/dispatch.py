"""Runs many jobs on one engine: adds their documents, and hands each job its events.

A document that has no room in the engine waits until a larger one is made.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import cast

from longwriter_edge import _core
from longwriter_edge.engine_events import CANCELLED, LAST_WORDS_SECONDS, PULL_SECONDS, Stop, engine_failed
from longwriter_edge.engine_settings import EngineSettings
from longwriter_edge.engine_size import Demand, EngineSize, choose
from longwriter_edge.errors import GenerationError, LongWriterError, ModelError
from longwriter_edge.events import Event
from longwriter_edge.job import Job
from longwriter_edge.model_engine import ModelEngine
from longwriter_edge.preparation import WritingModel

#: Documents that an engine is given beyond those that it can write at the same time, as a multiple of its
#: sequences: when one ends, the next has to be there at once.
QUEUE_FACTOR = 2


class Dispatcher:
    """Writes the documents of many jobs on one engine at a time.

    Jobs are taken as there is room for them, in order. A job whose document does not fit into the engine
    waits until the others are done, or until such jobs could fill an engine of their own; then a new one is
    made.

    Args:
        model: What to write with.
        settings: What the user set of the engine.
        stop: When requested, the jobs under way are saved and end, and no other begins.
        flush: Called several times a second, to save the text that waits.
        demand: What the jobs will need, as far as it is known.
    """

    def __init__(
        self,
        model: WritingModel,
        settings: EngineSettings,
        stop: Stop,
        flush: Callable[[], None],
        demand: Demand,
    ) -> None:
        self._model = model
        self._settings = settings
        self._stop = stop
        self._flush = flush
        self._demand = demand
        self._size: EngineSize | None = None
        self._engine: ModelEngine | None = None
        #: The tokens that end a section, and those that are never sampled, in the engine that there is.
        self._tokens: tuple[tuple[int, ...], tuple[int, ...]] | None = None
        #: Jobs that come before those of the source.
        self._ready: deque[Job] = deque()
        #: Jobs that need another engine.
        self._deferred: list[Job] = []
        self._running: dict[int, Job] = {}
        #: Every job that was taken and has not ended.
        self._open: set[Job] = set()
        #: What the engine before was made for, while a larger one is only planned.
        self._smaller: Demand | None = None
        #: Seconds in which sequences were in use, and in which they could have been, of closed engines.
        self._used = self._available = 0.0
        self._deadline: float | None = None
        #: The engine's worker has ended by itself.
        self._dead = False

    @property
    def size(self) -> EngineSize:
        """The size of the engine that there is, or of the first."""
        if self._size is None:
            self._size = choose(self._settings, self._demand, self._model.capacity)
        return self._size

    @property
    def busy(self) -> float:
        """Share of the time of their sequences that the engines so far have used, 0 to 1."""
        return self._used / self._available if self._available else 0.0

    def run(self, jobs: Iterable[Job]) -> Generator[tuple[Job, Event], None, None]:
        """Runs jobs to their ends and yields what happens to each.

        Raises:
            ModelError: no engine can be made.
            LibraryError: the library is not as expected.
        """
        source = iter(jobs)
        try:
            while True:
                if not self._stop.requested:
                    yield from self._fill(source)
                if self._running:
                    yield from self._turn()
                elif self._dead:
                    self._close()
                elif self._deferred and not self._stop.requested:
                    yield from self._renew()
                else:
                    break
            yield from self._interrupt()
        except KeyboardInterrupt:
            # Raised by Python's own handler. What the engine still has to tell is given up: a part of it may
            # be lost already, and no text may follow a gap.
            yield from self._interrupt()
            raise
        finally:
            for job in self._open:
                job.abandon()
            self._close()

    def _fill(self, source: Iterator[Job]) -> Iterator[tuple[Job, Event]]:
        """Adds documents until enough of them wait."""
        while not self._dead and len(self._running) < QUEUE_FACTOR * self.size.sequences:
            if self._ready:
                job: Job | None = self._ready.popleft()
            elif len(self._deferred) < self.size.sequences:
                job = next(source, None)
                if job is not None:
                    self._open.add(job)
            else:
                job = None
            if job is None:
                return
            yield from self._start(job)

    def _start(self, job: Job) -> Iterator[tuple[Job, Event]]:
        """Adds a job's next document, or defers the job."""
        try:
            engine = self._engine or self._make(job)
        except ModelError as error:
            if self._smaller is None:
                raise
            # The others may still have room in one as it was before.
            self._demand, self._smaller, self._size = self._smaller, None, None
            yield from self._emit(job, job.fail(error))
            return
        if self._tokens != _tokens(job):
            self._deferred.append(job)
            return
        try:
            document = job.document(engine)
        except LongWriterError as error:
            yield from self._emit(job, job.fail(error))
            return
        if document.reserve > min(self.size.cells, self.size.cells_per_sequence):
            self._deferred.append(job)
            return
        try:
            number = engine.core.add(document)
        except _core.EngineClosed:
            # Its worker is gone, and says so with its last event.
            self._dead = True
            self._ready.appendleft(job)
            return
        begun = sum(other.begun for other in self._running.values())
        self._running[number] = job
        # Those that wait for a sequence begin when the engine first speaks of them.
        if job.begun or begun < self.size.sequences:
            yield from self._tell(job, number)

    def _tell(self, job: Job, number: int) -> Iterator[tuple[Job, Event]]:
        """Tells that a job's document has been added, and of the job itself if nobody knows of it."""
        if not job.begun:
            yield from self._emit(job, job.begin(self.size))
        if job.outcome is None:
            yield from self._emit(job, job.added())
        else:
            self._drop(number)

    def _drop(self, number: int) -> None:
        """Forgets a document whose job has ended before it."""
        assert self._engine is not None
        del self._running[number]
        with suppress(_core.EngineClosed):
            self._engine.core.cancel(number)

    def _turn(self) -> Iterator[tuple[Job, Event]]:
        """Waits for what the engine says and hands it to the jobs."""
        assert self._engine is not None
        core = self._engine.core
        if self._stop.requested and self._deadline is None:
            with suppress(_core.EngineClosed):
                for number in self._running:
                    core.cancel(number)
            self._deadline = time.monotonic() + LAST_WORDS_SECONDS
        try:
            events = core.events(PULL_SECONDS)
        except _core.EngineClosed:
            yield from self._lose(GenerationError("the engine was closed while it was writing"))
            return
        for event in events:
            if isinstance(event, _core.Event.EngineFailed):
                yield from self._lose(engine_failed(event))
                return
            # All other events are about a document. That of a job that has failed may have said more before
            # it was cancelled.
            number = cast("_core.Event.Text", event).document
            job = self._running.get(number)
            if job is not None:
                yield from self._hand(job, number, event)
        yield from self._save()
        if self._deadline is not None and time.monotonic() >= self._deadline:
            yield from self._interrupt()

    def _hand(self, job: Job, number: int, event: _core.Event) -> Iterator[tuple[Job, Event]]:
        """Gives a job its event and sees to what follows from it."""
        if not job.begun and not _is_cancelled(event):
            yield from self._tell(job, number)
            if job.outcome is not None:
                return
        if isinstance(event, _core.Event.DocumentEnded):
            del self._running[number]
            if event.fault == CANCELLED:
                if job.begun:
                    yield from self._emit(job, job.cancelled(event))
                else:
                    job.abandon()
                    self._open.discard(job)
                return
            yield from self._emit(job, job.take(event))
            if job.outcome is None and self._stop.requested:
                yield from self._emit(job, job.interrupt())
            elif job.outcome is None:
                yield from self._start(job)
            return
        yield from self._emit(job, job.take(event))
        if job.outcome is not None:
            self._drop(number)

    def _save(self) -> Iterator[tuple[Job, Event]]:
        try:
            self._flush()
        except LongWriterError as error:
            yield from self._lose(error)

    def _emit(self, job: Job, events: Iterator[Event]) -> Iterator[tuple[Job, Event]]:
        for event in events:
            yield job, event
        if job.outcome is not None:
            self._open.discard(job)

    def _lose(self, error: LongWriterError) -> Iterator[tuple[Job, Event]]:
        """Ends all jobs under way with ``error``; the others get a new engine."""
        lost, self._running = self._running, {}
        self._close()
        for job in lost.values():
            if job.begun:
                yield from self._emit(job, job.fail(error))
            else:
                self._ready.append(job)

    def _interrupt(self) -> Iterator[tuple[Job, Event]]:
        """Ends the jobs that have begun, also those that wait between their plan and their sections."""
        for job in list(self._open):
            if job.begun and job.outcome is None:
                yield from self._emit(job, job.interrupt())
            else:
                job.abandon()
                self._open.discard(job)
        self._running.clear()
        self._ready.clear()
        self._deferred.clear()

    def _renew(self) -> Iterator[tuple[Job, Event]]:
        """Makes room for the jobs that did not fit into the engine: the next one is large enough for them."""
        self._close()
        waiting, self._deferred = self._deferred, []
        cells, sections = self._demand.document_cells, self._demand.parallel_sections
        for job in waiting:
            try:
                cells, sections = max(cells, job.cells), max(sections, job.parallel_sections)
            except LongWriterError as error:
                yield from self._emit(job, job.fail(error))
            else:
                self._ready.append(job)
        if self._ready and self._tokens == _tokens(self._ready[0]) and cells <= self._demand.document_cells:
            job = self._ready.popleft()
            refusal = ModelError(
                f"the document needs {job.cells:,} tokens of context, but only "
                f"{self.size.cells_per_sequence:,} could be had",
                hint="close other programs, ask for fewer words, or use --kv-type q8_0",
            )
            yield from self._emit(job, job.fail(refusal))
        self._smaller = self._demand
        self._demand = replace(self._demand, document_cells=cells, parallel_sections=sections)
        self._size = None

    def _make(self, job: Job) -> ModelEngine:
        """An engine for the jobs that have the same special tokens as ``job``."""
        stop, suppressed = tokens = _tokens(job)
        engine = self._model.engine(self.size, stop=stop, suppressed=suppressed)
        self._engine, self._tokens, self._smaller = engine, tokens, None
        return engine

    def _close(self) -> None:
        if self._engine is not None:
            self._engine.close()
            load = self._engine.core.load()
            self._used += load.sequence_seconds
            self._available += load.step_seconds * self.size.sequences
            self._engine = None
            self._dead = False


def _is_cancelled(event: _core.Event) -> bool:
    return isinstance(event, _core.Event.DocumentEnded) and event.fault == CANCELLED


def _tokens(job: Job) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Tokens that end a section, and those that are never sampled."""
    return job.preparation.stop_tokens, job.preparation.suppressed_tokens
