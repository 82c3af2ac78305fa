"""Writes small checkpoints for tests: random weights, and tokenizers with few tokens."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy

#: GLM-4's split pattern (tokenization_chatglm.py of glm-4-9b-chat).
GLM_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
GLM_SPECIAL = (
    "<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|system|>", "<|user|>",
    "<|assistant|>", "<|observation|>", "<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>",
    "<|end_of_video|>",
)  # fmt: skip
CORPUS = (
    "The history of the Roman Empire, from the founding of Rome to its fall. I've said that they'll see: "
    "IT'S 1453, 3.14 and 1,000,000.\n\n  The harbour was full of boats; the sea lay still.\r\n"
    "罗马帝国的历史从公元前27年开始。第一章：起源与传说。写一篇关于罗马帝国的文章。\n"
    "日本語のテキスト。 한국어 문장. Привет мир! Ελληνικά. "
    "שלום مرحبا हिन्दी ไทย 🚀👩‍👩‍👧 e\u0301\u00a0\u3000.\n\n\n   x"
)


def write_safetensors(path: Path, tensors: Mapping[str, numpy.ndarray], dtype: str = "F32") -> None:
    """A file with these 32-bit values in the given type."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = bytearray()
    for name, values in tensors.items():
        encoded = encode(values, dtype)
        header[name] = {
            "dtype": dtype,
            "shape": list(values.shape),
            "data_offsets": [len(data), len(data) + len(encoded)],
        }
        data += encoded
    write_raw(path, header, bytes(data))


