"""Speed of writing, against llama-cpp-python's own interface, in one run.

All sides write the same planned documents with the demo model and LongWriter's sampling, each section with
exactly so many tokens. The baseline is what a user would write with llama-cpp-python: one chat completion for
each section, with instruction, plan and text so far in its prompt, that library's own reuse of the common
prefix, one document after the other. ``bare`` is a loop of llama_decode without sampling, at the same width
and depth: the speed that cannot be passed. The sides take turns, so that a machine that slows down slows
down all.

    python benches/write_speed.py [--runs 5] [--workload one four eight] [--model GGUF] [--json FILE]

The workload ``large`` is for a model of 8B, such as benches/synthetic_model.py makes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from environment import environment

from longwriter_edge import _core
from longwriter_edge.device import physical_cores
from longwriter_edge.engine_size import EngineSize
from longwriter_edge.model import Model
from longwriter_edge.models import find
from longwriter_edge.preparation import Preparation, prepare
from longwriter_edge.request import WriteRequest
from longwriter_edge.settings import SamplingSettings

INSTRUCTION = "Write a 1600-word article number {number} on the history of the Roman Empire"
TITLE = "Period {number} of Roman history"
POINT = "its rulers, wars, trade and daily life in detail"
SAMPLING = SamplingSettings()
#: The baseline's context, as in its own script.
BASELINE_CONTEXT = 8192

Figures: TypeAlias = dict[str, float]


@dataclass(frozen=True)
class Workload:
    """How much is written: documents, sections of each, tokens of each section."""

    documents: int
    sections: int
    tokens: int

    def __str__(self) -> str:
        return f"{self.documents} documents x {self.sections} sections x {self.tokens} tokens"

    @property
    def written(self) -> int:
        """Tokens in all."""
        return self.documents * self.sections * self.tokens


WORKLOADS = {
    "one": Workload(1, 8, 256),
    "four": Workload(4, 6, 128),
    "eight": Workload(8, 6, 128),
    "large": Workload(1, 4, 64),
}
#: Method and layout of each of our sides.
OURS = {
    "turns": {"method": "agentwrite", "layout": "turns"},
    "paper": {"method": "agentwrite", "layout": "paper"},
    "guided": {"method": "guided"},
    "parallel": {"method": "parallel"},
}
#: The sides of each workload. Each takes minutes, so they are where something can be learnt from them.
SIDES = {
    "one": ("baseline", "turns", "guided", "bare"),
    "four": ("baseline", *OURS, "bare"),
    "eight": ("baseline", "turns", "guided", "bare"),
    "large": ("baseline", "turns", "guided", "bare"),
}


def main() -> None:
    """Runs the sides of each workload in turn and prints their medians and ratios."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--runs", type=int, default=5)
    arguments.add_argument("--workload", nargs="+", choices=WORKLOADS, default=["one", "four", "eight"])
    arguments.add_argument("--model", type=Path, help="the demo model if none is named")
    arguments.add_argument("--json", type=Path, help="write the figures here")
    arguments.add_argument("--side", choices=("baseline", *OURS, "bare"), help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.side:
        print(json.dumps(measure(options.side, WORKLOADS[options.workload[0]], find(options.model).path)))
        return
    model = find(options.model).path
    result = {
        **environment(model),
        "runs": options.runs,
        "workloads": {name: compare(name, options.runs, model) for name in options.workload},
    }
    text = json.dumps(result, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")


def compare(name: str, runs: int, model: Path) -> dict[str, Any]:
    """Figures of the sides of one workload."""
    sides = SIDES[name]
    ours = [side for side in sides if side in OURS]
    figures: dict[str, list[Figures]] = {side: [] for side in sides}
    for number in range(runs):
        for side in sides:
            figures[side].append(in_own_process(side, name, model))
        speeds = (f"{side} {figures[side][-1]['tokens_per_second']:.1f}" for side in sides)
        print(f"{name}, run {number + 1}: {', '.join(speeds)} tokens/s", file=sys.stderr)
    median = {side: median_of(figures[side], "tokens_per_second") for side in sides}
    writing = {side: median_of(figures[side], "writing_tokens_per_second") for side in ours}
    return {
        "workload": str(WORKLOADS[name]),
        "tokens_per_second": {
            side: [figure["tokens_per_second"] for figure in figures[side]] for side in sides
        },
        "median": median,
        "ratio_to_baseline": {side: median[side] / median["baseline"] for side in ours},
        "writing_to_bare_loop": {side: writing[side] / median["bare"] for side in ours},
        "share_of_wall_outside_llama_decode": {
            side: median_of(figures[side], "outside_decode") for side in ours
        },
        "tokens_read_again": {side: figures[side][-1]["tokens_reread"] for side in ours},
    }


def in_own_process(side: str, workload: str, model: Path) -> Figures:
    """The figures of one side, measured in a process of its own.

    In a common one the thread pools that the sides leave behind slow each other down: OpenMP spins less
    where it has more threads than cores.
    """
    command = [sys.executable, __file__, "--workload", workload, "--side", side, "--model", str(model)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    figures: Figures = json.loads(output.splitlines()[-1])
    return figures


def median_of(figures: list[Figures], name: str) -> float:
    """The median of one figure."""
    return statistics.median(figure[name] for figure in figures)


def measure(side: str, workload: Workload, path: Path) -> Figures:
    """The figures of one side, in this process."""
    if side == "baseline":
        return baseline(path, workload)
    if side == "bare":
        return bare(path, workload)
    return ours(path, workload, side)


def baseline(path: Path, workload: Workload) -> Figures:
    """A plain loop over llama-cpp-python's chat completion."""
    from llama_cpp import Llama

    threads = physical_cores()
    llama = Llama(
        str(path),
        n_ctx=BASELINE_CONTEXT,
        n_threads=threads,
        n_threads_batch=threads,
        flash_attn=True,
        verbose=False,
    )
    end = llama.token_eos()
    started = time.perf_counter()
    for document in range(workload.documents):
        instruction = INSTRUCTION.format(number=document)
        titles = (TITLE.format(number=number + 1) for number in range(workload.sections))
        plan = [f"{number}. {title}: {POINT} (200 words)" for number, title in enumerate(titles, start=1)]
        text = ""
        for step in plan:
            parts = [instruction, "The plan:", *plan, "Written so far:", text, f"Now write: {step}"]
            pieces = llama.create_chat_completion(
                [{"role": "user", "content": "\n\n".join(parts)}],
                max_tokens=workload.tokens,
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
    return {"tokens_per_second": workload.written / seconds}


def ours(path: Path, workload: Workload, side: str) -> Figures:
    """This package's engine on the same documents, all of them at once."""
    requests = [
        WriteRequest(INSTRUCTION.format(number=number), words=1600, seed=1, sampling=SAMPLING, **OURS[side])
        for number in range(workload.documents)
    ]
    with Model.open(path) as model:
        model.load_weights()
        preparations = [prepare(model, request) for request in requests]
        documents = [fixed_length_document(preparation, workload) for preparation in preparations]
        cells = max(document.reserve for document in documents)
        sections = workload.sections if side == "parallel" else 1
        sequences = workload.documents * sections
        size = EngineSize(cells=cells * sequences, sequences=sequences, unified=side == "parallel")
        first = preparations[0]
        held = model.engine(size, stop=first.stop_tokens, suppressed=first.suppressed_tokens)
        first.writing_chain(held)
        engine = held.core
        started = time.perf_counter()
        for document in documents:
            engine.add(document)
        usages: list[_core.Usage] = []
        while len(usages) < len(documents):
            for event in engine.events(0.25):
                if isinstance(event, _core.Event.DocumentEnded):
                    assert event.fault is None, event.message
                    usages.append(event.usage)
        seconds = time.perf_counter() - started
        held.close()

    def total(name: str) -> float:
        return sum(getattr(usage, name) for usage in usages)

    decode, prefill = total("decode_seconds"), total("prefill_seconds")
    beside = total("sampling_seconds") + total("other_seconds")
    return {
        "tokens_per_second": total("tokens_written") / seconds,
        "writing_tokens_per_second": total("tokens_written") / (decode + beside),
        "outside_decode": 1 - (decode + prefill) / seconds,
        "tokens_reread": total("tokens_reread"),
    }


def fixed_length_document(preparation: Preparation, workload: Workload) -> _core.Document:
    """The planned document with sections that end after exactly so many tokens."""
    sections = [
        _core.PlanSection(TITLE.format(number=number + 1), POINT, 200) for number in range(workload.sections)
    ]
    tokens = preparation.transcript(_core.Plan("The Roman Empire", sections))
    steps = [
        _core.Step(
            open=opening,
            open_first=first,
            title="",
            floor_words=10 * workload.tokens,
            max_tokens=workload.tokens,
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


def bare(path: Path, workload: Workload) -> Figures:
    """llama_decode alone: one token of each document in a call, from a prompt's depth to the end."""
    import llama_cpp

    prompt, steps, width = 400, workload.sections * workload.tokens, workload.documents
    keep_quiet = llama_cpp.llama_log_callback(lambda *_: None)
    llama_cpp.llama_log_set(keep_quiet, None)
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
    parameters = llama_cpp.llama_context_default_params()
    parameters.n_ctx = width * (-(-(prompt + steps) // 256) * 256)
    parameters.n_batch = parameters.n_ubatch = 512
    parameters.n_seq_max = parameters.n_outputs_max = width
    parameters.n_threads = parameters.n_threads_batch = physical_cores()
    parameters.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_AUTO
    parameters.kv_unified = width == 1
    context = llama_cpp.llama_init_from_model(model, parameters)
    batch = llama_cpp.llama_batch_init(512, 0, 1)

    def evaluate(rows: list[tuple[int, int, int]], *, output: bool) -> None:
        for place, (token, position, sequence) in enumerate(rows):
            batch.token[place], batch.pos[place], batch.logits[place] = token, position, output
            batch.n_seq_id[place], batch.seq_id[place][0] = 1, sequence
        batch.n_tokens = len(rows)
        assert llama_cpp.llama_decode(context, batch) == 0
        if output:
            llama_cpp.llama_get_logits_ith(context, 0)

    for sequence in range(width):
        evaluate([(100 + place % 1000, place, sequence) for place in range(prompt)], output=False)
    llama_cpp.llama_synchronize(context)
    started = time.perf_counter()
    for step in range(steps):
        evaluate([(500 + step % 1000, prompt + step, sequence) for sequence in range(width)], output=True)
    return {"tokens_per_second": width * steps / (time.perf_counter() - started)}


if __name__ == "__main__":
    main()
