"""What the metadata of a GGUF file tells: whether the model can write, its size in memory, its identity."""

from __future__ import annotations

import ctypes
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from longwriter_edge import gguf_header
from longwriter_edge.errors import ModelError

#: Reads an array of the file's metadata, which llama.cpp does not hand out; empty if there is none.
Arrays: TypeAlias = Callable[[str], "tuple[int, ...]"]

_GENERATIVE_HINT = "use a GGUF file of a model that generates text, such as LongWriter-llama3.1-8b"
# Architectures of llama.cpp (llama-arch.cpp) that encode text and never generate: BERT and its kin
# (nomic-bert, jina-bert-v2, modern-bert, eurobert), gemma-embedding, llama-embed, T5's encoder.
_ENCODERS = re.compile(r"bert|embed|^t5encoder$")
# Audio and vision towers that llama.cpp keeps in files of their own.
_TOWERS = frozenset({"clip", "wavtokenizer-dec"})
# LLAMA_POOLING_TYPE_NONE; the key is only written for models that pool their output into one vector.
_NO_POOLING = "0"
_F16_BYTES = 2
_SAMPLE_BLOCKS = 16
_SAMPLE_BYTES = 64 * 1024


def read_metadata(api: Any, model: int) -> dict[str, str]:
    """All keys of an opened model with their values as text. llama.cpp leaves arrays out.

    Args:
        api: The ctypes declarations (:func:`longwriter_edge.library.load`).
        model: Address of the ``llama_model``.
    """
    return {
        _grown(api.llama_model_meta_key_by_index, model, index): _grown(
            api.llama_model_meta_val_str_by_index, model, index
        )
        for index in range(api.llama_model_meta_count(model))
    }


def check_generative(path: Path, metadata: Mapping[str, str]) -> None:
    """Refuses what is no model that generates text token by token.

    Args:
        path: The file, for the message.
        metadata: Its keys, or those that could be read.

    Raises:
        ModelError: an adapter or other part of a model, a later shard, an embedding model, an encoder.
    """
    architecture = metadata.get("general.architecture", "")
    kind = metadata.get("general.type", "model")
    if kind != "model":
        raise ModelError(f"{path} holds no model but {_article(kind)}", hint=_GENERATIVE_HINT)
    if metadata.get("split.no", "0") != "0":
        raise ModelError(
            f"{path} is part {int(metadata['split.no']) + 1} of a split model", hint="give its first part"
        )
    if architecture in _TOWERS:
        raise ModelError(
            f"{path} holds a vision or audio part ({architecture}), no text model", hint=_GENERATIVE_HINT
        )
    pooled = metadata.get(f"{architecture}.pooling_type", _NO_POOLING) != _NO_POOLING
    if _ENCODERS.search(architecture) or pooled:
        raise ModelError(
            f"{path} is an embedding model ({architecture}); it cannot write", hint=_GENERATIVE_HINT
        )
    if metadata.get(f"{architecture}.attention.causal", "true").lower() in ("false", "0"):
        raise ModelError(
            f"{path} does not write from left to right ({architecture} without causal attention)",
            hint=_GENERATIVE_HINT,
        )


def check_usable(path: Path, metadata: Mapping[str, str], api: Any, model: int) -> None:
    """Refuses an opened model that the engine cannot drive.

    Raises:
        ModelError: as :func:`check_generative`, and for encoder-decoder, diffusion and recurrent models.
    """
    check_generative(path, metadata)
    architecture = metadata.get("general.architecture", "")
    if api.llama_model_has_encoder(model) or not api.llama_model_has_decoder(model):
        raise ModelError(
            f"{path} is an encoder-decoder model ({architecture}), which is not supported",
            hint=_GENERATIVE_HINT,
        )
    if api.llama_model_is_diffusion(model):
        raise ModelError(
            f"{path} is a diffusion model ({architecture}), which is not supported", hint=_GENERATIVE_HINT
        )
    if api.llama_model_is_recurrent(model) or api.llama_model_is_hybrid(model):
        # Sections are taken back to their last kept token; a recurrent state cannot be.
        raise ModelError(
            f"{path} is a recurrent model ({architecture}), whose state cannot be taken back",
            hint=_GENERATIVE_HINT,
        )


def explain_refusal(path: Path) -> None:
    """Looks into a file that llama.cpp refused for a reason that says more than its own.

    Raises:
        ModelError: the file's own keys tell that it is no model for this use.
    """
    try:
        kind = gguf_header.read_keys(path, ("general.type", "general.architecture", "split.no"))
    except (gguf_header.HeaderError, OSError):
        return
    check_generative(path, {key: str(value) for key, value in kind.items()})


def integer(metadata: Mapping[str, str], key: str) -> int | None:
    """A positive integer of the metadata, ``None`` if it is missing or something else."""
    value = metadata.get(key, "")
    return int(value) if value.isascii() and value.isdigit() and int(value) > 0 else None


def kv_bytes_per_token(metadata: Mapping[str, str], arrays: Arrays) -> int | None:
    """Bytes of KV cache a token with F16 values, ``None`` if the metadata does not tell.

    Keys of the GGUF specification: for each of ``block_count`` layers, ``head_count_kv`` heads (one
    number, or an array with one a layer; else ``head_count``) of ``key_length`` and ``value_length``
    values (else ``embedding_length / head_count``). An upper bound where layers share their cache or
    keep a window of it only.
    """
    prefix = metadata.get("general.architecture", "")
    layers = integer(metadata, f"{prefix}.block_count")
    if layers is None:
        return None
    heads = integer(metadata, f"{prefix}.attention.head_count")
    width = integer(metadata, f"{prefix}.embedding_length")
    each = width // heads if width is not None and heads is not None else None
    key = integer(metadata, f"{prefix}.attention.key_length") or each
    value = integer(metadata, f"{prefix}.attention.value_length") or each
    shared = integer(metadata, f"{prefix}.attention.head_count_kv")
    if shared is not None:
        total = shared * layers
    else:
        total = sum(arrays(f"{prefix}.attention.head_count_kv")) or (heads or 0) * layers
    if key is None or value is None or total == 0:
        return None
    return total * (key + value) * _F16_BYTES


def fingerprint(path: Path, metadata: Mapping[str, str]) -> str:
    """A SHA-256 (its first 32 hex digits) over size, metadata and samples of a file.

    The samples are 16 blocks of 64 KiB spread from the first byte to the last.

    Raises:
        OSError: the file cannot be read.
    """
    digest = hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode())
    with path.open("rb") as file:
        size = file.seek(0, 2)
        digest.update(f"\n{size}\n".encode())
        for number in range(_SAMPLE_BLOCKS):
            file.seek(max(0, size - _SAMPLE_BYTES) * number // (_SAMPLE_BLOCKS - 1))
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()[:32]


def _grown(read: Any, model: int, index: int) -> str:
    """A text from a function that returns its length, whatever of it found room."""
    room = 256
    while True:
        buffer = ctypes.create_string_buffer(room)
        length: int = read(model, index, buffer, room)
        if length < 0:
            return ""
        if length < room:
            return buffer.raw[:length].decode("utf-8", errors="replace")
        room = length + 1


def _article(kind: str) -> str:
    return f"{'an' if kind[:1] in 'aeiou' else 'a'} {kind!r}"
