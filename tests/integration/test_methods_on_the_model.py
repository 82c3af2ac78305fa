"""Every method with the demo model through the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.integration

PLAN = """\
1. The Harbour: how the harbour was built and who paid for it (60 words)
2. The Storm: the night in which the harbour was nearly lost (60 words)
3. The Rebuilding: what the town did in the years after the storm (60 words)
"""


def write(tmp_path: Path, model: Path, method: str, *options: str, words: int = 180) -> list[dict[str, Any]]:
    plan = tmp_path / "plan.txt"
    plan.write_text(PLAN, encoding="utf-8")
    planned = [] if method == "direct" else ["--plan", str(plan)]
    command = ["write", "Write about a harbour town", "--words", str(words), "--seed", "4", "--json"]
    command += ["--method", method]
    result = subprocess.run(
        [sys.executable, "-c", "from longwriter_edge.cli import main; main()", *command, *planned, *options],
        env={
            **os.environ,
            "LONGWRITER_EDGE_MODEL": str(model),
            "LONGWRITER_EDGE_STORE": str(tmp_path / "runs.sqlite3"),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=900,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize("method", ["agentwrite", "guided", "parallel", "direct"])
def test_each_method_writes_all_of_its_sections(tmp_path: Path, demo_model_path: Path, method: str) -> None:
    events = write(tmp_path, demo_model_path, method)
    ended = events[-1]
    assert ended["outcome"] == "complete"
    assert events[0]["method"] == method
    sections = [event for event in events if event["event"] == "section_ended"]
    assert sorted(event["section"] for event in sections) == ([0] if method == "direct" else [0, 1, 2])
    # The model may not end its turn below half of a section's target.
    ended_turns = [event for event in sections if event["reason"] == "end_of_turn"]
    assert all(event["words"] >= event["target"] // 2 for event in ended_turns)
    assert all(event["words"] > 0 for event in sections)
    assert ended["usage"]["tokens_reread"] == 0


def test_a_document_of_three_contexts_completes_with_a_window(tmp_path: Path, demo_model_path: Path) -> None:
    # A prompt of some 450 tokens and 3,000 tokens of text in a context of 1,024.
    options = ("--context", "1024", "--context-policy", "window")
    events = write(tmp_path, demo_model_path, "agentwrite", *options, words=2200)
    ended = events[-1]
    assert ended["outcome"] == "complete"
    assert events[0]["context_tokens"] == 1024
    assert ended["usage"]["tokens_written"] > 2 * 1024
    said = [event["message"] for event in events if event["event"] == "notice"]
    assert sum("outgrown the context" in message for message in said) >= 2, said
    assert ended["usage"]["tokens_reread"] < ended["usage"]["tokens_written"], "compacted in large steps"
