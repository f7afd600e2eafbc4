"""`keylift demo`: the main job on a simulated estate, by the very commands a user types."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import click

from migrator import demo_estate
from migrator.console import Console
from migrator.errors import KeyliftError

WAIT = 30.0
"""Seconds the simulator may take to start."""


@dataclass(slots=True)
class Stage:
    """The demo's surroundings: a folder, a simulator in a process of its own, a profile."""

    folder: Path
    process: subprocess.Popen[str]
    profile: Path

    def keylift(self, *arguments: str, cloud: bool = True) -> int:
        """Show a command as a user would type it, run it, and give its exit code."""
        from migrator.cli import keylift

        click.secho(f"\n$ keylift {' '.join(_short(a, self.folder) for a in arguments)}", bold=True)
        hidden = [
            "--state",
            "local",
            "--state-dir",
            str(self.folder / "state"),
            *(["--cloud", str(self.profile)] if cloud else []),
        ]
        return int(keylift.main(args=[*arguments, *hidden], prog_name="keylift", standalone_mode=False) or 0)

    def stop(self) -> None:
        """End the simulator and wait for its end."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(WAIT)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def newest_run(self) -> str:
        """The id of the run that was just made."""
        from migrator.journal import Journal
        from migrator.state import StateFolder

        with Journal.open(StateFolder(self.folder / "state").database) as journal:
            return str(journal.runs()[0]["id"])


def _short(argument: str, folder: Path) -> str:
    return argument.replace(f"{folder}/", "")


def start(folder: Path, *, keep: bool = False, speed: float = 60.0) -> Stage:
    """Write the estate and start the simulator.

    With `keep` the simulated cloud goes on where the folder's last one stopped. `speed` is virtual seconds a wall second.

    Raises:
        KeyliftError: it did not start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    estate = folder / "estate.json"
    estate.write_text(json.dumps(demo_estate.estate(), indent=1), encoding="utf-8")
    log = (folder / "simulator.log").open("w", encoding="utf-8")
    options = ["--state-dir", str(folder / "cloud"), "--speed", str(speed)]
    options += ["--world", str(folder / "world.json")] if keep else []
    process = subprocess.Popen(
        [sys.executable, "-m", "migrator", "simulator", "--estate", str(estate), *options],
        stdout=subprocess.PIPE,
        stderr=log,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # Ctrl-C is for the demo; it stops the simulator itself
    )
    log.close()
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise KeyliftError(
            "the simulator did not start",
            why=(folder / "simulator.log").read_text(encoding="utf-8").strip()[-500:],
            hint=f"try it by hand: keylift simulator --estate {estate}",
        )
    return Stage(folder, process, Path(json.loads(line)["profile"]))


def run(console: Console, *, keep: bool = False, folder: Path | None = None) -> int:
    """Run the demo; its exit code is 0 when every stage did what it should.

    Raises:
        KeyliftError: the simulator did not start.
    """
    began = time.monotonic()
    home = folder or Path(tempfile.mkdtemp(prefix="keylift-demo-"))
    say = click.echo
    say(
        "keylift demo: a shop on Azure Container Apps, in a simulator on this machine. No Azure is touched.\n"
        f"Files of the demo: {home}"
    )
    stage = start(home)
    try:
        code = _play(stage, console)
        if code == 0:
            say(f"\nThe demo took {time.monotonic() - began:.0f} seconds.")
        if keep:
            say(
                f"\nThe simulator goes on (process {stage.process.pid}; stop it with: kill {stage.process.pid}).\n"
                f"Use it like a cloud:\n"
                f"  keylift scan azure --cloud {stage.profile} --state-dir {home / 'state'}"
            )
        return code
    finally:
        if not keep:
            stage.stop()
            if folder is None:
                shutil.rmtree(home, ignore_errors=True)


def _play(stage: Stage, console: Console) -> int:
    def title(text: str) -> None:
        click.secho(f"\n── {text} " + "─" * max(0, console.width() - len(text) - 4), fg="cyan")

    plan = str(stage.folder / "plan.json")
    title("1. What lies in plain sight")
    found = stage.keylift("scan", "azure", "--quiet")
    title("2. Who can read what today")
    stage.keylift("access", "--quiet")
    title("3. A plan: nothing is changed yet, and the file holds no value")
    planned = stage.keylift(
        "plan", "--vault", demo_estate.VAULT, "--on-conflict", "rename", "-o", plan, "--quiet", "--detailed-exitcode"
    )
    title("4. Apply it: every step is proven, an app that fails is put back")
    applied = stage.keylift("apply", plan, "--auto-approve")
    name = stage.newest_run()
    title("5. Proof: references, roles, running replicas")
    verified = stage.keylift("verify", name, "--quiet")
    title("6. Who can read what now")
    stage.keylift("access", "--quiet")
    title("7. Take one app back")
    back = stage.keylift("rollback", name, "--app", "orders-api", "--auto-approve")
    title("What to type next, on your own estate")
    click.echo(
        "  az login\n"
        "  keylift scan azure\n"
        "  keylift plan --vault NAME -o plan.json\n"
        "  keylift show plan.json\n"
        "  keylift apply plan.json"
    )
    wanted = {
        "scan": (found, 10),
        "plan": (planned, 2),
        "apply": (applied, 0),
        "verify": (verified, 0),
        "rollback": (back, 0),
    }
    for verb, (code, expected) in wanted.items():
        if code != expected:
            click.echo(f"the demo went wrong: keylift {verb} ended with {code} instead of {expected}", err=True)
            return 1
    return 0
