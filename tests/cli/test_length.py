"""Sections are held to their words, and what was done for it is told and kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from fake_cli import INSTRUCTION, PLAN, SHIPS, Run
from longwriter_edge import _core
from longwriter_edge.store import Store
from longwriter_edge.testing import FakeModel

OPENING = "The sea is wide and it is deep."
SIZE = ("--words", "120", "--sections", "2", "--seed", "1")
EARLY = [(INSTRUCTION, PLAN), ("Wide Water", f"{OPENING}\n\nThe End\n\n"), ("Old Ships", SHIPS)]
LONG = [(INSTRUCTION, PLAN), ("Wide Water", "The sea is wide. " * 60), ("Old Ships", "It is so. " * 90)]


@pytest.mark.parametrize("method", ["agentwrite", "guided", "parallel"])
def test_strict_holds_each_section_and_the_document_to_its_words(run: Run, method: str) -> None:
    events = run("write", INSTRUCTION, *SIZE, "--method", method, "--json", model=FakeModel(LONG)).events
    ended = [event for event in events if event["event"] == "section_ended"]
    assert len(ended) == 2
    for section in ended:
        assert 0.9 * 60 <= section["words"] <= 1.1 * 60, section
        assert section["length_score"] > 80
        assert not section["unfinished"]
    assert events[-1]["unfinished"] == []
    assert 108 <= events[-1]["words"] <= 132


@pytest.mark.parametrize("control", ["soft", "off"])
def test_without_strict_a_section_ends_where_the_model_ends_it(run: Run, control: str) -> None:
    answers = [
        (INSTRUCTION, PLAN),
        ("Wide Water", "The sea is wide. " * 10),
        ("Old Ships", "It is so. " * 14),
    ]
    options = (*SIZE, "--length-control", control, "--json")
    events = run("write", INSTRUCTION, *options, model=FakeModel(answers)).events
    ended = [event for event in events if event["event"] == "section_ended"]
    assert [(section["words"], section["reason"]) for section in ended] == [
        (40, "end_of_turn"),
        (42, "end_of_turn"),
    ]


def test_an_early_end_is_refused_told_and_kept(run: Run, tmp_path: Path) -> None:
    output = tmp_path / "sea.md"
    model = FakeModel(EARLY)
    result = run("write", INSTRUCTION, *SIZE, "-o", str(output), "--json", model=model)
    rewound = [event for event in result.events if event["event"] == "section_rewound"]
    assert rewound
    assert {event["cause"] for event in rewound} >= {"early_end"}
    assert result.events[-1]["rewinds"]["early_end"] >= 1
    texts = {0: "", 1: ""}
    for event in result.events:
        if event["event"] == "section_text":
            texts[event["section"]] += event["text"]
        if event["event"] == "section_rewound":
            texts[event["section"]] = texts[event["section"]][: event["kept"]]
    document = output.read_text(encoding="utf-8")
    assert "The End" not in document
    assert all(text in document for text in texts.values()), "the file has what the events tell"
    assert texts[0].startswith(OPENING)
    assert _core.count_words(texts[0]).reader >= 54
    with Store.open() as store:
        kept = store.events(result.events[-1]["run"])
        assert [record.name for record in kept] == ["section_rewound"] * len(rewound)


def test_text_that_is_taken_back_never_reaches_standard_output(run: Run) -> None:
    result = run("write", INSTRUCTION, *SIZE, model=FakeModel(EARLY))
    assert result.code == 0
    assert "The End" not in result.stdout
    assert OPENING in result.stdout
    assert "refused an early end" in result.stderr


def test_a_run_that_is_stopped_after_a_rewind_goes_on_to_the_same_document(run: Run, tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole.md", tmp_path / "stopped.md"
    run("write", INSTRUCTION, *SIZE, "-o", str(whole), model=FakeModel(EARLY))
    for fault in range(100, 400, 60):
        options = ("-o", str(stopped), "--force")
        failed = run(
            "write", INSTRUCTION, *SIZE, *options, model=FakeModel(EARLY, faults=[(fault, "failed")])
        )
        if failed.code == 0:
            continue
        resumed = run("resume", model=FakeModel(EARLY))
        assert resumed.code == 0, resumed.stderr
        assert stopped.read_text(encoding="utf-8") == whole.read_text(encoding="utf-8"), fault


def test_a_tolerance_out_of_range_is_refused(run: Run) -> None:
    assert run("write", INSTRUCTION, *SIZE, "--tolerance", "0.9").code == 2
