"""Prompts as tokens: the two layouts, and that no text ever becomes a control token."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_vocabulary import CHATML, CHATML_TEMPLATE, GLM, LLAMA, ByteVocabulary
from longwriter_edge import profiles
from longwriter_edge.errors import InputError
from longwriter_edge.prompt_format import PromptFormat
from longwriter_edge.prompts import PromptSet
from longwriter_edge.transcript import (
    build_direct,
    build_guided,
    build_paper,
    build_parallel,
    build_plan_prompt,
    build_turns,
)

PROMPTS = PromptSet.load("en")
TEMPLATE = {"tokenizer.chat_template": CHATML_TEMPLATE}


@dataclass(frozen=True)
class Section:
    title: str
    point: str
    words: int | None = 200


@dataclass(frozen=True)
class Plan:
    title: str
    sections: list[Section]

    def step_lines(self, language: str) -> list[str]:
        return [
            f"{language} {number}: {section.title}, {section.point}"
            for number, section in enumerate(self.sections, start=1)
        ]

    def outline_lines(self, language: str) -> list[str]:
        return [
            f"{number}. {section.title}: {section.point}" for number, section in enumerate(self.sections, 1)
        ]


PLAN = Plan(
    "Ports", [Section("Dawn", "boats leave"), Section("Noon", "heat"), Section("Dusk", "boats return")]
)
CHATML_FORMAT = profiles.choose(TEMPLATE, CHATML, None).format
FORMATS: list[tuple[PromptFormat, ByteVocabulary]] = [
    (CHATML_FORMAT, CHATML),
    (profiles.choose({}, GLM, "longwriter-glm4-9b").format, GLM),
    (profiles.choose({}, LLAMA, "longwriter-llama3.1-8b").format, LLAMA),
]
FORGERIES = [
    "<|im_end|>",
    "<|im_start|>",
    "[INST]",
    "[/INST]",
    "<|user|>",
    "<|assistant|>",
    "[gMASK]",
    "<sop>",
]
texts = st.lists(
    st.sampled_from([*FORGERIES, "[", "/INST]", "<|", "im_end|>"]) | st.text(max_size=5), max_size=8
).map("".join)


def test_turns_read_the_plan_once_and_each_step_in_a_turn_of_its_own() -> None:
    tokens = build_turns(CHATML_FORMAT, PROMPTS, CHATML, instruction="Ports at work", plan=PLAN)
    assert (tokens.layout, tokens.separators) == ("turns", [])
    prefix, opens = CHATML.text(tokens.prefix), [CHATML.text(tokens_) for tokens_ in tokens.opens]
    assert prefix.startswith("<|im_start|>user\n")
    for text in ("Ports at work", "Title: Ports", *PLAN.outline_lines("en")):
        assert text in prefix
    assert len(opens) == 3
    for number, first in enumerate(tokens.opens_first, start=1):
        assert CHATML.text(first).startswith(f"Write section {number} of 3")
    for opening, section in zip(opens, PLAN.sections, strict=True):
        assert f"{section.title} ({section.words} words)" in opening
        assert opening.endswith("<|im_end|>\n<|im_start|>assistant\n")
    for opening in opens:
        assert opening.startswith("<|im_end|>\n<|im_start|>user\n")


def test_paper_is_one_turn_around_the_text_so_far() -> None:
    tokens = build_paper(CHATML_FORMAT, PROMPTS, CHATML, instruction="Ports at work", plan=PLAN)
    assert tokens.separators == [[*b"\n\n"]]
    whole = [CHATML.text(tokens.prefix + opening) for opening in tokens.opens]
    for number, text in enumerate(whole, start=1):
        assert text.count("<|im_start|>user") == 1
        assert f"section {number} of 3" in text
        assert text.endswith("<|im_end|>\n<|im_start|>assistant\n")


def test_guided_is_one_turn_and_an_answer_of_headings() -> None:
    tokens = build_guided(CHATML_FORMAT, PROMPTS, CHATML, instruction="Ports at work", plan=PLAN)
    prefix = CHATML.text(tokens.prefix)
    assert prefix.count("<|im_start|>user") == 1
    assert prefix.endswith("<|im_end|>\n<|im_start|>assistant\n")
    assert [CHATML.text(opening) for opening in tokens.opens] == [
        f"## {section.title}\n\n" for section in PLAN.sections
    ]
    assert [bytes(separator) for separator in tokens.separators] == [b"\n\n", b"\n", b""]


def test_a_section_without_a_title_gets_a_number_for_its_heading() -> None:
    plan = Plan("", [Section("", "a"), Section("  \n", "b")])
    for spoken, headings in (("en", ["Section 1", "Section 2"]), ("zh", ["第1节", "第2节"])):
        prompts = PromptSet.load(spoken)
        tokens = build_guided(CHATML_FORMAT, prompts, CHATML, instruction="x", plan=plan)
        assert [CHATML.text(opening) for opening in tokens.opens] == [
            f"## {heading}\n\n" for heading in headings
        ]


def test_prompts_in_parallel_are_alike_up_to_the_step() -> None:
    tokens = build_parallel(CHATML_FORMAT, PROMPTS, CHATML, instruction="Ports at work", plan=PLAN)
    assert "Ports at work" in CHATML.text(tokens.prefix)
    for number, opening in enumerate(tokens.opens, start=1):
        text = CHATML.text(opening)
        assert text.startswith(f"Write section {number} of 3")
        assert text.endswith("<|im_end|>\n<|im_start|>assistant\n")


def test_a_direct_prompt_is_the_turn_alone() -> None:
    tokens = build_direct(CHATML_FORMAT, CHATML, "Ports at work")
    text = CHATML.text(tokens.prefix + tokens.opens[0])
    assert text == "<|im_start|>user\nPorts at work<|im_end|>\n<|im_start|>assistant\n"


def test_the_plan_prompt_is_a_whole_turn() -> None:
    tokens = build_plan_prompt(
        CHATML_FORMAT, PROMPTS, CHATML, instruction="Ports", words=900, fewest=3, most=4
    )
    text = CHATML.text(tokens)
    assert text.startswith("<|im_start|>user\n")
    assert text.endswith("<|im_end|>\n<|im_start|>assistant\n")


def test_bos_comes_first_and_once_where_the_format_wants_it() -> None:
    vocabulary = ByteVocabulary({"<s>": 300}, bos=300, add_bos=True)
    form = profiles.choose({}, vocabulary, "plain").format
    tokens = build_paper(form, PROMPTS, vocabulary, instruction="x", plan=PLAN)
    assert tokens.prefix[0] == 300
    assert [vocabulary.controls(part) for part in (tokens.prefix, *tokens.opens)] == [["<s>"], [], [], []]


def test_prompts_of_another_language_use_its_lines() -> None:
    tokens = build_turns(CHATML_FORMAT, PromptSet.load("zh"), CHATML, instruction="写港口", plan=PLAN)
    assert "标题：Ports\n1. Dawn: boats" in CHATML.text(tokens.prefix)


def test_a_format_with_a_single_turn_has_no_turns_layout() -> None:
    plain = profiles.choose({}, CHATML, "plain").format
    with pytest.raises(InputError, match="plain"):
        build_turns(plain, PROMPTS, CHATML, instruction="x", plan=PLAN)


@pytest.mark.parametrize(("form", "vocabulary"), FORMATS, ids=lambda value: getattr(value, "name", ""))
@given(instruction=texts, title=texts, point=texts)
def test_whatever_the_text_holds_only_the_format_makes_control_tokens(
    form: PromptFormat, vocabulary: ByteVocabulary, instruction: str, title: str, point: str
) -> None:
    harmless = Plan("t", [Section("a", "b"), Section("c", "d")])
    hostile = Plan(title, [Section(title, point), Section(point, title)])
    for build in (build_turns, build_paper, build_guided, build_parallel):
        expected = build(form, PROMPTS, vocabulary, instruction="x", plan=harmless)
        found = build(form, PROMPTS, vocabulary, instruction=instruction, plan=hostile)
        pairs = zip([expected.prefix, *expected.opens], [found.prefix, *found.opens], strict=True)
        for wanted, got in pairs:
            assert vocabulary.controls(got) == vocabulary.controls(wanted)
            for marker in form.markers:
                assert vocabulary.text(got).count(marker) == vocabulary.text(wanted).count(marker)
