"""A prompt format out of a GGUF's own chat template.

The template is rendered once around sentinels and cut there, so that what follows is plain strings. It comes from
an untrusted file: it runs in Jinja's sandbox, on our sentinels alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from longwriter_edge.errors import ModelError

_FIRST, _ANSWER, _SECOND = "\ue000first\ue000", "\ue000answer\ue000", "\ue000second\ue000"
#: Templates of real models have up to some 20,000 characters.
_LONGEST_TEMPLATE = 200_000
#: What a turn's frame has at most, in characters; system texts are part of the first one.
_LONGEST_FRAME = 20_000


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around the texts of a conversation.

    ``before_user`` opens it, ``between`` stands between a user's text and the answer, ``after_assistant`` between
    the answer and the next user's text; ``None`` if the template has one turn only.
    """

    before_user: str
    between: str
    after_assistant: str | None


def derive(template: str, *, bos: str = "", eos: str = "") -> Frame:
    """The frame of a chat template; a BOS token at its front is left out.

    Raises:
        ModelError: the template cannot be rendered, or does not show the texts that it is given.
    """
    if len(template) > _LONGEST_TEMPLATE:
        raise ModelError(f"the chat template has {len(template):,} characters")
    single = _cut(_render(template, [_user(_FIRST)], bos, eos), [_FIRST])
    try:
        messages = [_user(_FIRST), {"role": "assistant", "content": _ANSWER}, _user(_SECOND)]
        several = _cut(_render(template, messages, bos, eos), [_FIRST, _ANSWER, _SECOND])
    except ModelError:
        several = None
    before, between = single
    after: str | None = None
    if several is not None and several[0] == before:
        # The prompt for an answer is what the model was trained to answer to. Templates that put an empty
        # thought there leave it out of earlier turns.
        after, between = several[2], several[3]
    if any(len(part or "") > _LONGEST_FRAME for part in (before, between, after)):
        raise ModelError("the chat template puts more around a turn than a prompt can hold")
    if bos and before.startswith(bos):
        before = before[len(bos) :]
    return Frame(before, between, after)


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _render(template: str, messages: list[dict[str, str]], bos: str, eos: str) -> str:
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message: str) -> NoReturn:
        raise TemplateError(message)

    # The options and helpers that transformers gives to templates (utils/chat_template_utils.py).
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    try:
        return environment.from_string(template).render(
            messages=messages, add_generation_prompt=True, bos_token=bos, eos_token=eos, tools=None
        )
    except Exception as error:  # A template can raise anything that Python can.
        raise ModelError(f"the chat template cannot be rendered: {error}") from error


def _to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _cut(rendered: str, sentinels: list[str]) -> list[str]:
    parts = []
    rest = rendered
    for sentinel in sentinels:
        if rendered.count(sentinel) != 1 or sentinel not in rest:
            raise ModelError("the chat template does not show each text once and in order")
        before, rest = rest.split(sentinel)
        parts.append(before)
    return [*parts, rest]
