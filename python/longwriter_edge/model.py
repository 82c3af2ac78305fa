"""A model in llama.cpp: opens the file, loads the weights, makes engines.

A model is opened twice: first its keys and vocabulary, in a fraction of a second, so that everything
that can be refused is refused before gigabytes are read; then, by :meth:`Model.load_weights`, whole.
"""

from __future__ import annotations

import atexit
import functools
import math
import os
import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from longwriter_edge import device, gguf_header, library, metadata, native
from longwriter_edge.engine_settings import MAX_SEQUENCES, MOST_BATCH
from longwriter_edge.engine_size import Capacity, EngineSize, cache_bytes
from longwriter_edge.errors import InputError, LibraryError, ModelError
from longwriter_edge.fit import CONTEXT_STEP
from longwriter_edge.model_engine import ModelEngine
from longwriter_edge.models import check_file
from longwriter_edge.vocabulary import NativeVocabulary

#: Most prompt tokens in an evaluation that also writes. Half a batch is read nearly as fast as a whole one
#: and stalls the text half as long.
PROMPT_CHUNK = 256


class Model:
    """A model file opened in llama.cpp; a context manager. Made by :meth:`open`.

    Attributes:
        path: The file.
        metadata: The keys of the GGUF file with their values as text; arrays are left out.
        vocabulary: The tokens; valid until the model is closed.
        size: Bytes of all tensors.
        placement: What runs on the GPU and with how many threads.
    """

    def __init__(self, path: Path, api: Any, handle: native.Handle, placement: device.Placement) -> None:
        self.path = path
        self.metadata = metadata.read_metadata(api, handle.address)
        metadata.check_usable(path, self.metadata, api, handle.address)
        self.placement = placement
        self.size: int = api.llama_model_size(handle.address)
        self.vocabulary = NativeVocabulary(api, handle)
        self._api = api
        self._handle: native.Handle | None = handle
        self._loaded = False
        # An engine keeps the native model, never this object: no cycle, and dropping a model whose
        # engine is in use frees nothing that is needed.
        self._engines: list[ModelEngine] = []
        _OPEN.add(self)

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], *, gpu_layers: int | None = None, threads: int | None = None
    ) -> Model:
        """Opens the keys and the vocabulary of a GGUF file.

        Args:
            path: The file; of a split model its first part.
            gpu_layers: Layers to run on the GPU; ``None`` for all where llama.cpp can offload.
            threads: CPU threads; ``None`` for one a physical core.

        Raises:
            ModelError: the file cannot be read, is damaged, or holds no model that generates text.
            InputError: ``gpu_layers`` or ``threads`` is out of range.
            LibraryError: llama-cpp-python is missing or outside the tested range.
        """
        file = Path(path)
        check_file(file)
        api = library.load()
        placement = device.placement(gpu_layers, threads, offload=bool(api.llama_supports_gpu_offload()))
        parameters = api.llama_model_default_params()
        parameters.vocab_only = True
        return cls(file, api, native.load_model(api, file, parameters), placement)

    def load_weights(self) -> None:
        """Reads the weights, onto the GPU where one is used. Later calls do nothing.

        Raises:
            ModelError: llama.cpp cannot load them, most often for want of memory.
        """
        self._native()
        if self._loaded:
            return
        _ = self._memory_beside_weights
        parameters = self._api.llama_model_default_params()
        layers = self.placement.gpu_layers
        # A negative number means all of them (llama_model_params in llama.h).
        parameters.n_gpu_layers = -1 if layers is None else layers
        self._handle = native.load_model(self._api, self.path, parameters)
        self.vocabulary.bind(self._handle)
        self._loaded = True

    @property
    def name(self) -> str:
        """The model's own name, else the file's."""
        return self.metadata.get("general.name", "").strip() or self.path.stem

    @property
    def architecture(self) -> str:
        """llama.cpp's name of the architecture, such as ``llama`` or ``chatglm``."""
        return self.metadata.get("general.architecture", "")

    @property
    def trained_context(self) -> int:
        """Tokens of context that the model was trained on.

        Raises:
            ModelError: the file does not tell.
        """
        tokens = metadata.integer(self.metadata, f"{self.architecture}.context_length")
        if tokens is None:
            raise ModelError(
                f"{self.path} does not tell its context length ({self.architecture}.context_length)",
                hint="get another GGUF file of the model",
            )
        return tokens

    @property
    def chat_template(self) -> str | None:
        """The file's own Jinja template. Untrusted."""
        return self.metadata.get("tokenizer.chat_template")

    @property
    def layers(self) -> int | None:
        """Layers as llama.cpp counts them for offloading: the blocks and the output layer."""
        blocks = metadata.integer(self.metadata, f"{self.architecture}.block_count")
        return None if blocks is None else blocks + 1

    @property
    def device(self) -> str:
        """What runs where, such as ``CPU, 8 threads``."""
        return device.describe(self.placement, self.layers, device.gpus(self._api))

    @functools.cached_property
    def kv_bytes_per_token(self) -> int | None:
        """Bytes of KV cache a token in F16; see :func:`longwriter_edge.metadata.kv_bytes_per_token`."""
        return metadata.kv_bytes_per_token(self.metadata, self._array)

    @functools.cached_property
    def fingerprint(self) -> str:
        """A stable identity of the file's content, to tell whether a run can continue with it.

        32 hex digits over the file's size, the metadata and samples of its bytes: about a megabyte is
        read, whatever the size. Two quantizations or fine-tunes differ in it; a copy, a new name or a
        new time does not. Of a split model only the first part is sampled.

        Raises:
            ModelError: the file cannot be read any more.
        """
        try:
            return metadata.fingerprint(self.path, self.metadata)
        except OSError as error:
            raise ModelError(f"the model {self.path} cannot be read: {error.strerror or error}") from error

    @property
    def capacity(self) -> Capacity:
        """What there is to hold a context."""
        return Capacity(
            trained_context=self.trained_context,
            kv_bytes_per_token=self.kv_bytes_per_token,
            model_bytes=self.size,
            memory_bytes=self._memory_beside_weights,
            on_gpu=self.placement.gpu_layers != 0,
            threads=self.placement.threads,
        )

    @functools.cached_property
    def _memory_beside_weights(self) -> int | None:
        # Measured once, before the weights are read. Afterwards Linux still counts the mapped file as memory
        # that it can give away, and macOS does not; to give it away would read the weights anew for each
        # token.
        return device.memory_for_cache(self._api, self.placement, self.layers, self.size)

    def engine(self, size: EngineSize, *, stop: Sequence[int], suppressed: Sequence[int]) -> ModelEngine:
        """An engine on a new context; loads the weights first if that has not been done.

        Closing the engine, or the model, frees the context. The weights stay until both are gone.

        Args:
            size: How large the context is made (:func:`longwriter_edge.engine_size.choose`), with no more
                cells for each sequence than the model was trained on. llama.cpp rounds the cells of each
                part up to a multiple of 256.
            stop: Tokens that end a section.
            suppressed: Tokens that are never sampled.

        Raises:
            InputError: a number is out of range.
            ModelError: there is not enough memory.
            LibraryError: the library is not as expected.
        """
        from longwriter_edge import _core

        _check_range("the number of sequences", size.sequences, MAX_SEQUENCES)
        _check_range("the context", size.cells, _padded(self.trained_context) * size.sequences)
        _check_range("the batch", size.batch_tokens, MOST_BATCH)
        _check_range("the micro-batch", size.micro_batch_tokens, size.batch_tokens)
        self.load_weights()
        api = self._api
        context = self._create_context(size)
        try:
            core = _core.Engine.llama(
                functions=library.functions(api),
                layouts=library.layouts(api),
                context=context.address,
                vocabulary=self.vocabulary.address,
                batch_tokens=api.llama_n_batch(context.address),
                prompt_chunk=min(PROMPT_CHUNK, api.llama_n_batch(context.address)),
                sequences=size.sequences,
                cells=api.llama_n_ctx(context.address),
                cells_per_sequence=min(api.llama_n_ctx_seq(context.address), _padded(self.trained_context)),
                shared_cells=size.unified,
                stop=list(stop),
                suppressed=list(suppressed),
                owner=context,
            )
        except _core.LibraryMismatch as error:
            context.free()
            raise LibraryError(str(error), hint=library.INSTALL_HINT) from error
        except BaseException:
            context.free()
            raise
        vocabulary = self.vocabulary
        engine = ModelEngine(core, lambda spec: context.add_chain(spec, vocabulary), context.free)
        self._engines.append(engine)
        return engine

    def close(self) -> None:
        """Closes the engines and frees the model. Idempotent."""
        for engine in self._engines:
            engine.close()
        self._engines.clear()
        self.vocabulary.bind(None)
        self._handle = None

    def __enter__(self) -> Model:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _native(self) -> native.Handle:
        if self._handle is None:
            raise ModelError(f"the model {self.path} has been closed")
        return self._handle

    def _create_context(self, size: EngineSize) -> native.Context:
        # llama.cpp divides the cells of a split cache, and pads each part.
        parts = 1 if size.unified else size.sequences
        size = replace(size, cells=_padded(math.ceil(size.cells / parts)) * parts)
        context = native.create_context(self._api, self._native(), size, threads=self.placement.threads)
        if context is None:
            smaller = {"f16": "q8_0", "q8_0": "q4_0"}.get(size.kv_type)
            hint = "close other programs, ask for fewer words"
            hint += ", use fewer --sequences" if size.sequences > 1 else ""
            hint += f", use --kv-type {smaller}" if smaller else ""
            raise ModelError(
                f"no context of {size.cells:,} tokens can be created for {self.name}"
                f"{self._memory(size)}{native.reasons()}",
                hint=f"{hint}, give fewer layers to the GPU, or use a smaller quantization",
            )
        return context

    def _memory(self, size: EngineSize) -> str:
        """What the KV cache and the weights take, for a message."""
        each = self.kv_bytes_per_token
        if each is None:
            return ""
        cache = cache_bytes(each, size.kv_type, size.cells) / 1e9
        free = self._memory_beside_weights
        known = "" if free is None else f", for which {free / 1e9:,.1f} GB were free"
        return (
            f"; its KV cache takes {cache:,.1f} GB in {size.kv_type}{known}, "
            f"beside {self.size / 1e9:,.1f} GB of weights"
        )

    def _array(self, key: str) -> tuple[int, ...]:
        try:
            value = gguf_header.read_keys(self.path, (key,)).get(key, ())
        except (gguf_header.HeaderError, OSError):
            return ()
        return tuple(int(number) for number in value) if isinstance(value, tuple) else ()


def _padded(tokens: int) -> int:
    return math.ceil(tokens / CONTEXT_STEP) * CONTEXT_STEP


def _check_range(what: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise InputError(f"{what} must be from 1 to {most:,}, not {value:,}")


_OPEN: weakref.WeakSet[Model] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    # Some backends abort at exit if something was not freed, so what was left open is closed.
    for model in list(_OPEN):
        model.close()
