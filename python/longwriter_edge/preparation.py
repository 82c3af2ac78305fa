"""Everything about a document that is known before the first token: format, prompts, sizes, samplers.

What can be refused is refused here, before weights are read: an unusable prompt format, a document
without room in the model's context.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from longwriter_edge import _core, planner, profiles
from longwriter_edge.drafting import WrittenSection
from longwriter_edge.errors import DoesNotFitError, InputError
from longwriter_edge.events import Notice
from longwriter_edge.fit import Fit
from longwriter_edge.instruction import Language, language
from longwriter_edge.prompt_format import PromptFormat
from longwriter_edge.prompts import PromptSet
from longwriter_edge.request import Layout, WriteRequest
from longwriter_edge.samplers import GrammarError, SamplerChain
from longwriter_edge.settings import SamplingSettings
from longwriter_edge.tokens import Vocabulary
from longwriter_edge.transcript import TranscriptTokens, build_paper, build_plan_prompt, build_turns

#: Share of its target below which a section may not end: enough that a section is a section, little
#: enough that a model is not made to ramble.
FLOOR_SHARE = 0.5
#: Tokens of one section's lines in the prompts (its line of the plan, its step), before there is a plan.
_STEP_TOKENS = 160

_WRITING_CHAIN = 0
_PLAN_CHAIN = 1


class ModelVocabulary(Vocabulary, Protocol):
    """A vocabulary that also knows which of its tokens are no text."""

    @property
    def end_ids(self) -> tuple[int, ...]:
        """Tokens that end a generation."""

    @property
    def control_ids(self) -> tuple[int, ...]:
        """Other tokens that text never holds."""


class WritingModel(Protocol):
    """What a document is written with: :class:`longwriter_edge.model.Model`, or a fake."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def name(self) -> str:
        """For the user."""

    @property
    def device(self) -> str:
        """What runs where."""

    @property
    def fingerprint(self) -> str:
        """Equal for equal content."""

    @property
    def trained_context(self) -> int:
        """Tokens."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """Keys of the GGUF file."""

    @property
    def vocabulary(self) -> ModelVocabulary:
        """The tokens."""

    def engine(
        self,
        *,
        context_tokens: int,
        chains: Sequence[SamplerChain],
        stop: Sequence[int],
        suppressed: Sequence[int],
    ) -> _core.Engine:
        """An engine on a new context."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """One request on one model, ready to run.

    Attributes:
        layout: The layout that is used.
        instruction_tokens: Tokens of the instruction alone.
    """

    model: WritingModel
    request: WriteRequest
    format: PromptFormat
    language: Language
    prompts: PromptSet
    sampling: SamplingSettings
    layout: Layout
    fit: Fit
    instruction_tokens: int
    messages: tuple[Notice, ...]

    def notices(self) -> Iterator[Notice]:
        """What the user should know about the choices that were made."""
        yield from self.messages

    def resolved_request(self) -> WriteRequest:
        """The request with every automatic choice made, so that a resumed run makes the same."""
        return replace(self.request, layout=self.layout, profile=self.format.name, sampling=self.sampling)

    def plan_prompt(self) -> planner.PlanPrompt:
        """What the planner needs."""
        return planner.PlanPrompt(
            tokens=self._plan_tokens(),
            most_tokens=self._plan_limit(),
            fewest=self._section_range()[0],
            chain=_PLAN_CHAIN,
            seed=self.request.seed,
            words=self.request.words,
        )

    def estimated_context(self) -> int:
        """The context for a document that has no plan yet, in tokens; large enough to make the plan.

        Raises:
            DoesNotFitError: it would be larger than the model was trained on.
        """
        try:
            return self._estimate(self.request.words)
        except DoesNotFitError as error:
            # With fewer words the plan has fewer sections, and so shorter prompts.
            words = bisect.bisect_left(
                range(self.request.words), True, key=lambda words: not self._has_room(words + 1)
            )
            hint = f"use --words {words}, or a model with a longer context" if words else error.hint
            raise DoesNotFitError(str(error), words=words, hint=hint) from error

    def _has_room(self, words: int) -> bool:
        try:
            self._estimate(words)
        except DoesNotFitError:
            return False
        return True

    def _estimate(self, words: int) -> int:
        """The context for a document of ``words`` words, before there is a plan."""
        _, most = planner.section_range(words, self.request.sections)
        share, rest = divmod(words, most)
        prompt = len(self._plan_tokens())
        return self.fit.context_for(
            prompt_tokens=self.instruction_tokens + prompt + 2 * most * _STEP_TOKENS,
            section_words=[share + (number < rest) for number in range(most)],
            instruction_tokens=self.instruction_tokens,
            at_least=prompt + planner.most_tokens(most, self.fit.tokens_per_word, self.language),
        )

    def context_for(self, plan: _core.Plan) -> int:
        """The context for a planned document, in tokens.

        Raises:
            DoesNotFitError: it would be larger than the model was trained on.
        """
        tokens = self.transcript(plan)
        words = [section.words or 0 for section in plan.sections]
        written = sum(self.fit.section_limit(count) for count in words)
        return self.fit.context_for(
            prompt_tokens=self._document(plan, tokens, ()).reserve - written,
            section_words=words,
            instruction_tokens=self.instruction_tokens,
        )

    def document(self, plan: _core.Plan, written: Sequence[WrittenSection]) -> _core.Document:
        """The document for the engine, with what an earlier process wrote of it."""
        return self._document(plan, self.transcript(plan), written)

    def engine(self, context_tokens: int) -> _core.Engine:
        """An engine whose chains are the writing one and the plan's, which follows its grammar.

        Where the library has no grammars, plans are made without and read tolerantly.
        """
        writing = SamplerChain(self.sampling)
        # Each line of a plan has the same labels. DRY takes them for a repetition and the model, which the
        # grammar brings back each time, writes nonsense between them.
        planning = SamplerChain(replace(self.sampling, dry_multiplier=0.0))
        grammar = _core.plan_grammar(*self._section_range(), self.language)
        try:
            return self._engine(context_tokens, [writing, replace(planning, grammar=grammar)])
        except GrammarError:
            return self._engine(context_tokens, [writing, planning])

    def _engine(self, context_tokens: int, chains: Sequence[SamplerChain]) -> _core.Engine:
        vocabulary = self.model.vocabulary
        stop = sorted({*vocabulary.end_ids, *self.format.stop_ids})
        suppressed = sorted(set(vocabulary.control_ids) - set(stop))
        return self.model.engine(
            context_tokens=context_tokens, chains=chains, stop=stop, suppressed=suppressed
        )

    def _section_range(self) -> tuple[int, int]:
        return planner.section_range(self.request.words, self.request.sections)

    def _plan_tokens(self) -> list[int]:
        fewest, most = self._section_range()
        return build_plan_prompt(
            self.format,
            self.prompts,
            self.model.vocabulary,
            instruction=self.request.instruction,
            words=self.request.words,
            fewest=fewest,
            most=most,
        )

    def _plan_limit(self) -> int:
        _, most = self._section_range()
        return planner.most_tokens(most, self.fit.tokens_per_word, self.language)

    def transcript(self, plan: _core.Plan) -> TranscriptTokens:
        """The prompts of a planned document as tokens."""
        build = build_turns if self.layout == "turns" else build_paper
        return build(
            self.format,
            self.prompts,
            self.model.vocabulary,
            instruction=self.request.instruction,
            plan=plan,
        )

    def _document(
        self, plan: _core.Plan, tokens: TranscriptTokens, written: Sequence[WrittenSection]
    ) -> _core.Document:
        steps = []
        for number, (section, opening) in enumerate(zip(plan.sections, tokens.opens, strict=True)):
            words = section.words or 0
            earlier = written[number] if number < len(written) else WrittenSection()
            steps.append(
                _core.Step(
                    open=opening,
                    title=section.title,
                    floor_words=round(words * FLOOR_SHARE),
                    max_tokens=self.fit.section_limit(words),
                    written=earlier.tokens,
                    finished=earlier.reason is not None,
                )
            )
        echoes = [
            self.request.instruction,
            *plan.step_lines(self.language),
            *(section.point for section in plan.sections),
        ]
        return _core.Document(
            prefix=tokens.prefix,
            steps=steps,
            separator=tokens.separator,
            echoes=echoes,
            chain=_WRITING_CHAIN,
            seed=self.request.seed,
            stream=planner.TEXT_STREAM,
        )


def prepare(model: WritingModel, request: WriteRequest) -> Preparation:
    """Makes every choice that the request leaves open.

    Raises:
        InputError: the instruction is empty, or layout, profile or prompts cannot be used.
    """
    if not request.instruction.strip():
        raise InputError("the instruction is empty", hint="say what to write")
    chosen = profiles.choose(model.metadata, model.vocabulary, request.profile)
    messages = [Notice("warning", warning) for warning in chosen.warnings]
    spoken = language(request.instruction)
    layout = request.layout or ("turns" if chosen.format.multi_turn else "paper")
    if layout == "turns" and not chosen.format.multi_turn:
        raise InputError(
            f"the prompt format {chosen.format.name} has no second turn, which the layout turns needs",
            hint="use --layout paper",
        )
    if request.layout is None and layout == "paper":
        messages.append(
            Notice(
                "info", f"the prompt format {chosen.format.name} has a single turn: using the layout paper"
            )
        )
    vocabulary = model.vocabulary

    def tokenize(text: str) -> list[int]:
        return vocabulary.tokenize(text, special=False)

    return Preparation(
        model=model,
        request=request,
        format=chosen.format,
        language=spoken,
        prompts=PromptSet.load(spoken, None if request.prompts is None else Path(request.prompts)),
        sampling=request.sampling or chosen.format.sampling,
        layout=layout,
        fit=Fit.measure(tokenize, spoken, model.trained_context),
        instruction_tokens=len(tokenize(request.instruction)),
        messages=tuple(messages),
    )
