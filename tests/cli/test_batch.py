"""``batch`` on a fake model: what comes out, what is refused, what a second run does."""

from __future__ import annotations

import io
import json
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fake_cli import ANSWERS, PLAN, SHIPS, WATER, Result, Run
from longwriter_edge import _core
from longwriter_edge.batch import runner
from longwriter_edge.batch.files import RowOutput
from longwriter_edge.errors import OutputError
from longwriter_edge.store.lock import FileLock
from longwriter_edge.testing import FakeModel

ANSWER = "One sea. Another sea. "


def row(identity: object, **fields: object) -> dict[str, object]:
    """A row that is written without a plan, in a few evaluations."""
    return {"id": identity, "prompt": f"Write {identity}", "words": 20, "method": "direct", **fields}


def model(**options: Any) -> FakeModel:
    return FakeModel([("Write", ANSWER)], **options)


class Batch:
    """A batch in a directory of its own."""

    def __init__(self, run: Run, directory: Path) -> None:
        self.directory = directory
        self.input = directory / "in.jsonl"
        self.output = directory / "out.jsonl"
        self._run = run

    def rows(self, rows: Sequence[object]) -> None:
        lines = (line if isinstance(line, bytes) else json.dumps(line).encode() for line in rows)
        self.input.write_bytes(b"".join(line + b"\n" for line in lines))

    def __call__(self, *options: str, model: FakeModel | None = None) -> Result:
        return self._run("batch", str(self.input), "-o", str(self.output), *options, model=model or default())

    @property
    def written(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output.read_text(encoding="utf-8").splitlines()]

    @property
    def ids(self) -> list[str]:
        return [found["id"] for found in self.written]

    @property
    def failures(self) -> dict[int, str]:
        path = self.directory / "out.failures.jsonl"
        found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return {failure["line"]: failure["reason"] for failure in found}


def default() -> FakeModel:
    return model()


@pytest.fixture
def batch(run: Run, tmp_path: Path) -> Batch:
    return Batch(run, tmp_path)


def test_each_row_becomes_a_document_and_keeps_its_own_fields(batch: Batch) -> None:
    batch.rows([row("a", type="note"), row(7)])
    result = batch()
    assert result.code == 0, result.stderr
    assert sorted(batch.ids) == ["7", "a"]
    found = {written["id"]: written for written in batch.written}
    assert found["a"]["type"] == "note"
    assert found["a"]["prompt"] == "Write a"
    assert found["a"]["write"] == [found["a"]["response"].strip()]
    assert found["a"]["written_words"] == _core.count_words(found["a"]["response"]).reader
    assert found["a"]["target_words"] == 20
    assert result.stdout == ""


def test_a_planned_row_holds_its_plan_as_longwriter_writes_it(batch: Batch) -> None:
    batch.rows([{"prompt": "Write about the sea", "words": 24, "sections": 2, "length_control": "soft"}])
    result = batch(model=FakeModel(ANSWERS))
    assert result.code == 0, result.stderr
    (written,) = batch.written
    assert written["write"] == [WATER, SHIPS]
    assert written["title"] == "The Sea"
    lines = written["plan"].splitlines()
    assert [line.split(" - ")[0] for line in lines] == ["Paragraph 1", "Paragraph 2"]
    assert [section["target"] for section in written["sections"]] == [12, 12]


def test_longwriters_own_plan_file_is_written_from_its_plans(batch: Batch) -> None:
    batch.rows([{"prompt": "Write about the sea", "length": 24, "plan": PLAN, "length_control": "soft"}])
    events = batch("--json", model=FakeModel(ANSWERS)).events
    assert "plan_started" not in [event["event"] for event in events], "the plan is there"
    assert batch.written[0]["write"] == [WATER, SHIPS]
    assert batch.written[0]["plan"] == PLAN


