"""GLM-4 under its first names (ChatGLMModel), as in LongWriter-glm4-9b."""

from __future__ import annotations

from longwriter_edge.convert.architectures.decoder import Sizes, projection
from longwriter_edge.convert.architectures.layout import Architecture, KeyValue, Layout, Weight
from longwriter_edge.convert.json_file import JsonFile
from longwriter_edge.errors import CheckpointError

# What the model's code allows and llama.cpp's graph of it does not have.
_FIXED = {
    "rmsnorm": True,
    "post_layer_norm": True,
    "add_bias_linear": False,
    "apply_residual_connection_post_layernorm": False,
}
# modeling_chatglm.py: the base of the rotary frequencies, which rope_ratio multiplies, and the share of each
# head that is rotated.
_ROTARY_BASE = 10000.0
_ROTARY_SHARE = 2


def _layout(config: JsonFile) -> Layout:
    for key, value in _FIXED.items():
        if config.boolean(key, value) is not value:
            raise CheckpointError(f"{config.path}: llama.cpp has no ChatGLM model with {key} = {not value}")
    sizes = _sizes(config)
    width = sizes.width
    embedding = (sizes.vocabulary, width)
    weights = [
        Weight("token_embd.weight", "transformer.embedding.word_embeddings.weight", embedding),
        Weight("output_norm.weight", "transformer.encoder.final_layernorm.weight", (width,)),
    ]
    unused = {"transformer.rotary_pos_emb.inv_freq"}
    if config.boolean("tie_word_embeddings", False):
        unused.add("transformer.output_layer.weight")
    else:
        weights.append(Weight("output.weight", "transformer.output_layer.weight", embedding))
    for layer in range(sizes.layers):
        weights += _block(config, sizes, f"blk.{layer}", f"transformer.encoder.layers.{layer}")
    return Layout(_keys(config, sizes), sizes.vocabulary, weights, unused=frozenset(unused))


def _sizes(config: JsonFile) -> Sizes:
    heads = config.integer("num_attention_heads")
    groups = config.boolean("multi_query_attention", True)
    sizes = Sizes.checked(
        config,
        layers=config.integer("num_layers"),
        width=config.integer("hidden_size"),
        feed_forward=config.integer("ffn_hidden_size"),
        heads=heads,
        shared_heads=config.integer("multi_query_group_num") if groups else heads,
        head=config.integer("kv_channels"),
        vocabulary=config.integer("padded_vocab_size"),
    )
    if sizes.queries != sizes.width:
        raise CheckpointError(
            f"{config.path}: {heads} heads of {sizes.head} values do not make hidden_size {sizes.width}"
        )
    return sizes


def _keys(config: JsonFile, sizes: Sizes) -> dict[str, KeyValue]:
    return {
        "chatglm.context_length": config.integer("seq_length"),
        "chatglm.embedding_length": sizes.width,
        "chatglm.feed_forward_length": sizes.feed_forward,
        "chatglm.block_count": sizes.layers,
        "chatglm.attention.head_count": sizes.heads,
        "chatglm.attention.head_count_kv": sizes.shared_heads,
        "chatglm.attention.layer_norm_rms_epsilon": config.number("layernorm_epsilon", 1e-5),
        "chatglm.rope.dimension_count": sizes.head // _ROTARY_SHARE,
        "chatglm.rope.freq_base": _ROTARY_BASE * config.number("rope_ratio", 1.0),
    }


def _block(config: JsonFile, sizes: Sizes, name: str, source: str) -> list[Weight]:
    attention, mlp = f"{source}.self_attention", f"{source}.mlp"
    width, inner = sizes.width, sizes.feed_forward
    # All queries, then all keys, then all values; and the gate, then what it lets through.
    fused = sizes.queries + 2 * sizes.keys
    bias = config.boolean("add_qkv_bias", False)
    return [
        Weight(f"{name}.attn_norm.weight", f"{source}.input_layernorm.weight", (width,)),
        *projection(f"{name}.attn_qkv", f"{attention}.query_key_value", fused, width, bias=bias),
        *projection(f"{name}.attn_output", f"{attention}.dense", width, width, bias=False),
        Weight(f"{name}.ffn_norm.weight", f"{source}.post_attention_layernorm.weight", (width,)),
        *projection(f"{name}.ffn_up", f"{mlp}.dense_h_to_4h", 2 * inner, width, bias=False),
        *projection(f"{name}.ffn_down", f"{mlp}.dense_4h_to_h", width, inner, bias=False),
    ]


CHATGLM = Architecture("chatglm", ("ChatGLMModel", "ChatGLMForConditionalGeneration"), _layout, glm=True)
