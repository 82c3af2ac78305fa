"""Plain lines and quiet: what is said, when, and to which streams."""

from __future__ import annotations

import io

from render_events import FakeClock, beginning, plan_ready, run_ended, run_started, whole_run

from longwriter_edge.events import (
    Event,
    Notice,
    Prefill,
    RunEnded,
    SectionEnded,
    SectionPlan,
    SectionStarted,
    SectionText,
)
from longwriter_edge.render.plain import PlainRenderer, QuietRenderer

HOSTILE = "a\x1b[31m\x9b2J\x07\u202eb"


def plain(events: list[Event], seconds: float = 0.5) -> str:
    """What the plain renderer writes if every event takes so long."""
    stream, clock = io.StringIO(), FakeClock()
    with PlainRenderer(stream, clock) as renderer:
        for event in events:
            clock.advance(seconds)
            renderer.handle(event)
    return stream.getvalue()


def quiet(events: list[Event]) -> str:
    stream = io.StringIO()
    with QuietRenderer(stream) as renderer:
        for event in events:
            renderer.handle(event)
    return stream.getvalue()


def test_a_run_reads_as_a_log() -> None:
    assert plain(whole_run()).splitlines() == [
        "Writing 600 words (run rome-1)",
        "Model: SmolLM2-135M-Instruct, profile chatml, agentwrite, turns",
        "Runs on: CPU, 2 threads; context 8,192 tokens; seed 42",
        "Planning",
        "Plan: Rome: A History (3 sections, 600 words)",
        "  1. The Founding of the City (200 words)",
        "  2. The Republic (200 words)",
        "  3. The Fall of the West (200 words)",
        "Warning: section 2 repeats section 1",
        "Section 1 of 3: The Founding of the City (200 words)",
        "Section 1 of 3 done: 200/200 words, 2.0 tokens/s",
        "Section 2 of 3: The Republic (200 words)",
        "Section 2 of 3 unfinished: 200/200 words, 2.0 tokens/s",
        "Section 3 of 3: The Fall of the West (200 words)",
        "Section 3 of 3 done: 200/200 words, 2.0 tokens/s",
        "Done after 3:20: 590 of 600 words (580 as LongBench-Write counts), 3 of 3 sections",
        'Unfinished: 2 "The Republic"',
        "Length: S_l 98.3 of 100; refused an early end 2 times",
        "Tokens: 1,900 written, 2,310 read (12 of them again), 10,233 reused",
        "Time: prefill 20.0 s (10%), decode 2:30 (75%), sampling 2.0 s (1%), other 4.0 s (2%)",
        "Speed: 9.5 tokens/s, 12.7 in decode alone",
        "Model: SmolLM2-135M-Instruct, profile chatml, agentwrite, turns",
        "Runs on: CPU, 2 threads; context 8,192 tokens; seed 42",
        "Written to: rome.md",
    ]


def test_a_slow_section_gets_a_line_every_half_minute() -> None:
    texts: list[Event] = [SectionText(0, "word ", 1, count, count) for count in range(1, 101)]
    lines = plain([*beginning(), SectionStarted(0, "The City", 200, ""), *texts], seconds=1.0).splitlines()
    progress = [line for line in lines if "left" in line]
    assert progress == [
        "Section 1 of 3: 30/200 words; document 30/600 words; 1.0 tokens/s; about 9:30 left",
        "Section 1 of 3: 60/200 words; document 60/600 words; 1.0 tokens/s; about 9:00 left",
        "Section 1 of 3: 90/200 words; document 90/600 words; 1.0 tokens/s; about 8:30 left",
    ]


def test_a_long_prompt_gets_a_line_every_half_minute() -> None:
    reading: list[Event] = [Prefill(0, part, 100) for part in range(0, 100, 20)]
    lines = plain([*beginning(), SectionStarted(0, "The City", 200, ""), *reading], seconds=16.0).splitlines()
    assert lines[-2:] == [
        "Reading the prompt of section 1 of 3: 20%",
        "Reading the prompt of section 1 of 3: 60%",
    ]


def test_a_section_of_an_earlier_process_is_not_given_a_pace() -> None:
    events: list[Event] = [
        run_started(),
        plan_ready(),
        SectionStarted(0, "The City", 200, "Rome."),
        SectionEnded(0, "end_of_turn", 190, 200, 300),
    ]
    assert plain(events).splitlines()[-2:] == [
        "Section 1 of 3: The City (200 words, goes on)",
        "Section 1 of 3 done before: 190/200 words",
    ]


def test_no_escape_of_any_field_gets_out() -> None:
    started = run_started()
    for field in ("run", "instruction", "model", "profile", "layout", "device"):
        object.__setattr__(started, field, HOSTILE)
    plan = plan_ready([HOSTILE])
    object.__setattr__(plan, "title", HOSTILE)
    ended = run_ended("failed", error=HOSTILE, unfinished=(0,), output=HOSTILE)
    events: list[Event] = [
        started,
        plan,
        Notice("warning", HOSTILE),
        SectionStarted(0, HOSTILE, 10, HOSTILE),
        SectionText(0, HOSTILE, 1, 1, 1),
        SectionEnded(0, "token_limit", 1, 10, 1),
        ended,
    ]
    for written in (plain(events), quiet(events)):
        assert not set(written) & set("\x1b\x9b\x07\r\u202e")
        assert "ab" in written


def test_a_stream_of_another_encoding_gets_what_it_can_carry() -> None:
    for encoding in ("ascii", "cp1252", "gbk"):
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding=encoding)
        with PlainRenderer(stream, FakeClock()) as renderer:
            renderer.handle(plan_ready(["Röm 罗马 👩\u200d🚀"]))
        assert "(200 words)" in raw.getvalue().decode(encoding)


def test_a_closed_stream_does_not_end_the_run() -> None:
    stream = io.StringIO()
    renderer = PlainRenderer(stream, FakeClock())
    stream.close()
    for event in whole_run():
        renderer.handle(event)


def test_quiet_says_warnings_and_errors_and_nothing_else() -> None:
    events = [Notice("info", "the default of 1,000 words was taken"), *whole_run()]
    assert quiet(events).splitlines() == [
        "Warning: section 2 repeats section 1",
        'Warning: Unfinished: 2 "The Republic"',
    ]
    failed: list[RunEnded] = [run_ended("failed", error="the disk is full")]
    assert quiet([*failed]).splitlines() == ["Error: the disk is full"]


def test_many_cut_sections_are_counted_rather_than_listed() -> None:
    titles = [f"Part {number}" for number in range(20)]
    assert isinstance(plan_ready(titles).sections[0], SectionPlan)
    written = quiet([plan_ready(titles), run_ended(unfinished=tuple(range(20)))])
    assert written.endswith('5 "Part 4", 15 more\n')


def test_an_interrupted_run_says_how_far_it_came() -> None:
    lines = plain([*beginning(), run_ended("interrupted", output=None, words=120)]).splitlines()
    assert (
        "Interrupted after 3:20: 120 of 600 words (580 as LongBench-Write counts), 0 of 3 sections" in lines
    )
    assert not any(line.startswith("Written to") for line in lines)
