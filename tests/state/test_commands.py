"""The command line with `--state azblob://`: a whole life over two machines, and every refusal with its way out."""

from __future__ import annotations

import contextlib
import io
import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from migrator.cli import main
from migrator.cloud.blob_ledger import BlobLedger
from migrator.cloud.cloud import AzureCloud
from migrator.cloud.profiles import load_profile
from migrator.cloud.session import Session
from migrator.errors import StoppedError
from migrator.journal import Journal
from migrator.model import Json, settled
from migrator.simulator.server import Simulator
from tests.executor.world import PLANTED, app, app_id, estate, two_apps

from .azurite import Azurite
from .conftest import Team, both


class Shell:
    """Runs keylift as somebody on one machine does: a state folder of their own, no terminal."""

    def __init__(self, folder: Path, profile: Path, state: str) -> None:
        folder.mkdir()
        self.folder = folder
        self.common = ["--cloud", str(profile), "--state-dir", str(folder), "--state", state]
        self.printed = ""

    def __call__(self, *arguments: str, expect: int = 0) -> str:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
            main([*arguments, *self.common])
        self.printed += out.getvalue() + err.getvalue()
        assert ended.value.code == expect, f"{arguments}: {out.getvalue()}{err.getvalue()}"
        return out.getvalue() or err.getvalue()


@pytest.fixture
def shell(team: Team, tmp_path: Path) -> Callable[..., Shell]:
    def make(name: str, profile: Path | None = None, state: str | None = None) -> Shell:
        return Shell(tmp_path / name, profile or team.profile, state or team.state.url)

    return make


def apps(profile: Path) -> list[Json]:
    with Session(load_profile(str(profile))) as session:
        cloud = AzureCloud(session)
        return [settled(cloud.get_app(app_id(name))) for name in ("api", "web", "bystander")]


