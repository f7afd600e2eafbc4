"""The wizard with shared state: its demo keeps away from it, and the commands it prints name it."""

from __future__ import annotations

from pathlib import Path

from migrator import api
from migrator.shared import SharedState
from migrator.state import StateFolder
from scanners.model import Fingerprinter
from tui.app import Wizard
from tui.journey import Journey

TEAM = SharedState.parse("azblob://shopstate/runs/team")


def test_the_demo_is_nobodys_but_its_own(tmp_path: Path) -> None:
    place = api.Workplace(state=StateFolder(tmp_path / "mine"), shared=TEAM)
    assert Wizard(place, demo=True, folder=tmp_path / "demo").place.shared is None
    assert Wizard(place).place.shared == TEAM


def test_choices_are_kept_under_the_teams_key(tmp_path: Path) -> None:
    key = Fingerprinter(b"t" * 32)
    wizard = Wizard(api.Workplace(state=StateFolder(tmp_path), shared=TEAM))
    wizard.save()
    assert not wizard.choices_file.exists()  # nothing was read with that key yet
    wizard.place.state.keep_team_key(TEAM.url, key)
    wizard.save()
    assert key.key_id in wizard.choices_file.read_text()
    assert not (tmp_path / "fingerprint.key").exists()


def test_the_commands_to_copy_name_the_state(tmp_path: Path) -> None:
    journey = Journey(vault="kv-shop")
    lines = journey.commands(None, cloud="public", state=tmp_path, choices=tmp_path / "choices.json", shared=TEAM.url)
    assert lines
    assert all(line.count(f"--state {TEAM.url}") == 1 and "--state-dir" not in line for line in lines)
