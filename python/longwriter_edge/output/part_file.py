"""A file that grows as FILE.part and becomes FILE when it is whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from longwriter_edge.errors import OutputError
from longwriter_edge.output.failures import write_error
from longwriter_edge.store.lock import FileLock


class PartFile:
    """A file that grows as FILE.part and gets its name at the end.

    The rule for FILE.part: it belongs to the process that holds the lock beside it, FILE.part.lock, which
    ends with that process. The text in it is only a copy of what the store has, so a run that goes on
    writes it anew, whatever a killed process left. A new run does not touch a FILE.part that it finds,
    which may be another program's, unless it is told to.

    Args:
        path: The file. A symbolic link is followed.
        force: Replace ``path``, and for a new run FILE.part, if they exist.
        resumed: The run goes on with a document that an earlier process began.

    Raises:
        OutputError: it can be said now that the file cannot be written.
    """

    def __init__(self, path: Path, *, force: bool, resumed: bool) -> None:
        self._target = Path(os.path.realpath(path))
        self._part = self._target.with_name(f"{self._target.name}.part")
        self._force = force
        self._file: IO[str] | None = None
        self._lock = FileLock(self._part.with_name(f"{self._part.name}.lock"))
        try:
            self._refuse_early(resumed)
            acquired = self._lock.acquire()
        except OSError as error:
            raise OutputError(
                f"nothing can be written in {self._target.parent}: {error}", hint="name another file"
            ) from error
        if not acquired:
            raise OutputError(f"another run is writing {self._part}", hint="name another file")

    @property
    def location(self) -> str:
        """The path of the finished file, absolute."""
        return str(self._target)

    @property
    def replaces(self) -> bool:
        """Whether an existing FILE is replaced."""
        return self._force

    def start(self, text: str) -> None:
        """Writes ``text`` to a new FILE.part that replaces the old one whole, and goes on after it."""
        fresh = self._part.with_name(f"{self._part.name}.new")
        with self._translated():
            try:
                with fresh.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
                    file.write(text)
                fresh.replace(self._part)
            except OSError:
                fresh.unlink(missing_ok=True)
                raise
            self._file = self._part.open("a", encoding="utf-8", errors="replace", newline="\n")

    def write(self, text: str) -> None:
        """Adds ``text``; whoever follows FILE.part sees it at once."""
        with self._translated():
            self._opened().write(text)
            self._opened().flush()

    def commit(self) -> None:
        """Renames FILE.part to FILE.

        Raises:
            OutputError: FILE has appeared meanwhile and may not be replaced, or the disk failed.
        """
        with self._translated():
            file = self._opened()
            file.flush()
            os.fsync(file.fileno())
            file.close()
            if self._target.exists() and not self._force:
                raise OutputError(
                    f"{self._target} appeared while the document was written; it was left alone, and the "
                    f"whole document is in {self._part}",
                    hint=f"move one of them, or resume the run with --force to replace {self._target.name}",
                )
            self._part.replace(self._target)

    def close(self) -> None:
        """Closes FILE.part and lets another run have it. Idempotent."""
        if self._file is not None:
            # What could not be written was reported when it was; the store has it.
            with suppress(OSError):
                self._file.close()
        self._lock.release()

    def _refuse_early(self, resumed: bool) -> None:
        directory = self._target.parent
        if not directory.exists():
            raise OutputError(
                f"the directory {directory} of the output does not exist",
                hint="create it first",
            )
        if not directory.is_dir():
            raise OutputError(f"{directory} is not a directory", hint="name a file in a directory")
        if self._target.is_dir():
            raise OutputError(f"{self._target} is a directory", hint="name a file in it")
        if self._target.exists() and not self._target.is_file():
            raise OutputError(
                f"{self._target} is not a regular file", hint="name a file that can be replaced"
            )
        if self._target.exists() and not self._force:
            raise OutputError(
                f"{self._target} exists already", hint="name another file, or replace it with --force"
            )
        if self._part.exists() and not self._part.is_file():
            raise OutputError(
                f"{self._part} is in the way: it is not a file", hint="name another output file"
            )
        if self._part.exists() and not (self._force or resumed):
            raise OutputError(
                f"{self._part} exists already: another run has begun to write {self._target.name}",
                hint="resume that run, name another file, or start over with --force",
            )

    def _opened(self) -> IO[str]:
        if self._file is None:
            raise OutputError(f"{self._part} was not begun")
        return self._file

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise write_error(str(self._part), error) from error
