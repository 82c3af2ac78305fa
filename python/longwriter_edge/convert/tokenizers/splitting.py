"""How a tokenizer splits text before it merges bytes, and llama.cpp's name of that.

Tokenizers are told apart by what they do, not by a list of known files: the rules of tokenizer.json split
a probe text, and so do the patterns that llama.cpp has under each name.
"""

from __future__ import annotations

import functools
import re
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

#: Splits a list of pieces further.
Split: TypeAlias = Callable[[str], list[str]]

# Everything that known patterns treat differently: contractions in both cases, digits in runs of several
# lengths, white space around lines, punctuation before line ends, scripts with and without spaces, marks.
PROBE = (
    "I've HE'S they'll 'tis 'RE  a'b \n\n \n\t\t x\r\n\r\n   end \u3000 wide\u00a0no-break\n"
    "1 12 123 1234 12345 3.14 1,000,000 2024年5月 ٣٤٥ Ⅷ ½ x2y22z222\n"
    "写一篇关于罗马帝国的文章。第二，“引号”……！ 日本語のテキスト、カタカナ 한국어 문장 ไทย हिन्दी ક્ષ\n"
    "Ünïcödé naïve Ñandú straße Привет мир! Ελληνικά e\u0301te\u0301 שלום مرحبا\n"
    "foo_bar fooBar HTTPServer $price #tag @name a->b ({[<>]}) ... ?!?! ---- ''' \"\"\"\n\n"
    "🚀🚀 👩‍👩‍👧 ☕️ \u200b zero 'S 'T x'D  .\n . \n"
)

_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_LLAMA3 = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{_REST}"
_QWEN2 = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}|{_REST}"
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


@dataclass(frozen=True, slots=True)
class PreTokenizer:
    """One of llama.cpp's pre-tokenizers (``tokenizer.ggml.pre``, llama-vocab.cpp).

    Attributes:
        name: llama.cpp's name.
        patterns: Applied one after the other to the pieces of the one before.
        whole_words: Whether a piece that is a token is taken without merging (``ignore_merges``).
        glm: Whether it is for GLM-4's vocabulary.
    """

    name: str
    patterns: tuple[str, ...]
    whole_words: bool = False
    glm: bool = False


PRE_TOKENIZERS = (
    PreTokenizer("llama-bpe", (_LLAMA3,), whole_words=True),
    PreTokenizer("smaug-bpe", (_LLAMA3,)),
    PreTokenizer("glm4", (_LLAMA3,), whole_words=True, glm=True),
    PreTokenizer("chatglm-bpe", (_LLAMA3,), glm=True),
    PreTokenizer("qwen2", (_QWEN2,)),
    PreTokenizer("smollm", (r"\p{N}", _GPT2)),
    PreTokenizer("gpt-2", (_GPT2,)),
)


class UnknownRuleError(ValueError):
    """A rule of tokenizer.json that is not understood."""


def recognise(rule: object, *, whole_words: bool, glm: bool) -> PreTokenizer | None:
    """The pre-tokenizer that splits the probe text as the ``pre_tokenizer`` of a tokenizer.json does.

    Args:
        rule: The value in tokenizer.json.
        whole_words: Its model's ``ignore_merges``.
        glm: Whether the vocabulary is GLM-4's.

    Returns:
        ``None`` if none does. One that differs in ``whole_words`` is taken where there is no better.

    Raises:
        UnknownRuleError: the rule, or its pattern, is not understood.
    """
    pieces = split(PROBE, splits_of(rule))
    matching = [
        known
        for known in PRE_TOKENIZERS
        if known.glm == glm and split(PROBE, [_isolated(each) for each in known.patterns]) == pieces
    ]
    matching.sort(key=lambda known: known.whole_words != whole_words)
    return matching[0] if matching else None


def split(text: str, splits: list[Split]) -> list[str]:
    """The pieces of a text after all splits, empty ones left out."""
    pieces = [text]
    for each in splits:
        pieces = [piece for whole in pieces for piece in each(whole) if piece]
    return pieces


