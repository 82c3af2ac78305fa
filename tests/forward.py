"""Forward passes in numpy, written after the models' own code, to compare llama.cpp's logits with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy

Weights = Mapping[str, numpy.ndarray]


def chatglm(weights: Weights, config: Mapping[str, Any], tokens: Sequence[int]) -> numpy.ndarray:
    """Logits of every position, after modeling_chatglm.py of glm-4-9b-chat."""
    head, groups = config["kv_channels"], config["multi_query_group_num"]
    heads, epsilon = config["num_attention_heads"], config["layernorm_epsilon"]
    angles = _angles(len(tokens), head // 2, 10000.0 * config["rope_ratio"])
    hidden = weights["transformer.embedding.word_embeddings.weight"][list(tokens)].astype(numpy.float64)
    for layer in range(config["num_layers"]):
        block = f"transformer.encoder.layers.{layer}"
        normed = _norm(hidden, weights[f"{block}.input_layernorm.weight"], epsilon)
        mixed = normed @ weights[f"{block}.self_attention.query_key_value.weight"].T
        mixed += weights[f"{block}.self_attention.query_key_value.bias"]
        query, key, value = numpy.split(mixed, [heads * head, (heads + groups) * head], axis=1)
        query = _rotate_pairs(query.reshape(-1, heads, head), angles)
        key = _rotate_pairs(key.reshape(-1, groups, head), angles)
        attended = _attention(query, key, value.reshape(-1, groups, head))
        hidden = hidden + attended @ weights[f"{block}.self_attention.dense.weight"].T
        normed = _norm(hidden, weights[f"{block}.post_attention_layernorm.weight"], epsilon)
        gate, up = numpy.split(normed @ weights[f"{block}.mlp.dense_h_to_4h.weight"].T, 2, axis=1)
        hidden = hidden + (_silu(gate) * up) @ weights[f"{block}.mlp.dense_4h_to_h.weight"].T
    normed = _norm(hidden, weights["transformer.encoder.final_layernorm.weight"], epsilon)
    return normed @ weights["transformer.output_layer.weight"].T


def decoder(weights: Weights, config: Mapping[str, Any], tokens: Sequence[int]) -> numpy.ndarray:
    """Logits of every position, after transformers' modeling files of Llama, Qwen2, Qwen3."""
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    head = config.get("head_dim", config["hidden_size"] // heads)
    epsilon = config["rms_norm_eps"]
    angles = _angles(len(tokens), head, config["rope_theta"], config.get("rope_scaling"))

    def linear(values: numpy.ndarray, name: str) -> numpy.ndarray:
        product = values @ weights[f"{name}.weight"].T
        return product + weights[f"{name}.bias"] if f"{name}.bias" in weights else product

    def normed_head(values: numpy.ndarray, name: str) -> numpy.ndarray:
        return _norm(values, weights[name], epsilon) if name in weights else values

    hidden = weights["model.embed_tokens.weight"][list(tokens)].astype(numpy.float64)
    for layer in range(config["num_hidden_layers"]):
        block = f"model.layers.{layer}"
        normed = _norm(hidden, weights[f"{block}.input_layernorm.weight"], epsilon)
        query = linear(normed, f"{block}.self_attn.q_proj").reshape(-1, heads, head)
        key = linear(normed, f"{block}.self_attn.k_proj").reshape(-1, groups, head)
        value = linear(normed, f"{block}.self_attn.v_proj").reshape(-1, groups, head)
        query = _rotate_halves(normed_head(query, f"{block}.self_attn.q_norm.weight"), angles)
        key = _rotate_halves(normed_head(key, f"{block}.self_attn.k_norm.weight"), angles)
        hidden = hidden + linear(_attention(query, key, value), f"{block}.self_attn.o_proj")
        normed = _norm(hidden, weights[f"{block}.post_attention_layernorm.weight"], epsilon)
        gate, up = linear(normed, f"{block}.mlp.gate_proj"), linear(normed, f"{block}.mlp.up_proj")
        hidden = hidden + linear(_silu(gate) * up, f"{block}.mlp.down_proj")
    output = weights.get("lm_head.weight", weights["model.embed_tokens.weight"])
    return _norm(hidden, weights["model.norm.weight"], epsilon) @ output.T


def _angles(
    positions: int, rotated: int, base: float, scaling: Mapping[str, Any] | None = None
) -> numpy.ndarray:
    frequencies = 1.0 / base ** (numpy.arange(0, rotated, 2) / rotated)
    if scaling is not None:
        frequencies = numpy.array([_llama3(frequency, scaling) for frequency in frequencies])
    return numpy.outer(numpy.arange(positions), frequencies)


def _llama3(frequency: float, scaling: Mapping[str, Any]) -> float:
    wavelength = 2 * math.pi / frequency
    original, factor = scaling["original_max_position_embeddings"], scaling["factor"]
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    if wavelength < original / high:
        return frequency
    if wavelength > original / low:
        return frequency / factor
    smooth = (original / wavelength - low) / (high - low)
    return (1 - smooth) * frequency / factor + smooth * frequency


def _rotate_pairs(values: numpy.ndarray, angles: numpy.ndarray) -> numpy.ndarray:
    rotated = 2 * angles.shape[1]
    cosine, sine = numpy.cos(angles)[:, None], numpy.sin(angles)[:, None]
    even, odd = values[..., 0:rotated:2], values[..., 1:rotated:2]
    result = values.copy()
    result[..., 0:rotated:2] = even * cosine - odd * sine
    result[..., 1:rotated:2] = odd * cosine + even * sine
    return result


def _rotate_halves(values: numpy.ndarray, angles: numpy.ndarray) -> numpy.ndarray:
    cosine, sine = numpy.cos(angles)[:, None], numpy.sin(angles)[:, None]
    first, second = numpy.split(values, 2, axis=-1)
    return numpy.concatenate([first * cosine - second * sine, second * cosine + first * sine], axis=-1)


def _attention(query: numpy.ndarray, key: numpy.ndarray, value: numpy.ndarray) -> numpy.ndarray:
    positions, heads, head = query.shape
    shared = heads // key.shape[1]
    key, value = numpy.repeat(key, shared, axis=1), numpy.repeat(value, shared, axis=1)
    scores = numpy.einsum("qhd,khd->hqk", query, key) / math.sqrt(head)
    scores[:, numpy.triu(numpy.ones((positions, positions), bool), 1)] = -numpy.inf
    scores = numpy.exp(scores - scores.max(axis=-1, keepdims=True))
    scores /= scores.sum(axis=-1, keepdims=True)
    return numpy.einsum("hqk,khd->qhd", scores, value).reshape(positions, -1)


def _norm(values: numpy.ndarray, weight: numpy.ndarray, epsilon: float) -> numpy.ndarray:
    return values / numpy.sqrt((values**2).mean(axis=-1, keepdims=True) + epsilon) * weight


def _silu(values: numpy.ndarray) -> numpy.ndarray:
    return values / (1 + numpy.exp(-values))