def test_a_life_over_two_machines(
    team: Team, storage: Azurite, tmp_path: Path, shell: Callable[..., Shell], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    document = estate(*two_apps(), app("bystander"), switches={"role_propagation": [0.5, 1.0], "app_operation": 0.2})
    with Simulator(document, directory=tmp_path / "simulator") as simulator:
        profile = both(Path(simulator.profile_path), storage, tmp_path)
        laptop, runner = shell("laptop", profile), shell("runner", profile)
        before = apps(profile)
        laptop("scan", "azure", "--format", "json", expect=10)
        laptop("plan", "--vault", "kv-shop", "-o", "plan.json")
        first = Path("plan.json").read_bytes()
        # the same estate gives the same bytes on every machine of the team
        runner("plan", "--vault", "kv-shop", "-o", "plan.json")
        assert Path("plan.json").read_bytes() == first
        # what one machine rehearsed, another knows of
        assert "was not rehearsed" in runner("apply", "plan.json", "--auto-approve", "--require-rehearsal", expect=1)
        with Journal.of(team.ledger()) as journal:
            journal.rehearsed(json.loads(first)["id"], 1.0, {"steps": 1}, ok=True)
        runner("apply", "plan.json", "--auto-approve", "--require-rehearsal")
        (run,) = json.loads(laptop("runs", "--format", "json"))["runs"]
        assert run["state"] == "done"
        assert "identity-attach" in laptop("status", run["id"])
        laptop("verify", "latest")
        laptop("drift")
        assert "nothing is locked" in laptop("unlock")
        assert "is not locked" in laptop("unlock", "latest")
        laptop("finalize", "latest", "-o", "contract.json")
        assert "nothing was changed" not in laptop.printed
        laptop("rollback", "latest", "--auto-approve")
        assert json.loads(runner("runs", "--format", "json"))["runs"][0]["state"] == "rolled-back"
        runner("rollback", "latest", "--auto-approve")  # twice is safe, from anywhere
        assert apps(profile) == before
    # the folders hold the key for scans without a sign-in, for their owner's eyes, and no journal
    for machine in (laptop, runner):
        kept = [path for path in machine.folder.iterdir() if path.name != "cache"]
        assert [path.suffix for path in kept] == [".key"]
        assert stat.S_IMODE(kept[0].stat().st_mode) == 0o600
    everything = "".join([laptop.printed, runner.printed, *(blob.decode("latin-1") for blob in team.blobs().values())])
    assert '"change":"begin"' in everything
    for value in PLANTED.values():
        assert value not in everything
        assert json.dumps(value)[1:-1] not in everything


def test_every_change_asks_for_the_lock(
    storage: Azurite, tmp_path: Path, shell: Callable[..., Shell], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def refuse(_ledger: BlobLedger) -> None:
        raise StoppedError("the lock is lost", hint="keylift status latest")

    with Simulator(estate(*two_apps(), app("bystander")), directory=tmp_path / "simulator") as simulator:
        profile = both(Path(simulator.profile_path), storage, tmp_path)
        machine = shell("one", profile)
        machine("plan", "--vault", "kv-shop", "-o", "plan.json")
        before, things = apps(profile), set(simulator.world.resources)
        with monkeypatch.context() as patched:
            patched.setattr(BlobLedger, "check", refuse)
            machine("apply", "plan.json", "--auto-approve", expect=130)
        assert apps(profile) == before
        assert set(simulator.world.resources) == things
        machine("rollback", "latest", "--auto-approve")


def test_files_are_scanned_with_the_teams_key_and_without_a_sign_in(
    team: Team, tmp_path: Path, shell: Callable[..., Shell], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "settings.env").write_text("DB_CONNECTION=" + PLANTED["database"] + "\n")
    one, two = shell("one"), shell("two")
    for machine in (one, two):
        del machine.common[:2]
    monkeypatch.setenv("KEYLIFT_CLOUD", str(team.profile))

    def marks(machine: Shell) -> set[str]:
        report = json.loads(machine("scan", "files", "settings.env", "--format", "json", expect=10))
        return {finding["fingerprint"] for finding in report["findings"]}

    found = marks(one)
    assert found == marks(two)
    monkeypatch.setenv("KEYLIFT_CLOUD", "public")  # where nobody is signed in
    assert marks(one) == found


@pytest.fixture
def held(team: Team) -> Iterator[str]:
    """A run that another process is at work on."""
    from .test_ledger import plan

    with Journal.of(team.ledger()) as journal, journal.hold("20260101-000000-abcdef"):
        journal.begin("20260101-000000-abcdef", plan(), "simulator", 1.0)
        yield "20260101-000000-abcdef"


def test_unlock_says_who_and_asks(held: str, shell: Callable[..., Shell]) -> None:
    machine = shell("one")
    told = machine("unlock", expect=1)
    assert f"run {held} is held by process" in told
    assert "of operator on" in told
    assert "since 20" in told
    assert "--auto-approve" in told
    assert json.loads(machine("runs", "--format", "json"))["runs"][0]["holder"]["user"] == "operator"
    assert "held by process" in machine("status", held)
    told = machine("resume", held, "--auto-approve", expect=1)
    assert "is held by another process" in told
    assert f"keylift unlock {held}" in told
    assert "unlocked; next: keylift resume" in machine("unlock", held[:12], "--auto-approve")
    assert "is not locked" in machine("unlock", held)
    machine("unlock", "nonesuch", expect=1)


def test_a_folder_has_nothing_to_unlock(shell: Callable[..., Shell]) -> None:
    machine = shell("one", state="local")
    assert "ends with the process" in machine("unlock", expect=1)
    assert json.loads(machine("runs", "--format", "json"))["runs"] == []


def test_the_state_may_be_configured(
    held: str, team: Team, tmp_path: Path, shell: Callable[..., Shell], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    machine = shell("one")
    del machine.common[-2:]
    assert held not in machine("runs")
    (tmp_path / "keylift.toml").write_text(f'state = "{team.state.url}"\n')
    assert held in machine("runs")
    monkeypatch.setenv("KEYLIFT_STATE", "local")
    assert held not in machine("runs")
    monkeypatch.setenv("KEYLIFT_STATE", team.state.url)
    assert held in machine("runs")
    machine.common += ["--state", "local"]
    assert held not in machine("runs")


def test_a_plan_of_another_key_is_refused(team: Team, tmp_path: Path, shell: Callable[..., Shell]) -> None:
    from .test_ledger import plan

    made = plan()
    file = tmp_path / "plan.json"
    file.write_text(
        type(made)(made.tool, "simulator", {}, {}, {"fingerprint": "f1:0", "key": "0" * 12}, made.steps).to_json()
    )
    told = shell("one")("apply", str(file), "--auto-approve", expect=1)
    assert "another fingerprint key" in told
    assert "--state azblob://" in told


@pytest.mark.parametrize(
    ("state", "what", "way_out"),
    [
        ("azblob://shop", "the container is missing", "azblob://ACCOUNT/CONTAINER/PREFIX"),
        ("azblob://shopstate/runs", "names no storage", "storage_suffix"),
        ("azblob://203.0.113.7:443/shopstate/runs", "only an emulator on this machine", "azblob://ACCOUNT"),
        ("azblob://127.0.0.1:9/devstoreaccount1/none-such", "could not look at the container", "keylift"),
    ],
)
def test_what_cannot_be_says_the_way_out(
    state: str, what: str, way_out: str, shell: Callable[..., Shell], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("migrator.cloud.blobs.PATIENCE", 0.2)
    told = shell("one", state=state)("runs", expect=1)
    assert what in told
    assert way_out in told
    assert "Traceback" not in told


def test_an_emulator_is_not_shown_a_token_of_azure(shell: Callable[..., Shell], team: Team) -> None:
    machine = shell("one")
    machine.common[machine.common.index("--cloud") + 1] = "public"
    machine.common += ["--auth", "environment"]
    told = machine("runs", expect=1)
    assert "token for Azure must not be shown" in told or "no credential could sign in" in told
