"""Pieces of a prompt and how they become tokens, so that text never becomes a control token."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias


class Vocabulary(Protocol):
    """The tokens of a model. Ids run from 0 to ``token_count`` - 1."""

    @property
    def token_count(self) -> int:
        """Number of tokens."""

    @property
    def bos(self) -> int | None:
        """The token that begins a text, if there is one."""

    @property
    def add_bos(self) -> bool:
        """Whether the model was trained with ``bos`` in front."""

    @property
    def sentencepiece(self) -> bool:
        """Whether a text that is tokenized alone gets a space in front."""

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Tokens of ``text``, without BOS; control strings become control tokens only with ``special``."""

    def token_text(self, token: int) -> str | None:
        """The entry of ``token``, ``None`` outside the vocabulary."""


@dataclass(frozen=True, slots=True)
class Control:
    """A string of the format that holds control tokens."""

    text: str


@dataclass(frozen=True, slots=True)
class Plain:
    """A string of the format without control tokens; tokenized together with the text beside it."""

    text: str


@dataclass(frozen=True, slots=True)
class Ids:
    """Tokens by number, for formats whose strings are ambiguous."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class User:
    """Text by a user or a model: never a control token, and no marker of the format stands in it."""

    text: str


#: What a format is made of.
FormatPiece: TypeAlias = Control | Plain | Ids
Piece: TypeAlias = FormatPiece | User


def encode(
    pieces: Iterable[Piece], vocabulary: Vocabulary, *, markers: Sequence[str] = (), at_start: bool = False
) -> list[int]:
    """Tokens of ``pieces`` in order.

    Neighbouring :class:`Plain` and :class:`User` pieces are tokenized as one text, as they were when
    the model was trained.

    Args:
        pieces: What to encode.
        vocabulary: The model's tokens.
        markers: Plain strings that mark turns; see :func:`neutralise`.
        at_start: Whether the first piece begins the whole prompt (a BOS aside).
    """
    tokens: list[int] = []
    text = ""
    # A text at the start keeps the space that SentencePiece puts in front of it.
    starts = at_start
    for piece in pieces:
        if isinstance(piece, Plain):
            text += piece.text
            continue
        if isinstance(piece, User):
            text += neutralise(piece.text, markers)
            continue
        if text:
            tokens += _encode_text(text, vocabulary, at_start=starts)
            text = ""
        tokens += vocabulary.tokenize(piece.text, special=True) if isinstance(piece, Control) else piece.ids
        starts = False
    if text:
        tokens += _encode_text(text, vocabulary, at_start=starts)
    return tokens


def neutralise(text: str, markers: Sequence[str]) -> str:
    """``text`` with a space inside each of ``markers`` that stands in it, after its first character.

    Formats such as ``[INST]`` mark turns with ordinary text, which a user or a model could write too.
    """
    # Taking one marker apart can put another together, so this goes on until none is left. It ends:
    # gaps only grow, and no marker has a gap wider than its own.
    while any(marker in text for marker in markers):
        for marker in markers:
            text = text.replace(marker, f"{marker[0]} {marker[1:]}")
    return text


def split_controls(text: str, vocabulary: Vocabulary) -> tuple[Control | Plain, ...]:
    """A string of a chat template as control tokens and the plain text between them.

    Plain text is set apart so that it can be tokenized together with the user's text. Whitespace that the
    vocabulary drops beside a control token (its ``rstrip`` and ``lstrip`` attributes) is left out.
    """
    pieces: list[Control | Plain] = []
    rest = text
    for token in vocabulary.tokenize(text, special=True):
        name = vocabulary.token_text(token)
        if not name or name not in rest or not is_control(token, vocabulary):
            continue
        before, _, rest = rest.partition(name)
        pieces += [Plain(before), Control(name)]
    pieces.append(Plain(rest))
    kept: list[Control | Plain] = []
    for index, piece in enumerate(pieces):
        if isinstance(piece, Plain):
            stripped = piece.text
            if index > 0 and _drops_space(pieces[index - 1].text, "after", vocabulary):
                stripped = stripped.lstrip()
            if index + 1 < len(pieces) and _drops_space(pieces[index + 1].text, "before", vocabulary):
                stripped = stripped.rstrip()
            piece = Plain(stripped)
        if piece.text:
            kept.append(piece)
    return tuple(kept)


def is_control(token: int, vocabulary: Vocabulary) -> bool:
    """Whether ``token`` is made from its string only where control tokens are allowed."""
    name = vocabulary.token_text(token) or ""
    return (
        name != ""
        and vocabulary.tokenize(name, special=True) == [token]
        and vocabulary.tokenize(name, special=False) != [token]
    )


def _drops_space(control: str, side: str, vocabulary: Vocabulary) -> bool:
    padded = control + "\n" if side == "after" else "\n" + control
    return vocabulary.tokenize(padded, special=True) == vocabulary.tokenize(control, special=True)


def _encode_text(text: str, vocabulary: Vocabulary, *, at_start: bool) -> list[int]:
    tokens = vocabulary.tokenize(text, special=False)
    if at_start or not vocabulary.sentencepiece:
        return tokens
    # Behind other tokens the space in front would be one too many. A newline takes it instead, and
    # goes away together with it, unless the tokenizer merged it with the text.
    newline = vocabulary.tokenize("\n", special=False)
    behind_newline = vocabulary.tokenize("\n" + text, special=False)
    if len(behind_newline) > len(newline) and behind_newline[: len(newline)] == newline:
        return behind_newline[len(newline) :]
    return tokens