def test_documents_go_to_files_of_their_own_too(batch: Batch, tmp_path: Path) -> None:
    batch.rows([row("a"), row("b")])
    assert batch("--out-dir", str(tmp_path / "docs")).code == 0
    assert sorted(path.name for path in (tmp_path / "docs").iterdir()) == ["a.md", "b.md"]
    texts = {written["id"]: written["response"] for written in batch.written}
    assert (tmp_path / "docs" / "a.md").read_text(encoding="utf-8") == texts["a"]


def test_a_second_run_writes_nothing_and_a_longer_input_only_what_is_new(batch: Batch) -> None:
    batch.rows([row("a"), row("b")])
    assert batch().code == 0
    before = batch.output.read_bytes()
    assert batch().code == 0
    assert batch.output.read_bytes() == before
    batch.rows([row("a"), row("b"), row("c")])
    result = batch()
    assert result.code == 0
    assert "1 rows are new" in result.stderr
    assert batch.output.read_bytes().startswith(before)
    assert batch.ids[2:] == ["c"]


def test_rows_with_one_prompt_differ_and_another_run_gives_the_same(batch: Batch, tmp_path: Path) -> None:
    batch.rows([row("a", prompt="Tell"), row("b", prompt="Tell")])
    free = FakeModel()
    assert batch(model=free).code == 0
    first = {written["id"]: written["response"] for written in batch.written}
    assert first["a"] != first["b"]
    assert batch("--force", model=FakeModel()).code == 0
    assert {written["id"]: written["response"] for written in batch.written} == first


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"not json", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"prompt": "\xff"}', "not UTF-8"),
        (b'{"prompt": "\\ud800"}', "half a character"),
        (b'{"prompt": "x", "temperature": NaN}', "NaN"),
        (b'{"id": "x"}', "no prompt"),
        (b'{"prompt": ["x"]}', "no prompt"),
        (b'{"prompt": "x", "words": "many"}', "number of words"),
        (b'{"prompt": "x", "words": 0}', "number of words"),
        (b'{"prompt": "x", "words": 5, "length": 6}', "words is 5, but length 6"),
        (b'{"prompt": "x", "method": "magic"}', "no method 'magic'"),
        (b'{"prompt": "x", "method": ["direct"]}', "no method"),
        (b'{"prompt": "x", "plan": 5}', "plan must be a text"),
        (b'{"prompt": "x", "plan": "   "}', "plan cannot be used"),
        (b'{"prompt": "x", "temperature": -1}', "temperature"),
        (b'{"prompt": "x", "seed": -1}', "seed"),
        (b'{"prompt": "x", "words": 900000}', "900,000 words"),
        (b'{"id": "", "prompt": "x"}', "id"),
        (b'{"id": {"a": 1}, "prompt": "x"}', "id"),
        (b'{"id": "a\\u0000b", "prompt": "x"}', "control characters"),
        (b'{"prompt": "' + b"x" * (10 * 1024 * 1024) + b'"}', "10,485,7"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"prompt": "x", "note": ' + b"[" * 900 + b"]" * 900 + b"}", "nested too deeply"),
        (b'{"prompt": "x", "note": 1e400}', "number that JSON does not have"),
        (b'{"prompt": "x", "context_tokens": "many"}', "whole number of tokens"),
    ],
)
def test_a_bad_row_is_named_with_its_line_and_the_others_are_written(
    batch: Batch, line: bytes, reason: str
) -> None:
    batch.rows([row("a"), b"", line, row("b")])
    result = batch()
    assert result.code == 3
    assert sorted(batch.ids) == ["a", "b"]
    assert list(batch.failures) == [3]
    assert reason in batch.failures[3]
    assert "line 3" in result.stderr


def test_an_id_that_stands_twice_is_refused_the_second_time(batch: Batch) -> None:
    batch.rows([row("a"), row("a", prompt="Write something else")])
    assert batch().code == 3
    assert batch.ids == ["a"]
    assert "line 1" in batch.failures[2]


