"""Writes small GGUF files for tests: keys and, where llama.cpp shall open them, a minimal vocabulary."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import gguf
import numpy

Value = bool | int | float | str | Sequence[int]


def write_keys(path: Path, architecture: str, values: Mapping[str, Value]) -> Path:
    """A GGUF file of ``architecture`` with ``values`` and no tensors."""
    writer = _writer(path, architecture, values)
    return _finish(writer, path)


def write_bert(path: Path) -> Path:
    """An embedding model of the BERT kind, with a vocabulary of six tokens, as converters write it."""
    writer = _writer(
        path,
        "bert",
        {
            "general.type": "model",
            "general.name": "tiny embeddings",
            "bert.context_length": 512,
            "bert.embedding_length": 32,
            "bert.feed_forward_length": 64,
            "bert.block_count": 1,
            "bert.attention.head_count": 4,
            "bert.attention.layer_norm_epsilon": 1e-12,
            "bert.attention.causal": False,
            "bert.pooling_type": 1,
        },
    )
    tokens = [b"[PAD]", b"[UNK]", b"[CLS]", b"[SEP]", "▁harbour".encode(), "▁boat".encode()]
    writer.add_tokenizer_model("bert")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 2, 3, 3, 1, 1])
    writer.add_token_type_count(2)
    for name, token in (("padding", 0), ("unknown", 1), ("bos", 2), ("seperator", 3)):
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", token)
    writer.add_tensor("token_embd.weight", numpy.zeros((len(tokens), 32), dtype=numpy.float32))
    return _finish(writer, path)


def header(version: int = 3, *, byte_order: str = "<") -> bytes:
    """The first bytes of a GGUF file without tensors and keys."""
    return b"GGUF" + struct.pack(f"{byte_order}IQQ", version, 0, 0)


def _writer(path: Path, architecture: str, values: Mapping[str, Value]) -> gguf.GGUFWriter:
    writer = gguf.GGUFWriter(path, architecture)
    for key, value in values.items():
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        elif isinstance(value, str):
            writer.add_string(key, value)
        else:
            writer.add_array(key, list(value))
    return writer


def _finish(writer: gguf.GGUFWriter, path: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
