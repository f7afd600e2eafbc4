"""A run that is interrupted from the keyboard, or killed: resumable, and held by one process at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .loopback import Shell, simulator
from .promises import as_people_see_it
from .test_estates import estate, two_apps


def begun(shell: Shell, *arguments: str, until: str) -> subprocess.Popen[str]:
    """A keylift process that has said `until`."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "migrator", *arguments),
            *("--state-dir", str(shell.folder / "state"), "--cloud", str(shell.profile)),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=shell.folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stderr is not None
    for line in process.stderr:
        shell.printed += line
        if until in line:
            break
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_run_goes_on_where_it_was_stopped(tmp_path: Path, number: signal.Signals, code: int) -> None:
    with simulator(tmp_path, estate(*two_apps()), "--speed", "30") as azure:
        shell = Shell(tmp_path, azure.profile_path)
        apps = [document["id"] for document in two_apps()[1:]]
        before = {app: as_people_see_it(azure.app(app)) for app in apps}
        shell.keylift("plan", "--vault", "kv-one", "-o", "plan.json")
        process = begun(shell, "apply", "plan.json", "--auto-approve", until="identity-attach")
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
        shell.printed += out + err
        assert process.returncode == code, err
        (run,) = json.loads(shell.keylift("runs", "--format", "json", cloud=False).stdout)["runs"]
        assert run["state"] == "interrupted"
        again = shell.keylift("apply", "plan.json", "--auto-approve", expect=1)
        assert f"keylift resume {run['id']}" in again.stderr

        process = begun(shell, "resume", run["id"], "--auto-approve", until="done")
        other = shell.keylift("rollback", run["id"], "--auto-approve", expect=None)
        out, err = process.communicate(timeout=120)
        shell.printed += out + err
        assert process.returncode == 0, err
        if other.returncode:  # unless the first was quicker
            assert "held by another process" in other.stderr
            shell.keylift("verify", run["id"])
            shell.keylift("rollback", run["id"], "--auto-approve")
        assert {app: as_people_see_it(azure.app(app)) for app in apps} == before
    assert "Canary" not in shell.printed
