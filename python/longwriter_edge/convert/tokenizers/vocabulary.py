"""A vocabulary as a GGUF file holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from longwriter_edge.convert.architectures import KeyValue
from longwriter_edge.errors import CheckpointError


class TokenType(IntEnum):
    """What llama.cpp does with a token (``llama_token_type`` in llama.h)."""

    NORMAL = 1
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5


@dataclass(frozen=True, slots=True)
class AddedToken:
    """A token beside the merges, found in the text as it is."""

    text: str
    special: bool


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Byte-level BPE with its special tokens.

    Attributes:
        tokens: Texts by id; those of merges with one character a byte, added ones as they are.
        types: One of :class:`TokenType` each.
        merges: Pairs of texts with a space between, first ones first.
        pre: llama.cpp's name of how text is split before merging.
        special: Ids by llama.cpp's name of their role, such as ``eos``.
        add_bos: Whether a text begins with the BOS token.
        warnings: What the user should know.
    """

    tokens: list[str]
    types: list[int]
    merges: list[str]
    pre: str
    special: dict[str, int]
    add_bos: bool
    warnings: tuple[str, ...] = ()

    def keys(self) -> dict[str, KeyValue]:
        """The keys of the GGUF file."""
        keys: dict[str, KeyValue] = {
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.pre": self.pre,
            "tokenizer.ggml.tokens": self.tokens,
            "tokenizer.ggml.token_type": self.types,
            "tokenizer.ggml.merges": self.merges,
        }
        for role, token in self.special.items():
            keys[f"tokenizer.ggml.{_ROLES.get(role, role)}_token_id"] = token
        keys["tokenizer.ggml.add_bos_token"] = self.add_bos
        return keys


# GGUF's names of roles where they are longer than everybody else's.
_ROLES = {"unk": "unknown", "pad": "padding"}


def assemble(
    size: int, ordinary: Mapping[str, int], added: Mapping[int, AddedToken], source: str
) -> tuple[list[str], list[int]]:
    """Texts and types by id. Ids that nothing uses are filled, since the embedding has rows for them.

    Args:
        size: Rows of the embedding.
        ordinary: Ids of the tokens of merges.
        added: The other tokens by id; they go before ordinary ones.
        source: The file, for messages.

    Raises:
        CheckpointError: an id is outside the embedding.
    """
    tokens = [f"[PAD{number}]" for number in range(size)]
    types: list[int] = [TokenType.UNUSED] * size
    for text, token in ordinary.items():
        _check(token, size, text, source)
        tokens[token], types[token] = text, TokenType.NORMAL
    for token, each in added.items():
        _check(token, size, each.text, source)
        tokens[token] = each.text
        control = each.special or (each.text.startswith("<|") and each.text.endswith("|>"))
        types[token] = TokenType.CONTROL if control else TokenType.USER_DEFINED
    return tokens, types


def _check(token: int, size: int, text: str, source: str) -> None:
    if not 0 <= token < size:
        raise CheckpointError(
            f"{source}: the id {token} of {text[:40]!r} is outside the embedding of {size:,} rows",
            hint="the tokenizer belongs to another checkpoint, or config.json's vocabulary size is wrong",
        )


def byte_characters() -> list[str]:
    """The character that stands for each byte in byte-level BPE (GPT-2's ``bytes_to_unicode``).

    Printable Latin-1 characters stand for themselves, the other bytes for characters from U+0100 on.
    """
    itself = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in itself]
    characters = {byte: chr(byte) for byte in itself}
    characters |= {byte: chr(0x100 + place) for place, byte in enumerate(others)}
    return [characters[byte] for byte in range(256)]
