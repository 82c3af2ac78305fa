"""Asks the model for a plan, checks it, and asks again where it is unusable or repeats itself."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from longwriter_edge import _core
from longwriter_edge.engine_events import fault_error
from longwriter_edge.errors import GenerationError
from longwriter_edge.events import Event, Notice, PlanStarted, PlanText, Prefill
from longwriter_edge.instruction import Language

#: How often a plan is asked for before the best one is taken.
ATTEMPTS = 3
#: AgentWrite plans 200 to 1,000 words a paragraph (LongWriter, agentwrite/prompts/plan.txt). The upper
#: bound here is lower: small models write about 600 words at a stretch before they drift.
_FEWEST_WORDS_PER_SECTION = 200
_MOST_WORDS_PER_SECTION = 600
_MOST_SECTIONS = 200
#: A full line of a plan (title, point and labels), in words; Chinese counts characters.
_LINE_WORDS = {"en": 60, "zh": 120}
#: Tokens beyond that, so that a few lines at the grammar's bounds do not cost the plan its last ones.
_PLAN_SLACK = 1000


@dataclass(frozen=True, slots=True)
class PlanPrompt:
    """What the planner needs.

    ``tokens`` is the whole prompt, ``most_tokens`` how long the answer may be, ``fewest`` how many
    sections are wanted at least.
    """

    tokens: list[int]
    most_tokens: int
    fewest: int
    seed: int
    words: int


def section_range(words: int, sections: int | None) -> tuple[int, int]:
    """The fewest and the most sections that a plan for ``words`` words may have."""
    if sections is not None:
        return sections, sections
    most = min(max(words // _FEWEST_WORDS_PER_SECTION, 1), _MOST_SECTIONS)
    fewest = min(math.ceil(words / _MOST_WORDS_PER_SECTION), most)
    # A short document still gets a shape: beginning, middle and end.
    return min(max(fewest, 3), most), most


def most_tokens(sections: int, tokens_per_word: float, language: Language) -> int:
    """Tokens that a plan of ``sections`` sections can have at most."""
    return math.ceil((sections + 1) * _LINE_WORDS[language] * tokens_per_word) + _PLAN_SLACK


class Planning:
    """Asks for a plan until one is usable and free of repeats, at most :data:`ATTEMPTS` times.

    It is told what the engine says of :meth:`document` by :meth:`take`, and begins anew with another one
    until it has :attr:`plan`.

    Attributes:
        plan: The best plan, with targets that sum to the words wanted; ``None`` until it is settled.
        usages: What each attempt took.
    """

    def __init__(self, prompt: PlanPrompt) -> None:
        self.plan: _core.Plan | None = None
        self.usages: list[_core.Usage] = []
        self._prompt = prompt
        self._attempt = 0
        self._text = ""
        self._best: _core.Plan | None = None
        self._fewest_flaws = 0
        self._reason = ""

    def document(self, chain: int) -> _core.Document:
        """The next attempt, for the engine's sampler chain of this number."""
        prompt = self._prompt
        step = _core.Step(open=prompt.tokens, title="", floor_words=0, max_tokens=prompt.most_tokens)
        return _core.Document(
            prefix=[],
            steps=[step],
            layout="turns",
            echoes=[],
            chain=chain,
            seed=prompt.seed,
            stream=PLAN_STREAM,
            attempt=self._attempt,
            filter_text=False,
        )

    def started(self) -> PlanStarted:
        """What to tell when the next attempt begins."""
        return PlanStarted(self._attempt + 1)

    def take(self, event: _core.Event) -> Iterator[Event]:
        """Takes an event of the attempt that is under way.

        Raises:
            GenerationError: no attempt gave a usable plan, or the evaluation failed.
        """
        match event:
            case _core.Event.Prefill():
                yield Prefill(None, event.done, event.total)
            case _core.Event.Text() | _core.Event.SectionEnded():
                self._text += event.text
                if event.text:
                    yield PlanText(event.text)
            case _core.Event.DocumentEnded():
                self.usages.append(event.usage)
                if event.fault is not None:
                    raise fault_error(event)
                yield from self._judge()

    def _judge(self) -> Iterator[Event]:
        """Reads what was written; settles on a plan or goes on with the next attempt."""
        text, self._text = self._text, ""
        self._attempt += 1
        flawless = False
        try:
            plan = _core.Plan.parse(text).rescaled(self._prompt.words)
        except ValueError as error:
            self._reason = str(error)
            yield Notice("info", f"attempt {self._attempt} at a plan was not usable: {error}")
        else:
            missing, repeated = max(self._prompt.fewest - len(plan.sections), 0), _repeats(plan)
            if self._best is None or missing + repeated < self._fewest_flaws:
                self._best, self._fewest_flaws = plan, missing + repeated
            flawless = missing + repeated == 0
            if not flawless:
                flaws = [f"lacks {missing} sections"] if missing else []
                flaws += [f"repeats itself {repeated} times"] if repeated else []
                yield Notice("info", f"attempt {self._attempt} at a plan {' and '.join(flaws)}")
        if flawless or self._attempt == ATTEMPTS:
            if self._best is None:
                raise GenerationError(
                    f"the model wrote no usable plan in {ATTEMPTS} attempts; the last one: {self._reason}",
                    hint="write a plan yourself and give it with --plan FILE",
                )
            self.plan = self._best


def repeat_notices(plan: _core.Plan) -> list[Notice]:
    """A warning for each section whose main point stands in an earlier one."""
    return [
        Notice("warning", f"section {number + 1} repeats the main point of section {section.repeats + 1}")
        for number, section in enumerate(plan.sections)
        if section.repeats is not None
    ]


def _repeats(plan: _core.Plan) -> int:
    """Main points and titles that an earlier section had."""
    points = sum(section.repeats is not None for section in plan.sections)
    titles = len(plan.sections) - len({section.title.casefold() for section in plan.sections})
    return points + titles


#: Random streams of one run, so that the plan and the text do not draw the same numbers.
PLAN_STREAM = 1
TEXT_STREAM = 0
