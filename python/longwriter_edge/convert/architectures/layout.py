"""What an architecture says about a checkpoint: the GGUF keys, and where each GGUF tensor comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from longwriter_edge.convert.json_file import JsonFile

#: A value in a GGUF file. Whole numbers become unsigned 32-bit ones, others 32-bit floats.
KeyValue: TypeAlias = bool | int | float | str | list[str] | list[int]


@dataclass(frozen=True, slots=True)
class Weight:
    """A tensor that is taken from the checkpoint.

    Attributes:
        name: In the GGUF file.
        source: In the checkpoint.
        shape: In the checkpoint, rows first.
        interleaved_heads: If not zero, the rows are those of so many attention heads, and within each
            head the two halves are interleaved. transformers rotates value ``i`` of a head with ``i + n/2``,
            llama.cpp's ``llama`` rotates neighbours.
    """

    name: str
    source: str
    shape: tuple[int, ...]
    interleaved_heads: int = 0


@dataclass(frozen=True, slots=True)
class Computed:
    """A tensor of 32-bit floats that follows from the config."""

    name: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """A model as llama.cpp wants it.

    Attributes:
        keys: The architecture's keys, without the tokenizer's.
        vocabulary_size: Rows of the embedding.
        weights: All tensors from the checkpoint, in the order of the model.
        computed: Tensors that the checkpoint does not hold.
        unused: Names in the checkpoint that may be there and are not needed.
    """

    keys: dict[str, KeyValue]
    vocabulary_size: int
    weights: list[Weight]
    computed: tuple[Computed, ...] = ()
    unused: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Architecture:
    """One entry of the table of architectures.

    Attributes:
        name: llama.cpp's name.
        classes: The model classes in config.json that have this layout.
        layout: Makes the layout from config.json.
        glm: Whether the vocabulary is GLM-4's, with its special tokens and its tiktoken file.
    """

    name: str
    classes: tuple[str, ...]
    layout: Callable[[JsonFile], Layout] = field(repr=False)
    glm: bool = False