@pytest.mark.parametrize(
    "identity",
    ["../a", "/etc/passwd", "a/b", "a\\b", ".hidden", "con", "a.", "c:a", "NUL.md", "\U0001f600" * 80],
)
def test_an_id_that_is_no_file_name_is_refused_where_files_are_written(
    batch: Batch, tmp_path: Path, identity: str
) -> None:
    batch.rows([row(identity), row("b")])
    assert batch().code == 0, "without files any text is an id"
    assert batch("--force", "--out-dir", str(tmp_path / "docs")).code == 3
    assert "name of a file" in batch.failures[1]
    assert [path.name for path in (tmp_path / "docs").iterdir()] == ["b.md"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "docs",
        "in.jsonl",
        "out.failures.jsonl",
        "out.jsonl",
        "out.jsonl.state",
    ]


def test_ids_that_are_one_file_on_some_systems_are_refused(batch: Batch, tmp_path: Path) -> None:
    batch.rows([row("Rome"), row("rome")])
    assert batch("--out-dir", str(tmp_path / "docs")).code == 3
    assert list(batch.failures) == [2]


def test_a_finished_row_that_has_changed_is_named_and_kept(batch: Batch) -> None:
    batch.rows([row("a"), row("b")])
    batch()
    before = batch.output.read_bytes()
    batch.rows([row("a", words=30), row("b")])
    result = batch()
    assert result.code == 3
    assert "has changed" in batch.failures[1]
    assert batch.output.read_bytes() == before


def test_rows_that_are_gone_are_told(batch: Batch) -> None:
    batch.rows([row("a"), row("b")])
    batch()
    batch.rows([row("b")])
    result = batch()
    assert result.code == 0
    assert "1 rows of the batch are not in the input any more" in result.stderr


def test_a_failed_document_does_not_end_the_others_and_is_tried_again(batch: Batch) -> None:
    batch.rows([row("a", words=200), row("b", words=200)])
    broken = FakeModel(faults=[(30, "nan")])
    result = batch("--sequences", "1", model=broken)
    assert result.code == 3
    (identity,) = batch.ids
    assert "not_finite" in next(iter(batch.failures.values()))
    assert batch(model=FakeModel()).code == 0
    assert sorted(batch.ids) == ["a", "b"]
    assert batch.ids[0] == identity
    assert not (batch.directory / "out.failures.jsonl").exists()


def test_fail_fast_stops_at_the_first_failure_and_the_rest_can_be_written_later(batch: Batch) -> None:
    batch.rows([row("a"), b"bad", row("b")])
    result = batch("--fail-fast")
    assert result.code == 3
    assert not batch.output.exists() or batch.ids == []
    batch.rows([row("a"), row("b")])
    assert batch("--fail-fast").code == 0
    assert sorted(batch.ids) == ["a", "b"]


def test_ordered_rows_come_in_the_order_of_the_input(batch: Batch) -> None:
    rows = [row(f"r{number}", words=400 if number % 3 == 0 else 20) for number in range(9)]
    batch.rows([*rows[:4], b"bad", *rows[4:]])
    # Slow enough that all are under way before the first is whole.
    assert batch(model=FakeModel(step_seconds=0.0005)).code == 3
    assert batch.ids != [found["id"] for found in rows], "short ones are faster"
    assert batch("--force", "--ordered", model=FakeModel(step_seconds=0.0005)).code == 3
    assert batch.ids == [found["id"] for found in rows]


def test_limit_uses_the_first_rows_and_a_higher_one_goes_on(batch: Batch) -> None:
    batch.rows([row("a"), row("b"), row("c")])
    assert batch("--limit", "1").code == 0
    assert batch.ids == ["a"]
    assert batch().code == 0
    assert sorted(batch.ids) == ["a", "b", "c"]


def test_a_row_that_was_cut_short_on_the_way_out_is_written_whole(batch: Batch) -> None:
    batch.rows([row("a"), row("b")])
    batch()
    whole = batch.output.read_bytes()
    for cut in (whole[:-1], whole[:-20], whole[: whole.index(b"\n") + 5], b""):
        batch.output.write_bytes(cut)
        assert batch().code == 0
        assert sorted(batch.output.read_bytes().splitlines()) == sorted(whole.splitlines())


