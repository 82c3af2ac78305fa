"""What runs where: processor cores, GPU layers, and a description of both for people."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from longwriter_edge.errors import InputError

#: GGML_MAX_N_THREADS in ggml.h; more make llama.cpp abort.
MAX_THREADS = 512
#: llama.cpp holds the number of layers as a 32-bit integer; no model has nearly as many.
MAX_GPU_LAYERS = 10_000

# What is left free beside weights and KV cache, or a tenth if that is more: llama.cpp's compute buffers take
# some hundred megabytes at 512 tokens a batch, and the system needs to breathe.
_LEAST_MARGIN = 512 * 1024**2

# ggml_backend_dev_type in ggml-backend.h: a GPU with its own memory, and one that shares the host's.
_GPU_TYPES = (1, 2)
# The part of a device's name before its number, for what people call the backend.
_BACKENDS = {
    "MTL": "Metal",
    "METAL": "Metal",
    "CUDA": "CUDA",
    "ROCM": "ROCm",
    "VULKAN": "Vulkan",
    "SYCL": "SYCL",
}


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU that llama.cpp can use: its backend ("Metal", "CUDA") and its own name, which may be empty."""

    backend: str
    name: str


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a model runs.

    Attributes:
        gpu_layers: Layers given to the GPU, 0 for none, ``None`` for all.
        threads: Threads of the parts that run on the CPU.
    """

    gpu_layers: int | None
    threads: int


def placement(gpu_layers: int | None, threads: int | None, *, offload: bool) -> Placement:
    """Checks the two options and fills in what was left open.

    Args:
        gpu_layers: Layers for the GPU; ``None`` for all where the build can offload.
        threads: CPU threads; ``None`` for one a physical core.
        offload: Whether the installed llama.cpp can offload (``llama_supports_gpu_offload``).

    Raises:
        InputError: a number is out of range, or layers are asked for without a GPU build.
    """
    if gpu_layers is not None and not 0 <= gpu_layers <= MAX_GPU_LAYERS:
        raise InputError(
            f"GPU layers must be from 0 to {MAX_GPU_LAYERS:,}, not {gpu_layers}",
            hint="0 keeps the model on the CPU; leave it out for all layers",
        )
    if threads is not None and not 1 <= threads <= MAX_THREADS:
        raise InputError(
            f"threads must be from 1 to {MAX_THREADS}, not {threads}",
            hint=f"leave it out for one a physical core ({physical_cores()} here)",
        )
    if gpu_layers and not offload:
        raise InputError(
            f"{gpu_layers} GPU layers were asked for, but this llama-cpp-python runs on the CPU only",
            hint="leave it out, or reinstall llama-cpp-python with Metal or CUDA",
        )
    chosen = gpu_layers if offload else 0
    return Placement(chosen, physical_cores() if threads is None else threads)


def physical_cores() -> int:
    """Physical cores that this process may use, at least 1.

    Two threads on one core slow llama.cpp down, so the logical ones do not count. The affinity
    (``taskset``, containers) limits them where the system has one.
    """
    import psutil

    cores: int | None = psutil.cpu_count(logical=False)
    if cores is None:
        cores = os.cpu_count() or 1
    affinity = getattr(psutil.Process(), "cpu_affinity", None)
    if affinity is not None:
        # A sandbox can forbid the question; the number of cores still holds.
        with contextlib.suppress(psutil.Error, OSError):
            cores = min(cores, len(affinity()))
    return max(1, min(cores, MAX_THREADS))


def describe(chosen: Placement, layers: int | None, gpus: Sequence[Gpu]) -> str:
    """What runs where, such as ``CPU, 8 threads`` or ``Metal (Apple M1 Max), all 33 layers``.

    Args:
        chosen: Where the model runs.
        layers: Layers of the model with the output layer, ``None`` if unknown.
        gpus: The GPUs of this machine (:func:`gpus`).
    """
    threads = f"{chosen.threads} thread{'s' if chosen.threads != 1 else ''}"
    if chosen.gpu_layers == 0 or not gpus:
        return f"CPU, {threads}"
    whole = chosen.gpu_layers is None or (layers is not None and chosen.gpu_layers >= layers)
    if whole:
        share = f"all {layers} layers" if layers is not None else "all layers"
        return f"{_describe_gpus(gpus)}, {share}"
    share = f"{chosen.gpu_layers} of {layers} layers" if layers is not None else f"{chosen.gpu_layers} layers"
    return f"{_describe_gpus(gpus)}, {share}, the rest on the CPU, {threads}"


def gpus(api: Any) -> tuple[Gpu, ...]:
    """The GPUs that the loaded llama.cpp sees.

    Args:
        api: The ctypes declarations (:func:`longwriter_edge.library.load`).
    """
    if not api.llama_supports_gpu_offload():
        return ()
    try:
        return _listed_gpus(api._lib)
    except AttributeError:
        # Windows finds only llama.cpp's own functions through its handle, not those of ggml.
        return (Gpu("GPU", ""),)


def memory_for_cache(api: Any, chosen: Placement, layers: int | None, model_bytes: int) -> int | None:
    """Bytes that a KV cache can take beside weights that are not read yet, ``None`` if unknown.

    A layer's cache lies where the layer runs, so the part that is filled first sets the bound. On Apple the
    GPU's memory is what Metal lets a process use, about two thirds of it all.

    Args:
        api: The ctypes declarations (:func:`longwriter_edge.library.load`).
        chosen: Where the model runs.
        layers: Layers of the model with the output layer, ``None`` if unknown.
        model_bytes: Bytes of the weights.
    """
    import psutil

    share = 1.0
    if chosen.gpu_layers is not None:
        share = min(1.0, chosen.gpu_layers / layers) if layers else float(chosen.gpu_layers > 0)
    parts = []
    if share > 0:
        parts.append((share, gpu_memory(api)))
    if share < 1:
        parts.append((1 - share, psutil.virtual_memory().available))
    bounds = []
    for part, free in parts:
        if free is None:
            return None
        margin = max(_LEAST_MARGIN, free // 10)
        bounds.append(max(0, int((free - margin - model_bytes * part) / part)))
    return min(bounds)


def gpu_memory(api: Any) -> int | None:
    """Free bytes on all GPUs together, ``None`` if the library does not tell."""
    try:
        memory = _function(
            api._lib,
            "ggml_backend_dev_memory",
            None,
            ctypes.c_void_p,
            ctypes.POINTER(ctypes.c_size_t),
            ctypes.POINTER(ctypes.c_size_t),
        )
        handles = _gpu_handles(api._lib)
    except AttributeError:
        return None
    free, total, sum_of_free = ctypes.c_size_t(), ctypes.c_size_t(), 0
    for handle in handles:
        memory(handle, ctypes.byref(free), ctypes.byref(total))
        sum_of_free += free.value
    # Some drivers answer 0 for what they do not know.
    return sum_of_free or None


def _gpu_handles(library: Any) -> list[int]:
    # Indexing gives function objects of our own, so llama_cpp's declarations stay as they are.
    count = _function(library, "ggml_backend_dev_count", ctypes.c_size_t)
    get = _function(library, "ggml_backend_dev_get", ctypes.c_void_p, ctypes.c_size_t)
    kind = _function(library, "ggml_backend_dev_type", ctypes.c_int, ctypes.c_void_p)
    devices = [get(index) for index in range(count())]
    return [handle for handle in devices if handle and kind(handle) in _GPU_TYPES]


def _listed_gpus(library: Any) -> tuple[Gpu, ...]:
    name = _function(library, "ggml_backend_dev_name", ctypes.c_char_p, ctypes.c_void_p)
    description = _function(library, "ggml_backend_dev_description", ctypes.c_char_p, ctypes.c_void_p)
    return tuple(
        Gpu(_backend(_text(name(handle))), _text(description(handle))) for handle in _gpu_handles(library)
    )


def _function(library: Any, name: str, result: Any, *arguments: Any) -> Any:
    function = library[name]
    function.restype = result
    function.argtypes = list(arguments)
    return function


def _backend(device: str) -> str:
    stem = device.rstrip("0123456789")
    return _BACKENDS.get(stem.upper(), stem or "GPU")


def _describe_gpus(found: Sequence[Gpu]) -> str:
    first = found[0]
    named = f"{first.backend} ({first.name})" if first.name else first.backend
    return named if len(found) == 1 else f"{len(found)} × {named}"


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", errors="replace").strip()
