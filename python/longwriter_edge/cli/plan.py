"""``longwriter-edge plan``: makes a plan that a person can edit."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from longwriter_edge.cli.exit_codes import ExitCode
from longwriter_edge.cli.options import (
    PlanOptions,
    display_options,
    document_options,
    engine_options,
    format_options,
    instruction_options,
    make_engine_settings,
    model_options,
    open_model,
    read_instruction,
    request_choices,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack


@click.command()
@instruction_options()
@document_options()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Write the plan here. Default: standard output.",
)
@click.option("--force", is_flag=True, help="Replace the output file if it exists.")
@model_options()
@engine_options()
@format_options()
@display_options()
def plan(
    output: Path | None,
    force: bool,
    model_path: Path | None,
    gpu_layers: int | None,
    threads: int | None,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **options: Unpack[PlanOptions],
) -> int:
    """Make a plan to edit, then write it with "longwriter-edge write --plan FILE".

    A plan is Markdown: a title, and for each section a heading with its number of words and a sentence
    on what it says.
    """
    instruction = read_instruction(options["instruction"], options["instruction_file"])

    from longwriter_edge.cli.running import Display, make_plan
    from longwriter_edge.output.part_file import PartFile
    from longwriter_edge.request import WriteRequest
    from longwriter_edge.writer import Writer

    display = Display(as_json=as_json, quiet=quiet, verbose=verbose)
    settings = make_engine_settings(options)
    with ExitStack() as stack:
        # Opened first, so that a plan is not made for nothing.
        file = None
        if output is not None:
            file = stack.enter_context(closing(PartFile(output, force=force, resumed=False)))
        model = stack.enter_context(open_model(model_path, gpu_layers, threads, quiet=quiet or as_json))
        request = WriteRequest.of(instruction, **request_choices(model, options))
        made = make_plan(Writer(model, settings=settings), request, display)
        if made is None:
            return ExitCode.INTERRUPTED
        if file is not None:
            file.start(made.to_markdown())
            file.commit()
        elif not as_json:
            click.echo(made.to_markdown(), nl=False)
    return ExitCode.DONE
