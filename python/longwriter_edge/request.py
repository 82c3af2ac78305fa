"""What a run was asked for: everything that is needed to write the same document again, or to go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeAlias

from longwriter_edge.errors import StoreError
from longwriter_edge.settings import SamplingSettings

Layout: TypeAlias = Literal["turns", "paper"]

#: Total words where neither the caller nor the instruction names a number.
DEFAULT_WORDS = 2000


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """One document to write.

    Attributes:
        instruction: What the user wants, in the user's words.
        words: Total words wanted, the reader's count.
        seed: Keys all random draws; 0 to 2**64 - 1.
        layout: How the text so far is shown to the model; ``None`` for ``turns`` where the prompt
            format has several turns, else ``paper``.
        sections: Exact number of sections to plan; ``None`` lets the model choose.
        profile: Name of the prompt format; ``None`` chooses by the model's metadata.
        sampling: ``None`` for the profile's own settings.
        prompts: Directory of files that replace the built-in prompts.
    """

    instruction: str
    words: int
    seed: int
    layout: Layout | None = None
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
            known = {field.name: stored[field.name] for field in fields(cls)}
            if known["sampling"] is not None:
                known["sampling"] = SamplingSettings.from_json(known["sampling"])
            return cls(**known)
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"the stored request of the run cannot be read: {error!r}",
                hint="start the document anew",
            ) from error
