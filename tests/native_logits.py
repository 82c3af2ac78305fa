"""What llama.cpp computes and tokenizes for a GGUF file, through llama_cpp's own declarations."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy

from longwriter_edge import library, native


def logits(path: Path, tokens: Sequence[int]) -> numpy.ndarray:
    """Logits of every position, with the KV cache in F32."""
    with opened(path, len(tokens)) as evaluate:
        return evaluate(tokens, 0)


def greedy(path: Path, tokens: Sequence[int], count: int) -> list[int]:
    """The likeliest ``count`` tokens after these."""
    written: list[int] = []
    with opened(path, len(tokens) + count) as evaluate:
        rows = evaluate(tokens, 0)
        for place in range(count):
            written.append(int(rows[-1].argmax()))
            rows = evaluate(written[-1:], len(tokens) + place)
    return written


@contextmanager
def opened(path: Path, cells: int) -> Iterator[Callable[[Sequence[int], int], numpy.ndarray]]:
    """A function from tokens and the position of the first to the logits of each."""
    api = library.load()
    handle = native.load_model(api, path, api.llama_model_default_params())
    size = api.llama_vocab_n_tokens(handle.vocabulary)
    parameters = api.llama_context_default_params()
    parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = max(cells, 256)
    parameters.type_k = parameters.type_v = 0  # GGML_TYPE_F32
    parameters.flash_attn_type = 0
    context = api.llama_init_from_model(handle.address, parameters)
    assert context

    def evaluate(tokens: Sequence[int], first: int) -> numpy.ndarray:
        batch = api.llama_batch_init(len(tokens), 0, 1)
        batch.n_tokens = len(tokens)
        for place, token in enumerate(tokens):
            batch.token[place], batch.pos[place] = token, first + place
            batch.n_seq_id[place], batch.seq_id[place][0], batch.logits[place] = 1, 0, True
        assert api.llama_decode(context, batch) == 0
        rows = [
            numpy.ctypeslib.as_array(api.llama_get_logits_ith(context, place), (size,)).copy()
            for place in range(len(tokens))
        ]
        api.llama_batch_free(batch)
        return numpy.stack(rows)

    try:
        yield evaluate
    finally:
        api.llama_free(context)


def tokenize(path: Path, text: str, *, special: bool = False) -> list[int]:
    api = library.load()
    parameters = api.llama_model_default_params()
    parameters.vocab_only = True
    handle = native.load_model(api, path, parameters)
    raw = text.encode()
    room = (ctypes.c_int32 * (len(raw) + 8))()
    count = api.llama_tokenize(handle.vocabulary, raw, len(raw), room, len(room), False, special)
    assert count >= 0
    return list(room[:count])
