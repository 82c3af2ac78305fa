"""Prompts as tokens: what is control and what is text, and where that line is drawn.

Control strings are tokenized with special tokens on; everything that a person or a model wrote with special
tokens off. So no text can forge a turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias


class Vocabulary(Protocol):
    """The tokens of a model."""

    @property
    def token_count(self) -> int:
        """Ids run from 0 to this - 1."""

    @property
    def bos(self) -> int | None:
        """The token that begins a text."""

    @property
    def add_bos(self) -> bool:
        """Whether the model was trained with it."""

    @property
    def sentencepiece(self) -> bool:
        """Whether the tokenizer puts a space in front of a text."""

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Tokens of ``text``; with ``special`` control strings in it become control tokens."""

    def token_text(self, token: int) -> str | None:
        """The vocabulary's entry."""


@dataclass(frozen=True, slots=True)
class Control:
    """A string of the prompt format that may hold control tokens."""

    text: str


@dataclass(frozen=True, slots=True)
class Plain:
    """A string of the prompt format that is plain text to the tokenizer, trained as one with its neighbours."""

    text: str


@dataclass(frozen=True, slots=True)
class Ids:
    """Tokens of the prompt format by id."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class User:
    """Text that a person or a model wrote, or that holds some of it."""

    text: str


Piece: TypeAlias = Control | Plain | Ids
AnyPiece: TypeAlias = Piece | User


def encode(
    pieces: Sequence[AnyPiece],
    vocabulary: Vocabulary,
    markers: Sequence[str] = (),
    *,
    continued: bool = False,
) -> list[int]:
    """The tokens of a prompt.

    Args:
        pieces: In order.
        vocabulary: The model's.
        markers: Strings of the format that are plain text; they are broken where a user's text holds them.
        continued: The pieces follow tokens that were read before.
    """
    tokens: list[int] = []
    text = ""
    for piece in [*pieces, Ids(())]:
        if isinstance(piece, Plain):
            text += piece.text
        elif isinstance(piece, User):
            text += defuse(piece.text, markers)
        else:
            if text:
                tokens += encode_text(text, vocabulary, first=not (tokens or continued))
                text = ""
            tokens += piece.ids if isinstance(piece, Ids) else vocabulary.tokenize(piece.text, special=True)
    return tokens


def encode_text(text: str, vocabulary: Vocabulary, *, first: bool) -> list[int]:
    """The tokens of text with special tokens off.

    ``first``: nothing comes before it. SentencePiece puts a space in front of every text that it is given, which
    is right there only; elsewhere the text is tokenized behind a line end, whose tokens are then left out.
    """
    if first or not vocabulary.sentencepiece:
        return vocabulary.tokenize(text, special=False)
    line_end = vocabulary.tokenize("\n", special=False)
    tokens = vocabulary.tokenize(f"\n{text}", special=False)
    if tokens[: len(line_end)] == line_end:
        return tokens[len(line_end) :]
    return vocabulary.tokenize(text, special=False)


def defuse(text: str, markers: Sequence[str]) -> str:
    """``text`` with a space inside each marker, so that it reads the same and marks nothing."""
    for marker in markers:
        text = text.replace(marker, f"{marker[0]} {marker[1:]}")
    return text
