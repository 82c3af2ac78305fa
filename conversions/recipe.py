"""Carries out a recipe: converts a checkpoint once and makes the quantized files that the recipe names."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import closing
from pathlib import Path

from longwriter_edge.convert import conversion, inspection, quantize
from longwriter_edge.errors import LongWriterError
from longwriter_edge.render.transfer import TransferLine


def main(recipe_path: Path, arguments: list[str] | None = None) -> int:
    """Reads directories from the command line and returns the exit code."""
    recipe = json.loads(recipe_path.read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(description=f"Converts {recipe['source']}: {', '.join(recipe['types'])}")
    parser.add_argument("checkpoint", type=Path, help="the directory of the checkpoint")
    parser.add_argument("output", type=Path, help="the directory for the GGUF files")
    parser.add_argument("--keep", action="store_true", help="keep the file before quantizing")
    given = parser.parse_args(arguments)
    try:
        carry_out(recipe, given.checkpoint, given.output, keep=given.keep)
    except LongWriterError as error:
        print(f"Error: {error}\nHint: {error.hint}", file=sys.stderr)
        return 1
    return 0


def carry_out(recipe: dict[str, object], checkpoint: Path, output: Path, *, keep: bool) -> None:
    """Writes OUTPUT/NAME-TYPE.gguf for each type of the recipe."""
    output.mkdir(parents=True, exist_ok=True)
    name = str(recipe["source"]).rsplit("/", 1)[-1]
    whole = output / f"{name}.gguf"
    with closing(TransferLine(sys.stderr)) as line:
        conversion.convert(
            checkpoint,
            whole,
            name=name,
            source=str(recipe["source"]),
            profile=str(recipe["profile"]),
            progress=line.update,
        )
        try:
            found = inspection.inspect(whole).architecture
            if found != recipe["architecture"]:
                raise LongWriterError(f"{checkpoint} is a {found} model", hint="use the other script")
            types = recipe["types"]
            assert isinstance(types, list)
            targets = [(each, output / f"{name}-{each}.gguf") for each in types]
            quantize.quantize(
                whole,
                targets,
                progress=lambda done, total, tensor: line.say(f"tensor {done + 1} of {total}  {tensor}"),
            )
        finally:
            if not keep:
                whole.unlink(missing_ok=True)
