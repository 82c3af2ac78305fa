"""One run on its way through an engine: its plan is made, its sections are written, its end is stored.

A job is told what the engine says of its document and answers with the run's events; who runs the engine,
alone or with others, is :mod:`longwriter_edge.dispatch`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress

from longwriter_edge import _core, planner
from longwriter_edge.drafting import Draft, WrittenSection
from longwriter_edge.engine_size import EngineSize
from longwriter_edge.errors import LongWriterError, StoreError
from longwriter_edge.events import Event, Outcome, PlanReady, RunEnded, RunStarted, SectionRewound, Usage
from longwriter_edge.length import length_score
from longwriter_edge.model_engine import ModelEngine
from longwriter_edge.output import DocumentOutput, SectionOrder
from longwriter_edge.planner import Planning
from longwriter_edge.preparation import Preparation
from longwriter_edge.store import RunRecord, Store


class Job:
    """One run, from its plan or the place where an earlier process left it, to its end.

    Every error ends the job and becomes the ``error`` of its last event, :class:`RunEnded`, after the text
    has been saved.

    Args:
        run: The run's id in the store.
        preparation: What is known before the first token.
        store: Where the text goes before anybody is shown it.
        plan: The plan, rescaled; ``None`` to make one.
        written: What an earlier process wrote of the sections.
        output: Where the document goes, too.
        resumed: An earlier process began the run.
        held: Released when the job ends, such as the lock of the run.

    Attributes:
        error: What the job failed with.
        outcome: How the job ended; ``None`` while it has not.
    """

    def __init__(
        self,
        run: str,
        preparation: Preparation,
        store: Store,
        *,
        plan: _core.Plan | None = None,
        written: Sequence[WrittenSection] = (),
        output: DocumentOutput | None = None,
        resumed: bool = False,
        held: ExitStack | None = None,
    ) -> None:
        self.run = run
        self.error: LongWriterError | None = None
        self.outcome: Outcome | None = None
        self._preparation = preparation
        self._store = store
        self._keeper = store.section_keeper(run)
        self._plan = plan
        self._written = written
        self._output = output
        self._order = None if output is None else SectionOrder(output)
        self._resumed = resumed
        self._held = held or ExitStack()
        self._planning = Planning(preparation.plan_prompt()) if plan is None else None
        #: What the plan took.
        self._usages: Sequence[_core.Usage] = ()
        self._draft: Draft | None = None
        self._location: str | None = None
        self._started: float | None = None

    @property
    def preparation(self) -> Preparation:
        """What was known before the first token."""
        return self._preparation

    @property
    def begun(self) -> bool:
        """Whether :meth:`begin` was called."""
        return self._started is not None

    @property
    def cells(self) -> int:
        """KV cells that one sequence needs for what comes next.

        Raises:
            DoesNotFitError: the plan that was made has no room in the model's context.
        """
        return self._preparation.cells(self._plan)

    @property
    def parallel_sections(self) -> int:
        """Sections that may be written at the same time."""
        return self._preparation.parallel_sections(self._plan)

    def document(self, engine: ModelEngine) -> _core.Document:
        """What the engine is to write next: a plan, or the sections."""
        preparation = self._preparation
        if self._planning is not None:
            return self._planning.document(preparation.plan_chain(engine))
        assert self._plan is not None
        return preparation.document(self._plan, self._written, preparation.writing_chain(engine))

    def begin(self, size: EngineSize) -> Iterator[Event]:
        """Tells of the run and of what is known of it before the engine has said anything."""
        self._started = time.monotonic()
        yield from self._guarded(self._begin(size))

    def added(self) -> Iterator[Event]:
        """Notes that the engine has taken :meth:`document`."""
        if self._planning is not None:
            yield self._planning.started()

    def take(self, event: _core.Event) -> Iterator[Event]:
        """Takes an event of the document that the engine is writing."""
        yield from self._guarded(self._take(event))

    def fail(self, error: LongWriterError) -> Iterator[Event]:
        """Ends the job with ``error``."""
        self.error = error
        yield from self._end("failed", error.explained)

    def interrupt(self) -> Iterator[Event]:
        """Ends the job where it is; it can be resumed."""
        yield from self._end("interrupted", None)

    def cancelled(self, event: _core.Event.DocumentEnded) -> Iterator[Event]:
        """Ends the job after its document was cancelled."""
        if self._draft is not None:
            self._draft.usage = event.usage
        elif self._planning is not None:
            self._planning.usages.append(event.usage)
        yield from self.interrupt()

    def abandon(self) -> None:
        """Saves what there is when nobody wants the events any more. Idempotent."""
        if self.outcome is None:
            self.outcome = "interrupted"
            self._save("interrupted", None)
        self._held.close()

    def _guarded(self, events: Iterator[Event]) -> Iterator[Event]:
        try:
            yield from events
        except LongWriterError as error:
            yield from self.fail(error)

    def _begin(self, size: EngineSize) -> Iterator[Event]:
        preparation = self._preparation
        request = preparation.request
        yield RunStarted(
            run=self.run,
            instruction=request.instruction,
            model=preparation.model.name,
            profile=preparation.format.name,
            layout=preparation.layout or "",
            device=preparation.model.device,
            context_tokens=min(size.cells_per_sequence, preparation.fit.trained_context),
            words=request.words,
            seed=request.seed,
            resumed=self._resumed,
            method=request.method,
            sizing=size.reasons,
        )
        yield from preparation.notices()
        if self._plan is not None:
            # A run that was killed before it had a plan holds none.
            if not self._written:
                self._store.save_plan(self.run, self._plan.title, preparation.section_plans(self._plan))
            yield from self._begin_sections(self._plan)

    def _take(self, event: _core.Event) -> Iterator[Event]:
        if self._planning is not None:
            yield from self._planning.take(event)
            plan = self._planning.plan
            if plan is not None:
                yield from self._settle(plan, self._planning)
            return
        assert self._draft is not None
        for told in self._draft.take(event, self._keeper):
            if self._order is not None:
                self._order.take(told)
            if isinstance(told, SectionRewound):
                self._store.add_event(self.run, told)
            yield told
        if isinstance(event, _core.Event.DocumentEnded):
            if self._output is not None:
                self._location = self._output.commit()
            yield from self._end("complete", None)

    def _settle(self, plan: _core.Plan, planning: Planning) -> Iterator[Event]:
        """Goes on from the plan that was made to its sections."""
        self._plan, self._usages, self._planning = plan, planning.usages, None
        self._store.save_plan(self.run, plan.title, self._preparation.section_plans(plan))
        yield from self._begin_sections(plan)

    def _begin_sections(self, plan: _core.Plan) -> Iterator[Event]:
        preparation = self._preparation
        sections = preparation.section_plans(plan)
        yield plan_ready(preparation, plan)
        yield from planner.repeat_notices(plan)
        yield from preparation.window_notices(plan)
        floors = None
        if preparation.request.length_control != "off":
            floors = [preparation.bounds(section.words).floor for section in sections]
        self._draft = Draft(sections, self._written, floors)
        self._store.set_status(self.run, "writing")
        restored = list(self._draft.restored())
        if self._order is not None:
            self._order.begin(plan.title, restored)
        yield from restored

    def _end(self, outcome: Outcome, message: str | None) -> Iterator[Event]:
        self._save(outcome, message)
        self.outcome = outcome
        self._held.close()
        yield self._ended(outcome, message)

    def _save(self, outcome: Outcome, message: str | None) -> None:
        # If the store failed before, or fails now, the run is in the state of its last flush, from which it
        # can be resumed; the error that led here is the one to report.
        with suppress(StoreError) if outcome != "complete" else ExitStack():
            self._store.flush()
            self._store.set_status(self.run, outcome, message)

    def _ended(self, outcome: Outcome, message: str | None) -> RunEnded:
        draft = self._draft
        usages = list(self._usages if self._planning is None else self._planning.usages)
        if draft is not None and draft.usage is not None:
            usages.append(draft.usage)
        return RunEnded(
            run=self.run,
            outcome=outcome,
            error=message,
            words=0 if draft is None else draft.words,
            benchmark_words=0 if draft is None else draft.benchmark_words,
            target=self._preparation.request.words,
            unfinished=() if draft is None else tuple(draft.unfinished),
            output=self._location,
            usage=sum_usage(usages),
            wall_seconds=0.0 if self._started is None else time.monotonic() - self._started,
            length_score=0.0
            if draft is None
            else round(length_score(self._preparation.request.words, draft.benchmark_words), 1),
            rewinds={} if draft is None else dict(draft.rewinds),
        )


def plan_ready(preparation: Preparation, plan: _core.Plan) -> PlanReady:
    """The event that shows a plan."""
    sections = preparation.section_plans(plan)
    return PlanReady(plan.title, sections, sum(section.words for section in sections))


def stored_plan(record: RunRecord) -> tuple[_core.Plan | None, tuple[WrittenSection, ...]]:
    """The plan and the text of a stored run; no plan if it was killed while planning.

    Raises:
        StoreError: the stored plan is damaged.
    """
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


def sum_usage(usages: Sequence[_core.Usage | Usage]) -> Usage:
    """Tokens and times of several documents together."""
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
