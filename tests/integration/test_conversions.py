"""The scripts in conversions/ on tiny checkpoints of their architecture."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import checkpoints
from longwriter_edge.convert.inspection import inspect
from longwriter_edge.profiles import NAMES

pytestmark = pytest.mark.integration

CONVERSIONS = Path(__file__).parents[2] / "conversions"


def run(script: str, checkpoint: Path, output: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(CONVERSIONS / script), str(checkpoint), str(output)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", ["longwriter_glm4_9b", "longwriter_llama31_8b"])
def test_a_script_makes_the_files_of_its_recipe(tmp_path: Path, name: str) -> None:
    recipe = json.loads((CONVERSIONS / f"{name}.json").read_text())
    if "glm" in name:
        checkpoints.write_chatglm(tmp_path / "model", dtype="BF16")
    else:
        checkpoints.write_decoder(tmp_path / "model", dtype="BF16")
    result = run(f"{name}.py", tmp_path / "model", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    model = recipe["source"].rsplit("/", 1)[-1]
    made = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in made] == sorted(f"{model}-{each}.gguf" for each in recipe["types"])
    assert recipe["profile"] in NAMES
    for path in made:
        assert inspect(path).profile == recipe["profile"]
        assert inspect(path).name == model


def test_the_wrong_script_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    checkpoints.write_decoder(tmp_path / "model")
    result = run("longwriter_glm4_9b.py", tmp_path / "model", tmp_path / "out")
    assert result.returncode == 1
    assert "llama model" in result.stderr
    assert not list((tmp_path / "out").iterdir())
