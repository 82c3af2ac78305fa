"""What a user can set about the engine: the sequences, the KV cache, the batches. ``None`` is automatic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from longwriter_edge.errors import InputError

KvLayout: TypeAlias = Literal["unified", "split"]
KvType: TypeAlias = Literal["f16", "q8_0", "q4_0"]
FlashAttention: TypeAlias = Literal["auto", "on", "off"]

#: LLAMA_MAX_SEQ in llama.cpp.
MAX_SEQUENCES = 256
#: Fewer tokens in an evaluation only make reading prompts slow.
LEAST_BATCH = 32
#: More would only reserve memory: no device reads prompts faster with it.
MOST_BATCH = 65_536


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How the engine is set up; :func:`longwriter_edge.engine_size.choose` fills in what is ``None``.

    Attributes:
        sequences: Sections or documents that are written at the same time.
        kv_layout: Whether sequences share all cells of the KV cache or each have an equal part.
        kv_type: Type of the KV cache's values.
        batch_tokens: Most tokens in one call of llama_decode.
        micro_batch_tokens: Most tokens in one evaluation; a call is cut into as many as it needs.
        flash_attention: llama.cpp's flash attention.

    Raises:
        InputError: a value is out of range, or two do not go together.
    """

    sequences: int | None = None
    kv_layout: KvLayout | None = None
    kv_type: KvType | None = None
    batch_tokens: int | None = None
    micro_batch_tokens: int | None = None
    flash_attention: FlashAttention = "auto"

    def __post_init__(self) -> None:
        _check_number("--sequences", self.sequences, 1, MAX_SEQUENCES)
        _check_number("--batch", self.batch_tokens, LEAST_BATCH, MOST_BATCH)
        _check_number("--micro-batch", self.micro_batch_tokens, LEAST_BATCH, MOST_BATCH)
        _check_choice("--kv-layout", self.kv_layout, (None, *get_args(KvLayout)))
        _check_choice("--kv-type", self.kv_type, (None, *get_args(KvType)))
        _check_choice("--flash-attention", self.flash_attention, get_args(FlashAttention))
        batch, micro = self.batch_tokens, self.micro_batch_tokens
        if batch is not None and micro is not None and micro > batch:
            raise InputError(
                f"--micro-batch {micro:,} is more than --batch {batch:,}",
                hint="a micro-batch is a part of a batch; leave one of the two out",
            )
        if batch is not None and self.sequences is not None and self.sequences > batch:
            raise InputError(
                f"--sequences {self.sequences} is more than --batch {batch}",
                hint="each sequence has a token in every batch; make the batch larger",
            )
        if self.flash_attention == "off" and self.kv_type in ("q8_0", "q4_0"):
            # llama.cpp refuses such a context: its plain attention wants V transposed, and blocks cannot be.
            raise InputError(
                f"--kv-type {self.kv_type} needs flash attention, which --flash-attention off turns off",
                hint="leave --flash-attention out, or use --kv-type f16",
            )


def _check_number(name: str, value: int | None, least: int, most: int) -> None:
    if value is not None and not least <= value <= most:
        raise InputError(
            f"{name} must be from {least} to {most:,}, not {value:,}", hint="leave it out to have it chosen"
        )


def _check_choice(name: str, value: str | None, choices: tuple[str | None, ...]) -> None:
    if value not in choices:
        known = ", ".join(choice for choice in choices if choice is not None)
        raise InputError(f"{name} must be one of {known}, not {value!r}")
