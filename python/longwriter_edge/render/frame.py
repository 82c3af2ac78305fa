"""Lays out one picture of a run for a terminal of a given size."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len
from rich.segment import Segment

from longwriter_edge.render.drawing import (
    ACTIVE,
    CUT,
    DONE,
    FAINT,
    MAXIMUM_WIDTH,
    STRONG,
    Glyphs,
    Line,
    bar,
    between,
    count_of,
    eta_text,
    fit,
    pad,
    speed_text,
    text_line,
    total_line,
)
from longwriter_edge.render.progress import Progress, SectionProgress, duration, fraction, way
from longwriter_edge.render.tail import TextTail

#: Prose is cut into lines of a book's measure even in a wide terminal.
MAXIMUM_TEXT_WIDTH = 100
MAXIMUM_TEXT_ROWS = 14


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
    lines = [text_line(progress.title, width, STRONG, glyphs)]
    if rows.facts:
        lines.append(_facts_line(progress, width, glyphs))
    if rows.spaced:
        lines.append([])
    if rows.sections:
        lines += _section_lines(progress, width, rows.sections, glyphs)
        if rows.spaced:
            lines.append([])
    lines += [_document_line(progress, width, glyphs), _status_line(progress, now, width, glyphs)]
    lines.append([Segment(glyphs.rule * width, FAINT)])
    style = FAINT if progress.current is None else None
    texts = tail.lines(min(width - 2, MAXIMUM_TEXT_WIDTH), rows.text)
    # Shortened once more: what a terminal draws for composed characters is wider than their sum at times.
    lines += [[Segment(" " + fit(text, width - 2, ""), style)] for text in texts]
    lines += [[] for _ in range(rows.text - len(texts))]
    return lines[: max(size[1] - 1, 1)]


def visible_sections(count: int, current: int, rows: int) -> tuple[int, int]:
    """First and end of the sections around the current one that fit the rows.

    With too many, the first or last row tells how many are hidden there; from three rows on the current
    section is never on such a row.
    """
    start = min(max(current - rows // 3, 0), max(count - rows, 0))
    return start, min(start + rows, count)


def _facts_line(progress: Progress, width: int, glyphs: Glyphs) -> Line:
    started = progress.started
    if started is None:
        return []
    clean = progress.line
    facts = (clean(started.model), clean(started.device), clean(way(started)))
    return text_line(glyphs.dot.join(facts), width, FAINT, glyphs)


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
    words = max(len(count_of(max(part.words, part.target), part.target)) for part in sections)
    # Margins, the mark and the gaps between the columns.
    free = width - 1 - 2 - number - 2 - 2 - 2 - words - 1
    smallest_bar = min(max(free // 3, 4), 16)
    title = max(min(max(cell_len(section.title) for section in sections), free - smallest_bar), 0)
    return _Columns(number, title, max(free - title, 0), words)


def _section_line(number: int, section: SectionProgress, columns: _Columns, glyphs: Glyphs) -> Line:
    mark, style, bar_style = {
        "waiting": (" ", FAINT, FAINT),
        "reading": (glyphs.active, ACTIVE, ACTIVE),
        "writing": (glyphs.active, ACTIVE, ACTIVE),
        "done": (glyphs.done, None, DONE),
        "cut": (glyphs.cut, CUT, CUT),
    }[section.state]
    title = pad(fit(section.title, columns.title, glyphs.ellipsis), columns.title)
    filled, empty = bar(fraction(section.words, section.target), columns.bar, glyphs)
    return [
        Segment(f" {mark} ", bar_style),
        Segment(f"{number + 1:>{columns.number}}  {title}  ", style),
        Segment(filled, bar_style),
        Segment(empty, FAINT),
        Segment(f"  {count_of(section.words, section.target):>{columns.words}}", style),
    ]


def _hidden_line(text: str, columns: _Columns, glyphs: Glyphs) -> Line:
    indent = " " * (3 + columns.number + 2)
    return [Segment(indent + fit(f"{glyphs.ellipsis} {text}", columns.title + columns.bar, ""), FAINT)]


def _document_line(progress: Progress, width: int, glyphs: Glyphs) -> Line:
    part = fraction(progress.document_words, progress.target_words)
    count = f"{progress.document_words:,}/{progress.target_words:,} words {int(part * 100):>3}%"
    return total_line("Document", part, count, width, glyphs)


def _status_line(progress: Progress, now: float, width: int, glyphs: Glyphs) -> Line:
    left = " " + phase_text(progress)
    parts = [
        speed_text(progress.pace.tokens_per_second, glyphs),
        eta_text(progress.remaining(), glyphs),
    ]
    elapsed = duration(progress.elapsed(now))
    longest = glyphs.dot.join([f"{elapsed} elapsed", *parts])
    right = longest if len(left) + len(longest) + 4 <= width else glyphs.dot.join(parts)
    right = fit(right, width - 3, "")
    return between(
        [Segment(fit(left, width - len(right) - 3, glyphs.ellipsis), ACTIVE)], [Segment(right)], width - 1
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
