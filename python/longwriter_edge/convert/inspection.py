"""What a GGUF file is: its architecture, types, context, tokenizer, template and size in memory."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import gguf

from longwriter_edge import gguf_header, profiles
from longwriter_edge.errors import ModelError
from longwriter_edge.metadata import integer, kv_bytes_per_token
from longwriter_edge.models import check_file


@dataclass(frozen=True, slots=True)
class Inspection:
    """A GGUF file as its header tells it. Texts are untrusted.

    Attributes:
        path: The file.
        file_bytes: Its size.
        architecture: llama.cpp's name.
        name: The model's own name, if it has one.
        parameters: Number of weights.
        bits_per_weight: Bits that a weight takes, all tensors together.
        types: For each class of tensors, such as ``ffn_down``, how many are of which type.
        context: Tokens that the model was trained on, if the file tells.
        kv_bytes_per_token: Bytes of KV cache a token in F16, if the file tells.
        tokenizer: Kind of vocabulary and how text is split.
        tokens: Number of tokens, if the file tells.
        profile: The prompt format that the file names, if it does.
        chat_template: The file's template, if it has one.
        parts: Number of files that the model is split into; the other values are those of this one.
    """

    path: str
    file_bytes: int
    architecture: str
    name: str | None
    parameters: int
    bits_per_weight: float
    types: dict[str, dict[str, int]]
    context: int | None
    kv_bytes_per_token: int | None
    tokenizer: str
    tokens: int | None
    profile: str | None
    chat_template: str | None
    parts: int


def inspect(path: Path) -> Inspection:
    """Reads the header of a GGUF file and checks that all its weights are there.

    Raises:
        ModelError: the file is no GGUF file, or is damaged or truncated.
    """
    check_file(path)
    try:
        header = gguf_header.read_header(path)
        size = path.stat().st_size
    except (gguf_header.HeaderError, OSError) as error:
        raise ModelError(f"{path} cannot be read: {error}", hint="copy or download it again") from error
    weights = {tensor.name: _bytes(path, tensor) for tensor in header.tensors}
    end = header.data_start + max(
        (tensor.offset + weights[tensor.name] for tensor in header.tensors), default=0
    )
    if end > size and header.tensors:
        raise ModelError(f"{path} is truncated: {size:,} of {end:,} bytes", hint="copy or download it again")
    parameters = sum(math.prod(tensor.shape) for tensor in header.tensors)
    keys = {key: str(value) for key, value in header.keys.items() if not isinstance(value, tuple)}
    architecture = keys.get("general.architecture", "unknown")

    def numbers(key: str) -> tuple[int, ...]:
        value = header.keys.get(key, ())
        return tuple(int(each) for each in value) if isinstance(value, tuple) else ()

    return Inspection(
        path=str(path),
        file_bytes=size,
        architecture=architecture,
        name=keys.get("general.name"),
        parameters=parameters,
        bits_per_weight=8 * sum(weights.values()) / parameters if parameters else 0.0,
        types=_types(header.tensors),
        context=integer(keys, f"{architecture}.context_length"),
        kv_bytes_per_token=kv_bytes_per_token(keys, numbers),
        tokenizer=" ".join(
            keys[key] for key in ("tokenizer.ggml.model", "tokenizer.ggml.pre") if key in keys
        ),
        tokens=header.lengths.get("tokenizer.ggml.tokens"),
        profile=keys.get(profiles.PROFILE_KEY),
        chat_template=keys.get("tokenizer.chat_template"),
        parts=integer(keys, "split.count") or 1,
    )


def _types(tensors: list[gguf_header.TensorEntry]) -> dict[str, dict[str, int]]:
    """Numbers of tensors by class, then by type. Blocks are counted together."""
    counted: dict[str, Counter[str]] = {}
    for tensor in tensors:
        parts = tensor.name.split(".")
        # blk.7.ffn_down.weight
        kind = ".".join(parts[2:] if parts[0] == "blk" and len(parts) > 2 else parts)
        kind = kind.removesuffix(".weight")
        counted.setdefault(kind, Counter())[gguf.GGMLQuantizationType(tensor.type).name] += 1
    return {kind: dict(types) for kind, types in counted.items()}


def _bytes(path: Path, tensor: gguf_header.TensorEntry) -> int:
    try:
        block, block_bytes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(tensor.type)]
    except (KeyError, ValueError) as error:
        raise ModelError(
            f"{path}: {tensor.name[:60]} is of a type with the unknown number {tensor.type}",
            hint="the file may be damaged, or made by a newer program",
        ) from error
    return math.prod(tensor.shape) // block * block_bytes
