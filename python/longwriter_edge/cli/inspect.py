"""``longwriter-edge inspect``: says what a GGUF file is."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from longwriter_edge.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from longwriter_edge.convert.inspection import Inspection


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object, with the whole chat template.")
def inspect(file: Path, as_json: bool) -> int:
    """Say what a GGUF file is: architecture, types, context, tokenizer, prompts, memory.

    Only the header is read.
    """
    from longwriter_edge.convert import inspection

    found = inspection.inspect(file)
    if as_json:
        click.echo(json.dumps(asdict(found)))
        return ExitCode.DONE
    from longwriter_edge.render.sanitize import safe_line

    for label, value in _lines(found):
        click.echo(f"{label:<14}{safe_line(value)}")
    return ExitCode.DONE


def _lines(found: Inspection) -> list[tuple[str, str]]:
    size = f"{found.file_bytes / 1e9:.2f} GB, {found.parameters / 1e9:.3f} billion weights"
    lines = [
        ("File", found.path),
        ("Model", found.name or "without a name"),
        ("Architecture", found.architecture),
        ("Size", f"{size}, {found.bits_per_weight:.2f} bits each"),
    ]
    if found.parts > 1:
        lines.append(("Parts", f"{found.parts}, of which this is one"))
    if found.context is not None:
        lines.append(("Context", f"{found.context:,} tokens"))
    if (each := found.kv_bytes_per_token) is not None:
        lines.append(
            ("KV cache", f"{each / 1024:,.1f} KiB a token in F16, {each * 32768 / 2**30:.2f} GiB at 32k")
        )
    tokens = f", {found.tokens:,} tokens" if found.tokens is not None else ""
    lines += [
        ("Tokenizer", (found.tokenizer or "none") + tokens),
        ("Profile", found.profile or "none named; chosen when the model is opened"),
        ("Template", found.chat_template[:70] if found.chat_template else "none"),
    ]
    for kind, types in found.types.items():
        counts = ", ".join(f"{count} {name}" for name, count in types.items())
        lines.append(("" if lines[-1][0] in ("Tensors", "") else "Tensors", f"{kind:<18} {counts}"))
    return lines
