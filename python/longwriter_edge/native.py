"""Owners of what llama.cpp allocates: a model, a context with its sampler chains.

Each frees its native object when nothing refers to it any more, and holds what that object needs.
"""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import Any

from longwriter_edge import library, metadata, samplers
from longwriter_edge.engine_size import EngineSize
from longwriter_edge.errors import ModelError
from longwriter_edge.vocabulary import NativeVocabulary

_FLASH_ATTENTION = {
    "auto": "LLAMA_FLASH_ATTN_TYPE_AUTO",
    "on": "LLAMA_FLASH_ATTN_TYPE_ENABLED",
    "off": "LLAMA_FLASH_ATTN_TYPE_DISABLED",
}


class Handle:
    """A ``llama_model``, freed when nothing refers to it any more."""

    def __init__(self, api: Any, address: int) -> None:
        self.address = address
        self.vocabulary: int = api.llama_model_get_vocab(address)
        # Not at exit: a worker may still be using it, and the system takes the memory back.
        weakref.finalize(self, api.llama_model_free, address).atexit = False


class Context:
    """A ``llama_context`` with its sampler chains, freed when it is dropped; keeps the model."""

    def __init__(self, api: Any, address: int, handle: Handle) -> None:
        self.address = address
        self._api = api
        self._chains: list[samplers.NativeChain] = []
        self.free = weakref.finalize(self, _free_context, api, address, self._chains, handle)
        self.free.atexit = False

    def add_chain(self, spec: samplers.SamplerChain, vocabulary: NativeVocabulary) -> tuple[int, int]:
        """Builds a chain that lives as long as the context; addresses of chain and grammar."""
        native = samplers.build_chain(
            spec,
            api=self._api,
            vocabulary=vocabulary.address,
            token_count=vocabulary.token_count,
            context_tokens=self._api.llama_n_ctx(self.address),
        )
        self._chains.append(native)
        return native.chain, native.grammar


def _free_context(api: Any, address: int, chains: list[samplers.NativeChain], handle: Handle) -> None:
    """Frees a context while ``handle``, held by the finalizer, keeps its model."""
    for native in chains:
        samplers.free_chain(native, api)
    api.llama_free(address)


def load_model(api: Any, path: Path, parameters: Any) -> Handle:
    """Opens a model file with the given ``llama_model_params``.

    Raises:
        ModelError: llama.cpp refuses it, with llama.cpp's own reasons or a better one.
    """
    library.recent_errors()
    # llama.cpp takes UTF-8 on Windows, which fsencode gives there.
    address: int | None = api.llama_model_load_from_file(os.fsencode(path), parameters)
    if address:
        return Handle(api, address)
    own_reasons = reasons()
    metadata.explain_refusal(path)
    if parameters.vocab_only:
        hint = "it may be truncated or damaged: copy or download it again"
    else:
        hint = "it may not fit into memory: close other programs, or use a smaller quantization"
    raise ModelError(f"llama.cpp cannot load {path}{own_reasons}", hint=hint)


def create_context(api: Any, handle: Handle, size: EngineSize, *, threads: int) -> Context | None:
    """A context, or ``None`` if llama.cpp cannot make one (:func:`reasons` tells why).

    Args:
        api: The ctypes declarations (:func:`longwriter_edge.library.load`).
        handle: The model, with its weights.
        size: How large; one evaluation may give as many rows of logits as there are sequences.
        threads: CPU threads.
    """
    parameters = api.llama_context_default_params()
    parameters.n_ctx = size.cells
    parameters.n_batch = size.batch_tokens
    parameters.n_ubatch = size.micro_batch_tokens
    parameters.n_seq_max = size.sequences
    if hasattr(parameters, "n_outputs_max"):
        # By default a row of logits for every token of a batch is reserved: 310 MB for GLM-4.
        parameters.n_outputs_max = size.sequences
    parameters.n_threads = parameters.n_threads_batch = threads
    # K and V have one type, which Metal needs.
    parameters.type_k = parameters.type_v = getattr(api, f"GGML_TYPE_{size.kv_type.upper()}")
    parameters.flash_attn_type = getattr(api, _FLASH_ATTENTION[size.flash_attention])
    parameters.offload_kqv = True
    parameters.kv_unified = size.unified
    parameters.no_perf = True
    library.recent_errors()
    address: int | None = api.llama_init_from_model(handle.address, parameters)
    return Context(api, address, handle) if address else None


def reasons() -> str:
    """llama.cpp's own error lines since the last look, for a message."""
    lines = list(dict.fromkeys(library.recent_errors()))
    return "".join(f"\n  llama.cpp: {line}" for line in lines)
