"""What must not reach a terminal: escapes, invisible characters, characters of another encoding."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter_edge.render.sanitize import encodable, safe, safe_line

# Shown by fonts although their category is "format": signs that enclose the digits or letters after them.
VISIBLE_FORMAT = {
    *range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD,
}  # fmt: skip
JOINERS = {0x200C, 0x200D}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x1b[31mred\x1b[0m b", "ared b"),
        ("a\x9b31mred", "ared"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://example.org\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPdevice\x1b\\text", "text"),
        ("\x1b(0box", "box"),
        ("\x1b[2J\x1b[Hcleared", "cleared"),
        ("bell\x07 back\x08space", "bell backspace"),
    ],
)
def test_escape_sequences_go_as_a_whole(text: str, expected: str) -> None:
    assert safe(text) == expected


def test_a_control_string_without_an_end_takes_no_text_with_it() -> None:
    assert safe("\x1b]0;the text goes on") == "0;the text goes on"


def test_removing_one_sequence_makes_no_new_one() -> None:
    assert "\x1b" not in safe("\x1b\x1b[m[31mred")


def test_newline_and_tab_stay_and_line_separators_become_newlines() -> None:
    assert safe("a\tb\nc\r\nd\u2028e\u2029f") == "a\tb\nc\nd\ne\nf"


def test_text_that_reorders_or_hides_is_taken_out() -> None:
    assert safe("user\u202egnp.exe\u2066\u200b\ufeff\U000e0041") == "usergnp.exe"


def test_scripts_and_emoji_keep_their_joiners_and_selectors() -> None:
    text = "می\u200cخواهم 👩\u200d🚀 ❤\ufe0f 葛\U000e0100"
    assert safe(text) == text


def test_every_control_and_format_character_is_known() -> None:
    kept = {
        code
        for code in range(0x110000)
        if unicodedata.category(chr(code)) in ("Cc", "Cf", "Cs") and safe(chr(code)) == chr(code)
    }
    assert kept == {0x09, 0x0A} | JOINERS | VISIBLE_FORMAT


def test_lone_surrogates_of_undecodable_file_names_are_replaced() -> None:
    assert safe("caf\udce9.md") == "caf\ufffd.md"


@given(st.text())
def test_safe_text_is_safe_again(text: str) -> None:
    assert safe(safe(text)) == safe(text)


def test_a_title_is_one_line() -> None:
    assert safe_line("  A\n\ttitle \x1b[1m here ") == "A title here"


def test_characters_that_an_encoding_lacks_become_question_marks() -> None:
    assert encodable("Röm 罗马", "cp1252") == "Röm ??"
    assert encodable("Röm 罗马", "ascii") == "R?m ??"
