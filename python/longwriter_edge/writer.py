"""Runs AgentWrite on one model: makes a plan, writes the sections, keeps everything in the store.

AgentWrite is the method of LongWriter (arXiv 2408.07055, section 3): plan first, then write section by
section, each with the instruction, the plan and the text so far. A :class:`Writer` yields typed events
(:mod:`longwriter_edge.events`); whoever reads them shows them.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence

from longwriter_edge import _core, planner
from longwriter_edge.drafting import Draft, WrittenSection
from longwriter_edge.engine_events import Stop, StopRequested
from longwriter_edge.errors import InputError, LongWriterError, PlanError, RunNotFoundError, StoreError
from longwriter_edge.events import (
    Event,
    Notice,
    Outcome,
    PlanReady,
    RunEnded,
    RunStarted,
    SectionRewound,
    Usage,
)
from longwriter_edge.length import length_score
from longwriter_edge.output import DocumentOutput, SectionOrder
from longwriter_edge.preparation import Preparation, WritingModel, prepare
from longwriter_edge.request import WriteRequest
from longwriter_edge.store import RunRecord, Store


def make_plan(model: WritingModel, request: WriteRequest, stop: Stop) -> Generator[Event, None, _core.Plan]:
    """Makes a plan and returns it; nothing is stored.

    Raises:
        InputError: the request cannot be used; DoesNotFitError if the document has no room.
        GenerationError: no usable plan came of it.
        StopRequested: ``stop`` was requested.
    """
    preparation = prepare(model, request)
    yield from preparation.notices()
    engine = preparation.engine(preparation.estimated_context())
    try:
        plan, _ = yield from planner.generate(engine, preparation.plan_prompt(), stop)
    finally:
        engine.close()
    yield _plan_ready(preparation, plan)
    yield from planner.repeat_notices(plan)
    return plan


class Writer:
    """Writes documents with one model and keeps them in one store.

    One thread at a time may use it; :meth:`stop` may be called from any thread or signal handler.

    Args:
        model: An open model (:class:`longwriter_edge.model.Model`).
        store: Where runs are kept.
    """

    def __init__(self, model: WritingModel, store: Store) -> None:
        self._model = model
        self._store = store
        self._stop = Stop()

    def stop(self) -> None:
        """Asks the run that is being written to save and end; its last event says ``interrupted``."""
        self._stop.request()

    def write(
        self,
        request: WriteRequest,
        *,
        plan: _core.Plan | None = None,
        output: DocumentOutput | None = None,
    ) -> Iterator[Event]:
        """Writes a document, from the plan on or from ``plan``.

        All that can be refused is refused by the first step of the iterator. From :class:`RunStarted`
        on errors no longer raise: the last event is a :class:`RunEnded` that says what happened.

        Raises:
            InputError: the request or the plan cannot be used; DoesNotFitError if the document has no
                room.
            ModelError, StoreError: the model or the store cannot be used.
        """
        preparation = prepare(self._model, request)
        if plan is not None:
            if request.method == "direct":
                raise InputError("the method direct follows no plan", hint="leave out the plan or the method")
            plan = _rescaled(plan, request.words)
        else:
            plan = preparation.fixed_plan()
        context = _context(preparation, plan)
        config = {
            "request": preparation.resolved_request().to_json(),
            "model": str(self._model.path),
            "fingerprint": self._model.fingerprint,
            "output": None if output is None else output.location,
            "force": output is not None and output.replaces,
        }
        run = self._store.create_run(request.instruction, config)
        with self._store.lock(run):
            yield from self._attempt(_Job(run, preparation, plan, (), context, output, resumed=False))

    def resume(self, run: str, *, output: DocumentOutput | None = None) -> Iterator[Event]:
        """Goes on with a stored run where it stopped, inside its section.

        Raises:
            RunNotFoundError: there is no such run, or it is complete.
            RunLockedError: another process is writing it.
            StoreError: the run was written with another model, or cannot be read.
        """
        with self._store.lock(run):
            record = self._store.load(run)
            if record.status == "complete":
                raise RunNotFoundError(f"run {run} is complete", hint="nothing is left to write")
            fingerprint = record.config.get("fingerprint")
            if fingerprint != self._model.fingerprint:
                raise StoreError(
                    f"run {run} was written with another model than {self._model.path}",
                    hint=f"resume with --model {record.config.get('model')}",
                )
            request = WriteRequest.from_json(record.config.get("request", {}))
            preparation = prepare(self._model, request)
            plan, written = _stored_plan(record)
            yield from self._attempt(
                _Job(run, preparation, plan, written, _context(preparation, plan), output, resumed=True)
            )

    def _attempt(self, job: _Job) -> Iterator[Event]:
        """Writes the document and reports the end, whatever it is."""
        started = time.monotonic()
        outcome: Outcome = "interrupted"
        error: str | None = None
        location: str | None = None
        interrupt: KeyboardInterrupt | None = None
        try:
            yield from self._stages(job)
            if job.output is not None:
                location = job.output.commit()
            outcome = "complete"
        except StopRequested:
            pass
        except KeyboardInterrupt as signal:
            # Raised by Python's own handler inside a wait; passed on after the text is safe.
            interrupt = signal
        except LongWriterError as failure:
            outcome, error = "failed", _with_hint(failure)
        finally:
            # Also reached if the reader of the events drops the iterator.
            self._save(job.run, outcome, error)
        yield job.ended(outcome, error, location, time.monotonic() - started)
        if interrupt is not None:
            raise interrupt

    def _save(self, run: str, outcome: Outcome, error: str | None) -> None:
        try:
            self._store.flush()
            self._store.set_status(run, outcome, error)
        except StoreError:
            # The store failed before, or fails now: the run is in the state of its last flush, from which
            # it can be resumed. The error that led here is the one to report.
            if outcome == "complete":
                raise

    def _stages(self, job: _Job) -> Iterator[Event]:
        preparation = job.preparation
        engine = job.engine()
        try:
            yield self._run_started(job)
            yield from preparation.notices()
            if job.plan is None:
                plan, usages = yield from planner.generate(engine, preparation.plan_prompt(), self._stop)
                job.usages.extend(usages)
                self._store.save_plan(job.run, plan.title, preparation.section_plans(plan))
                job.plan = plan
                needed = preparation.context_for(plan)
                if needed > job.context or preparation.sequences(plan, needed) > 1:
                    engine.close()
                    grows, job.context = needed > job.context, max(needed, job.context)
                    engine = job.engine()
                    if grows:
                        yield Notice("info", f"the plan needs a context of {needed:,} tokens")
            elif not job.resumed:
                self._store.save_plan(job.run, job.plan.title, preparation.section_plans(job.plan))
            yield _plan_ready(preparation, job.plan)
            yield from planner.repeat_notices(job.plan)
            yield from preparation.window_notices(job.plan)
            yield from self._sections(job, job.plan, engine)
        finally:
            engine.close()

    def _sections(self, job: _Job, plan: _core.Plan, engine: _core.Engine) -> Iterator[Event]:
        sections = job.preparation.section_plans(plan)
        floors = None
        if job.preparation.request.length_control != "off":
            floors = [job.preparation.bounds(section.words).floor for section in sections]
        job.draft = draft = Draft(sections, job.written, floors)
        document = job.preparation.document(plan, job.written)
        self._store.set_status(job.run, "writing")
        restored = list(draft.restored())
        output = None
        if job.output is not None:
            output = SectionOrder(job.output)
            output.begin(plan.title, restored)
        yield from restored
        keeper = self._store.section_keeper(job.run)
        for event in draft.write(engine, document, keeper, self._stop):
            if output is not None:
                output.take(event)
            if isinstance(event, SectionRewound):
                self._store.add_event(job.run, event)
            yield event

    def _run_started(self, job: _Job) -> RunStarted:
        preparation = job.preparation
        request = preparation.request
        return RunStarted(
            run=job.run,
            instruction=request.instruction,
            model=self._model.name,
            profile=preparation.format.name,
            layout=preparation.layout or "",
            device=self._model.device,
            context_tokens=job.context,
            words=request.words,
            seed=request.seed,
            resumed=job.resumed,
            method=request.method,
        )


class _Job:
    """One run on its way: what it needs, and what it has come to."""

    def __init__(
        self,
        run: str,
        preparation: Preparation,
        plan: _core.Plan | None,
        written: Sequence[WrittenSection],
        context: int,
        output: DocumentOutput | None,
        *,
        resumed: bool,
    ) -> None:
        self.run = run
        self.preparation = preparation
        self.plan = plan
        self.written = written
        self.context = context
        self.output = output
        self.resumed = resumed
        self.draft: Draft | None = None
        self.usages: list[_core.Usage] = []

    def engine(self) -> _core.Engine:
        """An engine for the plan that is to be made, or for the sections."""
        sequences = 1 if self.plan is None else self.preparation.sequences(self.plan, self.context)
        return self.preparation.engine(self.context, sequences)

    def ended(self, outcome: Outcome, error: str | None, location: str | None, seconds: float) -> RunEnded:
        draft = self.draft
        if draft is not None and draft.usage is not None:
            self.usages.append(draft.usage)
        return RunEnded(
            run=self.run,
            outcome=outcome,
            error=error,
            words=0 if draft is None else draft.words,
            benchmark_words=0 if draft is None else draft.benchmark_words,
            target=self.preparation.request.words,
            unfinished=() if draft is None else tuple(draft.unfinished),
            output=location,
            usage=_sum(self.usages),
            wall_seconds=seconds,
            length_score=0.0
            if draft is None
            else round(length_score(self.preparation.request.words, draft.benchmark_words), 1),
            rewinds={} if draft is None else dict(draft.rewinds),
        )


def _context(preparation: Preparation, plan: _core.Plan | None) -> int:
    """The context to begin with, in tokens.

    Raises:
        DoesNotFitError: the document has no room in the model's context.
    """
    return preparation.estimated_context() if plan is None else preparation.context_for(plan)


def _rescaled(plan: _core.Plan, words: int) -> _core.Plan:
    try:
        return plan.rescaled(words)
    except ValueError as error:
        raise PlanError(str(error), hint="change the plan or --words") from error


def _stored_plan(record: RunRecord) -> tuple[_core.Plan | None, tuple[WrittenSection, ...]]:
    """The plan and the text of a stored run; no plan if it was killed while planning."""
    if not record.sections:
        return None, ()
    sections = [_core.PlanSection(section.title, section.point, section.words) for section in record.sections]
    written = tuple(
        WrittenSection(section.text, section.tokens, section.reason) for section in record.sections
    )
    try:
        return _core.Plan(record.title, sections), written
    except ValueError as error:
        raise StoreError(f"the stored plan of run {record.run} cannot be used: {error}") from error


def _plan_ready(preparation: Preparation, plan: _core.Plan) -> PlanReady:
    sections = preparation.section_plans(plan)
    return PlanReady(plan.title, sections, sum(section.words for section in sections))


def _with_hint(error: LongWriterError) -> str:
    return f"{error} ({error.hint})" if error.hint else str(error)


def _sum(usages: Sequence[_core.Usage]) -> Usage:
    return Usage(
        tokens_read=sum(usage.tokens_read for usage in usages),
        tokens_reread=sum(usage.tokens_reread for usage in usages),
        tokens_reused=sum(usage.tokens_reused for usage in usages),
        tokens_written=sum(usage.tokens_written for usage in usages),
        prefill_seconds=sum(usage.prefill_seconds for usage in usages),
        decode_seconds=sum(usage.decode_seconds for usage in usages),
        sampling_seconds=sum(usage.sampling_seconds for usage in usages),
        other_seconds=sum(usage.other_seconds for usage in usages),
    )
