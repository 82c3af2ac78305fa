"""Sampling settings: defaults, ranges, and the stored form."""

from __future__ import annotations

import json

import pytest

from longwriter_edge.errors import InputError
from longwriter_edge.settings import SamplingSettings


def test_the_defaults_are_those_of_longwriters_evaluation() -> None:
    settings = SamplingSettings()
    assert (settings.temperature, settings.top_p, settings.top_k) == (0.5, 0.8, 50)
    assert settings.repeat_penalty == 1.0
    assert settings.dry_multiplier == 0.0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", "warm"),
        ("top_p", 1.1),
        ("top_k", -1),
        ("top_k", 1.5),
        ("top_k", True),
        ("repeat_penalty", 0.0),
        ("penalty_window", None),
        ("dry_base", 0.5),
        ("dry_window", -1),
        ("xtc_threshold", 0.6),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(InputError, match=name) as caught:
        SamplingSettings(**{name: value})  # type: ignore[arg-type]
    assert repr(value) in str(caught.value)


def test_settings_survive_json() -> None:
    settings = SamplingSettings(temperature=0, dry_window=4096, min_p=0.05)
    assert SamplingSettings.from_json(json.loads(json.dumps(settings.to_json()))) == settings


@pytest.mark.parametrize("change", [{"heat": 1.0}, {"top_k": None}])
def test_a_damaged_stored_form_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InputError):
        SamplingSettings.from_json({**SamplingSettings().to_json(), **change})


def test_a_stored_form_is_not_filled_up_with_defaults() -> None:
    stored = SamplingSettings().to_json()
    del stored["top_k"]
    with pytest.raises(InputError, match="top_k"):
        SamplingSettings.from_json(stored)
