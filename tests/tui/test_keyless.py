"""Mapping says, secret by secret, where a managed identity could replace a key; with the choice to use it, the plan does."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from textual.widgets import Select

from migrator import cli
from tests.passwordless.test_apply import BUS, namespace

from .driving import CANARY, Driver, app, cloud, estate, run
from .test_journey import golden, silent, to_plan

OTHER = BUS.replace("SharedAccessKey=", "SharedAccessKey=x")


def keys() -> dict[str, object]:
    """A key that settings alone can do without, as only a scale rule takes it, and one of which nothing is known."""
    worker = app("worker", {}, {"queue": BUS})
    auth = [{"secretRef": "queue", "triggerParameter": "connection"}]
    rule = {"type": "azure-servicebus", "metadata": {"queueName": "orders"}, "auth": auth}
    worker["properties"]["template"]["scale"]["rules"] = [{"name": "orders", "custom": rule}]
    return estate(namespace(), worker, app("func", {"Bus": OTHER, "FUNCTIONS_WORKER_RUNTIME": "dotnet-isolated"}))


def test_a_key_that_an_identity_could_replace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)
    update = bool(request.config.getoption("--snapshot-update"))

    async def story(driver: Driver) -> None:
        wizard = driver.wizard
        await to_plan(driver)
        await driver.press("slash")
        await driver.type("keyless")
        await driver.press("enter", "home", "down")
        await driver.until(lambda: "by settings: e" in driver.keep("could"), "the suggestions")
        could, stays = wizard.session.plan.passwordless[1], wizard.session.plan.passwordless[0]
        pane = wizard.screen.query_one("Pane")
        evidence = [*could["for"], *could["against"]]
        assert evidence
        for line in evidence:
            assert line in pane.text  # type: ignore[attr-defined]
        # nothing shows that settings are enough for the other one: it cannot be chosen, and why is said
        await driver.press("down", "e")
        assert driver.page() == "MappingPage"
        (said,) = [notice.message for notice in wizard._notifications]
        assert said.startswith("Bus stays a secret, in the vault: ")
        assert stays["against"][0] in said
        await driver.press("up", "e")
        assert driver.page() == "Choose"
        driver.keep("asked")
        before = wizard.session.plan
        await driver.press("down", "enter")
        await driver.until(lambda: wizard.session.plan not in (None, before), "another plan")
        await driver.until(lambda: "✓ goes keyless" in driver.keep("goes"), "the row")
        assert [step.kind for step in wizard.session.plan.steps if step.change.get("swaps")] == ["app-switch"]
        wizard.clear_notifications()
        golden("mapping-keyless-120x40-keylift-dark", driver.keep("keyless"), update=update)
        await driver.press("5")
        await driver.until(lambda: "role" in driver.keep("review"), "the review")
        rows = wizard.screen.query_one("Grid").model.shown  # type: ignore[attr-defined]
        assert [row.haystack for row in rows if row.key == "reach" and "secrets reachable per identity" in row.haystack]

    async def again(driver: Driver) -> None:
        """Reopened, it is chosen still; taken back, the key moves as before."""
        wizard = driver.wizard
        await to_plan(driver)
        assert [one["replaced"] for one in wizard.session.plan.passwordless] == [False, True]
        await driver.press("slash")
        await driver.type("keyless")
        await driver.press("enter", "home", "down", "e", "up", "enter")
        await driver.until(lambda: wizard.session.plan and not wizard.journey.keyless, "another plan")
        assert not any(one["replaced"] for one in wizard.session.plan.passwordless)

    async def never(driver: Driver) -> None:
        wizard = driver.wizard
        await to_plan(driver)
        before = wizard.session.plan
        wizard.screen.query_one("#passwordless", Select).value = "never"
        await driver.until(lambda: wizard.session.plan not in (None, before), "another plan")
        assert wizard.session.plan.passwordless == ()
        await driver.until(lambda: "Without a key" not in driver.keep("never"), "the suggestions to go")

    with cloud(keys(), tmp_path) as (_, place):
        driver = run(place, story, size=(120, 40))
        wizard = driver.wizard
        command = wizard.journey.plan_command([], wizard.choices_file)[1:]
        assert "--passwordless" not in command
        common = ["--cloud", place.cloud, "--state-dir", str(place.state.path), "-o", "cli.json"]
        done = CliRunner().invoke(cli.keylift, [*command, *common])
        assert done.exit_code == 0, done.output
        assert Path("cli.json").read_text(encoding="utf-8") == wizard.session.plan.to_json()
        run(place, again)
        run(place, never)
    assert CANARY not in "".join(driver.seen.values())
    silent(place.state.path)
