"""What a run was asked for: everything that is needed to write the same document again, or to go on."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeAlias, get_args

from longwriter_edge.errors import InputError, StoreError
from longwriter_edge.instruction import check_words, words_asked
from longwriter_edge.length import DEFAULT_TOLERANCE, LEAST_TOLERANCE, MOST_TOLERANCE, LengthControl
from longwriter_edge.settings import SamplingSettings, is_number, is_whole

Layout: TypeAlias = Literal["turns", "paper"]
Method: TypeAlias = Literal["agentwrite", "guided", "parallel", "direct"]
ContextPolicy: TypeAlias = Literal["fail", "window"]

#: Largest seed: it keys a 64-bit generator.
MAX_SEED = 2**64 - 1
#: Most sections of a plan.
MAX_SECTIONS = 200
#: Total words where neither the caller nor the instruction names a number.
DEFAULT_WORDS = 2000


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """One document to write.

    Attributes:
        instruction: What the user wants, in the user's words.
        words: Total words wanted, the reader's count.
        seed: Keys all random draws; 0 to 2**64 - 1.
        method: How the document is written: ``agentwrite`` plans and writes section by section, each as
            an answer of its own; ``guided`` plans and writes all sections in one answer, whose headings
            are set; ``parallel`` plans and writes the sections at the same time, without each other's text;
            ``direct`` writes without a plan.
        layout: How ``agentwrite`` shows the text so far to the model; ``None`` for ``turns`` where the prompt
            format has several turns, else ``paper``.
        context_policy: What becomes of a document that outgrows the context: ``fail`` refuses it before the
            start, ``window`` shows the model the instruction, the plan and the end of the text.
        context_tokens: Most tokens of context to use; ``None`` for all that the model was trained on.
        length_control: How sections are held to their targets: ``strict`` within ``tolerance``, ``soft`` from
            half to half as much again, ``off`` as the model likes.
        tolerance: Share of its target by which a section may miss it with ``strict``.
        plan: The plan to follow, in any form that :meth:`longwriter_edge._core.Plan.parse` reads; ``None`` to
            have one made.
        sections: Exact number of sections to plan; ``None`` lets the model choose.
        profile: Name of the prompt format; ``None`` chooses by the model's metadata.
        sampling: ``None`` for the profile's own settings.
        prompts: Directory of files that replace the built-in prompts.

    Raises:
        InputError: a value cannot be used.
    """

    instruction: str
    words: int
    seed: int
    method: Method = "agentwrite"
    layout: Layout | None = None
    context_policy: ContextPolicy = "fail"
    context_tokens: int | None = None
    length_control: LengthControl = "strict"
    tolerance: float = DEFAULT_TOLERANCE
    plan: str | None = None
    sections: int | None = None
    profile: str | None = None
    sampling: SamplingSettings | None = None
    prompts: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.instruction, str) or not self.instruction.strip():
            raise InputError("the instruction is empty", hint="say what to write")
        check_words(self.words)
        if not is_whole(self.seed) or not 0 <= self.seed <= MAX_SEED:
            raise InputError(f"the seed must be a whole number from 0 to 2**64 - 1, not {self.seed!r}")
        for what, value, kind in (
            ("method", self.method, Method),
            ("layout", self.layout, Layout),
            ("context policy", self.context_policy, ContextPolicy),
            ("length control", self.length_control, LengthControl),
        ):
            if value not in get_args(kind) and not (kind is Layout and value is None):
                raise InputError(
                    f"there is no {what} {value!r}", hint=f"choose one of {', '.join(get_args(kind))}"
                )
        if not is_number(self.tolerance) or not LEAST_TOLERANCE <= self.tolerance <= MOST_TOLERANCE:
            raise InputError(
                f"the tolerance must be from {LEAST_TOLERANCE} to {MOST_TOLERANCE}, not {self.tolerance!r}",
                hint="0.1 lets a section miss its words by a tenth",
            )
        if self.context_tokens is not None and not is_whole(self.context_tokens):
            raise InputError(f"the context must be a whole number of tokens, not {self.context_tokens!r}")
        if self.sections is not None and not (is_whole(self.sections) and 1 <= self.sections <= MAX_SECTIONS):
            raise InputError(f"the sections must be from 1 to {MAX_SECTIONS}, not {self.sections!r}")

    @classmethod
    def of(cls, instruction: str, **choices: Any) -> WriteRequest:
        """A request with the words that the instruction asks for, and a random seed, unless they are given.

        Args:
            instruction: What the user wants.
            choices: Other attributes by name.

        Raises:
            InputError: there is no such attribute.
        """
        unknown = choices.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise InputError(f"a document has no {', '.join(sorted(unknown))}")
        choices.setdefault("words", words_asked(instruction) or DEFAULT_WORDS)
        choices.setdefault("seed", secrets.randbits(32))
        return cls(instruction, **choices)

    def to_json(self) -> dict[str, Any]:
        """A form that JSON can hold and :meth:`from_json` reads."""
        return {**asdict(self), "sampling": None if self.sampling is None else self.sampling.to_json()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> WriteRequest:
        """The request that was stored.

        Raises:
            StoreError: the stored form is damaged.
        """
        try:
            # Runs of the first version had no choice.
            stored = {"length_control": "soft", "tolerance": DEFAULT_TOLERANCE, **stored}
            known = {field.name: stored[field.name] for field in fields(cls)}
            if known["sampling"] is not None:
                known["sampling"] = SamplingSettings.from_json(known["sampling"])
            return cls(**known)
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"the stored request of the run cannot be read: {error!r}",
                hint="start the document anew",
            ) from error
