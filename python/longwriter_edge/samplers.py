"""Builds llama.cpp sampler chains from sampling settings.

The chains hold no final draw: the engine draws from what they leave with its own generator, so that
a continued run draws what it would have drawn.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

from longwriter_edge.errors import LibraryError, ModelError
from longwriter_edge.library import check_argument_count
from longwriter_edge.settings import SamplingSettings

#: llama.cpp's usual breakers (common_params_sampling): a repetition across them is none.
DRY_BREAKERS = ("\n", ":", '"', "*")
#: Candidates kept where top-k is off but another truncation is on: those sort what they are given,
#: which for 151,552 candidates costs 8.5 ms a token, and none of them keeps so many in practice.
WIDE_TOP_K = 1024
#: XTC draws by itself; a fixed seed keeps runs equal. Not 0xFFFFFFFF, which asks for a random one.
_XTC_SEED = 0
# Arguments of the functions whose signatures changed under the same name in llama.cpp.
_PENALTIES_ARGUMENTS = 5
_DRY_ARGUMENTS = 7


class GrammarError(ModelError):
    """llama.cpp refused a grammar; the same chain without it can be used."""


@dataclass(frozen=True, slots=True)
class SamplerChain:
    """What a sampler chain is made of: settings and, optionally, a GBNF grammar with the rule ``root``."""

    settings: SamplingSettings
    grammar: str | None = None


@dataclass(frozen=True, slots=True)
class NativeChain:
    """Addresses of a sampler chain and of its grammar sampler, 0 for none. Freed by :func:`free_chain`."""

    chain: int
    grammar: int


def build_chain(
    spec: SamplerChain, *, api: Any, vocabulary: int, token_count: int, context_tokens: int
) -> NativeChain:
    """A chain of the samplers that ``spec`` has on, in a fixed order.

    The order is penalties, DRY, top-k, top-p, min-p, XTC, temperature: llama.cpp's default one, with
    penalties on the model's own logits and the truncations before the temperature.

    Args:
        spec: What to build.
        api: The ctypes declarations (:func:`longwriter_edge.library.load`).
        vocabulary: Address of the ``llama_vocab``.
        token_count: Tokens of the vocabulary.
        context_tokens: DRY's window where the settings name none.

    Raises:
        GrammarError: the grammar was refused.
        LibraryError: a sampler has another signature than was tested, or could not be made.
    """
    grammar = 0
    if spec.grammar is not None:
        grammar = _address(api.llama_sampler_init_grammar(vocabulary, _grammar_bytes(spec.grammar), b"root"))
        if not grammar:
            raise GrammarError(
                f"llama.cpp refused the grammar ({len(spec.grammar)} characters)",
                hint="go on without a grammar",
            )
    parameters = api.llama_sampler_chain_default_params()
    parameters.no_perf = True
    chain = api.llama_sampler_chain_init(parameters)
    native = NativeChain(_address(chain), grammar)
    try:
        if not chain:
            raise LibraryError("llama.cpp made no sampler chain")
        _add_samplers(spec.settings, api, chain, vocabulary, token_count, context_tokens)
    except BaseException:
        free_chain(native, api)
        raise
    return native


def free_chain(native: NativeChain, api: Any) -> None:
    """Frees the samplers of ``native``, which must not be used any more."""
    for address in (native.chain, native.grammar):
        if address:
            api.llama_sampler_free(ctypes.cast(address, api.llama_sampler_p_ctypes))


def _add_samplers(
    settings: SamplingSettings,
    api: Any,
    chain: Any,
    vocabulary: int,
    token_count: int,
    context_tokens: int,
) -> None:
    def add(sampler: Any, name: str) -> None:
        if not sampler:
            raise LibraryError(f"llama.cpp made no {name} sampler from {settings}")
        api.llama_sampler_chain_add(chain, sampler)

    penalised = (
        settings.repeat_penalty != 1.0
        or settings.frequency_penalty != 0.0
        or settings.presence_penalty != 0.0
    )
    if penalised and settings.penalty_window != 0:
        check_argument_count(api, "llama_sampler_init_penalties", _PENALTIES_ARGUMENTS)
        add(
            api.llama_sampler_init_penalties(
                token_count,
                settings.penalty_window,
                settings.repeat_penalty,
                settings.frequency_penalty,
                settings.presence_penalty,
            ),
            "penalties",
        )
    # Its window is always set: by default llama.cpp looks back 64 tokens only.
    window = context_tokens if settings.dry_window is None else settings.dry_window
    if settings.dry_multiplier > 0.0 and window > 0:
        check_argument_count(api, "llama_sampler_init_dry", _DRY_ARGUMENTS)
        breakers = (ctypes.c_char_p * len(DRY_BREAKERS))(*(text.encode() for text in DRY_BREAKERS))
        add(
            api.llama_sampler_init_dry(
                vocabulary,
                settings.dry_multiplier,
                settings.dry_base,
                settings.dry_allowed_length,
                window,
                breakers,
                len(DRY_BREAKERS),
            ),
            "DRY",
        )
    truncated = settings.top_p < 1.0 or settings.min_p > 0.0 or settings.xtc_probability > 0.0
    if settings.top_k > 0:
        add(api.llama_sampler_init_top_k(settings.top_k), "top-k")
    elif truncated:
        add(api.llama_sampler_init_top_k(WIDE_TOP_K), "top-k")
    if settings.top_p < 1.0:
        add(api.llama_sampler_init_top_p(settings.top_p, 1), "top-p")
    if settings.min_p > 0.0:
        add(api.llama_sampler_init_min_p(settings.min_p, 1), "min-p")
    if settings.xtc_probability > 0.0:
        add(
            api.llama_sampler_init_xtc(settings.xtc_probability, settings.xtc_threshold, 1, _XTC_SEED),
            "XTC",
        )
    if settings.temperature != 1.0:
        add(api.llama_sampler_init_temp(settings.temperature), "temperature")


def _grammar_bytes(grammar: str) -> bytes:
    # llama.cpp reads up to a NUL and takes an empty grammar for none, which would constrain nothing.
    if not grammar.strip() or "\0" in grammar:
        raise GrammarError("the grammar is empty or has a NUL in it", hint="go on without a grammar")
    return grammar.encode("utf-8", errors="replace")


def _address(sampler: Any) -> int:
    return ctypes.cast(sampler, ctypes.c_void_p).value or 0 if sampler else 0
