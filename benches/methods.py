"""What each method gives on the demo model: speed, tokens read, lengths, repetition.

Writes the same planned documents with each method, all of a method at the same time, with the same seeds. The
demo model is far too small to write well; the figures show how the methods differ, not how good they are.

    python benches/methods.py [--words 600] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import tempfile
from pathlib import Path
from typing import Any, get_args

from environment import environment

from longwriter_edge import Store, Writer, WriteRequest, WrittenDocument
from longwriter_edge.length import length_score
from longwriter_edge.models import find
from longwriter_edge.request import Method

TOPICS = {
    "the history of the Roman Empire": ("The city", "The republic", "The wars", "The emperors", "The end"),
    "a travel guide to China": ("The north", "The rivers", "The coast", "The mountains", "The food"),
    "climate change and the economy": (
        "The causes",
        "The harvests",
        "The cities",
        "The costs",
        "The answers",
    ),
    "a girl who changed the world": (
        "Her childhood",
        "Her first step",
        "Her enemies",
        "Her work",
        "Her legacy",
    ),
}
SHINGLE = 4


def main() -> None:
    """Writes the documents with each method and prints the figures."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--words", type=int, default=600)
    arguments.add_argument("--json", type=Path, help="write the figures here")
    options = arguments.parse_args()
    methods = {method: measure(method, options.words) for method in get_args(Method)}
    workload = f"{len(TOPICS)} documents of {options.words} words in 5 sections, at the same time"
    text = json.dumps({**environment(), "workload": workload, "methods": methods}, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")


def measure(method: Method, words: int) -> dict[str, Any]:
    """The figures of one method."""
    requests = [
        WriteRequest.of(
            f"Write about {topic}",
            words=words,
            seed=number,
            method=method,
            plan=None if method == "direct" else plan(titles, topic, words),
        )
        for number, (topic, titles) in enumerate(TOPICS.items())
    ]
    with (
        tempfile.TemporaryDirectory() as directory,
        Store(Path(directory) / "runs.sqlite3") as store,
        Writer(find(None).path, store) as writer,
    ):
        written = list(writer.write_many(requests))
    documents = [result.document for result in written if result.document is not None]
    assert len(documents) == len(requests), [result.error for result in written]
    usages = [document.usage for document in documents]
    tokens = sum(usage.tokens_written for usage in usages)
    # They are written at the same time, so the longest wall time is that of all.
    seconds = max(document.wall_seconds for document in documents)
    return {
        "tokens_per_second": tokens / seconds,
        "tokens_written": tokens,
        "tokens_read": sum(usage.tokens_read for usage in usages),
        "tokens_read_again": sum(usage.tokens_reread for usage in usages),
        "words": [document.words for document in documents],
        "length_score": statistics.mean(
            length_score(words, document.benchmark_words) for document in documents
        ),
        "repeated_4_grams": statistics.mean(repeated(document) for document in documents),
    }


def plan(titles: tuple[str, ...], topic: str, words: int) -> str:
    """A plan of equal sections."""
    share = words // len(titles)
    return "\n".join(f"{title}: what it means for {topic} ({share} words)" for title in titles)


def repeated(document: WrittenDocument) -> float:
    """Share of the 4-grams of words that stood in the document before."""
    words = re.findall(r"\w+", document.text.lower())
    shingles = list(zip(*(words[offset:] for offset in range(SHINGLE)), strict=False))
    return 1 - len(set(shingles)) / len(shingles) if shingles else 0.0


if __name__ == "__main__":
    main()
