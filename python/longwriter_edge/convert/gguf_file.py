"""Writes a GGUF file tensor by tensor; it gets its name when it is whole."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import gguf
import numpy

from longwriter_edge.convert.architectures import KeyValue
from longwriter_edge.convert.encoding import GGML_TYPES, TargetType, encoded_size
from longwriter_edge.convert.safetensors import RawArray
from longwriter_edge.errors import CheckpointError, InputError, OutputError
from longwriter_edge.store.lock import FileLock

#: Room that a file system should keep, and that the header may need.
SPARE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """A tensor of the file: its name, its shape with rows first, its type."""

    name: str
    shape: tuple[int, ...]
    type: TargetType

    @property
    def size(self) -> int:
        """Bytes."""
        return encoded_size(self.shape, self.type)


class GgufFile:
    """A file of which keys and tensor places are written; the data follow in the order of the plan."""

    def __init__(self, file: BinaryIO, tensors: list[PlannedTensor]) -> None:
        self._file = file
        self._tensors = iter(tensors)
        self._left = 0
        self._pad()

    def begin(self, tensor: PlannedTensor) -> None:
        """Starts the data of the next tensor of the plan."""
        expected = next(self._tensors, None)
        if self._left or expected != tensor:
            raise AssertionError(f"{tensor.name} is not next, or the one before is not whole")
        self._left = tensor.size

    def write(self, rows: RawArray) -> None:
        """Adds rows to the tensor that was begun."""
        self._left -= rows.nbytes
        if self._left < 0:
            raise AssertionError("more data than the tensor has room for")
        self._file.write(numpy.ascontiguousarray(rows).data)
        if self._left == 0:
            self._pad()

    def check_whole(self) -> None:
        """Makes sure that every tensor was written."""
        if self._left or next(self._tensors, None) is not None:
            raise AssertionError("tensors are missing")

    def _pad(self) -> None:
        self._file.write(bytes(-self._file.tell() % gguf.GGUF_DEFAULT_ALIGNMENT))


@contextmanager
def new_gguf_file(
    path: Path, architecture: str, keys: Mapping[str, KeyValue], tensors: list[PlannedTensor]
) -> Iterator[GgufFile]:
    """A GGUF file that grows as FILE.part and is renamed to FILE when the block ends without an error.

    Raises:
        OutputError: the disk is full or fails.
    """
    part = part_of(path)
    try:
        _write_header(part, architecture, keys, tensors)
        with part.open("ab") as file:
            writer = GgufFile(file, tensors)
            yield writer
            writer.check_whole()
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise disk_error(part, error) from error
    finally:
        # Whatever is left here is not whole.
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def reserved(path: Path, *, force: bool) -> Iterator[None]:
    """Checks that ``path`` can be written, and keeps other processes from writing it too.

    Raises:
        InputError: it exists and may not be replaced, or is no file.
        OutputError: it cannot be written, or another process is at it.
    """
    check_target(path, force=force)
    lock = FileLock(part_of(path).with_name(f"{part_of(path).name}.lock"))
    try:
        acquired = lock.acquire()
    except OSError as error:
        raise OutputError(
            f"nothing can be written in {path.parent}: {error}", hint="name another file"
        ) from error
    if not acquired:
        raise OutputError(f"another process is writing {part_of(path)}", hint="name another file")
    with lock:
        yield


def check_target(path: Path, *, force: bool) -> None:
    """Checks that a file of this name may be written.

    Raises:
        InputError: it exists and may not be replaced, or is no file.
    """
    if path.is_dir():
        raise InputError(f"{path} is a directory", hint="name a file in it")
    if path.exists() and not force:
        raise InputError(f"{path} exists already", hint="name another file, or replace it with --force")
    if not path.parent.is_dir():
        raise InputError(f"the directory {path.parent} does not exist", hint="create it first")


def part_of(path: Path) -> Path:
    """The name that a file has while it is not whole."""
    return path.with_name(f"{path.name}.part")


def check_disk(path: Path, needed: int) -> None:
    """Makes sure that ``needed`` bytes fit beside ``path``.

    Raises:
        OutputError: there is too little room.
    """
    part = part_of(path)
    # What a killed process left is overwritten.
    with suppress(OSError):
        part.unlink(missing_ok=True)
    free = shutil.disk_usage(path.parent).free
    needed += SPARE_BYTES
    if free < needed:
        raise OutputError(
            f"{path.parent} has {free / 1e9:,.1f} GB free, and {needed / 1e9:,.1f} GB are needed",
            hint="free some space, name a file on another disk, or take a smaller type",
        )


def disk_error(path: Path, error: OSError) -> OutputError:
    """The error to show for ``error``, met while writing ``path``."""
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return OutputError(f"the disk is full: {path} could not be written", hint="free some space")
    return OutputError(f"{path} could not be written: {error.strerror or error}", hint="name another file")


def _write_header(
    path: Path, architecture: str, keys: Mapping[str, KeyValue], tensors: list[PlannedTensor]
) -> None:
    # Its notes on byte order and duplicates are of no use to anybody.
    logging.getLogger("gguf").setLevel(logging.ERROR)
    writer = gguf.GGUFWriter(path, architecture)
    for key, value in keys.items():
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        elif isinstance(value, str):
            writer.add_string(key, value)
        else:
            writer.add_array(key, value)
    for tensor in tensors:
        writer.add_tensor_info(
            tensor.name,
            tensor.shape,
            numpy.dtype(numpy.float32),
            tensor.size,
            raw_dtype=GGML_TYPES[tensor.type],
        )
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
    except UnicodeEncodeError as error:
        # JSON can escape halves of characters, which UTF-8 does not have.
        raise CheckpointError(
            f"the checkpoint has a text that is no Unicode: {error.object[:60]!r}",
            hint="its tokenizer's files are damaged: download them again",
        ) from error
    finally:
        writer.close()
