"""Qwen2 and Qwen3: Llama's blocks with biases, or with norms on queries and keys."""

from __future__ import annotations

from functools import partial

from longwriter_edge.convert.architectures.decoder import (
    Sizes,
    common_keys,
    outer_weights,
    projection,
    rotary_scaling,
)
from longwriter_edge.convert.architectures.layout import Architecture, Layout, Weight
from longwriter_edge.convert.json_file import JsonFile
from longwriter_edge.errors import CheckpointError


def _layout(architecture: str, config: JsonFile) -> Layout:
    if config.boolean("use_sliding_window", False):
        raise CheckpointError(f"{config.path}: a sliding window of attention is not supported")
    sizes = Sizes.read(config)
    scaling, computed = rotary_scaling(architecture, config, sizes)
    weights, unused = outer_weights(config, sizes)
    for layer in range(sizes.layers):
        weights += _block(architecture, config, sizes, f"blk.{layer}", f"model.layers.{layer}")
    return Layout(
        common_keys(architecture, config, sizes) | scaling, sizes.vocabulary, weights, computed, unused
    )


def _block(architecture: str, config: JsonFile, sizes: Sizes, name: str, source: str) -> list[Weight]:
    attention, mlp = f"{source}.self_attn", f"{source}.mlp"
    width, inner = sizes.width, sizes.feed_forward
    # Qwen2 has these biases always, and no key for them in config.json.
    bias = architecture == "qwen2" or config.boolean("attention_bias", False)
    weights = [
        Weight(f"{name}.attn_norm.weight", f"{source}.input_layernorm.weight", (width,)),
        *projection(f"{name}.attn_q", f"{attention}.q_proj", sizes.queries, width, bias=bias),
        *projection(f"{name}.attn_k", f"{attention}.k_proj", sizes.keys, width, bias=bias),
        *projection(f"{name}.attn_v", f"{attention}.v_proj", sizes.keys, width, bias=bias),
        *projection(f"{name}.attn_output", f"{attention}.o_proj", width, sizes.queries, bias=False),
        Weight(f"{name}.ffn_norm.weight", f"{source}.post_attention_layernorm.weight", (width,)),
        *projection(f"{name}.ffn_gate", f"{mlp}.gate_proj", inner, width, bias=False),
        *projection(f"{name}.ffn_up", f"{mlp}.up_proj", inner, width, bias=False),
        *projection(f"{name}.ffn_down", f"{mlp}.down_proj", width, inner, bias=False),
    ]
    if architecture == "qwen3":
        weights += [
            Weight(f"{name}.attn_q_norm.weight", f"{attention}.q_norm.weight", (sizes.head,)),
            Weight(f"{name}.attn_k_norm.weight", f"{attention}.k_norm.weight", (sizes.head,)),
        ]
    return weights


QWEN2 = Architecture("qwen2", ("Qwen2ForCausalLM",), partial(_layout, "qwen2"))
QWEN3 = Architecture("qwen3", ("Qwen3ForCausalLM",), partial(_layout, "qwen3"))
