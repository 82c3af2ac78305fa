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
from longwriter_edge.engine_size import Capacity, EngineSize
from longwriter_edge.errors import DoesNotFitError, InputError, PlanError
from longwriter_edge.events import Notice, SectionPlan
from longwriter_edge.fit import CONTEXT_STEP, Fit
from longwriter_edge.instruction import Language, language, words_asked
from longwriter_edge.length import Bounds, bounds
from longwriter_edge.model_engine import ModelEngine
from longwriter_edge.prompt_format import PromptFormat
from longwriter_edge.prompts import PromptSet
from longwriter_edge.request import Layout, WriteRequest
from longwriter_edge.samplers import GrammarError, SamplerChain
from longwriter_edge.settings import SamplingSettings
from longwriter_edge.tokens import Vocabulary
from longwriter_edge.transcript import (
    TranscriptTokens,
    build_direct,
    build_guided,
    build_paper,
    build_parallel,
    build_plan_prompt,
    build_turns,
)

#: Tokens of one section's lines in the prompts (its line of the plan, its step), before there is a plan.
_STEP_TOKENS = 160
#: Sections that are written at the same time at most. More share the processor without being faster: decoding
#: is bound by memory up to here on most machines, and by arithmetic beyond.
_PARALLEL_SECTIONS = 8

