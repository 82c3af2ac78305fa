"""The files of a batch: the rows that are written, what is known of them, the failures, the documents.

OUT.jsonl only grows, by whole lines. Beside it stands OUT.jsonl.state, a directory with a store of the runs:
what is complete there and not in OUT.jsonl is written to it again, so a kill at any moment neither loses a
row nor writes it twice.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from longwriter_edge.errors import InputError, OutputError
from longwriter_edge.output.failures import write_error
from longwriter_edge.store import Store
from longwriter_edge.store.lock import FileLock


class RowOutput:
    """Where rows go once their document is whole.

    Args:
        path: The file that grows; ``None`` for a stream.
        stream: Where rows go without a file.
    """

    def __init__(self, path: Path | None, stream: TextIO) -> None:
        self._path = path
        self._stream = stream
        self._file: BinaryIO | None = None

    def open(self) -> set[str]:
        """Takes the file up where an earlier process left it; the ids of the rows that it holds.

        A last line without an end is the rest of a write that was cut short, and is taken away.

        Raises:
            OutputError: the file cannot be read or written.
        """
        if self._path is None:
            return set()
        ids = set()
        with _translated(self._path):
            self._file = self._path.open("ab", buffering=0)
            end = 0
            with self._path.open("rb") as written:
                for line in written:
                    if not line.endswith(b"\n"):
                        break
                    end += len(line)
                    ids.add(_id_of(line))
            self._file.truncate(end)
        return ids

    def write(self, row: Mapping[str, Any]) -> None:
        """Adds a row, all of it or nothing.

        Raises:
            OutputError: it cannot be written, or the reader has gone away.
        """
        if self._path is None:
            self._write_to_stream(row)
            return
        assert self._file is not None
        data = json.dumps(row, ensure_ascii=False).encode() + b"\n"
        with _translated(self._path):
            before = self._file.seek(0, os.SEEK_END)
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[self._file.write(rest) or 0 :]
                os.fsync(self._file.fileno())
            except OSError:
                with suppress(OSError):
                    self._file.truncate(before)
                raise

    def close(self) -> None:
        """Closes the file. Idempotent."""
        if self._file is not None:
            self._file.close()

    def _write_to_stream(self, row: Mapping[str, Any]) -> None:
        encoding = (self._stream.encoding or "").lower().replace("-", "")
        try:
            self._stream.write(json.dumps(row, ensure_ascii=encoding != "utf8") + "\n")
            self._stream.flush()
        except BrokenPipeError as error:
            raise OutputError("the reader of the rows went away") from error
        except OSError as error:
            raise write_error("the output", error) from error


class FailureFile:
    """The rows that failed, with their line and the reason; made anew by each process.

    Args:
        path: The file; ``None`` for none. It is there only while something has failed.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def clear(self) -> None:
        """Takes away what an earlier process found."""
        if self._path is not None:
            with _translated(self._path):
                self._path.unlink(missing_ok=True)

    def write(self, line: int, identity: str, reason: str) -> None:
        """Adds a row that failed."""
        if self._path is None:
            return
        row = {"line": line, "id": identity or None, "reason": reason}
        with _translated(self._path), self._path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


class BatchFiles:
    """All files of one batch, held by one process at a time.

    Attributes:
        output: The finished rows.
        failures: The failed ones.
        store: The runs.
        location: Path of the output file, ``None`` for a stream.
    """

    def __init__(
        self,
        output: RowOutput,
        failures: FailureFile,
        store: Store,
        documents: Path | None,
        location: str | None,
    ) -> None:
        self.output = output
        self.failures = failures
        self.store = store
        self.location = location
        self._documents = documents

    def has_document(self, identity: str) -> bool:
        """Whether there is a file of this document."""
        return self._documents is not None and (self._documents / f"{identity}.md").exists()

    def wants_document(self, identity: str) -> bool:
        """Whether there should be a file of this document, and is none."""
        return self._documents is not None and not self.has_document(identity)

    def save_document(self, identity: str, text: str) -> None:
        """Writes a document to a file of its own, if that is wanted; the id has been checked.

        Raises:
            OutputError: it cannot be written.
        """
        if self._documents is None:
            return
        path = self._documents / f"{identity}.md"
        fresh = self._documents / f".{identity}.md.new"
        with _translated(path):
            try:
                with fresh.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                fresh.replace(path)
            except OSError:
                fresh.unlink(missing_ok=True)
                raise


