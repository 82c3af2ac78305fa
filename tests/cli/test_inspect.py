"""``longwriter-edge inspect`` on files of known content."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import checkpoints
from fake_cli import Run
from longwriter_edge.convert import conversion

FAILED = 1


@pytest.fixture
def model(tmp_path: Path) -> Path:
    checkpoints.write_chatglm(tmp_path / "longwriter", dtype="BF16")
    return conversion.convert(tmp_path / "longwriter", tmp_path / "model.gguf").path


def test_json_says_all_that_the_header_tells(run: Run, model: Path) -> None:
    result = run("inspect", str(model), "--json")
    assert result.code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["architecture"] == "chatglm"
    assert found["context"] == 131072
    # Two layers of two heads of 16 keys and 16 values in F16.
    assert found["kv_bytes_per_token"] == 2 * 2 * 32 * 2
    assert found["tokenizer"] == "gpt2 chatglm-bpe"
    assert found["profile"] == "longwriter-glm4-9b"
    assert found["chat_template"].startswith("[gMASK]<sop>")
    assert found["types"]["ffn_down"] == {"BF16": 2}
    assert found["types"]["attn_qkv.bias"] == {"F32": 2}
    assert found["file_bytes"] == model.stat().st_size
    assert 16 < found["bits_per_weight"] < 17


def test_people_get_lines_without_control_characters(run: Run, tmp_path: Path) -> None:
    checkpoints.write_decoder(tmp_path / "m")
    conversion.convert(tmp_path / "m", tmp_path / "x.gguf", name="Evil\x1b[31m\nName")
    result = run("inspect", str(tmp_path / "x.gguf"))
    assert result.code == 0
    assert "\x1b" not in result.stdout
    assert "Evil Name" in result.stdout
    assert "4,096 tokens" in result.stdout


def test_a_truncated_file_is_told(run: Run, model: Path) -> None:
    whole = model.read_bytes()
    model.write_bytes(whole[: len(whole) - 5000])
    result = run("inspect", str(model))
    assert result.code == FAILED
    assert "truncated" in result.stderr


@pytest.mark.parametrize("length", [8, 20, 30, 100, 1000, 5000])
def test_a_file_that_ends_in_its_header_is_told(run: Run, model: Path, length: int) -> None:
    model.write_bytes(model.read_bytes()[:length])
    result = run("inspect", str(model))
    assert result.code == FAILED
    assert "cannot be read" in result.stderr


def test_what_is_no_gguf_file_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_text("hello world")
    assert run("inspect", str(tmp_path / "x.gguf")).code == FAILED
