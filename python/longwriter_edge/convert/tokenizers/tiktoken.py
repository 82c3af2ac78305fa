"""GLM-4's tokenizer.model: tiktoken ranks, from which merges are recovered.

tiktoken merges the neighbours whose concatenation has the lowest rank. llama.cpp has a list of pairs
instead, so every pair that tiktoken could merge is needed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path

from longwriter_edge.convert.json_file import JsonFile
from longwriter_edge.convert.tokenizers.vocabulary import AddedToken, Vocabulary, assemble, byte_characters
from longwriter_edge.errors import CheckpointError

_LARGEST_FILE = 64 * 1024 * 1024
_LONGEST_TOKEN = 1024
# tokenizer_config.json of glm-4-9b-chat and LongWriter-glm4-9b; they follow the ranks in this order.
GLM_SPECIAL = (
    "<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|system|>", "<|user|>",
    "<|assistant|>", "<|observation|>", "<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>",
    "<|end_of_video|>",
)  # fmt: skip


def read(directory: Path, size: int, pre: str | None) -> Vocabulary:
    """The vocabulary of a directory with tiktoken's tokenizer.model.

    Args:
        directory: The checkpoint.
        size: Rows of the embedding.
        pre: llama.cpp's name of the pre-tokenizer, ``None`` for GLM-4's.

    Raises:
        CheckpointError: the file holds no tiktoken ranks, or they do not fit the embedding.
    """
    path = directory / "tokenizer.model"
    ranks = read_ranks(path)
    merges, all_reached = recover_merges(ranks)
    added = _added_tokens(directory, len(ranks))
    characters = byte_characters()
    texts = {"".join(characters[byte] for byte in token): rank for token, rank in ranks.items()}
    tokens, types = assemble(size, texts, added, str(path))
    # Both names stand for GLM-4's pattern. "glm4" also takes a whole word that is a token without merging, as
    # tiktoken does; where all tokens can be reached by merging, the older name says the same.
    return Vocabulary(
        tokens,
        types,
        [
            f"{''.join(characters[byte] for byte in left)} {''.join(characters[byte] for byte in right)}"
            for left, right in merges
        ],
        pre or ("chatglm-bpe" if all_reached else "glm4"),
        glm_roles({token.text: number for number, token in added.items()}, str(path)),
        add_bos=False,
    )


def glm_roles(ids: Mapping[str, int], source: str) -> dict[str, int]:
    """The ids of GLM-4's special tokens by role.

    An answer ends with ``<|endoftext|>``, ``<|user|>`` or ``<|observation|>`` (eos_token_id in config.json).
    llama.cpp knows one token of each role, so each gets its own.

    Raises:
        CheckpointError: one of them is missing.
    """
    roles = {
        "eos": "<|endoftext|>",
        "eot": "<|user|>",
        "eom": "<|observation|>",
        "unk": "<|endoftext|>",
        "pad": "<|endoftext|>",
    }
    for text in roles.values():
        if text not in ids:
            raise CheckpointError(
                f"{source}: GLM-4's token {text} is missing", hint="get tokenizer_config.json too"
            )
    return {role: ids[text] for role, text in roles.items()}


def read_ranks(path: Path) -> dict[bytes, int]:
    """Ranks by token: a line each, the token in base64 and its rank.

    Raises:
        CheckpointError: the file cannot be read or is something else, such as a SentencePiece model.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise CheckpointError(f"{path} is too large for tiktoken ranks")
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(content.splitlines(), start=1):
        if not line:
            continue
        try:
            token, rank = line.split()
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except (ValueError, binascii.Error) as error:
            raise CheckpointError(
                f"line {number} of {path} is no tiktoken rank",
                hint="SentencePiece models, as of ChatGLM 1 to 3, cannot be converted",
            ) from error
    if sorted(ranks.values()) != list(range(len(ranks))) or len(ranks) < 256:
        raise CheckpointError(f"{path} does not number its {len(ranks):,} tokens from 0 on")
    if any(bytes([byte]) not in ranks for byte in range(256)):
        raise CheckpointError(f"{path} does not have every byte as a token")
    if max(map(len, ranks)) > _LONGEST_TOKEN:
        raise CheckpointError(f"{path} has a token of more than {_LONGEST_TOKEN} bytes")
    return ranks


def recover_merges(ranks: Mapping[bytes, int]) -> tuple[list[tuple[bytes, bytes]], bool]:
    """Pairs in the order of merging, and whether every token is reached by them alone.

    A token is made of the two parts that are left of its bytes when all lower ranks are merged. Where more
    are left, tiktoken can only come to it by way of tokens of a higher rank, so every cut is a merge.
    """
    merges: list[tuple[bytes, bytes]] = []
    all_reached = True
    for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
        if len(token) == 1:
            continue
        parts = _merged(token, ranks, rank)
        if len(parts) == 2:
            merges.append((parts[0], parts[1]))
            continue
        all_reached = False
        cuts = [(token[:place], token[place:]) for place in range(1, len(token))]
        merges += [(left, right) for left, right in cuts if left in ranks and right in ranks]
    return merges, all_reached


def _merged(token: bytes, ranks: Mapping[bytes, int], below: int) -> list[bytes]:
    """The parts of a token after all merges of a rank below ``below``."""
    parts = [token[place : place + 1] for place in range(len(token))]
    while len(parts) > 1:
        best, rank = min(
            ((place, ranks.get(parts[place] + parts[place + 1], below)) for place in range(len(parts) - 1)),
            key=lambda pair: pair[1],
        )
        if rank >= below:
            break
        parts[best : best + 2] = [parts[best] + parts[best + 1]]
    return parts


def _added_tokens(directory: Path, first: int) -> dict[int, AddedToken]:
    """The special tokens that tokenizer_config.json lists, else GLM-4's from ``first`` on."""
    listed = JsonFile.read_if_there(directory / "tokenizer_config.json").child("added_tokens_decoder")
    if not listed.fields:
        return {first + place: AddedToken(text, special=True) for place, text in enumerate(GLM_SPECIAL)}
    added = {}
    for number in listed.fields:
        if not (number.isascii() and number.isdigit() and len(number) < 10):
            raise CheckpointError(f"{listed.path}: {number[:20]!r} is no token id")
        entry = listed.child(number)
        added[int(number)] = AddedToken(entry.text("content"), entry.boolean("special", False))
    return added
