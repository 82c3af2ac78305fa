"""How tokens are sampled."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from longwriter_edge.errors import InputError

#: Allowed range of each setting, ends included.
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
    "dry_window": (0, 1_000_000),
    "xtc_probability": (0.0, 1.0),
    "xtc_threshold": (0.0, 1.0),
}
_WHOLE = {"top_k", "penalty_window", "dry_allowed_length", "dry_window"}


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """Settings of llama.cpp's samplers. The defaults are those of LongWriter's evaluation (pred.py).

    Attributes:
        temperature: 0 always takes the likeliest token.
        top_k: Candidates kept; 0 keeps all.
        top_p: Share of the probability kept.
        min_p: Least probability as a share of the likeliest one's; 0 is off.
        repeat_penalty: 1 is off.
        frequency_penalty: 0 is off.
        presence_penalty: 0 is off.
        penalty_window: Tokens that the three penalties look back.
        dry_multiplier: Strength of DRY, which makes repeated sequences unlikely; 0 is off.
        dry_base: How fast DRY grows with the length of a repetition.
        dry_allowed_length: Longest repetition, in tokens, that DRY leaves alone.
        dry_window: Tokens that DRY looks back; ``None`` for the whole context.
        xtc_probability: Chance that XTC leaves out the likeliest tokens; 0 is off.
        xtc_threshold: Probability from which XTC may leave a token out.

    Raises:
        InputError: a value is out of range.
    """

    temperature: float = 0.5
    top_k: int = 50
    top_p: float = 0.8
    min_p: float = 0.0
    repeat_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    penalty_window: int = 256
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 4
    dry_window: int | None = None
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1

    def __post_init__(self) -> None:
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            if value is None and name == "dry_window":
                continue
            kinds = (int,) if name in _WHOLE else (int, float)
            usable = isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
            if not usable or not least <= value <= most:
                raise InputError(f"{name} must be from {least:g} to {most:g}, not {value!r}")

    def to_json(self) -> dict[str, Any]:
        """A form that JSON can hold and :meth:`from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> SamplingSettings:
        """The settings that were stored; names that this version does not know are left out.

        Raises:
            InputError: a value is out of range.
        """
        return cls(**{field.name: stored[field.name] for field in fields(cls) if field.name in stored})
