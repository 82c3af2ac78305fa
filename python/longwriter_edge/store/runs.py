"""Runs in the store: created, planned, found again, locked; their text goes through texts.py."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from longwriter_edge.errors import RunLockedError, StoreError
from longwriter_edge.events import NAMES, Event, SectionPlan, to_json
from longwriter_edge.store.connection import Database
from longwriter_edge.store.lock import FileLock
from longwriter_edge.store.records import EventRecord, RunRecord, RunStatus, RunSummary, SectionRecord
from longwriter_edge.store.run_ids import check_run_id, new_run_id
from longwriter_edge.store.texts import SectionKeeper, SectionTexts

#: How long a statement waits for another process that is writing, in seconds.
BUSY_SECONDS = 5.0


def default_path() -> Path:
    """The store where none is named: LONGWRITER_EDGE_STORE, else a file in the user's data directory."""
    named = os.environ.get("LONGWRITER_EDGE_STORE")
    if named:
        return Path(named).expanduser()
    import platformdirs

    return platformdirs.user_data_path("longwriter-edge", appauthor=False) / "runs.sqlite3"


class Store:
    """An open store. One thread at a time may use it; several processes may open the same file.

    Every method raises :class:`StoreError` if the file cannot be read or written, with nothing half
    written; unsaved text then still waits for the next flush. Methods that take the id of a run raise
    :class:`RunNotFoundError` if there is none with it.

    Args:
        path: The SQLite file, created if it is missing; ``None`` for :func:`default_path`.
        clock: Measures how long text has waited, in seconds.
        now: Seconds since the epoch, for the times that are stored.
        busy_seconds: How long to wait for another process that is writing.

    Raises:
        StoreError: the file cannot be created or opened, or is not a store that this version reads.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        busy_seconds: float = BUSY_SECONDS,
    ) -> None:
        self._database = Database(default_path() if path is None else Path(path), now, busy_seconds)
        self._texts = SectionTexts(self._database, clock)

    @classmethod
    def open(cls, path: str | os.PathLike[str] | None = None) -> Store:
        """The store at ``path`` or :func:`default_path`, with the system's clocks."""
        return cls(path)

    @property
    def path(self) -> Path:
        """The store's file, absolute."""
        return self._database.path

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Saves the text that waits and closes the file. Idempotent."""
        try:
            self._texts.flush()
        finally:
            self._database.close()

    def create_run(self, instruction: str, config: Mapping[str, Any]) -> str:
        """Stores a new run, ``planning``, and returns its id.

        Args:
            instruction: What the user asked for.
            config: All that is needed to go on with it; has to be JSON.
        """
        row = ("planning", self._database.now(), self._database.now(), instruction, json.dumps(dict(config)))
        with self._database.transaction() as connection:
            while True:
                run = new_run_id()
                added = connection.execute(
                    "INSERT INTO runs (id, status, created, updated, instruction, config)"
                    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
                    (run, *row),
                )
                if added.rowcount:
                    return run

    def save_plan(self, run: str, title: str, sections: Sequence[SectionPlan]) -> None:
        """Stores the plan of a run, in place of the one before if no section has text yet.

        Raises:
            StoreError: a section has text.
        """
        run = check_run_id(run)
        self._texts.flush()
        rows = [
            (run, number, section.title, section.point, section.words, section.repeats)
            for number, section in enumerate(sections)
        ]
        with self._database.transaction() as connection:
            self._database.touch(run, title=title)
            connection.execute("DELETE FROM sections WHERE run = ?", (run,))
            connection.executemany(
                "INSERT INTO sections (run, number, title, point, words, repeats) VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )

    def set_status(self, run: str, status: RunStatus, error: str | None = None) -> None:
        """Stores how the run stands, and what it failed with."""
        with self._database.transaction():
            self._database.touch(check_run_id(run), status=status, error=error)

    def load(self, run: str) -> RunRecord:
        """The run as it is stored; text that waits is saved first."""
        run = check_run_id(run)
        self._texts.flush()
        with self._database.transaction(reading=True):
            found = self._database.rows(
                "SELECT status, created, updated, instruction, config, title, error FROM runs WHERE id = ?",
                (run,),
            )
            if not found:
                raise self._database.not_found(run)
            rows = self._database.rows(
                "SELECT number, title, point, words, repeats, reason FROM sections"
                " WHERE run = ? ORDER BY number",
                (run,),
            )
            sections = []
            for number, heading, point, words, repeats, reason in rows:
                text, tokens = self._texts.content(run, number)
                sections.append(SectionRecord(number, heading, point, words, repeats, text, tokens, reason))
        status, created, updated, instruction, config, title, error = found[0]
        return RunRecord(
            run,
            status,
            _utc(created),
            _utc(updated),
            instruction,
            self._json(config),
            title,
            error,
            tuple(sections),
        )

    def runs(self, limit: int) -> list[RunSummary]:
        """The ``limit`` newest runs, newest first."""
        rows = self._database.rows(
            "SELECT id, status, created, updated, instruction, runs.title, count(number), count(reason)"
            " FROM runs LEFT JOIN sections ON run = id"
            " GROUP BY id ORDER BY created DESC, runs.rowid DESC LIMIT ?",
            (limit,),
        )
        return [RunSummary(row[0], row[1], _utc(row[2]), _utc(row[3]), *row[4:]) for row in rows]

    def configs(self) -> Iterator[tuple[str, RunStatus, dict[str, Any]]]:
        """Id, status and config of every run, oldest first."""
        for run, status, config in self._database.rows("SELECT id, status, config FROM runs ORDER BY rowid"):
            yield run, status, self._json(config)

    def latest_unfinished(self) -> str | None:
        """The run that was worked on last and is not complete."""
        found = self._database.rows(
            "SELECT id FROM runs WHERE status <> 'complete' ORDER BY updated DESC, rowid DESC LIMIT 1"
        )
        return cast("str", found[0][0]) if found else None

    @contextmanager
    def lock(self, run: str) -> Iterator[None]:
        """Keeps other processes from working on the run; ends with the process at the latest.

        Raises:
            RunLockedError: another process works on it.
        """
        run = check_run_id(run)
        if not self._database.rows("SELECT 1 FROM runs WHERE id = ?", (run,)):
            raise self._database.not_found(run)
        directory = self.path.with_name(f"{self.path.name}.locks")
        lock = FileLock(directory / f"{run}.lock")
        try:
            directory.mkdir(exist_ok=True)
            acquired = lock.acquire()
        except OSError as error:
            raise StoreError(
                f"run {run} cannot be locked: {error}", hint="use another store with --store FILE"
            ) from error
        if not acquired:
            raise RunLockedError(
                f"run {run} is being written by another process",
                hint="wait until that one has ended, or end it, then resume",
            )
        with lock:
            yield

    def add_event(self, run: str, event: Event) -> None:
        """Keeps an event with the run."""
        run = check_run_id(run)
        with self._database.transaction() as connection:
            self._database.touch(run)
            connection.execute(
                "INSERT INTO events (run, time, name, json) VALUES (?, ?, ?, ?)",
                (run, self._database.now(), NAMES[type(event)], to_json(event)),
            )

    def events(self, run: str) -> list[EventRecord]:
        """The events that were kept with the run, oldest first."""
        rows = self._database.rows(
            "SELECT time, name, json FROM events WHERE run = ? ORDER BY rowid", (check_run_id(run),)
        )
        return [EventRecord(_utc(moment), name, self._json(text)) for moment, name, text in rows]

    def section_keeper(self, run: str) -> SectionKeeper:
        """Takes the text of the run's sections and saves it in time."""
        return SectionKeeper(self._texts, check_run_id(run))

    def flush(self) -> None:
        """Saves the text that waits."""
        self._texts.flush()

    def flush_if_due(self) -> None:
        """Saves the text that has waited for FLUSH_SECONDS; to be called several times a second."""
        self._texts.flush_if_due()

    def _json(self, text: str) -> dict[str, Any]:
        try:
            return dict(json.loads(text))
        except (ValueError, TypeError) as error:
            raise StoreError(f"the store {self.path} holds damaged JSON: {error}") from error


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
