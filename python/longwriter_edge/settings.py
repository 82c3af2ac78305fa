"""Sampling settings: which samplers are on, and how strong."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from longwriter_edge.errors import InputError

# Smallest and largest value. Penalties as the usual HTTP interfaces bound them; XTC does nothing with a
# threshold above 0.5 (llama.cpp, llama_sampler_init_xtc), so more is surely a mistake.
_RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 5.0),
    "top_k": (0, 1_000_000),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "repeat_penalty": (0.1, 10.0),
    "frequency_penalty": (-2.0, 2.0),
    "presence_penalty": (-2.0, 2.0),
    "penalty_window": (0, 1_000_000),
    "dry_multiplier": (0.0, 10.0),
    "dry_base": (1.0, 10.0),
    "dry_allowed_length": (1, 1_000),
    "dry_window": (0, 10_000_000),
    "xtc_probability": (0.0, 1.0),
    "xtc_threshold": (0.0, 0.5),
}
_WHOLE = {"top_k", "penalty_window", "dry_allowed_length", "dry_window"}


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """How tokens are sampled.

    The defaults are those that LongWriter was evaluated with: temperature 0.5, top-p 0.8, top-k 50, no
    repetition penalty (LongWriter, evaluation/pred.py). Classic penalties hurt long prose, which has
    to use its names and its function words again and again.

    Attributes:
        temperature: 0 always takes the likeliest token.
        top_k: Likeliest tokens that are kept; 0 keeps all.
        top_p: Share of the probability that the kept tokens have; 1 keeps all.
        min_p: Least probability, as a share of the likeliest token's; 0 keeps all.
        repeat_penalty: Divides the logits of tokens seen in the penalty window; 1 is off.
        frequency_penalty: Taken from a token's logit for each time it was seen; 0 is off.
        presence_penalty: Taken from a token's logit if it was seen; 0 is off.
        penalty_window: Tokens that the three penalties look back; 0 turns them off.
        dry_multiplier: Strength of DRY, which penalises a token that would go on with an earlier
            sequence; 0 is off.
        dry_base: Growth of DRY's penalty with each token of the repeated sequence.
        dry_allowed_length: Tokens that a sequence may repeat without a penalty.
        dry_window: Tokens that DRY looks back; ``None`` for the whole context.
        xtc_probability: Chance that XTC leaves out the likeliest tokens at a draw; 0 is off.
        xtc_threshold: Probability from which XTC may leave a token out.

    Raises:
        InputError: a value is not a number or out of its range.
    """

    temperature: float = 0.5
    top_k: int = 50
    top_p: float = 0.8
    min_p: float = 0.0
    repeat_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    penalty_window: int = 64
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 4
    dry_window: int | None = None
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1

    def __post_init__(self) -> None:
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            if name == "dry_window" and value is None:
                continue
            if not (is_whole(value) if name in _WHOLE else is_number(value)) or not least <= value <= most:
                kind = "a whole number" if name in _WHOLE else "a number"
                raise InputError(f"{name} must be {kind} from {least:,} to {most:,}, not {value!r}")

    def to_json(self) -> dict[str, float | int | None]:
        """All settings by name."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> SamplingSettings:
        """The settings that :meth:`to_json` gave.

        Raises:
            InputError: a setting is missing, unknown or out of range.
        """
        if not isinstance(stored, Mapping):
            raise InputError(f"sampling settings must be an object of names and numbers, not {stored!r}")
        # Nothing is filled in: a default that changed meanwhile would change how a run goes on.
        for problem, names in (
            ("no", _RANGES.keys() - stored.keys()),
            ("unknown", stored.keys() - _RANGES.keys()),
        ):
            if names:
                raise InputError(f"sampling settings have {problem} {', '.join(sorted(map(str, names)))}")
        return cls(**stored)


def is_whole(value: object) -> bool:
    """Whether ``value`` is a whole number; ``True`` and ``False`` are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether ``value`` is a finite number."""
    return is_whole(value) or (isinstance(value, float) and math.isfinite(value))
