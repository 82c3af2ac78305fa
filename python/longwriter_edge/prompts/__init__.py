"""The prompts: our own wording, in English and Chinese, replaceable by files.

Each prompt is a text file with placeholders of :class:`string.Template`:

``plan.txt``
    asks for a plan; ``$instruction``, ``$words`` (of the whole text), ``$count`` (of sections, such as "3 to 5").
``first_turn.txt``
    opens the first user's turn; ``$instruction``, ``$plan``, ``$words``. The step follows it.
``step.txt``
    asks for one section; ``$step`` (its line of the plan), ``$title``, ``$words``, ``$number``, ``$count``.
``paper.txt``
    the single prompt of the layout ``paper``; all of ``first_turn.txt`` and ``step.txt``, and once ``$text``, the
    text so far, before everything that changes from step to step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template

from longwriter_edge.errors import InputError
from longwriter_edge.instruction import Language

_STEP = {"step", "title", "words", "number", "count"}
#: Placeholders that a file may have, and those that it must have.
_PLACEHOLDERS: dict[str, tuple[set[str], set[str]]] = {
    "plan.txt": ({"instruction", "words", "count"}, {"instruction"}),
    "first_turn.txt": ({"instruction", "plan", "words"}, {"instruction"}),
    "step.txt": (_STEP, {"step"}),
    "paper.txt": ({"instruction", "plan", "text", *_STEP}, {"instruction", "text", "step"}),
}
#: A prompt's wording; what is put into it may be far longer.
_LONGEST_PROMPT = 100_000


@dataclass(frozen=True, slots=True)
class PromptSet:
    """The prompts of one language as templates."""

    plan: Template
    first_turn: Template
    step: Template
    paper_head: Template
    paper_tail: Template

    @classmethod
    def load(cls, language: Language, directory: Path | None = None) -> PromptSet:
        """The built-in prompts, replaced by the files of the same name in ``directory``.

        Raises:
            InputError: the directory or a file cannot be read, a placeholder is unknown or missing, or there
                is no prompt in the directory at all.
        """
        texts = {name: _read_built_in(language, name) for name in _PLACEHOLDERS}
        if directory is not None:
            texts.update(_read_directory(directory))
        head, _, tail = texts["paper.txt"].partition("$text")
        return cls(
            plan=Template(texts["plan.txt"]),
            first_turn=Template(texts["first_turn.txt"]),
            step=Template(texts["step.txt"]),
            paper_head=Template(head),
            paper_tail=Template(tail),
        )


def fill(template: Template, values: Mapping[str, object]) -> str:
    """The template with its placeholders filled in, once: what is filled in is not looked at again."""
    return template.substitute(values)


def _read_built_in(language: Language, name: str) -> str:
    text = resources.files(__name__).joinpath(language, name).read_text(encoding="utf-8")
    return _without_last_line_end(text)


def _read_directory(directory: Path) -> dict[str, str]:
    if not directory.is_dir():
        raise InputError(f"{directory} is not a directory of prompts")
    texts = {}
    for name in _PLACEHOLDERS:
        file = directory / name
        if file.exists():
            texts[name] = _read_file(file)
    if not texts:
        raise InputError(
            f"{directory} has no prompt in it", hint=f"name the files {', '.join(_PLACEHOLDERS)}"
        )
    return texts


def _read_file(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"the prompt {file} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"the prompt {file} is not UTF-8 text") from error
    if len(text) > _LONGEST_PROMPT:
        raise InputError(f"the prompt {file} has {len(text):,} characters; {_LONGEST_PROMPT:,} is the most")
    # string.Template knows ${name} too; one form makes the cut at $text simple.
    text = text.replace("${text}", "$text")
    _check_placeholders(file, text)
    return _without_last_line_end(text)


def _check_placeholders(file: Path, text: str) -> None:
    allowed, required = _PLACEHOLDERS[file.name]
    found = []
    for match in Template.pattern.finditer(text):
        name = match["named"] or match["braced"]
        if name is None and match["escaped"] is None:
            raise InputError(f"the prompt {file} has a lone $", hint="write $$ for a dollar sign")
        if name is not None:
            found.append(name)
    for name in found:
        if name not in allowed:
            known = ", ".join(f"${known}" for known in sorted(allowed))
            raise InputError(f"the prompt {file} has the unknown placeholder ${name}", hint=f"use {known}")
    for name in sorted(required - set(found)):
        raise InputError(f"the prompt {file} lacks the placeholder ${name}")
    if file.name == "paper.txt":
        head = found[: found.index("text")]
        if found.count("text") != 1 or any(name in _STEP - {"words"} for name in head):
            raise InputError(
                f"the prompt {file} must have $text once, before everything that changes with the step"
            )


def _without_last_line_end(text: str) -> str:
    return text[:-1] if text.endswith("\n") else text
