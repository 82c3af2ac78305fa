"""The open SQLite file: transactions, and errors that a person can act on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from longwriter_edge.errors import RunNotFoundError, StoreError
from longwriter_edge.store import schema
from longwriter_edge.store.failures import translated


class Database:
    """The store's file and the few things that all who use it need.

    Attributes:
        path: The file, absolute.
        now: Seconds since the epoch.
    """

    def __init__(self, path: Path, now: Callable[[], float], busy_seconds: float) -> None:
        self.path = path.absolute()
        self.now = now
        try:
            if self.path.is_dir():
                raise StoreError(
                    f"the store {self.path} is a directory", hint="name a file with --store FILE"
                )
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"no store can be created in {self.path.parent}: {error.strerror}",
                hint="use another store with --store FILE",
            ) from error
        with translated(self.path):
            self._connection = sqlite3.connect(
                self.path, timeout=busy_seconds, isolation_level=None, check_same_thread=False
            )
            try:
                schema.prepare(self._connection, self.path)
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        """Closes the file. Idempotent."""
        self._connection.close()

    @contextmanager
    def transaction(self, *, reading: bool = False) -> Iterator[sqlite3.Connection]:
        """All or nothing of what is done inside; with ``reading`` nobody who writes has to wait."""
        with translated(self.path):
            try:
                self._connection.execute("BEGIN DEFERRED" if reading else "BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    # The first error is the one to report; an open transaction ends with the connection too.
                    with suppress(sqlite3.Error):
                        self._connection.execute("ROLLBACK")
                raise

    def rows(self, query: str, values: Sequence[object] | Mapping[str, object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query; outside of a transaction it is one of its own."""
        with translated(self.path):
            return self._connection.execute(query, values).fetchall()

    def touch(self, run: str, **columns: str | None) -> None:
        """Notes that a run was worked on and sets columns of it; their names are never the user's."""
        names = "".join(f", {name} = ?" for name in columns)
        changed = self._connection.execute(
            f"UPDATE runs SET updated = ?{names} WHERE id = ?", (self.now(), *columns.values(), run)
        )
        if not changed.rowcount:
            raise self.not_found(run)

    def not_found(self, run: str) -> RunNotFoundError:
        """The error for a run that is not in the file."""
        return RunNotFoundError(
            f"there is no run {run} in {self.path}",
            hint="check the id, or name the store that it was written to with --store FILE",
        )
