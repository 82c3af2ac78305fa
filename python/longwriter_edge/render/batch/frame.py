"""Lays out one picture of a batch for a terminal of a given size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.segment import Segment

from longwriter_edge.render.batch.lines import count_texts, documents_text, place_texts
from longwriter_edge.render.batch.progress import BatchProgress, Document
from longwriter_edge.render.drawing import (
    ACTIVE,
    CUT,
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
from longwriter_edge.render.progress import Progress, duration, fraction

#: Cells of a document's phase: the longest is "planning"; "99/100" fits as well.
PHASE_WIDTH = 8
#: Titles and bars that would be shorter are left out.
SMALLEST_TITLE = 10
SMALLEST_BAR = 4


def compose(progress: BatchProgress, now: float, size: tuple[int, int], glyphs: Glyphs) -> list[Line]:
    """One picture: at most ``size[0]`` cells wide and ``size[1] - 1`` lines high.

    Its height depends on the size and the most documents that ran at the same time, so it never shrinks
    while documents come and go.
    """
    # The last column stays free: some terminals move to the next line as soon as it is written.
    width = min(size[0] - 1, MAXIMUM_WIDTH)
    facts, spaced = size[1] >= 12, size[1] >= 16
    free = size[1] - 1 - 4 - facts - 2 * spaced
    rows = max(min(progress.most_running, free), 0)
    total = [
        _total_line(progress, width, glyphs),
        _counts_line(progress, width, glyphs),
        _status_line(progress, now, width, glyphs),
    ]
    lines = [text_line(f"Batch of {documents_text(progress.rows)}", width, STRONG, glyphs)]
    if facts:
        lines.append(_facts_line(progress, width, glyphs))
    if spaced:
        lines.append([])
    if rows:
        documents = _document_lines(list(progress.running.values()), width, rows, glyphs)
        lines += documents + [[] for _ in range(rows - len(documents))]
        if spaced:
            lines.append([])
    lines += total
    return lines[: max(size[1] - 1, 1)]


def document_phase(progress: Progress) -> str:
    """What happens to a document, in a word or as "section/sections"."""
    count = len(progress.sections)
    if progress.current is not None:
        # Sections that are written at the same time would make their numbers flicker.
        ended = sum(section.ended for section in progress.sections)
        return f"{min(ended + 1, count)}/{count}"
    if count:
        return f"0/{count}"
    return progress.phase


def _facts_line(progress: BatchProgress, width: int, glyphs: Glyphs) -> Line:
    started = progress.started
    if started is None:
        return []
    facts = [progress.line(started.model), *place_texts(started, progress.line)]
    return text_line(glyphs.dot.join(facts), width, FAINT, glyphs)


@dataclass(frozen=True, slots=True)
class _Columns:
    """Widths in cells of a document's id, title, bar and count of words; 0 is left out."""

    name: int
    title: int
    bar: int
    words: int


def _columns(documents: Sequence[Document], width: int) -> _Columns:
    words = max(len(_words(document.progress)) for document in documents)
    # The margins, the mark, and what stands between the columns that are always there.
    free = max(width - 3 - 1 - 2 - PHASE_WIDTH - 2 - words, 0)
    bar_width = min(free // 3, 16)
    if bar_width < SMALLEST_BAR:
        return _Columns(free, 0, 0, words)
    free -= bar_width + 2
    longest = max(cell_len(document.name) for document in documents)
    name = min(longest, free)
    if free - min(longest, free // 2) - 2 >= SMALLEST_TITLE:
        name = min(longest, free // 2)
        return _Columns(name, free - name - 2, bar_width, words)
    # What no title needs makes the bar longer.
    return _Columns(name, 0, bar_width + free - name, words)


def _words(progress: Progress) -> str:
    return count_of(progress.document_words, progress.target_words)


def _document_lines(documents: Sequence[Document], width: int, rows: int, glyphs: Glyphs) -> list[Line]:
    """A line a document; the last one tells how many have none, if there is a line to spare for that."""
    hidden = len(documents) - (max(rows - 1, 1) if len(documents) > rows else rows)
    shown = documents[: len(documents) - hidden] if hidden > 0 else documents
    if not shown:
        return []
    columns = _columns(shown, width)
    lines = [_document_line(document, columns, width, glyphs) for document in shown]
    if hidden > 0 and rows > 1:
        lines.append([Segment(fit(f"   {glyphs.ellipsis} and {hidden:,} more", width, ""), FAINT)])
    return lines


def _document_line(document: Document, columns: _Columns, width: int, glyphs: Glyphs) -> Line:
    progress = document.progress
    waits = progress.phase in ("starting", "reading")
    style = None if waits else ACTIVE
    text = pad(fit(document.name, columns.name, glyphs.ellipsis), columns.name)
    if columns.title:
        text += "  " + pad(fit(progress.title, columns.title, glyphs.ellipsis), columns.title)
    line = [
        Segment(f" {glyphs.active} ", style),
        Segment(text),
        Segment(f"  {fit(document_phase(progress), PHASE_WIDTH, ''):>{PHASE_WIDTH}}", style),
    ]
    if columns.bar:
        part = fraction(progress.document_words, progress.target_words)
        filled, empty = bar(part, columns.bar, glyphs)
        line += [Segment("  "), Segment(filled, ACTIVE), Segment(empty, FAINT)]
    line.append(Segment(f"  {_words(progress):>{columns.words}}"))
    return _cropped(line, width)


def _cropped(line: Line, width: int) -> Line:
    """The line without what goes beyond the width, in terminals too narrow for the columns."""
    return list(Segment.adjust_line_length(line, width, pad=False))


def _total_line(progress: BatchProgress, width: int, glyphs: Glyphs) -> Line:
    part = progress.part
    count = f"{count_of(progress.done, progress.rows)} {int(part * 100):>3}%"
    return total_line("Total", part, count, width, glyphs)


def _counts_line(progress: BatchProgress, width: int, glyphs: Glyphs) -> Line:
    text = glyphs.dot.join(count_texts(progress))
    if cell_len(text) > width - 2:
        # What waits is what the total leaves over; failures must not be cut off.
        text = glyphs.dot.join(count_texts(progress, waiting=False))
    return text_line(text, width, CUT if progress.failed else None, glyphs)


def _status_line(progress: BatchProgress, now: float, width: int, glyphs: Glyphs) -> Line:
    speed = speed_text(progress.pace.tokens_per_second, glyphs)
    words = f"{progress.words:,} words"
    eta = eta_text(progress.remaining(), glyphs)
    elapsed = f"{duration(progress.elapsed(now))} elapsed"
    for left, right in (([words, speed], [elapsed, eta]), ([words, speed], [eta]), ([speed], [eta])):
        left_text, right_text = " " + glyphs.dot.join(left), glyphs.dot.join(right)
        if cell_len(left_text) + len("  ") + cell_len(right_text) < width:
            break
    return _cropped(between([Segment(left_text)], [Segment(right_text)], width - 1), width)
