"""``longwriter-edge convert`` on a tiny checkpoint."""

from __future__ import annotations

from pathlib import Path

import gguf

import checkpoints
from fake_cli import Run

USAGE, FAILED = 2, 1


def test_a_checkpoint_becomes_a_file_that_names_its_origin(run: Run, tmp_path: Path) -> None:
    directory, output = tmp_path / "renamed", tmp_path / "model.gguf"
    checkpoints.write_chatglm(directory, dtype="BF16")
    (directory / "README.md").write_text(
        "---\nlicense: apache-2.0\nbase_model: THUDM/LongWriter-glm4-9b\nlanguage:\n- en\n- zh\n---\n# Mine\n"
    )
    result = run("convert", str(directory), "-o", str(output), "--source", "https://example.org/x")
    assert result.code == 0, result.stderr
    assert result.stdout == ""
    assert "BF16" in result.stderr
    fields = gguf.GGUFReader(output).fields
    expected = {
        "general.name": "renamed",
        "general.license": "apache-2.0",
        "general.languages": ["en", "zh"],
        "general.base_model.0.name": "LongWriter-glm4-9b",
        "general.base_model.0.organization": "THUDM",
        "general.source.url": "https://example.org/x",
        "longwriter_edge.profile": "longwriter-glm4-9b",
        "chatglm.rope.freq_base": 5e6,
        "chatglm.rope.dimension_count": 8,
        "tokenizer.ggml.pre": "chatglm-bpe",
    }
    assert {key: fields[key].contents() for key in expected} == expected
    template = fields["tokenizer.chat_template"].contents()
    assert template.startswith("[gMASK]<sop>")


def test_a_card_with_broken_yaml_stops_nothing(run: Run, tmp_path: Path) -> None:
    checkpoints.write_decoder(tmp_path / "m")
    (tmp_path / "m" / "README.md").write_text("---\na: [\n---\n")
    assert run("convert", str(tmp_path / "m"), "-o", str(tmp_path / "x.gguf"), "-q").code == 0


def test_what_cannot_be_converted_fails_with_a_hint(run: Run, tmp_path: Path) -> None:
    result = run("convert", str(tmp_path), "-o", str(tmp_path / "x.gguf"))
    assert result.code == FAILED
    assert "no .safetensors files" in result.stderr
    assert "Hint:" in result.stderr


def test_wrong_options_are_usage(run: Run, tmp_path: Path) -> None:
    checkpoints.write_decoder(tmp_path / "m")
    output = tmp_path / "x.gguf"
    assert run("convert", str(tmp_path / "m"), "-o", str(output), "--profile", "nobody").code == USAGE
    assert run("convert", str(tmp_path / "m"), "-o", str(output), "--type", "q4_k_m").code == USAGE
    output.write_text("mine")
    assert run("convert", str(tmp_path / "m"), "-o", str(output)).code == USAGE
    assert output.read_text() == "mine"
