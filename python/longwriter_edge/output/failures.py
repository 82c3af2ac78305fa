"""Turns what the operating system reports into output errors that say what to do."""

from __future__ import annotations

import errno

from longwriter_edge.errors import OutputError

# EDQUOT is missing on Windows.
_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


def write_error(what: str, error: OSError) -> OutputError:
    """The error to show for ``error``, met while writing ``what``."""
    if error.errno in _FULL:
        return OutputError(
            f"the disk is full: {what} could not be written. Text that the store had saved before is safe",
            hint="free some space, then resume the run",
        )
    return OutputError(
        f"{what} could not be written: {error.strerror or error}",
        hint="the store keeps the text that it has saved; resume the run to write it again",
    )
