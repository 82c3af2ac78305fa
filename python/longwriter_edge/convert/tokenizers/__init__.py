"""Reads a checkpoint's tokenizer, whichever of the known files it has."""

from __future__ import annotations

from pathlib import Path

from longwriter_edge.convert.tokenizers import tiktoken, tokenizer_json
from longwriter_edge.convert.tokenizers.vocabulary import Vocabulary
from longwriter_edge.errors import CheckpointError

__all__ = ["Vocabulary", "read"]


def read(directory: Path, size: int, pre: str | None, *, glm: bool) -> Vocabulary:
    """The vocabulary of a checkpoint.

    Args:
        directory: The checkpoint.
        size: Rows of the embedding.
        pre: llama.cpp's name of the pre-tokenizer, ``None`` to find out.
        glm: Whether it is GLM-4's.

    Raises:
        CheckpointError: there is none that can be converted.
    """
    if (directory / "tokenizer.json").is_file():
        return tokenizer_json.read(directory, size, pre, glm=glm)
    if glm and (directory / "tokenizer.model").is_file():
        return tiktoken.read(directory, size, pre)
    wanted = "tokenizer.json or tokenizer.model" if glm else "tokenizer.json"
    raise CheckpointError(f"{directory} has no {wanted}", hint="get the tokenizer's files too")
