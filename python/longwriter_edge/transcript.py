"""The tokens of a document's prompts, cut so that what was read once is never tokenized again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from longwriter_edge.errors import InputError
from longwriter_edge.instruction import Language
from longwriter_edge.prompt_format import PromptFormat
from longwriter_edge.prompts import PromptSet, SectionStep
from longwriter_edge.tokens import FormatPiece, User, Vocabulary, encode

EngineLayout: TypeAlias = Literal["turns", "paper", "guided", "parallel"]

# Between two sections of the text so far, as AgentWrite joins them (LongWriter, agentwrite/write.py).
_SEPARATOR = "\n\n"
# The heading of a section without a title.
_NUMBERED: dict[Language, str] = {"en": "Section {}", "zh": "第{}节"}
_TITLE_LABELS: dict[Language, str] = {"en": "Title: ", "zh": "标题："}


class PlannedSection(Protocol):
    """A section of a plan."""

    @property
    def title(self) -> str:
        """Its heading."""

    @property
    def words(self) -> int | None:
        """Its target."""


class PlannedDocument(Protocol):
    """A plan whose sections have targets: :class:`longwriter_edge._core.Plan`, or a fake."""

    @property
    def title(self) -> str:
        """The document's title, which may be empty."""

    @property
    def sections(self) -> Sequence[PlannedSection]:
        """In order."""

    def outline_lines(self, language: str) -> list[str]:
        """One short line a section."""

    def step_lines(self, language: str) -> list[str]:
        """One line a section, in LongWriter's format."""


@dataclass(frozen=True, slots=True)
class TranscriptTokens:
    """The prompts of one document.

    Attributes:
        layout: The engine's layout; see :class:`longwriter_edge._core.Document`.
        prefix: Read once, before everything else.
        opens: For each section what is read before it. In the turns layout this follows the section before,
            in the paper layout the text so far, in the guided one it is the heading.
        opens_first: The same for a section that directly follows the prefix.
        separators: What the layout puts between sections.
    """

    layout: EngineLayout
    prefix: list[int]
    opens: list[list[int]]
    opens_first: list[list[int]]
    separators: list[list[int]]


def build_turns(
    prompt_format: PromptFormat,
    prompts: PromptSet,
    vocabulary: Vocabulary,
    *,
    instruction: str,
    plan: PlannedDocument,
) -> TranscriptTokens:
    """Instruction and plan in the first user turn, each section as an answer to a short turn of its own.

    Raises:
        InputError: the format has a single turn.
    """
    if not prompt_format.multi_turn:
        raise InputError(
            f"the prompt format {prompt_format.name} has no second turn, which the layout turns needs",
            hint="use the layout paper",
        )
    encoder = _Encoder(prompt_format, vocabulary)
    lines, steps = _outline_and_steps(plan, prompts.language)
    turns = [prompts.ask_section(step, len(steps)) for step in steps]
    return TranscriptTokens(
        layout="turns",
        prefix=encoder.start(prompts.open_turns(instruction, lines, len(steps))),
        opens=[encoder.finish_turn(turn, before=prompt_format.after_assistant) for turn in turns],
        opens_first=[encoder.finish_turn(turn) for turn in turns],
        separators=[],
    )


def build_paper(
    prompt_format: PromptFormat,
    prompts: PromptSet,
    vocabulary: Vocabulary,
    *,
    instruction: str,
    plan: PlannedDocument,
) -> TranscriptTokens:
    """One user turn with instruction, plan and the text so far, and the step last (AgentWrite)."""
    encoder = _Encoder(prompt_format, vocabulary)
    lines, steps = _longwriter_plan_and_steps(plan, prompts.language)
    opens = [encoder.finish_turn(prompts.close_paper(instruction, lines, step, len(steps))) for step in steps]
    return TranscriptTokens(
        layout="paper",
        prefix=encoder.start(prompts.open_paper(instruction, lines, len(steps))),
        opens=opens,
        opens_first=opens,
        separators=[encode([User(_SEPARATOR)], vocabulary)],
    )


