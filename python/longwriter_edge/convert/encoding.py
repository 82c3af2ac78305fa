"""Turns numbers from the type of the checkpoint into that of the GGUF file."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import gguf
import numpy

from longwriter_edge.convert.safetensors import RawArray, StoredTensor
from longwriter_edge.errors import CheckpointError

#: Types that can be written without llama.cpp.
TargetType: TypeAlias = Literal["F32", "F16", "BF16", "Q8_0"]

GGML_TYPES = {
    "F32": gguf.GGMLQuantizationType.F32,
    "F16": gguf.GGMLQuantizationType.F16,
    "BF16": gguf.GGMLQuantizationType.BF16,
    "Q8_0": gguf.GGMLQuantizationType.Q8_0,
}
#: ``general.file_type`` (llama_ftype in llama.h).
FILE_TYPES = {"F32": 0, "F16": 1, "Q8_0": 7, "BF16": 32}
# Bits of the exponent, all set in infinities and NaN.
_EXPONENT = {"BF16": 0x7F80, "F16": 0x7C00, "F32": 0x7F800000}
Q8_0_BLOCK = 32
# Its exponent is that of a 32-bit float, with 7 bits behind the point.
_LARGEST_BF16 = float(2**127 * (2 - 2**-7))


def target_for(shape: tuple[int, ...], wanted: TargetType) -> TargetType:
    """The type of a tensor in a file that is mostly ``wanted``.

    Vectors stay in F32, as llama.cpp's kernels expect. Rows that Q8_0's blocks do not fill get F16.
    """
    if len(shape) < 2:
        return "F32"
    if wanted == "Q8_0" and shape[-1] % Q8_0_BLOCK:
        return "F16"
    return wanted


def encoded_size(shape: tuple[int, ...], target: TargetType) -> int:
    """Bytes of a tensor of this shape and type."""
    per_block, block_bytes = gguf.GGML_QUANT_SIZES[GGML_TYPES[target]][:2]
    count = int(numpy.prod(shape, dtype=numpy.int64))
    return count // per_block * block_bytes


def encode(raw: RawArray, tensor: StoredTensor, target: TargetType) -> RawArray:
    """Rows of ``tensor`` as they lie in the checkpoint, in the type ``target``.

    Raises:
        CheckpointError: a value is no finite number, or ``target`` cannot hold it.
    """
    _check_finite(raw, tensor)
    if tensor.dtype == target:
        return raw
    values = _floats(raw, tensor.dtype)
    if target == "F32":
        return values
    if target == "BF16":
        _check_range(values, tensor, _LARGEST_BF16, "BF16")
        return _bfloat16(values)
    if target == "Q8_0":
        _check_range(values, tensor, 127 * float(numpy.finfo(numpy.float16).max), "Q8_0")
        quantized: RawArray = gguf.quants.quantize(values, GGML_TYPES[target])
        return quantized
    _check_range(values, tensor, float(numpy.finfo(numpy.float16).max), "F16")
    return values.astype("<f2")


def _floats(raw: RawArray, dtype: str) -> numpy.typing.NDArray[numpy.float32]:
    if dtype == "BF16":
        # The upper half of a 32-bit float.
        bits: RawArray = raw.astype(numpy.uint32) << numpy.uint32(16)
        return bits.view(numpy.float32)
    values: numpy.typing.NDArray[numpy.float32] = raw.astype(numpy.float32, copy=False)
    return values


def _bfloat16(values: numpy.typing.NDArray[numpy.float32]) -> RawArray:
    """Rounded to the nearest, to the even one between two (ggml's ``ggml_compute_fp32_to_bf16``)."""
    bits = values.view("<u4")
    rounded: RawArray = (bits + numpy.uint32(0x7FFF) + ((bits >> numpy.uint32(16)) & numpy.uint32(1))) >> (
        numpy.uint32(16)
    )
    return rounded.astype("<u2")


def _check_finite(raw: RawArray, tensor: StoredTensor) -> None:
    exponent = _EXPONENT[tensor.dtype]
    bits = raw.view(f"<u{raw.itemsize}")
    bad = (bits & bits.dtype.type(exponent)) == exponent
    if bad.any():
        raise CheckpointError(
            f"{tensor.name} has {int(numpy.count_nonzero(bad)):,} values that are NaN or infinite",
            hint="the checkpoint is damaged, or its training has failed: get another one",
        )


def _check_range(values: Any, tensor: StoredTensor, largest: float, target: str) -> None:
    most = float(numpy.max(numpy.abs(values), initial=0.0))
    if most > largest:
        raise CheckpointError(
            f"{tensor.name} has a value of {most:.4g}, which {target} cannot hold (at most {largest:.4g})",
            hint="convert with --type bf16",
        )
