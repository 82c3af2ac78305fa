"""A scripted document for tests of the command line: what the fake model says, and what comes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

INSTRUCTION = "Write about the sea"
PLAN = (
    "Title: The Sea\n"
    "Paragraph 1 - Title: Wide Water - Main Point: how far the water reaches - Word Count: 100 words\n"
    "Paragraph 2 - Title: Old Ships - Main Point: who crossed it and why - Word Count: 100 words\n"
)
WATER = "The sea is wide and it is deep. Nobody has seen all of it."
SHIPS = "Old ships crossed it under sail. Some of them came back."
ANSWERS = [(INSTRUCTION, PLAN), ("Wide Water", WATER), ("Old Ships", SHIPS)]
DOCUMENT = f"# The Sea\n\n## Wide Water\n\n{WATER}\n\n## Old Ships\n\n{SHIPS}\n"
#: Options that make the scripted plan and answers fit.
SIZE = ["--words", "24", "--sections", "2", "--seed", "1"]
#: The same for what is written: the answers are not cut to their words.
WRITE = [*SIZE, "--length-control", "soft"]


@dataclass(frozen=True)
class Result:
    """What a command left."""

    code: int
    stdout: str
    stderr: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.splitlines()]


Run = Callable[..., Result]
