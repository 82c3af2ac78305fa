"""The library's version, functions and layouts, read from ctypes declarations."""

from __future__ import annotations

import ctypes
import importlib.metadata
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from longwriter_edge import library
from longwriter_edge.errors import LibraryError

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def declared(arguments: list[object], result: object) -> SimpleNamespace:
    function = ctypes.CFUNCTYPE(None)(lambda: None)
    function.argtypes = arguments
    function.restype = result
    return SimpleNamespace(llama_thing=function)


def test_the_tested_range_is_the_one_that_is_installed() -> None:
    assert f'"llama-cpp-python{library.TESTED_RANGE}"' in PYPROJECT.read_text(encoding="utf-8")


@pytest.mark.parametrize("version", ["0.3.36", "0.3.36+cu124", "0.3.36.post1"])
def test_builds_of_a_tested_version_are_accepted(version: str) -> None:
    library.check_version(version)


@pytest.mark.parametrize("version", ["0.3.35", "0.3.37", "0.4.0", "1.0.0", "0.2.99", "unknown", ""])
def test_other_versions_are_refused_with_found_tested_and_what_to_install(version: str) -> None:
    with pytest.raises(LibraryError) as caught:
        library.check_version(version)
    assert version in str(caught.value)
    assert library.TESTED_RANGE in (caught.value.hint or "")


def test_argument_and_result_kinds_are_named_after_size_and_sign() -> None:
    class Batch(ctypes.Structure):
        _fields_ = (("n", ctypes.c_int32),)

    callback = ctypes.CFUNCTYPE(None, ctypes.c_int)
    api = declared(
        [
            ctypes.c_void_p,
            ctypes.c_char_p,
            ctypes.POINTER(ctypes.c_float),
            callback,
            ctypes.c_int32,
            ctypes.c_uint32,
            ctypes.c_size_t,
            ctypes.c_bool,
            ctypes.c_float,
            Batch,
        ],
        None,
    )
    address, arguments, result = library.describe_function(api, "llama_thing")
    assert address != 0
    assert arguments == [
        *["pointer"] * 4,
        "i32",
        "u32",
        f"u{8 * ctypes.sizeof(ctypes.c_size_t)}",
        "bool",
        "f32",
        "struct Batch",
    ]
    assert result == "void"


def test_a_missing_function_is_named() -> None:
    with pytest.raises(LibraryError, match="no function llama_gone"):
        library.describe_function(SimpleNamespace(), "llama_gone")


def test_a_python_stand_in_for_a_missing_symbol_counts_as_missing() -> None:
    with pytest.raises(LibraryError, match="no function llama_thing"):
        library.describe_function(SimpleNamespace(llama_thing=lambda: None), "llama_thing")


def test_another_number_of_arguments_under_the_same_name_is_refused() -> None:
    api = declared([ctypes.c_int32, ctypes.c_float], ctypes.c_void_p)
    library.check_argument_count(api, "llama_thing", 2)
    with pytest.raises(LibraryError, match=r"llama_thing .* takes 2 arguments, not 5"):
        library.check_argument_count(api, "llama_thing", 5)


def test_a_missing_structure_is_named() -> None:
    with pytest.raises(LibraryError, match="no structure llama_batch"):
        library.layouts(SimpleNamespace())


def test_every_function_of_the_engine_is_found_with_the_signature_it_expects() -> None:
    from longwriter_edge import _core

    found = library.functions()
    for name, arguments, result in _core.required_functions():
        address, found_arguments, found_result = found[name]
        assert address != 0
        assert (found_arguments, found_result) == (arguments, result), name


def test_layouts_have_fields_in_order_inside_their_size() -> None:
    layouts = library.layouts()
    assert set(layouts) == {"llama_batch", "llama_token_data", "llama_token_data_array"}
    for size, fields in layouts.values():
        ends = [offset + length for _, offset, length in fields]
        starts = [offset for _, offset, _ in fields]
        assert all(end <= start for end, start in zip(ends, [*starts[1:], size], strict=True))


def test_loading_prints_nothing_and_leaves_no_python_log_callback() -> None:
    script = (
        "import ctypes\n"
        "from longwriter_edge import _core, library\n"
        "api = library.load()\n"
        "callback, data = api.llama_log_callback(), ctypes.c_void_p()\n"
        "api.llama_log_get(ctypes.byref(callback), ctypes.byref(data))\n"
        "assert ctypes.cast(callback, ctypes.c_void_p).value == _core.log_callback_address()\n"
        "api.llama_model_load_from_file(b'no such file', api.llama_model_default_params())\n"
        "assert library.recent_errors(), 'the error was not kept'\n"
        "assert not library.recent_errors(), 'the error was handed out twice'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_importing_the_modules_loads_neither_llama_cpp_nor_numpy() -> None:
    script = (
        "import sys\n"
        "from longwriter_edge import device, fit, library, model, models, samplers\n"
        "sys.exit(bool({'llama_cpp', 'numpy', 'psutil'} & set(sys.modules)))\n"
    )
    assert subprocess.run([sys.executable, "-c", script], timeout=120, check=False).returncode == 0


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    with pytest.raises(LibraryError, match="llama-cpp-python") as caught:
        library.load.__wrapped__()
    assert "pip install" in (caught.value.hint or "")


def test_a_library_that_cannot_be_opened_is_told_with_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> object:
        raise RuntimeError("Failed to load shared library")

    monkeypatch.setattr(library.importlib, "import_module", fail)
    with pytest.raises(LibraryError) as caught:
        library.load.__wrapped__()
    assert importlib.metadata.version("llama-cpp-python") in str(caught.value)
    assert "Failed to load shared library" in str(caught.value)
