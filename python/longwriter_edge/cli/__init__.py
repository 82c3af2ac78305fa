"""The command line: parses, calls one library function, renders.

Nothing heavy is imported before a command runs, so that ``--help`` is instant.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from longwriter_edge.cli.batch import batch
from longwriter_edge.cli.convert import convert
from longwriter_edge.cli.exit_codes import ExitCode, exit_code
from longwriter_edge.cli.inspect import inspect
from longwriter_edge.cli.plan import plan
from longwriter_edge.cli.quantize import quantize
from longwriter_edge.cli.resume import resume
from longwriter_edge.cli.write import write
from longwriter_edge.errors import LongWriterError, OutputError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="longwriter-edge", prog_name="longwriter-edge")
def group() -> None:
    """Write long documents offline, on your own machine.

    A document is planned first and then written section by section, with a model in a GGUF file. What
    is written is kept all the time: a run that was interrupted goes on with "longwriter-edge resume".
    """


group.add_command(write)
group.add_command(batch)
group.add_command(plan)
group.add_command(resume)
group.add_command(convert)
group.add_command(inspect)
group.add_command(quantize)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits with its code."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code; errors go to stderr."""
    for stream in (sys.stdout, sys.stderr):
        # A character that the terminal's encoding does not have must not end a night's work.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        result = group.main(args=arguments, prog_name="longwriter-edge", standalone_mode=False)
    except click.ClickException as error:
        error.show(sys.stderr)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except LongWriterError as error:
        show_error(error)
        return exit_code(error)
    except BrokenPipeError:
        show_error(OutputError("the reader of the output went away"))
        return ExitCode.FAILED
    finally:
        _flush_or_drop_stdout()
    return int(result or ExitCode.DONE)


def _flush_or_drop_stdout() -> None:
    """Keeps Python from complaining at exit when the reader of standard output has gone away."""
    try:
        sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def show_error(error: LongWriterError) -> None:
    """What failed and what to try, on stderr; no control character of a file name or a model gets out."""
    from longwriter_edge.render.sanitize import safe

    click.echo(f"Error: {safe(str(error))}", err=True)
    if error.hint:
        click.echo(f"Hint: {safe(error.hint)}", err=True)
