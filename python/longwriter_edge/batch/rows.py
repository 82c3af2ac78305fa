"""Reads the rows of a batch: JSON Lines, each a document to write. Every line is untrusted."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, BinaryIO

from longwriter_edge.errors import InputError
from longwriter_edge.request import WriteRequest
from longwriter_edge.settings import SamplingSettings, is_whole

#: Longest row in bytes. A model's whole context as text is about half a megabyte; more is a mistake that
#: would only be refused later.
MOST_ROW_BYTES = 2 * 1024 * 1024
#: Longest id in characters; as a file's name it needs room for more bytes and an ending.
MOST_ID_CHARACTERS = 80
#: Most bytes of an id that is the name of a file: most systems allow 255, and an ending is added.
MOST_NAME_BYTES = 240
#: How deeply a row may be nested: nothing here needs more than a list.
MOST_DEPTH = 50

_CHUNK = 64 * 1024
_REQUEST_FIELDS = (
    "method",
    "layout",
    "context_policy",
    "context_tokens",
    "length_control",
    "tolerance",
    "sections",
    "seed",
    "plan",
)
_SAMPLING_FIELDS = tuple(field.name for field in fields(SamplingSettings))
# Names that mean something to Windows whatever their ending, and characters that no name can have there.
_RESERVED_NAMES = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10)),
}
_NOT_IN_NAMES = frozenset('/\\:*?"<>|')


@dataclass(frozen=True, slots=True)
class Row:
    """One document to write.

    Attributes:
        line: Line of the input, from 1.
        id: Unique in the batch.
        fields: The row as it was read, which is copied into the output.
        request: What it asks for, with every default.
        digest: Tells two rows with the same id apart.
    """

    line: int
    id: str
    fields: Mapping[str, Any]
    request: WriteRequest
    digest: str


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be used; ``id`` is empty where it has none."""

    line: int
    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for rows that say nothing else.

    Attributes:
        choices: Attributes of :class:`WriteRequest` by name; ``seed`` is that of the batch, from which and
            from its id each row gets one of its own.
        sampling: The settings that a row's own are put upon.
        file_names: Whether ids have to be usable as names of files.
    """

    choices: Mapping[str, Any]
    sampling: SamplingSettings
    file_names: bool


def read_rows(stream: BinaryIO, defaults: Defaults, limit: int | None = None) -> Iterator[Row | BadRow]:
    """The rows of a stream in order; blank lines are passed over.

    Args:
        stream: JSON Lines in UTF-8.
        defaults: What holds for all rows.
        limit: Rows to read at most.

    Raises:
        InputError: the stream cannot be read.
    """
    lines: dict[str, int] = {}
    rows = 0
    for number, line in _lines(stream):
        if isinstance(line, bytes) and not line.strip():
            continue
        rows += 1
        identity = ""
        try:
            found = _object(line)
            identity = _identity(found, number, file_names=defaults.file_names)
            # Two names that differ in case only are one file on macOS and Windows.
            key = identity.casefold() if defaults.file_names else identity
            if key in lines:
                raise InputError(f"the id {identity!r} is that of line {lines[key]} already")
            lines[key] = number
            yield _row(number, identity, found, defaults)
        except InputError as error:
            yield BadRow(number, identity, error.explained)
        if rows == limit:
            return


def _lines(stream: BinaryIO) -> Iterator[tuple[int, bytes | InputError]]:
    """Numbered lines; one that is too long is read over without keeping it."""
    number = 0
    try:
        while line := stream.readline(MOST_ROW_BYTES + 1):
            number += 1
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if len(line) <= MOST_ROW_BYTES or line.endswith(b"\n"):
                yield number, line
                continue
            size = len(line)
            while rest := stream.readline(_CHUNK):
                size += len(rest)
                if rest.endswith(b"\n"):
                    break
            yield number, InputError(f"the row has {size:,} bytes, more than {MOST_ROW_BYTES:,}")
    except OSError as error:
        raise InputError(f"the input cannot be read: {error.strerror or error}") from error


def _object(line: bytes | InputError) -> dict[str, Any]:
    if isinstance(line, InputError):
        raise line
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"the row is not UTF-8: {error.reason} at byte {error.start}") from error
    try:
        found = json.loads(text, parse_constant=_no_constant)
    except RecursionError as error:
        raise InputError("the row is nested too deeply") from error
    except ValueError as error:
        raise InputError(f"the row is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise InputError("the row is not a JSON object")
    if _depth(found) > MOST_DEPTH:
        raise InputError("the row is nested too deeply")
    try:
        # What is copied into the output has to be JSON again.
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError("the row holds half a character (a lone surrogate)") from error
    except ValueError as error:
        raise InputError(f"the row holds a number that JSON does not have: {error}") from error
    return found


def _depth(found: object) -> int:
    """How deeply lists and objects are nested, without recursion."""
    depth, level = 0, [found]
    while level := [
        inner
        for outer in level
        if isinstance(outer, dict | list)
        for inner in (outer.values() if isinstance(outer, dict) else outer)
    ]:
        depth += 1
        if depth > MOST_DEPTH:
            break
    return depth


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _identity(found: Mapping[str, Any], number: int, *, file_names: bool) -> str:
    given = found.get("id")
    if given is None:
        return f"line-{number}"
    if is_whole(given):
        given = str(given)
    if not isinstance(given, str) or not given.strip():
        raise InputError(f"the id must be a text or a whole number, not {_short(given)}")
    if len(given) > MOST_ID_CHARACTERS:
        raise InputError(f"the id has {len(given)} characters, more than {MOST_ID_CHARACTERS}")
    if any(unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp") for character in given):
        raise InputError(f"the id {given!r} has control characters in it")
    if file_names and not _is_file_name(given):
        raise InputError(f"the id {given!r} cannot be the name of a file")
    return given


def _is_file_name(identity: str) -> bool:
    return (
        len(identity.encode()) <= MOST_NAME_BYTES
        and not _NOT_IN_NAMES.intersection(identity)
        and not identity.startswith(".")
        and identity == identity.strip().rstrip(".")
        and identity.split(".")[0].casefold() not in _RESERVED_NAMES
    )


def _row(number: int, identity: str, found: dict[str, Any], defaults: Defaults) -> Row:
    prompt = found.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise InputError("the row has no prompt", hint='each row needs "prompt": what to write')
    words, length = found.get("words"), found.get("length")
    if words is not None and length is not None and words != length:
        raise InputError(f"words is {_short(words)}, but length {_short(length)}")
    choices = dict(defaults.choices)
    choices["seed"] = _seed(choices.get("seed", 0), identity)
    if words is not None or length is not None:
        choices["words"] = length if words is None else words
    for name in _REQUEST_FIELDS:
        if found.get(name) is not None:
            choices[name] = found[name]
    if not isinstance(choices.get("plan"), str | None):
        raise InputError(f"the plan must be a text, not {_short(choices['plan'])}")
    if choices.get("method", "agentwrite") != "agentwrite" and "layout" not in found:
        # The layout of the command line is for the rows that have layouts.
        choices["layout"] = None
    sampling = {name: found[name] for name in _SAMPLING_FIELDS if found.get(name) is not None}
    choices["sampling"] = replace(defaults.sampling, **sampling)
    request = WriteRequest.of(prompt.strip(), **choices)
    canonical = json.dumps(request.to_json(), sort_keys=True).encode()
    return Row(number, identity, found, request, hashlib.sha256(canonical).hexdigest())


def _seed(batch: int, identity: str) -> int:
    """A seed for each row, so that rows with the same prompt are written differently."""
    return int.from_bytes(hashlib.sha256(f"{batch} {identity}".encode()).digest()[:8], "big")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
