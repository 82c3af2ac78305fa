"""Makes quantized GGUF files with llama.cpp's own quantization."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, TypeAlias

import gguf

from longwriter_edge import library
from longwriter_edge.convert import conversion, imatrix
from longwriter_edge.convert.gguf_file import check_disk, check_target, part_of, reserved
from longwriter_edge.convert.inspection import inspect
from longwriter_edge.errors import InputError, ModelError

#: Takes the number of tensors done and in all, and the name of the one at work.
Progress: TypeAlias = Callable[[int, int, str], None]

_PREFIX = "LLAMA_FTYPE_"
_TENSOR_LINE = re.compile(r"\[\s*(\d+)/\s*(\d+)\]\s+(\S+)")
_SIZE_LINE = re.compile(r"quant size\s*=\s*([\d.]+) MiB \(([\d.]+) BPW\)")
# ggml_log_level in ggml.h.
_ERROR = 4


@dataclass(frozen=True, slots=True)
class Options:
    """What llama.cpp is asked for beside the type.

    Attributes:
        imatrix: A file of importances.
        tensor_types: Patterns of tensor names, each with a type; the first that is found in a name counts.
        output_type: Type of the output matrix.
        embedding_type: Type of the embedding.
        keep_split: Write as many parts as the source has.
        pure: Give all tensors the same type.
        requantize: Take a source that is quantized already.
        threads: 0 for all cores.
    """

    imatrix: Path | None = None
    tensor_types: tuple[tuple[str, str], ...] = ()
    output_type: str | None = None
    embedding_type: str | None = None
    keep_split: bool = False
    pure: bool = False
    requantize: bool = False
    threads: int = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a file will be: its type, bytes of its tensors, bits a weight."""

    type: str
    size: int
    bits_per_weight: float


def types() -> dict[str, int]:
    """llama.cpp's file types by name, from the installed version.

    Raises:
        LibraryError: llama-cpp-python is missing or outside the tested range.
    """
    found = {}
    for name, value in vars(library.load()).items():
        if name.startswith(_PREFIX) and isinstance(value, int) and name != f"{_PREFIX}GUESSED":
            found[name.removeprefix(_PREFIX).removeprefix("MOSTLY_").removeprefix("ALL_")] = value
    return found


def estimate(source: Path, names: Sequence[str], options: Options) -> list[Estimate]:
    """What each type would give; nothing is written.

    Raises:
        InputError: a type, pattern or importance matrix cannot be used.
        ModelError: llama.cpp refuses the source.
    """
    inspect(source)
    estimates = []
    for name in names:
        sizes = _SIZE_LINE.search(_run(_order(source, source, name, options, dry_run=True), None))
        if sizes is None:
            raise ModelError(f"llama.cpp did not tell the size of {source} in {name}")
        estimates.append(Estimate(name, int(float(sizes[1]) * 2**20), float(sizes[2])))
    return estimates


def quantize(
    source: Path,
    targets: Sequence[tuple[str, Path]],
    options: Options | None = None,
    *,
    force: bool = False,
    announce: Callable[[list[Estimate]], None] | None = None,
    progress: Progress | None = None,
) -> None:
    """Writes a file of each type. Each has the name FILE.part until it is whole.

    Args:
        source: The GGUF file; of a split model its first part.
        targets: Types, each with its file.
        options: What else is asked for.
        force: Replace files that exist.
        announce: Told what will be written, before the start.
        progress: Told of every tensor.

    Raises:
        InputError: an argument cannot be used.
        ModelError: llama.cpp refuses the source.
        OutputError: a file cannot be written, or the disk has too little room.
    """
    options = options or Options()
    if any(path.resolve() == source.resolve() for _, path in targets):
        raise InputError(f"{source} would replace itself", hint="name another file")
    with ExitStack() as stack:
        for _, path in targets:
            stack.enter_context(reserved(path, force=force))
        estimates = estimate(source, [name for name, _ in targets], options)
        if targets:
            check_disk(targets[0][1], sum(each.size for each in estimates))
        if announce is not None:
            announce(estimates)
        for name, path in targets:
            _write(source, name, path, options, progress)


