"""Converted checkpoints in llama.cpp: the logits of an independent forward pass, tokens as tiktoken's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy
import pytest
import tiktoken

import checkpoints
import forward
import native_logits
from longwriter_edge.convert import conversion
from longwriter_edge.model import Model
from longwriter_edge.profiles import choose

pytestmark = pytest.mark.integration

# More positions than a wrong rotary base, or rotary dimensions, could hide in.
TOKENS = [int(token) for token in numpy.random.default_rng(3).integers(0, 270, 150)]
# llama.cpp multiplies F16 and BF16 weights with activations rounded to the same type.
TOLERANCE = {"F32": 1e-4, "F16": 0.05, "BF16": 0.4}


def config_of(directory: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((directory / "config.json").read_text())
    return config


def close(actual: numpy.ndarray, expected: numpy.ndarray, tolerance: float) -> None:
    assert float(numpy.abs(expected).max()) > 3
    assert float(numpy.abs(actual - expected).max()) < tolerance


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("layout", ["ChatGLMModel", "GlmForCausalLM"])
def test_glm_logits_are_those_of_the_models_own_arithmetic(tmp_path: Path, dtype: str, layout: str) -> None:
    weights = checkpoints.write_chatglm(tmp_path / "model", dtype=dtype)
    config = config_of(tmp_path / "model")
    expected = forward.chatglm(weights, config, TOKENS)
    directory = tmp_path / "model"
    if layout == "GlmForCausalLM":
        directory = tmp_path / "other"
        directory.mkdir()
        other_config, other_weights = checkpoints.glm_from_chatglm(config, weights)
        checkpoints.write_json(directory / "config.json", other_config)
        checkpoints.write_safetensors(directory / "model.safetensors", other_weights, dtype)
        ranks = checkpoints.train_ranks(checkpoints.CORPUS, 200)
        checkpoints.write_glm_tokenizer_json(directory, ranks, ignore_merges=True)
    converted = conversion.convert(directory, tmp_path / "out.gguf")
    assert converted.type == dtype
    close(native_logits.logits(converted.path, TOKENS), expected, TOLERANCE[dtype])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tie_word_embeddings": True, "rope_scaling": None},
        {"attention_bias": True, "num_key_value_heads": 4},
        {"head_dim": 32},
        {"architectures": ["Qwen2ForCausalLM"], "rope_scaling": None},
        {"architectures": ["Qwen3ForCausalLM"], "rope_scaling": None, "head_dim": 32},
    ],
    ids=["llama3", "tied", "biases", "head-dim", "qwen2", "qwen3"],
)
def test_decoder_logits_are_those_of_transformers_arithmetic(tmp_path: Path, changes: dict[str, Any]) -> None:
    weights = checkpoints.write_decoder(tmp_path / "model", changes, shards=3)
    expected = forward.decoder(weights, config_of(tmp_path / "model"), TOKENS)
    converted = conversion.convert(tmp_path / "model", tmp_path / "out.gguf")
    close(native_logits.logits(converted.path, TOKENS), expected, TOLERANCE["F32"])


def test_q8_0_is_near_and_smaller(tmp_path: Path) -> None:
    weights = checkpoints.write_decoder(tmp_path / "model")
    expected = forward.decoder(weights, config_of(tmp_path / "model"), TOKENS)
    whole = conversion.convert(tmp_path / "model", tmp_path / "f32.gguf")
    small = conversion.convert(tmp_path / "model", tmp_path / "q8.gguf", output_type="Q8_0")
    assert small.size < whole.size / 2.5
    close(native_logits.logits(small.path, TOKENS), expected, 1.0)


@pytest.mark.parametrize("unreachable", [False, True])
def test_tokens_are_tiktokens(tmp_path: Path, unreachable: bool) -> None:
    ranks = checkpoints.train_ranks(checkpoints.CORPUS, 500)
    if unreachable:
        # Reached by tiktoken as whole words only.
        for word in (" zyxwvu", " qwertz"):
            ranks[word.encode()] = len(ranks)
    directory = tmp_path / "model"
    directory.mkdir()
    config = checkpoints.CHATGLM_CONFIG | {"padded_vocab_size": len(ranks) + 20}
    checkpoints.write_json(directory / "config.json", config)
    checkpoints.write_tiktoken(directory, ranks)
    weights = checkpoints.random_weights(checkpoints.chatglm_shapes(config))
    checkpoints.write_safetensors(directory / "model.safetensors", weights)
    path = conversion.convert(directory, tmp_path / "out.gguf").path
    special = {text: len(ranks) + place for place, text in enumerate(checkpoints.GLM_SPECIAL)}
    encoding = tiktoken.Encoding(
        "glm4", pat_str=checkpoints.GLM_PATTERN, mergeable_ranks=ranks, special_tokens=special
    )
    for text in (
        checkpoints.CORPUS,
        checkpoints.CORPUS[::-1],
        checkpoints.CORPUS.upper(),
        " zyxwvu a qwertz qwertz",
    ):
        assert native_logits.tokenize(path, text) == encoding.encode_ordinary(text)
    prompt = "[gMASK]<sop><|user|>\nWrite 写<|assistant|>"
    assert native_logits.tokenize(path, prompt, special=True) == encoding.encode(
        prompt, allowed_special="all"
    )


@pytest.fixture(scope="module")
def demo_checkpoint(demo_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("rebuilt") / "demo"
    rebuild(demo_model_path, directory)
    return directory


@pytest.fixture(scope="module")
def demo_converted(demo_checkpoint: Path) -> Path:
    return conversion.convert(demo_checkpoint, demo_checkpoint.parent / "demo.gguf").path


def test_the_profile_in_a_file_is_taken(tmp_path: Path, demo_checkpoint: Path) -> None:
    path = tmp_path / "out.gguf"
    converted = conversion.convert(demo_checkpoint, path, profile="plain", output_type="F16")
    assert converted.profile == "plain"
    with Model.open(path) as model:
        assert choose(model.metadata, model.vocabulary, None).format.name == "plain"


def test_the_demo_model_rebuilt_and_converted_is_the_demo_model(
    demo_model_path: Path, demo_converted: Path
) -> None:
    original, converted = gguf.GGUFReader(demo_model_path), gguf.GGUFReader(demo_converted)
    for key, field in original.fields.items():
        # add_space_prefix is for SentencePiece.
        if key.startswith(("llama.", "tokenizer.")) and key != "tokenizer.ggml.add_space_prefix":
            assert converted.fields[key].contents() == field.contents(), key
    found = {tensor.name: tensor for tensor in converted.tensors}
    assert set(found) == {tensor.name for tensor in original.tensors}
    for tensor in original.tensors:
        expected = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        assert numpy.array_equal(found[tensor.name].data, expected), tensor.name
    for text in (checkpoints.CORPUS, "<|im_start|>user\nHi<|im_end|>"):
        special = "<|" in text
        assert native_logits.tokenize(demo_converted, text, special=special) == native_logits.tokenize(
            demo_model_path, text, special=special
        )


def test_the_rebuilt_demo_model_writes_what_the_same_weights_write(
    tmp_path: Path, demo_model_path: Path, demo_converted: Path
) -> None:
    reference = tmp_path / "reference.gguf"
    dequantized(demo_model_path, reference)
    tokens = native_logits.tokenize(demo_model_path, "The history of Rome begins")
    assert native_logits.greedy(demo_converted, tokens, 24) == native_logits.greedy(reference, tokens, 24)


def rebuild(model: Path, directory: Path) -> None:
    """The checkpoint that the demo model could have been made from, with the weights that it has."""
    reader = gguf.GGUFReader(model)
    fields = {key: field.contents() for key, field in reader.fields.items() if not key.startswith("GGUF")}
    heads, shared = fields["llama.attention.head_count"], fields["llama.attention.head_count_kv"]
    directory.mkdir()
    checkpoints.write_json(
        directory / "config.json",
        {
            "architectures": ["LlamaForCausalLM"],
            "hidden_size": fields["llama.embedding_length"],
            "intermediate_size": fields["llama.feed_forward_length"],
            "max_position_embeddings": fields["llama.context_length"],
            "num_attention_heads": heads,
            "num_hidden_layers": fields["llama.block_count"],
            "num_key_value_heads": shared,
            "rms_norm_eps": 1e-05,
            "rope_theta": fields["llama.rope.freq_base"],
            "tie_word_embeddings": True,
            "vocab_size": fields["llama.vocab_size"],
        },
    )
    tokens, types = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    digits = {"type": "Digits", "individual_digits": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    checkpoints.write_json(
        directory / "tokenizer.json",
        {
            "added_tokens": [
                {"id": number, "content": text, "special": True, "normalized": False}
                for number, text in enumerate(tokens)
                if types[number] == gguf.TokenType.CONTROL
            ],
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [digits, byte_level]},
            "model": {
                "type": "BPE",
                "vocab": {text: number for number, text in enumerate(tokens)},
                "merges": fields["tokenizer.ggml.merges"],
            },
        },
    )
    names = {
        role: tokens[fields[f"tokenizer.ggml.{key}_token_id"]]
        for role, key in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding"))
    }
    checkpoints.write_json(
        directory / "tokenizer_config.json",
        {f"{role}_token": text for role, text in names.items()}
        | {"add_bos_token": False, "chat_template": fields["tokenizer.chat_template"]},
    )
    weights = {}
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        if "attn_q" in tensor.name or "attn_k" in tensor.name:
            values = _halves(values, heads if "attn_q" in tensor.name else shared)
        weights[_transformers_name(tensor.name)] = values
    checkpoints.write_safetensors(directory / "model.safetensors", weights, "F32")


def _halves(values: numpy.ndarray, heads: int) -> numpy.ndarray:
    pairs = values.reshape(heads, values.shape[0] // heads // 2, 2, values.shape[1])
    return pairs.swapaxes(1, 2).reshape(values.shape)


def _transformers_name(name: str) -> str:
    outer = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
    if name in outer:
        return outer[name]
    _, layer, kind, _ = name.split(".")
    inner = {
        "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
        "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
    }[kind]  # fmt: skip
    return f"model.layers.{layer}.{inner}.weight"


def dequantized(model: Path, output: Path) -> None:
    """The demo model with the same keys and its weights in F32, made by the gguf package alone."""
    reader = gguf.GGUFReader(model)
    writer = gguf.GGUFWriter(output, "llama")
    for key, field in reader.fields.items():
        if not key.startswith("GGUF") and key != "general.architecture":
            inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(key, field.contents(), field.types[0], sub_type=inner)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, gguf.quants.dequantize(tensor.data, tensor.tensor_type))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
