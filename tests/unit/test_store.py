"""The store: what was flushed is there after any end of the process, and what was finished never changes."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import longwriter_edge
from longwriter_edge.errors import RunLockedError, RunNotFoundError, StoreError
from longwriter_edge.events import Notice, SectionPlan
from longwriter_edge.store import FLUSH_SECONDS, Store, default_path
from longwriter_edge.store.schema import SCHEMA_VERSION

PLAN = (SectionPlan("Rise", "How it began", 200), SectionPlan("Fall", "How it ended", 300, repeats=0))
LIMIT_SECONDS = 60


class Clock:
    """Time that passes only when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "runs.sqlite3"


@pytest.fixture
def store(path: Path, clock: Clock) -> Iterator[Store]:
    with Store(path, clock=clock, now=clock, busy_seconds=0.0) as opened:
        yield opened


def planned(store: Store) -> str:
    run = store.create_run("Write about Rome", {"seed": 7})
    store.save_plan(run, "Rome", PLAN)
    return run


def child(script: str, *arguments: object) -> subprocess.Popen[str]:
    """Another Python process that runs ``script``; it says "ready" when a test may go on."""
    package = str(Path(longwriter_edge.__path__[0]).parent)
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": package},
    )


def wait_until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"


def damage(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(statement)
    connection.close()


class TestRuns:
    def test_a_run_comes_back_as_it_was_stored(self, store: Store, path: Path) -> None:
        run = planned(store)
        store.set_status(run, "failed", "the disk is full")
        store.close()

        with Store.open(path) as reopened:
            record = reopened.load(run)

        assert record.run == run
        assert record.status == "failed"
        assert record.error == "the disk is full"
        assert record.instruction == "Write about Rome"
        assert record.config == {"seed": 7}
        assert record.title == "Rome"
        assert tuple(section.plan for section in record.sections) == PLAN
        assert [section.number for section in record.sections] == [0, 1]
        assert not any(section.finished or section.text or section.tokens for section in record.sections)

    def test_ids_are_short_and_differ(self, store: Store) -> None:
        ids = {store.create_run("x", {}) for _ in range(50)}
        assert len(ids) == 50
        assert all(len(run) == 8 and run.isalnum() and run.islower() | run.isdigit() for run in ids)

    def test_a_slip_in_typing_an_id_is_read_as_it_was_meant(self, store: Store) -> None:
        run = store.create_run("x", {})
        typed = run.replace("0", "O").replace("1", "l").upper()
        assert store.load(f" {typed}\n").run == run

    @pytest.mark.parametrize("run", ["", "../../etc", "abcd/efg", "abcdefg", "abcdefghj", "abcdefg\0"])
    def test_what_cannot_be_an_id_is_refused(self, store: Store, run: str) -> None:
        for use in (store.load, store.events, store.section_keeper, lambda run: store.lock(run).__enter__()):
            with pytest.raises(RunNotFoundError, match="not the id of a run"):
                use(run)

    def test_an_unknown_run_is_named(self, store: Store) -> None:
        for use in (
            lambda: store.load("abcd2345"),
            lambda: store.set_status("abcd2345", "writing"),
            lambda: store.save_plan("abcd2345", "", PLAN),
            lambda: store.add_event("abcd2345", Notice("info", "x")),
            lambda: store.lock("abcd2345").__enter__(),
        ):
            with pytest.raises(RunNotFoundError, match="no run abcd2345"):
                use()

    def test_the_latest_unfinished_run_is_the_one_worked_on_last(self, store: Store, clock: Clock) -> None:
        assert store.latest_unfinished() is None
        first, second, third = (store.create_run(name, {}) for name in "abc")
        clock.seconds += 1
        store.set_status(third, "complete")
        assert store.latest_unfinished() == second
        clock.seconds += 1
        store.set_status(first, "interrupted")
        assert store.latest_unfinished() == first

    def test_runs_are_listed_newest_first_with_their_progress(self, store: Store, clock: Clock) -> None:
        old = planned(store)
        store.section_keeper(old).finish(0, "Text.", [1], "end_of_turn")
        clock.seconds += 1
        new = store.create_run("Another", {})

        listed = store.runs(limit=10)

        assert [(entry.run, entry.finished, entry.sections) for entry in listed] == [(new, 0, 0), (old, 1, 2)]
        assert [entry.run for entry in store.runs(limit=1)] == [new]

    def test_events_are_kept_in_order(self, store: Store) -> None:
        run = store.create_run("x", {})
        store.add_event(run, Notice("info", "first"))
        store.add_event(run, Notice("warning", "second"))
        assert [(event.name, event.fields["message"]) for event in store.events(run)] == [
            ("notice", "first"),
            ("notice", "second"),
        ]

    def test_a_plan_is_replaced_only_while_no_section_has_text(self, store: Store) -> None:
        run = planned(store)
        store.save_plan(run, "Rome again", PLAN[:1])
        assert len(store.load(run).sections) == 1
        store.section_keeper(run).append(0, "It", [1])
        with pytest.raises(StoreError, match="text cannot be deleted"):
            store.save_plan(run, "Third", PLAN)
        assert store.load(run).title == "Rome again"
        assert store.load(run).sections[0].text == "It"

    def test_text_that_is_not_unicode_is_refused(self, store: Store) -> None:
        with pytest.raises(StoreError, match="invalid character"):
            store.create_run("broken \udcff", {})
        assert store.runs(10) == []


class TestText:
    def test_text_and_tokens_wait_together_until_they_are_due(
        self, store: Store, path: Path, clock: Clock
    ) -> None:
        run = planned(store)
        keeper = store.section_keeper(run)
        with Store.open(path) as reader:
            keeper.append(0, "It began", [1, 2])
            clock.seconds += FLUSH_SECONDS / 2
            keeper.append(0, " with", [3])
            store.flush_if_due()
            assert reader.load(run).sections[0].text == ""

            clock.seconds += FLUSH_SECONDS / 2
            store.flush_if_due()
            section = reader.load(run).sections[0]
            assert (section.text, section.tokens) == ("It began with", (1, 2, 3))

            keeper.append(0, " wolves", [4])
            clock.seconds += FLUSH_SECONDS
            keeper.append(0, ".", [5])
            section = reader.load(run).sections[0]
            assert (section.text, section.tokens) == ("It began with wolves.", (1, 2, 3, 4, 5))

    def test_closing_saves_what_waits(self, path: Path) -> None:
        with Store.open(path) as store:
            run = planned(store)
            store.section_keeper(run).append(1, "It ended.", [9])
        with Store.open(path) as store:
            assert store.load(run).sections[1].text == "It ended."

    def test_a_finished_section_keeps_its_text_and_the_kept_tokens(self, store: Store) -> None:
        run = planned(store)
        keeper = store.section_keeper(run)
        keeper.append(0, "It began", [1, -2])
        store.flush()
        keeper.append(0, " with", [3])
        keeper.finish(0, " wolves.\0", [1, -2, 3, 2**31 - 1], "next_heading")

        section = store.load(run).sections[0]

        assert section.text == "It began with wolves.\0"
        assert section.tokens == (1, -2, 3, 2**31 - 1)
        assert section.reason == "next_heading"
        assert section.finished

    def test_a_finished_section_cannot_change(self, store: Store, path: Path) -> None:
        run = planned(store)
        keeper = store.section_keeper(run)
        keeper.finish(0, "Done.", [1], "end_of_turn")
        before = store.load(run).sections[0]

        with pytest.raises(StoreError, match="finished and cannot change"):
            keeper.append(0, "More", [2])
        with pytest.raises(StoreError, match="finished and cannot change"):
            keeper.finish(0, "More", [2], "end_of_turn")
        for statement in (
            "UPDATE sections SET text = 'forged'",
            "DELETE FROM sections",
            f"INSERT INTO chunks VALUES ('{run}', 0, 0, 'more', x'')",
        ):
            with pytest.raises(sqlite3.IntegrityError):
                damage(path, statement)
        assert store.load(run).sections[0] == before

    @pytest.mark.parametrize("saved", [False, True])
    def test_text_that_is_taken_back_goes_and_its_tokens_stay(self, store: Store, saved: bool) -> None:
        run = planned(store)
        keeper = store.section_keeper(run)
        keeper.append(0, "It began.", [1, 2])
        if saved:
            store.flush()
        keeper.append(0, " The End", [3, 4])
        keeper.rewind(0, len("It began."), [5])
        keeper.append(0, " Then", [6])
        section = store.load(run).sections[0]
        assert (section.text, section.tokens) == ("It began. Then", (1, 2, 3, 4, 5, 6))
        keeper.finish(0, " it went on.", [1, 2, 6, 7], "end_of_turn")
        section = store.load(run).sections[0]
        assert (section.text, section.tokens) == ("It began. Then it went on.", (1, 2, 6, 7))

    def test_an_unknown_section_is_refused(self, store: Store) -> None:
        run = planned(store)
        with pytest.raises(StoreError, match="has no section 3"):
            store.section_keeper(run).append(2, "x", [1])

    @pytest.mark.parametrize("finishing", [False, True])
    def test_an_interrupt_right_after_the_commit_writes_nothing_twice(
        self, store: Store, monkeypatch: pytest.MonkeyPatch, finishing: bool
    ) -> None:
        run = planned(store)
        keeper = store.section_keeper(run)
        keeper.append(0, "Once", [1])

        def interrupt() -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(store._texts, "_nothing_unsaved", interrupt)
            with pytest.raises(KeyboardInterrupt):
                keeper.finish(0, ".", [1, 2], "end_of_turn") if finishing else store.flush()
        if not finishing:
            keeper.append(0, ".", [2])

        section = store.load(run).sections[0]
        assert (section.text, section.tokens) == ("Once.", (1, 2))

    def test_a_full_disk_is_named_and_the_text_can_be_saved_later(self, store: Store) -> None:
        run = planned(store)
        keeper = store.section_keeper(run)
        connection = store._database._connection
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        text = "wolf " * 20_000
        keeper.append(0, text, [1])
        with pytest.raises(StoreError, match="the disk is full") as caught:
            store.flush()
        assert caught.value.hint is not None
        assert "free some space" in caught.value.hint

        connection.execute("PRAGMA max_page_count = 100000")
        assert store.load(run).sections[0].text == text


class TestFile:
    def test_a_newer_schema_is_refused(self, store: Store, path: Path) -> None:
        store.close()
        damage(path, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        with pytest.raises(
            StoreError, match=f"version {SCHEMA_VERSION + 1}.* up to {SCHEMA_VERSION}"
        ) as caught:
            Store.open(path)
        assert "upgrade" in str(caught.value.hint)

    def test_another_applications_file_is_refused_and_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "other.sqlite3"
        damage(path, "CREATE TABLE birds (name)")
        before = path.read_bytes()
        with pytest.raises(StoreError, match="another application"):
            Store.open(path)
        assert path.read_bytes() == before

    def test_a_file_that_is_not_sqlite_is_refused_and_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "essay.md"
        path.write_text("# An essay\n" * 100, encoding="utf-8")
        with pytest.raises(StoreError, match="not a SQLite file"):
            Store.open(path)
        assert path.read_text(encoding="utf-8").startswith("# An essay\n")

    def test_a_damaged_file_is_named(self, store: Store, path: Path) -> None:
        planned(store)
        store.close()
        content = bytearray(path.read_bytes())
        content[100:] = b"\xff" * (len(content) - 100)
        path.write_bytes(content)
        with pytest.raises(StoreError, match="damaged"):
            Store.open(path)

    def test_a_directory_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="is a directory"):
            Store.open(tmp_path)

    def test_a_directory_that_cannot_be_made_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(StoreError, match="no store can be created"):
            Store.open(tmp_path / "file" / "below" / "runs.sqlite3")

    def test_a_read_only_store_is_named(self, store: Store) -> None:
        store._database._connection.execute("PRAGMA query_only = ON")
        with pytest.raises(StoreError, match="cannot be written"):
            store.create_run("x", {})

    def test_the_environment_names_the_default_store(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LONGWRITER_EDGE_STORE", str(tmp_path / "mine.sqlite3"))
        assert default_path() == tmp_path / "mine.sqlite3"
        monkeypatch.delenv("LONGWRITER_EDGE_STORE")
        assert default_path().name == "runs.sqlite3"


class TestProcesses:
    def test_two_connections_write_their_own_runs(self, store: Store, path: Path) -> None:
        with Store.open(path) as other:
            first, second = planned(store), planned(other)
            for number in range(20):
                store.section_keeper(first).append(0, "a", [number])
                other.section_keeper(second).append(0, "b", [number])
                store.flush()
                other.flush()
            assert store.load(second).sections[0].text == "b" * 20
            assert other.load(first).sections[0].tokens == tuple(range(20))

    def test_a_store_that_stays_busy_is_named(self, store: Store, path: Path) -> None:
        blocker = sqlite3.connect(path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another process is using it"):
            store.create_run("x", {})
        blocker.close()

    def test_many_can_create_the_store_at_once(self, path: Path) -> None:
        barrier = threading.Barrier(8)
        failures: list[BaseException] = []

        def work() -> None:
            barrier.wait(LIMIT_SECONDS)
            try:
                with Store.open(path) as store:
                    store.create_run("x", {})
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT_SECONDS)
        assert failures == []
        with Store.open(path) as store:
            assert len(store.runs(100)) == 8

    def test_a_locked_run_is_refused_until_it_is_given_back(self, store: Store, path: Path) -> None:
        run, free = planned(store), planned(store)
        with Store.open(path) as other:
            with store.lock(run):
                with pytest.raises(RunLockedError, match=run), other.lock(run):
                    pass
                with pytest.raises(RunLockedError), other.lock(run):
                    pass
                with other.lock(free):
                    pass
            with other.lock(run):
                pass
        assert list(path.with_name("runs.sqlite3.locks").iterdir()) == []

    def test_the_lock_of_a_killed_process_is_gone(self, store: Store, path: Path) -> None:
        run = planned(store)
        script = (
            "import sys; from pathlib import Path; from longwriter_edge.store import Store\n"
            "store = Store.open(Path(sys.argv[1]))\n"
            "with store.lock(sys.argv[2]):\n"
            "    print('ready', flush=True); sys.stdin.read()\n"
        )
        with child(script, path, run) as process:
            wait_until_ready(process)
            with pytest.raises(RunLockedError), store.lock(run):
                pass
            process.kill()
            process.wait(LIMIT_SECONDS)
        with store.lock(run):
            pass

    @pytest.mark.parametrize("flushes", [1, 3, 17])
    def test_what_was_flushed_survives_a_kill(self, path: Path, flushes: int) -> None:
        with Store.open(path) as store:
            run = planned(store)
        script = (
            "import sys; from pathlib import Path; from longwriter_edge.store import Store\n"
            "store = Store.open(Path(sys.argv[1])); keeper = store.section_keeper(sys.argv[2])\n"
            "keeper.finish(0, 'Whole.', [1, 2], 'end_of_turn')\n"
            "for number in range(int(sys.argv[3])):\n"
            "    keeper.append(1, f'{number};', [number]); store.flush()\n"
            "print('ready', flush=True)\n"
            "while True:\n"
            "    number += 1; keeper.append(1, f'{number};', [number]); store.flush()\n"
        )
        with child(script, path, run, flushes) as process:
            wait_until_ready(process)
            process.kill()
            process.wait(LIMIT_SECONDS)

        with Store.open(path) as store:
            whole, begun = store.load(run).sections

        assert (whole.text, whole.tokens, whole.finished) == ("Whole.", (1, 2), True)
        assert len(begun.tokens) >= flushes
        assert begun.tokens == tuple(range(len(begun.tokens)))
        assert begun.text == "".join(f"{token};" for token in begun.tokens)
        assert not begun.finished
