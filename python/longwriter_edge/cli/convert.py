"""``longwriter-edge convert``: a checkpoint becomes a GGUF file."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import click

from longwriter_edge.cli.exit_codes import ExitCode


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="The GGUF file to write."
)
@click.option(
    "--type",
    "output_type",
    type=click.Choice(["bf16", "f16", "f32", "q8_0"], case_sensitive=False),
    help="What weights are stored in. Default: what the checkpoint has them in.",
)
@click.option("--name", help="Name of the model. Default: from its card, else the directory's name.")
@click.option("--source", help="Address of the checkpoint, to be kept in the file.")
@click.option("--profile", help="Prompt format to name in the file. Default: by the checkpoint's names.")
@click.option("--pre", help="llama.cpp's name of how text is split. Default: found out.")
@click.option("--force", is_flag=True, help="Replace the output file if it exists.")
@click.option("-q", "--quiet", is_flag=True, help="Show warnings and errors only.")
def convert(
    checkpoint: Path,
    output: Path,
    output_type: str | None,
    name: str | None,
    source: str | None,
    profile: str | None,
    pre: str | None,
    force: bool,
    quiet: bool,
) -> int:
    """Convert the checkpoint in a directory (safetensors) to a GGUF file.

    No code of the checkpoint is run, and torch is not needed. Weights are read and written in small
    parts, so a model may be larger than the memory.
    """
    from longwriter_edge.convert import conversion
    from longwriter_edge.render.sanitize import safe_line
    from longwriter_edge.render.transfer import TransferLine

    wanted = next((each for each in conversion.TYPES if each == (output_type or "").upper()), None)
    with closing(TransferLine(sys.stderr, quiet=quiet)) as line:
        result = conversion.convert(
            checkpoint,
            output,
            output_type=wanted,
            pre=pre,
            name=name,
            source=source,
            profile=profile,
            force=force,
            progress=line.update,
        )
    for warning in result.warnings:
        click.echo(f"Warning: {safe_line(warning)}", err=True)
    if not quiet:
        profile_note = f", profile {result.profile}" if result.profile else ""
        click.echo(
            f"Written: {safe_line(str(result.path))}, {result.size / 1e9:.2f} GB, {result.type}, "
            f"{result.parameters / 1e9:.2f} billion weights{profile_note}",
            err=True,
        )
    return ExitCode.DONE
