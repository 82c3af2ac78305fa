"""Reads safetensors files. Every number in their headers is checked before it is used.

The format (huggingface/safetensors, README): 8 bytes with the header's length, the header in JSON, then
the data of all tensors without gaps. We read it ourselves because the library maps whole files into
memory, and because its errors name neither file nor tensor.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy
import numpy.typing

from longwriter_edge.errors import CheckpointError

#: Numbers as they lie in the file; BF16, which numpy does not know, as its bits.
RawArray = numpy.typing.NDArray[Any]

# The limit of the format's own library.
_LONGEST_HEADER = 100_000_000
_MOST_DIMENSIONS = 8
_LENGTH_BYTES = 8
_RAW_TYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}
# Bytes of the other types, so that their place in the file can be checked too.
_OTHER_TYPES = {
    "F64": 8, "I64": 8, "U64": 8, "I32": 4, "U32": 4, "I16": 2, "U16": 2,
    "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1,
}  # fmt: skip
_AGAIN = "copy or download the checkpoint again"


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where a tensor lies.

    Attributes:
        name: Its name in the checkpoint.
        path: The file.
        dtype: The format's name of its type, such as ``BF16``.
        shape: Rows first.
        offset: Of its first byte in the file.
        size: Bytes.
    """

    name: str
    path: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int
    size: int

    @property
    def convertible(self) -> bool:
        """Whether it holds floating-point numbers of a type that can be converted."""
        return self.dtype in _RAW_TYPES

    def read(self, first_row: int = 0, rows: int | None = None) -> RawArray:
        """Some rows, or all of the tensor, as they lie in the file.

        Raises:
            CheckpointError: the file cannot be read, or has become shorter.
        """
        if rows is None:
            rows = self.shape[0] if self.shape else 1
        columns = math.prod(self.shape[1:])
        raw_type = numpy.dtype(_RAW_TYPES[self.dtype])
        offset = self.offset + first_row * columns * raw_type.itemsize
        try:
            values = numpy.fromfile(self.path, raw_type, rows * columns, offset=offset)
        except OSError as error:
            raise CheckpointError(
                f"{self.path} cannot be read: {error.strerror or error}", hint=_AGAIN
            ) from error
        if values.size != rows * columns:
            raise CheckpointError(f"{self.path} ends inside the tensor {self.name}", hint=_AGAIN)
        return values.reshape((rows, *self.shape[1:]))


def read_tensors(path: Path) -> dict[str, StoredTensor]:
    """The tensors of a file, by name, in the order of their data.

    Raises:
        CheckpointError: the file cannot be read, is truncated, or its header is not true.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = _header_length(path, file.read(_LENGTH_BYTES), size)
            header = file.read(length)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}", hint=_AGAIN) from error
    try:
        entries = json.loads(header.decode("utf-8"), object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"the header of {path} is damaged: {error}", hint=_AGAIN) from error
    if not isinstance(entries, dict):
        raise CheckpointError(f"the header of {path} is damaged: it is no JSON object", hint=_AGAIN)
    entries.pop("__metadata__", None)
    start = _LENGTH_BYTES + length
    tensors = [_tensor(path, name, entry, start) for name, entry in entries.items()]
    tensors.sort(key=lambda tensor: (tensor.offset, tensor.size))
    _check_places(path, tensors, start, size)
    return {tensor.name: tensor for tensor in tensors}


def _header_length(path: Path, first: bytes, size: int) -> int:
    if len(first) < _LENGTH_BYTES:
        raise CheckpointError(f"{path} is truncated: {size} bytes", hint=_AGAIN)
    (length,) = struct.unpack("<Q", first)
    if length > _LONGEST_HEADER:
        raise CheckpointError(f"{path} is no safetensors file: its header would have {length:,} bytes")
    if length > size - _LENGTH_BYTES:
        raise CheckpointError(f"{path} is truncated inside its header: {size:,} bytes", hint=_AGAIN)
    return int(length)


def _tensor(path: Path, name: str, entry: object, start: int) -> StoredTensor:
    def wrong(what: str) -> CheckpointError:
        return CheckpointError(f"the header of {path} is damaged: {what} of {name}", hint=_AGAIN)

    if not isinstance(entry, dict):
        raise wrong("the entry")
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str) or (dtype not in _RAW_TYPES and dtype not in _OTHER_TYPES):
        raise wrong(f"the type {str(dtype)[:20]!r}")
    if not _sizes(shape) or len(shape) > _MOST_DIMENSIONS:
        raise wrong("the shape")
    if not _sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise wrong("the place")
    bytes_each = _OTHER_TYPES.get(dtype) or numpy.dtype(_RAW_TYPES[dtype]).itemsize
    if offsets[1] - offsets[0] != math.prod(shape) * bytes_each:
        raise CheckpointError(
            f"the header of {path} contradicts itself: {name} of shape {shape} and type {dtype} cannot have "
            f"{offsets[1] - offsets[0]:,} bytes",
            hint=_AGAIN,
        )
    return StoredTensor(name, path, dtype, tuple(shape), start + offsets[0], offsets[1] - offsets[0])


def _sizes(values: object) -> TypeGuard[list[int]]:
    return isinstance(values, list) and all(
        isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 for value in values
    )


def _check_places(path: Path, tensors: list[StoredTensor], start: int, size: int) -> None:
    """Tensors lie one after the other, and the last one ends with the file."""
    end = start
    for tensor in tensors:
        if tensor.offset < end:
            raise CheckpointError(
                f"the header of {path} contradicts itself: {tensor.name} overlaps another tensor", hint=_AGAIN
            )
        if tensor.offset > end:
            raise CheckpointError(
                f"the header of {path} contradicts itself: nothing lies before {tensor.name}", hint=_AGAIN
            )
        end = tensor.offset + tensor.size
    if end > size:
        raise CheckpointError(
            f"{path} is truncated: {size:,} of {end:,} bytes", hint="copy or download this file again"
        )
    if end < size:
        raise CheckpointError(
            f"{path} has {size - end:,} bytes that its header does not mention", hint=_AGAIN
        )


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a name is there twice")
    return fields