def quantize_checkpoint(
    directory: Path,
    targets: Sequence[tuple[str, Path]],
    options: Options | None = None,
    *,
    force: bool = False,
    announce: Callable[[list[Estimate]], None] | None = None,
    converting: conversion.Progress | None = None,
    progress: Progress | None = None,
) -> None:
    """Like :func:`quantize` from a checkpoint, by way of one GGUF file that is removed at the end.

    Raises:
        CheckpointError: the checkpoint cannot be converted; and the errors of :func:`quantize`.
    """
    first = targets[0][1]
    intermediate = first.with_name(f"{first.stem}-intermediate.gguf")
    for path in (intermediate, *(path for _, path in targets)):
        check_target(path, force=force and path != intermediate)
    try:
        conversion.convert(directory, intermediate, progress=converting)
        quantize(intermediate, targets, options, force=force, announce=announce, progress=progress)
    finally:
        intermediate.unlink(missing_ok=True)


def _write(source: Path, name: str, path: Path, options: Options, progress: Progress | None) -> None:
    part = part_of(path)
    split = options.keep_split and inspect(source).parts > 1
    # llama.cpp adds the number of the part to the name.
    target = part.with_name(f"{path.stem}.part") if split else part
    options = options if split else replace(options, keep_split=False)

    def written() -> list[Path]:
        return (
            sorted(target.parent.glob(f"{_escaped(target.name)}-?????-of-?????.gguf")) if split else [target]
        )

    try:
        _run(_order(source, target, name, options, dry_run=False), progress)
        for each in written():
            each.replace(each.with_name(each.name.replace(target.name, path.stem, 1)) if split else path)
    finally:
        for each in written():
            with suppress(OSError):
                each.unlink(missing_ok=True)


def _escaped(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


def _order(source: Path, target: Path, name: str, options: Options, *, dry_run: bool) -> dict[str, Any]:
    known = types()
    if name not in known:
        raise InputError(f"there is no type {name!r}", hint=f"use one of {', '.join(known)}")
    if options.imatrix is not None:
        imatrix.read(options.imatrix)
    return {
        "source": str(source),
        "target": str(target),
        "file_type": known[name],
        "threads": options.threads,
        "keep_split": options.keep_split,
        "dry_run": dry_run,
        "pure": options.pure,
        "requantize": options.requantize,
        "output_type": _tensor_type(options.output_type),
        "embedding_type": _tensor_type(options.embedding_type),
        "tensor_types": [(pattern, _tensor_type(each)) for pattern, each in options.tensor_types],
        "imatrix": None if options.imatrix is None else str(options.imatrix),
    }


def _tensor_type(name: str | None) -> int | None:
    if name is None:
        return None
    if name.upper() not in gguf.GGMLQuantizationType.__members__:
        raise InputError(
            f"there is no tensor type {name!r}",
            hint=f"use one of {', '.join(gguf.GGMLQuantizationType.__members__)}",
        )
    return int(gguf.GGMLQuantizationType[name.upper()])


def _run(order: dict[str, Any], progress: Progress | None) -> str:
    """Runs llama.cpp's quantization in a process of its own and returns its log."""
    process = subprocess.Popen(
        [sys.executable, "-m", "longwriter_edge.convert.quantize_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        # Ctrl-C reaches this process alone, which then ends the other.
        start_new_session=True,
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        log, errors = _follow(process.stdout, progress)
        code = process.wait()
        if code != 0:
            assert process.stderr is not None
            said = errors or process.stderr.read().strip().splitlines()[-1:]
            reasons = "".join(f"\n  llama.cpp: {line}" for line in said)
            raise ModelError(
                f"llama.cpp cannot quantize {order['source']}{reasons}",
                hint="types of very few bits need an importance matrix (--imatrix); sources that are "
                "quantized already need --requantize",
            )
        return log
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def _follow(lines: IO[str], progress: Progress | None) -> tuple[str, list[str]]:
    log, errors = [], []
    for line in lines:
        level, text = json.loads(line)
        log.append(text)
        if level == _ERROR and text.strip(" =\n"):
            errors.append(text.strip())
        tensor = _TENSOR_LINE.search(text)
        if tensor is not None and progress is not None:
            progress(int(tensor[1]) - 1, int(tensor[2]), tensor[3])
    return "".join(log), errors
