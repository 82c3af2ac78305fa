"""Reads an instruction: its language and the number of words that it asks for."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from longwriter_edge.errors import InputError

Language: TypeAlias = Literal["en", "zh"]

#: Most words of a document: ten novels. More is a typing error, and no model's context holds a fraction of it.
MAX_WORDS = 1_000_000

#: Share of ideographs among letters from which an instruction is Chinese. A Chinese instruction may hold many
#: Latin names; an English one may quote a few characters.
_CHINESE_SHARE = 0.3
_IDEOGRAPH = re.compile(r"[\u4e00-\u9fff]")
_KANA = re.compile(r"[\u3041-\u3096\u30a1-\u30fa]")
_LATIN_WORD = re.compile(r"[^\W\d_\u3040-\u9fff]+")


def language(text: str) -> Language:
    """The language to write prompts in: Chinese where ideographs prevail, English for all others."""
    ideographs = len(_IDEOGRAPH.findall(text))
    if not ideographs or _KANA.search(text):
        return "en"
    words = len(_LATIN_WORD.findall(text))
    return "zh" if ideographs / (ideographs + words) >= _CHINESE_SHARE else "en"


def check_words(words: int) -> int:
    """``words`` if a document can have so many.

    Raises:
        InputError: it is less than 1 or more than :data:`MAX_WORDS`.
    """
    if not 1 <= words <= MAX_WORDS:
        raise InputError(
            f"a document has 1 to {MAX_WORDS:,} words, not {words:,}", hint="give another number with --words"
        )
    return words


_DIGITS = r"\d{1,3}(?:[,  ]\d{3})+(?!\d)|\d+(?:\.\d+)?"
_SMALL = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_VALUES = {
    **{word: value for value, word in enumerate(_SMALL, start=1)},
    **{word: 10 * value for value, word in enumerate(_TENS, start=2)},
    "a": 1,
    "an": 1,
}
_SCALES = {"hundred": 100, "thousand": 1000}
_SPELLED = (
    rf"(?:(?:{'|'.join(_VALUES)})[\s-]+)?(?:{'|'.join([*_VALUES, *_SCALES])})"
    rf"(?:[\s-]+(?:and[\s-]+)?(?:{'|'.join([*_VALUES, *_SCALES])}))*"
)
_NUMBER = rf"(?:{_DIGITS})\s?k\b|{_DIGITS}|\b{_SPELLED}"
_RANGE = rf"(?P<low>{_NUMBER})(?:\s*(?:-|–|—|~|to)\s*(?P<high>{_NUMBER}))?"
# "10,000-word", "5k words", "1000 to 1500 words", "2500 English words".
_ENGLISH = re.compile(
    rf"(?<![\d.,$€£])(?:{_RANGE})[\s-]*(?:(?:or\s+(?:more|so)|english|plus|\+)[\s-]*)?words?\b", re.IGNORECASE
)
# "word count: 800", "word limit of 1,000".
_LABELLED = re.compile(
    rf"\bword[\s-]?(?:count|limit|length|target)s?\b(?:\s*(?:of|is|:|=|about|around|~))*\s*(?:{_RANGE})",
    re.IGNORECASE,
)
# After a number of words: they are for each part.
_EACH = re.compile(r"^\s*(?:each|apiece|per\b|for\s+each|for\s+every)", re.IGNORECASE)
_EACH_BEFORE = re.compile(r"\b(?:each|every)\b[^.;]{0,40}$", re.IGNORECASE)
_PARTS = re.compile(
    rf"(?P<count>{_NUMBER})[\s-]+(?:\w+[\s-]+)?(?:sections?|chapters?|parts?|paragraphs?|essays?|stories|articles?|scenes?)\b",
    re.IGNORECASE,
)

_NUMERALS = {character: value for value, character in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_CHINESE_NUMBER = r"(?:\d[\d,]*(?:\.\d+)?\s*[万千百]?|[零〇一二两三四五六七八九十百千万]+)"
_CHINESE_WORDS = re.compile(
    rf"(?P<low>{_CHINESE_NUMBER})(?:\s*(?:-|–|—|~|到|至)\s*(?P<high>{_CHINESE_NUMBER}))?\s*(?:个)?(?:多|余|左右)?(?:汉)?字"
    rf"(?![典母符体号段句])"
)
_CHINESE_LABELLED = re.compile(rf"字数\s*(?:为|是|约|要求|：|:)*\s*(?P<low>{_CHINESE_NUMBER})")
_CHINESE_EACH = re.compile(r"每[^，。；]{0,8}$")
_CHINESE_PARTS = re.compile(rf"(?P<count>{_CHINESE_NUMBER})\s*(?:个)?(?:章|节|段|部分|篇)")


def words_asked(text: str) -> int | None:
    """The total number of words that an instruction asks for, ``None`` if it names none.

    A range gives its middle. A number for each of a named number of parts is multiplied; for an unknown number of
    parts it says nothing about the total. Where several totals are named, the first counts.
    """
    for pattern, each_after, each_before, parts in (
        (_LABELLED, _EACH, _EACH_BEFORE, _PARTS),
        (_ENGLISH, _EACH, _EACH_BEFORE, _PARTS),
        (_CHINESE_LABELLED, None, _CHINESE_EACH, _CHINESE_PARTS),
        (_CHINESE_WORDS, None, _CHINESE_EACH, _CHINESE_PARTS),
    ):
        for match in pattern.finditer(text):
            upper = match.groupdict().get("high")
            low, high = _value(match["low"]), None if upper is None else _value(upper)
            words = low if high is None else (low + high) / 2
            if words < 1 or (high is None and _is_small_talk(match["low"], words)):
                continue
            before, after = text[: match.start()], text[match.end() :]
            if each_before.search(before) or (each_after is not None and each_after.search(after)):
                counted = parts.search(before) or parts.search(after)
                if counted is None:
                    continue
                words *= _value(counted["count"])
            return round(words)
    return None


def _is_small_talk(number: str, words: float) -> bool:
    """Whether a spelled number is a figure of speech: "a few words", "in one word", "two words"."""
    return not number[0].isdigit() and words < 20 and not any(c in _NUMERALS for c in number)


def _value(number: str) -> float:
    """The value of a number in digits, spelled in English, or in Chinese numerals."""
    compact = re.sub(r"(?<=\d)[,\u00a0 ](?=\d{3})", "", number.strip().lower())
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*(k|万|千|百)?", compact.replace(",", "")):
        unit = {None: 1, "k": 1000, "千": 1000, "万": 10_000, "百": 100}[match[2]]
        return float(match[1]) * unit
    if re.fullmatch(r"[a-z\s-]+", compact):
        return _spelled_value(compact)
    return _chinese_value(compact)


def _spelled_value(text: str) -> float:
    total = current = 0
    for word in re.split(r"[\s-]+", text):
        if word in _VALUES:
            current += _VALUES[word]
        elif word in _SCALES:
            current = max(current, 1) * _SCALES[word]
            if word == "thousand":
                total, current = total + current, 0
    return total + current


def _chinese_value(text: str) -> float:
    total = section = digit = 0
    for character in text:
        if character in _NUMERALS:
            digit = _NUMERALS[character]
        elif character == "万":
            total, section, digit = (section + digit or 1) * 10_000, 0, 0
        elif character in "十百千":
            section += (digit or 1) * {"十": 10, "百": 100, "千": 1000}[character]
            digit = 0
    return total + section + digit
