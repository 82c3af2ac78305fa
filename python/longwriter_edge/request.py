"""What a run was asked for: everything that is needed to write the same document again, or to go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeAlias

from longwriter_edge.errors import StoreError
from longwriter_edge.length import DEFAULT_TOLERANCE, LengthControl
from longwriter_edge.settings import SamplingSettings

Layout: TypeAlias = Literal["turns", "paper"]
Method: TypeAlias = Literal["agentwrite", "guided", "parallel", "direct"]
ContextPolicy: TypeAlias = Literal["fail", "window"]

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
        sections: Exact number of sections to plan; ``None`` lets the model choose.
        profile: Name of the prompt format; ``None`` chooses by the model's metadata.
        sampling: ``None`` for the profile's own settings.
        prompts: Directory of files that replace the built-in prompts.
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
    sections: int | None = None
    profile: str | None = None
    sampling: SamplingSettings | None = None
    prompts: str | None = None

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
