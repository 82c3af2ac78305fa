"""``longwriter-edge resume``: goes on with a run that was interrupted or killed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from longwriter_edge.cli.options import (
    EngineOptions,
    display_options,
    engine_options,
    make_engine_settings,
    model_options,
    open_model,
    store_option,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack


@click.command()
@click.argument("run", required=False)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Write the document here instead of where the run was told to.",
)
@click.option("--force", is_flag=True, help="Replace the output file if it exists.")
@model_options()
@engine_options()
@store_option()
@display_options()
def resume(
    run: str | None,
    output: Path | None,
    force: bool,
    model_path: Path | None,
    gpu_layers: int | None,
    threads: int | None,
    store_path: Path | None,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **options: Unpack[EngineOptions],
) -> int:
    """Go on with RUN where it stopped, inside its section; without RUN, with the latest unfinished one."""
    from longwriter_edge.cli import running
    from longwriter_edge.errors import RunNotFoundError
    from longwriter_edge.store import Store
    from longwriter_edge.writer import Writer

    display = running.Display(as_json=as_json, quiet=quiet, verbose=verbose)
    settings = make_engine_settings(options)
    with Store.open(store_path) as store:
        chosen = run or store.latest_unfinished()
        if chosen is None:
            raise RunNotFoundError(f"no run in {store.path} is unfinished", hint="nothing is left to write")
        record = store.load(chosen)
        config = record.config
        path = model_path or Path(str(config.get("model")))
        where = output or (Path(config["output"]) if config.get("output") else None)
        with (
            open_model(path, gpu_layers, threads, quiet=quiet or as_json) as model,
            running.open_output(
                where, force=force or bool(config.get("force")), resumed=True, as_json=as_json
            ) as document,
        ):
            writer = Writer(model, store, settings=settings)
            events = writer.resume(record.run, output=document)
            return running.run(events, writer.stop, display, store, store_path)
