"""``longwriter-edge write``: plans and writes a document, or writes one from a plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from longwriter_edge.cli.exit_codes import ExitCode
from longwriter_edge.cli.options import (
    RequestOptions,
    display_options,
    format_options,
    instruction_options,
    make_request,
    model_options,
    open_model,
    read_instruction,
    read_text,
    store_option,
)
from longwriter_edge.errors import PlanError
from longwriter_edge.length import DEFAULT_TOLERANCE, LEAST_TOLERANCE, MOST_TOLERANCE

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from longwriter_edge._core import Plan
    from longwriter_edge.length import LengthControl
    from longwriter_edge.request import ContextPolicy, Layout, Method


@click.command()
@instruction_options()
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
@click.option(
    "--method",
    type=click.Choice(["agentwrite", "guided", "parallel", "direct"]),
    default="agentwrite",
    show_default=True,
    help="How the document is written: section by section; in one go with set headings; all sections at "
    "the same time; without a plan.",
)
@click.option(
    "--layout",
    type=click.Choice(["turns", "paper"]),
    help="How agentwrite shows the text so far. Default: turns where the prompt format has them.",
)
@click.option(
    "--context-policy",
    type=click.Choice(["fail", "window"]),
    default="fail",
    show_default=True,
    help="A document that outgrows the context: refuse it, or show the model the end of the text only.",
)
@click.option("--context", type=int, help="Most tokens of context to use. Default: what the document needs.")
@click.option(
    "--length-control",
    type=click.Choice(["strict", "soft", "off"]),
    default="strict",
    show_default=True,
    help="How sections are held to their words: within --tolerance; from half to half as much again; as the "
    "model likes.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(LEAST_TOLERANCE, MOST_TOLERANCE),
    default=DEFAULT_TOLERANCE,
    show_default=True,
    help="Share of its words by which a section may miss them with strict.",
)
@model_options()
@format_options()
@store_option()
@display_options()
def write(
    output: Path | None,
    force: bool,
    plan_file: Path | None,
    review: bool,
    method: str,
    layout: str | None,
    context_policy: str,
    context: int | None,
    length_control: str,
    tolerance: float,
    model_path: Path | None,
    gpu_layers: int | None,
    threads: int | None,
    store_path: Path | None,
    as_json: bool,
    quiet: bool,
    **options: Unpack[RequestOptions],
) -> int:
    """Write a long document: plan it, then write it section by section.

    The document goes to --output or standard output as Markdown; progress goes to standard error.
    Ctrl-C saves and says how to go on; a second Ctrl-C ends at once.
    """
    instruction = read_instruction(options["instruction"], options["instruction_file"])
    # Read before the model is loaded: a wrong file should be said at once.
    plan = None if plan_file is None else read_plan(plan_file)

    from longwriter_edge.cli.running import Display, open_output, review_plan, run
    from longwriter_edge.store import Store
    from longwriter_edge.writer import Writer

    display = Display(as_json=as_json, quiet=quiet)
    with (
        open_model(model_path, gpu_layers, threads, quiet=quiet or as_json) as model,
        Store.open(store_path) as store,
    ):
        request = replace(
            make_request(model, options, instruction),
            method=cast("Method", method),
            layout=cast("Layout | None", layout),
            context_policy=cast("ContextPolicy", context_policy),
            context_tokens=context,
            length_control=cast("LengthControl", length_control),
            tolerance=tolerance,
        )
        writer = Writer(model, store)
        with open_output(output, force=force, resumed=False, as_json=as_json) as document:
            if review:
                plan = review_plan(model, request, plan, display)
                if plan is None:
                    return ExitCode.INTERRUPTED
            events = writer.write(request, plan=plan, output=document)
            return run(events, writer.stop, display, store, store_path)


def read_plan(path: Path) -> Plan:
    """The plan in a file.

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
    return plan