def write_raw(path: Path, header: Mapping[str, Any], data: bytes) -> None:
    """A file with any header."""
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def encode(values: numpy.ndarray, dtype: str) -> bytes:
    if dtype == "BF16":
        # Cut off rather than rounded: the tests compare with what is stored.
        return (values.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return values.astype({"F32": "<f4", "F16": "<f2"}[dtype]).tobytes()


def stored(values: numpy.ndarray, dtype: str) -> numpy.ndarray:
    """The 32-bit values that are left after storing."""
    raw = encode(values, dtype)
    if dtype == "BF16":
        return (numpy.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4").reshape(values.shape)
    return numpy.frombuffer(raw, {"F32": "<f4", "F16": "<f2"}[dtype]).astype("<f4").reshape(values.shape)


def train_ranks(text: str, merges: int) -> dict[bytes, int]:
    """tiktoken ranks: all bytes in a shuffled order, then the most frequent pairs of the text's words."""
    order = numpy.random.default_rng(5).permutation(256)
    ranks = {bytes([int(byte)]): rank for rank, byte in enumerate(order)}
    words = [[bytes([byte]) for byte in word.encode()] for word in _words(text)]
    for _ in range(merges):
        counts: dict[tuple[bytes, bytes], int] = {}
        for word in words:
            for pair in pairwise(word):
                counts[pair] = counts.get(pair, 0) + 1
        if not counts:
            break
        best = max(counts, key=lambda pair: (counts[pair], pair))
        ranks[best[0] + best[1]] = len(ranks)
        words = [_merge(word, best) for word in words]
    return ranks


def _words(text: str) -> list[str]:
    import regex

    return regex.findall(GLM_PATTERN, text)


def _merge(word: list[bytes], pair: tuple[bytes, bytes]) -> list[bytes]:
    merged, place = [], 0
    while place < len(word):
        if tuple(word[place : place + 2]) == pair:
            merged.append(pair[0] + pair[1])
            place += 2
        else:
            merged.append(word[place])
            place += 1
    return merged


def write_tiktoken(directory: Path, ranks: Mapping[bytes, int]) -> None:
    """tokenizer.model as GLM-4 has it."""
    lines = [f"{base64.b64encode(token).decode()} {rank}" for token, rank in ranks.items()]
    (directory / "tokenizer.model").write_text("\n".join(lines) + "\n")


def write_glm_tokenizer_json(directory: Path, ranks: Mapping[bytes, int], *, ignore_merges: bool) -> None:
    """The same vocabulary as transformers' converter writes it: every way to cut a token is a merge."""
    characters = _byte_characters()
    text = {token: "".join(characters[byte] for byte in token) for token in ranks}
    merges = []
    for token, _ in sorted(ranks.items(), key=lambda item: item[1]):
        cuts = [(token[:place], token[place:]) for place in range(1, len(token))]
        known = [cut for cut in cuts if cut[0] in ranks and cut[1] in ranks]
        merges += [
            list(map(text.get, cut)) for cut in sorted(known, key=lambda cut: tuple(map(ranks.get, cut)))
        ]
    write_json(
        directory / "tokenizer.json",
        {
            "added_tokens": [
                {"id": len(ranks) + place, "content": token, "special": True}
                for place, token in enumerate(GLM_SPECIAL)
            ],
            "normalizer": None,
            "pre_tokenizer": {
                "type": "Sequence",
                "pretokenizers": [
                    {
                        "type": "Split",
                        "pattern": {"Regex": GLM_PATTERN},
                        "behavior": "Isolated",
                        "invert": False,
                    },
                    {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
                ],
            },
            "model": {
                "type": "BPE",
                "vocab": {text[token]: rank for token, rank in ranks.items()},
                "merges": merges,
                "ignore_merges": ignore_merges,
            },
        },
    )


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def _byte_characters() -> list[str]:
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = iter(range(256, 512))
    return [chr(byte) if byte in shown else chr(next(hidden)) for byte in range(256)]


def random_weights(shapes: Mapping[str, tuple[int, ...]], seed: int = 1) -> dict[str, numpy.ndarray]:
    """Weights as large as a trained model's, norms around one."""
    generator = numpy.random.default_rng(seed)
    weights = {}
    for name, shape in shapes.items():
        values = generator.standard_normal(shape).astype(numpy.float32)
        scale = 0.3 if len(shape) == 1 else 1.5 / numpy.sqrt(shape[-1])
        weights[name] = values * numpy.float32(scale) + numpy.float32("norm" in name)
    return weights


CHATGLM_CONFIG: dict[str, Any] = {
    "architectures": ["ChatGLMModel"], "model_type": "chatglm",
    "add_bias_linear": False, "add_qkv_bias": True,
    "apply_residual_connection_post_layernorm": False, "ffn_hidden_size": 96, "hidden_size": 64,
    "kv_channels": 16, "layernorm_epsilon": 1.5625e-07, "multi_query_attention": True,
    "multi_query_group_num": 2, "num_attention_heads": 4, "num_layers": 2, "original_rope": True,
    "post_layer_norm": True, "rmsnorm": True, "rope_ratio": 500, "seq_length": 131072,
    "tie_word_embeddings": False, "eos_token_id": [151329, 151336, 151338],
}  # fmt: skip


def chatglm_shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    width, inner = config["hidden_size"], config["ffn_hidden_size"]
    fused = width + 2 * config["multi_query_group_num"] * config["kv_channels"]
    rows = config["padded_vocab_size"]
    shapes: dict[str, tuple[int, ...]] = {"transformer.embedding.word_embeddings.weight": (rows, width)}
    for layer in range(config["num_layers"]):
        block = f"transformer.encoder.layers.{layer}"
        shapes |= {
            f"{block}.input_layernorm.weight": (width,),
            f"{block}.self_attention.query_key_value.weight": (fused, width),
            f"{block}.self_attention.query_key_value.bias": (fused,),
            f"{block}.self_attention.dense.weight": (width, width),
            f"{block}.post_attention_layernorm.weight": (width,),
            f"{block}.mlp.dense_h_to_4h.weight": (2 * inner, width),
            f"{block}.mlp.dense_4h_to_h.weight": (width, inner),
        }
    shapes["transformer.encoder.final_layernorm.weight"] = (width,)
    shapes["transformer.output_layer.weight"] = (rows, width)
    return shapes


def glm_from_chatglm(
    config: Mapping[str, Any], weights: Mapping[str, numpy.ndarray]
) -> tuple[dict[str, Any], dict[str, numpy.ndarray]]:
    """The same model in the layout of transformers."""
    head, groups = config["kv_channels"], config["multi_query_group_num"]
    queries, keys = config["num_attention_heads"] * head, groups * head
    renamed = {
        "transformer.embedding.word_embeddings.weight": "model.embed_tokens.weight",
        "transformer.encoder.final_layernorm.weight": "model.norm.weight",
        "transformer.output_layer.weight": "lm_head.weight",
    }
    result = {}
    for name, values in weights.items():
        if "query_key_value" in name:
            layer, kind = name.split(".")[3], name.rsplit(".", 1)[1]
            parts = numpy.split(values, [queries, queries + keys])
            for part, letter in zip(parts, "qkv", strict=True):
                result[f"model.layers.{layer}.self_attn.{letter}_proj.{kind}"] = part
            continue
        result[
            renamed.get(name)
            or name.replace("transformer.encoder", "model")
            .replace("self_attention.dense", "self_attn.o_proj")
            .replace("mlp.dense_h_to_4h", "mlp.gate_up_proj")
            .replace("mlp.dense_4h_to_h", "mlp.down_proj")
        ] = values
    return {
        "architectures": ["GlmForCausalLM"], "attention_bias": True, "head_dim": head,
        "hidden_size": config["hidden_size"], "intermediate_size": config["ffn_hidden_size"],
        "max_position_embeddings": config["seq_length"], "num_attention_heads": config["num_attention_heads"],
        "num_hidden_layers": config["num_layers"], "num_key_value_heads": groups,
        "partial_rotary_factor": 0.5,
        "rms_norm_eps": config["layernorm_epsilon"], "rope_theta": 10000.0 * config["rope_ratio"],
        "tie_word_embeddings": False, "vocab_size": config["padded_vocab_size"],
    }, result  # fmt: skip


LLAMA_CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"], "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0, "tie_word_embeddings": False, "attention_bias": False, "vocab_size": 300,
    "rope_scaling": {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    },
}  # fmt: skip


def decoder_shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Tensors of a Llama, or of a Qwen, in transformers' layout."""
    width, inner, rows = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    head = config.get("head_dim", width // config["num_attention_heads"])
    queries, keys = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    kind = config["architectures"][0]
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (rows, width)}
    for layer in range(config["num_hidden_layers"]):
        block = f"model.layers.{layer}"
        shapes |= {
            f"{block}.input_layernorm.weight": (width,),
            f"{block}.self_attn.q_proj.weight": (queries, width),
            f"{block}.self_attn.k_proj.weight": (keys, width),
            f"{block}.self_attn.v_proj.weight": (keys, width),
            f"{block}.self_attn.o_proj.weight": (width, queries),
            f"{block}.post_attention_layernorm.weight": (width,),
            f"{block}.mlp.gate_proj.weight": (inner, width),
            f"{block}.mlp.up_proj.weight": (inner, width),
            f"{block}.mlp.down_proj.weight": (width, inner),
        }
        if config.get("attention_bias") or kind == "Qwen2ForCausalLM":
            shapes |= {f"{block}.self_attn.{x}_proj.bias": (keys if x in "kv" else queries,) for x in "qkv"}
        if config.get("attention_bias"):
            shapes[f"{block}.self_attn.o_proj.bias"] = (width,)
        if kind == "Qwen3ForCausalLM":
            shapes |= {f"{block}.self_attn.{x}_norm.weight": (head,) for x in "qk"}
    shapes["model.norm.weight"] = (width,)
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (rows, width)
    return shapes


def write_chatglm(directory: Path, *, dtype: str = "F32", merges: int = 200) -> dict[str, numpy.ndarray]:
    """A whole tiny ChatGLMModel; its weights as they are stored."""
    directory.mkdir(parents=True, exist_ok=True)
    ranks = train_ranks(CORPUS, merges)
    config = CHATGLM_CONFIG | {"padded_vocab_size": len(ranks) + 24}
    weights = random_weights(chatglm_shapes(config))
    write_json(directory / "config.json", config)
    write_tiktoken(directory, ranks)
    write_safetensors(directory / "model.safetensors", weights, dtype)
    return {name: stored(values, dtype) for name, values in weights.items()}


def write_decoder(
    directory: Path, changes: Mapping[str, Any] | None = None, *, dtype: str = "F32", shards: int = 1
) -> dict[str, numpy.ndarray]:
    """A whole tiny Llama or Qwen; its weights as they are stored."""
    directory.mkdir(parents=True, exist_ok=True)
    ranks = train_ranks(CORPUS, 20)
    config = LLAMA_CONFIG | dict(changes or {})
    weights = random_weights(decoder_shapes(config))
    write_json(directory / "config.json", config)
    write_glm_tokenizer_json(directory, ranks, ignore_merges=True)
    write_json(directory / "tokenizer_config.json", {"eos_token": "<|endoftext|>", "bos_token": "<sop>"})
    if shards == 1:
        write_safetensors(directory / "model.safetensors", weights, dtype)
    else:
        weight_map = {}
        for number in range(shards):
            name = f"model-{number + 1:05}-of-{shards:05}.safetensors"
            part = dict(list(weights.items())[number::shards])
            write_safetensors(directory / name, part, dtype)
            weight_map |= dict.fromkeys(part, name)
        write_json(directory / "model.safetensors.index.json", {"weight_map": weight_map})
    return {name: stored(values, dtype) for name, values in weights.items()}
