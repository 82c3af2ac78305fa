"""The exit codes of the command line, and which error gives which."""

from __future__ import annotations

from enum import IntEnum

from longwriter_edge.errors import InputError, LongWriterError


class ExitCode(IntEnum):
    """What the shell gets."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    SOME_FAILED = 3
    INTERRUPTED = 130


def exit_code(error: LongWriterError) -> ExitCode:
    """``USAGE`` for what the user typed or wrote into a file, ``FAILED`` for everything else."""
    return ExitCode.USAGE if isinstance(error, InputError) else ExitCode.FAILED
