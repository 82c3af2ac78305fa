"""The pieces that pictures on a terminal are made of: glyphs, styles, bars, texts of a width.

Lines are lists of rich segments, made directly: rich's own tables and progress bars cost several times
as much, and the display shares the processor with the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style

from longwriter_edge.render.progress import duration

Line: TypeAlias = list[Segment]

#: Wider pictures are harder to read, not easier: the eye has to travel from title to bar.
MAXIMUM_WIDTH = 120

STRONG = Style(bold=True)
FAINT = Style(dim=True)
DONE = Style(color="green")
ACTIVE = Style(color="cyan", bold=True)
CUT = Style(color="yellow")


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The characters of the picture that are not text."""

    full: str
    half: str
    empty: str
    rule: str
    done: str
    active: str
    cut: str
    unknown: str
    dot: str
    ellipsis: str


UNICODE = Glyphs("━", "╸", "─", "─", "✓", "›", "!", "–", " · ", "…")
ASCII = Glyphs("#", "#", ".", "-", "+", ">", "!", "-", ", ", "...")


def glyphs_for(encoding: str) -> Glyphs:
    """The characters that a stream of this encoding can carry.

    Only Unicode encodings get more than ASCII: East Asian encodings have the box drawing characters too,
    but terminals that use them draw those two cells wide.
    """
    return UNICODE if encoding.lower().replace("_", "-").startswith(("utf-8", "utf8", "utf-16")) else ASCII


def bar(part: float, cells: int, glyphs: Glyphs) -> tuple[str, str]:
    """The filled and the empty piece of a bar; it is full only when all is there.

    Args:
        part: From 0 to 1; more counts as 1.
        cells: Width of both pieces together.
        glyphs: What it is drawn with.
    """
    halves = int(min(max(part, 0.0), 1.0) * cells * 2)
    filled = glyphs.full * (halves // 2) + (glyphs.half if halves % 2 else "")
    return filled, glyphs.empty * (cells - len(filled))


def fit(text: str, width: int, ellipsis: str) -> str:
    """The text, shortened to the width in cells if it is wider."""
    if cell_len(text) <= width:
        return text
    if width <= len(ellipsis):
        return set_cell_size(text, max(width, 0))
    return set_cell_size(text, width - len(ellipsis)).rstrip() + ellipsis


def pad(text: str, width: int) -> str:
    """The text, followed by spaces up to the width in cells."""
    return text + " " * (width - cell_len(text))


def between(left: Line, right: Line, width: int) -> Line:
    """Left and right parts at the two edges."""
    used = sum(segment.cell_length for segment in (*left, *right))
    return [*left, Segment(" " * max(width - used, 0)), *right]


def text_line(text: str, width: int, style: Style | None, glyphs: Glyphs) -> Line:
    """A line with a margin that holds nothing but this text, shortened if need be."""
    return [Segment(" " + fit(text, width - 2, glyphs.ellipsis), style)]


def total_line(name: str, part: float, count: str, width: int, glyphs: Glyphs) -> Line:
    """The bar of a whole: its name, how full it is, and that in numbers."""
    name = f" {name}"
    filled, empty = bar(part, max(width - len(name) - len(count) - 5, 0), glyphs)
    return [
        Segment(name + "  ", STRONG),
        Segment(filled, DONE),
        Segment(empty, FAINT),
        Segment("  " + fit(count, width - len(name) - 5, ""), STRONG),
    ]


def count_of(words: int, target: int) -> str:
    """Words there are and words there should be."""
    return f"{words:,}/{target:,}"


def speed_text(pace: float | None, glyphs: Glyphs) -> str:
    """Tokens a second, if they are known."""
    return f"{glyphs.unknown if pace is None else f'{pace:.1f}'} tokens/s"


def eta_text(seconds: float | None, glyphs: Glyphs) -> str:
    """The remaining time, if it is known."""
    remaining = glyphs.unknown if seconds is None else "soon" if seconds < 1 else duration(seconds)
    return f"ETA {remaining}"
