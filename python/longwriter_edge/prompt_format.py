"""A prompt format: what stands around the turns of a user and a model."""

from __future__ import annotations

from dataclasses import dataclass

from longwriter_edge.settings import SamplingSettings
from longwriter_edge.tokens import FormatPiece


@dataclass(frozen=True, slots=True)
class PromptFormat:
    """How a model was trained to see turns.

    Attributes:
        name: What ``--profile`` takes.
        description: One line for people.
        before_user: In front of the first user turn, without BOS.
        between: After a user turn; the model answers next.
        after_assistant: After a finished answer, up to the next user turn. Empty without one.
        stop_ids: Tokens that end an answer, beside those of the vocabulary.
        markers: Ordinary strings by which the format marks turns. User text must not hold them.
        multi_turn: Whether a user turn can follow an answer.
        add_bos: Whether the vocabulary's BOS stands in front of everything.
        sampling: Settings to sample with where the user gives none.
    """

    name: str
    description: str
    before_user: tuple[FormatPiece, ...]
    between: tuple[FormatPiece, ...]
    after_assistant: tuple[FormatPiece, ...]
    stop_ids: tuple[int, ...]
    markers: tuple[str, ...]
    multi_turn: bool
    add_bos: bool
    sampling: SamplingSettings
