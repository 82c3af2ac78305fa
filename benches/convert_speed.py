"""Converts a synthetic checkpoint and copies the same bytes: seconds, MB/s and peak memory, side by side.

    python benches/convert_speed.py --layers 4 --width 2048      # about 1 GB
    python benches/convert_speed.py --layers 32 --width 4096     # the 8B shape of Llama 3.1, 16 GB

The weights are BF16 in four shards. The machine's page cache decides much, so both are run in turn.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import checkpoints

SHARDS = 4


def main() -> None:
    """Writes the checkpoint, then measures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--vocabulary", type=int, default=128256)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name) / "model"
        directory.mkdir()
        size = write_checkpoint(directory, arguments.layers, arguments.width, arguments.vocabulary)
        print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}")
        print(f"{size / 1e9:.2f} GB of BF16 in {SHARDS} shards")
        for run in range(arguments.runs):
            copied, _ = measured(["cp", "-r", str(directory), f"{name}/copy"])
            shutil.rmtree(f"{name}/copy")
            command = [sys.executable, "-c", "from longwriter_edge.cli import main; main()"]
            command += ["convert", str(directory), "-o", f"{name}/out.gguf", "--force", "--quiet"]
            seconds, memory = measured(command)
            print(
                f"run {run + 1}: cp {copied:.1f} s, convert {seconds:.1f} s "
                f"({size / seconds / 1e6:.0f} MB/s), {seconds / copied:.2f} times cp, "
                f"peak of all runs {memory / 1e6:,.0f} MB"
            )


def measured(command: list[str]) -> tuple[float, int]:
    """Seconds, and the largest memory in bytes that any child has had so far."""
    started = time.perf_counter()
    subprocess.run(command, check=True)
    # Kilobytes, but bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return time.perf_counter() - started, peak * unit


def write_checkpoint(directory: Path, layers: int, width: int, vocabulary: int) -> int:
    """A Llama with random weights; bytes of all tensors."""
    heads = width // 128
    config = checkpoints.LLAMA_CONFIG | {
        "hidden_size": width,
        "intermediate_size": width * 7 // 2,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": max(heads // 4, 1),
        "vocab_size": vocabulary,
    }
    checkpoints.write_json(directory / "config.json", config)
    ranks = checkpoints.train_ranks(checkpoints.CORPUS, 20)
    checkpoints.write_glm_tokenizer_json(directory, ranks, ignore_merges=True)
    shapes = list(checkpoints.decoder_shapes(config).items())
    weight_map, total = {}, 0
    for number in range(SHARDS):
        name = f"model-{number + 1:05}-of-{SHARDS:05}.safetensors"
        part = dict(shapes[number * len(shapes) // SHARDS : (number + 1) * len(shapes) // SHARDS])
        total += write_shard(directory / name, part)
        weight_map |= dict.fromkeys(part, name)
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return total


def write_shard(path: Path, shapes: dict[str, tuple[int, ...]]) -> int:
    """One file, written tensor by tensor; bytes of its tensors."""
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 2 * int(numpy.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    generator = numpy.random.default_rng(1)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for shape in shapes.values():
            row = generator.standard_normal(shape[-1], dtype=numpy.float32).view("<u4") >> 16
            # One row again and again: the time is that of moving bytes, not of making them.
            rows = int(numpy.prod(shape[:-1])) if len(shape) > 1 else 1
            block = numpy.tile(row.astype("<u2"), (min(rows, 1024), 1))
            for first in range(0, rows, 1024):
                file.write(block[: min(1024, rows - first)].tobytes())
    return end


if __name__ == "__main__":
    main()
