"""A vocabulary for tests: the bytes of UTF-8, and control strings with ids of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

SPACE = ord(" ")


@dataclass
class ByteVocabulary:
    """Bytes are ids 0 to 255; ``control`` maps strings to ids above.

    With ``sentencepiece`` a text that is tokenized without control tokens gets a space in front.
    ``strips_after`` are control strings that take the whitespace behind them away.
    """

    control: Mapping[str, int] = field(default_factory=dict)
    bos: int | None = None
    add_bos: bool = False
    sentencepiece: bool = False
    strips_after: frozenset[str] = frozenset()

    @property
    def token_count(self) -> int:
        return max([255, *self.control.values()]) + 1

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        if special and self.control:
            pattern = "|".join(re.escape(name) for name in sorted(self.control, key=len, reverse=True))
            parts = re.split(f"({pattern})", text)
        else:
            parts = [text]
        tokens: list[int] = []
        strip = False
        for part in parts:
            if special and part in self.control:
                tokens.append(self.control[part])
                strip = part in self.strips_after
                continue
            kept = part.lstrip() if strip else part
            if kept and self.sentencepiece:
                tokens.append(SPACE)
            tokens.extend(kept.encode("utf-8", errors="replace"))
        return tokens

    def token_text(self, token: int) -> str | None:
        if 0 <= token < 256:
            return chr(token) if token < 128 else f"<0x{token:02X}>"
        return next((name for name, number in self.control.items() if number == token), None)

    def controls(self, tokens: list[int]) -> list[str]:
        """The control strings among ``tokens``, in order."""
        names = {number: name for name, number in self.control.items()}
        return [names[token] for token in tokens if token in names]

    def text(self, tokens: list[int]) -> str:
        """The text of ``tokens``, control strings included."""
        names = {number: name for name, number in self.control.items()}
        return b"".join(
            names[token].encode() if token in names else bytes([token]) for token in tokens
        ).decode("utf-8")


CHATML = ByteVocabulary({"<|im_start|>": 300, "<|im_end|>": 301})
LLAMA = ByteVocabulary({"<|begin_of_text|>": 128000, "<|end_of_text|>": 128001}, bos=128000, add_bos=True)
GLM = ByteVocabulary(
    {
        "<|endoftext|>": 151329,
        "[MASK]": 151330,
        "[gMASK]": 151331,
        "[sMASK]": 151332,
        "<sop>": 151333,
        "<|user|>": 151336,
        "<|assistant|>": 151337,
        "<|observation|>": 151338,
    }
)
CHATML_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}"
    "<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
