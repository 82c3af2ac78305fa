"""Sizes of documents: what is needed, what fits, and that both agree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter_edge.errors import DoesNotFitError
from longwriter_edge.fit import CONTEXT_STEP, SECTION_OVERRUN, Fit

FIT = Fit(trained_context=8192, tokens_per_word=1.5)

fits = st.builds(Fit, st.integers(1, 200_000), st.floats(0.5, 6.0))
targets = st.lists(st.integers(1, 5_000), min_size=1, max_size=200)


def test_a_section_may_run_past_its_target_by_the_stated_share() -> None:
    assert FIT.section_limit(200) >= 200 * 1.5 * SECTION_OVERRUN


def test_tokens_a_word_are_measured_with_the_tokenizer_and_some_slack() -> None:
    english = Fit.measure(lambda text: [0] * (2 * len(text.split())), "en", 8192)
    chinese = Fit.measure(lambda text: [0] * len(text), "zh", 8192)
    assert 2.0 < english.tokens_per_word < 2.6
    assert 1.0 < chinese.tokens_per_word < 1.6


def test_a_tokenizer_that_gives_hardly_any_tokens_is_not_believed() -> None:
    assert Fit.measure(lambda text: [], "en", 8192).tokens_per_word >= 1.0


def test_the_context_holds_prompts_and_all_sections_and_little_more() -> None:
    needed = FIT.needed(700, [200, 300])
    context = FIT.context_for(prompt_tokens=700, section_words=[200, 300], instruction_tokens=20)
    assert needed <= context < needed + CONTEXT_STEP
    assert context % CONTEXT_STEP == 0


def test_the_context_serves_the_plan_too() -> None:
    context = FIT.context_for(prompt_tokens=100, section_words=[100], instruction_tokens=20, at_least=3000)
    assert context >= 3000


def test_a_document_that_cannot_fit_says_what_it_needs_and_what_would_fit() -> None:
    with pytest.raises(DoesNotFitError) as caught:
        FIT.context_for(prompt_tokens=700, section_words=[1000] * 10, instruction_tokens=20)
    error = caught.value
    assert f"{FIT.needed(700, [1000] * 10):,}" in str(error)
    assert "8,192" in str(error)
    assert 0 < error.words < 10_000
    assert f"--words {error.words}" in (error.hint or "")
    assert "longer context" in (error.hint or "")


def test_an_instruction_longer_than_the_context_fits_no_words() -> None:
    with pytest.raises(DoesNotFitError, match="instruction has 9,000 tokens") as caught:
        FIT.context_for(prompt_tokens=9_500, section_words=[100], instruction_tokens=9_000)
    assert caught.value.words == 0


def test_prompts_that_fill_the_context_fit_no_words() -> None:
    with pytest.raises(DoesNotFitError) as caught:
        FIT.context_for(prompt_tokens=8_190, section_words=[100] * 40, instruction_tokens=20)
    assert caught.value.words == 0
    assert "--words" not in (caught.value.hint or "")


def test_a_plan_that_cannot_be_generated_does_not_fit() -> None:
    with pytest.raises(DoesNotFitError) as caught:
        FIT.context_for(prompt_tokens=10, section_words=[10], instruction_tokens=5, at_least=9_000)
    assert caught.value.words == 0


@given(fits, st.integers(0, 100_000), targets)
def test_a_context_is_never_above_the_trained_length_and_never_too_small(
    fit: Fit, prompt_tokens: int, section_words: list[int]
) -> None:
    def context() -> int:
        return fit.context_for(prompt_tokens=prompt_tokens, section_words=section_words, instruction_tokens=0)

    needed = fit.needed(prompt_tokens, section_words)
    if needed <= fit.largest_context:
        assert needed <= context() <= fit.trained_context
    else:
        with pytest.raises(DoesNotFitError) as caught:
            context()
        assert 0 <= caught.value.words < sum(section_words)


@given(fits, st.integers(0, 100_000), targets)
def test_what_would_fit_is_the_most_that_fits(fit: Fit, prompt_tokens: int, section_words: list[int]) -> None:
    total = sum(section_words)
    words = fit.words_that_fit(prompt_tokens, section_words)

    def need(count: int) -> int:
        return fit.needed(prompt_tokens, [-(-share * count // total) for share in section_words])

    assert 0 <= words <= total
    if words:
        assert need(words) <= fit.largest_context
    if words < total:
        assert need(words + 1) > fit.largest_context


@given(fits, st.integers(0, 50_000), targets, st.integers(0, 5_000))
def test_longer_prompts_leave_no_more_words(
    fit: Fit, prompt_tokens: int, section_words: list[int], more: int
) -> None:
    assert fit.words_that_fit(prompt_tokens + more, section_words) <= fit.words_that_fit(
        prompt_tokens, section_words
    )
