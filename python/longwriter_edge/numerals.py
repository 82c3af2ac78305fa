"""Numbers as people write them in English and Chinese: digits, thousands marks, "k", spelled out."""

from __future__ import annotations

import re
from collections.abc import Callable

# fmt: off
_UNITS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
# fmt: on
_SMALL = {name: value for value, name in enumerate(_UNITS)} | {
    name: 10 * value for value, name in enumerate(_TENS, start=2)
}
_SCALES = {"k": 1_000, "hundred": 100, "thousand": 1_000, "million": 1_000_000}
_CHINESE_DIGITS = dict(zip("零〇一二两三四五六七八九", (0, 0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9), strict=True))
_CHINESE_SCALES = {"十": 10, "百": 100, "千": 1_000, "k": 1_000, "万": 10_000}

# More digits are no length; the bound also keeps the values within what a float holds.
_MOST_DIGITS = 40
_DIGITS = rf"(?<![\d.,])(?:\d{{1,3}}(?:[,. '’]\d{{3}})+|\d{{1,{_MOST_DIGITS}}}(?:\.\d{{1,3}})?)(?!\d)"
_SMALL_NAMES = "|".join(sorted(_SMALL, key=len, reverse=True))
_SPELLED = (
    rf"(?:a(?=[\s-]+(?:hundred|thousand|million)\b)|(?:{_SMALL_NAMES})\b)"
    rf"(?:[\s-]+(?:and[\s-]+)?(?:{_SMALL_NAMES}|hundred|thousand|million)\b)*"
)
#: Pattern of a number in lower-case English text, for :func:`english_number`. Has no groups.
ENGLISH = rf"(?:{_DIGITS}(?:\s?k\b|[\s-](?:thousand|million)\b)?|\b{_SPELLED})"
#: Pattern of a number in Chinese text, for :func:`chinese_number`. Has no groups.
CHINESE = (
    rf"(?:(?<![\d.,])\d[\d,]{{0,{_MOST_DIGITS}}}(?:\.\d{{1,3}})?(?!\d)|[零〇一二两三四五六七八九十百千万])"
    r"[\d零〇一二两三四五六七八九十百千万k]{0,12}"
)


def english_number(text: str) -> float | None:
    """The value of a match of :data:`ENGLISH`."""
    words = re.findall(r"[a-z]+", text)
    if text[0].isdigit():
        return _digits(text.rstrip("abcdefghijklmnopqrstuvwxyz -"), whole=not words) * (
            _SCALES[words[0]] if words else 1
        )
    total = current = 0
    for word in words:
        if word == "a":
            current = 1
        elif word in _SMALL:
            current += _SMALL[word]
        elif word == "hundred":
            current *= 100
        elif word in _SCALES:
            total += current * _SCALES[word]
            current = 0
    return total + current


def chinese_number(text: str) -> float | None:
    """The value of a match of :data:`CHINESE`, such as 2000, 1万5千, 一万五千 or 两三千 (2,500).

    ``None`` for digits that make no number, such as those of a year that is read out.
    """
    total = section = 0.0
    number: float | None = None
    spelled = 0
    for part in re.findall(r"\d[\d,]*(?:\.\d+)?|.", text):
        if part in _CHINESE_DIGITS:
            # Two in a row are a range ("two or three thousand").
            spelled = spelled + 1 if number else 1
            value = _CHINESE_DIGITS[part]
            number = (number + value) / 2 if number else value
            if spelled > 2:
                return None
        elif part[0].isdigit():
            if number is not None:
                return None
            number = _digits(part, whole=part == text)
        elif part == "万":
            total += (section + (number or 0) or 1) * 10_000
            section, number = 0.0, None
        else:
            section += (1 if number is None else number) * _CHINESE_SCALES[part]
            number = None
    return total + section + (number or 0)


def mean(low: str, high: str | None, parse: Callable[[str], float | None]) -> float | None:
    """The mean of a range, or the one number. In ``1-2k`` the unit belongs to both."""
    first = parse(low)
    last = first if high is None else parse(high)
    if first is None or last is None:
        return None
    if high is not None and (low[-1].isdigit() or low[-1] in _CHINESE_DIGITS or low in _SMALL):
        scale = _last_scale(high)
        if first * scale <= last:
            first *= scale
    return (first + last) / 2


def _last_scale(text: str) -> int:
    word = re.search(r"[a-z]+$", text)
    return _SCALES.get(word[0], 1) if word else _CHINESE_SCALES.get(text[-1], 1)


def _digits(text: str, *, whole: bool) -> float:
    """The value of digits. ``whole``: no unit follows, so a point before three digits marks thousands."""
    if text.count(".") > 1 or (whole and re.search(r"\.\d{3}$", text)):
        text = text.replace(".", "")
    return float(re.sub(r"[, '’]", "", text))
