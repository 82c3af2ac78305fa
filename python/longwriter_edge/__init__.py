"""Writes long documents offline on one's own machine, section by section, on llama.cpp.

The public interface: :class:`Writer` writes documents, :class:`WriteRequest` says what is wanted,
:class:`WrittenDocument` is what comes of it, :mod:`longwriter_edge.events` what a run tells,
:mod:`longwriter_edge.errors` what can go wrong. docs/python.md shows how they go together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from longwriter_edge.engine_settings import EngineSettings
    from longwriter_edge.model import Model
    from longwriter_edge.request import WriteRequest
    from longwriter_edge.result import Written, WrittenDocument
    from longwriter_edge.settings import SamplingSettings
    from longwriter_edge.store import Store
    from longwriter_edge.writer import Writer

__all__ = [
    "EngineSettings",
    "Model",
    "SamplingSettings",
    "Store",
    "WriteRequest",
    "Writer",
    "Written",
    "WrittenDocument",
    "__version__",
]

_HOMES = {
    "EngineSettings": "engine_settings",
    "Model": "model",
    "SamplingSettings": "settings",
    "Store": "store",
    "WriteRequest": "request",
    "Writer": "writer",
    "Written": "result",
    "WrittenDocument": "result",
}


def __getattr__(name: str) -> Any:
    # On first use, so that importing the package, which the command line's --help does, costs nothing.
    from importlib import import_module

    if name == "__version__":
        return import_module("longwriter_edge._core").__version__
    if name in _HOMES:
        return getattr(import_module(f"longwriter_edge.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