def test_an_output_that_is_not_of_this_batch_is_left_alone(batch: Batch) -> None:
    batch.rows([row("a")])
    batch.output.write_text("mine\n", encoding="utf-8")
    result = batch()
    assert result.code == 2
    assert "exists already" in result.stderr
    assert batch.output.read_text(encoding="utf-8") == "mine\n"
    assert batch("--force").code == 0
    assert batch.ids == ["a"]


def test_another_model_is_refused(batch: Batch) -> None:
    batch.rows([row("a")])
    batch()
    other = model()
    other.fingerprint = "other"
    result = batch(model=other)
    assert result.code == 1
    assert "another model" in result.stderr


def test_the_input_cannot_be_the_output(batch: Batch) -> None:
    batch.rows([row("a")])
    before = batch.input.read_bytes()
    batch.output = batch.input
    assert batch("--force").code == 2
    assert batch.input.read_bytes() == before


def test_standard_input_and_output_are_a_pipe(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(json.dumps(row("a")).encode() + b"\n" + json.dumps(row("b")).encode())

    monkeypatch.setattr(sys, "stdin", Stdin())
    result = run("batch", "-", "--ordered", model=model())
    assert result.code == 0, result.stderr
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == ["a", "b"]


def test_events_as_json_name_the_document_and_need_a_file_for_the_rows(run: Run, batch: Batch) -> None:
    batch.rows([row("a"), b"bad"])
    events = batch("--json").events
    assert [event["event"] for event in events[:2]] == ["row_failed", "batch_started"]
    assert events[1]["rows"] == 1
    assert events[1]["sizing"]
    assert {event["document"] for event in events[2:-1]} == {"a"}
    last = events[-1]
    assert (last["event"], last["outcome"], last["written"], last["failed"]) == (
        "batch_ended",
        "complete",
        1,
        1,
    )
    assert run("batch", str(batch.input), "--json", model=model()).code == 2


def test_options_hold_for_rows_that_say_nothing_else(batch: Batch) -> None:
    batch.rows([{"id": "a", "prompt": "Write a"}, row("b", words=30)])
    assert batch("--method", "direct", "--words", "40", "--layout", "turns").code == 0
    assert {written["id"]: written["target_words"] for written in batch.written} == {"a": 40, "b": 30}


def test_verbose_says_how_the_engine_was_set_up(batch: Batch) -> None:
    batch.rows([row("a"), row("b")])
    assert "2 sequences" in batch("--verbose").stderr
    batch.rows([row("a"), row("b"), row("c")])
    assert "1 sequence: as --sequences says" in batch("--verbose", "--sequences", "1").stderr


def test_an_input_that_is_missing_is_named(run: Run, tmp_path: Path) -> None:
    result = run("batch", str(tmp_path / "none.jsonl"), "-o", str(tmp_path / "out.jsonl"), model=model())
    assert result.code == 2
    assert "none.jsonl" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_bad_row_with_the_id_of_a_good_one_does_not_take_its_place(batch: Batch) -> None:
    batch.rows([row("a"), row("a"), row("b")])
    assert batch("--ordered").code == 3
    assert batch.ids == ["a", "b"]


def test_ordered_rows_do_not_wait_for_one_that_failed(batch: Batch) -> None:
    batch.rows([row("a", words=200), row("b")])
    assert batch("--ordered", "--sequences", "1", model=FakeModel(faults=[(30, "nan")])).code == 3
    assert batch.ids == ["b"]


def test_a_file_of_failures_never_takes_the_place_of_another_file(run: Run, batch: Batch) -> None:
    batch.rows([row("a"), b"bad"])
    before = batch.input.read_bytes()
    other = batch.directory / "other.txt"
    other.write_text("mine", encoding="utf-8")
    for path in (batch.input, other):
        assert batch("--failures", str(path)).code == 2
        assert run("batch", str(batch.input), "--failures", str(path), model=model()).code == 2
    assert batch.input.read_bytes() == before
    assert other.read_text(encoding="utf-8") == "mine"
    for _ in range(2):
        assert batch("--failures", str(batch.directory / "bad.jsonl")).code == 3, "its own is replaced"


def test_an_unfinished_row_that_has_changed_begins_anew(batch: Batch) -> None:
    batch.rows([row("a", words=200), row("b")])
    assert batch("--sequences", "1", model=FakeModel(faults=[(30, "nan")])).code == 3
    batch.rows([row("a", words=30), row("b")])
    result = batch()
    assert result.code == 0
    assert "'a' has changed, so it is begun anew" in result.stderr
    assert {written["id"]: written["target_words"] for written in batch.written} == {"a": 30, "b": 20}


def test_files_of_documents_can_be_asked_for_later_and_foreign_ones_stay(
    batch: Batch, tmp_path: Path
) -> None:
    batch.rows([row("a")])
    assert batch().code == 0
    before = batch.output.read_bytes()
    documents = tmp_path / "docs"
    assert batch("--out-dir", str(documents)).code == 0
    assert (documents / "a.md").read_text(encoding="utf-8") == batch.written[0]["response"]
    assert batch.output.read_bytes() == before
    (documents / "b.md").write_text("mine", encoding="utf-8")
    batch.rows([row("a"), row("b")])
    assert batch("--out-dir", str(documents)).code == 3
    assert (documents / "b.md").read_text(encoding="utf-8") == "mine"


def test_limit_after_a_whole_run_does_not_miss_the_other_rows(batch: Batch) -> None:
    batch.rows([row("a"), row("b")])
    batch()
    assert "not in the input" not in batch("--limit", "1").stderr


def test_two_processes_do_not_write_one_output(run: Run, batch: Batch) -> None:
    batch.rows([row("a")])
    state = batch.directory / "out.jsonl.state"
    state.mkdir()
    with FileLock(state / "batch.lock") as lock:
        assert lock.acquire()
        result = batch()
    assert result.code == 1
    assert "another process is writing" in result.stderr
    assert batch().code == 0


def test_an_output_that_cannot_be_written_ends_the_batch_and_nothing_is_lost(
    batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch.rows([row("a"), row("b")])

    def full(*_: object) -> None:
        raise OutputError("the disk is full", hint="free some space")

    with monkeypatch.context() as patched:
        patched.setattr(RowOutput, "write", full)
        result = batch("--json")
    assert result.code == 1
    assert result.events[-1]["outcome"] == "failed"
    assert "the disk is full" in result.events[-1]["error"]
    assert batch().code == 0
    assert sorted(batch.ids) == ["a", "b"]


def test_a_damaged_run_fails_its_row_alone(batch: Batch) -> None:
    batch.rows([row("a", words=200)])
    assert batch(model=FakeModel(faults=[(30, "nan")])).code == 3
    with sqlite3.connect(batch.directory / "out.jsonl.state" / "runs.sqlite3") as connection:
        (config,) = connection.execute("SELECT config FROM runs").fetchone()
        damaged = {**json.loads(config), "request": {"instruction": "x"}}
        connection.execute("UPDATE runs SET config = ?", (json.dumps(damaged),))
    batch.rows([row("a", words=200), row("b")])
    assert batch().code == 3
    assert batch.ids == ["b"]
    assert "cannot be read" in batch.failures[1]


def test_interrupted_batches_go_on(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    batch.rows([row(number, words=100) for number in range(6)])
    release = runner.Batch._put_out

    def stopping(self: runner.Batch, found: Any) -> None:
        release(self, found)
        self.stop()

    with monkeypatch.context() as patched:
        patched.setattr(runner.Batch, "_put_out", stopping)
        result = batch("--sequences", "2", model=FakeModel(step_seconds=0.0005))
    assert result.code == 130
    assert "same command again" in result.stderr
    early = batch.ids
    assert 1 <= len(early) < 6
    assert batch(model=FakeModel()).code == 0
    assert batch.ids[: len(early)] == early
    assert sorted(batch.ids) == [str(number) for number in range(6)]
