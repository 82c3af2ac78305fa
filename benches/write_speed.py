"""Speed of writing one document, against llama-cpp-python's own interface, in one run.

Both sides write the same planned document with the demo model: eight sections of 256 tokens, with
LongWriter's sampling. The baseline is what a user would write with llama-cpp-python: one chat
completion for each section, with instruction, plan and text so far in its prompt, and that library's own
reuse of the common prefix. The sides take turns, so that a machine that slows down slows down both.

    python benches/write_speed.py [--runs 5] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

from longwriter_edge import _core
from longwriter_edge.device import physical_cores
from longwriter_edge.model import Model
from longwriter_edge.models import find
from longwriter_edge.preparation import Preparation, prepare
from longwriter_edge.request import Layout, WriteRequest
from longwriter_edge.settings import SamplingSettings

SECTIONS = 8
SECTION_TOKENS = 256
CONTEXT = 8192
INSTRUCTION = "Write a 1600-word article on the history of the Roman Empire"
POINT = "Period {number} of Roman history, its rulers, wars, trade and daily life in detail"
SAMPLING = SamplingSettings()

Figures: TypeAlias = dict[str, float]


SIDES = ("baseline", "turns", "paper")


def main() -> None:
    """Runs the sides in turn and prints their medians and ratios."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--runs", type=int, default=5)
    arguments.add_argument("--json", type=Path, help="write the figures here")
    arguments.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = arguments.parse_args()
    path = find(None).path
    if options.side:
        print(json.dumps(baseline(path) if options.side == "baseline" else ours(path, options.side)))
        return
    figures: dict[str, list[Figures]] = {side: [] for side in SIDES}
    for number in range(options.runs):
        for side in SIDES:
            figures[side].append(in_own_process(side))
        speeds = (f"{side} {figures[side][-1]['tokens_per_second']:.1f} tokens/s" for side in SIDES)
        print(f"run {number + 1}: {', '.join(speeds)}", file=sys.stderr)
    median = {side: median_of(figures[side], "tokens_per_second") for side in SIDES}
    result = {
        "workload": f"{SECTIONS} sections x {SECTION_TOKENS} tokens, one document",
        "model": path.name,
        "machine": f"{platform.machine()}, {physical_cores()} cores, {platform.system()}",
        "versions": {name: version(name) for name in ("longwriter-edge", "llama-cpp-python")},
        "runs": options.runs,
        "tokens_per_second": {
            side: [figure["tokens_per_second"] for figure in figures[side]] for side in SIDES
        },
        "median": median,
        "ratio_to_baseline": {side: median[side] / median["baseline"] for side in SIDES[1:]},
        "share_of_wall_outside_llama_decode": {
            side: median_of(figures[side], "outside_decode") for side in SIDES[1:]
        },
    }
    text = json.dumps(result, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")


def in_own_process(side: str) -> Figures:
    """The figures of one side, measured in a process of its own.

    In a common one the thread pools that the sides leave behind slow each other down: OpenMP spins less
    where it has more threads than cores.
    """
    command = [sys.executable, __file__, "--side", side]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    figures: Figures = json.loads(output.splitlines()[-1])
    return figures


def median_of(figures: list[Figures], name: str) -> float:
    """The median of one figure."""
    return statistics.median(figure[name] for figure in figures)


def baseline(path: Path) -> Figures:
    """Tokens a second of a plain loop over llama-cpp-python's chat completion."""
    from llama_cpp import Llama

    threads = physical_cores()
    llama = Llama(
        str(path), n_ctx=CONTEXT, n_threads=threads, n_threads_batch=threads, flash_attn=True, verbose=False
    )
    end = llama.token_eos()
    plan = [f"{number + 1}. {POINT.format(number=number + 1)} (200 words)" for number in range(SECTIONS)]
    text = ""
    started = time.perf_counter()
    for step in plan:
        prompt = "\n\n".join([INSTRUCTION, "The plan:", *plan, "Written so far:", text, f"Now write: {step}"])
        pieces = llama.create_chat_completion(
            [{"role": "user", "content": prompt}],
            max_tokens=SECTION_TOKENS,
            temperature=SAMPLING.temperature,
            top_p=SAMPLING.top_p,
            top_k=SAMPLING.top_k,
            min_p=SAMPLING.min_p,
            repeat_penalty=1.0,
            seed=1,
            logit_bias={end: -100.0},
            stream=True,
        )
        text += "".join(piece["choices"][0]["delta"].get("content") or "" for piece in pieces) + "\n\n"
    seconds = time.perf_counter() - started
    llama.close()
    return {"tokens_per_second": SECTIONS * SECTION_TOKENS / seconds}


def ours(path: Path, layout: Layout) -> Figures:
    """Tokens a second of this package, and the share of the wall time outside llama_decode."""
    request = WriteRequest(INSTRUCTION, words=1600, seed=1, layout=layout, sampling=SAMPLING)
    with Model.open(path) as model:
        model.load_weights()
        preparation = prepare(model, request)
        engine = preparation.engine(CONTEXT)
        document = fixed_length_document(preparation)
        started = time.perf_counter()
        number = engine.add(document)
        usage = None
        while usage is None:
            for event in engine.events(0.25):
                if isinstance(event, _core.Event.DocumentEnded):
                    assert event.document == number
                    assert event.fault is None, event.message
                    usage = event.usage
        seconds = time.perf_counter() - started
        engine.close()
    in_decode = usage.prefill_seconds + usage.decode_seconds
    return {
        "tokens_per_second": usage.tokens_written / seconds,
        "outside_decode": 1 - in_decode / seconds,
    }


def fixed_length_document(preparation: Preparation) -> _core.Document:
    """The planned document with sections that end after exactly :data:`SECTION_TOKENS` tokens."""
    sections = [_core.PlanSection("", POINT.format(number=number + 1), 200) for number in range(SECTIONS)]
    tokens = preparation.transcript(_core.Plan("The Roman Empire", sections))
    steps = [
        _core.Step(
            open=opening,
            open_first=first,
            title="",
            floor_words=10 * SECTION_TOKENS,
            max_tokens=SECTION_TOKENS,
        )
        for opening, first in zip(tokens.opens, tokens.opens_first, strict=True)
    ]
    return _core.Document(
        prefix=tokens.prefix,
        steps=steps,
        layout=tokens.layout,
        separators=tokens.separators,
        echoes=[],
        chain=0,
        seed=1,
        stream=0,
        filter_text=False,
    )


if __name__ == "__main__":
    main()
