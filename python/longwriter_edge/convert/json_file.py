"""Reads the JSON files of a checkpoint, which are untrusted, with typed access to their fields."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from longwriter_edge.errors import CheckpointError

# Far above any real file: tokenizer.json of a vocabulary of 150,000 tokens has about 20 MB.
_LARGEST_FILE = 256 * 1024 * 1024
# Sizes of models and vocabularies go into 32-bit numbers of GGUF files and of llama.cpp.
_LARGEST_NUMBER = 2**31 - 1


class JsonFile:
    """The object in a JSON file. A field of another type than asked for is an error that names it.

    Attributes:
        path: The file.
        fields: What it holds.
    """

    def __init__(self, path: Path, fields: dict[str, Any]) -> None:
        self.path = path
        self.fields = fields

    @classmethod
    def read(cls, path: Path) -> JsonFile:
        """The file's object.

        Raises:
            CheckpointError: it cannot be read, is too large, or holds no JSON object.
        """
        try:
            size = path.stat().st_size
            if size > _LARGEST_FILE:
                raise CheckpointError(f"{path} is too large for a JSON file: {size:,} bytes")
            fields = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise CheckpointError(
                f"{path} cannot be read: {error.strerror or error}",
                hint="copy or download the checkpoint again",
            ) from error
        except (ValueError, RecursionError) as error:
            raise CheckpointError(
                f"{path} is not valid JSON: {error}", hint="copy or download the checkpoint again"
            ) from error
        if not isinstance(fields, dict):
            raise CheckpointError(f"{path} holds no JSON object")
        return cls(path, fields)

    @classmethod
    def read_if_there(cls, path: Path) -> JsonFile:
        """Like :meth:`read`; an empty object where there is no file."""
        return cls.read(path) if path.is_file() else cls(path, {})

    def __contains__(self, key: str) -> bool:
        return self.fields.get(key) is not None

    def integer(self, key: str, default: int | None = None) -> int:
        """A positive whole number."""
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _LARGEST_NUMBER:
            raise self._wrong(key, value, "a positive whole number")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A positive number."""
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(key, value, "a positive number")
        if not (math.isfinite(value) and value > 0):
            raise self._wrong(key, value, "a positive number")
        return float(value)

    def boolean(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self._value(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """A string."""
        value = self._value(key, default)
        if not isinstance(value, str):
            raise self._wrong(key, value, "a string")
        return value

    def child(self, key: str) -> JsonFile:
        """An object inside the object; empty where there is none."""
        value = self._value(key, {})
        if not isinstance(value, dict):
            raise self._wrong(key, value, "an object")
        return JsonFile(self.path, value)

    def items(self, key: str) -> list[Any]:
        """A list; empty where there is none."""
        value = self._value(key, [])
        if not isinstance(value, list):
            raise self._wrong(key, value, "a list")
        return value

    def _value(self, key: str, default: Any) -> Any:
        value = self.fields.get(key)
        if value is not None:
            return value
        if default is None:
            raise CheckpointError(f"{self.path} has no {key}", hint="get the whole checkpoint")
        return default

    def _wrong(self, key: str, value: object, wanted: str) -> CheckpointError:
        shown = repr(value)
        shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
        return CheckpointError(f"{self.path}: {key} should be {wanted} and is {shown}")
