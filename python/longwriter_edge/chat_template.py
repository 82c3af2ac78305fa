"""Derives a prompt format from the Jinja chat template of a GGUF file, which is untrusted."""

from __future__ import annotations

import datetime
import itertools
import json
import re
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from longwriter_edge.errors import ModelError
from longwriter_edge.prompt_format import PromptFormat
from longwriter_edge.settings import SamplingSettings
from longwriter_edge.tokens import Control, FormatPiece, Plain, Vocabulary, split_controls

#: The longest templates in use (with tools and dates) have about 20,000 characters.
MAX_TEMPLATE_CHARACTERS = 200_000
#: Three turns of a few characters each; more than this is no prompt format.
MAX_RENDERED_CHARACTERS = 100_000
# The same prompt on every day, so that a run that goes on tomorrow goes on with the same tokens.
_DATE = datetime.datetime(2025, 1, 1)
# Text that no template contains or takes apart: letters and digits only, without spaces at the ends.
_FIRST_USER, _ASSISTANT, _SECOND_USER = "Qz7UserOne7zQ", "Qz7Answer7zQ", "Qz7UserTwo7zQ"
_TAG = re.compile(r"<</?\w[^<>\s]{0,60}>>|</?[\w|][^<>\s]{0,60}>|\[/?[A-Za-z][^\[\]\s]{0,60}\]")


def derive_format(
    template: str, vocabulary: Vocabulary, *, name: str, eos: str | None, sampling: SamplingSettings
) -> PromptFormat:
    """The format that a template makes, found by rendering it once around made-up turns.

    The render has no system message and no thinking. A template without a second turn, or one that writes it
    differently, gives a format with a single turn.

    Args:
        template: Jinja source.
        vocabulary: The model's tokens.
        name: The format's name.
        eos: What the template knows as ``eos_token``.
        sampling: The format's sampling settings.

    Raises:
        ModelError: the template cannot be rendered or does not hold the user's text exactly once.
    """
    bos = None if vocabulary.bos is None else vocabulary.token_text(vocabulary.bos)
    renderer = _Renderer(template, bos=bos or "", eos=eos or "")
    before, between = _cut(renderer.render([_FIRST_USER]), [_FIRST_USER])
    after = ""
    multi_turn = False
    try:
        turns = [_FIRST_USER, _ASSISTANT, _SECOND_USER]
        first, _, after, prompt = _cut(renderer.render(turns), turns)
        # The text between an older question and its answer can differ from what asks for a new answer
        # (thinking is left out, spaces are added): what asks for one is what the model continues.
        multi_turn = first == before and prompt == between and bool(after)
    except ModelError:
        multi_turn = False
    add_bos = vocabulary.add_bos and vocabulary.bos is not None
    if bos and before.startswith(bos):
        before = before.removeprefix(bos)
        add_bos = True
    parts = [split_controls(text, vocabulary) for text in (before, _without_thinking(between), after)]
    return PromptFormat(
        name=name,
        description="the model's own chat template",
        before_user=parts[0],
        between=parts[1],
        after_assistant=parts[2] if multi_turn else (),
        stop_ids=_stop_ids(parts[2], vocabulary),
        markers=_markers(parts),
        multi_turn=multi_turn,
        add_bos=add_bos,
        sampling=sampling,
    )


class _Renderer:
    """One template with the names that transformers gives to templates."""

    def __init__(self, source: str, *, bos: str, eos: str) -> None:
        if len(source) > MAX_TEMPLATE_CHARACTERS:
            raise ModelError(
                f"the chat template has {len(source):,} characters, more than {MAX_TEMPLATE_CHARACTERS:,}"
            )
        self._variables = {
            "bos_token": bos,
            "eos_token": eos,
            "add_generation_prompt": True,
            "enable_thinking": False,
            "thinking": False,
            "tools": None,
            "documents": None,
        }
        environment = _Environment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _GenerationTag]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise_exception
        environment.globals["strftime_now"] = _DATE.strftime
        try:
            self._template = environment.from_string(source)
        except Exception as error:
            raise ModelError(f"the chat template cannot be read: {_reason(error)}") from error

    def render(self, contents: list[str]) -> str:
        """The prompt for alternating turns, the user's first."""
        messages = [
            {"role": role, "content": content}
            for role, content in zip(itertools.cycle(("user", "assistant")), contents)
        ]
        text = ""
        try:
            for chunk in self._template.generate(messages=messages, **self._variables):
                text += chunk
                if len(text) > MAX_RENDERED_CHARACTERS:
                    raise ModelError(
                        f"the chat template makes more than {MAX_RENDERED_CHARACTERS:,} characters"
                    )
        except ModelError:
            raise
        # The template is a program by somebody else: whatever it runs into, it is unusable.
        except Exception as error:
            raise ModelError(f"the chat template cannot be rendered: {_reason(error)}") from error
        return text


class _Environment(ImmutableSandboxedEnvironment):
    """A sandbox that also refuses to repeat and pad text by operators, which could take all memory."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" or not (isinstance(left, int | float) and isinstance(right, int | float)):
            raise ModelError(f"the chat template uses {operator} on {type(left).__name__}")
        return super().call_binop(context, operator, left, right)


class _GenerationTag(Extension):
    """``{% generation %}`` marks the answer for training (transformers) and changes nothing in the text."""

    tags = {"generation"}  # noqa: RUF012 - the attribute is jinja2's

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _to_json(value: Any, indent: int | None = None) -> str:
    # jinja2's own filter escapes HTML; transformers' does not.
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise_exception(message: object) -> NoReturn:
    raise jinja2.TemplateError(str(message))


def _reason(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _cut(text: str, contents: list[str]) -> list[str]:
    """What stands before, between and after ``contents``."""
    parts = []
    for content in contents:
        if text.count(content) != 1:
            raise ModelError("the chat template does not write each turn exactly once, in order")
        part, _, text = text.partition(content)
        parts.append(part)
    return [*parts, text]


def _without_thinking(between: str) -> str:
    """Closes a thinking block that the template opens: the answer is the document, not how it came about."""
    return between.rstrip() + "\n\n</think>\n\n" if between.rstrip().endswith("<think>") else between


def _stop_ids(after_assistant: tuple[FormatPiece, ...], vocabulary: Vocabulary) -> tuple[int, ...]:
    """The control token right after an answer, which is how the model ends one."""
    for piece in after_assistant:
        if isinstance(piece, Control):
            return tuple(vocabulary.tokenize(piece.text, special=True))
        if isinstance(piece, Plain) and piece.text.strip():
            break
    return ()


def _markers(parts: list[tuple[Control | Plain, ...]]) -> tuple[str, ...]:
    """Strings of ordinary text that mark turns.

    Tags such as ``[INST]`` always do. Lines such as ``USER:`` do where no control token stands beside
    them.
    """
    found: set[str] = set()
    for part in parts:
        has_control = any(isinstance(piece, Control) for piece in part)
        for piece in part:
            if isinstance(piece, Control):
                continue
            tags = _TAG.findall(piece.text)
            found.update(tags)
            if not has_control and not tags:
                lines = (line.strip() for line in piece.text.splitlines())
                # A bare word stands in any text, and taking it apart would spoil that.
                found.update(line for line in lines if len(line) > 1 and not line.isalnum())
    return tuple(sorted(found))
