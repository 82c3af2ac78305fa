"""Keeps the last lines of a growing text, wrapped to a width in terminal cells.

Only what arrived since the last look is wrapped, so that the cost does not grow with the text, and a line
that is full never changes again, so that nothing jumps.
"""

from __future__ import annotations

from collections import deque

from rich.cells import get_character_cell_size

#: Lines that are kept: more than any layout shows.
KEPT_LINES = 64
#: Characters that are kept to wrap anew when the width changes.
KEPT_CHARACTERS = 8_000

_TAB = "    "
_VARIATION_SELECTOR_EMOJI = "\ufe0f"
# Closing punctuation that must not begin a line (the core of kinsoku shori, JIS X 4051, which Chinese
# typesetting shares).
_NOT_FIRST = frozenset("，。、；：？！）」』】》〉”’…")


class TextTail:
    """The end of a text, as lines. The text has to be safe already."""

    def __init__(self) -> None:
        self._width = 0
        self._text = ""
        self._pending = ""
        self._open = ""
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)

    def add(self, text: str) -> None:
        """Appends a piece of text of any length."""
        text = text.replace("\t", _TAB)
        self._pending += text
        self._text += text
        if len(self._text) > 2 * KEPT_CHARACTERS:
            self._text = self._text[-KEPT_CHARACTERS:]
            self._pending = self._pending[-KEPT_CHARACTERS:]

    def take_back(self, characters: int) -> None:
        """Removes the end of the text."""
        self._text = self._text[: max(len(self._text) - characters, 0)]
        # Lines that were finished may be gone: all is wrapped anew.
        self._width = 0

    def clear(self) -> None:
        """Forgets all text."""
        self._text = self._pending = self._open = ""
        self._lines.clear()

    def lines(self, width: int, rows: int) -> list[str]:
        """The last lines, at most ``rows``, each at most ``width`` cells wide."""
        if width != self._width:
            self._width = width
            self._lines.clear()
            self._open, self._pending = "", self._text
        if self._pending:
            self._wrap_pending()
        lines = [*self._lines, self._open.rstrip()] if self._open.strip() else list(self._lines)
        while lines and not lines[-1]:
            lines.pop()
        return lines[-rows:] if rows > 0 else []

    def _wrap_pending(self) -> None:
        *paragraphs, last = (self._open + self._pending).split("\n")
        self._pending = ""
        for paragraph in paragraphs:
            self._finish(self._wrap(paragraph))
        self._open = self._wrap(last)

    def _wrap(self, text: str) -> str:
        """Finishes all lines of the text but the last, which is returned."""
        while (end := line_break(text, self._width)) is not None:
            self._finish(text[:end])
            text = text[end:].lstrip(" ")
        return text

    def _finish(self, line: str) -> None:
        line = line.rstrip()
        # One blank line between paragraphs, none at the start.
        if line or (self._lines and self._lines[-1]):
            self._lines.append(line)


def line_break(text: str, width: int) -> int | None:
    """Where the first line of the text ends, as an index; ``None`` if all of it fits the width.

    A line is broken at a space, beside a wide (CJK) character, or, if there is neither, where it is full.
    """
    cells = 0
    best = 0
    before_is_wide = False
    for index, character in enumerate(text):
        # The selector turns a narrow symbol into an emoji of two cells: count the second one with it.
        size = 1 if character == _VARIATION_SELECTOR_EMOJI else get_character_cell_size(character)
        if character == " ":
            if index and cells <= width:
                best = index
        elif size and index and (size == 2 or before_is_wide) and character not in _NOT_FIRST:
            best = index
        cells += size
        if cells > width and character != " ":
            # At least one character a line, or it would not end.
            return best or max(index, 1)
        if size:
            before_is_wide = size == 2
    return None
