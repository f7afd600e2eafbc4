"""The journal: durable, private, without values, one process a run."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from migrator.database import _MIGRATIONS, APPLICATION, SCHEMA
from migrator.errors import JournalError, RunError
from migrator.journal import Journal
from migrator.model import AppState, Plan, RunState, Step, StepState
from migrator.ports import Event
from migrator.records import value_free
from scanners.model import Secret

APP = "/subscriptions/s/resourceGroups/g/providers/Microsoft.App/containerApps/Api"
VALUE = "Canary-kX9vQ2mZ7pL4"


def plan(*kinds: str) -> Plan:
    steps = tuple(
        Step(f"api/{kind}", kind, f"{APP}/{kind}", APP, {}, {}, "because", "none") for kind in kinds or ("app-switch",)
    )
    return Plan({"name": "keylift"}, "public", {}, {}, {"fingerprint": "f1:0"}, steps)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keylift.db"


def test_files_are_private_whatever_the_umask(path: Path) -> None:
    old = os.umask(0)
    try:
        with Journal.open(path) as journal:
            journal.begin("r1", plan(), "public", 1.0)
            for file in path.parent.iterdir():
                assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
            with journal.hold("r1"):
                assert stat.S_IMODE(path.with_name("run-r1.lock").stat().st_mode) == 0o600
    finally:
        os.umask(old)


def test_every_commit_is_flushed(path: Path) -> None:
    seen: list[str] = []
    with Journal.open(path, observe=seen.append):
        pass
    assert "PRAGMA synchronous = FULL" in seen
    assert "PRAGMA journal_mode = WAL" in seen


def test_a_run_is_read_back(path: Path) -> None:
    with Journal.open(path) as journal:
        journal.begin("r1", plan("identity-create", "app-switch"), "public", 10.0)
        journal.begin("r2", plan(), "public", 20.0)
        journal.set_app("r1", APP, state=AppState.RUNNING, initial={"a": 1})
        journal.set_step("r1", "api/app-switch", state=StepState.INTENT, operation="https://op", attempts=1)
        journal.note("r1", "api/app-switch", {"pre_image": {"x": 1}})
        journal.note("r1", "api/app-switch", {"after": {"y": 2}})
        journal.tell("r1", Event("note", text="hello", at=3.0))
    with Journal.open(path) as journal:
        assert [run["id"] for run in journal.runs()] == ["r2", "r1"]
        assert journal.plan("r1").id == plan("identity-create", "app-switch").id
        entry = journal.step("r1", "api/app-switch")
        assert entry.facts == {"pre_image": {"x": 1}, "after": {"y": 2}}
        assert (entry.state, entry.operation) == (StepState.INTENT, "https://op")
        assert journal.apps("r1")[APP.lower()].initial == {"a": 1}
        assert [event.text for event in journal.events("r1")] == ["hello"]
        assert journal.runs()[1]["started"] == "1970-01-01T00:00:10Z"
        assert journal.find("r1") == "r1"
        assert journal.find("latest") == "r2"
        with pytest.raises(RunError, match="2 runs"):
            journal.find("r")
        with pytest.raises(RunError, match="no run"):
            journal.find("x")


def test_a_run_whose_process_is_gone_is_interrupted(path: Path) -> None:
    with Journal.open(path) as journal:
        journal.begin("r1", plan(), "public", 1.0)
        assert journal.runs()[0]["state"] == RunState.INTERRUPTED
        with journal.hold("r1"), Journal.open(path) as other:
            run = other.runs()[0]
            assert run["state"] == RunState.RUNNING
            assert run["holder"]["pid"] == os.getpid()


@pytest.mark.parametrize("thing", [Secret(VALUE), {"a": [Secret(VALUE)]}, {"a": {"b": (1, Secret(VALUE))}}])
def test_no_secret_is_written(path: Path, thing: object) -> None:
    with pytest.raises(TypeError, match="must not reach the journal"):
        value_free(thing)
    with Journal.open(path) as journal:
        journal.begin("r1", plan(), "public", 1.0)
        with pytest.raises(TypeError):
            journal.note("r1", "api/app-switch", {"fact": thing})
        with pytest.raises(TypeError):
            journal.set_app("r1", APP, initial=thing)
        with pytest.raises(TypeError):
            journal.set_step("r1", "api/app-switch", error=thing)
        assert journal.step("r1", "api/app-switch").facts == {}
    assert all(VALUE.encode() not in file.read_bytes() for file in path.parent.iterdir())


def test_only_plain_json_is_written() -> None:
    with pytest.raises(TypeError, match="plain JSON"):
        value_free({"a": object()})


def test_a_newer_journal_is_refused(path: Path) -> None:
    Journal.open(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    db.close()
    with pytest.raises(JournalError, match="newer keylift") as caught:
        Journal.open(path)
    assert "update" in caught.value.hint


def older(path: Path, version: int) -> None:
    """A journal as the keylift of a schema left it, with a run in it."""
    with sqlite3.connect(path) as db:
        for script in _MIGRATIONS[:version]:
            db.executescript(script)
        db.execute(f"PRAGMA user_version = {version}")
        db.execute(f"PRAGMA application_id = {APPLICATION}")
        if version:
            document = plan().to_json()
            db.execute("INSERT INTO runs VALUES ('r1', 1, 'p', ?, 'public', 'interrupted', 1.0, NULL)", (document,))
            db.execute("INSERT INTO apps (run, app, position, state) VALUES ('r1', ?, 0, 'running')", (APP.lower(),))
            db.execute(
                "INSERT INTO steps (run, step, position, app, kind, target, state, facts) "
                "VALUES ('r1', 'api/app-switch', 0, ?, 'app-switch', ?, 'intent', '{\"pre_image\": {}}')",
                (APP.lower(), APP.lower()),
            )
    db.close()


@pytest.mark.parametrize("version", range(SCHEMA))
def test_an_older_journal_is_brought_forward(path: Path, version: int) -> None:
    older(path, version)
    for _ in range(2):
        with Journal.open(path) as journal:
            if version:
                assert journal.state("r1") == RunState.INTERRUPTED
                entry = journal.step("r1", "api/app-switch")
                assert (entry.state, entry.facts) == (StepState.INTENT, {"pre_image": {}})
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
    with Journal.open(path) as journal, Journal.open(path.with_name("new.db")) as new:
        tables = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
        made = [[row[0] for row in one._connection.execute(tables)] for one in (journal, new)]
        assert made[0] == made[1]
    db.close()


@pytest.mark.parametrize("version", range(SCHEMA))
def test_a_migration_that_dies_is_begun_anew(path: Path, version: int) -> None:
    """Killed at each of its statements, it left the older schema; then it ends."""
    reached = 0
    while True:
        path.unlink(missing_ok=True)
        older(path, version)
        statements = iter(range(10_000))

        def observe(statement: str, statements: Iterator[int] = statements, at: int = reached) -> None:
            if statement.strip().split()[0].upper() in {"CREATE", "COMMIT"} and next(statements) == at:
                os._exit(9)

        child = os.fork()
        if child == 0:
            Journal.open(path, observe=observe)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        with Journal.open(path) as journal:
            assert not version or journal.state("r1") == RunState.INTERRUPTED
        if os.waitstatus_to_exitcode(status) == 0:
            break
        reached += 1
    assert reached >= 2


@contextmanager
def unprivileged() -> Iterator[None]:
    """As somebody whom the file system may refuse something: root it refuses nothing."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="keylift-folder-"))
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
    yield folder
    folder.chmod(0o700)
    shutil.rmtree(folder)


