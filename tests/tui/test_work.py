"""Work behind the pages: it never holds the keys, it can be paused, stopped and gone on with, and it outlives its terminal."""

from __future__ import annotations

import gc
import io
import os
import shutil
import subprocess
import sys
import tarfile
import time
import weakref
from pathlib import Path

import pytest

from migrator import api
from migrator.simulator.faults import Fault
from migrator.simulator.server import Simulator

from .driving import CANARY, Driver, Waits, app, cloud, estate, rid, run, shop
from .test_journey import documents, silent, to_plan, to_scan
from .test_terminal import ROOT, Terminal

SLOW = 2.0
"""Seconds that a slow answer takes."""
linux = pytest.mark.skipif(not Path("/proc/thread-self/schedstat").exists(), reason="needs /proc: Linux")


def slow(simulator: Simulator, times: int = 2, **rule: object) -> None:
    """The next answers take their time."""
    simulator.azure.faults.rules.append(Fault(delay=SLOW, times=times, **rule))  # type: ignore[arg-type]


@linux
def test_no_action_waits_for_the_cloud_where_keys_are_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(driver: Driver) -> None:
        wizard = driver.wizard
        await to_scan(driver)
        await driver.press("enter", "enter")
        slow(simulator)
        await driver.until(lambda: wizard.session.plan, "a plan")
        await driver.press("enter", "enter")
        slow(simulator)
        await driver.press("enter", "shift+tab")
        await driver.type("api")
        await driver.press("enter")
        await driver.until(lambda: wizard.session.result and not wizard.session.running, "the run")
        slow(simulator)
        await driver.press("enter")
        await driver.until(lambda: wizard.session.proof, "the proof")
        slow(simulator)
        await driver.press("b")
        await driver.until(lambda: driver.page() == "Confirm", "the question")
        await driver.press("shift+tab")
        await driver.type("api")
        await driver.press("enter")
        await driver.until(lambda: wizard.session.result and wizard.session.result.rolling_back, "the rollback")
        await driver.press("ctrl+r")
        await driver.until(lambda: wizard.screen.query_one("Grid").model.shown, "the runs")  # type: ignore[attr-defined]

    one = estate(app("api", {"DB_PASSWORD": f"{CANARY}0-kT9vQ2xZ7mLw4pRsHb3n"}))
    with cloud(one, tmp_path) as (simulator, place):
        slow(simulator, 3)
        waits = Waits(monkeypatch)
        run(place, story)
    assert waits.longest < SLOW / 2, waits.of


