"""``write``, ``plan`` and ``resume`` on a fake model: what lands where."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from pathlib import Path

import pytest

from fake_cli import ANSWERS, DOCUMENT, INSTRUCTION, PLAN, SHIPS, SIZE, WATER, WRITE, Run
from longwriter_edge.testing import FakeModel

#: The evaluation of the fake model that falls into the first section's text: reading the plan's prompt,
#: sampling the plan byte by byte and reading the first step take about 240 of them.
IN_FIRST_SECTION = 270


def write(run: Run, *options: str, model: FakeModel | None = None):
    return run("write", INSTRUCTION, *WRITE, *options, model=model)


@pytest.mark.parametrize("layout", ["turns", "paper"])
def test_the_document_has_the_planned_sections_and_their_text(run: Run, tmp_path: Path, layout: str) -> None:
    output = tmp_path / "sea.md"
    result = write(run, "--layout", layout, "-o", str(output))
    assert result.code == 0, result.stderr
    assert output.read_text(encoding="utf-8") == DOCUMENT
    assert result.stdout == ""
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("sea")) == ["sea.md"]


def test_without_an_output_file_the_document_goes_to_stdout_and_nothing_else(run: Run) -> None:
    result = write(run)
    assert result.code == 0, result.stderr
    assert result.stdout == DOCUMENT
    assert "Wide Water" in result.stderr


def test_json_is_one_event_a_line_and_nothing_else_on_stdout(run: Run) -> None:
    result = write(run, "--json")
    assert result.code == 0
    names = [event["event"] for event in result.events]
    assert {event["schema"] for event in result.events} == {1}
    assert names[0] == "run_started"
    assert names[-1] == "run_ended"
    text = "".join(
        event["text"] for event in result.events if event["event"] == "section_text" and event["section"] == 1
    )
    assert text == SHIPS
    assert result.events[-1]["outcome"] == "complete"


def test_quiet_shows_nothing_of_a_run_without_warnings(run: Run, tmp_path: Path) -> None:
    result = write(run, "--quiet", "-o", str(tmp_path / "sea.md"))
    assert (result.code, result.stdout, result.stderr) == (0, "", "")


def test_words_are_counted_and_shown(run: Run) -> None:
    ended = write(run, "--json").events[-1]
    assert ended["words"] == len((WATER + " " + SHIPS).split())
    assert ended["benchmark_words"] == ended["words"]
    assert ended["target"] == 24


def test_turns_read_no_token_twice_and_paper_only_the_last_section(run: Run) -> None:
    turns = write(run, "--json", "--layout", "turns").events[-1]["usage"]
    paper = write(run, "--json", "--layout", "paper").events[-1]["usage"]
    assert turns["tokens_reread"] == 0
    assert turns["tokens_reused"] > 0
    assert paper["tokens_reread"] == len(WATER)


def test_the_seed_decides_the_text(run: Run) -> None:
    free = [(INSTRUCTION, PLAN)]

    def text(seed: str) -> str:
        options = ["--words", "60", "--sections", "2", "--seed", seed]
        return run("write", INSTRUCTION, *options, model=FakeModel(free)).stdout

    assert text("1") == text("1")
    assert text("1") != text("2")


def test_an_existing_file_is_replaced_only_with_force(run: Run, tmp_path: Path) -> None:
    output = tmp_path / "sea.md"
    output.write_text("mine")
    refused = write(run, "-o", str(output))
    assert refused.code == 1
    assert "--force" in refused.stderr
    assert output.read_text() == "mine"
    assert write(run, "-o", str(output), "--force").code == 0
    assert output.read_text(encoding="utf-8") == DOCUMENT


def test_a_failing_run_leaves_an_existing_file_alone(run: Run, tmp_path: Path) -> None:
    output = tmp_path / "sea.md"
    output.write_text("mine")
    model = FakeModel(ANSWERS, faults=[(IN_FIRST_SECTION, "failed")])
    assert write(run, "-o", str(output), "--force", model=model).code == 1
    assert output.read_text() == "mine"
    assert (tmp_path / "sea.md.part").read_text(encoding="utf-8").startswith("# The Sea\n")


FAULTS = ["no_room", "aborted", "invalid_batch", "failed", "nan", "panic"]


@pytest.mark.parametrize("fault", FAULTS)
def test_after_any_fault_the_run_can_be_continued_to_the_same_document(
    run: Run, tmp_path: Path, fault: str
) -> None:
    output = tmp_path / "sea.md"
    failed = write(
        run, "--json", "-o", str(output), model=FakeModel(ANSWERS, faults=[(IN_FIRST_SECTION, fault)])
    )
    assert failed.code == 1
    assert failed.events[-1]["outcome"] == "failed"
    assert failed.events[-1]["error"]
    assert 0 < failed.events[-1]["words"] < 13
    resume = re.search(r"longwriter-edge resume (\S+)", failed.stderr)
    assert resume, failed.stderr
    result = run("resume", resume[1])
    assert result.code == 0, result.stderr
    assert output.read_text(encoding="utf-8") == DOCUMENT


def test_a_resumed_run_replaces_the_file_that_it_was_told_to_replace(run: Run, tmp_path: Path) -> None:
    output = tmp_path / "sea.md"
    output.write_text("old")
    failing = FakeModel(ANSWERS, faults=[(IN_FIRST_SECTION, "failed")])
    assert write(run, "-o", str(output), "--force", model=failing).code == 1
    assert run("resume").code == 0
    assert output.read_text(encoding="utf-8") == DOCUMENT


def test_resume_takes_the_latest_unfinished_run(run: Run, tmp_path: Path) -> None:
    output = tmp_path / "sea.md"
    write(run, "-o", str(output), model=FakeModel(ANSWERS, faults=[(IN_FIRST_SECTION, "failed")]))
    assert run("resume").code == 0
    assert output.read_text(encoding="utf-8") == DOCUMENT
    nothing = run("resume")
    assert nothing.code == 1
    assert "unfinished" in nothing.stderr


def test_a_fault_while_planning_can_be_continued(run: Run) -> None:
    failed = write(run, model=FakeModel(ANSWERS, faults=[(5, "failed")]))
    assert failed.code == 1
    result = run("resume")
    assert result.code == 0, result.stderr
    assert result.stdout == DOCUMENT


def test_a_run_is_not_continued_with_another_model(run: Run) -> None:
    write(run, model=FakeModel(ANSWERS, faults=[(IN_FIRST_SECTION, "failed")]))
    other = FakeModel(ANSWERS)
    other.fingerprint = "another"
    result = run("resume", model=other)
    assert result.code == 1
    assert "another model" in result.stderr


def test_a_plan_is_made_edited_and_written(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "plan.md"
    made = run("plan", INSTRUCTION, *SIZE, "-o", str(file))
    assert made.code == 0, made.stderr
    text = file.read_text(encoding="utf-8")
    assert "Wide Water" in text
    file.write_text(text.replace("Wide Water", "Deep Water"), encoding="utf-8")
    model = FakeModel([("Deep Water", WATER), ("Old Ships", SHIPS)])
    written = write(run, "--plan", str(file), model=model)
    assert written.code == 0, written.stderr
    assert written.stdout == DOCUMENT.replace("Wide Water", "Deep Water")


def test_a_plan_goes_to_stdout_without_an_output(run: Run) -> None:
    result = run("plan", INSTRUCTION, *SIZE)
    assert result.code == 0
    assert result.stdout.startswith("# The Sea\n")


def test_an_outline_made_by_hand_is_written(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "outline.txt"
    file.write_text("1. Wide Water: how far it reaches\n2. Old Ships: who crossed it\n", encoding="utf-8")
    result = write(run, "--plan", str(file))
    assert result.code == 0, result.stderr
    assert WATER in result.stdout
    assert SHIPS in result.stdout


def test_review_opens_the_editor_between_plan_and_text(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = tmp_path / "editor.py"
    editor.write_text(
        "import pathlib, sys\n"
        "file = pathlib.Path(sys.argv[1])\n"
        "file.write_text(file.read_text().replace('Wide Water', 'Deep Water'))\n"
    )
    monkeypatch.setenv("EDITOR", f"{sys.executable} {editor}")
    model = FakeModel([*ANSWERS, ("Deep Water", WATER)])
    result = write(run, "--review", model=model)
    assert result.code == 0, result.stderr
    assert "## Deep Water" in result.stdout


def test_repeated_main_points_are_asked_for_again_and_marked(run: Run) -> None:
    repeated = PLAN.replace("who crossed it and why", "how far the water reaches")
    model = FakeModel([(INSTRUCTION, repeated), *ANSWERS[1:]])
    result = write(run, "--json", model=model)
    assert result.code == 0
    attempts = [event for event in result.events if event["event"] == "plan_started"]
    assert len(attempts) == 3
    plan = next(event for event in result.events if event["event"] == "plan_ready")
    assert [section["repeats"] for section in plan["sections"]] == [None, 0]
    assert any(
        event["event"] == "notice" and "repeats the main point" in event["message"] for event in result.events
    )


def test_a_model_that_makes_no_plan_is_told_apart_from_bad_input(run: Run) -> None:
    result = write(run, model=FakeModel([(INSTRUCTION, "-")]))
    assert result.code == 1
    assert "--plan" in result.stderr


def test_escapes_in_model_text_reach_neither_terminal_nor_file(run: Run) -> None:
    evil = "The sea \x1b[31mis wide\x1b]0;owned\x07 and it is deep.\x00 Nobody has seen all of it."
    model = FakeModel([*ANSWERS[:1], ("Wide Water", evil), ANSWERS[2]])
    result = write(run, model=model)
    assert result.code == 0
    for character in "\x1b\x07\x00":
        assert character not in result.stdout
        assert character not in result.stderr


def test_the_number_of_words_is_read_from_the_instruction(run: Run) -> None:
    model = FakeModel([("sea in 24 words", PLAN), *ANSWERS[1:]])
    result = run("write", "Tell me about the sea in 24 words", "--sections", "2", "--json", model=model)
    assert result.events[0]["words"] == 24


def test_the_instruction_comes_from_a_file_or_standard_input(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "instruction.txt"
    file.write_text(INSTRUCTION, encoding="utf-8")
    assert run("write", "--file", str(file), *WRITE).stdout == DOCUMENT
    for arguments in (["--file", "-"], []):
        stream = io.TextIOWrapper(io.BytesIO(INSTRUCTION.encode()), encoding="utf-8")
        monkeypatch.setattr(sys, "stdin", stream)
        assert run("write", *arguments, *WRITE).stdout == DOCUMENT


def test_what_was_chosen_is_shown(run: Run) -> None:
    result = write(run)
    assert "fake" in result.stderr
    assert "turns" in result.stderr
    assert "seed 1" in result.stderr


def test_two_processes_cannot_write_one_run(run: Run, tmp_path: Path) -> None:
    from longwriter_edge.store import Store

    write(run, model=FakeModel(ANSWERS, faults=[(IN_FIRST_SECTION, "failed")]))
    with Store.open(Path(os.environ["LONGWRITER_EDGE_STORE"])) as store:
        number = store.latest_unfinished()
        assert number is not None
        with store.lock(number):
            result = run("resume", number)
    assert result.code == 1
    assert number in result.stderr
    assert json.dumps(INSTRUCTION) not in result.stdout