_OTHER_WAYS = "--context-policy window, or a model with a longer context"
_BUILDERS = {
    "turns": build_turns,
    "paper": build_paper,
    "guided": build_guided,
    "parallel": build_parallel,
}


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

    @property
    def capacity(self) -> Capacity:
        """What there is to hold a context."""

    def engine(self, size: EngineSize, *, stop: Sequence[int], suppressed: Sequence[int]) -> ModelEngine:
        """An engine on a new context."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """One request on one model, ready to run.

    Attributes:
        layout: The layout of ``agentwrite``, ``None`` for the other methods.
        instruction_tokens: Tokens of the instruction alone.
    """

    model: WritingModel
    request: WriteRequest
    format: PromptFormat
    language: Language
    prompts: PromptSet
    sampling: SamplingSettings
    layout: Layout | None
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
            seed=self.request.seed,
            words=self.request.words,
        )

    def given_plan(self) -> _core.Plan | None:
        """The plan that the request holds, or one section without a title where the method needs none.

        Raises:
            PlanError: the plan cannot be used.
        """
        request = self.request
        if request.method == "direct":
            if request.plan is not None:
                raise InputError("the method direct follows no plan", hint="leave out the plan or the method")
            return _core.Plan("", [_core.PlanSection("", request.instruction, request.words)])
        if request.plan is None:
            return None
        try:
            return _core.Plan.parse(request.plan).rescaled(request.words)
        except ValueError as error:
            raise PlanError(
                f"the plan cannot be used: {error}", hint="change the plan or the number of words"
            ) from error

    def section_plans(self, plan: _core.Plan) -> tuple[SectionPlan, ...]:
        """The sections as they are shown and kept; without a plan the one section has no heading."""
        untitled = self.request.method == "direct"
        return tuple(
            SectionPlan("" if untitled else section.title, section.point, section.words or 0, section.repeats)
            for section in plan.sections
        )

    def bounds(self, words: int) -> Bounds:
        """How long a section of ``words`` words may get."""
        request = self.request
        return bounds(words, request.length_control, request.tolerance, guided=request.method == "guided")

    def estimated_context(self) -> int:
        """The context for a document that has no plan yet, in tokens; large enough to make the plan.

        Raises:
            DoesNotFitError: it would be larger than the context can be, and the policy is ``fail``.
        """
        try:
            return self._estimate(self.request.words)
        except DoesNotFitError as error:
            if self._windowed and self._plan_room() <= self.fit.largest_context:
                return self.fit.largest_context
            # With fewer words the plan has fewer sections, and so shorter prompts.
            words = bisect.bisect_left(
                range(self.request.words), True, key=lambda words: not self._has_room(words + 1)
            )
            hint = f"use --words {words}, {_OTHER_WAYS}" if words else error.hint
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
        sections = [share + (number < rest) for number in range(most)]
        if self.request.method == "parallel":
            # In its sequence each section stands alone; a plan may make one twice as long as the others.
            sections = [min(words, 2 * max(sections))]
        prompt = len(self._plan_tokens())
        return self.fit.context_for(
            prompt_tokens=self.instruction_tokens + prompt + 2 * most * _STEP_TOKENS,
            section_words=sections,
            instruction_tokens=self.instruction_tokens,
            at_least=prompt + planner.most_tokens(most, self.fit.tokens_per_word, self.language),
        )

    def _plan_room(self) -> int:
        """Tokens of the plan's prompt and the longest plan."""
        return len(self._plan_tokens()) + self._plan_limit()

    @property
    def _windowed(self) -> bool:
        return self.request.context_policy == "window"

    def context_for(self, plan: _core.Plan) -> int:
        """The context for a planned document, in tokens.

        With the policy ``window`` it is never larger than it can be.

        Raises:
            DoesNotFitError: it would be larger than the context can be, or a window leaves no room for text.
        """
        document = self._document(plan, self.transcript(plan), (), None)
        words = [section.words or 0 for section in plan.sections]
        if self.request.method == "parallel":
            words = [max(words)]
        limit = self.fit.largest_context
        if self._windowed and document.reserve > limit:
            if document.least_window > limit:
                raise DoesNotFitError(
                    f"the prompts of the document and a little text need {document.least_window:,} tokens; "
                    f"the context can have {limit:,}",
                    words=0,
                    hint="plan fewer sections, shorten the instruction, or use a model with a longer context",
                )
            return limit
        written = sum(self.fit.section_limit(count) for count in words)
        try:
            return self.fit.context_for(
                prompt_tokens=document.reserve - written,
                section_words=words,
                instruction_tokens=self.instruction_tokens,
            )
        except DoesNotFitError as error:
            hint = f"use --words {error.words}, {_OTHER_WAYS}" if error.words else error.hint
            raise DoesNotFitError(str(error), words=error.words, hint=hint) from error

    def cells(self, plan: _core.Plan | None) -> int:
        """KV cells that a sequence needs for the document, before there is a plan for that too.

        Raises:
            DoesNotFitError: the document has no room in the model's context.
        """
        return self.estimated_context() if plan is None else self.context_for(plan)

    def parallel_sections(self, plan: _core.Plan | None) -> int:
        """Sections that may be written at the same time; before there is a plan, as many as it can have."""
        if self.request.method != "parallel":
            return 1
        return min(_PARALLEL_SECTIONS, self._section_range()[1] if plan is None else len(plan.sections))

    def window_notices(self, plan: _core.Plan) -> Iterator[Notice]:
        """What the user should know of a document that outgrows the context."""
        needed, limit = (
            self._document(plan, self.transcript(plan), (), None).reserve,
            self.fit.largest_context,
        )
        if needed > limit:
            yield Notice(
                "info",
                f"the document needs up to {needed:,} tokens, the context has {limit:,}: later sections are "
                "written with the instruction, the plan and the end of the text only",
            )

    def document(self, plan: _core.Plan, written: Sequence[WrittenSection], chain: int) -> _core.Document:
        """The document for the engine's sampler chain of this number, with what was written of it before."""
        whole = self._document(plan, self.transcript(plan), written, None, chain)
        if not self._windowed or whole.reserve <= self.fit.largest_context:
            return whole
        return self._document(plan, self.transcript(plan), written, self.fit.largest_context, chain)

    @property
    def stop_tokens(self) -> tuple[int, ...]:
        """Tokens that end a section, ascending."""
        return tuple(sorted({*self.model.vocabulary.end_ids, *self.format.stop_ids}))

    @property
    def suppressed_tokens(self) -> tuple[int, ...]:
        """Tokens that are never sampled, ascending."""
        return tuple(sorted(set(self.model.vocabulary.control_ids) - set(self.stop_tokens)))

    def writing_chain(self, engine: ModelEngine) -> int:
        """The number of the sampler chain for text."""
        return engine.chain(SamplerChain(self.sampling))

    def plan_chain(self, engine: ModelEngine) -> int:
        """The number of the sampler chain for plans, which follows their grammar.

        Where the library has no grammars, plans are made without and read tolerantly.
        """
        # Each line of a plan has the same labels. DRY takes them for a repetition and the model, which the
        # grammar brings back each time, writes nonsense between them.
        planning = SamplerChain(replace(self.sampling, dry_multiplier=0.0))
        grammar = _core.plan_grammar(*self._section_range(), self.language)
        try:
            return engine.chain(replace(planning, grammar=grammar))
        except GrammarError:
            return engine.chain(planning)

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
        vocabulary = self.model.vocabulary
        if self.request.method == "direct":
            asked = self.request.instruction.strip()
            if words_asked(asked) != self.request.words:
                asked = self.prompts.ask_direct(asked, self.request.words)
            return build_direct(self.format, vocabulary, asked)
        return _BUILDERS[self.layout or self.request.method](
            self.format,
            self.prompts,
            vocabulary,
            instruction=self.request.instruction,
            plan=plan,
        )

    def _document(
        self,
        plan: _core.Plan,
        tokens: TranscriptTokens,
        written: Sequence[WrittenSection],
        window: int | None,
        chain: int = 0,
    ) -> _core.Document:
        steps = []
        openings = zip(plan.sections, tokens.opens, tokens.opens_first, strict=True)
        for number, (section, opening, first) in enumerate(openings):
            words = section.words or 0
            length = self.bounds(words)
            earlier = written[number] if number < len(written) else WrittenSection()
            steps.append(
                _core.Step(
                    open=opening,
                    open_first=first,
                    title=section.title,
                    floor_words=length.floor,
                    target_words=length.target,
                    ceiling_words=length.ceiling,
                    max_tokens=self.fit.section_limit(words),
                    written=earlier.tokens,
                    finished=earlier.reason is not None,
                )
            )
        echoes = [
            self.request.instruction,
            *plan.step_lines(self.language),
            *plan.outline_lines(self.language),
            *(section.point for section in plan.sections),
        ]
        return _core.Document(
            prefix=tokens.prefix,
            steps=steps,
            layout=tokens.layout,
            separators=tokens.separators,
            window=window,
            echoes=echoes,
            chain=chain,
            seed=self.request.seed,
            stream=planner.TEXT_STREAM,
            rebalance=self.request.length_control == "strict",
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
    agentwrite = request.method == "agentwrite"
    if request.layout is not None and not agentwrite:
        raise InputError(
            f"the layout {request.layout} does not go with the method {request.method}",
            hint="leave --layout out, or use --method agentwrite",
        )
    own_layout: Layout = "turns" if chosen.format.multi_turn else "paper"
    layout = (request.layout or own_layout) if agentwrite else None
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
        fit=Fit.measure(tokenize, spoken, _context_limit(model, request)),
        instruction_tokens=len(tokenize(request.instruction)),
        messages=tuple(messages),
    )


def _context_limit(model: WritingModel, request: WriteRequest) -> int:
    """Tokens of context that the document may use.

    Raises:
        InputError: the request asks for more than the model was trained on, or for next to nothing.
    """
    asked = request.context_tokens
    if asked is None:
        return model.trained_context
    if not CONTEXT_STEP <= asked <= model.trained_context:
        raise InputError(
            f"the context must have from {CONTEXT_STEP} to {model.trained_context:,} tokens, not {asked:,}",
            hint="the model was trained on no more; leave --context out to use what the document needs",
        )
    return asked
