"""The examples of docs/python.md run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "python.md"
EXAMPLES = re.findall(
    r"^```python\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
)

pytestmark = pytest.mark.integration


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 6


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_runs(
    number: int,
    demo_model_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LONGWRITER_EDGE_STORE", str(tmp_path / "own.sqlite3"))
    (tmp_path / "model.gguf").symlink_to(demo_model_path)
    exec(compile(EXAMPLES[number], f"{GUIDE.name}, example {number + 1}", "exec"), {})
    assert capsys.readouterr().out.strip(), "each example shows something"
