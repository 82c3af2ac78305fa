"""Bad input: the exit code, and a message that a person can act on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fake_cli import ANSWERS, INSTRUCTION, WRITE, Run
from gguf_files import write_bert
from longwriter_edge import cli
from longwriter_edge.testing import FakeModel

USAGE, FAILED = 2, 1


@pytest.mark.parametrize("words", ["0", "-5", "100000000"])
def test_impossible_numbers_of_words_are_refused(run: Run, words: str) -> None:
    result = run("write", INSTRUCTION, "--words", words)
    assert result.code == USAGE
    assert words.lstrip("-").replace("100000000", "100,000,000") in result.stderr
    assert "--words" in result.stderr


def test_a_document_that_cannot_fit_is_refused_with_what_would_fit(run: Run) -> None:
    model = FakeModel(ANSWERS, trained_context=8192)
    result = run("write", INSTRUCTION, "--words", "50000", model=model)
    assert result.code == USAGE
    assert "8,192" in result.stderr
    assert "--words" in result.stderr


def test_what_is_said_to_fit_does_fit(run: Run) -> None:
    import re

    model = FakeModel(ANSWERS, trained_context=16384)
    refused = run("write", INSTRUCTION, "--words", "50000", "--sections", "3", model=model)
    fitting = re.search(r"--words (\d+)", refused.stderr)
    assert fitting, refused.stderr
    model = FakeModel(ANSWERS, trained_context=16384, faults=[(0, "failed")])
    started = run("write", INSTRUCTION, "--words", fitting[1], "--sections", "3", "--json", model=model)
    assert started.events[0]["event"] == "run_started"


def test_an_instruction_longer_than_the_context_is_refused(run: Run) -> None:
    model = FakeModel(ANSWERS, trained_context=1024)
    result = run("write", "sea " * 1000, "--words", "100", model=model)
    assert result.code == USAGE
    assert "instruction" in result.stderr


@pytest.mark.parametrize("instruction", ["", "   \n "])
def test_an_empty_instruction_is_refused(run: Run, instruction: str) -> None:
    result = run("write", instruction)
    assert result.code == USAGE
    assert "empty" in result.stderr


def test_an_instruction_is_given_once(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "instruction.txt"
    file.write_text("x")
    assert run("write", INSTRUCTION, "--file", str(file)).code == USAGE


def test_a_file_that_is_not_text_is_refused_by_name(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "instruction.txt"
    file.write_bytes(b"\xff\xfe\x00bad")
    result = run("write", "--file", str(file))
    assert result.code == USAGE
    assert "instruction.txt" in result.stderr
    assert "UTF-8" in result.stderr


@pytest.mark.parametrize("content", ["", "\n\n", "<!-- nothing -->\n"])
def test_a_plan_with_nothing_in_it_is_refused(run: Run, tmp_path: Path, content: str) -> None:
    file = tmp_path / "plan.md"
    file.write_text(content)
    result = run("write", INSTRUCTION, *WRITE, "--plan", str(file))
    assert result.code == USAGE
    assert "plan.md" in result.stderr
    assert "300 words" in result.stderr, "an example of a line"


def test_more_sections_than_words_are_refused(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "plan.md"
    file.write_text("".join(f"{number}. Part {number}: what it says\n" for number in range(1, 31)))
    result = run("write", INSTRUCTION, "--words", "24", "--plan", str(file))
    assert result.code == USAGE
    assert "24" in result.stderr
    assert "30" in result.stderr


@pytest.mark.parametrize("option", [["--no-such-option"], ["--layout", "sideways"], ["--seed", "-1"]])
def test_unknown_options_and_values_are_usage_errors(run: Run, option: list[str]) -> None:
    assert run("write", INSTRUCTION, *option).code == USAGE


@pytest.mark.parametrize(
    "option",
    [
        ["--temperature", "-1"],
        ["--top-p", "2"],
        ["--top-k", "-3"],
        ["--profile", "nobody"],
        ["--sections", "0"],
        ["--sections", "201"],
    ],
)
def test_settings_out_of_range_are_named(run: Run, option: list[str]) -> None:
    result = run("write", INSTRUCTION, *WRITE, *option)
    assert result.code == USAGE
    assert option[1].lstrip("-") in result.stderr


def test_an_unwritable_output_is_refused_before_anything_is_written(run: Run, tmp_path: Path) -> None:
    missing = run("write", INSTRUCTION, *WRITE, "-o", str(tmp_path / "no" / "such" / "sea.md"))
    assert missing.code == FAILED
    assert "does not exist" in missing.stderr
    directory = run("write", INSTRUCTION, *WRITE, "-o", str(tmp_path))
    assert directory.code == FAILED
    assert "directory" in directory.stderr


def test_an_unknown_run_is_named(run: Run) -> None:
    result = run("resume", "zzzzzzzz")
    assert result.code == FAILED
    assert "zzzzzzzz" in result.stderr
    assert run("resume", "../../etc/passwd").code == FAILED


def test_a_store_of_a_newer_version_is_refused(run: Run, tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "newer.sqlite3"
    run("write", INSTRUCTION, *WRITE, "--store", str(path))
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    result = run("write", INSTRUCTION, *WRITE, "--store", str(path))
    assert result.code == FAILED
    assert "99" in result.stderr


class TestModelFiles:
    """Through the real loading code."""

    @pytest.fixture(autouse=True)
    def _store(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("LONGWRITER_EDGE_STORE", str(tmp_path / "runs.sqlite3"))

    def refused(self, path: Path, capsys: pytest.CaptureFixture[str]) -> str:
        code = cli.run(["write", INSTRUCTION, *WRITE, "--model", str(path)])
        captured = capsys.readouterr()
        assert code == FAILED
        assert captured.out == ""
        assert "Hint:" in captured.err, "what to try"
        return captured.err

    def test_no_model_at_all(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.delenv("LONGWRITER_EDGE_MODEL", raising=False)
        monkeypatch.setattr("longwriter_edge.models.demo_model", lambda: None)
        assert cli.run(["write", INSTRUCTION, *WRITE]) == FAILED
        error = capsys.readouterr().err
        assert "LONGWRITER_EDGE_MODEL" in error
        assert "--model" in error

    def test_a_missing_file(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert "missing.gguf" in self.refused(tmp_path / "missing.gguf", capsys)

    def test_a_file_that_is_not_gguf(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = tmp_path / "text.gguf"
        file.write_text("once upon a time, a long time ago")
        assert "GGUF" in self.refused(file, capsys)

    def test_a_truncated_file(
        self, tmp_path: Path, demo_model_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "truncated.gguf"
        file.write_bytes(demo_model_path.read_bytes()[:50_000_000])
        assert "truncated.gguf" in self.refused(file, capsys)

    def test_an_embedding_model(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = tmp_path / "embedding.gguf"
        write_bert(file)
        assert "embedding" in self.refused(file, capsys).lower()


def test_help_is_quick_to_import() -> None:
    """``--help`` imports neither numpy nor llama_cpp nor rich."""
    code = (
        "import sys\n"
        "from longwriter_edge import cli\n"
        "assert cli.run(['--help']) == 0\n"
        "for command in ('write', 'convert', 'inspect', 'quantize'):\n"
        "    assert cli.run([command, '--help']) == 0\n"
        "heavy = {'numpy', 'gguf', 'llama_cpp', 'rich', 'jinja2', 'sqlite3'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "resume" in result.stdout


def test_the_version_is_that_of_the_extension(capsys: pytest.CaptureFixture[str]) -> None:
    from longwriter_edge import __version__

    assert cli.run(["--version"]) == 0
    assert __version__ in capsys.readouterr().out
