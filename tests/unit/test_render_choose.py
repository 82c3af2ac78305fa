"""Which renderer fits which streams, environment and wishes."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from render_events import beginning

from longwriter_edge.render import choose
from longwriter_edge.render.canvas import terminal_console
from longwriter_edge.render.jsonl import JsonLinesRenderer
from longwriter_edge.render.live import LiveRenderer
from longwriter_edge.render.plain import PlainRenderer, QuietRenderer


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("terminal", "environment", "wishes", "expected"),
    [
        (True, {"TERM": "xterm"}, {}, LiveRenderer),
        (True, {}, {"width": 80}, LiveRenderer),
        (True, {"TERM": "dumb"}, {}, PlainRenderer),
        (True, {"TERM": "xterm"}, {"width": 30}, PlainRenderer),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, {}, LiveRenderer),
        (False, {"TERM": "xterm"}, {}, PlainRenderer),
        (True, {"TERM": "xterm"}, {"quiet": True}, QuietRenderer),
        (True, {"TERM": "xterm"}, {"json": True}, JsonLinesRenderer),
        (False, {}, {"json": True, "quiet": True}, JsonLinesRenderer),
    ],
)
def test_the_renderer_fits_the_streams_and_the_wishes(
    terminal: bool, environment: dict[str, str], wishes: dict[str, bool], expected: type
) -> None:
    stderr = Terminal() if terminal else io.StringIO()
    renderer = choose(stdout=io.StringIO(), stderr=stderr, environment=environment, **wishes)  # type: ignore[arg-type]
    assert type(renderer) is expected


@pytest.mark.parametrize(("value", "colored"), [("1", False), ("", True)])
def test_no_color_takes_the_colour_if_it_is_not_empty(
    value: str, colored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    stderr = Terminal()
    environment = {"TERM": "xterm-256color", "NO_COLOR": value}
    with choose(stdout=io.StringIO(), stderr=stderr, environment=environment) as renderer:
        for event in beginning():
            renderer.handle(event)
    assert ("\x1b[32m" in stderr.getvalue() or "\x1b[1;36m" in stderr.getvalue()) is colored


def test_json_goes_to_stdout_and_nothing_to_stderr() -> None:
    stdout, stderr = io.StringIO(), Terminal()
    with choose(stdout=stdout, stderr=stderr, environment={}, json=True) as renderer:
        for event in beginning():
            renderer.handle(event)
    assert stdout.getvalue().count("\n") == len(beginning())
    assert stderr.getvalue() == ""


def test_the_display_never_writes_to_stdout() -> None:
    stdout = io.StringIO()
    for stderr in (Terminal(), io.StringIO()):
        with choose(stdout=stdout, stderr=stderr, environment={"TERM": "xterm"}) as renderer:
            for event in beginning():
                renderer.handle(event)
    assert stdout.getvalue() == ""


def test_the_console_reads_no_markup() -> None:
    stream = Terminal()
    terminal_console(stream, color=False).print("[bold]x[/bold] :smile:")
    assert stream.getvalue() == "[bold]x[/bold] :smile:\n"


def test_rich_is_imported_for_the_live_display_alone() -> None:
    modules = "longwriter_edge.render.plain, longwriter_edge.render.jsonl"
    code = f"import sys, {modules}; assert 'rich' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
