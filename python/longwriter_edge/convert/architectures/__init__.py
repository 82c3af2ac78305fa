"""The table of architectures. A new one is one small file and one line here."""

from __future__ import annotations

from longwriter_edge.convert.architectures.chatglm import CHATGLM
from longwriter_edge.convert.architectures.glm import GLM
from longwriter_edge.convert.architectures.layout import (
    Architecture,
    Computed,
    KeyValue,
    Layout,
    Weight,
)
from longwriter_edge.convert.architectures.llama import LLAMA
from longwriter_edge.convert.architectures.qwen import QWEN2, QWEN3
from longwriter_edge.convert.json_file import JsonFile
from longwriter_edge.errors import CheckpointError

__all__ = ["Architecture", "Computed", "KeyValue", "Layout", "Weight", "find"]

_BY_CLASS = {
    name: architecture
    for architecture in (LLAMA, CHATGLM, GLM, QWEN2, QWEN3)
    for name in architecture.classes
}


def find(config: JsonFile) -> Architecture:
    """The architecture of a checkpoint by the model class in its config.json.

    Raises:
        CheckpointError: it is none of the table.
    """
    named = [name for name in config.items("architectures") if isinstance(name, str)]
    for name in named:
        if name in _BY_CLASS:
            return _BY_CLASS[name]
    shown = ", ".join(name[:40] for name in named[:4]) or "no model class"
    raise CheckpointError(
        f"{config.path} names {shown}, which cannot be converted",
        hint=f"known are {', '.join(_BY_CLASS)}",
    )
