"""Lays out one picture of a run for a terminal of a given size.

Lines are lists of rich segments, made directly: rich's own tables and progress bars cost several times
as much, and the display shares the processor with the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style

from longwriter_edge.render.progress import Progress, SectionProgress, duration, fraction, way
from longwriter_edge.render.tail import TextTail

Line: TypeAlias = list[Segment]

#: Wider pictures are harder to read, not easier: the eye has to travel from title to bar.
MAXIMUM_WIDTH = 120
#: Prose is cut into lines of a book's measure even in a wide terminal.
MAXIMUM_TEXT_WIDTH = 100
MAXIMUM_TEXT_ROWS = 14

_STRONG = Style(bold=True)
_FAINT = Style(dim=True)
_DONE = Style(color="green")
_ACTIVE = Style(color="cyan", bold=True)
_CUT = Style(color="yellow")


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


@dataclass(frozen=True, slots=True)
class Rows:
    """How the rows of a terminal are shared out."""

    facts: bool
    spaced: bool
    sections: int
    text: int


def share_rows(height: int, sections: int) -> Rows:
    """The rows of each part, one row of the terminal left free.

    The title, the document's bar, the status and the rule always have one each; what is left goes to
    text and sections alike, and what the sections do not need to the text.
    """
    facts, spaced = height >= 12, height >= 20
    free = max(height - 1 - 4 - facts - (2 if spaced and sections else spaced), 0)
    text = max(free - sections, (free + 1) // 2)
    return Rows(facts, spaced, min(sections, free - text), min(text, MAXIMUM_TEXT_ROWS))


def compose(
    progress: Progress, tail: TextTail, now: float, size: tuple[int, int], glyphs: Glyphs
) -> list[Line]:
    """One picture: at most ``size[0]`` cells wide and ``size[1] - 1`` lines high.

    Its height depends on the size and the number of sections alone, so that it does not jump.
    """
    # The last column stays free: some terminals move to the next line as soon as it is written.
    width = min(size[0] - 1, MAXIMUM_WIDTH)
    rows = share_rows(size[1], len(progress.sections))
    lines = [_title_line(progress, width, glyphs)]
    if rows.facts:
        lines.append(_facts_line(progress, width, glyphs))
    if rows.spaced:
        lines.append([])
    if rows.sections:
        lines += _section_lines(progress, width, rows.sections, glyphs)
        if rows.spaced:
            lines.append([])
    lines += [_document_line(progress, width, glyphs), _status_line(progress, now, width, glyphs)]
    lines.append([Segment(glyphs.rule * width, _FAINT)])
    style = _FAINT if progress.current is None else None
    texts = tail.lines(min(width - 2, MAXIMUM_TEXT_WIDTH), rows.text)
    # Shortened once more: what a terminal draws for composed characters is wider than their sum at times.
    lines += [[Segment(" " + fit(text, width - 2, ""), style)] for text in texts]
    lines += [[] for _ in range(rows.text - len(texts))]
    return lines[: max(size[1] - 1, 1)]


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


def visible_sections(count: int, current: int, rows: int) -> tuple[int, int]:
    """First and end of the sections around the current one that fit the rows.

    With too many, the first or last row tells how many are hidden there; from three rows on the current
    section is never on such a row.
    """
    start = min(max(current - rows // 3, 0), max(count - rows, 0))
    return start, min(start + rows, count)


def _between(left: Line, right: Line, width: int) -> Line:
    """Left and right parts at the two edges."""
    used = sum(segment.cell_length for segment in (*left, *right))
    return [*left, Segment(" " * max(width - used, 0)), *right]


def _title_line(progress: Progress, width: int, glyphs: Glyphs) -> Line:
    return [Segment(" " + fit(progress.title, width - 2, glyphs.ellipsis), _STRONG)]


def _facts_line(progress: Progress, width: int, glyphs: Glyphs) -> Line:
    started = progress.started
    if started is None:
        return []
    clean = progress.line
    facts = (clean(started.model), clean(started.device), clean(way(started)))
    return [Segment(" " + fit(glyphs.dot.join(facts), width - 2, glyphs.ellipsis), _FAINT)]


def _section_lines(progress: Progress, width: int, rows: int, glyphs: Glyphs) -> list[Line]:
    sections = progress.sections
    count = len(sections)
    current = 0 if progress.current is None else progress.current
    start, end = visible_sections(count, current, rows)
    columns = _columns(sections, width)
    lines = []
    for number in range(start, end):
        if number == start > 0:
            lines.append(_hidden_line(f"{number + 1:,} earlier", columns, glyphs))
        elif number == end - 1 < count - 1:
            lines.append(_hidden_line(f"{count - number:,} more", columns, glyphs))
        else:
            lines.append(_section_line(number, sections[number], columns, glyphs))
    return lines


@dataclass(frozen=True, slots=True)
class _Columns:
    """Widths in cells of a section's number, title, bar and count of words."""

    number: int
    title: int
    bar: int
    words: int


