"""Pulls events from an engine: watches for a request to stop, turns the engine's end into an error."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress

from longwriter_edge import _core
from longwriter_edge.errors import GenerationError

#: How long a pull waits for the first event, in seconds. Text has to reach the store at least every
#: two seconds, so the caller gets its turn well within one, events or not.
PULL_SECONDS = 0.25
#: How long a stop waits for the evaluation that is under way, in seconds. It takes that long on a small
#: machine in the middle of a long prompt, where no text is lost by not waiting.
LAST_WORDS_SECONDS = 2.0
#: The engine's name for the end of a document that was cancelled.
CANCELLED = "cancelled"


class Stop:
    """A request to stop, that a signal handler or another thread may make."""

    requested = False

    def request(self) -> None:
        """Asks the run to save and end."""
        self.requested = True


class StopRequested(Exception):
    """Somebody asked the run to stop; what was written up to here has been handed over."""


def pull(engine: _core.Engine, document: int, stop: Stop) -> Iterator[list[_core.Event]]:
    """Batches of events of one document up to its last; a batch may be empty.

    Raises:
        StopRequested: ``stop`` was requested; the document is cancelled, and all that was written until
            then has been in a batch.
        GenerationError: the engine itself failed.
    """
    deadline: float | None = None
    while True:
        if stop.requested and deadline is None:
            with suppress(_core.EngineClosed):
                engine.cancel(document)
            deadline = time.monotonic() + LAST_WORDS_SECONDS
        batch: list[_core.Event] = []
        try:
            events = engine.events(PULL_SECONDS)
        except _core.EngineClosed as error:
            raise GenerationError("the engine was closed while it was writing") from error
        for event in events:
            if isinstance(event, _core.Event.EngineFailed):
                yield batch
                raise engine_failed(event)
            batch.append(event)
        yield batch
        last = batch[-1] if batch else None
        if isinstance(last, _core.Event.DocumentEnded):
            if last.fault == CANCELLED:
                raise StopRequested
            return
        if deadline is not None and time.monotonic() >= deadline:
            raise StopRequested


#: What to try after each fault that ends a document.
_FAULT_HINTS = {
    "no_room": "the KV cache is full: resume the run, which makes a new one",
    "not_finite": "the model or the backend computes wrong numbers: try --gpu-layers 0, or another file",
    "decode_failed": "resume the run; if it fails again, try --gpu-layers 0 or fewer words",
}


def engine_failed(event: _core.Event.EngineFailed) -> GenerationError:
    """The error for an engine whose worker is gone."""
    return GenerationError(
        f"the engine failed: {event.message}", hint="this is a fault in longwriter-edge; please report it"
    )


def fault_error(ended: _core.Event.DocumentEnded) -> GenerationError:
    """The error for a document that ended with a fault."""
    return GenerationError(
        f"writing stopped: {ended.message} ({ended.fault})", hint=_FAULT_HINTS.get(ended.fault or "")
    )
