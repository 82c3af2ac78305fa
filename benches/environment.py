"""What a measurement depends on: the machine, the versions, the model."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from longwriter_edge.device import physical_cores
from longwriter_edge.models import find


def environment(model: Path | None = None) -> dict[str, Any]:
    """Fields for the head of a result; the demo model if no other is named."""
    return {
        "model": find(model).path.name,
        "machine": f"{platform.machine()}, {physical_cores()} cores, {platform.system()}",
        "versions": {name: version(name) for name in ("longwriter-edge", "llama-cpp-python")},
    }
