"""The text of sections while it is written: buffered, flushed with its tokens, and closed for ever."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from longwriter_edge.errors import StoreError
from longwriter_edge.events import SectionEnd
from longwriter_edge.store.connection import Database

#: Text waits at most this long, in seconds, before ``flush_if_due`` saves it. The promise is two seconds;
#: the rest is for the time between two calls and for a slow disk.
FLUSH_SECONDS = 1.0


@dataclass(slots=True)
class _Unsaved:
    """Text and tokens that wait for the next flush, and the number of the chunk that they become."""

    chunk: int
    text: list[str]
    tokens: list[int]


class SectionTexts:
    """Buffers what is written of any run and saves it; see :class:`Store` for its methods."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._unsaved: dict[tuple[str, int], _Unsaved] = {}
        self._waiting_since: float | None = None

    def append(self, run: str, section: int, text: str, tokens: Sequence[int]) -> None:
        """Takes more text and its tokens, and saves what has waited long enough."""
        unsaved = self._unsaved.get((run, section))
        if unsaved is None:
            unsaved = _Unsaved(self._next_chunk(run, section), [], [])
            self._unsaved[run, section] = unsaved
        unsaved.text.append(text)
        unsaved.tokens.extend(tokens)
        if self._waiting_since is None:
            self._waiting_since = self._clock()
        self.flush_if_due()

    def rewind(self, run: str, section: int, text_kept: int, tokens: Sequence[int]) -> None:
        """Takes the text back to its first characters and saves; all tokens stay, and ``tokens`` follow."""
        self._next_chunk(run, section)
        self.flush()
        text, all_tokens = self.content(run, section)
        try:
            with self._database.transaction() as connection:
                connection.execute("DELETE FROM chunks WHERE run = ? AND section = ?", (run, section))
                # As if it had waited, so that saving it again after an interrupt changes nothing.
                merged = _Unsaved(0, [text[:text_kept]], [*all_tokens, *tokens])
                self._unsaved[run, section] = merged
                self._save(connection)
        except StoreError:
            self._nothing_unsaved()
            raise
        self._nothing_unsaved()

    def finish(self, run: str, section: int, text: str, kept: Sequence[int], reason: SectionEnd) -> None:
        """Takes the last text, folds all of it into the section's row, and ends the section."""
        self._next_chunk(run, section)
        with self._database.transaction() as connection:
            self._save(connection)
            saved_text, _ = self.content(run, section)
            connection.execute("DELETE FROM chunks WHERE run = ? AND section = ?", (run, section))
            connection.execute(
                "UPDATE sections SET text = ?, tokens = ?, reason = ? WHERE run = ? AND number = ?",
                (saved_text + text, _pack(kept), reason, run, section),
            )
            self._database.touch(run)
        self._nothing_unsaved()

    def flush(self) -> None:
        """Saves the text that waits."""
        if self._unsaved:
            with self._database.transaction() as connection:
                self._save(connection)
            self._nothing_unsaved()

    def flush_if_due(self) -> None:
        """Saves the text that waits if the oldest of it has waited for FLUSH_SECONDS."""
        since = self._waiting_since
        if since is not None and self._clock() - since >= FLUSH_SECONDS:
            self.flush()

    def content(self, run: str, section: int) -> tuple[str, tuple[int, ...]]:
        """Text and tokens of a section as far as they are saved."""
        parts = self._database.rows(
            "SELECT text, tokens FROM (SELECT -1 AS part, text, tokens FROM sections"
            " WHERE run = :run AND number = :section UNION ALL"
            " SELECT number, text, tokens FROM chunks WHERE run = :run AND section = :section) ORDER BY part",
            {"run": run, "section": section},
        )
        # Joined here: SQLite's || ends at a NUL character and turns blobs into text.
        return "".join(text for text, _ in parts), _unpack(b"".join(tokens for _, tokens in parts))

    def _save(self, connection: sqlite3.Connection) -> None:
        # An interrupt may come between the commit and the clearing of what was saved, so saving has to be
        # repeatable: a chunk replaces itself, and a finished section holds what still seems to wait for it.
        for (run, section), unsaved in self._unsaved.items():
            connection.execute(
                "INSERT OR REPLACE INTO chunks (run, section, number, text, tokens)"
                " SELECT run, number, ?, ?, ? FROM sections WHERE run = ? AND number = ? AND reason IS NULL",
                (unsaved.chunk, "".join(unsaved.text), _pack(unsaved.tokens), run, section),
            )
        for run in {run for run, _ in self._unsaved}:
            self._database.touch(run)

    def _nothing_unsaved(self) -> None:
        self._unsaved = {}
        self._waiting_since = None

    def _next_chunk(self, run: str, section: int) -> int:
        """The number of a section's next chunk, if it can take one."""
        found = self._database.rows(
            "SELECT reason, (SELECT max(number) FROM chunks WHERE run = :run AND section = :section)"
            " FROM sections WHERE run = :run AND number = :section",
            {"run": run, "section": section},
        )
        if not found:
            raise StoreError(f"run {run} has no section {section + 1}")
        reason, last = found[0]
        if reason is not None:
            raise StoreError(f"section {section + 1} of run {run} is finished and cannot change")
        return 0 if last is None else int(last) + 1


class SectionKeeper:
    """Takes the text of one run's sections."""

    def __init__(self, texts: SectionTexts, run: str) -> None:
        self._texts = texts
        self._run = run

    def append(self, section: int, text: str, tokens: Sequence[int]) -> None:
        """Takes more text of a section and the tokens sampled since the last call; both are saved together.

        Raises:
            StoreError: there is no such section, it is finished, or what waited cannot be saved.
        """
        self._texts.append(self._run, section, text, tokens)

    def rewind(self, section: int, text_kept: int, tokens: Sequence[int]) -> None:
        """Takes a section's text back to its first ``text_kept`` characters.

        All tokens that were sampled stay, with ``tokens`` that were sampled since the last call: with them a
        killed section goes on as it would have.

        Raises:
            StoreError: there is no such section, it is finished, or cannot be saved.
        """
        self._texts.rewind(self._run, section, text_kept, tokens)

    def finish(self, section: int, text: str, kept: Sequence[int], reason: SectionEnd) -> None:
        """Takes the end of a section, saves it, and closes it for ever.

        Args:
            section: Its number, from 0.
            text: Text since the last :meth:`append`.
            kept: The section's tokens that stay, from the first, in place of all that were sampled.
            reason: Why it ended.

        Raises:
            StoreError: there is no such section, it is finished, or cannot be saved.
        """
        self._texts.finish(self._run, section, text, kept, reason)


def _pack(tokens: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(tokens)}i", *tokens)


def _unpack(packed: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(packed) // 4}i", packed)
