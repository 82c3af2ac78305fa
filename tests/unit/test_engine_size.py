"""How large a context is made: what is chosen in each regime, and the sentence that says why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from longwriter_edge.engine_settings import EngineSettings
from longwriter_edge.engine_size import Capacity, Demand, EngineSize, cache_bytes, choose
from longwriter_edge.errors import InputError

#: LongWriter-llama3.1-8b: 128 KiB of KV cache a token.
EACH = 128 * 1024
CPU = Capacity(131_072, EACH, 4_920_000_000, None, on_gpu=False, threads=2)
GPU = replace(CPU, on_gpu=True)
ONE = Demand(1, 1, 8192, None, shares_prefix=False)
BATCH = replace(ONE, documents=20)


def holding(cells: int, capacity: Capacity = CPU) -> Capacity:
    return replace(capacity, memory_bytes=cells * EACH)


def reasons(size: EngineSize) -> str:
    return "\n".join(size.reasons)


def test_one_document_has_one_sequence_of_its_own_size() -> None:
    size = choose(EngineSettings(), replace(ONE, document_cells=8000), CPU)
    assert (size.sequences, size.unified, size.cells, size.kv_type) == (1, True, 8192, "f16")
    assert (size.batch_tokens, size.micro_batch_tokens, size.flash_attention) == (512, 512, "auto")


@pytest.mark.parametrize(("capacity", "sequences"), [(CPU, 8), (GPU, 16)])
def test_many_documents_have_as_many_sequences_as_the_device_gains_from(
    capacity: Capacity, sequences: int
) -> None:
    size = choose(EngineSettings(), BATCH, capacity)
    assert (size.sequences, size.unified, size.cells_per_sequence) == (sequences, False, 8192)
    assert f"{sequences} sequences: 20 documents wait, and beyond {sequences}" in reasons(size)


def test_few_documents_have_no_more_sequences_than_they_are() -> None:
    assert choose(EngineSettings(), replace(BATCH, documents=3), CPU).sequences == 3


def test_sections_that_share_a_prefix_share_the_cells() -> None:
    demand = replace(ONE, parallel_sections=5, shares_prefix=True, total_cells=30_000)
    size = choose(EngineSettings(), demand, CPU)
    assert (size.sequences, size.unified) == (5, True)
    assert 30_000 <= size.cells < 30_256
    assert "prefix" in reasons(size)


def test_memory_bounds_the_sequences_of_a_split_cache() -> None:
    size = choose(EngineSettings(), BATCH, holding(3 * 8192 + 100))
    assert (size.sequences, size.unified, size.cells) == (3, False, 3 * 8192)
    assert "8,192" in reasons(size)


def test_memory_for_less_than_two_documents_leaves_one_sequence() -> None:
    size = choose(EngineSettings(), BATCH, holding(2 * 8192 - 256))
    assert (size.sequences, size.unified, size.cells) == (1, True, 8192)


def test_one_long_and_many_short_documents_share_what_memory_holds() -> None:
    demand = replace(BATCH, total_cells=8192 + 19 * 1024)
    size = choose(EngineSettings(), demand, holding(12_288))
    assert size.unified
    assert size.sequences > 2
    assert size.cells == 12_288
    assert "12,288" in reasons(size)


def test_a_document_that_memory_does_not_hold_is_chosen_in_f16_with_what_to_try() -> None:
    size = choose(EngineSettings(), ONE, holding(4096))
    assert (size.sequences, size.cells, size.kv_type) == (1, 8192, "f16")
    assert "--kv-type q8_0" in reasons(size)
    assert "1.1 GB of 0.5 GB" in reasons(size)


def test_a_negative_rest_of_memory_is_no_memory() -> None:
    assert choose(EngineSettings(), BATCH, replace(CPU, memory_bytes=-5)).cells == 8192


def test_a_quantized_cache_takes_less_and_turns_flash_attention_on() -> None:
    assert cache_bytes(64, "f16", 32) == 2048
    assert cache_bytes(64, "q8_0", 32) == 32 * 34
    assert cache_bytes(64, "q4_0", 32) == 32 * 18
    tight = holding(2 * 8192)
    size = choose(EngineSettings(kv_type="q4_0"), BATCH, tight)
    assert size.flash_attention == "on"
    assert size.sequences > choose(EngineSettings(), BATCH, tight).sequences


def test_what_the_user_says_is_done_and_named() -> None:
    settings = EngineSettings(
        sequences=20, kv_layout="unified", batch_tokens=128, micro_batch_tokens=64, flash_attention="off"
    )
    size = choose(settings, ONE, CPU)
    assert (size.sequences, size.unified, size.batch_tokens, size.micro_batch_tokens) == (20, True, 128, 64)
    assert size.flash_attention == "off"
    assert "--sequences" in reasons(size)
    assert "--kv-layout" in reasons(size)


def test_a_batch_has_a_token_for_every_sequence() -> None:
    assert choose(EngineSettings(batch_tokens=32), replace(BATCH, documents=99), GPU).sequences <= 32
    assert choose(EngineSettings(micro_batch_tokens=1024), ONE, CPU).batch_tokens == 1024


def test_a_sequence_has_no_more_cells_than_the_model_was_trained_on() -> None:
    assert choose(EngineSettings(), replace(ONE, document_cells=10**6), CPU).cells == 131_072


def test_unknown_memory_and_unknown_sizes_set_no_bound_and_say_so() -> None:
    assert "unknown" in reasons(choose(EngineSettings(), BATCH, CPU))
    silent = replace(CPU, kv_bytes_per_token=None, memory_bytes=1)
    assert choose(EngineSettings(), BATCH, silent).sequences == 8
    assert "does not tell" in reasons(choose(EngineSettings(), BATCH, silent))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"sequences": 0}, "--sequences"),
        ({"sequences": 257}, "257"),
        ({"batch_tokens": 31}, "--batch"),
        ({"micro_batch_tokens": 0}, "--micro-batch"),
        ({"batch_tokens": 64, "micro_batch_tokens": 65}, "65"),
        ({"batch_tokens": 32, "sequences": 33}, "--sequences 33"),
        ({"kv_layout": "odd"}, "odd"),
        ({"kv_type": "q2_k"}, "q2_k"),
        ({"flash_attention": "maybe"}, "maybe"),
        ({"kv_type": "q8_0", "flash_attention": "off"}, "needs flash attention"),
        ({"kv_type": "q4_0", "flash_attention": "off"}, "needs flash attention"),
    ],
)
def test_settings_that_cannot_be_are_refused_with_the_value(settings: dict[str, object], named: str) -> None:
    with pytest.raises(InputError) as caught:
        EngineSettings(**settings)  # type: ignore[arg-type]
    assert named in str(caught.value)
