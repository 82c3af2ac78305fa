"""The live display: its size, its contents, how often it draws, and how it ends."""

from __future__ import annotations

import io
from itertools import product

import pytest
from render_events import FakeClock, beginning, plan_ready, run_ended, run_started, section, whole_run
from rich.cells import cell_len

from longwriter_edge.events import (
    Event,
    Notice,
    PlanStarted,
    PlanText,
    Prefill,
    RunEnded,
    SectionEnded,
    SectionStarted,
    SectionText,
)
from longwriter_edge.render.canvas import TerminalConsole
from longwriter_edge.render.drawing import ASCII, UNICODE, bar, glyphs_for
from longwriter_edge.render.frame import phase_text, visible_sections
from longwriter_edge.render.live import LiveRenderer
from longwriter_edge.render.progress import Progress, duration
from longwriter_edge.render.tail import TextTail

SIZES = tuple(product((60, 80, 120, 200), (15, 24, 50)))
TITLES = {
    "few": ("The City", "The Republic", "The Empire"),
    "chinese": ("罗马城的建立与早期诸王", "共和国及其制度" * 12, "帝国的衰亡"),
    "long": ("An Unreasonably Long Title " * 20, "x" * 500, "The Empire"),
    "emoji": ("❤\ufe0f" * 60, "👩\u200d🚀" * 60, "e\u0301" * 200),
    "many": tuple(f"Section about the matter of {number}" for number in range(200)),
    "empty": ("",),
}
HOSTILE = "a\x1b[31m\x9b2J\x07\u202eb[bold]c"


class Screen:
    """A live renderer on a terminal of a size, with its clock and all that it wrote."""

    def __init__(self, width: int = 80, height: int = 24, stream: io.TextIOBase | None = None) -> None:
        self.clock = FakeClock()
        self.stream = io.StringIO() if stream is None else stream
        self.console = TerminalConsole(
            file=self.stream,  # type: ignore[arg-type]
            width=width,
            height=height,
            force_terminal=True,
            color_system=None,
            markup=False,
        )
        self.renderer = LiveRenderer(self.console, self.clock)

    def feed(self, events: list[Event], seconds: float = 0.25) -> None:
        for event in events:
            self.clock.advance(seconds)
            self.renderer.handle(event)

    def lines(self) -> list[str]:
        """The picture as plain lines."""
        return ["".join(part.text for part in line) for line in self.renderer.picture().lines]

    def written(self) -> str:
        assert isinstance(self.stream, io.StringIO)
        return self.stream.getvalue()


def in_the_middle(titles: tuple[str, ...], piece: str = "Rome was not built in a day. ") -> list[Event]:
    """A run whose second half of sections, the first of them begun, is still to be written."""
    half = len(titles) // 2
    events = beginning(titles)
    for number in range(half):
        events += section(number, titles[number], [piece] * 20, before=200 * number, cut=number == 0)
    begun = section(half, titles[half], [piece] * 10, before=200 * half)
    return [*events, *begun[:-1]]


@pytest.mark.parametrize("titles", TITLES.values(), ids=TITLES.keys())
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_no_picture_is_wider_or_higher_than_the_terminal(
    width: int, height: int, titles: tuple[str, ...]
) -> None:
    for piece in ("Rome was not built in a day. ", "罗马不是一天建成的。", "x" * 300, "word\n\n\n", "👍🏽\t"):
        screen = Screen(width, height)
        with screen.renderer:
            # Too fast to draw more than the changes of shape.
            screen.feed(in_the_middle(titles, piece), seconds=0.0001)
            lines = screen.lines()
        assert len(lines) < height
        assert max(cell_len(line) for line in lines) < width


@pytest.mark.parametrize(("width", "height"), [(20, 4), (40, 10), (1, 1), (3, 50)])
def test_a_tiny_terminal_does_not_crash_it(width: int, height: int) -> None:
    screen = Screen(width, height)
    with screen.renderer:
        screen.feed(in_the_middle(TITLES["chinese"]))
        assert len(screen.lines()) <= height


