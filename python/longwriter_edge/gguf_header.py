"""Reads the keys of a GGUF file without llama.cpp.

llama.cpp hands out no array values, and a file that it refuses cannot be asked what it is.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

Scalar: TypeAlias = int | float | bool | str
Value: TypeAlias = Scalar | tuple[Scalar, ...]

# gguf_metadata_value_type of the GGUF specification, with the struct code of each fixed-size type.
_FIXED = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING = 8
_ARRAY = 9
# Far above any real file (hundreds of keys, chat templates of tens of kilobytes); a corrupt count or
# length must not make us read on for long.
_MOST_KEYS = 65_536
_LONGEST_STRING = 16 * 1024 * 1024
_LONGEST_ARRAY = 65_536
_MOST_TENSORS = 1_000_000
# GGUF_DEFAULT_ALIGNMENT in gguf.h.
_ALIGNMENT = 32
# GGML_MAX_DIMS in ggml.h.
_MOST_DIMENSIONS = 4


class HeaderError(ValueError):
    """The file's keys cannot be read: it is truncated or corrupt."""


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """A tensor as the header describes it.

    Attributes:
        name: Its name.
        shape: The length of a row first, as GGUF files have it.
        type: The number of its type (``ggml_type`` in ggml.h).
        offset: Of its data behind the header.
    """

    name: str
    shape: tuple[int, ...]
    type: int
    offset: int


@dataclass(frozen=True, slots=True)
class Header:
    """All of a file but its weights.

    Attributes:
        keys: Keys with their values; of a list of more than 65,536 values only its length is in ``lengths``.
        lengths: The length of every list.
        tensors: In the order of the file.
        data_start: Where the weights begin.
    """

    keys: dict[str, Value]
    lengths: dict[str, int]
    tensors: list[TensorEntry]
    data_start: int


def read_header(path: Path) -> Header:
    """All keys and tensors of a file.

    Raises:
        HeaderError: the header is truncated or corrupt.
        OSError: the file cannot be read.
    """
    keys: dict[str, Value] = {}
    lengths: dict[str, int] = {}
    with path.open("rb") as file:
        file.seek(0, 2)
        reader = _Reader(file, file.tell())
        reader.skip(8)
        tensor_count, key_count = reader.number("Q"), reader.number("Q")
        if key_count > _MOST_KEYS or tensor_count > _MOST_TENSORS:
            raise HeaderError(f"{key_count} keys and {tensor_count} tensors")
        for _ in range(key_count):
            key = reader.string()
            kind = reader.number("I")
            if kind != _ARRAY:
                keys[key] = reader.value(kind)
                continue
            values = reader.array_or_length()
            if isinstance(values, tuple):
                keys[key], lengths[key] = values, len(values)
            else:
                lengths[key] = values
        tensors = [_tensor(reader) for _ in range(tensor_count)]
        alignment = keys.get("general.alignment", _ALIGNMENT)
        if not isinstance(alignment, int) or not 0 < alignment <= 2**20:
            raise HeaderError(f"an alignment of {alignment}")
        return Header(keys, lengths, tensors, -(-file.tell() // alignment) * alignment)


def _tensor(reader: _Reader) -> TensorEntry:
    name = reader.string()
    dimensions = reader.number("I")
    if dimensions > _MOST_DIMENSIONS:
        raise HeaderError(f"a tensor of {dimensions} dimensions")
    shape = tuple(reader.number("Q") for _ in range(dimensions))
    return TensorEntry(name, shape, reader.number("I"), reader.number("Q"))


def read_keys(path: Path, wanted: Collection[str]) -> dict[str, Value]:
    """Values of those of the ``wanted`` keys that the file has; it is read no further than needed.

    Raises:
        HeaderError: the keys are truncated or corrupt, or a wanted value is unreasonably large.
        OSError: the file cannot be read.
    """
    found: dict[str, Value] = {}
    with path.open("rb") as file:
        file.seek(0, 2)
        reader = _Reader(file, file.tell())
        # Magic, version, then the number of tensors.
        reader.skip(16)
        count = reader.number("Q")
        if count > _MOST_KEYS:
            raise HeaderError(f"{count} keys")
        for _ in range(count):
            if len(found) == len(wanted):
                break
            key = reader.string()
            kind = reader.number("I")
            if key in wanted:
                found[key] = reader.value(kind)
            else:
                reader.skip_value(kind)
    return found


class _Reader:
    """A position in a GGUF file, with every length checked against the file's size."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size
        file.seek(0)

    def _take(self, length: int) -> bytes:
        if length > self._left:
            raise HeaderError("the file ends inside its keys")
        self._left -= length
        return self._file.read(length)

    def skip(self, length: int) -> None:
        if length > self._left:
            raise HeaderError("the file ends inside its keys")
        self._left -= length
        self._file.seek(length, 1)

    def number(self, code: str) -> int:
        value = self._scalar(code)
        return int(value)

    def string(self) -> str:
        length = self.number("Q")
        if length > _LONGEST_STRING:
            raise HeaderError(f"a text of {length} bytes")
        return self._take(length).decode("utf-8", errors="replace")

    def value(self, kind: int) -> Value:
        if kind != _ARRAY:
            return self._single(kind)
        element = self.number("I")
        count = self.number("Q")
        if count > _LONGEST_ARRAY:
            raise HeaderError(f"a list of {count} values")
        return tuple(self._single(element) for _ in range(count))

    def array_or_length(self) -> tuple[Scalar, ...] | int:
        """The values of a list, or how many there are if they are too many to keep."""
        element = self.number("I")
        count = self.number("Q")
        if count <= _LONGEST_ARRAY:
            return tuple(self._single(element) for _ in range(count))
        self._skip_elements(element, count)
        return count

    def skip_value(self, kind: int) -> None:
        if kind == _STRING:
            self.skip(self.number("Q"))
        elif kind == _ARRAY:
            element = self.number("I")
            self._skip_elements(element, self.number("Q"))
        else:
            self._single(kind)

    def _skip_elements(self, element: int, count: int) -> None:
        if element in _FIXED:
            self.skip(count * struct.calcsize(_FIXED[element]))
        elif element == _STRING:
            for _ in range(count):
                self.skip(self.number("Q"))
        else:
            raise HeaderError(f"a list of values of type {element}")

    def _single(self, kind: int) -> Scalar:
        if kind == _STRING:
            return self.string()
        if kind not in _FIXED:
            raise HeaderError(f"a value of type {kind}")
        return self._scalar(_FIXED[kind])

    def _scalar(self, code: str) -> int | float | bool:
        layout = struct.Struct("<" + code)
        value: int | float | bool = layout.unpack(self._take(layout.size))[0]
        return value
