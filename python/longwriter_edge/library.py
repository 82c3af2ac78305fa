"""The llama.cpp library that llama-cpp-python has loaded: its version, functions, layouts and log.

llama-cpp-python is imported by the first call that needs it, never at import time. Addresses come
from the library that it has loaded; nothing here opens a library by name, since a wheel holds
several copies of it and a second one would have its own, empty state.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import importlib.metadata
import re
from typing import Any, TypeAlias

from longwriter_edge.errors import LibraryError

#: The llama-cpp-python versions that were tested; the same range as in pyproject.toml.
TESTED_RANGE = ">=0.3.36,<0.3.37"
#: What to do about a wrong or missing llama-cpp-python.
INSTALL_HINT = f'install a tested version: pip install "llama-cpp-python{TESTED_RANGE}"'

#: Address, kinds of the arguments, kind of the result.
Function: TypeAlias = tuple[int, list[str], str]
#: Size in bytes, then name, offset and size of each field.
Layout: TypeAlias = tuple[int, list[tuple[str, int, int]]]

_LAYOUTS = ("llama_batch", "llama_token_data", "llama_token_data_array")
# ggml_log_level in ggml.h.
_LOG_ERROR = 4


@functools.cache
def load() -> Any:
    """The module of llama_cpp's ctypes declarations, imported, checked and initialised once.

    The native log callback replaces llama_cpp's own, which takes the GIL for each line.

    Raises:
        LibraryError: llama-cpp-python is missing, cannot be loaded or is outside the tested range.
    """
    try:
        package = importlib.import_module("llama_cpp")
    except ModuleNotFoundError as error:
        if error.name != "llama_cpp":
            raise LibraryError(f"llama-cpp-python cannot be imported: {error}", hint=INSTALL_HINT) from error
        raise LibraryError("llama-cpp-python is not installed", hint=INSTALL_HINT) from error
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        # A wheel for another platform or backend fails while it opens its library.
        raise LibraryError(
            f"llama-cpp-python {_installed_version()} cannot be loaded: {error}",
            hint="reinstall it for this machine: pip install --force-reinstall --no-cache-dir "
            f'"llama-cpp-python{TESTED_RANGE}"',
        ) from error
    check_version(str(package.__version__))
    api = package.llama_cpp
    _install_log(api)
    api.llama_backend_init()
    return api


def check_version(version: str) -> None:
    """Accepts a version of llama-cpp-python inside :data:`TESTED_RANGE`; local suffixes are ignored.

    Raises:
        LibraryError: it is outside, or not a version.
    """
    lowest, beyond = (_release(bound) for bound in TESTED_RANGE.split(","))
    try:
        found = _release(version)
    except ValueError as error:
        raise LibraryError(
            f"llama-cpp-python has no readable version: {version!r}", hint=INSTALL_HINT
        ) from error
    if not lowest <= found < beyond:
        raise LibraryError(
            f"llama-cpp-python {version} is outside the tested range {TESTED_RANGE}", hint=INSTALL_HINT
        )


def functions(api: Any = None) -> dict[str, Function]:
    """Address and signature of each function that the engine calls, as llama_cpp declares it.

    Raises:
        LibraryError: a function is missing.
    """
    from longwriter_edge import _core

    api = load() if api is None else api
    return {name: describe_function(api, name) for name, _, _ in _core.required_functions()}


def layouts(api: Any = None) -> dict[str, Layout]:
    """Size and fields of the structures that the engine mirrors, as llama_cpp declares them.

    Raises:
        LibraryError: a structure is missing.
    """
    api = load() if api is None else api
    return {name: _layout(api, name) for name in _LAYOUTS}


def recent_errors() -> list[str]:
    """The error lines that llama.cpp has logged since the last call, without line ends."""
    from longwriter_edge import _core

    return [text.strip() for level, text in _core.take_log() if level == _LOG_ERROR and text.strip()]


def describe_function(api: Any, name: str) -> Function:
    """Address, argument kinds and result kind of the function ``name`` of llama_cpp.

    Raises:
        LibraryError: there is no such function.
    """
    function: Any = getattr(api, name, None)
    if not hasattr(function, "argtypes"):
        raise LibraryError(
            f"llama-cpp-python {_installed_version()} has no function {name} (tested: {TESTED_RANGE})",
            hint=INSTALL_HINT,
        )
    address = ctypes.cast(function, ctypes.c_void_p).value or 0
    return address, [_kind(argument) for argument in function.argtypes or ()], _kind(function.restype)


def check_argument_count(api: Any, name: str, expected: int) -> None:
    """Checks that ``name`` takes ``expected`` arguments, for functions that changed under the same name.

    Raises:
        LibraryError: it is missing or takes another number of them.
    """
    _, arguments, _ = describe_function(api, name)
    if len(arguments) != expected:
        raise LibraryError(
            f"{name} of llama-cpp-python {_installed_version()} takes {len(arguments)} arguments, "
            f"not {expected} (tested: {TESTED_RANGE})",
            hint=INSTALL_HINT,
        )


def _install_log(api: Any) -> None:
    from longwriter_edge import _core

    # A pointer from an address needs no reference: the function is compiled code of the extension.
    api.llama_log_set(api.llama_log_callback(_core.log_callback_address()), None)


def _layout(api: Any, name: str) -> Layout:
    structure = getattr(api, name, None)
    if structure is None:
        raise LibraryError(
            f"llama-cpp-python {_installed_version()} has no structure {name} (tested: {TESTED_RANGE})",
            hint=INSTALL_HINT,
        )
    fields = [
        (field[0], getattr(structure, field[0]).offset, getattr(structure, field[0]).size)
        for field in structure._fields_
    ]
    return ctypes.sizeof(structure), fields


def _kind(declared: Any) -> str:
    """Name of a ctypes type as :func:`longwriter_edge._core.required_functions` names it."""
    if declared is None:
        return "void"
    if issubclass(declared, ctypes.Structure):
        return f"struct {declared.__name__}"
    code = getattr(declared, "_type_", "P")
    # Pointer types carry the type they point to instead of a code, function types an int of flags.
    if not isinstance(code, str) or code in "zZPO":
        return "pointer"
    if code == "?":
        return "bool"
    family = "f" if code in "fdg" else "i" if code in "bhilqc" else "u"
    return f"{family}{8 * ctypes.sizeof(declared)}"


def _installed_version() -> str:
    try:
        return importlib.metadata.version("llama-cpp-python")
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"


def _release(version: str) -> tuple[int, int, int]:
    match = re.search(r"^[<>=]*(\d+)\.(\d+)\.(\d+)", version)
    if match is None:
        raise ValueError(version)
    major, minor, patch = (int(part) for part in match.groups())
    return major, minor, patch
