"""Asks the model for a plan, checks it, and asks again where it is unusable or repeats itself."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

from longwriter_edge import _core
from longwriter_edge.engine_events import CANCELLED, Stop, fault_error, pull
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

    ``tokens`` is the whole prompt, ``most_tokens`` how long the answer may be, ``fewest`` how many sections
    are wanted at least, ``chain`` the sampler chain, which follows the plan's grammar where the library
    has grammars.
    """

    tokens: list[int]
    most_tokens: int
    fewest: int
    chain: int
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


def generate(
    engine: _core.Engine, prompt: PlanPrompt, stop: Stop
) -> Generator[Event, None, tuple[_core.Plan, list[_core.Usage]]]:
    """Asks for a plan until one is usable and free of repeats, at most :data:`ATTEMPTS` times.

    Returns the best plan, with targets that sum to the words wanted, and what each attempt took.

    Raises:
        GenerationError: no attempt gave a usable plan, or the evaluation failed.
        StopRequested: somebody asked to stop.
    """
    best: _core.Plan | None = None
    fewest_flaws = 0
    reason = ""
    usages: list[_core.Usage] = []
    for attempt in range(ATTEMPTS):
        yield PlanStarted(attempt + 1)
        text, usage = yield from _ask(engine, prompt, attempt, stop)
        usages.append(usage)
        try:
            plan = _core.Plan.parse(text).rescaled(prompt.words)
        except ValueError as error:
            reason = str(error)
            yield Notice("info", f"attempt {attempt + 1} at a plan was not usable: {error}")
            continue
        missing, repeated = max(prompt.fewest - len(plan.sections), 0), _repeats(plan)
        if best is None or missing + repeated < fewest_flaws:
            best, fewest_flaws = plan, missing + repeated
        if missing + repeated == 0:
            break
        flaws = [f"lacks {missing} sections"] if missing else []
        flaws += [f"repeats itself {repeated} times"] if repeated else []
        yield Notice("info", f"attempt {attempt + 1} at a plan {' and '.join(flaws)}")
    if best is None:
        raise GenerationError(
            f"the model wrote no usable plan in {ATTEMPTS} attempts; the last one: {reason}",
            hint="write a plan yourself and give it with --plan FILE",
        )
    return best, usages


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


def _ask(
    engine: _core.Engine, prompt: PlanPrompt, attempt: int, stop: Stop
) -> Generator[Event, None, tuple[str, _core.Usage]]:
    """One attempt: the text of the plan, as the model wrote it."""
    step = _core.Step(open=prompt.tokens, title="", floor_words=0, max_tokens=prompt.most_tokens)
    document = engine.add(
        _core.Document(
            prefix=[],
            steps=[step],
            layout="turns",
            echoes=[],
            chain=prompt.chain,
            seed=prompt.seed,
            stream=PLAN_STREAM,
            attempt=attempt,
            filter_text=False,
        )
    )
    text = ""
    for batch in pull(engine, document, stop):
        for event in batch:
            match event:
                case _core.Event.Prefill():
                    yield Prefill(None, event.done, event.total)
                case _core.Event.Text() | _core.Event.SectionEnded():
                    text += event.text
                    if event.text:
                        yield PlanText(event.text)
                case _core.Event.DocumentEnded():
                    if event.fault not in (None, CANCELLED):
                        raise fault_error(event)
                    usage = event.usage
    return text, usage


#: Random streams of one run, so that the plan and the text do not draw the same numbers.
PLAN_STREAM = 1
TEXT_STREAM = 0
