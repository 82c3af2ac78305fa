"""Checkpoints that cannot be converted are refused with the reason, and nothing is left behind."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest

import checkpoints
from longwriter_edge.convert import conversion, gguf_file
from longwriter_edge.convert.safetensors import read_tensors
from longwriter_edge.errors import CheckpointError, InputError, OutputError


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    checkpoints.write_decoder(tmp_path / "model")
    return tmp_path / "model"


def refused(directory: Path, reason: str, **options: Any) -> str:
    """Converts what must be refused for ``reason``, and returns message and hint."""
    output = directory.parent / "out.gguf"
    before = sorted(directory.parent.iterdir())
    with pytest.raises(CheckpointError, match=reason) as caught:
        conversion.convert(directory, output, **options)
    assert sorted(directory.parent.iterdir()) == before
    return f"{caught.value} {caught.value.hint}"


def change_config(directory: Path, **changes: Any) -> None:
    path = directory / "config.json"
    checkpoints.write_json(path, json.loads(path.read_text()) | changes)


def change_weights(
    directory: Path, change: Callable[[dict[str, numpy.ndarray]], None], dtype: str = "F32"
) -> None:
    path = directory / "model.safetensors"
    weights = {name: tensor.read() for name, tensor in read_tensors(path).items()}
    change(weights)
    checkpoints.write_safetensors(path, weights, dtype)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "consolidated.00.pth"])
def test_pickle_files_are_never_opened(llama: Path, name: str) -> None:
    (llama / "model.safetensors").unlink()
    (llama / name).write_bytes(b"\x80\x04cos\nsystem\n(S'touch /tmp/x'\ntR.")
    assert "save_pretrained" in refused(llama, "pickle")


def test_an_adapter_alone_is_refused_with_how_to_merge_it(llama: Path) -> None:
    (llama / "model.safetensors").rename(llama / "adapter_model.safetensors")
    (llama / "adapter_config.json").write_text("{}")
    assert "merge_and_unload" in refused(llama, "LoRA adapter")


def test_missing_tensors_are_named(llama: Path) -> None:
    change_weights(llama, lambda weights: weights.pop("model.layers.1.mlp.up_proj.weight"))
    refused(llama, r"1 of 21 tensors are missing, such as model\.layers\.1\.mlp\.up_proj\.weight")


def test_extra_tensors_are_named(llama: Path) -> None:
    change_weights(llama, lambda weights: weights.update({"model.layers.0.x.lora_A": numpy.ones((2, 2))}))
    refused(llama, r"model\.layers\.0\.x\.lora_A")


def test_shapes_that_contradict_the_config_are_refused_with_both(llama: Path) -> None:
    change_config(llama, intermediate_size=128)
    refused(llama, r"\[96, 64\].*\[128, 64\]")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("target", [None, "Q8_0"])
def test_weights_that_are_no_numbers_are_named(
    llama: Path, value: float, dtype: str, target: str | None
) -> None:
    def spoil(weights: dict[str, numpy.ndarray]) -> None:
        weights["model.layers.1.mlp.up_proj.weight"][3, 5] = value

    change_weights(llama, spoil, dtype)
    refused(llama, r"model\.layers\.1\.mlp\.up_proj\.weight has 1 values", output_type=target)


def test_a_weight_too_large_for_f16_is_refused_and_fits_into_bf16(llama: Path, tmp_path: Path) -> None:
    def enlarge(weights: dict[str, numpy.ndarray]) -> None:
        weights["lm_head.weight"][0, 0] = 1e6

    change_weights(llama, enlarge)
    assert "bf16" in refused(llama, "lm_head.weight has a value of 1e", output_type="F16")
    assert conversion.convert(llama, tmp_path / "out.gguf", output_type="BF16").type == "BF16"


def test_a_truncated_shard_is_named(llama: Path) -> None:
    path = llama / "model.safetensors"
    whole = path.read_bytes()
    for length in (0, 5, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        refused(llama, "model.safetensors")


def test_a_missing_shard_is_named(llama: Path) -> None:
    shutil.rmtree(llama)
    checkpoints.write_decoder(llama, shards=3)
    (llama / "model-00002-of-00003.safetensors").unlink()
    refused(llama, "model-00002-of-00003.safetensors")


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "model.bin"])
def test_an_index_cannot_name_files_elsewhere(llama: Path, name: str) -> None:
    (llama / "model.safetensors").rename(llama.parent / "secret.safetensors")
    index = {"weight_map": {"lm_head.weight": name}}
    checkpoints.write_json(llama / "model.safetensors.index.json", index)
    refused(llama, "no .safetensors file beside it")


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 12]}, "cannot have"),
        ({"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 2**62]}, "cannot have"),
        ({"dtype": "F32", "shape": [2**62], "data_offsets": [0, 2**64]}, "the place"),
        ({"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 16]}, "cannot have"),
        ({"dtype": "F32", "shape": [-2, -2], "data_offsets": [0, 16]}, "the shape"),
        ({"dtype": "F32", "shape": [True, 4], "data_offsets": [0, 16]}, "the shape"),
        ({"dtype": "F32", "shape": [4], "data_offsets": [16, 0]}, "the place"),
        ({"dtype": "F32", "shape": [4], "data_offsets": [4, 20]}, "nothing lies before"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "does not mention"),
        ({"dtype": "F32", "shape": [8], "data_offsets": [0, 32]}, "truncated"),
        ({"dtype": "X99", "shape": [4], "data_offsets": [0, 16]}, "the type"),
        ({"dtype": "F32", "shape": "4", "data_offsets": [0, 16]}, "the shape"),
        (["F32"], "the entry"),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path: Path, entry: Any, reason: str) -> None:
    path = tmp_path / "x.safetensors"
    checkpoints.write_raw(path, {"a": entry}, bytes(16))
    with pytest.raises(CheckpointError, match=reason):
        read_tensors(path)


def test_tensors_that_overlap_are_refused(tmp_path: Path) -> None:
    entry = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
    checkpoints.write_raw(tmp_path / "x.safetensors", {"a": entry, "b": entry}, bytes(16))
    with pytest.raises(CheckpointError, match="overlaps"):
        read_tensors(tmp_path / "x.safetensors")


@pytest.mark.parametrize("header", [b"[]", b"{", b'{"a":1,"a":2}', b"\xff\xfe", b"[" * 100_000])
def test_a_header_that_is_no_object_is_refused(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(CheckpointError, match="damaged"):
        read_tensors(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"architectures": ["MambaForCausalLM"]}, "MambaForCausalLM"),
        ({"architectures": None}, "no model class"),
        ({"hidden_size": "64"}, "hidden_size"),
        ({"num_hidden_layers": -1}, "num_hidden_layers"),
        ({"num_hidden_layers": 2_000_000_000}, "2,000,000,000 layers"),
        ({"head_dim": 2_000_000_000}, "2,000,000,000 values"),
        ({"num_key_value_heads": 3}, "cannot share"),
        ({"rope_theta": None, "rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, "dynamic"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "bitsandbytes"),
        ({"tie_word_embeddings": "no"}, "tie_word_embeddings"),
    ],
)
def test_a_config_that_cannot_be_used_is_refused(llama: Path, changes: dict[str, Any], reason: str) -> None:
    change_config(llama, **changes)
    refused(llama, reason)


def test_half_a_character_is_refused(llama: Path) -> None:
    (llama / "chat_template.jinja").write_text("x")
    path = llama / "tokenizer.json"
    path.write_text(path.read_text().replace('"<|user|>"', '"\\ud800"'))
    refused(llama, "no Unicode")


def test_weights_of_integers_are_refused(llama: Path) -> None:
    path = llama / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(
        content.replace(b'"lm_head.weight": {"dtype": "F32"', b'"lm_head.weight": {"dtype": "I32"')
    )
    refused(llama, "lm_head.weight is of type I32")


def test_too_little_disk_is_refused_before_the_start(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    with pytest.raises(OutputError, match="are needed"):
        conversion.convert(llama, llama.parent / "out.gguf")
    assert [path.name for path in llama.parent.iterdir()] == ["model"]


def test_an_interrupt_leaves_nothing_and_keeps_what_was_there(llama: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.gguf"
    output.write_bytes(b"old")

    def interrupt(done: int, total: int, name: str) -> None:
        assert gguf_file.part_of(output).exists()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        conversion.convert(llama, output, force=True, progress=interrupt)
    assert output.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "out.gguf"]


def test_an_existing_file_is_kept_without_force(llama: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.gguf"
    output.write_bytes(b"old")
    with pytest.raises(InputError, match="exists already"):
        conversion.convert(llama, output)
    conversion.convert(llama, output, force=True)
    assert output.read_bytes()[:4] == b"GGUF"
