"""Formats derived from chat templates in the shapes that models have, and from hostile ones."""

from __future__ import annotations

import pytest

from fake_vocabulary import CHATML, CHATML_TEMPLATE, ByteVocabulary
from longwriter_edge.chat_template import MAX_TEMPLATE_CHARACTERS, derive_format
from longwriter_edge.errors import ModelError
from longwriter_edge.prompt_format import PromptFormat
from longwriter_edge.settings import SamplingSettings
from longwriter_edge.tokens import User, encode

LLAMA_3 = ByteVocabulary(
    {"<|begin_of_text|>": 300, "<|start_header_id|>": 301, "<|end_header_id|>": 302, "<|eot_id|>": 303},
    bos=300,
    add_bos=True,
)
LLAMA_3_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
    "{{ m['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
GEMMA = ByteVocabulary({"<bos>": 300, "<start_of_turn>": 301, "<end_of_turn>": 302}, bos=300, add_bos=True)
GEMMA_TEMPLATE = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('system') }}{% endif %}"
    "{% for m in messages %}<start_of_turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n"
    "{{ m['content'] | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
MISTRAL = ByteVocabulary({"<s>": 300, "</s>": 301}, bos=300, add_bos=True)
MISTRAL_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('order') }}{% endif %}"
    "{% if m['role'] == 'user' %}[INST] {{ m['content'] }} [/INST]{% else %} {{ m['content'] }}"
    "{{ eos_token }}{% endif %}{% endfor %}"
)
PHI = ByteVocabulary({"<|user|>": 300, "<|assistant|>": 301, "<|end|>": 302})
PHI_TEMPLATE = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)


def derive(template: str, vocabulary: ByteVocabulary = CHATML, eos: str | None = None) -> PromptFormat:
    return derive_format(template, vocabulary, name="test", eos=eos, sampling=SamplingSettings())


def frame(form: PromptFormat, vocabulary: ByteVocabulary) -> tuple[str, str, str]:
    before, between, after = (
        vocabulary.text(encode(pieces, vocabulary))
        for pieces in (form.before_user, form.between, form.after_assistant)
    )
    return before, between, after


@pytest.mark.parametrize(
    ("template", "vocabulary", "expected", "stop"),
    [
        (
            CHATML_TEMPLATE,
            CHATML,
            (
                "<|im_start|>user\n",
                "<|im_end|>\n<|im_start|>assistant\n",
                "<|im_end|>\n<|im_start|>user\n",
            ),
            301,
        ),
        (
            LLAMA_3_TEMPLATE,
            LLAMA_3,
            (
                "<|start_header_id|>user<|end_header_id|>\n\n",
                "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
                "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n",
            ),
            303,
        ),
        (
            GEMMA_TEMPLATE,
            GEMMA,
            (
                "<start_of_turn>user\n",
                "<end_of_turn>\n<start_of_turn>model\n",
                "<end_of_turn>\n<start_of_turn>user\n",
            ),
            302,
        ),
        (MISTRAL_TEMPLATE, MISTRAL, ("[INST] ", " [/INST]", "</s>[INST] "), 301),
        (
            PHI_TEMPLATE,
            PHI,
            ("<|user|>\n", "<|end|>\n<|assistant|>\n", "<|end|>\n<|user|>\n"),
            302,
        ),
    ],
    ids=["chatml", "llama3", "gemma", "mistral", "phi"],
)
def test_the_usual_shapes_are_cut_around_the_turns(
    template: str, vocabulary: ByteVocabulary, expected: tuple[str, str, str], stop: int
) -> None:
    form = derive(template, vocabulary, eos="</s>")
    assert form.multi_turn
    assert frame(form, vocabulary) == expected
    assert form.stop_ids == (stop,)
    assert form.add_bos == vocabulary.add_bos


def test_tags_that_are_no_control_tokens_are_markers() -> None:
    assert derive(MISTRAL_TEMPLATE, MISTRAL, eos="</s>").markers == ("[/INST]", "[INST]")
    assert derive(CHATML_TEMPLATE).markers == ()
    # The same template on a vocabulary that knows none of its strings.
    assert "<|im_end|>" in derive(CHATML_TEMPLATE, ByteVocabulary()).markers


def test_lines_mark_turns_where_there_is_nothing_else() -> None:
    template = (
        "{% for m in messages %}{{ 'USER' if m.role == 'user' else 'ASSISTANT' }}: {{ m.content }}\n"
        "{% endfor %}ASSISTANT:"
    )
    form = derive(template, ByteVocabulary())
    assert {"USER:", "ASSISTANT:"} <= set(form.markers)
    text = encode([User("a\nUSER: b")], ByteVocabulary(), markers=form.markers)
    assert b"USER:" not in bytes(text)


def test_bos_comes_once_also_where_the_template_leaves_it_out() -> None:
    without = LLAMA_3_TEMPLATE.replace("{{ bos_token }}", "")
    assert derive(without, LLAMA_3) == derive(LLAMA_3_TEMPLATE, LLAMA_3)


def test_the_form_that_asks_for_an_answer_goes_before_that_of_older_turns() -> None:
    template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content.split('</think>')[-1] }}"
        "<|im_end|>\n{% endfor %}"
        "<|im_start|>assistant\n{% if enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}"
    )
    form = derive(template)
    assert form.multi_turn
    assert frame(form, CHATML)[1].endswith("assistant\n<think>\n\n</think>\n\n")


def test_a_thinking_block_that_the_template_opens_is_closed() -> None:
    form = derive(CHATML_TEMPLATE.replace("assistant\n", "assistant\n<think>\n"))
    assert frame(form, CHATML)[1].endswith("<think>\n\n</think>\n\n")


def test_a_template_without_a_second_turn_gives_a_single_one() -> None:
    template = "{% if messages | length > 1 %}{{ raise_exception('one turn') }}{% endif %}" + CHATML_TEMPLATE
    form = derive(template)
    assert not form.multi_turn
    assert form.after_assistant == ()


def test_the_date_is_the_same_on_every_day() -> None:
    template = "{{ strftime_now('%Y-%m-%d') }} " + CHATML_TEMPLATE
    assert frame(derive(template), CHATML)[0].startswith("2025-01-01 ")


def test_the_tag_for_training_is_ignored() -> None:
    template = CHATML_TEMPLATE.replace(
        "{{ message.content }}", "{% generation %}{{ message.content }}{% endgeneration %}"
    )
    assert derive(template) == derive(CHATML_TEMPLATE)


@pytest.mark.parametrize(
    "template",
    [
        "{% for %}",
        "{{ nothing.at.all }}",
        "no content",
        "{{ messages[0].content }}{{ messages[0].content }}",
        "{{ raise_exception('never') }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}{{ messages[0].content }}",
        "{{ 'x' * 10000000000 }}",
        "{{ '%9999999999d' % 1 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{% for i in range(99999) %}{{ 'x' * i }}{% endfor %}",
        "{% for i in range(99999) %}xxxx{% endfor %}",
        "x" * (MAX_TEMPLATE_CHARACTERS + 1),
    ],
)
def test_a_template_that_is_broken_or_hostile_is_an_error(template: str) -> None:
    with pytest.raises(ModelError, match="chat template"):
        derive(template)
