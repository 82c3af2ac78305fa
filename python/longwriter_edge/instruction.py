"""What an instruction says about itself: how many words it asks for, and its language."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from longwriter_edge.errors import InputError
from longwriter_edge.numerals import CHINESE, ENGLISH, chinese_number, english_number, mean
from longwriter_edge.settings import is_whole

Language: TypeAlias = Literal["en", "zh"]

MIN_WORDS = 1
#: About 1.4 million tokens of English, more than the longest context that a LongWriter model was given
#: (1,048,576 positions in LongWriter-glm4-9b's file): a larger number is a slip of the keyboard.
MAX_WORDS = 1_000_000

# "In one word" is an idiom, 四字成语 and 十字路口 are things: spelled numbers below these are no lengths.
_FEWEST_SPELLED = {"en": 10, "zh": 100}
# How far around a length the words are looked for that say what it is the length of.
_NEAR = 80

_PARTS = (
    r"(?:sections?|chapters?|parts?|paragraphs?|scenes?|acts?|stor(?:y|ies)|articles?|essays?|posts?|entr(?:y|ies)|"
    r"episodes?|letters?|pieces?|poems?|topics?)"
)
_ABOUT = r"(?:(?:about|around|approximately|approx\.?|roughly|some|at\s+least|at\s+most|up\s+to|~|≈)\s*)?"
_TO = r"\s*(?:-|–|—|~|to|or|and)\s*"
_ENGLISH_LENGTHS = (
    re.compile(
        rf"(?P<low>{ENGLISH})(?:{_TO}(?P<high>{ENGLISH}))?"
        r"\s*\+?(?:\s+or\s+(?:more|fewer|less))?[\s-]*(?:(?:total|english|chinese|plus)\s+)?words?\b"
    ),
    re.compile(
        rf"\bword[\s-]*(?:count|limit|target|length)\s*(?:[:=]|of|is|should\s+be)?\s*{_ABOUT}"
        rf"(?P<low>{ENGLISH})(?:{_TO}(?P<high>{ENGLISH}))?"
    ),
)
_ENGLISH_EACH_AFTER = re.compile(
    rf"\s*(?:long\s*)?(?:,?\s*\(?(?:each|apiece)\b|(?:per|(?:in|for)\s+(?:each|every)|every)\s+{_PARTS}\b"
    r"|a\s+(?:section|chapter|part|paragraph|scene)\b)"
)
_ENGLISH_EACH_BEFORE = re.compile(
    rf"\b(?:(?:each|every|per)\s+{_PARTS}\b[^.;!?\n]{{0,30}}"
    rf"|each\s+(?:one\s+)?(?:(?:of|with|having|at|is|being|should\s+be)\s+)?{_ABOUT}"
    rf"|{ENGLISH}\s+(?:[a-z]+\s+)?{_PARTS}\s*,?\s*(?:of|with|at|having)\s+{_ABOUT}|{ENGLISH}\s*[x×]\s*)$"
)
_ENGLISH_PARTS = re.compile(
    rf"({ENGLISH})(?:[\s-]+(?:(?!(?:of|per|in|for|words?)\b)[a-z]+\s+){{0,2}}?{_PARTS}\b|\s*[x×]\s*(?={ENGLISH}))"
)
# A length of something else than the text to write.
_ENGLISH_OTHER = re.compile(
    r"\b(?:first|last|next|previous|top|worth|half|few|several|(?:list|vocabulary|set)\s+of)\s+$"
)

_CHINESE_TO = r"\s*(?:[-–—~到至]|--)\s*"
_CHINESE_PART = r"(?:小节|段落|部分|章节|章|节|段|篇|回|幕|集)"
_CHINESE_LENGTHS = (
    re.compile(
        rf"(?P<low>{CHINESE})(?:字?{_CHINESE_TO}(?P<high>{CHINESE}))?\s*[多余来]?\s*个?(?:汉|中文|英文|英语)?"
        r"(?:字(?![节符母段体典号眼画根条谜幕令])|单词|词(?![汇语组典性条]))"
    ),
    re.compile(
        r"(?:字数|词数|篇幅)[^\d零〇一二两三四五六七八九十百千万,。;\n]{0,8}"
        rf"(?P<low>{CHINESE})(?:{_CHINESE_TO}(?P<high>{CHINESE}))?"
    ),
)
_CHINESE_EACH_BEFORE = re.compile(
    rf"(?:每(?:个|一)?{_CHINESE_PART}|各|第[^\s,。;]{{1,4}}?{_CHINESE_PART})[^。;!?\n]{{0,10}}$"
)
_CHINESE_PARTS = re.compile(rf"(?<!第)({CHINESE})\s*个?{_CHINESE_PART}")
# 数万字 is tens of thousands, 前500字 the first 500, and 千字文 on its own a book.
_CHINESE_OTHER = re.compile(r"[数几第前后]$")
_CHINESE_BOOK = "千字文"

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
# Without the middle dot and the long mark, which Chinese text uses in foreign names.
_KANA = re.compile(r"[\u3041-\u3096\u30a1-\u30fa]")
_QUOTED = re.compile(r"「[^」]*」|『[^』]*』|《[^》]*》|“[^”]*”|\"[^\"]*\"")
_OTHER_WORD = re.compile(r"[^\W\d_\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")


@dataclass(frozen=True, slots=True)
class _Length:
    """A length in the text: where it stands, its words, and whether it is that of each part."""

    position: int
    words: float
    of_each: bool
    language: Language


def words_asked(text: str) -> int | None:
    """The total words that ``text`` asks for, ``None`` if it names none.

    Understands digits, thousands marks, "k", spelled numbers and ranges (their mean), in English and
    Chinese. A length of each part is multiplied by the number of parts if that is given too, and ignored
    otherwise. The value is not checked; see :func:`check_words`.
    """
    # Full-width digits and punctuation become the usual ones.
    normal = unicodedata.normalize("NFKC", text).lower()
    lengths = sorted([*_english(normal), *_chinese(normal)], key=lambda length: length.position)
    for length in lengths:
        if not length.of_each:
            return round(length.words)
    for length in lengths:
        if (parts := _number_of_parts(normal, length.language)) is not None:
            return round(length.words * parts)
    return None


def check_words(words: int) -> None:
    """Checks a total number of words.

    Raises:
        InputError: it is not from :data:`MIN_WORDS` to :data:`MAX_WORDS`.
    """
    if not is_whole(words) or not MIN_WORDS <= words <= MAX_WORDS:
        given = f"{words:,}" if is_whole(words) else repr(words)
        raise InputError(
            f"the number of words must be a whole number from {MIN_WORDS} to {MAX_WORDS:,}, not {given}",
            hint="give the total with --words, for example --words 2000",
        )


def language(text: str) -> Language:
    """The language to write in: Chinese if CJK ideographs outnumber the other words.

    Text with kana outside of quotations is Japanese, which Chinese prompts would turn into Chinese.
    """
    if _KANA.search(_QUOTED.sub("", text)):
        return "en"
    return "zh" if len(_HAN.findall(text)) > len(_OTHER_WORD.findall(text)) else "en"


def _english(text: str) -> Iterator[_Length]:
    for match in _matches(_ENGLISH_LENGTHS, text):
        before = text[max(0, match.start() - _NEAR) : match.start()]
        words = _length(match, english_number, "en")
        if words is not None and not _ENGLISH_OTHER.search(before):
            each = _ENGLISH_EACH_AFTER.match(text, match.end()) or _ENGLISH_EACH_BEFORE.search(before)
            yield _Length(match.start(), words, bool(each), "en")


def _chinese(text: str) -> Iterator[_Length]:
    for match in _matches(_CHINESE_LENGTHS, text):
        before = text[max(0, match.start() - _NEAR) : match.start()]
        words = _length(match, chinese_number, "zh")
        is_other = _CHINESE_OTHER.search(before) or text.startswith(_CHINESE_BOOK, match.start())
        if words is not None and not is_other:
            yield _Length(match.start(), words, bool(_CHINESE_EACH_BEFORE.search(before)), "zh")


def _matches(patterns: tuple[re.Pattern[str], ...], text: str) -> Iterator[re.Match[str]]:
    for pattern in patterns:
        yield from pattern.finditer(text)


def _length(match: re.Match[str], parse: Callable[[str], float | None], spoken: Language) -> float | None:
    words = mean(match["low"], match["high"], parse)
    is_spelled = not match["low"][0].isdigit()
    return None if words is None or (is_spelled and words < _FEWEST_SPELLED[spoken]) else words


def _number_of_parts(text: str, spoken: Language) -> float | None:
    pattern = _ENGLISH_PARTS if spoken == "en" else _CHINESE_PARTS
    parse = english_number if spoken == "en" else chinese_number
    return next((parse(match[1]) for match in pattern.finditer(text)), None)
