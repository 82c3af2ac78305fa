"""Events as JSON lines: their form, and what happens when nobody reads them."""

from __future__ import annotations

import errno
import io
import json

import pytest
from render_events import whole_run

from longwriter_edge.errors import OutputError
from longwriter_edge.events import SCHEMA_VERSION, Notice
from longwriter_edge.render.jsonl import JsonLinesRenderer


class FailingStream(io.StringIO):
    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error

    def flush(self) -> None:
        raise self.error


def test_each_event_is_one_line_with_schema_and_name() -> None:
    stream = io.StringIO()
    events = whole_run()
    with JsonLinesRenderer(stream) as renderer:
        for event in events:
            renderer.handle(event)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(lines) == len(events)
    assert {line["schema"] for line in lines} == {SCHEMA_VERSION}
    assert (lines[0]["event"], lines[-1]["event"]) == ("run_started", "run_ended")


def test_lines_are_ascii_whatever_the_text() -> None:
    stream = io.StringIO()
    JsonLinesRenderer(stream).handle(Notice("info", "罗马\n\x1b[31m\u2028"))
    assert stream.getvalue().isascii()
    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()


def test_a_reader_that_went_away_is_a_named_error() -> None:
    renderer = JsonLinesRenderer(FailingStream(BrokenPipeError()))
    with pytest.raises(OutputError, match=r"went away before the event notice") as caught:
        renderer.handle(Notice("info", "hello"))
    assert caught.value.hint is not None
    assert "resume" in caught.value.hint


def test_a_full_disk_is_a_named_error() -> None:
    renderer = JsonLinesRenderer(FailingStream(OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(OutputError, match="No space left on device"):
        renderer.handle(Notice("info", "hello"))
