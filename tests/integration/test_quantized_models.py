"""Quantized files of tiny models, made by llama.cpp through the command line and the library."""

from __future__ import annotations

import re
from pathlib import Path

import gguf
import numpy
import pytest

import checkpoints
import native_logits
from longwriter_edge import cli
from longwriter_edge.convert import conversion, quantize
from longwriter_edge.convert.inspection import inspect
from longwriter_edge.errors import InputError, ModelError

pytestmark = pytest.mark.integration

# Rows of 256, as K-quants need them.
WIDE = {"hidden_size": 256, "intermediate_size": 512, "rope_scaling": None}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    checkpoints.write_decoder(tmp_path / "wide", WIDE)
    return tmp_path / "wide"


@pytest.fixture
def source(checkpoint: Path, tmp_path: Path) -> Path:
    return conversion.convert(checkpoint, tmp_path / "wide-F32.gguf").path


def test_several_types_come_from_one_source_with_the_sizes_that_were_told(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    assert cli.run(["quantize", str(source), "-t", "q4_k_m,Q8_0", "-o", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().err
    made = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in made] == ["wide-Q4_K_M.gguf", "wide-Q8_0.gguf"]
    for path in made:
        found = inspect(path)
        assert f"{found.bits_per_weight:.2f} bits a weight" in told
        assert found.name == inspect(source).name
    assert inspect(made[0]).types["ffn_gate"] == {"Q4_K": 2}
    tokens = list(range(40))
    exact, near = native_logits.logits(source, tokens), native_logits.logits(made[1], tokens)
    assert float(numpy.abs(exact - near).max()) < 1


def test_tensors_get_the_types_that_were_asked_for(source: Path, tmp_path: Path) -> None:
    options = quantize.Options(
        tensor_types=((r"blk\.1\.ffn_down", "q6_k"),), output_type="F16", embedding_type="Q5_K"
    )
    path = tmp_path / "out.gguf"
    quantize.quantize(source, [("Q4_K_S", path)], options)
    types = {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(path).tensors}
    assert types["blk.1.ffn_down.weight"] == "Q6_K"
    assert types["blk.1.ffn_up.weight"] == "Q4_K"
    assert types["output.weight"] == "F16"
    assert types["token_embd.weight"] == "Q5_K"


def write_imatrix(path: Path, source: Path) -> None:
    writer = gguf.GGUFWriter(path, "none")
    writer.add_type("imatrix")
    for tensor in gguf.GGUFReader(source).tensors:
        if tensor.name.startswith("blk.") and len(tensor.shape) == 2:
            columns = int(tensor.shape[0])
            sums = numpy.geomspace(1e4, 1e-2, columns, dtype=numpy.float32)
            writer.add_tensor(f"{tensor.name}.in_sum2", sums.reshape(1, columns))
            writer.add_tensor(f"{tensor.name}.counts", numpy.full((1, 1), 4, numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_an_importance_matrix_makes_heavy_columns_more_exact(source: Path, tmp_path: Path) -> None:
    write_imatrix(tmp_path / "imatrix.gguf", source)
    plain, weighed = tmp_path / "plain.gguf", tmp_path / "weighed.gguf"
    quantize.quantize(source, [("Q4_K_M", plain)])
    quantize.quantize(source, [("Q4_K_M", weighed)], quantize.Options(imatrix=tmp_path / "imatrix.gguf"))

    def error(path: Path) -> float:
        original = next(
            each for each in gguf.GGUFReader(source).tensors if each.name == "blk.1.ffn_up.weight"
        )
        stored = next(each for each in gguf.GGUFReader(path).tensors if each.name == "blk.1.ffn_up.weight")
        values = gguf.quants.dequantize(stored.data, stored.tensor_type)
        return float(((values - original.data)[:, :64] ** 2).sum())

    assert error(weighed) < error(plain)


def test_types_of_very_few_bits_are_refused_without_importances(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="imatrix"):
        quantize.quantize(source, [("IQ1_S", tmp_path / "out.gguf")])
    assert not list(tmp_path.glob("out*"))


def test_parts_stay_parts(source: Path, tmp_path: Path) -> None:
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(tmp_path / "split.gguf", "llama", split_max_tensors=8)
    for key, field in reader.fields.items():
        if not key.startswith("GGUF") and key != "general.architecture":
            inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(key, field.contents(), field.types[0], sub_type=inner)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    first = next(tmp_path.glob("split-00001-of-*.gguf"))
    quantize.quantize(first, [("Q8_0", tmp_path / "out.gguf")], quantize.Options(keep_split=True))
    made = sorted(path.name for path in tmp_path.glob("out*"))
    assert made == [name.name.replace("split", "out") for name in sorted(tmp_path.glob("split*"))]
    assert len(made) > 1
    assert native_logits.logits(tmp_path / made[0], [1, 2, 3]).shape == (3, 300)


def test_a_checkpoint_is_quantized_by_way_of_a_file_that_is_removed(checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "small.gguf"
    assert cli.run(["quantize", str(checkpoint), "-t", "Q4_K_M", "-o", str(output), "-q"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.gguf", "wide"]
    assert inspect(output).types["attn_q"] == {"Q4_K": 2}


def test_a_dry_run_tells_sizes_and_writes_nothing(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.iterdir())
    assert cli.run(["quantize", str(source), "-t", "Q4_K_M,Q6_K", "--dry-run"]) == 0
    assert re.findall(r"^(\w+): [\d.]+ GB, [\d.]+ bits", capsys.readouterr().err, re.MULTILINE) == [
        "Q4_K_M",
        "Q6_K",
    ]
    assert sorted(tmp_path.iterdir()) == before


def test_an_interrupt_leaves_nothing(source: Path, tmp_path: Path) -> None:
    def interrupt(done: int, total: int, name: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize.quantize(source, [("Q4_K_M", tmp_path / "out.gguf")], progress=interrupt)
    assert not list(tmp_path.glob("out*"))


def test_a_quantized_source_needs_a_word(source: Path, tmp_path: Path) -> None:
    small, smaller = tmp_path / "small.gguf", tmp_path / "smaller.gguf"
    quantize.quantize(source, [("Q8_0", small)])
    with pytest.raises(ModelError, match="requantizing"):
        quantize.quantize(small, [("Q4_K_M", smaller)])
    assert not smaller.exists()
    quantize.quantize(small, [("Q4_K_M", smaller)], quantize.Options(requantize=True))
    assert smaller.exists()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Q9_Z", quantize.Options()),
        ("Q4_K_M", quantize.Options(output_type="Q9_Z")),
        ("Q4_K_M", quantize.Options(tensor_types=(("ffn", "Q9_Z"),))),
        ("Q4_K_M", quantize.Options(imatrix=Path("/no/such/file"))),
    ],
)
def test_what_does_not_exist_is_refused(
    source: Path, tmp_path: Path, name: str, options: quantize.Options
) -> None:
    with pytest.raises(InputError):
        quantize.quantize(source, [(name, tmp_path / "out.gguf")], options)
    assert not list(tmp_path.glob("out*"))


def test_a_source_is_never_replaced_by_its_own_result(source: Path) -> None:
    with pytest.raises(InputError, match="replace itself"):
        quantize.quantize(source, [("Q8_0", source)], force=True)
