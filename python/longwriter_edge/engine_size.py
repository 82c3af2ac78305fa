"""Chooses how large a context is made, from what is to be written and what the machine holds.

Pure arithmetic; :attr:`longwriter_edge.model.Model.capacity` measures the machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from longwriter_edge.engine_settings import EngineSettings, FlashAttention, KvType
from longwriter_edge.fit import CONTEXT_STEP

#: Most tokens in one call of llama_decode; llama.cpp's default for the physical batch, so that a
#: call is one evaluation.
BATCH_TOKENS = 512
#: Sequences beyond which nothing is gained. On a CPU decoding is bound by memory up to about here, and by
#: arithmetic beyond: 8 documents of SmolLM2-135M on two cores gave 142 tokens/s, 4 gave 130. On a GPU more
#: pay off: Metal's K-quant kernels multiply single vectors up to 8 rows and matrices above
#: (ggml-metal, the limit for mul_mm), so that 8 rows are where its fast path only begins.
CPU_SEQUENCES = 8
GPU_SEQUENCES = 16

# Bits a value: ggml's blocks of 32 values take 34 (q8_0) and 18 bytes (q4_0).
_BITS: dict[KvType, float] = {"f16": 16.0, "q8_0": 8.5, "q4_0": 4.5}


@dataclass(frozen=True, slots=True)
class Demand:
    """What is to be written.

    Attributes:
        documents: Documents still to write.
        parallel_sections: The most sections of one document that may be written at the same time.
        document_cells: KV cells that the largest document needs in one sequence; with the method ``parallel``
            those of its prefix and one section.
        total_cells: KV cells of all documents and their parallel sections together, ``None`` if unknown.
        shares_prefix: Whether sections of some document hold the cells of a prefix in common.
    """

    documents: int
    parallel_sections: int
    document_cells: int
    total_cells: int | None
    shares_prefix: bool


@dataclass(frozen=True, slots=True)
class Capacity:
    """What there is to hold a context.

    Attributes:
        trained_context: Tokens of context that the model was trained on.
        kv_bytes_per_token: Bytes of KV cache a token in F16, ``None`` if the model does not tell.
        model_bytes: Bytes of the weights.
        memory_bytes: Bytes for the KV cache beside the weights, ``None`` if unknown.
        on_gpu: Whether layers run on a GPU.
        threads: CPU threads.
    """

    trained_context: int
    kv_bytes_per_token: int | None
    model_bytes: int
    memory_bytes: int | None
    on_gpu: bool
    threads: int


@dataclass(frozen=True, slots=True)
class EngineSize:
    """How large a context is made.

    Attributes:
        cells: KV cells in all.
        sequences: Sequences told apart; as many rows of logits are kept.
        unified: Whether the sequences share all cells, so that one can be long and others short, and
            sections in parallel hold a prefix in common. Else each has an equal part, and its tokens
            attend to that alone, which is faster.
        kv_type: Type of the KV cache's values.
        batch_tokens: Most tokens in one call of llama_decode.
        micro_batch_tokens: Most tokens in one evaluation.
        flash_attention: llama.cpp's flash attention.
        reasons: A sentence for each choice.
    """

    cells: int
    sequences: int = 1
    unified: bool = True
    kv_type: KvType = "f16"
    batch_tokens: int = BATCH_TOKENS
    micro_batch_tokens: int = BATCH_TOKENS
    flash_attention: FlashAttention = "auto"
    reasons: tuple[str, ...] = ()

    @property
    def cells_per_sequence(self) -> int:
        """KV cells that one sequence can hold."""
        return self.cells if self.unified else self.cells // self.sequences


def cache_bytes(f16_bytes_per_token: int, kv_type: KvType, cells: int) -> int:
    """Bytes of a KV cache of ``cells`` cells."""
    return math.ceil(f16_bytes_per_token * cells * _BITS[kv_type] / _BITS["f16"])


def choose(settings: EngineSettings, demand: Demand, capacity: Capacity) -> EngineSize:
    """The size of the context for ``demand``, as the settings say and automatic where they are silent.

    A context that is too large for the memory is chosen all the same where one document needs it: the
    system may find room. The reasons say so.
    """
    kv_type: KvType = settings.kv_type or "f16"
    largest = _padded(min(demand.document_cells, _padded(capacity.trained_context)))
    room = _room(capacity, kv_type)
    sequences, unified, reasons = _sequences(settings, demand, capacity, largest, room)
    cells = largest * sequences
    if unified:
        if demand.total_cells is not None:
            cells = min(cells, _padded(demand.total_cells))
        if room is not None:
            cells = min(cells, room)
        cells = max(cells, largest)
    batch = settings.batch_tokens or max(BATCH_TOKENS, settings.micro_batch_tokens or 0, sequences)
    flash: FlashAttention = settings.flash_attention
    if kv_type != "f16" and flash == "auto":
        flash = "on"
        reasons.append(f"flash attention on: a KV cache in {kv_type} needs it")
    reasons.append(_memory_reason(capacity, kv_type, cells, room))
    return EngineSize(
        cells=cells,
        sequences=sequences,
        unified=unified,
        kv_type=kv_type,
        batch_tokens=batch,
        micro_batch_tokens=settings.micro_batch_tokens or batch,
        flash_attention=flash,
        reasons=tuple(reasons),
    )


def _sequences(
    settings: EngineSettings, demand: Demand, capacity: Capacity, largest: int, room: int | None
) -> tuple[int, bool, list[str]]:
    """How many sequences, whether they share the cells, and why."""
    wanted = max(1, demand.documents * demand.parallel_sections)
    layout = settings.kv_layout
    if settings.sequences is not None:
        sequences, why = settings.sequences, "as --sequences says"
    else:
        ceiling = GPU_SEQUENCES if capacity.on_gpu else CPU_SEQUENCES
        if settings.batch_tokens is not None:
            ceiling = min(ceiling, settings.batch_tokens)
        sequences, why = min(wanted, ceiling), _waiting(demand)
        if wanted > ceiling:
            device = "a GPU" if capacity.on_gpu else f"a CPU with {_count(capacity.threads, 'thread')}"
            why += f", and beyond {ceiling} {device} gains nothing"
    if layout is not None:
        unified, why_layout = layout == "unified", "as --kv-layout says"
    elif sequences == 1:
        unified, why_layout = True, "there is one sequence only"
    elif demand.shares_prefix:
        unified, why_layout = True, "sections hold their prefix in common"
    else:
        unified = False
        why_layout = "no sections share a prefix, and each sequence attends to its own cells only"
    if room is not None:
        apart = max(1, room // largest)
        # In common cells a long document leaves room for as many short ones as fit on the average.
        mean = largest if demand.total_cells is None else max(1, math.ceil(demand.total_cells / wanted))
        together = max(1, max(room, largest) // min(mean, largest))
        automatic_split = layout is None and not unified
        if automatic_split and apart < sequences and min(together, sequences) >= 2 * apart:
            unified = True
            why_layout = f"memory holds {room:,} cells, in parts only {apart} of {largest:,} each"
        most = together if unified else apart
        if settings.sequences is None and most < sequences:
            sequences = most
            why = f"memory holds {room:,} cells, and the largest document needs {largest:,}"
            if automatic_split and sequences == 1:
                unified, why_layout = True, "there is one sequence only"
    return (
        sequences,
        unified,
        [
            f"{_count(sequences, 'sequence')}: {why}",
            f"{'unified' if unified else 'split'} KV cache: {why_layout}",
        ],
    )


def _memory_reason(capacity: Capacity, kv_type: KvType, cells: int, room: int | None) -> str:
    each = capacity.kv_bytes_per_token
    if each is None:
        return f"KV cache {kv_type}: the model does not tell its size, so memory sets no bound"
    size = f"KV cache {kv_type}: {cache_bytes(each, kv_type, cells) / 1e9:,.1f} GB"
    if capacity.memory_bytes is None or room is None:
        return f"{size}; the free memory is unknown and sets no bound"
    size += f" of {capacity.memory_bytes / 1e9:,.1f} GB free beside the weights"
    if cells <= room:
        return size
    smaller = {"f16": "--kv-type q8_0, ", "q8_0": "--kv-type q4_0, ", "q4_0": ""}[kv_type]
    return f"{size}, which is too little: try {smaller}fewer words or --sequences 1 if it fails or is slow"


def _room(capacity: Capacity, kv_type: KvType) -> int | None:
    """Cells that the memory holds, in whole steps of llama.cpp."""
    if capacity.memory_bytes is None or not capacity.kv_bytes_per_token:
        return None
    step = cache_bytes(capacity.kv_bytes_per_token, kv_type, CONTEXT_STEP)
    return max(0, capacity.memory_bytes) // step * CONTEXT_STEP


def _waiting(demand: Demand) -> str:
    documents, sections = demand.documents, demand.parallel_sections
    if sections > 1:
        each = " each" if documents > 1 else ""
        return f"{_count(documents, 'document')} with {sections} sections at the same time{each}"
    return f"{_count(documents, 'document')} {'waits' if documents == 1 else 'wait'}"


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"


def _padded(tokens: int) -> int:
    return math.ceil(tokens / CONTEXT_STEP) * CONTEXT_STEP
