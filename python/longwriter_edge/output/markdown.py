"""Markdown of a document, the same whether it comes whole or in pieces."""

from __future__ import annotations

from collections.abc import Sequence

# Not str.strip(): the ideographic space that indents a Chinese paragraph is text.
_BLANKS = " \t\r\n"


class Markdown:
    """Turns a document that comes in pieces into Markdown; every method returns what to add.

    Blank lines are decided late: white space at the end of a piece is held back until text follows, so
    that sections end with their last word and any cut into pieces gives the same document.
    """

    def __init__(self) -> None:
        self._started = False
        self._heading = ""
        self._section_started = True
        self._blanks = ""

    def opening(self, title: str, sections: Sequence[tuple[str, str]]) -> str:
        """Title and the sections that are there already, each heading and text; the last stays open."""
        pieces = [self.title(title)]
        for heading, text in sections:
            self.section(heading)
            pieces.append(self.text(text))
        return "".join(pieces)

    def title(self, title: str) -> str:
        """The document's title; nothing for an empty one."""
        return self._block(f"# {_one_line(title)}") if title.strip() else ""

    def section(self, heading: str) -> None:
        """A section begins. Its heading comes with its first text: a section without text has none."""
        self._heading = _one_line(heading)
        self._section_started = False
        self._blanks = ""

    def text(self, text: str) -> str:
        """More text of the section."""
        held = self._blanks + text
        body = held.rstrip(_BLANKS)
        self._blanks = held[len(body) :]
        if self._section_started:
            return _newlines(body)
        body = body.lstrip(_BLANKS)
        if not body:
            self._blanks = ""
            return ""
        self._section_started = True
        heading = self._block(f"## {self._heading}") if self._heading else ""
        return heading + self._block(_newlines(body))

    def end(self) -> str:
        """The end of the document."""
        return "\n" if self._started else ""

    def _block(self, text: str) -> str:
        gap = "\n\n" if self._started else ""
        self._started = True
        return gap + text


def render_markdown(title: str, sections: Sequence[tuple[str, str]]) -> str:
    """A whole document as Markdown, from its title and each section's heading and text."""
    markdown = Markdown()
    return markdown.opening(title, sections) + markdown.end()


def _one_line(text: str) -> str:
    """``text`` with all white space as single spaces, so that a heading stays one."""
    return " ".join(text.split())


def _newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