def splits_of(rule: object) -> list[Split]:
    """The splits of a ``pre_tokenizer`` of tokenizer.json, one after the other.

    Raises:
        UnknownRuleError: it holds something else than patterns, digits and byte level.
    """
    if not isinstance(rule, dict):
        raise UnknownRuleError("there are no rules for splitting text")
    kind = rule.get("type")
    if kind == "Sequence":
        steps = rule.get("pretokenizers")
        if not isinstance(steps, list):
            raise UnknownRuleError("a sequence of nothing")
        return [each for step in steps for each in splits_of(step)]
    if kind == "ByteLevel":
        # Bytes become characters here; that changes no border.
        return [_isolated(_GPT2)] if rule.get("use_regex", True) else []
    if kind == "Digits":
        return [_isolated(r"\p{N}" if rule.get("individual_digits") else r"\p{N}+")]
    if kind == "Split":
        return [_split_rule(rule)]
    raise UnknownRuleError(f"the rule {str(kind)[:40]!r}")


def _split_rule(rule: dict[str, Any]) -> Split:
    pattern, behavior, invert = rule.get("pattern"), rule.get("behavior"), rule.get("invert", False)
    if not isinstance(pattern, dict):
        raise UnknownRuleError("a split without a pattern")
    # "Removed" with "invert" keeps what matches and drops the rest; the patterns in use match everything.
    if (behavior, invert) not in (("Isolated", False), ("Removed", True)):
        raise UnknownRuleError(f"a split that is {str(behavior)[:20]!r}")
    if isinstance(expression := pattern.get("Regex"), str):
        return _isolated(expression)
    if isinstance(literal := pattern.get("String"), str):
        return _isolated(re.escape(literal))
    raise UnknownRuleError("a split without a pattern")


def _isolated(pattern: str) -> Split:
    """Cuts out what a pattern matches; what lies between stays whole."""
    compiled = _compiled(pattern)

    def cut(text: str) -> list[str]:
        pieces, end = [], 0
        for match in compiled.finditer(text):
            pieces += [text[end : match.start()], match[0]]
            end = match.end()
        return [*pieces, text[end:]]

    return cut


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """A pattern of the usual regex dialect for Python's ``re``, which has no Unicode properties."""
    if len(pattern) > 10_000:
        raise UnknownRuleError("a pattern of more than 10,000 characters")
    # Possessive quantifiers only save time here, and Python has them since 3.11 alone.
    pattern = re.sub(r"(?<!\\)([?*+])\+", r"\1", pattern)
    translated, place, inside = [], 0, False
    while place < len(pattern):
        if property_name := re.compile(r"\\(p|P)\{(\w+)\}").match(pattern, place):
            ranges = _property_ranges(property_name[2])
            if property_name[1] == "P" and inside:
                raise UnknownRuleError("a negated property inside brackets")
            negation = "^" if property_name[1] == "P" else ""
            translated.append(ranges if inside else f"[{negation}{ranges}]")
            place = property_name.end()
            continue
        length = 2 if pattern[place] == "\\" else 1
        if length == 1 and pattern[place] in "[]":
            inside = pattern[place] == "["
        translated.append(pattern[place : place + length])
        place += length
    try:
        return re.compile("".join(translated))
    except re.error as error:
        raise UnknownRuleError(f"the pattern {pattern[:60]!r}: {error}") from error


@functools.cache
def _property_ranges(name: str) -> str:
    """The characters of a Unicode general category such as ``L`` or ``Lu``, for a pair of brackets."""
    if not re.fullmatch("[LMNPSZC][a-z]?", name):
        raise UnknownRuleError(f"the property {name!r}")
    ranges, start = [], None
    for code in range(sys.maxunicode + 2):
        member = code <= sys.maxunicode and unicodedata.category(chr(code)).startswith(name)
        if member and start is None:
            start = code
        elif not member and start is not None:
            ranges.append(f"\\U{start:08x}-\\U{code - 1:08x}")
            start = None
    return "".join(ranges)
