"""``longwriter-edge quantize``: smaller GGUF files, with llama.cpp's own quantization."""

from __future__ import annotations

import re
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from longwriter_edge.cli.exit_codes import ExitCode
from longwriter_edge.errors import InputError

if TYPE_CHECKING:
    from longwriter_edge.convert.quantize import Estimate

# What a source's name ends with is not part of the name of what is made from it.
_SOURCE_TYPE = re.compile(r"[-.](bf16|f16|f32|q8_0)$", re.IGNORECASE)


@click.command()
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.option("-t", "--types", required=True, help="Types to make, such as Q4_K_M or Q4_K_M,Q5_K_M.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The file, or the directory for files named NAME-TYPE.gguf. Default: beside the source.",
)
@click.option(
    "--imatrix", type=click.Path(path_type=Path), help="Importance matrix in llama.cpp's GGUF format."
)
@click.option(
    "--tensor-type", multiple=True, metavar="PATTERN=TYPE", help="Type of tensors whose name has the pattern."
)
@click.option("--output-type", help="Type of the output matrix, such as Q8_0.")
@click.option("--embedding-type", help="Type of the token embedding.")
@click.option("--keep-split", is_flag=True, help="Write as many parts as the source has.")
@click.option("--pure", is_flag=True, help="Give all tensors the same type.")
@click.option("--requantize", is_flag=True, help="Take a source that is quantized already; quality suffers.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads. Default: all cores.")
@click.option("--dry-run", is_flag=True, help="Say how large the files would be, and write none.")
@click.option("--force", is_flag=True, help="Replace files that exist.")
@click.option("-q", "--quiet", is_flag=True, help="Show errors only.")
def quantize(
    source: Path,
    types: str,
    output: Path | None,
    imatrix: Path | None,
    tensor_type: tuple[str, ...],
    output_type: str | None,
    embedding_type: str | None,
    keep_split: bool,
    pure: bool,
    requantize: bool,
    threads: int | None,
    dry_run: bool,
    force: bool,
    quiet: bool,
) -> int:
    """Make quantized files of a GGUF file, or of the checkpoint in a directory.

    A checkpoint is converted once, into a file that is removed at the end.
    """
    from longwriter_edge.convert import quantize as library
    from longwriter_edge.render.transfer import TransferLine

    options = library.Options(
        imatrix=imatrix,
        tensor_types=tuple(_pattern(each) for each in tensor_type),
        output_type=output_type,
        embedding_type=embedding_type,
        keep_split=keep_split,
        pure=pure,
        requantize=requantize,
        threads=threads or 0,
    )
    names = [each.strip().upper() for each in types.split(",") if each.strip()]
    if not names:
        raise InputError("no type was given", hint="for example --types Q4_K_M")
    if dry_run:
        if source.is_dir():
            raise InputError(f"{source} is a checkpoint", hint="convert it first, or leave --dry-run out")
        _announce(library.estimate(source, names, options))
        return ExitCode.DONE
    targets = [(name, _target(source, output, name, len(names))) for name in names]

    def announce(estimates: list[Estimate]) -> None:
        line.close()
        if not quiet:
            _announce(estimates)

    def progress(done: int, total: int, name: str) -> None:
        line.say(f"tensor {done + 1} of {total}, {done / max(total, 1):.0%}  {name}")

    with closing(TransferLine(sys.stderr, quiet=quiet)) as line:
        if source.is_dir():
            library.quantize_checkpoint(
                source,
                targets,
                options,
                force=force,
                announce=announce,
                converting=line.update,
                progress=progress,
            )
        else:
            library.quantize(source, targets, options, force=force, announce=announce, progress=progress)
    if not quiet:
        from longwriter_edge.render.sanitize import safe_line

        for _, path in targets:
            click.echo(f"Written: {safe_line(str(path))}", err=True)
    return ExitCode.DONE


def _announce(estimates: list[Estimate]) -> None:
    for each in estimates:
        size = f"{each.size / 1e9:.2f} GB, {each.bits_per_weight:.2f} bits a weight"
        click.echo(f"{each.type}: {size}", err=True)
    total = sum(each.size for each in estimates) / 1e9
    click.echo(f"Needed: {total:.2f} GB of disk, and up to 0.5 GB of memory for buffers", err=True)


def _target(source: Path, output: Path | None, name: str, count: int) -> Path:
    if output is not None and not output.is_dir():
        if count > 1:
            raise InputError(f"{output} can take one type of {count}", hint="give a directory that exists")
        return output
    stem = source.resolve().name if source.is_dir() else source.stem
    folder = output if output is not None else source.resolve().parent
    return folder / f"{_SOURCE_TYPE.sub('', stem)}-{name}.gguf"


def _pattern(text: str) -> tuple[str, str]:
    pattern, equals, name = text.rpartition("=")
    if not (pattern and equals and name):
        raise InputError(f"{text!r} is no PATTERN=TYPE", hint="for example --tensor-type ffn_down=Q6_K")
    return pattern, name
