"""Takes out of a text what could steer a terminal or deceive its reader.

Model output, titles, instructions, file names and error messages are data. A terminal would obey the
escape sequences in them, and a reader would be fooled by characters that reorder or hide others
("Trojan Source", arXiv 2111.00169).
"""

from __future__ import annotations

import re

# Whole escape sequences (ECMA-48): control sequences, control strings up to their terminator, and the
# short ones. A control string without an end is not matched: only its introducer goes, so that no text
# is lost, and its length is bounded so that the scan stays linear.
_ESCAPES = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]{0,64}[ -/]{0,16}[@-~]"
    "|(?:\x1b[\\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]{0,4096}(?:\x07|\x9c|\x1b\\\\)"
    "|\x1b[ -/]{0,16}[0-~]"
)

# Invisible characters, each with its reason. The joiners U+200C and U+200D and the variation selectors
# stay: words in several scripts and composed emoji need them.
_UNSAFE = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and newline, DEL, C1
    "\u00ad\u034f\u061c\u180e"  # soft hyphen, grapheme joiner, Arabic letter mark, Mongolian separator
    "\u115f\u1160\u3164\uffa0"  # Hangul fillers: letters that are blank
    "\u200b\u200e\u200f\u202a-\u202e"  # zero width space, direction marks, embeddings, overrides
    "\u2060-\u206f\ufeff\ufff9-\ufffb"  # invisible operators, isolates, byte order mark, annotations
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # layout of glyphs and notes
    "\U000e0000-\U000e007f"  # tags: an invisible copy of ASCII
    "]"
)

_SURROGATES = re.compile("[\ud800-\udfff]")
_LINE_SEPARATORS = re.compile("\r\n|[\u2028\u2029]")


def safe(text: str) -> str:
    r"""The text without control characters, escape sequences and invisible format characters.

    Newline and tab stay, ``\r\n`` and Unicode's line separators become newlines, and a lone surrogate,
    as undecodable file names have them, becomes U+FFFD.
    """
    if text.isascii() and text.isprintable():
        return text
    text = _ESCAPES.sub("", text)
    text = _LINE_SEPARATORS.sub("\n", text)
    text = _UNSAFE.sub("", text)
    return _SURROGATES.sub("\ufffd", text)


def safe_line(text: str) -> str:
    """Like :func:`safe`, with every run of white space as one space: for titles and messages."""
    return " ".join(safe(text).split())


def encodable(text: str, encoding: str) -> str:
    """The text with "?" for each character that the encoding does not have."""
    return text.encode(encoding, "replace").decode(encoding)


def encodable_line(text: str, encoding: str) -> str:
    """A text as one line that a terminal of this encoding can take."""
    return encodable(safe_line(text), encoding)
