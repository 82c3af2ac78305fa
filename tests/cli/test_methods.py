"""``write --method`` and ``--context-policy`` on a fake model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fake_cli import ANSWERS, DOCUMENT, INSTRUCTION, PLAN, SHIPS, WATER, WRITE, Run
from longwriter_edge.testing import FakeModel

PROSE = re.compile(r"[a-z .\n]+")


def model(**options: object) -> FakeModel:
    """A model that makes the plan as told and writes made-up prose for everything else."""
    return FakeModel([("Word Count: ... words", PLAN)], **options)


def test_parallel_writes_the_sections_at_the_same_time_and_in_their_order(run: Run, tmp_path: Path) -> None:
    output = tmp_path / "sea.md"
    result = run("write", INSTRUCTION, *WRITE, "--method", "parallel", "-o", str(output))
    assert result.code == 0, result.stderr
    assert output.read_text(encoding="utf-8") == DOCUMENT


def test_in_parallel_no_token_is_read_twice_and_the_prefix_is_read_once(run: Run) -> None:
    events = run("write", INSTRUCTION, *WRITE, "--method", "parallel", "--json").events
    usage = events[-1]["usage"]
    assert usage["tokens_reread"] == 0
    assert usage["tokens_reused"] > len(INSTRUCTION)
    started = [event["section"] for event in events if event["event"] == "section_started"]
    ended = [event["event"] for event in events if event["event"] in ("section_started", "section_ended")]
    assert started == [0, 1]
    assert ended[:2] == ["section_started", "section_started"], "both were open at once"


def test_guided_sets_the_headings_and_reads_nothing_twice(run: Run) -> None:
    events = run("write", INSTRUCTION, *WRITE, "--method", "guided", "--json", model=model()).events
    ended = events[-1]
    assert ended["outcome"] == "complete"
    assert ended["usage"]["tokens_reread"] == 0
    texts = ["", ""]
    for event in events:
        if event["event"] == "section_text":
            texts[event["section"]] += event["text"]
    assert all(PROSE.fullmatch(text) for text in texts), texts
    reasons = [event["reason"] for event in events if event["event"] == "section_ended"]
    assert len(reasons) == 2
    assert set(reasons) <= {"target_reached", "ceiling"}


def test_direct_writes_without_a_plan(run: Run, tmp_path: Path) -> None:
    output = tmp_path / "sea.md"
    answer = "One sea. " * 20
    options = ("--words", "30", "--method", "direct", "--length-control", "off", "-o", str(output))
    result = run("write", INSTRUCTION, *options, model=FakeModel([(INSTRUCTION, answer)]))
    assert result.code == 0, result.stderr
    assert output.read_text(encoding="utf-8") == answer.strip() + "\n"


def test_direct_has_no_plan_and_other_methods_no_layout(run: Run, tmp_path: Path) -> None:
    plan = tmp_path / "plan.txt"
    plan.write_text(PLAN, encoding="utf-8")
    for options, word in (
        (("direct", "--plan", str(plan)), "plan"),
        (("guided", "--layout", "paper"), "layout"),
    ):
        result = run("write", INSTRUCTION, *WRITE, "--method", *options)
        assert result.code == 2
        assert word in result.stderr


@pytest.mark.parametrize("method", ["agentwrite", "guided", "parallel", "direct"])
def test_a_stopped_run_goes_on_with_the_same_method(run: Run, tmp_path: Path, method: str) -> None:
    plan = tmp_path / "plan.txt"
    plan.write_text(PLAN, encoding="utf-8")
    paths = [tmp_path / "whole.md", tmp_path / "stopped.md"]
    options = ["write", INSTRUCTION, *WRITE, "--method", method]
    options += [] if method == "direct" else ["--plan", str(plan)]
    assert run(*options, "-o", str(paths[0]), model=model()).code == 0
    result = run(*options, "-o", str(paths[1]), model=model(faults=[(60, "failed")]))
    assert result.code == 1
    assert "longwriter-edge resume" in result.stderr
    assert run("resume", model=model()).code == 0
    whole, stopped = (path.read_text(encoding="utf-8") for path in paths)
    assert stopped == whole


@pytest.mark.parametrize("method", ["agentwrite", "guided", "parallel", "direct"])
def test_a_document_that_outgrows_the_context_completes_with_a_window(run: Run, method: str) -> None:
    options = ("write", INSTRUCTION, "--words", "1200", "--sections", "2", "--seed", "1", "--method", method)
    small = {"trained_context": 6144}
    refused = run(*options, model=model(**small))
    assert refused.code == 2
    assert "--context-policy window" in refused.stderr
    events = run(*options, "--context-policy", "window", "--json", model=model(**small)).events
    assert events[0]["context_tokens"] <= 6144
    assert events[-1]["outcome"] == "complete"
    said = [event["message"] for event in events if event["event"] == "notice"]
    assert any("end of the text" in message for message in said), said


def test_a_context_can_be_limited_to_what_the_model_has(run: Run) -> None:
    for tokens in ("100", "70000"):
        result = run("write", INSTRUCTION, *WRITE, "--context", tokens)
        assert result.code == 2
        assert "context" in result.stderr
    assert run("write", INSTRUCTION, *WRITE, "--context", "8192", model=FakeModel(ANSWERS)).stdout == DOCUMENT


def test_text_held_back_in_parallel_is_not_lost_from_stdout(run: Run) -> None:
    # The second section is much shorter than the first, so it ends first and waits.
    answers = [(INSTRUCTION, PLAN), ("Wide Water", WATER + " " + WATER), ("Old Ships", SHIPS)]
    result = run(
        "write",
        INSTRUCTION,
        *WRITE,
        "--method",
        "parallel",
        "--length-control",
        "off",
        model=FakeModel(answers),
    )
    assert result.stdout == DOCUMENT.replace(WATER, WATER + " " + WATER)
