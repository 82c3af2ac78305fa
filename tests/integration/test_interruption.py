"""A night's work survives: SIGKILL at random moments, Ctrl-C, and what comes after."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from longwriter_edge.store import RunRecord, Store

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL"),
]

#: Kills before the run may end; the promise is about ten or more.
KILLS = 12
#: Text older than this must have reached the store when the process dies, in seconds.
MOST_LOST = 2.0
PLAN = "".join(
    f"{number}. Chapter {number}: what happened to the lighthouse keeper in year {number} (260 words)\n"
    for number in range(1, 9)
)


@dataclass
class Process:
    """A command whose JSON events are read with the time at which they came."""

    arguments: list[str]
    environment: dict[str, str]
    seen: list[tuple[float, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from longwriter_edge.cli import main; main()", *self.arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.seen.append((time.monotonic(), line))

    def wait_for_text(self, tokens: int) -> bool:
        """Waits until some text was written in this process; whether it still runs then."""
        while self.process.poll() is None:
            if sum('"section_text"' in line for _, line in list(self.seen)) >= tokens:
                return True
            time.sleep(0.01)
        return False

    def end(self, number: int) -> float:
        """Sends a signal, waits, and returns when it was sent."""
        at = time.monotonic()
        self.process.send_signal(number)
        self.finish()
        return at

    def finish(self) -> str:
        assert self.process.stderr is not None
        errors = self.process.stderr.read()
        self.process.wait(timeout=300)
        self.reader.join(timeout=60)
        return errors

    def text_before(self, moment: float) -> dict[int, str]:
        """The text of each section that had been shown by then, resumed text included."""
        texts: dict[int, str] = {}
        for at, line in self.seen:
            if at > moment or not line.endswith("\n"):
                continue
            event = json.loads(line)
            if event["event"] == "section_started":
                texts[event["section"]] = event["written"]
            elif event["event"] == "section_text":
                texts[event["section"]] += event["text"]
        return texts


@pytest.fixture
def environment(tmp_path: Path, demo_model_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "LONGWRITER_EDGE_MODEL": str(demo_model_path),
        "LONGWRITER_EDGE_STORE": str(tmp_path / "runs.sqlite3"),
    }


def start(environment: dict[str, str], tmp_path: Path, *options: str) -> Process:
    plan = tmp_path / "plan.txt"
    plan.write_text(PLAN, encoding="utf-8")
    arguments = ["write", "Write the story of a lighthouse keeper", "--words", "2000", "--plan", str(plan)]
    return Process([*arguments, "--seed", "5", "--json", *options], environment)


def stored(environment: dict[str, str]) -> RunRecord:
    path = Path(environment["LONGWRITER_EDGE_STORE"])
    with sqlite3.connect(path) as connection:
        (run,) = connection.execute("SELECT id FROM runs").fetchone()
    with Store.open(path) as store:
        return store.load(run)


def test_killed_many_times_the_document_completes_and_loses_nothing(
    environment: dict[str, str], tmp_path: Path
) -> None:
    random_moment = random.Random(20)
    output = tmp_path / "lighthouse.md"
    process = start(environment, tmp_path, "-o", str(output))
    finished: dict[int, str] = {}
    kills = 0
    while kills < KILLS and process.wait_for_text(1):
        time.sleep(random_moment.uniform(0.0, 1.8))
        if process.process.poll() is not None:
            break
        at = process.end(signal.SIGKILL)
        kills += 1
        record = stored(environment)
        shown = process.text_before(at - MOST_LOST)
        for section in record.sections:
            if section.number in finished:
                assert section.text == finished[section.number], "a finished section changed"
            if section.finished:
                finished[section.number] = section.text
            kept = shown.get(section.number, "")
            assert section.text.startswith(kept), f"text older than {MOST_LOST} s was lost"
        before = {section.number: section.text for section in record.sections}
        process = Process(["resume", record.run, "--json"], environment)
        process.wait_for_text(1)
        for number, text in process.text_before(time.monotonic()).items():
            # Goes on where the store ended: nothing of it is missing and nothing stands there twice.
            assert text.startswith(before[number])
    errors = process.finish()
    assert process.process.returncode == 0, errors
    assert kills == KILLS, "the document was finished before it had been killed often enough"
    record = stored(environment)
    assert record.status == "complete"
    assert all(section.finished and section.text for section in record.sections)
    for number, text in finished.items():
        assert record.sections[number].text == text
    document = output.read_text(encoding="utf-8")
    for section in record.sections:
        assert document.count(f"## {section.title}\n") == 1
        assert section.text in document
    words = json.loads(process.seen[-1][1])["words"]
    assert words > 500
    assert not (tmp_path / "lighthouse.md.part").exists()


def test_ctrl_c_saves_says_how_to_go_on_and_the_run_goes_on(
    environment: dict[str, str], tmp_path: Path
) -> None:
    process = start(environment, tmp_path)
    assert process.wait_for_text(5)
    process.process.send_signal(signal.SIGINT)
    errors = process.finish()
    assert process.process.returncode == 130
    record = stored(environment)
    assert f"longwriter-edge resume {record.run}" in errors
    assert record.status == "interrupted"
    last = json.loads(process.seen[-1][1])
    assert last["event"] == "run_ended"
    assert last["outcome"] == "interrupted"
    shown = process.text_before(time.monotonic())
    assert record.sections[0].text == shown[0], "all that was shown is saved"
    resumed = Process(["resume", record.run, "--json"], environment)
    assert resumed.wait_for_text(2)
    assert resumed.text_before(time.monotonic())[0].startswith(shown[0])
    resumed.end(signal.SIGKILL)


def test_a_second_ctrl_c_ends_at_once(environment: dict[str, str], tmp_path: Path) -> None:
    process = start(environment, tmp_path)
    assert process.wait_for_text(2)
    # Stopped in between, so that the first signal cannot have been worked off when the second comes.
    for number in (signal.SIGINT, signal.SIGINT):
        process.process.send_signal(number)
        time.sleep(0.02)
    process.finish()
    assert process.process.returncode in (-signal.SIGINT, 130)
