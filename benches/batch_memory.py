"""Memory and load of a batch of many short documents, on the demo model.

Runs ``longwriter-edge batch`` in a process of its own, reads its events, and samples the process's memory
each time a document ends. Reports the peak after the first documents against that of the whole batch, and
the share of time in which the sequences were in use.

    python benches/batch_memory.py [--documents 200] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil
from environment import environment

#: Documents after which the memory has to stay as it is.
WARM_UP = 20
WORDS = 30


def main() -> None:
    """Runs the batch and prints its figures."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--documents", type=int, default=200)
    arguments.add_argument("--json", type=Path, help="write the figures here")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        figures = measure(Path(directory), options.documents)
    result = {**environment(), "workload": f"{options.documents} documents of {WORDS} words", **figures}
    text = json.dumps(result, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")


def measure(directory: Path, documents: int) -> dict[str, Any]:
    """Peak memory in bytes, early and late, and how busy the sequences were."""
    rows = (
        {"prompt": f"Write about day {number}", "words": WORDS, "method": "direct"}
        for number in range(documents)
    )
    source = directory / "in.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    command = [sys.executable, "-c", "from longwriter_edge.cli import main; main()", "batch", str(source)]
    command += ["-o", str(directory / "out.jsonl"), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        memory = psutil.Process(process.pid).memory_info
        early = peak = ended = 0
        last: dict[str, Any] = {}
        for line in process.stdout:
            last = json.loads(line)
            if last["event"] == "run_ended":
                ended += 1
                peak = max(peak, memory().rss)
                if ended == min(WARM_UP, documents):
                    early = peak
    assert last["event"] == "batch_ended", last
    assert last["outcome"] == "complete", last
    assert last["failed"] == 0, last
    return {
        "peak_bytes_after_warm_up": early,
        "peak_bytes": peak,
        "growth": peak / early - 1,
        "sequences_busy": last["busy"],
        "tokens_per_second": last["usage"]["tokens_written"] / last["wall_seconds"],
        "wall_seconds": last["wall_seconds"],
    }


if __name__ == "__main__":
    main()