@pytest.mark.parametrize("titles", [TITLES["few"], TITLES["many"]])
def test_the_height_stays_while_the_text_grows(titles: tuple[str, ...]) -> None:
    screen = Screen(80, 24)
    heights = set()
    with screen.renderer:
        screen.feed(beginning(titles))
        for event in section(0, titles[0], ["word word word\n\n"] * 40, before=0):
            screen.feed([event])
            heights.add(len(screen.lines()))
    assert len(heights) == 1


def test_the_picture_shows_sections_document_pace_and_text() -> None:
    screen = Screen(80, 24)
    with screen.renderer:
        screen.feed(in_the_middle(TITLES["few"]))
        lines = screen.lines()
    assert lines[0] == " Rome: A History"
    assert lines[1] == " SmolLM2-135M-Instruct · CPU, 2 threads · agentwrite, turns"
    assert lines[3].startswith(" ! 1  The City")
    assert lines[3].endswith("200/200")
    assert lines[4].startswith(" › 2  The Republic")
    assert lines[4].endswith("100/200")
    assert lines[5].startswith("   3  The Empire")
    assert lines[5].endswith("  0/200")
    assert lines[7].startswith(" Document  ━━━")
    assert lines[7].endswith("300/600 words  50%")
    assert lines[8].startswith(" Writing 2 of 3")
    # Ten words and one token every quarter of a second.
    assert "4.0 tokens/s" in lines[8]
    assert lines[9] == "─" * 79
    assert "Rome was not built in a day." in lines[-2]


def test_a_title_is_not_read_as_markup() -> None:
    screen = Screen()
    with screen.renderer:
        screen.feed([*beginning(("[bold]The[/bold] City",)), Notice("info", "[red]note[/red] :smile:")])
        assert "[bold]The[/bold] City" in screen.lines()[3]
    assert "Note: [red]note[/red] :smile:" in screen.written()


def test_no_escape_of_any_field_gets_out() -> None:
    started = run_started()
    for field in ("run", "instruction", "model", "profile", "layout", "device"):
        object.__setattr__(started, field, HOSTILE)
    plan = plan_ready([HOSTILE])
    object.__setattr__(plan, "title", HOSTILE)
    events: list[Event] = [
        started,
        PlanStarted(1),
        PlanText(HOSTILE),
        plan,
        Notice("warning", HOSTILE),
        SectionStarted(0, HOSTILE, 10, HOSTILE),
        SectionText(0, HOSTILE, 1, 1, 1),
        SectionText(0, "split \x1b", 1, 1, 1),
        SectionText(0, "[41m", 1, 1, 1),
        SectionEnded(0, "token_limit", 1, 10, 1),
    ]
    screen = Screen()
    with screen.renderer:
        screen.feed(events)
        assert not set("".join(screen.lines())) & set("\x1b\x9b\x07\r\u202e")
        screen.feed([run_ended("failed", error=HOSTILE, output=HOSTILE)])
    for forbidden in ("\x1b[31m", "\x9b", "\x07", "\u202e", "\x1b[41m"):
        assert forbidden not in screen.written()
    assert "ab[bold]c" in screen.written()


def test_the_picture_goes_and_the_summary_stays() -> None:
    screen = Screen()
    with screen.renderer:
        screen.feed(whole_run())
    # Rich's last act is to erase the picture and show the cursor again.
    after = screen.written().rsplit("\x1b[?25h", 1)[1]
    assert after.lstrip().rsplit("\x1b[2K", 1)[-1].startswith("Done after 3:20: 590 of 600 words")
    assert after.rstrip().endswith("Written to: rome.md")


def test_an_exception_gives_the_terminal_back() -> None:
    screen = Screen()
    screen.renderer.__enter__()
    screen.feed(beginning())
    screen.renderer.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert screen.written().rfind("\x1b[?25h") > screen.written().rfind("\x1b[?25l")


def test_pictures_are_drawn_at_most_ten_times_a_second() -> None:
    screen = Screen()
    with screen.renderer:
        screen.feed([*beginning(), SectionStarted(0, "The City", 200, "")])
        before = len(screen.written())
        texts: list[Event] = [SectionText(0, "w ", 1, count, count) for count in range(100)]
        screen.feed(texts, seconds=0.001)
        few = len(screen.written()) - before
        screen.feed([SectionText(0, "w ", 1, 100, 100)], seconds=0.2)
        one = len(screen.written()) - before - few
    assert few <= one


