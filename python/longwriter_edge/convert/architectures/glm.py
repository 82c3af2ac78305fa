"""GLM-4 in the layout of transformers (GlmForCausalLM): the same model, which llama.cpp calls chatglm.

llama.cpp's own converter reads the keys of the first layout here too and so writes a wrong context length,
rotary base and epsilon.
"""

from __future__ import annotations

from longwriter_edge.convert.architectures.decoder import (
    Sizes,
    common_keys,
    outer_weights,
    projection,
    rotary,
)
from longwriter_edge.convert.architectures.layout import Architecture, Layout, Weight
from longwriter_edge.convert.json_file import JsonFile
from longwriter_edge.errors import CheckpointError


def _layout(config: JsonFile) -> Layout:
    sizes = Sizes.read(config)
    if sizes.queries != sizes.width:
        raise CheckpointError(
            f"{config.path}: {sizes.heads} heads of {sizes.head} values do not make hidden_size {sizes.width}"
        )
    settings = rotary(config)
    if settings.text("rope_type", "default") != "default":
        raise CheckpointError(f"{config.path}: llama.cpp has no rotary scaling for GLM-4")
    keys = common_keys("chatglm", config, sizes)
    # GlmConfig's own default, which transformers leaves out of config.json.
    keys["chatglm.attention.layer_norm_rms_epsilon"] = config.number("rms_norm_eps", 1.5625e-07)
    keys["chatglm.rope.dimension_count"] = int(sizes.head * settings.number("partial_rotary_factor", 0.5))
    weights, unused = outer_weights(config, sizes)
    for layer in range(sizes.layers):
        weights += _block(config, sizes, f"blk.{layer}", f"model.layers.{layer}")
    return Layout(keys, sizes.vocabulary, weights, unused=unused)


def _block(config: JsonFile, sizes: Sizes, name: str, source: str) -> list[Weight]:
    attention, mlp = f"{source}.self_attn", f"{source}.mlp"
    width, inner = sizes.width, sizes.feed_forward
    bias = config.boolean("attention_bias", False)
    return [
        Weight(f"{name}.attn_norm.weight", f"{source}.input_layernorm.weight", (width,)),
        *projection(f"{name}.attn_q", f"{attention}.q_proj", sizes.queries, width, bias=bias),
        *projection(f"{name}.attn_k", f"{attention}.k_proj", sizes.keys, width, bias=bias),
        *projection(f"{name}.attn_v", f"{attention}.v_proj", sizes.keys, width, bias=bias),
        *projection(f"{name}.attn_output", f"{attention}.o_proj", width, sizes.queries, bias=False),
        Weight(f"{name}.ffn_norm.weight", f"{source}.post_attention_layernorm.weight", (width,)),
        # The gate, then what it lets through, in one matrix.
        *projection(f"{name}.ffn_up", f"{mlp}.gate_up_proj", 2 * inner, width, bias=False),
        *projection(f"{name}.ffn_down", f"{mlp}.down_proj", width, inner, bias=False),
    ]


GLM = Architecture("chatglm", ("GlmForCausalLM",), _layout, glm=True)