def _columns(sections: list[SectionProgress], width: int) -> _Columns:
    number = len(str(len(sections)))
    # As wide as it will be when all is written, so that nothing moves on the way there.
    words = max(len(_count(max(part.words, part.target), part.target)) for part in sections)
    # Margins, the mark and the gaps between the columns.
    free = width - 1 - 2 - number - 2 - 2 - 2 - words - 1
    smallest_bar = min(max(free // 3, 4), 16)
    title = max(min(max(cell_len(section.title) for section in sections), free - smallest_bar), 0)
    return _Columns(number, title, max(free - title, 0), words)


def _count(words: int, target: int) -> str:
    return f"{words:,}/{target:,}"


def _section_line(number: int, section: SectionProgress, columns: _Columns, glyphs: Glyphs) -> Line:
    mark, style, bar_style = {
        "waiting": (" ", _FAINT, _FAINT),
        "reading": (glyphs.active, _ACTIVE, _ACTIVE),
        "writing": (glyphs.active, _ACTIVE, _ACTIVE),
        "done": (glyphs.done, None, _DONE),
        "cut": (glyphs.cut, _CUT, _CUT),
    }[section.state]
    title = pad(fit(section.title, columns.title, glyphs.ellipsis), columns.title)
    filled, empty = bar(fraction(section.words, section.target), columns.bar, glyphs)
    return [
        Segment(f" {mark} ", bar_style),
        Segment(f"{number + 1:>{columns.number}}  {title}  ", style),
        Segment(filled, bar_style),
        Segment(empty, _FAINT),
        Segment(f"  {_count(section.words, section.target):>{columns.words}}", style),
    ]


def _hidden_line(text: str, columns: _Columns, glyphs: Glyphs) -> Line:
    indent = " " * (3 + columns.number + 2)
    return [Segment(indent + fit(f"{glyphs.ellipsis} {text}", columns.title + columns.bar, ""), _FAINT)]


def _document_line(progress: Progress, width: int, glyphs: Glyphs) -> Line:
    part = fraction(progress.document_words, progress.target_words)
    count = f"{progress.document_words:,}/{progress.target_words:,} words {int(part * 100):>3}%"
    name = " Document"
    filled, empty = bar(part, max(width - len(name) - len(count) - 5, 0), glyphs)
    return [
        Segment(name + "  ", _STRONG),
        Segment(filled, _DONE),
        Segment(empty, _FAINT),
        Segment("  " + fit(count, width - len(name) - 5, ""), _STRONG),
    ]


def _status_line(progress: Progress, now: float, width: int, glyphs: Glyphs) -> Line:
    left = " " + phase_text(progress)
    pace = progress.pace.tokens_per_second
    speed = f"{glyphs.unknown if pace is None else f'{pace:.1f}'} tokens/s"
    left_over = progress.remaining()
    remaining = glyphs.unknown if left_over is None else "soon" if left_over < 1 else duration(left_over)
    parts = [speed, f"ETA {remaining}"]
    elapsed = duration(progress.elapsed(now))
    longest = glyphs.dot.join([f"{elapsed} elapsed", *parts])
    right = longest if len(left) + len(longest) + 4 <= width else glyphs.dot.join(parts)
    right = fit(right, width - 3, "")
    return _between(
        [Segment(fit(left, width - len(right) - 3, glyphs.ellipsis), _ACTIVE)], [Segment(right)], width - 1
    )


def phase_text(progress: Progress) -> str:
    """What the run is doing now, in a few words."""
    count = len(progress.sections)
    if progress.phase == "reading" and progress.prefill is not None:
        return f"Reading the prompt, {fraction(progress.prefill.done, progress.prefill.total):.0%}"
    if progress.phase == "writing" and progress.current is not None:
        return f"Writing {progress.current + 1} of {count}"
    if progress.phase == "planning":
        return "Planning" if progress.plan_attempt == 1 else f"Planning, attempt {progress.plan_attempt}"
    return "Starting"
