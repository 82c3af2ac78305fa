"""The options of the engine on the command line."""

from __future__ import annotations

import pytest

from fake_cli import DOCUMENT, INSTRUCTION, SIZE, WRITE, Run


@pytest.mark.parametrize("command", ["write", "plan"])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--sequences", "0"], "--sequences must be from 1 to 256, not 0"),
        (["--batch", "16"], "--batch must be from 32"),
        (["--batch", "64", "--micro-batch", "128"], "--micro-batch 128 is more than --batch 64"),
        (["--kv-type", "q5_1"], "q5_1"),
        (["--kv-layout", "odd"], "odd"),
        (["--kv-type", "q8_0", "--flash-attention", "off"], "needs flash attention"),
        (["--quiet", "--verbose"], "--verbose does not go with --quiet"),
    ],
)
def test_impossible_engines_are_refused(run: Run, command: str, options: list[str], said: str) -> None:
    result = run(command, INSTRUCTION, *SIZE, *options)
    assert result.code == 2
    assert said in result.stderr


def test_a_run_is_resumed_with_options_of_its_own(run: Run) -> None:
    assert run("resume", "some-run", "--sequences", "300").code == 2


def test_the_document_is_the_same_on_another_engine(run: Run) -> None:
    options = ["--sequences", "3", "--kv-layout", "split", "--batch", "32", "--micro-batch", "32"]
    result = run("write", INSTRUCTION, *WRITE, *options)
    assert result.code == 0, result.stderr
    assert result.stdout == DOCUMENT
