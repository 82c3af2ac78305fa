"""What the decoders of transformers have in common: names of tensors, shapes, keys, rotary scaling."""

from __future__ import annotations

import math
from dataclasses import dataclass

from longwriter_edge.convert.architectures.layout import Computed, KeyValue, Weight
from longwriter_edge.convert.json_file import JsonFile
from longwriter_edge.errors import CheckpointError

# LLAMA_MAX_LAYERS in llama.cpp, and a head far above any real one: what follows from them is computed.
_MOST_LAYERS = 512
_LARGEST_HEAD = 65_536


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes in config.json, checked against each other."""

    layers: int
    width: int
    feed_forward: int
    heads: int
    shared_heads: int
    head: int
    vocabulary: int

    @classmethod
    def read(cls, config: JsonFile) -> Sizes:
        """Under the names that transformers uses.

        Raises:
            CheckpointError: one is missing, or they contradict each other.
        """
        width, heads = config.integer("hidden_size"), config.integer("num_attention_heads")
        return cls.checked(
            config,
            layers=config.integer("num_hidden_layers"),
            width=width,
            feed_forward=config.integer("intermediate_size"),
            heads=heads,
            shared_heads=config.integer("num_key_value_heads", heads),
            head=config.integer("head_dim", max(width // heads, 1)),
            vocabulary=config.integer("vocab_size"),
        )

    @classmethod
    def checked(
        cls,
        config: JsonFile,
        *,
        layers: int,
        width: int,
        feed_forward: int,
        heads: int,
        shared_heads: int,
        head: int,
        vocabulary: int,
    ) -> Sizes:
        """The sizes, if the heads fit together and llama.cpp has room for the layers.

        Raises:
            CheckpointError: they do not, or it has not.
        """
        if layers > _MOST_LAYERS or head > _LARGEST_HEAD:
            raise CheckpointError(
                f"{config.path}: no usable model has {layers:,} layers and heads of {head:,} values"
            )
        if heads % shared_heads:
            raise CheckpointError(
                f"{config.path}: {heads} attention heads cannot share {shared_heads} key-value heads"
            )
        if head % 2:
            raise CheckpointError(f"{config.path}: a head of {head} values cannot be rotated in pairs")
        return cls(layers, width, feed_forward, heads, shared_heads, head, vocabulary)

    @property
    def queries(self) -> int:
        """Rows of all query heads."""
        return self.heads * self.head

    @property
    def keys(self) -> int:
        """Rows of all key heads, and of all value heads."""
        return self.shared_heads * self.head


def common_keys(architecture: str, config: JsonFile, sizes: Sizes) -> dict[str, KeyValue]:
    """The keys that llama.cpp reads for every decoder of this family."""
    keys: dict[str, KeyValue] = {
        f"{architecture}.block_count": sizes.layers,
        f"{architecture}.context_length": config.integer("max_position_embeddings"),
        f"{architecture}.embedding_length": sizes.width,
        f"{architecture}.feed_forward_length": sizes.feed_forward,
        f"{architecture}.attention.head_count": sizes.heads,
        f"{architecture}.attention.head_count_kv": sizes.shared_heads,
        f"{architecture}.rope.freq_base": rotary(config).number("rope_theta", 10000.0),
        f"{architecture}.attention.layer_norm_rms_epsilon": config.number("rms_norm_eps", 1e-6),
    }
    if "head_dim" in config:
        keys[f"{architecture}.attention.key_length"] = sizes.head
        keys[f"{architecture}.attention.value_length"] = sizes.head
    return keys


def outer_weights(config: JsonFile, sizes: Sizes) -> tuple[list[Weight], frozenset[str]]:
    """Embedding, last norm and output, and the names that are not needed.

    A tied output is the embedding. Some checkpoints hold it again; transformers ignores it too.
    """
    embedding = (sizes.vocabulary, sizes.width)
    weights = [
        Weight("token_embd.weight", "model.embed_tokens.weight", embedding),
        Weight("output_norm.weight", "model.norm.weight", (sizes.width,)),
    ]
    if config.boolean("tie_word_embeddings", False):
        return weights, frozenset({"lm_head.weight"})
    weights.append(Weight("output.weight", "lm_head.weight", embedding))
    return weights, frozenset()


def projection(
    name: str, source: str, rows: int, columns: int, *, bias: bool, interleaved_heads: int = 0
) -> list[Weight]:
    """A linear layer: its matrix, and its bias if it has one."""
    weights = [Weight(f"{name}.weight", f"{source}.weight", (rows, columns), interleaved_heads)]
    if bias:
        weights.append(Weight(f"{name}.bias", f"{source}.bias", (rows,), interleaved_heads))
    return weights


def rotary(config: JsonFile) -> JsonFile:
    """The rotary settings: ``rope_parameters`` since transformers 5, before it in several places."""
    fields = dict(config.child("rope_scaling").fields) | dict(config.child("rope_parameters").fields)
    for key in ("rope_theta", "partial_rotary_factor"):
        if key in config:
            fields.setdefault(key, config.fields[key])
    if "type" in fields:
        fields.setdefault("rope_type", fields["type"])
    return JsonFile(config.path, fields)


def rotary_scaling(
    architecture: str, config: JsonFile, sizes: Sizes
) -> tuple[dict[str, KeyValue], tuple[Computed, ...]]:
    """Keys and tensors for positions beyond those of the first training.

    Raises:
        CheckpointError: a kind of scaling that llama.cpp does not have for this architecture.
    """
    settings = rotary(config)
    kind = settings.text("rope_type", "default")
    if kind == "default":
        return {}, ()
    if kind == "llama3":
        return {}, (Computed("rope_freqs.weight", _llama3_factors(settings, sizes.head)),)
    if kind not in ("linear", "yarn"):
        raise CheckpointError(
            f"{config.path}: the rotary scaling {kind[:20]!r} is not supported",
            hint="supported are llama3, yarn and linear",
        )
    prefix = f"{architecture}.rope.scaling"
    keys: dict[str, KeyValue] = {f"{prefix}.type": kind, f"{prefix}.factor": settings.number("factor")}
    if kind == "yarn":
        keys[f"{prefix}.original_context_length"] = settings.integer("original_max_position_embeddings")
        for name, key in (
            ("attention_factor", "yarn_attn_factor"),
            ("beta_fast", "yarn_beta_fast"),
            ("beta_slow", "yarn_beta_slow"),
        ):
            if name in settings:
                keys[f"{prefix}.{key}"] = settings.number(name)
    return keys, ()


def _llama3_factors(settings: JsonFile, head: int) -> tuple[float, ...]:
    """Divisors of the rotary frequencies, one a pair of values.

    Llama 3.1's scaling (transformers ``modeling_rope_utils.py``): waves that are short against the context of
    the first training stay, long ones are stretched by ``factor``, and those between are blended.
    """
    base, factor = settings.number("rope_theta", 10000.0), settings.number("factor", 8.0)
    low, high = settings.number("low_freq_factor", 1.0), settings.number("high_freq_factor", 4.0)
    original = settings.integer("original_max_position_embeddings", 8192)
    if low >= high:
        raise CheckpointError(f"{settings.path}: low_freq_factor {low} is not below high_freq_factor {high}")
    divisors = []
    for pair in range(head // 2):
        wavelength = 2 * math.pi * base ** (2 * pair / head)
        blend = (original / wavelength - low) / (high - low)
        blend = min(max(blend, 0.0), 1.0)
        divisors.append(1 / ((1 - blend) / factor + blend))
    return tuple(divisors)