@contextmanager
def open_files(
    output: Path | None,
    *,
    stdout: TextIO,
    source: Path | None = None,
    failures: Path | None = None,
    documents: Path | None = None,
    force: bool = False,
) -> Iterator[BatchFiles]:
    """Opens the files of a batch, or makes them.

    Args:
        output: The file of finished rows; ``None`` for ``stdout``, which cannot be resumed.
        stdout: Where rows go without a file.
        source: The input, which none of the files may be; ``None`` for standard input.
        failures: The file of failed rows; ``None`` for the output's name with ``.failures``.
        documents: A directory for a Markdown file a document; made if it is missing.
        force: Begin anew, without what an earlier process wrote.

    Raises:
        InputError: a path cannot be used, or the output is not that of a batch.
        OutputError: something cannot be read or written, or another process writes this batch.
        StoreError: the state cannot be used.
    """
    with ExitStack() as stack:
        if output is None:
            with _translated(Path(tempfile.gettempdir())):
                temporary = tempfile.TemporaryDirectory(prefix="longwriter-edge-")
            state = Path(stack.enter_context(temporary))
            _check_failures(failures, source, state, force)
        else:
            # Two names of one file must not have two states.
            output = Path(os.path.realpath(output))
            state = output.with_name(f"{output.name}.state")
            failures = failures or output.with_name(f"{output.stem}.failures{output.suffix or '.jsonl'}")
            _check_output(output, source, state, force)
            if failures.absolute() == output:
                raise InputError(f"{output} cannot take finished rows and failures", hint="name two files")
            _check_failures(failures, source, state, force)
            stack.enter_context(_locked(output, state))
            if force:
                with _translated(output):
                    output.unlink(missing_ok=True)
                    for path in state.glob("runs.sqlite3*"):
                        shutil.rmtree(path) if path.is_dir() else path.unlink()
        if failures is not None:
            with _translated(state):
                (state / _FAILURES_NOTE).write_text(str(failures.absolute()), encoding="utf-8")
        if documents is not None:
            with _translated(documents):
                documents.mkdir(parents=True, exist_ok=True)
        store = stack.enter_context(Store.open(state / "runs.sqlite3"))
        rows = RowOutput(output, stdout)
        stack.callback(rows.close)
        location = None if output is None else str(output)
        yield BatchFiles(rows, FailureFile(failures), store, documents, location)


#: The file of a state that names its file of failures, which may be replaced.
_FAILURES_NOTE = "failures.path"


def _check_failures(failures: Path | None, source: Path | None, state: Path, force: bool) -> None:
    """Refuses a file of failures that is another's."""
    if failures is None:
        return
    _check_not_source(failures, source)
    note = state / _FAILURES_NOTE
    ours = note.exists() and note.read_text(encoding="utf-8") == str(failures.absolute())
    if failures.exists() and not (ours or force):
        raise InputError(
            f"{failures} exists already, and is not of this batch",
            hint="name another file with --failures, or replace it with --force",
        )


def _check_not_source(path: Path, source: Path | None) -> None:
    if source is not None and path.exists() and source.exists() and path.samefile(source):
        raise InputError(f"{path} is the input of the batch", hint="name another file")


def _check_output(output: Path, source: Path | None, state: Path, force: bool) -> None:
    _check_not_source(output, source)
    if not output.parent.is_dir():
        raise InputError(
            f"the directory {output.parent} of the output does not exist", hint="create it first"
        )
    if output.exists() and not output.is_file():
        raise InputError(f"{output} is not a file", hint="name a file")
    if state.exists() or force:
        return
    if output.exists() and output.stat().st_size:
        raise InputError(
            f"{output} exists already, and there is no {state.name} to go on from",
            hint="name another file, or replace it with --force",
        )


@contextmanager
def _locked(output: Path, state: Path) -> Iterator[None]:
    with _translated(state):
        state.mkdir(exist_ok=True)
        lock = FileLock(state / "batch.lock")
        acquired = lock.acquire()
    if not acquired:
        raise OutputError(
            f"another process is writing {output}", hint="wait until it has ended, or name another file"
        )
    with lock:
        yield


def _id_of(line: bytes) -> str:
    """The id of a written row; empty if somebody has changed the line so that it has none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return ""
    return str(found.get("id", "")) if isinstance(found, dict) else ""


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise write_error(str(path), error) from error
