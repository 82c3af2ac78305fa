"""How long sections may get: bounds in words for each way of holding them, and the benchmark's score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

LengthControl: TypeAlias = Literal["strict", "soft", "off"]

#: How far a section may be from its target with ``strict``, as a share of it.
DEFAULT_TOLERANCE = 0.1
#: Less leaves no place to end, more is no target.
LEAST_TOLERANCE, MOST_TOLERANCE = 0.02, 0.5
# ``soft``: enough that a section is a section, little enough that a model is not made to ramble.
_SOFT_FLOOR, _SOFT_CEILING = 0.5, 1.5


@dataclass(frozen=True, slots=True)
class Bounds:
    """Words of a section by the reader's count: where it may end, should end and has to; 0 for none."""

    floor: int
    target: int
    ceiling: int


def bounds(words: int, control: LengthControl, tolerance: float, *, guided: bool) -> Bounds:
    """The bounds of a section of ``words`` words.

    ``guided``: the model does not know where a section has its words, so that without a target it would never
    end it.
    """
    if control == "off":
        # Not even empty.
        return Bounds(min(words, 1), 0, 0)
    if control == "soft":
        return Bounds(round(words * _SOFT_FLOOR), words if guided else 0, round(words * _SOFT_CEILING))
    return Bounds(round(words * (1 - tolerance)), words, max(round(words * (1 + tolerance)), words + 1))


def length_score(required: int, written: int) -> float:
    """LongBench-Write's S_l, 0 to 100 (LongWriter, evaluation/eval_length.py).

    Args:
        required: Words asked for.
        written: Words written, the benchmark's count.
    """
    if written <= 0 or required <= 0:
        return 0.0
    if written > required:
        return 100.0 * max(0.0, 1.0 - (written / required - 1.0) / 3.0)
    return 100.0 * max(0.0, 1.0 - (required / written - 1.0) / 2.0)
