"""The end of a run in a few lines: what came out, what it cost, what ran where."""

from __future__ import annotations

from longwriter_edge.events import Outcome, RewindCause, RunEnded, RunStarted, Usage
from longwriter_edge.render.progress import Clean, Progress, duration, fraction, way

#: The first word about how something ended.
OUTCOMES: dict[Outcome, str] = {"complete": "Done", "failed": "Failed", "interrupted": "Interrupted"}

#: Names of sections that are cut are listed up to this many.
_NAMED_SECTIONS = 5
#: What was done each time, by the cause.
_CAUSES: dict[RewindCause, str] = {
    "early_heading": "refused an early heading",
    "early_end": "refused an early end",
    "ceiling": "cut back to the last sentence",
    "token_limit": "cut back at the token limit",
}


def summary_lines(ended: RunEnded, progress: Progress) -> list[str]:
    """The summary, one string a line, safe for the terminal."""
    lines = [_outcome(ended, progress)]
    if ended.error:
        lines.append(f"Error: {progress.line(ended.error)}")
    if cut := cut_sections(ended, progress):
        lines.append(cut)
    if ended.outcome == "complete":
        lines.append(f"Length: S_l {ended.length_score:.1f} of 100{_rewinds(ended)}")
    lines += cost_lines(ended.usage, ended.wall_seconds)
    if progress.started is not None:
        lines += described(progress.started, progress.line)
    if ended.output is not None:
        lines.append(f"Written to: {progress.line(ended.output)}")
    return lines


def described(started: RunStarted, clean: Clean) -> list[str]:
    """The model and where it runs, as :class:`RunStarted` says it."""
    return [
        f"Model: {clean(started.model)}, profile {clean(started.profile)}, {clean(way(started))}",
        f"Runs on: {clean(started.device)}; context {started.context_tokens:,} tokens; seed {started.seed}",
    ]


def cut_sections(ended: RunEnded, progress: Progress) -> str | None:
    """Which sections lack words or were cut for want of room; ``None`` if there are none."""
    if not ended.unfinished:
        return None
    names = []
    for number in ended.unfinished[:_NAMED_SECTIONS]:
        title = progress.sections[number].title if number < len(progress.sections) else ""
        names.append(f'{number + 1} "{title}"' if title else f"{number + 1}")
    more = len(ended.unfinished) - len(names)
    if more:
        names.append(f"{more} more")
    return f"Unfinished: {', '.join(names)}"


def _rewinds(ended: RunEnded) -> str:
    counts = [
        f"{_CAUSES[cause]} {count} {'time' if count == 1 else 'times'}"
        for cause, count in ended.rewinds.items()
    ]
    return f"; {', '.join(counts)}" if counts else ""


def cost_lines(usage: Usage, wall_seconds: float) -> list[str]:
    """The tokens, the times and the speed, a line each."""
    times = ", ".join(
        f"{name} {_seconds(seconds)} ({fraction(seconds, wall_seconds):.0%})"
        for name, seconds in (
            ("prefill", usage.prefill_seconds),
            ("decode", usage.decode_seconds),
            ("sampling", usage.sampling_seconds),
            ("other", usage.other_seconds),
        )
    )
    lines = [
        f"Tokens: {usage.tokens_written:,} written, {usage.tokens_read:,} read "
        f"({usage.tokens_reread:,} of them again), {usage.tokens_reused:,} reused",
        f"Time: {times}",
    ]
    if usage.tokens_written and wall_seconds > 0:
        speed = f"Speed: {usage.tokens_written / wall_seconds:.1f} tokens/s"
        if usage.decode_seconds > 0:
            speed += f", {usage.tokens_written / usage.decode_seconds:.1f} in decode alone"
        lines.append(speed)
    return lines


def _outcome(ended: RunEnded, progress: Progress) -> str:
    verb = OUTCOMES[ended.outcome]
    finished = sum(section.ended for section in progress.sections)
    words = f"{ended.words:,} of {ended.target:,} words"
    if ended.benchmark_words != ended.words:
        words += f" ({ended.benchmark_words:,} as LongBench-Write counts)"
    sections = f", {finished} of {len(progress.sections)} sections" if progress.sections else ""
    return f"{verb} after {duration(ended.wall_seconds)}: {words}{sections}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else duration(seconds)
