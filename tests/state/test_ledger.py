"""The journal of a team in real blobs: what one machine writes, every other reads; who may write; what is refused."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migrator.cloud.blob_ledger import BlobLedger, LockLostError
from migrator.cloud.blobs import ConditionError
from migrator.errors import JournalError, RunError, StoppedError
from migrator.journal import Journal
from migrator.model import AppState, Plan, RunState, Step, StepState
from migrator.ports import Event
from migrator.records import JOINING
from scanners.model import Secret

from .conftest import Team

GROUP = "/subscriptions/s/resourceGroups/g/providers/Microsoft.App/containerApps"
APP = f"{GROUP}/Api"
STEP = "api/app-switch"
VALUE = "Canary-kX9vQ2mZ7pL4"


def plan(app: str = APP) -> Plan:
    name = app.rsplit("/", 1)[1].lower()
    step = Step(f"{name}/app-switch", "app-switch", f"{app}/switch", app, {}, {}, "because", "none")
    return Plan({"name": "keylift"}, "public", {}, {}, {"fingerprint": "f1:0"}, (step,))


def seen(journal: Journal) -> Any:
    """Everything that can be asked of a journal."""
    found = {}
    for run in journal.runs():
        name = run["id"]
        found[name] = (
            {key: run[key] for key in ("plan", "cloud", "started", "ended", "apps")},
            journal.state(name),
            journal.plan(name).to_json(),
            journal.steps(name),
            journal.timings(name),
            journal.apps(name),
            journal.events(name),
        )
    return list(found), found, journal.rehearsal("p1")


# What one writes, the others read


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
FACTS = st.dictionaries(st.sampled_from(["after", "pre_image", "text"]), JSON, max_size=2)
MOVES = st.lists(
    st.one_of(
        st.tuples(
            st.just("set_run"),
            st.sampled_from([RunState.RUNNING, RunState.FAILED, RunState.DONE]),
            st.none() | st.floats(1, 9),
        ),
        st.tuples(st.just("set_app"), st.sampled_from([AppState.RUNNING, AppState.DONE]), JSON),
        st.tuples(st.just("set_step"), st.sampled_from([StepState.INTENT, StepState.DONE]), JSON),
        st.tuples(st.just("note"), FACTS),
        st.tuples(st.just("tell"), st.text(max_size=20)),
        st.tuples(st.just("rehearsed"), st.floats(1, 99), JSON),
    ),
    max_size=12,
)


def move(journal: Journal, run: str, name: str, *given: Any) -> None:
    if name == "set_run":
        journal.set_run(run, given[0], ended=given[1])
    elif name == "set_app":
        journal.set_app(run, APP, state=given[0], initial=given[1], error={"what": given[1]})
    elif name == "set_step":
        journal.set_step(run, STEP, state=given[0], attempts=2, error={"what": given[1]}, started=3.0)
    elif name == "note":
        journal.note(run, STEP, given[0])
    elif name == "tell":
        journal.tell(run, Event("note", APP, STEP, given[0], 5.0))
    else:
        journal.rehearsed("p1", given[0], {"report": given[1]}, ok=True)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(moves=MOVES, looks=st.sets(st.integers(0, 11), max_size=3))
def test_every_machine_sees_what_a_folder_would_hold(
    team: Team, tmp_path_factory: pytest.TempPathFactory, moves: list[Any], looks: set[int]
) -> None:
    for blob in list(team.container.list_blobs()):
        team.container.delete_blob(blob.name)
    local = Journal.open(tmp_path_factory.mktemp("local") / "keylift.db")
    with local, Journal.of(team.ledger()) as writer, Journal.of(team.ledger()) as reader:
        with local.hold("r1"), writer.hold("r1"):
            for journal in (local, writer):
                journal.begin("r1", plan(), "public", 1.0)
            for number, (name, *arguments) in enumerate(moves):
                for journal in (local, writer):
                    move(journal, "r1", name, *arguments)
                if number in looks:
                    assert seen(reader) == seen(local)
        assert seen(writer) == seen(local) == seen(reader)
        with Journal.of(team.ledger()) as later:
            assert seen(later) == seen(local)


def test_no_secret_is_written(team: Team) -> None:
    with Journal.of(team.ledger()) as journal, journal.hold("r1"):
        journal.begin("r1", plan(), "public", 1.0)
        for thing in (Secret(VALUE), {"a": [Secret(VALUE)]}):
            with pytest.raises(TypeError, match="must not reach the journal"):
                journal.note("r1", STEP, {"fact": thing})
        journal.note("r1", STEP, {"fact": 1})  # what was refused broke nothing
        assert journal.step("r1", STEP).facts == {"fact": 1}
    assert VALUE.encode() not in b"".join(team.blobs().values())


def test_a_record_is_there_before_the_write_returns(team: Team) -> None:
    with Journal.of(team.ledger()) as journal, journal.hold("r1"):
        journal.begin("r1", plan(), "public", 1.0)
        for number in range(3):
            journal.note("r1", STEP, {"number": number})
            (log,) = team.blobs().values()
            assert json.loads(log.splitlines()[-1])["facts"] == {"number": number}


# The lock


def test_a_second_process_is_refused_with_who_and_since_when(team: Team) -> None:
    with Journal.of(team.ledger()) as first, first.hold("r1"):
        first.begin("r1", plan(), "public", 1.0)
        with Journal.of(team.ledger()) as second:
            with pytest.raises(RunError, match="held by another process") as caught, second.hold("r1"):
                pass
            assert "of operator on" in caught.value.why
            assert ", since 20" in caught.value.why
            assert "keylift unlock r1" in caught.value.hint
            (run,) = second.runs()
            assert (run["state"], run["holder"]["user"]) == (RunState.RUNNING, "operator")
    with Journal.of(team.ledger()) as second:
        assert second.runs()[0]["holder"] is None
        assert second.runs()[0]["state"] == RunState.INTERRUPTED
        with second.hold("r1"):
            second.set_run("r1", RunState.DONE)


def test_a_lock_taken_away_ends_every_write_at_once(team: Team) -> None:
    lost: list[str] = []
    ledger, other = team.ledger(), team.ledger()
    with Journal.of(ledger) as first, first.hold("r1", lambda: lost.append("r1")):
        first.begin("r1", plan(), "public", 1.0)
        with Journal.of(other) as second:
            assert other.unlock("r1")
            assert not other.unlock("r1")
            with second.hold("r1"):
                before = team.blobs()
                for _ in range(2):
                    with pytest.raises(LockLostError, match="the lock of run r1 is lost") as caught:
                        first.note("r1", STEP, {"late": True})
                    assert "taken away with keylift unlock by process" in caught.value.why
                assert lost == ["r1"]
                with pytest.raises(StoppedError):
                    ledger.check()
                assert team.blobs() == before
                second.note("r1", STEP, {"mine": True})
    with Journal.of(team.ledger()) as third:
        assert third.step("r1", STEP).facts == {"mine": True}


@pytest.mark.parametrize("slept", [0, 300])
def test_a_lock_that_may_have_ended_is_not_trusted(team: Team, slept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = team.ledger()
    with Journal.of(ledger) as journal, journal.hold("r1"):
        journal.begin("r1", plan(), "public", 1.0)
        ledger.check()
        if slept:  # the monotonic clock stood still meanwhile
            now = time.time()
            monkeypatch.setattr("time.time", lambda: now + slept)
        else:
            ledger._leases["r1"]._until = (time.monotonic(), time.time() + 60)
        with pytest.raises(StoppedError):
            ledger.check()
        with pytest.raises(LockLostError, match="lost"):
            journal.note("r1", STEP, {"late": True})


def test_a_renewed_lock_stays(team: Team) -> None:
    ledger = team.ledger(seconds=15)
    with Journal.of(ledger) as journal, journal.hold("r1"):
        lease = ledger._leases["r1"]
        first, end = lease._until, time.monotonic() + 60
        while lease._until == first:  # a quarter of the term
            assert time.monotonic() < end
            time.sleep(0.05)
        journal.begin("r1", plan(), "public", 1.0)


def test_who_is_not_held_is_not_written(team: Team) -> None:
    with Journal.of(team.ledger()) as journal:
        with pytest.raises(JournalError, match="not held"):
            journal.begin("r1", plan(), "public", 1.0)
        assert journal.runs() == []
    assert team.blobs() == {}


# Others write, too


def test_a_write_beside_the_lock_is_found(team: Team) -> None:
    with Journal.of(team.ledger()) as journal, journal.hold("r1"):
        journal.begin("r1", plan(), "public", 1.0)
        blob = next(iter(team.blobs()))
        lease = journal._ledger._leases["r1"].id  # type: ignore[attr-defined]
        team.container.get_blob_client(blob).append_block(b'{"change":"run"}\n', lease=lease)
        with pytest.raises(LockLostError) as caught:
            journal.note("r1", STEP, {"fact": 1})
        assert caught.value.why == "somebody wrote to its log without holding it"


def test_an_answer_that_was_lost_is_no_conflict(team: Team) -> None:
    folder = team.folder()
    folder.create_log("log")
    etag = folder.append("log", b"one\n", at=0, etag="", lease=None)
    again = folder.append("log", b"one\n", at=0, etag="", lease=None)  # as the retry of one that arrived
    assert again == etag
    with pytest.raises(ConditionError):
        folder.append("log", b"two\n", at=0, etag="", lease=None)
    folder.append("log", b"two\n", at=4, etag=etag, lease=None)
    with pytest.raises(ConditionError):
        folder.append("log", b"three\n", at=8, etag=etag, lease=None)
    assert folder.read("log")[0] == b"one\ntwo\n"


def test_two_rehearsals_at_once_are_both_kept(team: Team) -> None:
    with Journal.of(team.ledger()) as one, Journal.of(team.ledger()) as two:
        one.rehearsed("p1", 1.0, {"by": "one"}, ok=True)
        two.rehearsed("p2", 2.0, {"by": "two"}, ok=False)
        one.rehearsed("p3", 3.0, {"by": "one"}, ok=True)
    with Journal.of(team.ledger()) as three:
        kept = [three.rehearsal(name) for name in ("p1", "p2", "p3")]
        assert [each["report"]["by"] for each in kept if each] == ["one", "two", "one"]


# Two runs on one app


def test_a_run_that_begins_second_on_an_app_is_refused(team: Team) -> None:
    with Journal.of(team.ledger()) as one, Journal.of(team.ledger()) as two:
        assert two.unfinished(frozenset({APP.lower()})) is None
        with one.hold("r1"), two.hold("r2"), two.hold("r3"):
            one.begin("r1", plan(), "public", 1.0)
            with pytest.raises(RunError, match="run r1 works on an app of this plan") as caught:
                two.begin("r2", plan(), "public", 2.0)
            assert "keylift status r1" in caught.value.hint
            two.begin("r3", plan(f"{GROUP}/other"), "public", 3.0)
        assert [run["id"] for run in two.runs()] == ["r3", "r1"]
    assert not any("r2" in name for name in team.blobs())


def test_a_run_that_cannot_fit_is_refused_before_it_begins(team: Team) -> None:
    ledger = team.ledger()
    ledger.most_steps = 0
    with Journal.of(ledger) as journal:
        with pytest.raises(RunError, match="1 steps, more than") as caught, journal.hold("r1"):
            journal.begin("r1", plan(), "public", 1.0)
        assert "--app" in caught.value.hint
    assert team.blobs() == {}


class Died(BaseException):
    pass


def test_one_that_died_while_it_began_is_in_nobodys_way(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = team.ledger()
    append = ledger.append

    def dying(run: str, record: Any) -> None:
        if record.get("state") == RunState.RUNNING:
            raise Died
        append(run, record)

    monkeypatch.setattr(ledger, "append", dying)
    with Journal.of(ledger) as one, Journal.of(team.ledger()) as two:
        with pytest.raises(Died), one.hold("r1"):
            one.begin("r1", plan(), "public", 1.0)
        assert any("r1" in name for name in team.blobs())
        assert two.runs() == []
        with pytest.raises(RunError, match="no run"):
            two.find("r1")
        with two.hold("r2"):
            two.begin("r2", plan(), "public", 2.0)
        assert [run["id"] for run in two.runs()] == ["r2"]
    assert not any("r1" in name for name in team.blobs())


def test_one_that_still_begins_is_in_the_way(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = team.ledger()
    append, refused = ledger.append, []

    def meanwhile(run: str, record: Any) -> None:
        if record.get("state") == RunState.RUNNING:  # it has looked, saw nobody, and is slow
            with Journal.of(team.ledger()) as two, two.hold("r2"):
                with pytest.raises(RunError, match="run r1 works on an app") as caught:
                    two.begin("r2", plan(), "public", 2.0)
                refused.append(caught.value)
        append(run, record)

    monkeypatch.setattr(ledger, "append", meanwhile)
    with Journal.of(ledger) as one, one.hold("r1"):
        one.begin("r1", plan(), "public", 1.0)
        assert one.state("r1") == RunState.RUNNING != JOINING
    assert len(refused) == 1


# What cannot be read


def log_of(team: Team, content: bytes) -> Journal:
    team.container.upload_blob("keylift/shop/journal/r1.jsonl", content, blob_type="AppendBlob")
    return Journal.of(team.ledger())


@pytest.mark.parametrize(
    "content",
    [b'{"change":"teleport","to":"x"}\n', b'{"change":"step","step":"api/x","columns":{"mood":"good"}}\n'],
)
def test_a_newer_keylifts_log_is_refused(team: Team, content: bytes) -> None:
    with pytest.raises(JournalError, match="does not know") as caught:
        log_of(team, content)
    assert "update keylift" in caught.value.hint


@pytest.mark.parametrize(
    "content",
    [
        b"\x00\x01\n",
        b'{"change":"run"',
        b"[]\n",
        b'{"no":"change"}\n',
        b'{"change":"begin"}\n',
        b'{"change":"note","step":"api/x","facts":{}}\n',
        b'{"change":"event","at":"x","kind":"k","app":"a","step":"s","text":"t"}\n',
    ],
)
def test_a_damaged_log_says_so(team: Team, content: bytes) -> None:
    with pytest.raises(JournalError, match="is damaged") as caught:
        log_of(team, content)
    assert "restore" in caught.value.hint


def test_a_deleted_log_stops_the_run(team: Team) -> None:
    ledger = team.ledger()
    with Journal.of(ledger) as journal, journal.hold("r1"):
        journal.begin("r1", plan(), "public", 1.0)
        team.container.delete_blob(next(iter(team.blobs())), lease=ledger._leases["r1"].id)
        with pytest.raises(JournalError, match="is gone") as caught:
            journal.note("r1", STEP, {"fact": 1})
        assert "az storage blob undelete" in caught.value.hint


# The container and the key


def test_the_key_is_made_once_for_all(team: Team) -> None:
    keys = {BlobLedger.open(team.session(), team.state).fingerprinter().key for _ in range(3)}
    assert len(keys) == 1
    assert keys == {team.blobs()["keylift/shop/fingerprint.key"]}


def test_a_damaged_key_is_not_used(team: Team) -> None:
    team.container.upload_blob("keylift/shop/fingerprint.key", b"short")
    with pytest.raises(JournalError, match="damaged") as caught:
        team.ledger().fingerprinter()
    assert "5 bytes instead of 32" in caught.value.why


def test_a_missing_container_is_not_created(team: Team) -> None:
    team.container.delete_container()
    with pytest.raises(JournalError, match="could not look at the container") as caught:
        BlobLedger.open(team.session(), team.state)
    assert "has no container 'team-" in caught.value.why
    assert "az storage container create --name team-" in caught.value.hint


def test_a_public_container_is_refused(team: Team) -> None:
    name = team.container.container_name
    team.container.delete_container()
    team.container.create_container(public_access="blob")
    with pytest.raises(JournalError, match="can be read by anybody") as caught:
        BlobLedger.open(team.session(), team.state)
    assert f"az storage container set-permission --name {name}" in caught.value.hint
