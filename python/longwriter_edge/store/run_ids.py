"""The ids of runs: short enough to type, made so that a typing slip is read as it was meant."""

from __future__ import annotations

import re
import secrets

from longwriter_edge.errors import RunNotFoundError

# Crockford's base 32: no i, l, o (read as 1, 1, 0) and no u.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
# 40 random bits: two of 10,000 runs get the same id with a chance of 1 in 20,000, and are then given another.
_LENGTH = 8
_PATTERN = re.compile(f"[{_ALPHABET}]{{{_LENGTH}}}")
_MEANT = str.maketrans("ilo", "110")


def new_run_id() -> str:
    """A new random id. Runs are ordered by the time they were created, which their row holds."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))


def check_run_id(text: str) -> str:
    """The id that ``text`` means, safe to be a part of a file's name.

    Raises:
        RunNotFoundError: it cannot be the id of a run.
    """
    run = text.strip().lower().translate(_MEANT)
    if not _PATTERN.fullmatch(run):
        raise RunNotFoundError(
            f"{text!r} is not the id of a run",
            hint=f"an id has {_LENGTH} letters and digits, like {_ALPHABET[10:14]}{_ALPHABET[4:8]}",
        )
    return run
