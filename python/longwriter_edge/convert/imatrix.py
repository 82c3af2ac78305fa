"""Reads importance matrices in llama.cpp's GGUF format (tools/imatrix): what each input column weighs."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy
import numpy.typing

from longwriter_edge.errors import InputError

_SUMS, _COUNTS = ".in_sum2", ".counts"


def read(path: str | Path) -> dict[str, numpy.typing.NDArray[numpy.float32]]:
    """The mean square of each input column, by the name of the weight.

    Raises:
        InputError: the file is no importance matrix, or is damaged.
    """
    try:
        reader = gguf.GGUFReader(path)
        kind = reader.fields.get("general.type")
        if kind is None or kind.contents() != "imatrix":
            raise InputError(f"{path} is no importance matrix", hint="make one with llama-imatrix, as GGUF")
        tensors = {tensor.name: tensor.data for tensor in reader.tensors}
    except (OSError, ValueError, IndexError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is no importance matrix in GGUF: {error}") from error
    matrix = {}
    for name, sums in tensors.items():
        if not name.endswith(_SUMS):
            continue
        weight = name.removesuffix(_SUMS)
        counts = tensors.get(weight + _COUNTS)
        if counts is None or counts.size == 0 or sums.size % counts.size:
            raise InputError(f"{path}: {weight} has no fitting counts")
        # One count for each expert; one that was never used weighs all its columns alike.
        rows = numpy.asarray(sums, numpy.float32).reshape(counts.size, -1)
        each = numpy.asarray(counts, numpy.float32).reshape(-1, 1)
        means = numpy.where(each > 0, rows / numpy.maximum(each, 1), numpy.float32(1))
        if not numpy.isfinite(means).all():
            raise InputError(f"{path}: {weight} has values that are NaN or infinite")
        matrix[weight] = numpy.ascontiguousarray(means.ravel(), numpy.float32)
    if not matrix:
        raise InputError(f"{path} weighs no tensors")
    return matrix
