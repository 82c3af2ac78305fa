"""A lock between processes that ends with its process, however that ends."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from types import TracebackType

# The first creates the file, the second locks it; more are only needed while others come and go.
_ATTEMPTS = 20


class FileLock:
    """Holds an exclusive SQLite transaction on an empty file.

    SQLite's locks are the operating system's (fcntl or LockFileEx), so a killed process leaves at most
    the file, which means nothing by itself. Unlike with plain fcntl, a second lock in the same process is
    refused too, and closing it does not release the first.

    Args:
        path: The file; created, and removed by :meth:`release`. Its directory has to exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def acquire(self) -> bool:
        """Takes the lock at once, or returns ``False`` if it is held.

        Raises:
            OSError: the file cannot be created or locked.
        """
        failure: sqlite3.Error | None = None
        for _ in range(_ATTEMPTS):
            before = self._identity()
            try:
                connection = self._begin()
            except sqlite3.Error as error:
                if "locked" in str(error):
                    return False
                # It may have been removed under SQLite's hands.
                failure = error
                continue
            # The last holder may have removed the file after it was opened here, and the next one would
            # lock a new file. Only a file that was there before and still is can be the one that is locked.
            if before is not None and before == self._identity():
                self._connection = connection
                return True
            connection.close()
        if failure is not None:
            raise OSError(f"cannot lock {self._path}: {failure}") from failure
        return False

    def release(self) -> None:
        """Gives the lock back. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if os.name == "nt":
            # Windows removes no open file, and so none that another process has opened meanwhile.
            connection.close()
            self._remove()
        else:
            # Removed while it is locked: afterwards it could be the next holder's.
            self._remove()
            connection.close()

    def __enter__(self) -> FileLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _begin(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=0.0, isolation_level=None, check_same_thread=False)
        try:
            # Without a journal beside the file, which a killed process would leave there too.
            connection.execute("PRAGMA journal_mode = MEMORY")
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _identity(self) -> tuple[int, int, int] | None:
        """What tells the file from one that is created after it; nothing is ever written to either."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        # The number of a removed file may be given to the next one (ext4 does), but not its time.
        return found.st_dev, found.st_ino, found.st_ctime_ns

    def _remove(self) -> None:
        with suppress(OSError):
            self._path.unlink()
