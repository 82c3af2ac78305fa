"""Runs a writer for the command line: shows its events, watches for Ctrl-C, ends with an exit code."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TypeVar

import click

from longwriter_edge import _core
from longwriter_edge.batch.rows import BadRow, Row
from longwriter_edge.batch.runner import Batch
from longwriter_edge.cli.exit_codes import ExitCode
from longwriter_edge.engine_events import StopRequested
from longwriter_edge.errors import InputError, RunInterruptedError
from longwriter_edge.events import BatchEnded, BatchEvent, BatchStarted, Event, Notice, RunEnded, RunStarted
from longwriter_edge.output import DocumentOutput, render_markdown
from longwriter_edge.render import Renderer, choose, choose_batch
from longwriter_edge.render.sanitize import safe
from longwriter_edge.request import WriteRequest
from longwriter_edge.store import Store
from longwriter_edge.writer import Writer

Result = TypeVar("Result")
Shown = TypeVar("Shown")


@dataclass(frozen=True, slots=True)
class Display:
    """What the user wants to see.

    Raises:
        InputError: ``quiet`` and ``verbose`` at the same time.
    """

    as_json: bool
    quiet: bool
    verbose: bool = False

    def __post_init__(self) -> None:
        if self.quiet and self.verbose:
            raise InputError("--verbose does not go with --quiet", hint="leave one of them out")

    def renderer(self) -> Renderer[Event]:
        """The renderer of a run for the process's own streams."""
        return choose(
            stdout=sys.stdout,
            stderr=sys.stderr,
            environment=os.environ,
            json=self.as_json,
            quiet=self.quiet,
        )

    def batch_renderer(self) -> Renderer[BatchEvent]:
        """The renderer of a batch for the process's own streams."""
        return choose_batch(
            stdout=sys.stdout,
            stderr=sys.stderr,
            environment=os.environ,
            json=self.as_json,
            quiet=self.quiet,
        )

    def explained(self, events: Iterator[Shown]) -> Iterator[Shown | Notice]:
        """The events, with how the engine was set up as notices where the user wants to know.

        Whoever reads JSON finds it in the event itself.
        """
        for event in events:
            yield event
            if self.verbose and not self.as_json and isinstance(event, RunStarted | BatchStarted):
                for reason in event.sizing:
                    yield Notice("info", reason)


def open_output(
    path: Path | None, *, force: bool, resumed: bool, as_json: bool
) -> AbstractContextManager[DocumentOutput | None]:
    """Where the document goes while it is written.

    On a terminal it is printed at the end instead (:func:`run`), since it would run into the display; with
    JSON on standard output it is in the events.
    """
    if path is not None:
        return DocumentOutput.to_file(path, force=force, resumed=resumed)
    if as_json or sys.stdout.isatty():
        return nullcontext()
    return DocumentOutput.to_stream(sys.stdout)


def run(
    events: Iterator[Event],
    stop: Callable[[], None],
    display: Display,
    store: Store,
    store_path: Path | None,
) -> int:
    """Shows a run to its end and says how to go on where it is not complete."""
    ended: RunEnded | None = None
    with stopping_on_signals(stop), display.renderer() as renderer:
        try:
            for event in display.explained(events):
                renderer.handle(event)
                if isinstance(event, RunEnded):
                    ended = event
        except RunInterruptedError as error:
            _say_how_to_go_on(error.run, store_path)
            return ExitCode.INTERRUPTED
    if ended is None:
        return ExitCode.FAILED
    if ended.outcome != "complete":
        _say_how_to_go_on(ended.run, store_path)
        return ExitCode.INTERRUPTED if ended.outcome == "interrupted" else ExitCode.FAILED
    if ended.output is None and not display.as_json and sys.stdout.isatty():
        _print_document(store, ended.run)
    return ExitCode.DONE


def _say_how_to_go_on(run: str | None, store_path: Path | None) -> None:
    command = ["longwriter-edge", "resume", *([run] if run else [])]
    if store_path is not None:
        command += ["--store", str(store_path)]
    click.echo(f"The text is saved. Go on with: {safe(shlex.join(command))}", err=True)


def make_plan(writer: Writer, request: WriteRequest, display: Display) -> _core.Plan | None:
    """A plan from the model, shown while it is made; ``None`` if the user stopped it."""
    with stopping_on_signals(writer.stop), display.renderer() as renderer:
        try:
            return _show(writer.make_plan(request), renderer.handle)
        except StopRequested:
            return None


def review_plan(writer: Writer, request: WriteRequest, display: Display) -> str | None:
    """The request's plan as the user leaves it in $EDITOR; made by the model if there is none yet.

    It is asked for again while the file holds no usable plan. ``None`` if the user gave up.
    """
    plan = make_plan(writer, request, display) if request.plan is None else _core.Plan.parse(request.plan)
    if plan is None:
        return None
    handle, name = tempfile.mkstemp(prefix="plan-", suffix=".md")
    os.close(handle)
    path = Path(name)
    path.write_text(plan.to_markdown(), encoding="utf-8")
    while True:
        click.edit(filename=name)
        edited = path.read_text(encoding="utf-8")
        try:
            _core.Plan.parse(edited)
        except ValueError as error:
            click.echo(f"The plan cannot be used: {error}", err=True)
            if not click.confirm("Edit it again?", default=True, err=True):
                click.echo(f"The plan stays in {path}", err=True)
                return None
            continue
        path.unlink()
        return edited


@contextmanager
def stopping_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Asks for a stop on the first Ctrl-C or SIGTERM; the second one ends the process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def first(number: int, frame: FrameType | None) -> None:
        stop()
        signal.signal(number, signal.SIG_DFL)

    watched = (signal.SIGINT, signal.SIGTERM)
    previous = [(number, signal.signal(number, first)) for number in watched]
    try:
        yield
    finally:
        for number, handler in previous:
            signal.signal(number, handler)


def _show(events: Generator[Event, None, Result], handle: Callable[[Event], None]) -> Result:
    """Handles all events of a generator and returns its result."""
    while True:
        try:
            event = next(events)
        except StopIteration as end:
            result: Result = end.value
            return result
        handle(event)


def _print_document(store: Store, run: str) -> None:
    record = store.load(run)
    sections = [(section.title, section.text) for section in record.sections]
    click.echo(safe(render_markdown(record.title, sections)), nl=False)


def run_batch(batch: Batch, rows: Iterable[Row | BadRow], display: Display, *, resumable: bool) -> int:
    """Shows a batch to its end; the exit code says how it went."""
    ended: BatchEnded | None = None
    with stopping_on_signals(batch.stop), display.batch_renderer() as renderer:
        for event in display.explained(batch.run(rows)):
            renderer.handle(event)
            if isinstance(event, BatchEnded):
                ended = event
    if ended is None or ended.outcome == "failed":
        return ExitCode.FAILED
    if ended.outcome == "interrupted":
        if resumable:
            click.echo("What is written is saved. Go on by running the same command again.", err=True)
        else:
            click.echo(f"{ended.remaining:,} documents were not written.", err=True)
    if batch.interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode.SOME_FAILED if ended.failed else ExitCode.DONE
