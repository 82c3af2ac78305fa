"""The tables of the store, and how a file is recognised, refused or brought up to date."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from longwriter_edge.errors import StoreError

#: PRAGMA application_id of a store ("LWEd" in ASCII).
APPLICATION_ID = 0x4C574564

# While a section is being written each flush adds a row to chunks, so that it costs what is new and not what
# is there already: one section may be a document of 30,000 words, and its 250 kB of text and tokens would
# be rewritten every second. When the section ends its chunks are folded into its own row and deleted, so that
# a finished document is one row a section.
_VERSION_1 = (
    """
    CREATE TABLE runs (
        id TEXT PRIMARY KEY NOT NULL,
        status TEXT NOT NULL
            CHECK (status IN ('planning', 'writing', 'complete', 'failed', 'interrupted')),
        created REAL NOT NULL,
        updated REAL NOT NULL,
        instruction TEXT NOT NULL,
        config TEXT NOT NULL,
        title TEXT NOT NULL DEFAULT '',
        error TEXT
    )
    """,
    "CREATE INDEX runs_by_update ON runs (updated)",
    """
    CREATE TABLE sections (
        run TEXT NOT NULL REFERENCES runs (id),
        number INTEGER NOT NULL,
        title TEXT NOT NULL,
        point TEXT NOT NULL,
        words INTEGER NOT NULL,
        repeats INTEGER,
        text TEXT NOT NULL DEFAULT '',
        tokens BLOB NOT NULL DEFAULT x'',
        reason TEXT,
        PRIMARY KEY (run, number)
    )
    """,
    """
    CREATE TABLE chunks (
        run TEXT NOT NULL,
        section INTEGER NOT NULL,
        number INTEGER NOT NULL,
        text TEXT NOT NULL,
        tokens BLOB NOT NULL,
        PRIMARY KEY (run, section, number),
        FOREIGN KEY (run, section) REFERENCES sections (run, number)
    )
    """,
    """
    CREATE TABLE events (
        run TEXT NOT NULL REFERENCES runs (id),
        time REAL NOT NULL,
        name TEXT NOT NULL,
        json TEXT NOT NULL
    )
    """,
    "CREATE INDEX events_by_run ON events (run)",
    """
    CREATE TRIGGER finished_sections_stay BEFORE UPDATE ON sections WHEN OLD.reason IS NOT NULL
    BEGIN SELECT RAISE (ABORT, 'a finished section cannot change'); END
    """,
    """
    CREATE TRIGGER written_sections_stay BEFORE DELETE ON sections
    WHEN OLD.reason IS NOT NULL
        OR EXISTS (SELECT 1 FROM chunks WHERE run = OLD.run AND section = OLD.number)
    BEGIN SELECT RAISE (ABORT, 'a section with text cannot be deleted'); END
    """,
    """
    CREATE TRIGGER finished_sections_take_no_text BEFORE INSERT ON chunks
    WHEN EXISTS (
        SELECT 1 FROM sections WHERE run = NEW.run AND number = NEW.section AND reason IS NOT NULL
    )
    BEGIN SELECT RAISE (ABORT, 'a finished section cannot change'); END
    """,
)

#: The statements at index n bring a store from version n to n + 1; version 0 is an empty file.
MIGRATIONS: tuple[tuple[str, ...], ...] = (_VERSION_1,)

#: PRAGMA user_version of a store that is up to date.
SCHEMA_VERSION = len(MIGRATIONS)


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Sets the connection up and creates or migrates the tables.

    A file that is not a store is not changed.

    Raises:
        StoreError: the file belongs to another application or to a newer version.
        sqlite3.Error: it cannot be read or written.
    """
    # In one transaction, for another process may be creating the tables.
    connection.execute("BEGIN")
    version = _version(connection, path)
    connection.execute("COMMIT")
    # Readers and the writers of other runs go on while one writes. A killed process loses nothing that was
    # committed; after a power cut the last commits may be missing, and the file is whole.
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        # SQLite does not wait here. The file keeps its mode, so whoever is changing it does it for all; if it
        # is locked for another reason, the next statement waits and says so.
        if "locked" not in str(error):
            raise
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    if version < SCHEMA_VERSION:
        _migrate(connection, path)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Read again: another process may have been faster.
        for statements in MIGRATIONS[_version(connection, path) :]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """The schema version of the file, 0 if there is nothing in it."""
    application = _number(connection, "PRAGMA application_id")
    version = _number(connection, "PRAGMA user_version")
    tables = _number(connection, "SELECT count(*) FROM sqlite_master")
    if (application, version, tables) == (0, 0, 0):
        return 0
    if application != APPLICATION_ID or version < 1:
        raise StoreError(
            f"{path} is a SQLite file of another application",
            hint="name another file with --store FILE; this one was not changed",
        )
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"the store {path} has schema version {version}, but this longwriter-edge reads only up to "
            f"{SCHEMA_VERSION}",
            hint="upgrade longwriter-edge, or use another store with --store FILE",
        )
    return version


def _number(connection: sqlite3.Connection, query: str) -> int:
    return int(connection.execute(query).fetchone()[0])