def test_a_slow_terminal_is_drawn_less_often() -> None:
    class SlowStream(io.StringIO):
        writes = 0

        def write(self, text: str) -> int:
            clock.advance(0.05)
            SlowStream.writes += 1
            return super().write(text)

    screen = Screen(stream=SlowStream())
    clock = screen.clock
    with screen.renderer:
        screen.feed([*beginning(), SectionStarted(0, "The City", 200, "")])
        before = SlowStream.writes
        screen.feed([SectionText(0, "w ", 1, count, count) for count in range(20)], seconds=0.1)
    assert SlowStream.writes - before < 10


def test_a_narrower_terminal_is_cleared_and_filled_anew() -> None:
    screen = Screen(120, 30)
    with screen.renderer:
        screen.feed(in_the_middle(TITLES["few"]))
        screen.console.size = (60, 15)
        before = len(screen.written())
        screen.feed([SectionText(1, "on and on", 1, 110, 310)])
        assert "\x1b[2J" in screen.written()[before:]
        assert max(cell_len(line) for line in screen.lines()) < 60
        assert len(screen.lines()) < 15


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "gbk"])
def test_a_terminal_without_unicode_gets_ascii_bars(encoding: str) -> None:
    raw = io.BytesIO()
    screen = Screen(stream=io.TextIOWrapper(raw, encoding=encoding))
    with screen.renderer:
        screen.feed(in_the_middle(TITLES["chinese"], "罗马 Röm 👍 "))
        lines = screen.lines()
        screen.feed([run_ended(output="罗马 👍.md")])
    assert "####" in lines[7]
    assert not set("".join(lines)) & set("━─╸✓›…·–")
    assert b"Done after" in raw.getvalue()


@pytest.mark.parametrize("writes_before", [0, 5])
def test_a_terminal_that_went_away_does_not_end_the_run(writes_before: int) -> None:
    class Gone(io.StringIO):
        writes = 0

        def write(self, text: str) -> int:
            self.writes += 1
            if self.writes > writes_before:
                raise BrokenPipeError
            return super().write(text)

    screen = Screen(stream=Gone())
    with screen.renderer:
        screen.feed(whole_run())


def test_a_stream_that_was_closed_does_not_end_the_run() -> None:
    screen = Screen()
    with screen.renderer:
        screen.feed(beginning())
        screen.stream.close()
        screen.feed(whole_run())


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (0.0, "──────────"),
        (0.5, "━━━━━─────"),
        (0.55, "━━━━━╸────"),
        (0.999, "━━━━━━━━━╸"),
        (1.0, "━━━━━━━━━━"),
        (1.3, "━━━━━━━━━━"),
    ],
)
def test_a_bar_is_as_full_as_its_part(part: float, expected: str) -> None:
    assert "".join(bar(part, 10, UNICODE)) == expected
    assert len("".join(bar(part, 10, ASCII))) == 10


def test_only_unicode_encodings_get_unicode_glyphs() -> None:
    assert glyphs_for("utf-8") is glyphs_for("UTF_8") is UNICODE
    assert glyphs_for("gbk") is glyphs_for("cp1252") is glyphs_for("ascii") is ASCII


@pytest.mark.parametrize("rows", [1, 3, 4, 10, 30])
def test_the_current_section_is_always_visible(rows: int) -> None:
    for count in (1, 2, 5, 29, 30, 31, 200):
        for current in range(count):
            start, end = visible_sections(count, current, rows)
            assert 0 <= start <= current < end <= count
            assert end - start == min(rows, count)
            if rows >= 3:
                assert current > start or start == 0
                assert current < end - 1 or end == count


def test_phases_are_named() -> None:
    progress = Progress("utf-8")
    phases = []
    for event in [
        *beginning(),
        SectionStarted(0, "The City", 200, ""),
        Prefill(0, 30, 40),
        SectionText(0, "x", 1, 1, 1),
    ]:
        progress.handle(event, 0.0)
        phases.append(phase_text(progress))
    assert phases == [
        "Starting",
        "Planning",
        "Reading the prompt, 0%",
        "Reading the prompt, 100%",
        "Planning",
        "Starting",
        "Writing 1 of 3",
        "Reading the prompt, 75%",
        "Writing 1 of 3",
    ]


