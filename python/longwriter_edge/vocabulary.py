"""The tokens of a model in llama.cpp: text to tokens, and which tokens are no text."""

from __future__ import annotations

import ctypes
import functools
from typing import Any, Protocol

from longwriter_edge.errors import InputError, ModelError

# llama_tokenize takes the length of the text as a 32-bit integer.
_LONGEST_TEXT = 2**31 - 1
# A token is one to a few bytes; a second call is only needed for rare, densely tokenized text.
_BYTES_PER_TOKEN = 2


class VocabularyHandle(Protocol):
    """Keeps the native model of a vocabulary alive."""

    @property
    def vocabulary(self) -> int:
        """Address of the ``llama_vocab``."""


class NativeVocabulary:
    """A model's tokens. Ids run from 0 to :attr:`token_count` - 1."""

    def __init__(self, api: Any, handle: VocabularyHandle) -> None:
        self._api = api
        self._handle: VocabularyHandle | None = handle
        self.token_count: int = api.llama_vocab_n_tokens(handle.vocabulary)

    def bind(self, handle: VocabularyHandle | None) -> None:
        """Goes on with the vocabulary of another handle on the same file, or with none."""
        self._handle = handle

    @property
    def address(self) -> int:
        """Address of the ``llama_vocab``.

        Raises:
            ModelError: the model has been closed.
        """
        if self._handle is None:
            raise ModelError("the model of this vocabulary has been closed")
        return self._handle.vocabulary

    @functools.cached_property
    def bos(self) -> int | None:
        """The token that begins a text, ``None`` if there is none."""
        token: int = self._api.llama_vocab_bos(self.address)
        return token if 0 <= token < self.token_count else None

    @functools.cached_property
    def add_bos(self) -> bool:
        """Whether the model was trained with :attr:`bos` in front."""
        return bool(self._api.llama_vocab_get_add_bos(self.address))

    @functools.cached_property
    def sentencepiece(self) -> bool:
        """Whether the tokenizer is of SentencePiece's kind, which puts a space in front of a text."""
        kind: int = self._api.llama_vocab_type(self.address)
        return kind in (self._api.LLAMA_VOCAB_TYPE_SPM, self._api.LLAMA_VOCAB_TYPE_UGM)

    @functools.cached_property
    def end_ids(self) -> tuple[int, ...]:
        """Tokens that llama.cpp takes for the end of a generation, ascending."""
        address = self.address
        is_end = self._api.llama_vocab_is_eog
        return tuple(token for token in range(self.token_count) if is_end(address, token))

    @functools.cached_property
    def control_ids(self) -> tuple[int, ...]:
        """Tokens that text never holds (control, unused, unknown), without :attr:`end_ids`, ascending.

        Includes those that the file itself lists as never to be sampled (``suppress_tokens``).
        """
        api = self._api
        address = self.address
        unwritten = api.LLAMA_TOKEN_ATTR_CONTROL | api.LLAMA_TOKEN_ATTR_UNUSED | api.LLAMA_TOKEN_ATTR_UNKNOWN
        attributes = api.llama_vocab_get_attr
        found = {token for token in range(self.token_count) if attributes(address, token) & unwritten}
        return tuple(sorted((found | self._suppressed()) - set(self.end_ids)))

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Tokens of ``text``, with no BOS or EOS added.

        Args:
            text: Any text. NUL is a character like others; lone surrogates become U+FFFD.
            special: Whether control strings in ``text`` become control tokens. Only for text of our own.

        Raises:
            InputError: the text is longer than 2 GiB.
            ModelError: the tokenizer failed, or the model has been closed.
        """
        address = self.address
        # Joins the surrogates that are pairs and replaces the rest, which UTF-8 cannot hold.
        whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        encoded = whole.encode("utf-8")
        if len(encoded) > _LONGEST_TEXT:
            raise InputError(f"a text of {len(encoded):,} bytes is too long to tokenize")
        room = len(encoded) // _BYTES_PER_TOKEN + 8
        for _ in range(2):
            tokens = (ctypes.c_int32 * room)()
            count: int = self._api.llama_tokenize(
                address, encoded, len(encoded), tokens, room, False, special
            )
            if count >= 0:
                return tokens[:count]
            # Negative: as many as there would have been.
            room = -count
            if room > _LONGEST_TEXT:
                break
        raise ModelError(f"llama.cpp cannot tokenize a text of {len(encoded):,} bytes")

    def token_text(self, token: int) -> str | None:
        """The entry of ``token`` in the vocabulary, ``None`` outside it.

        For a control token this is its string; for others it is the tokenizer's own spelling, in
        which a space can be ``Ġ`` or ``▁``.
        """
        # llama.cpp throws for an id outside the vocabulary, which would end the process.
        if not 0 <= token < self.token_count:
            return None
        text: bytes | None = self._api.llama_vocab_get_text(self.address, token)
        return None if text is None else text.decode("utf-8", errors="replace")

    def _suppressed(self) -> set[int]:
        count = ctypes.c_int32(0)
        tokens = self._api.llama_vocab_get_suppress_tokens(self.address, ctypes.byref(count))
        listed = tokens[: count.value] if tokens and count.value > 0 else []
        return {token for token in listed if 0 <= token < self.token_count}
