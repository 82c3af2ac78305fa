"""Llama, as in LongWriter-llama3.1-8b."""

from __future__ import annotations

from longwriter_edge.convert.architectures.decoder import (
    Sizes,
    common_keys,
    outer_weights,
    projection,
    rotary_scaling,
)
from longwriter_edge.convert.architectures.layout import Architecture, Layout, Weight
from longwriter_edge.convert.json_file import JsonFile


def _layout(config: JsonFile) -> Layout:
    sizes = Sizes.read(config)
    scaling, computed = rotary_scaling("llama", config, sizes)
    keys = common_keys("llama", config, sizes) | scaling
    keys["llama.vocab_size"] = sizes.vocabulary
    keys["llama.rope.dimension_count"] = sizes.head
    weights, unused = outer_weights(config, sizes)
    for layer in range(sizes.layers):
        weights += _block(config, sizes, f"blk.{layer}", f"model.layers.{layer}")
    return Layout(keys, sizes.vocabulary, weights, computed, unused)


def _block(config: JsonFile, sizes: Sizes, name: str, source: str) -> list[Weight]:
    attention, mlp = f"{source}.self_attn", f"{source}.mlp"
    bias, mlp_bias = config.boolean("attention_bias", False), config.boolean("mlp_bias", False)
    width, inner = sizes.width, sizes.feed_forward
    return [
        Weight(f"{name}.attn_norm.weight", f"{source}.input_layernorm.weight", (width,)),
        *projection(
            f"{name}.attn_q", f"{attention}.q_proj", sizes.queries, width,
            bias=bias, interleaved_heads=sizes.heads,
        ),
        *projection(
            f"{name}.attn_k", f"{attention}.k_proj", sizes.keys, width,
            bias=bias, interleaved_heads=sizes.shared_heads,
        ),
        *projection(f"{name}.attn_v", f"{attention}.v_proj", sizes.keys, width, bias=bias),
        *projection(f"{name}.attn_output", f"{attention}.o_proj", width, sizes.queries, bias=bias),
        Weight(f"{name}.ffn_norm.weight", f"{source}.post_attention_layernorm.weight", (width,)),
        *projection(f"{name}.ffn_gate", f"{mlp}.gate_proj", inner, width, bias=mlp_bias),
        *projection(f"{name}.ffn_up", f"{mlp}.up_proj", inner, width, bias=mlp_bias),
        *projection(f"{name}.ffn_down", f"{mlp}.down_proj", width, inner, bias=mlp_bias),
    ]  # fmt: skip


LLAMA = Architecture("llama", ("LlamaForCausalLM",), _layout)