def build_guided(
    prompt_format: PromptFormat,
    prompts: PromptSet,
    vocabulary: Vocabulary,
    *,
    instruction: str,
    plan: PlannedDocument,
) -> TranscriptTokens:
    """One user turn with instruction and plan; the answer is the whole document, heading by heading."""
    encoder = _Encoder(prompt_format, vocabulary)
    lines, steps = _outline_and_steps(plan, prompts.language)
    turn = prompts.ask_guided(instruction, lines, len(steps))
    number = _NUMBERED[prompts.language]
    headings = [
        encoder.text(f"## {' '.join(step.title.split()) or number.format(step.number)}\n\n") for step in steps
    ]
    return TranscriptTokens(
        layout="guided",
        prefix=encoder.start(turn, after=prompt_format.between),
        opens=headings,
        opens_first=headings,
        # After text that ends with no, one, or more line ends.
        separators=[encoder.text("\n\n"), encoder.text("\n"), []],
    )


def build_parallel(
    prompt_format: PromptFormat,
    prompts: PromptSet,
    vocabulary: Vocabulary,
    *,
    instruction: str,
    plan: PlannedDocument,
) -> TranscriptTokens:
    """For each section a prompt of its own with instruction, plan and step, alike up to the step."""
    encoder = _Encoder(prompt_format, vocabulary)
    lines, steps = _outline_and_steps(plan, prompts.language)
    opens = [encoder.finish_turn(prompts.ask_section(step, len(steps))) for step in steps]
    return TranscriptTokens(
        layout="parallel",
        prefix=encoder.start(prompts.open_parallel(instruction, lines, len(steps))),
        opens=opens,
        opens_first=opens,
        separators=[],
    )


def build_direct(prompt_format: PromptFormat, vocabulary: Vocabulary, turn: str) -> TranscriptTokens:
    """The user's turn alone; the answer is the whole document."""
    prompt = _Encoder(prompt_format, vocabulary).start(turn, after=prompt_format.between)
    # The engine reads the last tokens of a prompt as the section's own, since their logits begin it.
    return TranscriptTokens(
        layout="turns",
        prefix=prompt[:-1],
        opens=[prompt[-1:]],
        opens_first=[prompt[-1:]],
        separators=[],
    )


def build_plan_prompt(
    prompt_format: PromptFormat,
    prompts: PromptSet,
    vocabulary: Vocabulary,
    *,
    instruction: str,
    words: int,
    fewest: int,
    most: int,
) -> list[int]:
    """The prompt that asks for a plan of ``fewest`` to ``most`` sections with ``words`` words in all."""
    encoder = _Encoder(prompt_format, vocabulary)
    turn = prompts.ask_plan(instruction, words=words, fewest=fewest, most=most)
    return encoder.start(turn, after=prompt_format.between)


class _Encoder:
    """Encodes the turns of one format on one vocabulary."""

    def __init__(self, prompt_format: PromptFormat, vocabulary: Vocabulary) -> None:
        self._format = prompt_format
        self._vocabulary = vocabulary

    def start(self, turn: str, *, after: tuple[FormatPiece, ...] = ()) -> list[int]:
        """The beginning of the prompt, with the first turn or what is known of it."""
        bos = self._vocabulary.bos if self._format.add_bos else None
        pieces = (*self._format.before_user, User(turn), *after)
        tokens = encode(pieces, self._vocabulary, markers=self._format.markers, at_start=True)
        return tokens if bos is None else [bos, *tokens]

    def text(self, text: str) -> list[int]:
        """Text of the answer that is set and not sampled."""
        return encode([User(text)], self._vocabulary, markers=self._format.markers)

    def finish_turn(self, turn: str, *, before: tuple[FormatPiece, ...] = ()) -> list[int]:
        """The rest of a user turn, and what asks for the answer."""
        pieces = (*before, User(turn), *self._format.between)
        return encode(pieces, self._vocabulary, markers=self._format.markers)


def _outline_and_steps(plan: PlannedDocument, language: Language) -> tuple[str, list[SectionStep]]:
    """The plan as most prompts show it, in few tokens, and its sections."""
    return _with_steps(plan, plan.outline_lines(language), language)


def _longwriter_plan_and_steps(plan: PlannedDocument, language: Language) -> tuple[str, list[SectionStep]]:
    """The plan as AgentWrite's own prompt shows it, and its sections."""
    return _with_steps(plan, plan.step_lines(language), language)


def _with_steps(
    plan: PlannedDocument, lines: Sequence[str], language: Language
) -> tuple[str, list[SectionStep]]:
    steps = [
        SectionStep(line, number, section.title, section.words or 0)
        for number, (line, section) in enumerate(zip(lines, plan.sections, strict=True), start=1)
    ]
    title = [_TITLE_LABELS[language] + plan.title] if plan.title else []
    return "\n".join([*title, *lines]), steps