def test_the_remaining_time_is_unknown_until_enough_is_written() -> None:
    progress = Progress("utf-8")
    for event in [*beginning(), SectionStarted(0, "The City", 200, "")]:
        progress.handle(event, 0.0)
    progress.handle(SectionText(0, "x", 1, 10, 10), 0.0)
    assert progress.remaining() is None
    progress.handle(SectionText(0, "x", 1, 110, 110), 10.0)
    # 490 of 600 words at 10 words a second.
    assert progress.remaining() == pytest.approx(49.0)


def test_words_over_a_target_do_not_shorten_the_remaining_time() -> None:
    progress = Progress("utf-8")
    for event in [*beginning(), SectionStarted(0, "The City", 200, "")]:
        progress.handle(event, 0.0)
    progress.handle(SectionText(0, "x", 1, 100, 100), 0.0)
    progress.handle(SectionText(0, "x", 1, 300, 300), 20.0)
    assert progress.remaining() == pytest.approx(40.0)


def test_reading_a_prompt_does_not_lower_the_shown_pace() -> None:
    progress = Progress("utf-8")
    events = [*beginning(), SectionStarted(0, "The City", 200, "")]
    for event in events:
        progress.handle(event, 0.0)
    for second in range(5):
        progress.handle(SectionText(0, "x", 8, second, second), float(second))
    progress.handle(SectionStarted(1, "Next", 200, ""), 5.0)
    progress.handle(SectionText(1, "x", 8, 5, 5), 65.0)
    assert progress.pace.tokens_per_second == pytest.approx(8.0)


def test_a_long_text_keeps_only_its_tail() -> None:
    tail = TextTail()
    for number in range(10_000):
        tail.add(f"word{number} ")
    lines = tail.lines(60, 5)
    assert len(lines) == 5
    assert lines[-1].endswith("word9999")


def test_text_in_pieces_wraps_as_the_whole() -> None:
    text = (
        "The city, 罗马城建在七座山丘之上，stood on seven hills.\n\n\nIts people remembered every war.  " * 5
    )
    whole, pieces = TextTail(), TextTail()
    whole.add(text)
    for character in text:
        pieces.add(character)
        pieces.lines(31, 10)
    assert pieces.lines(31, 30) == whole.lines(31, 30)
    assert max(cell_len(line) for line in whole.lines(31, 30)) <= 31


def test_a_line_that_is_full_never_changes_again() -> None:
    tail = TextTail()
    seen: list[str] = []
    for character in "one two three 四五六七八九十 eleven twelve thirteen fourteen fifteen " * 3:
        tail.add(character)
        finished = tail.lines(20, 60)[:-1]
        assert finished[: len(seen)] == seen
        seen = finished


def test_chinese_lines_do_not_begin_with_closing_punctuation() -> None:
    tail = TextTail()
    tail.add("罗马城建在山上，人民记得。" * 10)
    assert not any(line[0] in "，。" for line in tail.lines(16, 60))


def test_a_new_width_wraps_the_text_anew() -> None:
    tail = TextTail()
    tail.add("one two three four five six seven")
    assert tail.lines(13, 9) == ["one two three", "four five six", "seven"]
    assert tail.lines(20, 9) == ["one two three four", "five six seven"]


def test_durations_read_as_clocks() -> None:
    assert [duration(seconds) for seconds in (0, 7.4, 59.7, 761, 10929, -1)] == [
        "0:00", "0:07", "1:00", "12:41", "3:02:09", "0:00",
    ]  # fmt: skip


def test_the_end_of_a_run_that_showed_nothing_is_its_summary() -> None:
    screen = Screen()
    ended: RunEnded = run_ended("failed", error="the model cannot be loaded", output=None)
    with screen.renderer:
        screen.feed([ended])
    assert screen.written().splitlines()[1] == "Error: the model cannot be loaded"
