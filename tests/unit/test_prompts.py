"""The built-in prompts, and files that replace them."""

from __future__ import annotations

from pathlib import Path

import pytest

from longwriter_edge.errors import InputError
from longwriter_edge.instruction import Language
from longwriter_edge.prompts import PromptSet, SectionStep

STEP = SectionStep(
    line="Paragraph 2 - Main Point: the harbour - Word Count: 321 words",
    number=2,
    title="The harbour",
    words=321,
)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_built_in_prompts_hold_what_the_model_needs(language: Language) -> None:
    prompts = PromptSet.load(language)
    plan = prompts.ask_plan(" Ports of the world ", words=4321, fewest=7, most=11)
    for text in ("Ports of the world", "4321", "7", "11"):
        assert text in plan
    for text in ("Ports of the world", "THE PLAN"):
        assert text in prompts.open_turns("Ports of the world", "THE PLAN", 5)
        assert text in prompts.open_paper("Ports of the world", "THE PLAN", 5)
    for text in (STEP.title, "321", "2", "5"):
        assert text in prompts.ask_section(STEP, 5)
    for text in (STEP.line, "321", "2", "5"):
        assert text in prompts.close_paper("Ports", "THE PLAN", STEP, 5)
    for prompt in (prompts.ask_guided("Ports", "THE PLAN", 5), prompts.open_parallel("Ports", "THE PLAN", 5)):
        assert "Ports" in prompt
        assert "THE PLAN" in prompt
    direct = prompts.ask_direct("Ports", 321)
    assert direct.startswith("Ports")
    assert "321" in direct


def test_the_plan_prompt_shows_the_line_format_of_the_language() -> None:
    english = PromptSet.load("en").ask_plan("x", words=1, fewest=1, most=1)
    assert "\nTitle: " in english
    assert "\nParagraph 1 - Title: " in english
    assert " - Word Count: " in english
    chinese = PromptSet.load("zh").ask_plan("x", words=1, fewest=1, most=1)
    assert "\n标题：" in chinese
    assert "\n段落1 - 标题：" in chinese
    assert " - 字数：" in chinese


def test_a_first_turn_ends_so_that_the_step_follows() -> None:
    assert PromptSet.load("en").open_turns("x", "y", 1).endswith(".\n\n")


def test_values_are_put_in_as_they_are() -> None:
    assert "$plan and $9" in PromptSet.load("en").open_turns("$plan and $9", "y", 1)


def test_files_replace_the_built_in_prompts_of_their_name_only(tmp_path: Path) -> None:
    (tmp_path / "step.txt").write_text("\ufeffNow $number: $step for $$5\n", encoding="utf-8")
    prompts = PromptSet.load("en", tmp_path)
    assert prompts.ask_section(STEP, 5) == f"Now 2: {STEP.line} for $5"
    assert prompts.plan.template == PromptSet.load("en").plan.template


def test_a_paper_prompt_is_cut_at_the_text_so_far(tmp_path: Path) -> None:
    (tmp_path / "paper.txt").write_text("$instruction\n<${text}>\n$step", encoding="utf-8")
    prompts = PromptSet.load("en", tmp_path)
    assert prompts.open_paper("a", "b", 5) == "a\n<"
    assert prompts.close_paper("a", "b", STEP, 5) == f">\n{STEP.line}"


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("plan.txt", "words: $words", r"lacks \$instruction"),
        ("plan.txt", "$instruction $topic", r"\$topic"),
        ("plan.txt", "$instruction\ncosts $5", "line 2"),
        ("step.txt", "go on", r"lacks \$number"),
        ("paper.txt", "$instruction $step", r"lacks \$text"),
        ("paper.txt", "$instruction $text $text $step", r"\$text 2 times"),
        ("paper.txt", "$instruction $step $text", r"\$step before \$text"),
        ("paper.txt", "$instruction $number $text $step", r"\$number before \$text"),
    ],
)
def test_a_file_that_cannot_work_is_refused_with_file_and_placeholder(
    tmp_path: Path, name: str, text: str, problem: str
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=problem) as caught:
        PromptSet.load("en", tmp_path)
    assert str(tmp_path / name) in str(caught.value)
    assert caught.value.hint


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plan.txt").mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        PromptSet.load("en", tmp_path)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plan.txt").write_bytes(b"$instruction \xff")
    with pytest.raises(InputError, match="not UTF-8"):
        PromptSet.load("en", tmp_path)


def test_a_directory_without_prompts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"plan\.txt"):
        PromptSet.load("en", tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        PromptSet.load("en", tmp_path / "missing")
