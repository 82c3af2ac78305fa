"""Runs the command line in this process on a model that answers as it is told."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from fake_cli import ANSWERS, Result, Run
from longwriter_edge import cli
from longwriter_edge.testing import FakeModel


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command; ``model`` is the fake that it opens."""
    monkeypatch.setenv("LONGWRITER_EDGE_STORE", str(tmp_path / "runs.sqlite3"))

    def call(*arguments: str, model: FakeModel | None = None) -> Result:
        chosen = model or FakeModel(ANSWERS)
        for command in ("write", "plan", "resume", "batch"):
            # By its full name: the package's attribute of this name is the command.
            module = importlib.import_module(f"longwriter_edge.cli.{command}")
            monkeypatch.setattr(module, "open_model", lambda *_, **__: chosen)
        capsys.readouterr()
        code = cli.run(list(arguments))
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return call
