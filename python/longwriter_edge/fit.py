"""How large the context has to be for a document, and what fits when it cannot be.

Pure arithmetic on token counts; the model only lends its tokenizer for :meth:`Fit.measure`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from longwriter_edge.errors import DoesNotFitError

Language: TypeAlias = Literal["en", "zh"]

#: llama.cpp pads a context to a multiple of this (llama_context's constructor).
CONTEXT_STEP = 256
#: Written text holds more tokens a word than the plain sample: names, numbers, quotes, Markdown.
TEXT_SLACK = 1.15
#: How far a section may run past its target before it is cut: models are asked for a number of words
#: and often write half as much again; a section that is cut there ends in the middle of a thought.
SECTION_OVERRUN = 1.5
#: Tokens of a section beside its words: a subtitle, blank lines, the end of its last sentence.
SECTION_MARGIN = 64
#: Smallest tokens a word that is believed. A tokenizer that does better is not worth the risk of a
#: context that is too small.
_FEWEST_TOKENS_PER_WORD = {"en": 1.0, "zh": 0.5}

_SAMPLES: dict[Language, str] = {
    "en": (
        "The harbour was quiet when the first boats returned. Old Margaret counted them from her window, "
        "as she had done every morning since the storm of that terrible winter, and wrote the number in a "
        "small green notebook. Nobody had asked her to keep such a record. Yet when the insurance "
        "company's representative finally arrived, carrying a leather briefcase and an expression of "
        "polite disbelief, it was her handwriting that settled the argument. Fishermen remember weather; "
        "accountants remember figures; Margaret, who trusted neither, remembered both. Her neighbours "
        "said that she was difficult, which was true, and that she was lonely, which was not."
    ),
    "zh": (
        "清晨的港口还很安静，第一批渔船已经回来了。玛格丽特老太太站在窗前数着船只，自从那个可怕的冬天刮起风暴以后，"
        "她每天都这样做，并把数字记在一本绿色的小本子上。没有人请她保存这样的记录。可是当保险公司的代表终于到来，"
        "提着皮包，脸上带着礼貌的怀疑时，正是她的笔迹结束了这场争论。渔民记得天气，会计记得数字，"
        "而她谁也不相信，所以两样都记得。邻居们说她难以相处，这是真的；也有人说她很孤独，这却不对。"
    ),
}


@dataclass(frozen=True, slots=True)
class Fit:
    """Sizes of documents in tokens, for one model and language.

    Attributes:
        trained_context: Tokens that the model was trained on, or fewer where the user set a limit; the
            context is never larger.
        tokens_per_word: Tokens a word (a character, in Chinese) with slack for written text.
    """

    trained_context: int
    tokens_per_word: float

    @classmethod
    def measure(
        cls, tokenize: Callable[[str], Sequence[int]], language: Language, trained_context: int
    ) -> Fit:
        """Measures the tokens a word on a sample text with the model's tokenizer."""
        sample = _SAMPLES[language]
        per_word = len(tokenize(sample)) / _sample_words(sample, language)
        return cls(trained_context, max(per_word, _FEWEST_TOKENS_PER_WORD[language]) * TEXT_SLACK)

    @property
    def largest_context(self) -> int:
        """The largest context that llama.cpp does not pad beyond the trained length."""
        return self.trained_context - self.trained_context % CONTEXT_STEP or self.trained_context

    def section_limit(self, target_words: int) -> int:
        """Most tokens that a section of ``target_words`` words may have before it is cut."""
        return math.ceil(target_words * self.tokens_per_word * SECTION_OVERRUN) + SECTION_MARGIN

    def needed(self, prompt_tokens: int, section_words: Sequence[int]) -> int:
        """Tokens of a whole document at most: all prompts, and each section up to its limit."""
        return prompt_tokens + sum(self.section_limit(words) for words in section_words)

    def context_for(
        self,
        *,
        prompt_tokens: int,
        section_words: Sequence[int],
        instruction_tokens: int,
        at_least: int = 0,
    ) -> int:
        """The context to create for a document, in tokens, a multiple of 256 where the model allows it.

        Args:
            prompt_tokens: All that is read and not written: instruction, plan, steps, separators.
            section_words: The target of each section; before there is a plan, a likely split.
            instruction_tokens: Those of ``prompt_tokens`` that are the instruction, for the message.
            at_least: What another use of the same context needs, such as generating the plan.

        Raises:
            DoesNotFitError: the document needs more than the model was trained on.
        """
        limit = self.largest_context
        if instruction_tokens >= limit:
            raise DoesNotFitError(
                f"the instruction has {instruction_tokens:,} tokens; "
                f"the context can have {self.trained_context:,}",
                words=0,
                hint="shorten the instruction, or use a model with a longer context",
            )
        needed = max(self.needed(prompt_tokens, section_words), at_least)
        if needed > limit:
            words = 0 if at_least > limit else self.words_that_fit(prompt_tokens, section_words)
            raise DoesNotFitError(
                f"a document of {sum(section_words):,} words in {len(section_words)} sections needs "
                f"{needed:,} tokens; the context can have {self.trained_context:,}",
                words=words,
                hint=(f"use --words {words}, or " if words else "plan fewer sections, or ")
                + "a model with a longer context",
            )
        return min(math.ceil(needed / CONTEXT_STEP) * CONTEXT_STEP, limit)

    def words_that_fit(self, prompt_tokens: int, section_words: Sequence[int]) -> int:
        """The most words that fit with the same prompts and the same shares of the sections, 0 if none.

        Never more than the sections have together.
        """
        total = sum(section_words)

        def fits(words: int) -> bool:
            # Rounded up, so that the need never falls while the words grow.
            scaled = [-(-share * words // total) for share in section_words]
            return self.needed(prompt_tokens, scaled) <= self.largest_context

        if total <= 0 or not fits(1):
            return 0
        enough, too_many = 1, total + 1
        while too_many - enough > 1:
            middle = (enough + too_many) // 2
            if fits(middle):
                enough = middle
            else:
                too_many = middle
        return enough


def _sample_words(sample: str, language: Language) -> int:
    """Words of a sample: ideographs in Chinese, else what blanks separate."""
    if language == "zh":
        return sum("\u4e00" <= character <= "\u9fff" for character in sample)
    return len(sample.split())