def test_a_folder_that_cannot_be_written_says_so(shared_folder: Path) -> None:
    path = shared_folder / "keylift.db"
    shared_folder.chmod(0o500)
    with unprivileged(), pytest.raises(JournalError) as caught:
        Journal.open(path)
    assert f"make {shared_folder} writable" in caught.value.hint
    shared_folder.chmod(0o700)
    with unprivileged(), Journal.open(path) as journal:
        journal.begin("r1", plan(), "public", 1.0)
        shared_folder.chmod(0o500)
        # it became so under a run: what holds it is said, and nobody gets a traceback
        with pytest.raises(JournalError) as caught, journal.hold("r1"):
            pass
        assert f"make {shared_folder} writable" in caught.value.hint
    shared_folder.chmod(0o700)
    path.chmod(0o400)
    with unprivileged(), pytest.raises(JournalError) as caught, Journal.open(path) as journal:
        journal.note("r1", "api/app-switch", {"a": 1})
    assert "writable" in caught.value.hint


def test_a_full_disk_keeps_the_lock_from_being_taken(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Journal.open(path) as journal:
        journal.begin("r1", plan(), "public", 1.0)

        def full(_descriptor: int, _text: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr("migrator.locking.os.write", full)
            with pytest.raises(JournalError) as caught, journal.hold("r1"):
                pass
        assert "make room" in caught.value.hint
        with journal.hold("r1"):
            pass


def test_another_programs_database_is_refused(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE bookmarks (url)")
    db.close()
    with pytest.raises(JournalError, match="not keylift's"):
        Journal.open(path)


def test_a_damaged_journal_says_so(path: Path) -> None:
    path.write_bytes(b"this is no database at all, but it is long enough to be looked at" * 20)
    with pytest.raises(JournalError) as caught:
        Journal.open(path)
    assert "backup" in caught.value.hint


def test_a_torn_write_is_as_if_it_never_was(path: Path) -> None:
    with Journal.open(path) as journal:
        journal.begin("r1", plan(), "public", 1.0)
        journal.note("r1", "api/app-switch", {"first": 1})
        whole = path.with_name("keylift.db-wal").read_bytes()
        journal.note("r1", "api/app-switch", {"second": 2})
        torn = path.with_name("keylift.db-wal").read_bytes()[: len(whole) + 600]
        database = path.read_bytes()
    copy = path.with_name("copy.db")
    copy.write_bytes(database)
    copy.with_name("copy.db-wal").write_bytes(torn)
    with Journal.open(copy) as journal:
        assert journal.step("r1", "api/app-switch").facts == {"first": 1}


def test_a_full_disk_is_said_and_changes_nothing(path: Path) -> None:
    with Journal.open(path) as journal:
        journal.begin("r1", plan(), "public", 1.0)
        (pages,) = journal._connection.execute("PRAGMA page_count").fetchone()
        journal._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(JournalError, match="cannot be used") as caught:
            journal.note("r1", "api/app-switch", {"much": "x" * 100_000})
        assert "make room" in caught.value.hint
        journal._connection.execute("PRAGMA max_page_count = 100000")
        assert journal.step("r1", "api/app-switch").facts == {}


HOLDER = """
import sys, time
from pathlib import Path
from migrator.journal import Journal
journal = Journal.open(Path(sys.argv[1]))
with journal.hold("r1"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_process_is_told_who_holds_the_run(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            with Journal.open(path) as journal:
                with pytest.raises(RunError, match="held by another process") as caught, journal.hold("r1"):
                    pass
                assert f"process {holder.pid} on" in caught.value.why
                with journal.hold("r2"):
                    pass  # another run is free
                holder.send_signal(signal.SIGKILL)
                holder.wait(10)
                with journal.hold("r1"):  # the holder is dead
                    text = path.with_name("run-r1.lock").read_text()
                assert json.loads(text)["pid"] == os.getpid()
                assert not path.with_name("run-r1.lock").exists()
        finally:
            holder.kill()


def test_two_journals_of_one_process_exclude_each_other_too(path: Path) -> None:
    with Journal.open(path) as one, Journal.open(path) as two, one.hold("r1"), pytest.raises(RunError), two.hold("r1"):
        pass


def test_who_else_stands_on_a_thing(path: Path) -> None:
    with Journal.open(path) as journal:
        target = f"{APP}/vault-secret"
        for run in ("r1", "r2"):
            journal.begin(run, plan("vault-secret"), "public", 1.0)
            journal.set_step(run, "api/vault-secret", state=StepState.ADOPTED)
        assert [run for run, _ in journal.others_using("r1", "vault-secret", target)] == ["r2"]
        journal.set_app("r2", APP, state=AppState.ROLLED_BACK)
        assert journal.others_using("r1", "vault-secret", target) == []
