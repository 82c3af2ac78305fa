"""``longwriter-edge batch``: writes many documents, one for each row of a JSON Lines file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from longwriter_edge.cli.options import (
    BatchOptions,
    display_options,
    document_options,
    engine_options,
    format_options,
    make_engine_settings,
    method_choices,
    method_options,
    model_options,
    open_model,
    request_choices,
    sampling_settings,
)
from longwriter_edge.errors import InputError

if TYPE_CHECKING:
    from typing_extensions import Unpack


@click.command()
@click.argument("source", metavar="IN.jsonl", type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, allow_dash=True),
    help="Write the finished rows here. Default: standard output, which cannot be resumed.",
)
@click.option(
    "--out-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write each document to DIR/ID.md too.",
)
@click.option(
    "--failures",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the rows that failed here. Default: OUT.failures.jsonl.",
)
@click.option("--force", is_flag=True, help="Begin anew: forget what was written before.")
@click.option("--ordered", is_flag=True, help="Rows come out in the order of the input.")
@click.option("--limit", type=click.IntRange(min=1), help="Use the first N rows only.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first row that fails.")
@document_options()
@method_options()
@model_options()
@engine_options()
@format_options()
@display_options()
def batch(
    source: Path,
    output: Path | None,
    out_dir: Path | None,
    failures: Path | None,
    force: bool,
    ordered: bool,
    limit: int | None,
    fail_fast: bool,
    model_path: Path | None,
    gpu_layers: int | None,
    threads: int | None,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **options: Unpack[BatchOptions],
) -> int:
    """Write a document for each row of IN.jsonl; - is standard input.

    A row is a JSON object: "prompt", and if wanted "id", "words" (or "length"), "plan", "method" and sampling
    settings; options hold for rows that say nothing else. LongWriter's instructions.jsonl and plan.jsonl can
    be used as they are. Each finished document becomes a row of the output. After an interruption of any
    kind the same command goes on.
    """
    target = None if output is None or str(output) == "-" else output
    if as_json and target is None:
        raise click.UsageError("--json writes events to standard output; name a file for the rows with -o.")

    from longwriter_edge.batch.files import open_files
    from longwriter_edge.batch.rows import Defaults, read_rows
    from longwriter_edge.batch.runner import Batch
    from longwriter_edge.cli.running import Display, run_batch

    display = Display(as_json=as_json, quiet=quiet, verbose=verbose)
    settings = make_engine_settings(options)
    with (
        _opened(source) as stream,
        open_model(model_path, gpu_layers, threads, quiet=quiet or as_json) as model,
        open_files(
            target,
            stdout=sys.stdout,
            source=None if str(source) == "-" else source,
            failures=failures,
            documents=out_dir,
            force=force,
        ) as files,
    ):
        defaults = Defaults(
            choices={**request_choices(model, options), **method_choices(options)},
            sampling=sampling_settings(model, options),
            file_names=out_dir is not None,
        )
        # Read here, where Ctrl-C ends a wait for more of a pipe at once.
        rows = list(read_rows(stream, defaults, limit))
        job = Batch(
            model,
            files,
            settings=settings,
            ordered=ordered,
            fail_fast=fail_fast,
            partial=limit is not None,
            replace=force,
        )
        return run_batch(job, rows, display, resumable=target is not None)


@contextmanager
def _opened(source: Path) -> Iterator[BinaryIO]:
    """The input as bytes."""
    if str(source) == "-":
        yield sys.stdin.buffer
        return
    try:
        stream = source.open("rb")
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror or error}") from error
    with stream:
        yield stream
