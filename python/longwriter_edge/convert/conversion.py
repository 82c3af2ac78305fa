"""Converts a checkpoint into a GGUF file, tensor by tensor.

First everything that can be refused is refused, from config.json and the headers alone; then the weights
are read once, in slabs of some megabytes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy

from longwriter_edge import profiles
from longwriter_edge.convert import architectures, metadata, tokenizers
from longwriter_edge.convert.architectures import KeyValue, Layout, Weight
from longwriter_edge.convert.checkpoint import Checkpoint
from longwriter_edge.convert.encoding import FILE_TYPES, TargetType, encode, target_for
from longwriter_edge.convert.gguf_file import GgufFile, PlannedTensor, check_disk, new_gguf_file, reserved
from longwriter_edge.convert.safetensors import RawArray
from longwriter_edge.errors import CheckpointError, InputError

__all__ = ["TYPES", "Converted", "Progress", "convert"]

#: Takes bytes written, bytes in all, and the tensor that is being written.
Progress: TypeAlias = Callable[[int, int, str], None]

#: What ``output_type`` may name.
TYPES: tuple[TargetType, ...] = ("F32", "F16", "BF16", "Q8_0")
# Values in memory at a time. Few enough for a small machine, many enough to write at the disk's speed.
_SLAB_VALUES = 8 * 1024 * 1024
# ggml's version of its quantized formats (GGML_QNT_VERSION in ggml.h).
_QUANTIZATION_VERSION = 2


@dataclass(frozen=True, slots=True)
class Converted:
    """What was written.

    Attributes:
        path: The file.
        size: Its bytes.
        type: What most of its weights are in.
        parameters: Number of weights.
        profile: The profile that the file names, if any.
        warnings: What the user should know.
    """

    path: Path
    size: int
    type: TargetType
    parameters: int
    profile: str | None
    warnings: tuple[str, ...]


def convert(
    directory: Path,
    output: Path,
    *,
    output_type: TargetType | None = None,
    pre: str | None = None,
    name: str | None = None,
    source: str | None = None,
    profile: str | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Converted:
    """Writes the GGUF file of a checkpoint.

    Args:
        directory: The checkpoint: config.json, .safetensors files, the tokenizer's. Nothing in it is run.
        output: The GGUF file. It has the name OUTPUT.part until it is whole.
        output_type: What matrices are stored in; ``None`` for what most of them are in now. Vectors are
            in F32.
        pre: llama.cpp's name of how text is split, if it is not found out.
        name: Name of the model.
        source: Address of the checkpoint.
        profile: The prompts' profile to write into the file; ``None`` to go by the names.
        force: Replace ``output`` if it exists.
        progress: Told after every slab.

    Raises:
        CheckpointError: the checkpoint cannot be converted.
        InputError: an argument cannot be used.
        OutputError: the file cannot be written.
    """
    if profile is not None and profile not in profiles.NAMES:
        raise InputError(f"there is no profile {profile!r}", hint=f"use one of {', '.join(profiles.NAMES)}")
    checkpoint = Checkpoint.open(directory)
    architecture = architectures.find(checkpoint.config)
    layout = architecture.layout(checkpoint.config)
    _check_tensors(checkpoint, layout)
    wanted = output_type or _main_type(checkpoint)
    vocabulary = tokenizers.read(directory, layout.vocabulary_size, pre, glm=architecture.glm)
    planned = [
        PlannedTensor(weight.name, weight.shape, target_for(weight.shape, wanted))
        for weight in layout.weights
    ]
    computed = [PlannedTensor(each.name, (len(each.values),), "F32") for each in layout.computed]
    parameters = sum(math.prod(weight.shape) for weight in layout.weights)
    card = metadata.model_card(checkpoint)
    profile = profile or metadata.profile_of(checkpoint, card, architecture, name)
    keys = metadata.description(checkpoint, card, parameters, name, source)
    keys |= _model_keys(layout, wanted, profile) | vocabulary.keys()
    template = metadata.chat_template(checkpoint, architecture, profile)
    if template is not None:
        keys["tokenizer.chat_template"] = template
    with reserved(output, force=force):
        check_disk(output, sum(tensor.size for tensor in computed + planned))
        with new_gguf_file(output, architecture.name, keys, computed + planned) as file:
            for tensor, each in zip(computed, layout.computed, strict=True):
                file.begin(tensor)
                file.write(numpy.array(each.values, dtype="<f4"))
            _write_weights(file, checkpoint, list(zip(planned, layout.weights, strict=True)), progress)
    return Converted(output, output.stat().st_size, wanted, parameters, profile, vocabulary.warnings)


def _model_keys(layout: Layout, wanted: TargetType, profile: str | None) -> dict[str, KeyValue]:
    keys: dict[str, KeyValue] = dict(layout.keys)
    keys["general.file_type"] = FILE_TYPES[wanted]
    keys["general.quantization_version"] = _QUANTIZATION_VERSION
    if profile is not None:
        keys[profiles.PROFILE_KEY] = profile
    return keys


def _check_tensors(checkpoint: Checkpoint, layout: Layout) -> None:
    """All tensors of the layout are there, no others, with the right shapes and types.

    Raises:
        CheckpointError: they are not.
    """
    needed = {weight.source for weight in layout.weights}
    if missing := sorted(needed - set(checkpoint.tensors)):
        raise CheckpointError(
            f"{len(missing)} of {len(needed)} tensors are missing, such as {missing[0]}",
            hint="the checkpoint is incomplete, or of another kind than its config.json says",
        )
    # Rotary frequencies follow from the config; old checkpoints store them beside the weights.
    extra = sorted(
        name
        for name in set(checkpoint.tensors) - needed - layout.unused
        if not name.endswith("rotary_emb.inv_freq")
    )
    if extra:
        raise CheckpointError(
            f"{len(extra)} tensors do not belong to this kind of model, such as {extra[0]}",
            hint="config.json may be of another checkpoint; adapters have to be merged first",
        )
    for weight in layout.weights:
        stored = checkpoint.tensors[weight.source]
        if stored.shape != weight.shape:
            raise CheckpointError(
                f"{stored.name} has the shape {list(stored.shape)}, and by config.json it should have "
                f"{list(weight.shape)}",
                hint="config.json belongs to another checkpoint",
            )
        if not stored.convertible:
            raise CheckpointError(
                f"{stored.name} is of type {stored.dtype}", hint="convert a checkpoint in BF16, F16 or F32"
            )


def _main_type(checkpoint: Checkpoint) -> TargetType:
    """The type that most of the checkpoint's bytes are in."""
    sizes: Counter[str] = Counter()
    for tensor in checkpoint.tensors.values():
        sizes[tensor.dtype] += tensor.size
    main = sizes.most_common(1)[0][0]
    return next((each for each in TYPES if each == main), "F16")


