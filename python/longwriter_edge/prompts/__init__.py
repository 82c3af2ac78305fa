"""The prompts: text files with placeholders, built in or given by the user."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from longwriter_edge.errors import InputError
from longwriter_edge.instruction import Language

# Placeholders that a file may have, and those that it must have.
_SECTION = {"step", "number", "title", "words"}
_ALLOWED = {
    "plan.txt": {"instruction", "words", "fewest", "most"},
    "first_turn.txt": {"instruction", "plan", "count"},
    "step.txt": {"count", *_SECTION},
    "paper.txt": {"instruction", "plan", "count", "text", *_SECTION},
    "guided.txt": {"instruction", "plan", "count"},
    "parallel.txt": {"instruction", "plan", "count"},
    "direct.txt": {"instruction", "words"},
}
_REQUIRED = {
    "plan.txt": {"instruction"},
    "first_turn.txt": {"instruction"},
    "step.txt": {"number"},
    "paper.txt": {"instruction", "text", "step"},
    "guided.txt": {"instruction", "plan"},
    "parallel.txt": {"instruction"},
    "direct.txt": {"instruction"},
}


@dataclass(frozen=True, slots=True)
class SectionStep:
    """What the prompts say about one section: its line of the plan, its number (from 1) and so on."""

    line: str
    number: int
    title: str
    words: int


@dataclass(frozen=True, slots=True)
class PromptSet:
    """The prompts of one language.

    Placeholders are ``$instruction``, ``$plan`` (its lines) and ``$count`` (of sections); in ``plan.txt``
    ``$words`` (in all), ``$fewest`` and ``$most`` (sections); for one section ``$step`` (its line of the
    plan), ``$number``, ``$title`` and ``$words``. ``$$`` is a dollar sign.

    Attributes:
        language: The language.
        plan: Asks for a plan.
        first_turn: Begins the first turn; a step follows it.
        step: Asks for one section.
        paper_head: The single prompt up to the text so far.
        paper_tail: The single prompt behind it.
        guided: Asks for the whole document with its headings.
        parallel: Begins the prompt for a section that is written without the others; a step follows it.
        direct: Asks for the whole document without a plan.
    """

    language: Language
    plan: string.Template
    first_turn: string.Template
    step: string.Template
    paper_head: string.Template
    paper_tail: string.Template
    guided: string.Template
    parallel: string.Template
    direct: string.Template

    @classmethod
    def load(cls, language: Language, directory: Path | None = None) -> PromptSet:
        """The built-in prompts, with those that ``directory`` has files for replaced.

        Args:
            language: Of the built-in prompts.
            directory: May hold ``plan.txt``, ``first_turn.txt``, ``step.txt``, ``paper.txt``, ``guided.txt``,
                ``parallel.txt`` and ``direct.txt``.

        Raises:
            InputError: the directory has none of them, or a file cannot be read, is not UTF-8, has an unknown
                placeholder or lacks one that it needs.
        """
        if directory is not None:
            _check_directory(directory)
        texts = {name: _checked(*_read(name, language, directory)) for name in _ALLOWED}
        head, tail = _split_paper(texts["paper.txt"], _read("paper.txt", language, directory)[2])
        return cls(
            language,
            plan=string.Template(texts["plan.txt"]),
            first_turn=string.Template(texts["first_turn.txt"]),
            step=string.Template(texts["step.txt"]),
            paper_head=string.Template(head),
            paper_tail=string.Template(tail),
            guided=string.Template(texts["guided.txt"]),
            parallel=string.Template(texts["parallel.txt"]),
            direct=string.Template(texts["direct.txt"]),
        )

    def ask_plan(self, instruction: str, *, words: int, fewest: int, most: int) -> str:
        """The turn that asks for a plan of ``fewest`` to ``most`` sections with ``words`` words in all."""
        return self.plan.substitute(instruction=instruction.strip(), words=words, fewest=fewest, most=most)

    def open_turns(self, instruction: str, plan: str, count: int) -> str:
        """The beginning of the first turn. Ends with an empty line, since the first step follows."""
        text = self.first_turn.substitute(instruction=instruction.strip(), plan=plan, count=count)
        return text.rstrip() + "\n\n"

    def ask_guided(self, instruction: str, plan: str, count: int) -> str:
        """The turn that asks for the whole document."""
        return self.guided.substitute(instruction=instruction.strip(), plan=plan, count=count)

    def open_parallel(self, instruction: str, plan: str, count: int) -> str:
        """The prompt for a section without the others, up to the step, which follows."""
        text = self.parallel.substitute(instruction=instruction.strip(), plan=plan, count=count)
        return text.rstrip() + "\n\n"

    def ask_direct(self, instruction: str, words: int) -> str:
        """The turn that asks for the whole document without a plan."""
        return self.direct.substitute(instruction=instruction.strip(), words=words)

    def ask_section(self, step: SectionStep, count: int) -> str:
        """The turn that asks for a section, or the end of the first one."""
        return self.step.substitute(_values(step, count))

    def open_paper(self, instruction: str, plan: str, count: int) -> str:
        """The single prompt up to the text so far; the same for all sections."""
        return self.paper_head.substitute(instruction=instruction.strip(), plan=plan, count=count)

    def close_paper(self, instruction: str, plan: str, step: SectionStep, count: int) -> str:
        """The single prompt behind the text so far."""
        values = _values(step, count)
        return self.paper_tail.substitute(values, instruction=instruction.strip(), plan=plan)


def _values(step: SectionStep, count: int) -> dict[str, object]:
    return {
        "step": step.line,
        "number": step.number,
        "title": step.title,
        "words": step.words,
        "count": count,
    }


def _check_directory(directory: Path) -> None:
    names = ", ".join(_ALLOWED)
    if not directory.is_dir():
        raise InputError(f"the directory of prompts {directory} does not exist", hint=f"it may hold {names}")
    if not any((directory / name).exists() for name in _ALLOWED):
        raise InputError(
            f"the directory {directory} holds none of {names}", hint="check the names of the files"
        )


def _read(name: str, language: Language, directory: Path | None) -> tuple[str, str, str]:
    """Name and text of a prompt file, and where it is, for messages."""
    if directory is not None and (path := directory / name).exists():
        try:
            return name, path.read_text(encoding="utf-8-sig").strip(), str(path)
        except OSError as error:
            raise InputError(f"the prompt {path} cannot be read: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            raise InputError(
                f"the prompt {path} is not UTF-8 text: {error.reason} at byte {error.start}",
                hint="save it as UTF-8",
            ) from error
    built_in = resources.files(__package__).joinpath(language).joinpath(name)
    return name, built_in.read_text(encoding="utf-8").strip(), f"{language}/{name}"


def _checked(name: str, text: str, place: str) -> str:
    found = _placeholders(text, place)
    allowed, required = _ALLOWED[name], _REQUIRED[name]
    if unknown := [placeholder for placeholder in found if placeholder not in allowed]:
        raise InputError(
            f"the prompt {place} has an unknown placeholder ${unknown[0]}",
            hint=f"{name} may have {_listed(allowed)}; a dollar sign is written $$",
        )
    if missing := required - set(found):
        raise InputError(
            f"the prompt {place} lacks {_listed(missing)}", hint=f"put {_listed(missing)} into it"
        )
    return text


def _split_paper(text: str, place: str) -> tuple[str, str]:
    """The prompt before and behind ``$text``: what is before is read once, for all sections."""
    matches = [match for match in string.Template.pattern.finditer(text) if _named(match) == "text"]
    if len(matches) != 1:
        raise InputError(f"the prompt {place} has $text {len(matches)} times", hint="write it exactly once")
    head, tail = text[: matches[0].start()], text[matches[0].end() :]
    if early := [placeholder for placeholder in _placeholders(head, place) if placeholder in _SECTION]:
        raise InputError(
            f"the prompt {place} has ${early[0]} before $text",
            hint="what changes with the section must come after $text, since what is before is read once",
        )
    # The text so far ends with the separator already.
    return head, tail.lstrip("\n")


def _placeholders(text: str, place: str) -> list[str]:
    found = []
    for match in string.Template.pattern.finditer(text):
        if match["invalid"] is not None:
            line = text.count("\n", 0, match.start()) + 1
            raise InputError(
                f"the prompt {place} has a $ without a placeholder in line {line}",
                hint="write $$ for a dollar sign",
            )
        if name := _named(match):
            found.append(name)
    return found


def _named(match: re.Match[str]) -> str | None:
    return match["named"] or match["braced"]


def _listed(names: set[str]) -> str:
    return ", ".join(f"${name}" for name in sorted(names))
