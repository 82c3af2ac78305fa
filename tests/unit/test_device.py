"""What runs where: checks of the options and the words for it."""

from __future__ import annotations

import os
from types import SimpleNamespace

import psutil
import pytest

from longwriter_edge import device
from longwriter_edge.device import Gpu, Placement
from longwriter_edge.errors import InputError


def test_everything_goes_to_the_gpu_where_there_is_one() -> None:
    assert device.placement(None, 4, offload=True) == Placement(None, 4)


def test_nothing_goes_to_the_gpu_of_a_cpu_build() -> None:
    assert device.placement(None, 4, offload=False) == Placement(0, 4)
    assert device.placement(0, 4, offload=False) == Placement(0, 4)


def test_gpu_layers_without_a_gpu_build_are_refused() -> None:
    with pytest.raises(InputError, match="12 GPU layers"):
        device.placement(12, 4, offload=False)


@pytest.mark.parametrize("layers", [-1, 10_001])
def test_impossible_gpu_layers_are_refused_with_the_value(layers: int) -> None:
    with pytest.raises(InputError, match=str(layers)):
        device.placement(layers, None, offload=True)


@pytest.mark.parametrize("threads", [0, -3, 513])
def test_impossible_threads_are_refused_with_the_value(threads: int) -> None:
    with pytest.raises(InputError, match=str(threads)):
        device.placement(None, threads, offload=True)


def test_threads_default_to_the_physical_cores() -> None:
    assert device.placement(None, None, offload=True).threads == device.physical_cores()


@pytest.mark.parametrize(
    ("physical", "allowed", "expected"), [(8, 16, 8), (8, 3, 3), (1, 1, 1), (None, 2, 2), (2048, 4096, 512)]
)
def test_cores_are_physical_ones_that_the_process_may_use(
    monkeypatch: pytest.MonkeyPatch, physical: int | None, allowed: int, expected: int
) -> None:
    process = SimpleNamespace(cpu_affinity=lambda: list(range(allowed)))
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: physical)
    monkeypatch.setattr(psutil, "Process", lambda: process)
    monkeypatch.setattr(os, "cpu_count", lambda: allowed)
    assert device.physical_cores() == expected


def test_systems_without_affinity_count_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 10)
    monkeypatch.setattr(psutil, "Process", SimpleNamespace)
    assert device.physical_cores() == 10


METAL = (Gpu("Metal", "Apple M1 Max"),)


@pytest.mark.parametrize(
    ("chosen", "layers", "gpus", "expected"),
    [
        (Placement(0, 2), 33, (), "CPU, 2 threads"),
        (Placement(0, 1), 33, METAL, "CPU, 1 thread"),
        (Placement(None, 8), 33, (), "CPU, 8 threads"),
        (Placement(None, 8), 33, METAL, "Metal (Apple M1 Max), all 33 layers"),
        (Placement(99, 8), 33, METAL, "Metal (Apple M1 Max), all 33 layers"),
        (
            Placement(20, 8),
            33,
            METAL,
            "Metal (Apple M1 Max), 20 of 33 layers, the rest on the CPU, 8 threads",
        ),
        (Placement(None, 8), None, (Gpu("CUDA", ""),) * 2, "2 × CUDA, all layers"),
    ],
)
def test_the_description_says_what_runs_where(
    chosen: Placement, layers: int | None, gpus: tuple[Gpu, ...], expected: str
) -> None:
    assert device.describe(chosen, layers, gpus) == expected


class Exported:
    """A library handle whose functions are found by index, as those of ctypes."""

    def __init__(self, devices: list[tuple[bytes, bytes, int]], free: int = 0) -> None:
        def memory(handle: int, free_bytes: object, total_bytes: object) -> None:
            free_bytes._obj.value = free  # type: ignore[attr-defined]

        self.functions = {
            "ggml_backend_dev_memory": memory,
            "ggml_backend_dev_count": lambda: len(devices),
            "ggml_backend_dev_get": lambda index: index + 1,
            "ggml_backend_dev_type": lambda handle: devices[handle - 1][2],
            "ggml_backend_dev_name": lambda handle: devices[handle - 1][0],
            "ggml_backend_dev_description": lambda handle: devices[handle - 1][1],
        }

    def __getitem__(self, name: str) -> object:
        try:
            return self.functions[name]
        except KeyError:
            raise AttributeError(name) from None


def test_gpus_are_listed_by_backend_and_name_without_the_cpu() -> None:
    exported = Exported([(b"CUDA0", b"NVIDIA H100", 1), (b"MTL0", b"Apple M2", 2), (b"CPU", b"Some CPU", 0)])
    api = SimpleNamespace(llama_supports_gpu_offload=lambda: True, _lib=exported)
    assert device.gpus(api) == (Gpu("CUDA", "NVIDIA H100"), Gpu("Metal", "Apple M2"))


def test_a_gpu_whose_name_cannot_be_asked_is_still_a_gpu() -> None:
    exported = Exported([])
    exported.functions.clear()
    api = SimpleNamespace(llama_supports_gpu_offload=lambda: True, _lib=exported)
    assert device.gpus(api) == (Gpu("GPU", ""),)


def test_a_cpu_build_has_no_gpus() -> None:
    assert device.gpus(SimpleNamespace(llama_supports_gpu_offload=lambda: False)) == ()


GB = 10**9


def api_with(free: int, gpus: int = 1) -> SimpleNamespace:
    devices = [(b"CUDA0", b"", 1)] * gpus + [(b"CPU", b"", 0)]
    return SimpleNamespace(llama_supports_gpu_offload=lambda: True, _lib=Exported(devices, free))


@pytest.fixture
def ten_gb_available(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10 * GB))


@pytest.mark.usefixtures("ten_gb_available")
@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        # A tenth is left free: 10 - 1 - 5 on the CPU, 20 - 2 - 5 on the GPU.
        (0, 4 * GB),
        (None, 13 * GB),
        (33, 13 * GB),
        # A third of the layers is left to the CPU, with a third of weights and cache; the GPU is full first:
        # (18 - 5 * 2/3) / (2/3).
        (22, 22 * GB),
    ],
)
def test_memory_is_what_is_left_beside_weights_and_a_margin(layers: int | None, expected: int) -> None:
    assert device.memory_for_cache(api_with(20 * GB), Placement(layers, 2), 33, 5 * GB) == pytest.approx(
        expected
    )


@pytest.mark.usefixtures("ten_gb_available")
def test_weights_beyond_the_memory_leave_none() -> None:
    assert device.memory_for_cache(api_with(20 * GB), Placement(0, 2), 33, 50 * GB) == 0


def test_the_memory_of_all_gpus_counts_and_that_of_the_cpu_does_not() -> None:
    assert device.gpu_memory(api_with(3 * GB, gpus=2)) == 6 * GB


def test_memory_that_the_library_does_not_tell_is_unknown() -> None:
    silent = api_with(3 * GB)
    del silent._lib.functions["ggml_backend_dev_memory"]
    assert device.gpu_memory(silent) is None
    assert device.gpu_memory(api_with(0)) is None
    assert device.memory_for_cache(silent, Placement(None, 2), 33, GB) is None