def _write_weights(
    file: GgufFile,
    checkpoint: Checkpoint,
    weights: list[tuple[PlannedTensor, Weight]],
    progress: Progress | None,
) -> None:
    total = sum(tensor.size for tensor, _ in weights)
    done = 0
    for tensor, weight in weights:
        file.begin(tensor)
        stored = checkpoint.tensors[weight.source]
        for first, rows in _slabs(weight):
            raw = stored.read(first, rows)
            if weight.interleaved_heads:
                raw = _interleaved(raw, rows * weight.interleaved_heads // weight.shape[0])
            encoded = encode(raw, stored, tensor.type)
            file.write(encoded)
            done += encoded.nbytes
            if progress is not None:
                progress(done, total, tensor.name)


def _slabs(weight: Weight) -> list[tuple[int, int]]:
    """First row and number of rows of each slab; heads are not cut."""
    rows, columns = weight.shape[0], math.prod(weight.shape[1:])
    unit = rows // weight.interleaved_heads if weight.interleaved_heads else 1
    step = max(_SLAB_VALUES // max(columns * unit, 1), 1) * unit
    return [(first, min(step, rows - first)) for first in range(0, rows, step)]


def _interleaved(raw: RawArray, heads: int) -> RawArray:
    """Rows of each head from ``a0 a1 … b0 b1 …`` to ``a0 b0 a1 b1 …``."""
    halves = raw.reshape(heads, 2, raw.shape[0] // heads // 2, *raw.shape[1:])
    interleaved: RawArray = halves.swapaxes(1, 2).reshape(raw.shape)
    return interleaved
