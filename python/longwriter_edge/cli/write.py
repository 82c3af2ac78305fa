"""``longwriter-edge write``: plans and writes a document, or writes one from a plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from longwriter_edge.cli.exit_codes import ExitCode
from longwriter_edge.cli.options import (
    WriteOptions,
    display_options,
    document_options,
    engine_options,
    format_options,
    instruction_options,
    make_engine_settings,
    method_choices,
    method_options,
    model_options,
    open_model,
    read_instruction,
    read_text,
    request_choices,
    store_option,
)
from longwriter_edge.errors import PlanError

if TYPE_CHECKING:
    from typing_extensions import Unpack


@click.command()
@instruction_options()
@document_options()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Write the document here; it grows in FILE.part. Default: standard output.",
)
@click.option("--force", is_flag=True, help="Replace the output file if it exists.")
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write from this plan or outline instead of making one.",
)
@click.option("--review", is_flag=True, help="Edit the plan in $EDITOR before it is written.")
@method_options()
@model_options()
@engine_options()
@format_options()
@store_option()
@display_options()
def write(
    output: Path | None,
    force: bool,
    plan_file: Path | None,
    review: bool,
    model_path: Path | None,
    gpu_layers: int | None,
    threads: int | None,
    store_path: Path | None,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **options: Unpack[WriteOptions],
) -> int:
    """Write a long document: plan it, then write it section by section.

    The document goes to --output or standard output as Markdown; progress goes to standard error.
    Ctrl-C saves and says how to go on; a second Ctrl-C ends at once.
    """
    instruction = read_instruction(options["instruction"], options["instruction_file"])
    # Read before the model is loaded: a wrong file should be said at once.
    plan = None if plan_file is None else read_plan(plan_file)

    from longwriter_edge.cli.running import Display, open_output, review_plan, run
    from longwriter_edge.request import WriteRequest
    from longwriter_edge.store import Store
    from longwriter_edge.writer import Writer

    display = Display(as_json=as_json, quiet=quiet, verbose=verbose)
    settings = make_engine_settings(options)
    with (
        open_model(model_path, gpu_layers, threads, quiet=quiet or as_json) as model,
        Store.open(store_path) as store,
    ):
        choices = {**request_choices(model, options), **method_choices(options)}
        request = WriteRequest.of(instruction, **choices, plan=plan)
        writer = Writer(model, store, settings=settings)
        with open_output(output, force=force, resumed=False, as_json=as_json) as document:
            if review:
                reviewed = review_plan(writer, request, display)
                if reviewed is None:
                    return ExitCode.INTERRUPTED
                request = replace(request, plan=reviewed)
            events = writer.stream(request, output=document)
            return run(events, writer.stop, display, store, store_path)


def read_plan(path: Path) -> str:
    """The text of a file that holds a usable plan.

    Raises:
        PlanError: the file holds no plan.
        InputError: it cannot be read.
    """
    from longwriter_edge import _core

    text = read_text(path)
    try:
        plan = _core.Plan.parse(text)
    except ValueError as error:
        raise PlanError(
            f"{path} cannot be used as a plan: {error}",
            hint='write one section a line, such as "1. The harbour: how it was built (300 words)"',
        ) from error
    for note in plan.notes:
        click.echo(f"{path.name}: {note}", err=True)
    return text
