"""How text is split is recognised, and merges are recovered from ranks."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import tiktoken

import checkpoints
from longwriter_edge.convert import conversion, tokenizers
from longwriter_edge.convert.tokenizers.splitting import PRE_TOKENIZERS, recognise
from longwriter_edge.convert.tokenizers.tiktoken import recover_merges
from longwriter_edge.errors import CheckpointError

BYTE_LEVEL = {"type": "ByteLevel", "use_regex": False}


def rule(pattern: str) -> dict[str, Any]:
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [split, BYTE_LEVEL]}


def test_every_known_pre_tokenizer_is_recognised_by_its_own_pattern() -> None:
    for known in PRE_TOKENIZERS:
        steps = [step for pattern in known.patterns for step in rule(pattern)["pretokenizers"]]
        found = recognise(
            {"type": "Sequence", "pretokenizers": steps}, whole_words=known.whole_words, glm=known.glm
        )
        assert found is known


def test_another_way_to_write_a_pattern_is_recognised() -> None:
    possessive = checkpoints.GLM_PATTERN.replace(r"\p{L}+|", r"\p{L}++|").replace("(?i:", "(?i:'s|")
    found = recognise(rule(possessive), whole_words=True, glm=False)
    assert found is not None
    assert found.name == "llama-bpe"


def test_digits_before_gpt2_are_smollm() -> None:
    steps = [{"type": "Digits", "individual_digits": True}, {"type": "ByteLevel", "use_regex": True}]
    found = recognise({"type": "Sequence", "pretokenizers": steps}, whole_words=False, glm=False)
    assert found is not None
    assert found.name == "smollm"


def test_an_unknown_way_to_split_is_refused_and_can_be_overridden(tmp_path: Path) -> None:
    checkpoints.write_decoder(tmp_path)
    path = tmp_path / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["pre_tokenizer"] = rule(r"\p{L}|\p{N}+|[^\p{L}\p{N}]")
    checkpoints.write_json(path, tokenizer)
    with pytest.raises(CheckpointError, match="no known pre-tokenizer") as caught:
        conversion.convert(tmp_path, tmp_path / "out.gguf")
    assert "--pre" in (caught.value.hint or "")
    assert tokenizers.read(tmp_path, 300, "qwen2", glm=False).pre == "qwen2"


@pytest.mark.parametrize(
    "wrong", [None, {"type": "Metaspace"}, rule("("), rule(r"\p{Script=Han}"), {"type": "Sequence"}]
)
def test_rules_that_are_not_understood_are_refused(tmp_path: Path, wrong: Any) -> None:
    checkpoints.write_decoder(tmp_path)
    path = tmp_path / "tokenizer.json"
    checkpoints.write_json(path, json.loads(path.read_text()) | {"pre_tokenizer": wrong})
    with pytest.raises(CheckpointError, match="not understood"):
        tokenizers.read(tmp_path, 300, None, glm=False)


def merged_by(pairs: list[tuple[bytes, bytes]], word: bytes) -> list[bytes]:
    """Byte-pair encoding with a list of pairs, as llama.cpp does it."""
    order = {pair: place for place, pair in enumerate(pairs)}
    parts = [bytes([byte]) for byte in word]
    while True:
        known = [(order[pair], place) for place, pair in enumerate(pairwise(parts)) if pair in order]
        if not known:
            return parts
        place = min(known)[1]
        parts[place : place + 2] = [parts[place] + parts[place + 1]]


def test_recovered_merges_cut_words_as_tiktoken_does() -> None:
    ranks = checkpoints.train_ranks(checkpoints.CORPUS, 400)
    merges, all_reached = recover_merges(ranks)
    assert all_reached
    assert len(merges) == len(ranks) - 256
    whole = tiktoken.Encoding("x", pat_str=r"(?s).+", mergeable_ranks=ranks, special_tokens={})
    for word in checkpoints.CORPUS.split():
        assert [ranks[part] for part in merged_by(merges, word.encode())] == whole.encode_ordinary(word)


def test_a_token_that_lower_ranks_do_not_reach_gets_every_cut() -> None:
    ranks = {bytes([byte]): byte for byte in range(256)} | {b"abc": 256, b"bc": 257}
    merges, all_reached = recover_merges(ranks)
    assert not all_reached
    assert (b"a", b"bc") in merges
    assert merged_by(merges, b"abc") == [b"abc"]


@pytest.mark.parametrize("content", [b"\x0a\x0e\x0a\x05<unk>", b"YQ== 0\n", b"!!!! x\n", b""])
def test_a_tokenizer_model_that_is_not_tiktokens_is_refused(tmp_path: Path, content: bytes) -> None:
    checkpoints.write_chatglm(tmp_path)
    (tmp_path / "tokenizer.model").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"tokenizer\.model"):
        tokenizers.read(tmp_path, 500, None, glm=True)


def test_a_tokenizer_larger_than_the_embedding_is_refused(tmp_path: Path) -> None:
    checkpoints.write_chatglm(tmp_path)
    with pytest.raises(CheckpointError, match="outside the embedding of 300 rows"):
        tokenizers.read(tmp_path, 300, None, glm=True)


def test_glm4s_special_tokens_get_their_roles(tmp_path: Path) -> None:
    checkpoints.write_chatglm(tmp_path, merges=50)
    vocabulary = tokenizers.read(tmp_path, 340, None, glm=True)
    first = vocabulary.tokens.index("<|endoftext|>")
    assert vocabulary.special == {
        "eos": first, "eot": first + 7, "eom": first + 9, "unk": first, "pad": first,
    }  # fmt: skip
    assert not vocabulary.add_bos
    assert vocabulary.tokens[first + 2] == "[gMASK]"
    assert set(vocabulary.types[first : first + 14]) == {3}
    assert set(vocabulary.types[first + 14 :]) == {5}
