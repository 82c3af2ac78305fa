"""Byte-level BPE from tokenizer.json, with the special tokens of the files beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from longwriter_edge.convert.json_file import JsonFile
from longwriter_edge.convert.tokenizers.splitting import UnknownRuleError, recognise
from longwriter_edge.convert.tokenizers.tiktoken import glm_roles
from longwriter_edge.convert.tokenizers.vocabulary import AddedToken, Vocabulary, assemble
from longwriter_edge.errors import CheckpointError

_ROLES = ("bos", "eos", "unk", "pad")


def read(directory: Path, size: int, pre: str | None, *, glm: bool) -> Vocabulary:
    """The vocabulary of a directory with tokenizer.json.

    Args:
        directory: The checkpoint.
        size: Rows of the embedding.
        pre: llama.cpp's name of the pre-tokenizer, ``None`` to find out.
        glm: Whether the special tokens are GLM-4's.

    Raises:
        CheckpointError: it is no byte-level BPE, splits text in an unknown way, or does not fit the
            embedding.
    """
    file = JsonFile.read(directory / "tokenizer.json")
    settings = JsonFile.read_if_there(directory / "tokenizer_config.json")
    model = file.child("model")
    if model.text("type", "BPE") != "BPE" or model.boolean("byte_fallback", False):
        raise CheckpointError(
            f"{file.path} is no byte-level BPE tokenizer",
            hint="SentencePiece and WordPiece vocabularies cannot be converted",
        )
    ordinary = _ids(model)
    added = _added(file)
    tokens, types = assemble(size, ordinary, added, str(file.path))
    ids = ordinary | {token.text: number for number, token in added.items()}
    if glm:
        special, add_bos = glm_roles(ids, str(file.path)), False
    else:
        special = _roles(directory, settings, ids, size)
        add_bos = _adds_bos(file, settings, tokens, special)
    warnings: list[str] = []
    if pre is None:
        pre = _pre_tokenizer(file, model.boolean("ignore_merges", False), glm, warnings)
    normalizer = file.child("normalizer").text("type", "none")
    if normalizer not in ("none", "NFC"):
        # NFC changes nothing in text that is composed already, as nearly all is.
        warnings.append(f"llama.cpp does not have the tokenizer's normalizer {normalizer[:40]}")
    return Vocabulary(tokens, types, _merges(model), pre, special, add_bos, tuple(warnings))


def _ids(model: JsonFile) -> dict[str, int]:
    ids = model.child("vocab").fields
    for text, token in ids.items():
        if isinstance(token, bool) or not isinstance(token, int):
            raise CheckpointError(f"{model.path}: the id of {text[:40]!r} is no number")
    if not ids:
        raise CheckpointError(f"{model.path} has no vocabulary")
    return ids


def _added(file: JsonFile) -> dict[int, AddedToken]:
    added = {}
    for entry in file.items("added_tokens"):
        fields = JsonFile(file.path, entry if isinstance(entry, dict) else {})
        number = fields.fields.get("id")
        if isinstance(number, bool) or not isinstance(number, int):
            raise CheckpointError(f"{file.path}: an added token has no id")
        added[number] = AddedToken(fields.text("content"), fields.boolean("special", False))
    return added


def _merges(model: JsonFile) -> list[str]:
    """Pairs with a space between; since tokenizers 0.20 they are lists of two."""
    merges = []
    for entry in model.items("merges"):
        pair = entry.split(" ") if isinstance(entry, str) else entry
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair)):
            raise CheckpointError(f"{model.path}: {str(entry)[:60]!r} is no merge of two tokens")
        merges.append(" ".join(pair))
    if not merges:
        raise CheckpointError(f"{model.path} has no merges")
    return merges


def _roles(directory: Path, settings: JsonFile, ids: dict[str, int], size: int) -> dict[str, int]:
    """Ids by role: from the token that tokenizer_config.json names, else from config.json."""
    others = [JsonFile.read_if_there(directory / name) for name in ("config.json", "generation_config.json")]
    roles = {}
    for role in _ROLES:
        named = settings.fields.get(f"{role}_token")
        text = named.get("content") if isinstance(named, dict) else named
        token: Any = ids.get(text) if isinstance(text, str) else None
        for other in others:
            if token is None:
                token = other.fields.get(f"{role}_token_id")
                # Several ends of generation: the first is the one that others go by.
                token = token[0] if isinstance(token, list) and token else token
        if isinstance(token, int) and not isinstance(token, bool) and 0 <= token < size:
            roles[role] = token
    return roles


def _adds_bos(file: JsonFile, settings: JsonFile, tokens: list[str], special: dict[str, int]) -> bool:
    if "bos" not in special:
        return False
    if "add_bos_token" in settings:
        return settings.boolean("add_bos_token", False)
    processor = file.child("post_processor")
    steps = [step for step in processor.items("processors") if isinstance(step, dict)]
    for step in steps or [processor.fields]:
        single = step.get("single")
        if step.get("type") == "TemplateProcessing" and isinstance(single, list) and single:
            first = single[0].get("SpecialToken") if isinstance(single[0], dict) else None
            return isinstance(first, dict) and first.get("id") == tokens[special["bos"]]
    return False


def _pre_tokenizer(file: JsonFile, whole_words: bool, glm: bool, warnings: list[str]) -> str:
    try:
        known = recognise(file.fields.get("pre_tokenizer"), whole_words=whole_words, glm=glm)
    except UnknownRuleError as error:
        raise CheckpointError(
            f"{file.path} splits text by a rule that is not understood: {error}",
            hint="if you know llama.cpp's name for it, give it with --pre",
        ) from error
    if known is None:
        raise CheckpointError(
            f"{file.path} splits text as no known pre-tokenizer does",
            hint="if you know llama.cpp's name for it, give it with --pre",
        )
    if known.whole_words != whole_words:
        taken = "takes" if known.whole_words else "does not take"
        warnings.append(
            f"the pre-tokenizer {known.name} {taken} whole words that are tokens, unlike this tokenizer; "
            "rare words may be cut otherwise"
        )
    return known.name
