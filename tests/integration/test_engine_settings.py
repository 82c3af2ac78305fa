"""Engines of every kind on the demo model: each writes, and takes chains while it lives."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from longwriter_edge import _core
from longwriter_edge.engine_settings import EngineSettings
from longwriter_edge.engine_size import Demand, choose
from longwriter_edge.errors import ModelError
from longwriter_edge.model import Model
from longwriter_edge.model_engine import ModelEngine
from longwriter_edge.samplers import GrammarError, SamplerChain
from longwriter_edge.settings import SamplingSettings

pytestmark = pytest.mark.integration

PLAIN = SamplerChain(SamplingSettings())
DEMAND = Demand(documents=2, parallel_sections=1, document_cells=256, total_cells=None, shares_prefix=False)


@pytest.fixture(scope="module")
def model(demo_model_path: Path) -> Iterator[Model]:
    with Model.open(demo_model_path, threads=1) as opened:
        yield opened


def make(model: Model, settings: EngineSettings) -> ModelEngine:
    size = choose(settings, DEMAND, model.capacity)
    vocabulary = model.vocabulary
    return model.engine(size, stop=vocabulary.end_ids, suppressed=vocabulary.control_ids)


def write(model: Model, engine: ModelEngine, chain: int, documents: int = 1) -> str:
    prompt = model.vocabulary.tokenize("The harbour was", special=False)
    for _ in range(documents):
        step = _core.Step(open=prompt, title="", floor_words=0, max_tokens=12)
        engine.core.add(
            _core.Document(
                prefix=prompt, steps=[step], layout="turns", echoes=[], chain=chain, seed=1, stream=0
            )
        )
    text, ended = "", 0
    deadline = time.monotonic() + 120
    while ended < documents:
        assert time.monotonic() < deadline, "the documents did not end"
        for event in engine.core.events(0.1):
            match event:
                case _core.Event.Text() | _core.Event.SectionEnded():
                    text += event.text
                case _core.Event.DocumentEnded():
                    assert event.fault is None, event.message
                    ended += 1
    return text


@pytest.mark.parametrize("layout", ["unified", "split"])
@pytest.mark.parametrize("kv_type", ["f16", "q8_0", "q4_0"])
def test_each_type_and_layout_of_the_cache_writes(model: Model, kv_type, layout) -> None:
    engine = make(model, EngineSettings(kv_type=kv_type, kv_layout=layout))
    assert write(model, engine, engine.chain(PLAIN), documents=2).strip()
    engine.close()


@pytest.mark.parametrize("flash_attention", ["on", "off"])
def test_it_writes_with_and_without_flash_attention(model: Model, flash_attention) -> None:
    settings = EngineSettings(flash_attention=flash_attention, batch_tokens=64, micro_batch_tokens=32)
    engine = make(model, settings)
    assert write(model, engine, engine.chain(PLAIN)).strip()
    engine.close()


def test_a_living_engine_takes_more_chains(model: Model) -> None:
    engine = make(model, EngineSettings())
    plain = engine.chain(PLAIN)
    write(model, engine, plain)
    only = SamplerChain(SamplingSettings(), 'root ::= "yes"')
    assert engine.chain(only) != plain
    assert write(model, engine, engine.chain(only)).strip() == "yes"
    with pytest.raises(GrammarError):
        engine.chain(SamplerChain(SamplingSettings(), "root ::= ("))
    assert engine.chain(SamplerChain(SamplingSettings())) == plain
    engine.close()
    engine.close()
    with pytest.raises(ModelError, match="closed"):
        engine.chain(PLAIN)


def test_the_memory_beside_the_weights_is_known_on_a_cpu(demo_model_path: Path) -> None:
    import psutil

    with Model.open(demo_model_path, gpu_layers=0) as model:
        capacity = model.capacity
        assert not capacity.on_gpu
        assert capacity.memory_bytes is not None
        assert 0 <= capacity.memory_bytes < psutil.virtual_memory().total - model.size
        model.load_weights()
        assert model.capacity == capacity, "measured once"
