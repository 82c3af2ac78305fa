"""Runs a batch: what is new, what goes on, what is finished; rows out as their documents become whole."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from longwriter_edge import _core
from longwriter_edge.batch.files import BatchFiles
from longwriter_edge.batch.rows import BadRow, Row
from longwriter_edge.dispatch import Dispatcher
from longwriter_edge.engine_events import Stop
from longwriter_edge.engine_settings import EngineSettings
from longwriter_edge.errors import (
    InputError,
    LongWriterError,
    OutputError,
    RunNotFoundError,
    StoreError,
)
from longwriter_edge.events import (
    BatchEnded,
    BatchEvent,
    BatchStarted,
    DocumentEvent,
    Notice,
    Outcome,
    RowFailed,
    RunEnded,
)
from longwriter_edge.instruction import language
from longwriter_edge.job import Job, sum_usage
from longwriter_edge.output import render_markdown
from longwriter_edge.preparation import WritingModel
from longwriter_edge.store import RunRecord, RunStatus
from longwriter_edge.writer import Need, demand, need_of, new_job, resumed_job


@dataclass(frozen=True, slots=True)
class _Known:
    """A run of an earlier process."""

    run: str
    status: RunStatus
    digest: str


class Batch:
    """The rows of one input on their way to one output.

    Args:
        model: What to write with.
        files: Where everything goes.
        settings: How the engine is set up.
        ordered: Rows come out in the order of the input, not as they are finished.
        fail_fast: The first failure ends the batch; what was written is kept.
        partial: Only a part of the input is read, so that rows may be missing.
        replace: Files of documents that exist already may be replaced.
    """

    def __init__(
        self,
        model: WritingModel,
        files: BatchFiles,
        *,
        settings: EngineSettings | None = None,
        ordered: bool = False,
        fail_fast: bool = False,
        partial: bool = False,
        replace: bool = False,
    ) -> None:
        self._model = model
        self._files = files
        self._settings = settings or EngineSettings()
        self._ordered = ordered
        self._fail_fast = fail_fast
        self._partial = partial
        self._replace = replace
        self._stop = Stop()
        #: Whether it was the user who asked to stop.
        self._interrupted = False
        self._known: dict[str, _Known] = {}
        #: Rows that stand in the output.
        self._out: set[str] = set()
        #: Ids in the order of the input, of which the first are out; only if the rows are ordered.
        self._queue: deque[str] = deque()
        #: Ids of the queue that nobody has to wait for.
        self._lost: set[str] = set()
        #: Finished rows that wait for their turn.
        self._whole: dict[str, Row] = {}
        self._written = self._failed = self._words = 0
        self._usage = sum_usage([])

    def stop(self) -> None:
        """Asks the batch to save and end, from any thread or signal handler."""
        self._interrupted = True
        self._stop.request()

    @property
    def interrupted(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._interrupted

    def run(self, rows: Iterable[Row | BadRow]) -> Iterator[BatchEvent]:
        """Writes what is not finished yet; the last event is a :class:`BatchEnded` that says how it ended.

        Raises:
            InputError: the input cannot be read.
            StoreError: the output was begun with another model, or the state cannot be read.
            OutputError: the output cannot be read.
        """
        started = time.monotonic()
        self._read_state()
        pending: list[Row] = []
        needs: list[Need] = []
        finished = bad = 0
        earlier = set(self._known)
        for row in rows:
            if self._stop.requested:
                break
            earlier.discard(row.id)
            if isinstance(row, BadRow):
                bad += 1
                yield self._fail(row.line, row.id, row.reason)
                continue
            try:
                if self._is_finished(row):
                    finished += 1
                else:
                    needs.append(need_of(self._model, row.request))
                    pending.append(row)
            except InputError as error:
                bad += 1
                yield self._lose(row, error.explained)
        total = finished + len(pending)
        yield from self._differences(pending, 0 if self._partial else len(earlier))
        dispatcher = None
        if pending:
            flush = self._files.store.flush_if_due
            dispatcher = Dispatcher(self._model, self._settings, self._stop, flush, demand(needs))
        size = None if dispatcher is None else dispatcher.size
        yield BatchStarted(
            rows=total,
            finished=finished,
            bad_rows=bad,
            model=self._model.name,
            device=self._model.device,
            sequences=0 if size is None else size.sequences,
            context_tokens=0 if size is None else size.cells,
            sizing=() if size is None else size.reasons,
        )
        reason: str | None = None
        try:
            self._release()
            if dispatcher is not None and not self._stop.requested:
                yield from self._write(dispatcher, pending)
        except LongWriterError as failure:
            reason = failure.explained
        remaining = total - finished - self._written - (self._failed - bad)
        outcome: Outcome = "complete"
        if reason is not None:
            outcome = "failed"
        elif self._interrupted or remaining:
            outcome = "interrupted"
        yield BatchEnded(
            outcome=outcome,
            written=self._written,
            finished=finished + self._written,
            failed=self._failed,
            remaining=remaining,
            words=self._words,
            usage=self._usage,
            wall_seconds=time.monotonic() - started,
            output=self._files.location,
            error=reason,
            busy=0.0 if dispatcher is None else dispatcher.busy,
        )

    def _read_state(self) -> None:
        """What earlier processes have written."""
        for run, status, config in self._files.store.configs():
            if config.get("fingerprint") != self._model.fingerprint:
                raise StoreError(
                    f"the batch was begun with another model than {self._model.path}",
                    hint=f"use --model {config.get('model')}, or name another output file",
                )
            about = config.get("batch", {})
            # A row that has changed has a second run, which comes later.
            self._known[about.get("id", "")] = _Known(run, status, about.get("digest", ""))
        self._out = self._files.output.open()
        self._files.failures.clear()

    def _is_finished(self, row: Row) -> bool:
        """Whether a row has been written before.

        Raises:
            InputError: another row with its id has been written.
        """
        if self._ordered:
            self._queue.append(row.id)
        known = self._known.get(row.id)
        out = row.id in self._out
        if known is None:
            if out:
                raise InputError(
                    "the output has a row with this id, of which the state beside it knows nothing",
                    hint="give it a new id, or name another output file",
                )
            if self._files.has_document(row.id) and not self._replace:
                raise InputError(
                    f"the file {row.id}.md exists already", hint="give it a new id, or use --force"
                )
            return False
        if not out and (known.status != "complete" or known.digest != row.digest):
            return False
        if known.digest != row.digest:
            raise InputError(
                "the row, or an option that holds for it, has changed since its document was written",
                hint="give it a new id to have it written again, or name another output file",
            )
        self._whole[row.id] = row
        return True

    def _differences(self, pending: Sequence[Row], gone: int) -> Iterator[Notice]:
        """Tells how the input differs from that of an earlier process, and forgets runs of other rows."""
        if not self._known:
            return
        new = sum(row.id not in self._known for row in pending)
        if new:
            yield Notice("info", f"{new:,} rows are new since the batch was begun")
        if gone:
            yield Notice("warning", f"{gone:,} rows of the batch are not in the input any more")
        for row in pending:
            known = self._known.get(row.id)
            if known is not None and known.digest != row.digest:
                yield Notice(
                    "warning", f"line {row.line}: the row {row.id!r} has changed, so it is begun anew"
                )
                del self._known[row.id]

    def _write(self, dispatcher: Dispatcher, pending: list[Row]) -> Iterator[BatchEvent]:
        # What was sound when the input was read, such as a file of prompts, may have changed meanwhile.
        late: list[tuple[Row, LongWriterError]] = []
        labels: dict[str, Row] = {}

        def jobs() -> Iterator[Job]:
            for row in pending:
                try:
                    job = self._job(row)
                except (InputError, RunNotFoundError, _DamagedRun) as error:
                    late.append((row, error))
                    continue
                labels[job.run] = row
                yield job

        with closing(dispatcher.run(jobs())) as events:
            for job, event in events:
                row = labels[job.run]
                yield DocumentEvent(row.id, event)
                if isinstance(event, RunEnded):
                    del labels[job.run]
                    yield from self._ended(row, job, event)
                while late:
                    lost, error = late.pop(0)
                    yield self._lose(lost, error.explained)
        for lost, error in late:
            yield self._lose(lost, error.explained)

    def _job(self, row: Row) -> Job:
        known = self._known.get(row.id)
        store = self._files.store
        if known is None:
            about = {"batch": {"id": row.id, "digest": row.digest}}
            return new_job(self._model, store, row.request, about=about)
        record = store.load(known.run)
        try:
            return resumed_job(self._model, store, record)
        except StoreError as error:
            # Only this run cannot be read; the others can.
            raise _DamagedRun(str(error), hint="give the row a new id to have it written anew") from error

    def _ended(self, row: Row, job: Job, event: RunEnded) -> Iterator[BatchEvent]:
        self._words += event.words
        self._usage = sum_usage([self._usage, event.usage])
        if job.outcome == "complete":
            self._written += 1
            self._known[row.id] = _Known(job.run, "complete", row.digest)
            self._whole[row.id] = row
            self._release()
        elif job.outcome == "failed":
            yield self._lose(row, event.error or "")
            if isinstance(job.error, StoreError | OutputError):
                # It would befall every other document too.
                raise job.error

    def _fail(self, line: int, identity: str, reason: str) -> RowFailed:
        self._failed += 1
        self._files.failures.write(line, identity, reason)
        if self._fail_fast:
            self._stop.request()
        return RowFailed(identity, line, reason)

    def _lose(self, row: Row, reason: str) -> RowFailed:
        """Notes that a row fails, so that no other waits for it any more."""
        failed = self._fail(row.line, row.id, reason)
        self._lost.add(row.id)
        self._release()
        return failed

    def _release(self) -> None:
        """Writes out the finished rows whose turn has come."""
        if self._ordered:
            while self._queue and (self._queue[0] in self._whole or self._queue[0] in self._lost):
                row = self._whole.pop(self._queue.popleft(), None)
                if row is not None:
                    self._put_out(row)
        else:
            for row in list(self._whole.values()):
                self._put_out(row)
            self._whole.clear()

    def _put_out(self, row: Row) -> None:
        out = row.id in self._out
        if out and not self._files.wants_document(row.id):
            return
        record = self._files.store.load(self._known[row.id].run)
        self._files.save_document(row.id, _text(record))
        if out:
            return
        self._files.output.write(output_row(row, record, self._model.name))
        self._out.add(row.id)


def output_row(row: Row, record: RunRecord, model: str) -> dict[str, object]:
    """The row of a whole document: the input's fields, and what was written.

    ``write`` holds the sections' texts as LongWriter's own script names them (agentwrite/write.py),
    ``response`` the document as its evaluation reads it (evaluation/pred.py).
    """
    texts = [section.text for section in record.sections]
    counts = [_core.count_words(text) for text in texts]
    sections = [
        {"title": section.title, "words": count.reader, "target": section.words, "reason": section.reason}
        for section, count in zip(record.sections, counts, strict=True)
    ]
    written: dict[str, object] = {
        "id": row.id,
        "title": record.title,
        "sections": sections,
        "write": texts,
        "response": _text(record),
        "written_words": sum(count.reader for count in counts),
        "benchmark_words": sum(count.benchmark for count in counts),
        "target_words": row.request.words,
        "method": row.request.method,
        "seed": row.request.seed,
        "model": model,
    }
    if row.fields.get("plan") is None and row.request.method != "direct":
        parts = [_core.PlanSection(part.title, part.point, part.words) for part in record.sections]
        lines = _core.Plan(record.title, parts).step_lines(language(row.request.instruction))
        written["plan"] = "\n".join(lines)
    return {**row.fields, **written}


def _text(record: RunRecord) -> str:
    return render_markdown(record.title, [(section.title, section.text) for section in record.sections])


class _DamagedRun(StoreError):
    """A run of an earlier process that cannot be gone on with."""
