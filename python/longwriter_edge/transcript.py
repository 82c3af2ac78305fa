"""The prompts of one document as tokens, cut where the engine puts sections in between.

What is read once is the same tokens in every step by construction: nothing is tokenized a second time.
"""

from __future__ import annotations

from dataclasses import dataclass

from longwriter_edge._core import Plan
from longwriter_edge.instruction import Language
from longwriter_edge.profiles import PromptFormat
from longwriter_edge.prompts import PromptSet, fill
from longwriter_edge.tokens import AnyPiece, User, Vocabulary, encode, encode_text

#: Between two sections in the text so far (LongWriter, agentwrite/write.py).
SECTION_SEPARATOR = "\n\n"


@dataclass(frozen=True, slots=True)
class TranscriptTokens:
    """Tokens of the prompts.

    ``prefix`` is read once, ``opens[k]`` before section k; ``separator`` stands between sections of the
    layout ``paper`` and is ``None`` for ``turns``.
    """

    prefix: list[int]
    opens: list[list[int]]
    separator: list[int] | None


@dataclass(frozen=True, slots=True)
class PromptWriter:
    """Fills prompts in and encodes them, for one model and language."""

    format: PromptFormat
    prompts: PromptSet
    vocabulary: Vocabulary
    language: Language

    def plan(self, *, instruction: str, words: int, fewest: int, most: int) -> list[int]:
        """The prompt that asks for a plan of ``fewest`` to ``most`` sections."""
        to = {"en": " to ", "zh": "到"}[self.language]
        count = str(most) if fewest == most else f"{fewest}{to}{most}"
        values = {"instruction": instruction, "words": words, "count": count}
        asked = User(fill(self.prompts.plan, values))
        return self._encode(*self.format.before_user, asked, *self.format.between)

    def turns(self, *, instruction: str, plan: Plan) -> TranscriptTokens:
        """Instruction and plan in the first user's turn, then a short turn for each section."""
        whole = self._whole(instruction, plan)
        prefix = self._encode(*self.format.before_user, User(fill(self.prompts.first_turn, whole)))
        opens = []
        for number, step in enumerate(self._steps(plan)):
            asked = User(fill(self.prompts.step, step))
            turn = () if number == 0 else self.format.after_assistant
            opens.append(self._continue(*turn, asked, *self.format.between))
        return TranscriptTokens(prefix, opens, None)

    def paper(self, *, instruction: str, plan: Plan) -> TranscriptTokens:
        """One prompt with the text so far inside and the step last."""
        whole = self._whole(instruction, plan)
        prefix = self._encode(*self.format.before_user, User(fill(self.prompts.paper_head, whole)))
        opens = [
            self._continue(User(fill(self.prompts.paper_tail, {**whole, **step})), *self.format.between)
            for step in self._steps(plan)
        ]
        return TranscriptTokens(prefix, opens, encode_text(SECTION_SEPARATOR, self.vocabulary, first=False))

    def _whole(self, instruction: str, plan: Plan) -> dict[str, object]:
        """What is the same for all sections."""
        return {
            "instruction": instruction,
            "plan": "\n".join(plan.step_lines(self.language)),
            "words": sum(section.words or 0 for section in plan.sections),
        }

    def _steps(self, plan: Plan) -> list[dict[str, object]]:
        """What is different for each section."""
        lines = plan.step_lines(self.language)
        return [
            {
                "step": line,
                "title": section.title,
                "words": section.words or 0,
                "number": number,
                "count": len(lines),
            }
            for number, (line, section) in enumerate(zip(lines, plan.sections, strict=True), start=1)
        ]

    def _encode(self, *pieces: AnyPiece) -> list[int]:
        return encode(pieces, self.vocabulary, self.format.markers)

    def _continue(self, *pieces: AnyPiece) -> list[int]:
        return encode(pieces, self.vocabulary, self.format.markers, continued=True)
