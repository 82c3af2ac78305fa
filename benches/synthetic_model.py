"""Writes a GGUF with the shape of Llama-3.1-8B in Q4_K_M and random weights, to measure speed at size.

Its vocabulary is that of the demo model, filled up with tokens that mean nothing. Weights are drawn small and
around zero, so that nothing overflows; what it writes is noise. Needs 5 GB of disk.

    python benches/synthetic_model.py OUT.gguf [--layers 32]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import gguf
import numpy as np

from longwriter_edge.models import find

# Llama-3.1-8B (its config.json).
HIDDEN, FEED_FORWARD, HEADS, KV_HEADS, VOCABULARY = 4096, 14336, 32, 8, 128256
CONTEXT, ROPE_BASE, RMS_EPSILON = 131_072, 500_000.0, 1e-5
#: Standard deviation of the weights: about that of trained ones.
SPREAD = 0.02
#: Blocks that are drawn; larger tensors repeat them.
DRAWN_BLOCKS = 65_536

Blocks: TypeAlias = "np.ndarray[tuple[int, int], np.dtype[np.uint8]]"
Quantization = gguf.GGMLQuantizationType


def main() -> None:
    """Writes the file."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("output", type=Path)
    arguments.add_argument("--layers", type=int, default=32)
    options = arguments.parse_args()
    generator = np.random.default_rng(1)
    blocks = {Quantization.Q4_K: q4_k_blocks(generator), Quantization.Q6_K: q6_k_blocks(generator)}
    writer = gguf.GGUFWriter(options.output, "llama")
    add_metadata(writer, options.layers)
    planned = list(tensors(options.layers))
    for name, shape, kind in planned:
        stored = gguf.quant_shape_to_byte_shape(shape, kind)
        writer.add_tensor_info(name, stored, np.dtype(np.uint8), nbytes(shape, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for _, shape, kind in planned:
        if kind == Quantization.F32:
            data = np.ones(shape, np.float32).view(np.uint8)
        else:
            data = np.resize(blocks[kind], nbytes(shape, kind))
        writer.write_tensor_data(data)
    writer.close()


def tensors(layers: int) -> Iterator[tuple[str, tuple[int, ...], Quantization]]:
    """Name, shape and type of each tensor, as llama.cpp's quantizer chooses them for Q4_K_M."""
    q4, q6 = Quantization.Q4_K, Quantization.Q6_K
    head = HIDDEN // HEADS
    yield "token_embd.weight", (VOCABULARY, HIDDEN), q4
    yield "output_norm.weight", (HIDDEN,), Quantization.F32
    yield "output.weight", (VOCABULARY, HIDDEN), q6
    for layer in range(layers):
        # use_more_bits of llama-quant.cpp: the first and last eighth, and every third between them.
        more = layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2
        better = q6 if more else q4
        name = f"blk.{layer}"
        yield f"{name}.attn_norm.weight", (HIDDEN,), Quantization.F32
        yield f"{name}.attn_q.weight", (HIDDEN, HIDDEN), q4
        yield f"{name}.attn_k.weight", (KV_HEADS * head, HIDDEN), q4
        yield f"{name}.attn_v.weight", (KV_HEADS * head, HIDDEN), better
        yield f"{name}.attn_output.weight", (HIDDEN, HIDDEN), q4
        yield f"{name}.ffn_norm.weight", (HIDDEN,), Quantization.F32
        yield f"{name}.ffn_gate.weight", (FEED_FORWARD, HIDDEN), q4
        yield f"{name}.ffn_up.weight", (FEED_FORWARD, HIDDEN), q4
        yield f"{name}.ffn_down.weight", (HIDDEN, FEED_FORWARD), better


def nbytes(shape: tuple[int, ...], kind: Quantization) -> int:
    """Bytes of a tensor."""
    block, size = gguf.GGML_QUANT_SIZES[kind]
    return int(np.prod(shape)) // block * size


def q4_k_blocks(generator: np.random.Generator) -> Blocks:
    """Random blocks: two half floats, 12 bytes of scales, 128 of values (block_q4_K of ggml-common.h)."""
    blocks = generator.integers(0, 256, (DRAWN_BLOCKS, 144), np.uint8)
    # A weight is d * scale * value - m * minimum, with values to 15 and 6 bits for scale and minimum.
    step = np.float16(SPREAD / (31.5 * 4.6))
    blocks[:, 0:2] = np.frombuffer(step.tobytes(), np.uint8)
    blocks[:, 2:4] = np.frombuffer(np.float16(7.5 * step).tobytes(), np.uint8)
    return blocks


def q6_k_blocks(generator: np.random.Generator) -> Blocks:
    """Random blocks: 192 bytes of values, 16 scales, a half float (block_q6_K of ggml-common.h)."""
    blocks = generator.integers(0, 256, (DRAWN_BLOCKS, 210), np.uint8)
    # A weight is d * scale * (value - 32), with signed scales of 8 bits and values to 63.
    blocks[:, 208:210] = np.frombuffer(np.float16(SPREAD / (74 * 18.5)).tobytes(), np.uint8)
    return blocks


def add_metadata(writer: gguf.GGUFWriter, layers: int) -> None:
    """The keys of the architecture, and the demo model's vocabulary, filled up."""
    writer.add_name("Synthetic 8B")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(ROPE_BASE)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_layer_norm_rms_eps(RMS_EPSILON)
    writer.add_vocab_size(VOCABULARY)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_K_M)
    demo = gguf.GGUFReader(find(None).path)

    def value(key: str) -> object:
        field = demo.get_field(key)
        assert field is not None, key
        return field.contents()

    tokens, types = list(value("tokenizer.ggml.tokens")), list(value("tokenizer.ggml.token_type"))
    missing = VOCABULARY - len(tokens)
    writer.add_tokenizer_model(str(value("tokenizer.ggml.model")))
    writer.add_tokenizer_pre(str(value("tokenizer.ggml.pre")))
    writer.add_token_list([*tokens, *(f"filler{number}" for number in range(missing))])
    writer.add_token_types([*types, *[gguf.TokenType.NORMAL] * missing])
    writer.add_token_merges(list(value("tokenizer.ggml.merges")))
    writer.add_bos_token_id(int(value("tokenizer.ggml.bos_token_id")))
    writer.add_eos_token_id(int(value("tokenizer.ggml.eos_token_id")))
    writer.add_chat_template(str(value("tokenizer.chat_template")))


if __name__ == "__main__":
    main()
