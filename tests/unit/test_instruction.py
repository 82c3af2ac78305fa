"""What instructions ask for: totals in English and Chinese, what is no total, and languages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter_edge.errors import InputError
from longwriter_edge.instruction import MAX_WORDS, Language, check_words, language, words_asked


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Write a 10,000-word history of the Hanseatic League", 10_000),
        ("Describe the moon in 10 000 words", 10_000),
        ("Ein Bericht, 10.000 words", 10_000),
        ("about 5k words on bees", 5_000),
        ("a 2.5k-word story", 2_500),
        ("2.5 thousand words", 2_500),
        ("About 3000 words, please", 3_000),
        ("at least 1500 words", 1_500),
        ("5000+ words", 5_000),
        ("a 500 word essay", 500),
        ("An essay on tides. Word count: 800", 800),
        ("keep to a word limit of 1,200", 1_200),
        ("1000-1500 words", 1_250),
        ("between 1000 and 1500 words", 1_250),
        ("1-2k words", 1_500),
        ("one or two thousand words", 1_500),
        ("five hundred words", 500),
        ("a ten-thousand-word novel", 10_000),
        ("twenty-five hundred words", 2_500),
        ("one hundred and fifty words", 150),
        ("a thousand words", 1_000),
        ("In 1984, he asked for 500 words", 500),
    ],
)
def test_totals_are_read_from_english_instructions(text: str, words: int) -> None:
    assert words_asked(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("写一篇2000字的散文", 2_000),
        ("写一篇１０００字的散文", 1_000),
        ("写两千字", 2_000),
        ("一万字的小说", 10_000),
        ("1万字的小说", 10_000),
        ("3万字", 30_000),
        ("1.5万字", 15_000),
        ("1万5千字", 15_000),
        ("一万五千字", 15_000),
        ("五千字左右", 5_000),
        ("两三千字", 2_500),
        ("万字长文", 10_000),
        ("一千零五十字", 1_050),
        ("500个字", 500),
        ("不少于800字", 800),
        ("1000到1500字", 1_250),
        ("2-3万字", 25_000),
        ("字数：3000", 3_000),
        ("字数要求不少于3000", 3_000),
        ("800个英文单词", 800),
        ("二〇二四年写一篇5000字的文章", 5_000),
    ],
)
def test_totals_are_read_from_chinese_instructions(text: str, words: int) -> None:
    assert words_asked(text) == words


@pytest.mark.parametrize(
    "text",
    [
        "Write about the sea",
        "In other words, explain 1984",
        "Describe it in two words",
        "A picture is worth a thousand words",
        "a few thousand words",
        "Rewrite the first 100 words",
        "四字成语的由来",
        "介绍千字文",
        "描写十字路口",
        "一个8000字节的文件",
        "数万字",
        "几千字",
        "",
    ],
)
def test_other_numbers_and_idioms_are_no_totals(text: str) -> None:
    assert words_asked(text) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Write 5 sections of 200 words each", 1_000),
        ("five chapters, each about 300 words", 1_500),
        ("200 words per section, 4 sections", 800),
        ("12 essays at 300 words", 3_600),
        ("写五章，每章两千字", 10_000),
        ("每章2000字，共5章", 10_000),
        ("200 words per section", None),
        ("sections of 200 words each", None),
        ("每章2000字", None),
        ("第一段200字，第二段300字", None),
    ],
)
def test_a_length_of_each_part_counts_times_the_parts_if_they_are_known(text: str, words: int | None) -> None:
    assert words_asked(text) == words


def test_a_total_goes_before_lengths_of_parts() -> None:
    assert words_asked("10 chapters of 900 words each, a 10,000-word novel") == 10_000


def test_absurd_numbers_do_not_break_the_reading() -> None:
    assert (words_asked("9" * 30 + " words") or 0) > MAX_WORDS
    assert words_asked("9" * 5_000 + " words") is None


@given(st.text(alphabet="0123456789,.-–k 一两万千百字每章节 abwords\n", max_size=60) | st.text(max_size=60))
def test_any_text_gives_a_number_or_none(text: str) -> None:
    words = words_asked(text)
    assert words is None or words >= 0


@given(st.integers(1, MAX_WORDS))
def test_any_allowed_number_is_read_back(words: int) -> None:
    assert words_asked(f"Write {words:,} words") == words
    assert words_asked(f"写一篇{words}字的文章") == words


@pytest.mark.parametrize("words", [0, -1, MAX_WORDS + 1])
def test_impossible_numbers_are_refused_with_the_range(words: int) -> None:
    with pytest.raises(InputError, match="1,000,000") as caught:
        check_words(words)
    assert f"{words:,}" in str(caught.value)


def test_the_bounds_are_allowed() -> None:
    check_words(1)
    check_words(MAX_WORDS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("写一篇关于罗马的文章", "zh"),
        ("写一篇关于 Rust programming 的文章", "zh"),
        ("写一篇关于「となりのトトロ」的影评", "zh"),
        ("Write about 中国 and its rivers", "en"),
        ("ローマの歴史を書いてください", "en"),
        ("로마의 역사", "en"),
        ("", "en"),
    ],
)
def test_the_language_is_that_of_most_of_the_text(text: str, expected: Language) -> None:
    assert language(text) == expected
