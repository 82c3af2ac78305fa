"""A batch of real documents survives SIGKILL at any moment."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL"),
]

#: Processes that are killed before the batch may end.
KILLS = 20
#: Rows of the batch: enough that it is under way all the time.
ROWS = 90
METHODS = ("agentwrite", "guided", "parallel", "direct")
PLAN = "1. Morning: how the day begins (8 words)\n2. Evening: how it ends (8 words)"


def rows() -> list[dict[str, object]]:
    made = []
    for number in range(ROWS):
        method = METHODS[number % len(METHODS)]
        row: dict[str, object] = {"id": f"row-{number}", "prompt": f"Write about day {number}", "words": 16}
        row |= {"method": method} if method == "direct" else {"method": method, "plan": PLAN}
        made.append(row)
    return made


def command(directory: Path) -> list[str]:
    return [
        sys.executable,
        "-c",
        "from longwriter_edge.cli import main; main()",
        "batch",
        str(directory / "in.jsonl"),
        "-o",
        str(directory / "out.jsonl"),
        "--out-dir",
        str(directory / "documents"),
        "--json",
        # Few at the same time, so that some are whole before the next kill.
        "--sequences",
        "2",
    ]


def wait_for_text(process: subprocess.Popen[str], pieces: int) -> None:
    """Reads events until so many pieces of text have come."""
    assert process.stdout is not None
    for line in process.stdout:
        pieces -= json.loads(line)["event"] == "section_text"
        if pieces <= 0:
            return


def test_each_row_is_written_exactly_once_however_often_the_batch_is_killed(
    tmp_path: Path, demo_model_path: Path
) -> None:
    asked = rows()
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked), encoding="utf-8")
    environment = {**os.environ, "LONGWRITER_EDGE_MODEL": str(demo_model_path)}
    moments = random.Random(11)
    sizes = []
    for kill in range(KILLS):
        process = subprocess.Popen(
            command(tmp_path), env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        # By what it has written, not by the clock, so that it gets on however slow the machine is; a few are
        # killed while they start.
        if kill % 5 == 0:
            time.sleep(moments.uniform(0.0, 1.0))
        else:
            wait_for_text(process, moments.randint(1, 80))
        assert process.poll() is None, "the batch is too short for this test"
        process.kill()
        process.communicate(timeout=60)
        output = tmp_path / "out.jsonl"
        sizes.append(output.stat().st_size if output.exists() else 0)
    assert sizes == sorted(sizes), "what is written stays"
    assert sizes[-1] > 0, "rows came out between the kills"
    finished = subprocess.run(command(tmp_path), env=environment, capture_output=True, text=True, timeout=600)
    assert finished.returncode == 0, finished.stderr
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert sorted(row["id"] for row in written) == sorted(str(row["id"]) for row in asked)
    for row in written:
        assert row["response"] == (tmp_path / "documents" / f"{row['id']}.md").read_text(encoding="utf-8")
        assert all(section["reason"] for section in row["sections"])
