"""The whole journey by keys alone, and what it leaves: the same plan as the command line, the cloud as before, no value."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from textual.widgets import Button

from migrator import api, cli
from migrator.state import StateFolder
from tui.dialogs import Failure
from tui.journey import PAGES

from .driving import CANARY, Driver, Frozen, app, cloud, estate, run, shop

GOLDEN = Path(__file__).parent / "golden"


async def to_scan(driver: Driver) -> None:
    await driver.until(lambda: driver.wizard.session.standing, "the sign-in")
    await driver.look("scope")
    await driver.press("enter")
    await driver.until(lambda: driver.wizard.session.material, "the scan")
    await driver.look("scan")


async def to_plan(driver: Driver) -> None:
    await to_scan(driver)
    await driver.press("enter")
    await driver.look("findings")
    await driver.press("enter")
    await driver.until(lambda: driver.wizard.session.plan, "a plan")
    await driver.look("mapping")


def documents(place: api.Workplace) -> dict[str, Any]:
    """Apps and their values as Azure has them, without what it moves by itself."""
    from migrator.model import settled
    from scanners.model import reveal

    with api.session(place) as opened:
        found = api.read(opened, api.Scope(), lambda _text: None)
    return {
        one.id: (settled(one.document), {s.name: reveal(s.value) if s.value else None for s in one.secrets})
        for one in found.apps
    }


def silent(*places: Path) -> None:
    """No planted value in any file."""
    for place in places:
        for path in place.rglob("*"):
            assert not path.is_file() or CANARY.encode() not in path.read_bytes(), path


def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("scan", "apply"):
        monkeypatch.setattr(f"tui.screens.{name}.time", Frozen)


THEMES = ("keylift-dark", "keylift-light", "ansi-light")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_the_whole_journey(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)
    frozen(monkeypatch)
    whole = size == (80, 24)

    async def story(driver: Driver) -> None:
        wizard, driver.themes = driver.wizard, THEMES
        await to_plan(driver)
        await driver.press("enter", "w")
        for _ in "plan.json":
            await driver.press("backspace")
        await driver.type("mine.json")
        await driver.press("enter")
        await driver.until(lambda: (tmp_path / "mine.json").exists() and wizard.journey.plan_file, "the plan's file")
        await driver.look("review")
        if whole:
            await driver.press("h")
            await driver.until(lambda: wizard.session.rehearsal, "the rehearsal")
            held = wizard.session.rehearsal
            assert held is not None
            assert held.ok
        await driver.press("enter", "enter")
        assert isinstance(wizard.screen.focused, Button)
        assert wizard.screen.focused.id == "cancel"
        await driver.press("enter")
        assert driver.page() == "ApplyPage"  # Cancel had the focus
        assert not wizard.session.running
        await driver.press("enter", "shift+tab")
        await driver.type("apply 2 apps")
        await driver.press("enter")
        await driver.until(lambda: wizard.session.result and not wizard.session.running, "the run")
        assert wizard.session.result is not None
        assert wizard.session.result.exit_code == 0
        await driver.look("apply")
        await driver.press("enter")
        await driver.until(lambda: wizard.session.proof, "the proof")
        assert wizard.session.proof is not None
        assert wizard.session.proof.ok
        await driver.look("proof")
        for _ in range(4):
            await driver.press("right_square_bracket")
            await driver.look(f"proof-{wizard.screen.query_one('#tabs').active}")  # type: ignore[attr-defined]
        await driver.press("b")
        await driver.until(lambda: driver.page() == "Confirm", "the question")
        await driver.press("shift+tab")
        await driver.type("roll back 2 apps")
        await driver.press("enter")
        await driver.until(lambda: wizard.session.result and wizard.session.result.rolling_back, "the rollback")
        assert wizard.session.result.exit_code == 0
        await driver.press("ctrl+r")
        await driver.until(lambda: wizard.screen.query_one("Grid").model.shown, "the runs")  # type: ignore[attr-defined]
        await driver.look("runs")

    with cloud(shop(), tmp_path) as (_, place):
        before = documents(place)
        cli_plan = CliRunner().invoke(
            cli.keylift,
            [
                "plan",
                "--vault",
                "kv-one",
                "-o",
                "cli.json",
                "--cloud",
                place.cloud,
                "--state-dir",
                str(place.state.path),
            ],
        )
        assert cli_plan.exit_code == 0, cli_plan.output
        driver = run(place, story, size=size, theme=THEMES[0])
        assert (tmp_path / "mine.json").read_bytes() == (tmp_path / "cli.json").read_bytes()
        assert documents(place) == before
    assert CANARY not in "".join(driver.seen.values())
    silent(place.state.path, GOLDEN)
    update = bool(request.config.getoption("--snapshot-update"))
    for name in (*PAGES, "proof-graph", "runs"):
        for theme in THEMES:
            # changed in mid-journey, and yet as if the wizard had begun with it
            golden(f"{name}-{size[0]}x{size[1]}-{theme}", driver.seen[f"{name}@{theme}"], update=update)


def test_no_color_leaves_none_and_the_cursor_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def story(driver: Driver) -> None:
        driver.themes = THEMES
        await to_scan(driver)
        await driver.press("enter", "down")
        await driver.look("findings")
        await driver.press("i")
        await driver.look("dialog")

    with cloud(shop(), tmp_path) as (_, place):
        driver = run(place, story)
    for name in ("scan", "findings", "dialog"):
        for theme in THEMES:
            styles = re.findall(r" \d+:([^/\s]+)/([^/\s]+)(\S*)", driver.seen[f"{name}@{theme}"])
            assert {color for one in styles for color in one[:2]} <= {"-", "default"}, (name, theme)
            assert any("reverse" in one[2] for one in styles), (name, theme)


def golden(name: str, text: str, *, update: bool) -> None:
    """Compare a screen with the one that was kept; `--snapshot-update` keeps this one."""
    path = GOLDEN / f"{name}.txt"
    if update:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"no picture {path.name}; make it: pytest tests/tui --snapshot-update"
    assert text == path.read_text(encoding="utf-8"), f"{path.name} is another picture; look, then: --snapshot-update"


def test_decisions_make_the_plan_that_the_command_line_makes_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    async def story(driver: Driver) -> None:
        wizard = driver.wizard
        await to_scan(driver)
        await driver.press("enter", "i")  # ignore the first secret, for a reason
        await driver.type("rotated")
        await driver.press("enter", "enter")
        assert len(wizard.journey.ignored) == 1
        await driver.press("enter")
        await driver.until(lambda: wizard.session.plan, "a plan")
        await driver.press("o", "tab", "tab", "tab", "tab", "tab", "tab")
        await driver.until(lambda: driver.page() == "MappingPage", "the page")
        wizard.screen.query_one("Grid").focus()
        await driver.press("home", "down", "e")
        for _ in range(60):
            await driver.press("backspace")
        await driver.type("not_a_name")
        assert wizard.screen.query_one("#go", Button).disabled
        for _ in "not_a_name":
            await driver.press("backspace")
        await driver.type("my-name")
        before = wizard.session.plan
        await driver.press("enter")
        await driver.until(lambda: wizard.session.plan not in (None, before), "another plan")
        assert "my-name" in wizard.session.plan.to_json()

    with cloud(shop(), tmp_path) as (_, place):
        driver = run(place, story)
        wizard = driver.wizard
        command = wizard.journey.plan_command([], wizard.choices_file)[1:]
        Path("mine.json").write_text(wizard.session.plan.to_json(), encoding="utf-8")
        common = ["--cloud", place.cloud, "--state-dir", str(place.state.path), "-o", "cli.json"]
        done = CliRunner().invoke(cli.keylift, [*command, *common])
        assert done.exit_code == 0, done.output
    assert Path("cli.json").read_bytes() == Path("mine.json").read_bytes()
    assert json.loads(wizard.choices_file.read_text())["ignore"][0]["reason"] == "rotated"
    silent(place.state.path)


def test_reopening_goes_on_and_back_loses_nothing(tmp_path: Path) -> None:
    async def first(driver: Driver) -> None:
        await to_scan(driver)
        await driver.press("enter", "f")
        await driver.type("a test")
        await driver.press("enter")
        await driver.press("slash")
        await driver.type("token")
        await driver.press("enter", "2", "3")
        assert driver.wizard.screen.query_one("#filter").value == "token"  # type: ignore[attr-defined]

    async def second(driver: Driver) -> None:
        await to_scan(driver)
        await driver.press("enter")
        assert "– false" in driver.keep("findings")

    with cloud(shop(), tmp_path) as (_, place):
        run(place, first)
        run(place, second)


def test_a_slow_cloud_never_holds_the_keys(tmp_path: Path) -> None:
    """Answers take two seconds each; keys are answered in the meantime: the page changes while the scan is still at work."""
    slow = [{"path": "listSecrets|revisions", "delay": 2.0, "times": 1000}]
    many = [app(f"app{number:02}", {"DB_PASSWORD": f"Canary-{number:02}-kT9vQ2xZ7mLw4pR"}) for number in range(12)]

    async def story(driver: Driver) -> None:
        wizard = driver.wizard
        await driver.until(lambda: wizard.session.standing, "the sign-in")
        await driver.press("enter")
        page = wizard.screen
        assert driver.page() == "ScanPage"
        # held up at once: whatever the other keys take, it is at work all the time
        await driver.press("p")
        assert page.control.paused  # type: ignore[attr-defined]
        await driver.press("f1")
        assert driver.page() == "Help"
        await driver.press("escape", "1")
        assert driver.page() == "ScopePage"
        await driver.press("2")
        assert driver.page() == "ScanPage"
        assert page._estate.state == "working"  # type: ignore[attr-defined]
        assert wizard.session.material is None
        await driver.press("p", "x")
        simulator.azure.faults.rules.clear()
        await driver.until(lambda: page._estate.state == "interrupted", "the end of the scan")  # type: ignore[attr-defined]
        assert wizard.session.material is None
        assert "Scan first" in driver.keep("scan")

    with cloud(estate(*many), tmp_path, faults=slow) as (simulator, place):
        run(place, story)


def test_a_value_is_shown_while_a_key_is_held_and_never_kept(tmp_path: Path) -> None:
    async def story(driver: Driver) -> None:
        await to_scan(driver)
        await driver.press("enter", "v")
        value = driver.wizard.screen.query_one("#value")
        assert value.has_class("-shown")
        assert CANARY not in driver.wizard.export_screenshot()
        assert not value.has_class("-shown")
        await driver.press("v")
        assert value.has_class("-shown")
        await driver.press("f8")
        assert CANARY not in driver.keep("masked")
        await driver.press("v")
        await driver.until(lambda: not value.has_class("-shown"), "the value to go")

    async def never(driver: Driver) -> None:
        await to_scan(driver)
        await driver.press("enter", "v")
        assert not driver.wizard.screen.query_one("#value").has_class("-shown")

    with cloud(shop(), tmp_path) as (_, place):
        run(place, story)
        run(place, never, reveal=False)
    silent(place.state.path)


def test_a_failure_is_a_page_with_a_way_out(tmp_path: Path) -> None:
    broken = [{"path": "^/subscriptions$", "status": 403, "code": "AuthorizationFailed", "message": "no", "times": 1}]

    async def story(driver: Driver) -> None:
        await driver.until(lambda: driver.page() == "Failure", "the failure")
        text = driver.keep("failure")
        assert "What to do" in text
        await driver.press("r")
        await driver.until(lambda: driver.wizard.session.standing, "the sign-in")
        # however much there is to say: what happened stands at the top, and what can be pressed at the bottom
        driver.wizard.push_screen(Failure("reading", "the cloud is away", "it said so, at length. " * 40, "wait"))
        await driver.idle()
        text = driver.keep("long")
        assert "✗ the cloud is away" in text
        assert "Try again" in text

    with cloud(shop(), tmp_path, faults=broken) as (_, place):
        run(place, story)


def test_an_unknown_exception_is_a_page_and_a_report_without_values(tmp_path: Path) -> None:
    async def story(driver: Driver) -> None:
        wizard = driver.wizard
        wizard.raise_in_tests = False
        await driver.until(lambda: wizard.session.standing, "the sign-in")

        def fails() -> None:
            secret = f"{CANARY}-in-a-message"
            raise ZeroDivisionError(secret)

        wizard.screen.start("dividing", fails, lambda _: None)  # type: ignore[attr-defined]
        await driver.until(lambda: driver.page() == "Failure", "the failure")
        await driver.press("escape")
        wizard.screen.call_later(fails)
        await driver.until(lambda: driver.page() == "Failure", "the failure")
        await driver.press("escape")
        await driver.until(lambda: driver.page() == "ScopePage", "the pages, anew")
        await driver.until(lambda: wizard.session.standing, "the sign-in")

    with cloud(shop(), tmp_path) as (_, place):
        run(place, story)
    reports = list((place.state.path / "reports").iterdir())
    assert len(reports) == 2
    assert all("ZeroDivisionError" in report.read_text() for report in reports)
    silent(place.state.path)


def test_a_demo_goes_on_when_its_simulator_ended_and_leaves_its_reports(tmp_path: Path) -> None:
    async def story(driver: Driver) -> None:
        wizard = driver.wizard
        await driver.until(lambda: wizard.session.standing, "the sign-in")
        assert wizard.stage is not None
        wizard.stage.process.kill()
        wizard.stage.process.wait()
        await driver.press("enter")
        await driver.until(lambda: wizard.session.material, "the scan")

        def fails() -> None:
            raise ZeroDivisionError

        wizard.screen.start("dividing", fails, lambda _: None)  # type: ignore[attr-defined]
        await driver.until(lambda: driver.page() == "Failure", "the failure")

    place = api.Workplace("public", state=StateFolder(tmp_path / "state"))
    driver = run(place, story, demo=True)
    home = driver.wizard.place.state.path
    driver.wizard.close_demo()
    assert not home.exists()
    assert "ZeroDivisionError" in next((tmp_path / "state" / "reports").iterdir()).read_text()
