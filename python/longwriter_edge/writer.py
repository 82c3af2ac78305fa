"""Writes documents with one model: plans them, writes their sections, keeps everything in a store.

The method is that of LongWriter (AgentWrite, arXiv 2408.07055, section 3) or one of the others that
:class:`~longwriter_edge.request.WriteRequest` names.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

from longwriter_edge import _core, planner
from longwriter_edge.dispatch import Dispatcher
from longwriter_edge.engine_events import Stop, pull
from longwriter_edge.engine_settings import EngineSettings
from longwriter_edge.engine_size import Demand, choose
from longwriter_edge.errors import (
    InputError,
    LongWriterError,
    RunInterruptedError,
    RunNotFoundError,
    StoreError,
    WriterBusyError,
)
from longwriter_edge.events import Event, RunEnded
from longwriter_edge.job import Job, plan_ready, stored_plan
from longwriter_edge.output import DocumentOutput
from longwriter_edge.planner import Planning
from longwriter_edge.preparation import WritingModel, prepare
from longwriter_edge.request import WriteRequest
from longwriter_edge.result import Written, WrittenDocument
from longwriter_edge.store import RunRecord, Store


class Writer:
    """Writes documents with one model and keeps them in one store; a context manager.

    It writes one call at a time: a call from another thread waits for its turn. :meth:`stop` may be called
    from any thread or signal handler.

    Args:
        model: An open model, or the path of a GGUF file, which the writer opens and closes.
        store: Where runs are kept; ``None`` for the user's own store, which the writer opens when it needs
            it, and closes.
        settings: How the engine is set up; automatic where they are silent.

    Raises:
        ModelError: the file cannot be used.
    """

    def __init__(
        self,
        model: WritingModel | str | os.PathLike[str],
        store: Store | None = None,
        *,
        settings: EngineSettings | None = None,
    ) -> None:
        self._owned = ExitStack()
        if isinstance(model, str | os.PathLike):
            from longwriter_edge.model import Model

            model = self._owned.enter_context(Model.open(model))
        self._model: WritingModel = model
        self._given_store = store
        self._settings = settings or EngineSettings()
        self._stop = Stop()
        self._turn = threading.Lock()
        self._writing_thread: int | None = None

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes what the writer has opened itself. Idempotent."""
        self._owned.close()

    @property
    def store(self) -> Store:
        """Where runs are kept.

        Raises:
            StoreError: it cannot be opened.
        """
        if self._given_store is None:
            self._given_store = self._owned.enter_context(Store.open())
        return self._given_store

    def stop(self) -> None:
        """Asks what is being written to save and end; each run's last event says ``interrupted``."""
        self._stop.request()

    def write(
        self, request: WriteRequest | str, *, output: str | os.PathLike[str] | None = None
    ) -> WrittenDocument:
        """Writes a document and returns it whole.

        Args:
            request: What to write; an instruction alone stands for :meth:`WriteRequest.of`.
            output: A file for the document as Markdown, which must not exist yet.

        Raises:
            InputError: the request cannot be used; DoesNotFitError if the document has no room.
            RunInterruptedError: :meth:`stop` was called.
            LongWriterError: whatever else ended the run. What was written is in the store: :meth:`resume`
                goes on with the error's ``run``.
        """
        with self._alone(), ExitStack() as stack:
            document = None
            if output is not None:
                document = stack.enter_context(DocumentOutput.to_file(Path(output)))
            job = new_job(self._model, self.store, _request(request), output=document)
            for event in self._run_one(job):
                if isinstance(event, RunEnded):
                    ended = event
            if job.outcome != "complete":
                raise _error(job)
            return WrittenDocument.of(self.store.load(job.run), ended)

    def stream(
        self, request: WriteRequest | str, *, output: DocumentOutput | None = None
    ) -> Generator[Event, None, None]:
        """Writes a document and yields what happens (:mod:`longwriter_edge.events`).

        All that can be refused is refused by the first step of the iterator. From :class:`RunStarted` on
        errors no longer raise: the last event is a :class:`RunEnded` that says what happened. Closing the
        iterator before saves and ends the run.

        Raises:
            InputError: the request cannot be used; DoesNotFitError if the document has no room.
            ModelError, StoreError: the model or the store cannot be used.
            RunInterruptedError: :meth:`stop` was called before the run began.
        """
        with self._alone():
            yield from self._run_one(new_job(self._model, self.store, _request(request), output=output))

    def resume(self, run: str, *, output: DocumentOutput | None = None) -> Generator[Event, None, None]:
        """Goes on with a stored run where it stopped, inside its section; yields as :meth:`stream` does.

        Raises:
            RunNotFoundError: there is no such run, or it is complete.
            RunLockedError: another process is writing it.
            StoreError: the run was written with another model, or cannot be read.
        """
        with self._alone(), ExitStack() as held:
            held.enter_context(self.store.lock(run))
            record = self.store.load(run)
            if record.status == "complete":
                raise RunNotFoundError(f"run {run} is complete", hint="nothing is left to write")
            yield from self._run_one(resumed_job(self._model, self.store, record, output=output, held=held))

    def write_many(self, requests: Iterable[WriteRequest | str]) -> Iterator[Written]:
        """Writes documents at the same time; yields each when it is whole or has failed.

        One that fails does not end the others. The requests are read before the first document begins.

        Raises:
            ModelError, StoreError: the model or the store cannot be used.
            RunInterruptedError: :meth:`stop` was called.
        """
        with self._alone():
            yield from self._write_many(requests)

    def make_plan(self, request: WriteRequest | str) -> Generator[Event, None, _core.Plan]:
        """Makes a plan and returns it as the generator's value; nothing is stored.

        Raises:
            InputError: the request cannot be used; DoesNotFitError if the document has no room.
            GenerationError: no usable plan came of it.
            StopRequested: :meth:`stop` was called.
        """
        with self._alone():
            preparation = prepare(self._model, _request(request))
            yield from preparation.notices()
            planning = Planning(preparation.plan_prompt())
            needed = demand([(preparation.estimated_context(), 1)])
            engine = self._model.engine(
                choose(self._settings, needed, self._model.capacity),
                stop=preparation.stop_tokens,
                suppressed=preparation.suppressed_tokens,
            )
            try:
                while planning.plan is None:
                    document = engine.core.add(planning.document(preparation.plan_chain(engine)))
                    yield planning.started()
                    for batch in pull(engine.core, document, self._stop):
                        for event in batch:
                            yield from planning.take(event)
            finally:
                engine.close()
            yield plan_ready(preparation, planning.plan)
            yield from planner.repeat_notices(planning.plan)
            return planning.plan

    def _write_many(self, requests: Iterable[WriteRequest | str]) -> Iterator[Written]:
        numbers: dict[str, int] = {}
        wanted: list[tuple[int, WriteRequest]] = []
        needs: list[Need] = []
        for number, request in enumerate(map(_request, requests)):
            try:
                needs.append(need_of(self._model, request))
            except InputError as error:
                yield Written(number, request, None, error)
            else:
                wanted.append((number, request))

        late: list[Written] = []

        def jobs() -> Iterator[Job]:
            for number, request in wanted:
                try:
                    job = new_job(self._model, self.store, request)
                except InputError as error:
                    late.append(Written(number, request, None, error))
                    continue
                numbers[job.run] = number
                yield job

        asked = dict(wanted)
        if not wanted:
            return
        for job, event in self._run(jobs(), demand(needs)):
            if not isinstance(event, RunEnded):
                continue
            number = numbers.pop(job.run)
            if job.outcome == "interrupted":
                continue
            whole = job.outcome == "complete"
            yield Written(
                number,
                asked.pop(number),
                WrittenDocument.of(self.store.load(job.run), event) if whole else None,
                None if whole else _error(job),
            )
        for written in late:
            del asked[written.number]
            yield written
        if asked:
            raise RunInterruptedError(
                f"{len(asked)} documents were not finished, since somebody asked to stop",
                hint="those that were begun are in the store: resume() goes on with them",
            )

    def _run_one(self, job: Job) -> Generator[Event, None, None]:
        """Runs a job alone.

        Raises:
            RunInterruptedError: somebody asked to stop before it began.
        """
        try:
            with closing(self._run([job], _demand_of(job))) as events:
                for _, event in events:
                    yield event
        finally:
            job.abandon()
        if not job.begun:
            raise _error(job)

    def _run(self, jobs: Iterable[Job], needed: Demand) -> Generator[tuple[Job, Event], None, None]:
        flush = self.store.flush_if_due
        with closing(Dispatcher(self._model, self._settings, self._stop, flush, needed).run(jobs)) as events:
            yield from events

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Waits until no other thread writes; forgets a request to stop when it is done."""
        if self._writing_thread == threading.get_ident():
            raise WriterBusyError(
                "this writer is in the middle of another document",
                hint="read its events to the end or close their iterator first, or use another writer",
            )
        with self._turn:
            self._writing_thread = threading.get_ident()
            try:
                yield
            finally:
                self._writing_thread = None
                self._stop.requested = False


def new_job(
    model: WritingModel,
    store: Store,
    request: WriteRequest,
    *,
    output: DocumentOutput | None = None,
    about: Mapping[str, Any] | None = None,
) -> Job:
    """A job on a new run, which it holds the lock of.

    Args:
        model: What to write with.
        store: Where the run is kept.
        request: What to write.
        output: Where the document goes, too.
        about: What else to store with the run; has to be JSON.

    Raises:
        InputError: the request cannot be used; DoesNotFitError if the document has no room.
        StoreError: the run cannot be stored.
    """
    preparation = prepare(model, request)
    plan = preparation.given_plan()
    preparation.cells(plan)
    config = {
        "request": preparation.resolved_request().to_json(),
        "model": str(model.path),
        "fingerprint": model.fingerprint,
        "output": None if output is None else output.location,
        "force": output is not None and output.replaces,
        **(about or {}),
    }
    run = store.create_run(request.instruction, config)
    held = ExitStack()
    held.enter_context(store.lock(run))
    return Job(run, preparation, store, plan=plan, output=output, held=held)


def resumed_job(
    model: WritingModel,
    store: Store,
    record: RunRecord,
    *,
    output: DocumentOutput | None = None,
    held: ExitStack | None = None,
) -> Job:
    """A job that goes on with a stored run.

    Args:
        model: The model that it was begun with.
        store: Where it is kept.
        record: The run.
        output: Where the document goes, too.
        held: Released when the job ends, such as the lock of the run.

    Raises:
        StoreError: the run was written with another model, or is damaged.
    """
    if record.config.get("fingerprint") != model.fingerprint:
        raise StoreError(
            f"run {record.run} was written with another model than {model.path}",
            hint=f"resume with --model {record.config.get('model')}",
        )
    preparation = prepare(model, WriteRequest.from_json(record.config.get("request", {})))
    plan, written = stored_plan(record)
    if plan is None:
        plan = preparation.given_plan()
    return Job(
        record.run, preparation, store, plan=plan, written=written, output=output, resumed=True, held=held
    )


#: KV cells that a document needs in one sequence, and how many of its sections may be written at once.
Need: TypeAlias = tuple[int, int]


def need_of(model: WritingModel, request: WriteRequest) -> Need:
    """What a request needs of the engine.

    Raises:
        InputError: the request cannot be used; DoesNotFitError if the document has no room.
    """
    preparation = prepare(model, request)
    plan = preparation.given_plan()
    return preparation.cells(plan), preparation.parallel_sections(plan)


def demand(needs: Sequence[Need]) -> Demand:
    """What an engine for documents with these needs has to hold."""
    return Demand(
        documents=len(needs),
        parallel_sections=max(sections for _, sections in needs),
        document_cells=max(cells for cells, _ in needs),
        total_cells=sum(cells * sections for cells, sections in needs),
        shares_prefix=any(sections > 1 for _, sections in needs),
    )


def _demand_of(job: Job) -> Demand:
    return demand([(job.cells, job.parallel_sections)])


def _request(request: WriteRequest | str) -> WriteRequest:
    return WriteRequest.of(request) if isinstance(request, str) else request


def _error(job: Job) -> LongWriterError:
    """Why a job is not complete."""
    error = job.error or RunInterruptedError(
        f"run {job.run} was interrupted", hint="the text is saved; resume() goes on with it"
    )
    error.run = job.run
    return error
