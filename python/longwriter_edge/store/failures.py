"""Turns SQLite's errors into store errors that say what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from longwriter_edge.errors import StoreError

# Python 3.10 has no error codes, only SQLite's messages (sqlite3ErrStr in its main.c), which have been the
# same for many years.
_CAUSES: tuple[tuple[str, str, str], ...] = (
    (
        "database or disk is full",
        "the disk is full",
        "free some space and resume the run; what was saved before is still there",
    ),
    ("readonly", "it cannot be written", "check the permissions, or use another store with --store FILE"),
    ("locked", "another process is using it for too long", "end that process, or try again later"),
    (
        "disk i/o error",
        "the disk reported an error",
        "check the disk, or use another store with --store FILE",
    ),
    ("malformed", "it is damaged", "restore it from a backup, or use another store with --store FILE"),
    (
        "not a database",
        "it is not a SQLite file",
        "name another file with --store FILE; this one was not changed",
    ),
    (
        "unable to open",
        "it cannot be opened",
        "check that the directory can be written, or use another store with --store FILE",
    ),
)


def store_error(error: sqlite3.Error, path: Path) -> StoreError:
    """The error to show for ``error`` of the store at ``path``."""
    message = str(error)
    for needle, cause, hint in _CAUSES:
        if needle in message.lower():
            return StoreError(f"the store {path} failed: {cause} ({message})", hint=hint)
    return StoreError(f"the store {path} failed: {message}")


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raises :class:`StoreError` for what SQLite raises inside, and for text that it cannot hold."""
    try:
        yield
    except sqlite3.Error as error:
        raise store_error(error, path) from error
    except UnicodeEncodeError as error:
        raise StoreError(
            f"text with the invalid character {error.object[error.start]!r} cannot be kept in {path}",
            hint="give the text in the encoding of your terminal, or from a UTF-8 file",
        ) from error