@linux
def test_an_action_that_waits_for_the_cloud_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The measure above is one that can fail."""

    async def story(driver: Driver) -> None:
        await driver.until(lambda: driver.wizard.session.standing, "the sign-in")
        slow(simulator)
        driver.wizard.call_later(documents, place)
        await driver.until(lambda: waits.longest > SLOW / 2, "the wait to be noticed")

    with cloud(shop(), tmp_path) as (simulator, place):
        waits = Waits(monkeypatch)
        run(place, story)


def test_a_run_stops_after_the_steps_at_work_and_goes_on(tmp_path: Path) -> None:
    async def story(driver: Driver) -> None:
        wizard = driver.wizard
        await to_plan(driver)
        await driver.press("enter", "enter", "enter", "shift+tab")
        # stopped before it began: nothing was done, and the page says so
        slow(simulator, 1)
        await driver.type("apply 2 apps")
        await driver.press("enter", "x")
        await driver.until(lambda: not wizard.session.running, "the end")
        assert "nothing is changed yet: 2 apps to do" in driver.keep("unbegun")
        assert wizard.journey.run == ""
        await driver.press("enter", "shift+tab")
        slow(simulator, 1, method="PUT", path="/secrets/|roleAssignments")
        await driver.type("apply 2 apps")
        await driver.press("enter")
        await driver.until(lambda: "▶ working" in driver.keep("working"), "the run to begin")
        await driver.press("x")
        assert "stopping after the steps at work" in driver.keep("stopping")
        await driver.until(lambda: wizard.session.result and not wizard.session.running, "the run to stop")
        stopped = wizard.session.result
        assert stopped is not None
        assert stopped.stopped
        assert {one.state for one in stopped.apps} != {"done"}
        assert "interrupted" in driver.keep("stopped")
        await driver.press("r")
        await driver.until(lambda: wizard.session.result not in (None, stopped), "the rest of the run")
        assert driver.result.run == stopped.run
        assert {one.state for one in driver.result.apps} == {"done"}

    with cloud(shop(), tmp_path) as (simulator, place):
        driver = run(place, story)
    assert CANARY not in "".join(driver.seen.values())
    silent(place.state.path)


def reads(process: Path) -> int:
    """How often a process read anything since it began; nothing when it has ended."""
    try:
        return int(dict(line.split(": ") for line in (process / "io").read_text().splitlines())["syscr"])
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0


@linux
def test_closing_the_terminal_leaves_a_run_to_resume_and_to_roll_back(tmp_path: Path) -> None:
    if shutil.which("tmux") is None:
        pytest.skip("no tmux here; apt-get install tmux")
    with cloud(shop(), tmp_path) as (simulator, place):
        before = documents(place)
        command = f"{sys.executable} -m migrator wizard --cloud {place.cloud} --state-dir {place.state.path}"
        terminal = Terminal((100, 30), command, tmp_path)
        try:
            for waited in ("Enter ▸ Scan", "Enter ▸ Findings", "Enter ▸ Mapping", "Enter ▸ Review", "Enter ▸ Apply"):
                terminal.until(waited)
                terminal.keys("Enter")
            terminal.until("Enter ▸ apply this plan")
            terminal.keys("Enter")
            # each write takes its time: the terminal is gone long before the last one
            slow(simulator, 1000, method="PUT")
            slow(simulator, 1000, method="PATCH")
            terminal.confirm("Apply this plan?", "apply 2 apps")
            terminal.until("working")
            left = Path("/proc", terminal.tmux("display-message", "-p", "#{pane_pid}").strip())
        finally:
            terminal.close()
        simulator.azure.faults.rules.clear()
        before_end = reads(left)
        while now := reads(left):
            assert now - before_end < 5000, "it reads the end of a terminal that is no more, again and again"
            time.sleep(0.05)

        async def resume(driver: Driver) -> None:
            wizard = driver.wizard
            await driver.until(lambda: wizard.session.standing, "the sign-in")
            await driver.press("ctrl+r")
            grid = wizard.screen.query_one("Grid")

            def interrupted() -> bool:
                wizard.screen.shown()  # type: ignore[attr-defined] # the old process ends after its step
                return [row.data["state"] for row in grid.model.shown] == ["interrupted"]  # type: ignore[attr-defined]

            await driver.until(interrupted, "the run, interrupted")
            assert "‖ interrupted" in driver.keep("runs")
            await driver.press("r")
            await driver.until(lambda: wizard.session.result, "the end of the run")
            assert {one.state for one in driver.result.apps} == {"done"}
            assert documents(place) != before
            await driver.press("ctrl+r")
            await driver.until(lambda: driver.page() == "RunsPage", "the runs")
            await driver.until(lambda: wizard.screen.query_one("Grid").model.shown, "the runs")  # type: ignore[attr-defined]
            await driver.press("b")
            await driver.until(lambda: driver.page() == "Confirm", "the question")
            await driver.press("shift+tab")
            await driver.type("roll back 2 apps")
            await driver.press("enter")
            await driver.until(lambda: wizard.session.result and wizard.session.result.rolling_back, "the rollback")
            assert driver.result.exit_code == 0

        run(place, resume)
        assert documents(place) == before
    silent(place.state.path)


def test_a_scan_waits_while_it_is_paused(tmp_path: Path) -> None:
    many = [app(f"app{number:02}", {"DB_PASSWORD": f"{CANARY}-{number:02}-kT9vQ2xZ7mLw4pR"}) for number in range(8)]

    async def story(driver: Driver) -> None:
        wizard = driver.wizard
        await driver.until(lambda: wizard.session.standing, "the sign-in")
        await driver.press("enter", "p")
        page = wizard.screen
        at = page._estate.done  # type: ignore[attr-defined]
        assert "paused" in driver.keep("paused")
        await driver.press(*["down"] * 20)
        # what was at work comes to its end, nothing new begins
        assert page._estate.state == "working"  # type: ignore[attr-defined]
        assert page._estate.done <= at + place.workers  # type: ignore[attr-defined]
        await driver.press("p")
        simulator.azure.faults.rules.clear()
        await driver.until(lambda: wizard.session.material, "the scan")
        found = wizard.session.material.report.findings if wizard.session.material else []
        assert len(found) == len(many)
        slow(simulator, 1000, path="listSecrets|revisions")
        await driver.press("r", "x")
        await driver.until(lambda: page._estate.state == "interrupted", "the end of the scan")  # type: ignore[attr-defined]
        assert wizard.session.material is None
        assert "r scans again" in driver.keep("cancelled")
        assert "Pause" not in driver.seen["cancelled"]
        assert "Pause" in driver.seen["paused"]

    with cloud(estate(*many), tmp_path) as (simulator, place):
        slow(simulator, 1000, path="listSecrets|revisions")
        run(place, story)


def repository(folder: Path, value: str) -> None:
    """A git repository that held a value and holds it no more."""
    folder.mkdir()
    git = ["git", "-c", "user.name=ann", "-c", "user.email=ann@example.com", "-C", str(folder)]
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    for text in (f"DB_PASSWORD={value}\n", "DB_PASSWORD=\n"):
        if not (folder / ".git").exists():
            subprocess.run([*git, "init", "-q"], check=True, env=environment)
        (folder / ".env").write_text(text)
        subprocess.run([*git, "add", "-A"], check=True, env=environment)
        subprocess.run([*git, "commit", "-q", "-m", "settings"], check=True, env=environment)


def image(path: Path, value: str) -> None:
    """A `docker save` of one layer that holds a value."""
    import hashlib
    import json

    def packed(files: dict[str, bytes]) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        return out.getvalue()

    layer = packed({"app/.env": f"MAIL_PASSWORD={value}\n".encode()})
    digest = f"sha256:{hashlib.sha256(layer).hexdigest()}"
    config = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [digest]}})
    manifest = json.dumps([{"Config": "config.json", "RepoTags": ["web:1"], "Layers": ["layer.tar"]}])
    path.write_bytes(packed({"manifest.json": manifest.encode(), "config.json": config.encode(), "layer.tar": layer}))


def test_repositories_and_images_are_added_and_left_out_again(tmp_path: Path) -> None:
    value = f"{CANARY}7-kT9vQ2xZ7mLw4pRsHb3n"
    repository(tmp_path / "repo", f"{CANARY}1-kT9vQ2xZ7mLw4pRsHb3n")  # the value of the app api, too
    image(tmp_path / "web.tar", value)

    async def story(driver: Driver) -> None:
        wizard = driver.wizard
        await to_scan(driver)
        await driver.press("n", "enter")
        wizard.screen.query_one("#target").value = str(tmp_path / "nowhere")  # type: ignore[attr-defined]
        await driver.press("enter")
        assert "no such folder" in driver.keep("refused")
        wizard.screen.query_one("#target").value = str(tmp_path / "repo")  # type: ignore[attr-defined]
        await driver.press("enter")
        await driver.until(lambda: len(wizard.session.extra) == 1, "the repository")
        await driver.press("n", "down", "enter")
        wizard.screen.query_one("#target").value = str(tmp_path / "web.tar")  # type: ignore[attr-defined]
        await driver.press("enter")
        await driver.until(lambda: len(wizard.session.extra) == 2, "the image")
        await driver.until(lambda: "1 finding" in driver.keep("sources"), "what was found")
        await driver.press("enter")
        findings = driver.keep("findings")
        assert ".env " in findings
        assert "DB_PASSWORD +1" in findings
        # one value, in an app and in history: one row of two places
        page = wizard.screen
        assert {len(one.findings) for one in page._known.values()} == {1, 2}  # type: ignore[attr-defined]
        assert [source.command()[:3] for source in wizard.journey.sources] == [
            ["keylift", "scan", "repo"],
            ["keylift", "scan", "image"],
        ]
        await driver.press("2", "delete", "3")
        assert ".env " not in driver.keep("without")
        await driver.press("enter")
        await driver.until(lambda: wizard.session.plan, "a plan")
        assert any("history" in str(risk) or "commit" in str(risk) for risk in wizard.session.plan.rest_risk)

    with cloud(shop(), tmp_path) as (_, place):
        driver = run(place, story)
    assert CANARY not in "".join(driver.seen.values())
    silent(place.state.path)


def test_a_decision_speaks_of_all_selected_and_says_of_how_many(tmp_path: Path) -> None:
    names = [f"{'TOKEN' if number < 12 else 'PASSWORD'}_{number:02}" for number in range(40)]
    values = {name: f"{CANARY}{number:02}-kT9vQ2xZ7mLw4pRsHb3n" for number, name in enumerate(names)}

    async def story(driver: Driver) -> None:
        wizard = driver.wizard
        await to_scan(driver)
        await driver.press("enter")
        await driver.until(lambda: "40 secrets" in driver.keep("findings"), "the findings")
        await driver.press("slash")
        await driver.type("token")
        assert "12 of 40 secrets" in driver.keep("filtered")
        await driver.press("enter", "ctrl+a")
        assert "selected: 12 of 40" in driver.keep("selected")
        await driver.press("i")
        assert "Ignore 12 of 40 secrets" in driver.keep("asked")
        await driver.type("rotated")
        await driver.press("enter", "enter")
        assert len(wizard.journey.ignored) == 12
        # the others: turned round, taken for good
        await driver.press("escape", "asterisk")
        assert "selected: 28 of 40" in driver.keep("inverted")
        await driver.press("a")
        assert len(wizard.journey.accepted) == 28
        await driver.press("u")
        assert len(wizard.journey.accepted) == 0
        assert len(wizard.journey.ignored) == 12

    with cloud(estate(app("api", values)), tmp_path) as (_, place):
        driver = run(place, story, size=(120, 40))
    assert CANARY not in "".join(driver.seen.values())


def test_everything_is_reached_by_mouse(tmp_path: Path) -> None:
    async def story(driver: Driver) -> None:
        wizard = driver.wizard
        await driver.until(lambda: wizard.session.standing, "the sign-in")
        await driver.click("Next")
        assert driver.page() == "ScanPage"
        await driver.until(lambda: wizard.session.material, "the scan")
        await driver.click("3 Findings")
        assert driver.page() == "FindingsPage"
        names = ["DB_PASSWORD", "mail-password", "SESSION_TOKEN"]

        def order() -> list[str]:
            lines = driver.keep("findings").split("\n")
            return [name for line in lines for name in names if f" {name} " in line and ("▸" in line or "▾" in line)]

        await driver.click("Secret ")
        assert order() == names
        await driver.click("Secret ")
        assert order() == names[::-1]
        await driver.click("mail-password", before=15)  # the triangle
        assert [row.depth for row in wizard.screen.query_one("Grid").model.shown] == [0, 0, 1, 0]  # type: ignore[attr-defined]
        await driver.click("DB_PASSWORD", before=17)  # the mark
        assert "selected: 1 of 3" in driver.keep("marked")
        await driver.click("Ignore")
        assert driver.page() == "Ask"
        await driver.click("Cancel")
        assert driver.page() == "FindingsPage"
        await driver.click("/ type to filter")
        await driver.type("token")
        assert order() == ["SESSION_TOKEN"]
        await driver.click("4 Mapping")
        await driver.until(lambda: wizard.session.plan, "a plan")
        await driver.click("Review")
        assert driver.page() == "ReviewPage"
        await driver.click("6 Apply")
        await driver.click("Next")
        assert driver.page() == "Confirm"
        await driver.click("type: ")
        await driver.type("apply 2 apps")
        await driver.click("Cancel")
        assert driver.page() == "ApplyPage"
        assert not wizard.session.running

    with cloud(shop(), tmp_path) as (_, place):
        driver = run(place, story)
    assert CANARY not in "".join(driver.seen.values())


class Ring:
    """Something that only the collector gives back."""

    def __init__(self) -> None:
        self.itself = self


def test_what_a_former_scan_found_is_given_back(tmp_path: Path) -> None:
    """The collector leaves out what is shown, and no more than that."""

    async def story(driver: Driver) -> None:
        wizard = driver.wizard
        await to_scan(driver)
        ring = Ring()  # like what was found: there when it is shown, and let go of by the next scan
        former = weakref.ref(ring)
        await driver.press("enter")
        await driver.until(lambda: driver.page() == "FindingsPage" and gc.get_freeze_count(), "the findings")
        del ring
        gc.collect()
        assert former() is not None, "the measure is one that can fail"
        simulator.azure.world.resources[rid("Microsoft.App/containerApps", "web").lower()]["tags"] = {"team": "shop"}
        await driver.press("2", "r")
        await driver.until(lambda: wizard.session.material, "the other scan")
        await driver.press("enter")
        await driver.until(lambda: driver.page() == "FindingsPage", "the findings")
        gc.collect()
        assert former() is None
        assert gc.get_freeze_count()

    with cloud(shop(), tmp_path) as (simulator, place):
        run(place, story)
    assert gc.get_freeze_count() == 0


def test_the_state_of_a_team_is_read_in_threads_only() -> None:
    """Whatever reads a journal may go over the network: no page calls it but as a job of its own."""
    import ast

    readers = {name for name in vars(api) if name.endswith(("_run", "_runs", "_report", "_plan"))}
    called = set()
    for path in sorted((ROOT / "tui").rglob("*.py")):
        tree = ast.parse(path.read_text())
        inside = {
            id(call)
            for job in ast.walk(tree)
            if isinstance(job, ast.Lambda) or (isinstance(job, ast.FunctionDef) and job.name == "job")
            for call in ast.walk(job)
        }
        for call in ast.walk(tree):
            if isinstance(call, ast.Attribute) and isinstance(call.value, ast.Name) and call.value.id == "api":
                assert call.attr not in readers or id(call) in inside, f"{path}:{call.lineno} api.{call.attr}"
                called.add(call.attr)
    assert called & readers >= {"list_runs", "run_report"}
