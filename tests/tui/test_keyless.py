"""Mapping says, secret by secret, where a managed identity could replace a key; with the choice to use it, the plan does."""

from __future__ import annotations

from pathlib import Path

from textual.widgets import Select

from tests.passwordless.test_apply import BUS, namespace

from .driving import CANARY, Driver, app, cloud, estate, run
from .test_journey import silent, to_plan


def test_a_key_that_an_identity_could_replace(tmp_path: Path) -> None:
    async def story(driver: Driver) -> None:
        wizard = driver.wizard
        await to_plan(driver)
        await driver.until(lambda: "Without a key" in driver.keep("mapping"), "the suggestions")
        (told,) = [entry for entry in wizard.session.plan.passwordless if entry["service"]]
        await driver.press("slash")
        await driver.type("passwordless")
        await driver.press("enter", "home", "down")
        shown = driver.keep("key")
        assert "Service Bus" in shown
        assert {"configuration": "by settings", "code": "with code", "vault-reference": "→ vault"}[
            told["outcome"]
        ] in shown
        pane = wizard.screen.query_one("Pane").text  # type: ignore[attr-defined]
        evidence = [*told["for"], *told["against"]]
        assert evidence
        for line in evidence:
            assert line in pane
        before = wizard.session.plan
        wizard.screen.query_one("#passwordless", Select).value = "never"
        await driver.until(lambda: wizard.session.plan not in (None, before), "another plan")
        assert wizard.session.plan.passwordless == ()
        await driver.until(lambda: "Without a key" not in driver.keep("never"), "the suggestions to go")
        wizard.screen.query_one("#passwordless", Select).value = "apply"
        await driver.until(
            lambda: wizard.session.plan and wizard.session.plan.options["passwordless"] == "apply", "a plan"
        )
        await driver.press("5")
        rows = wizard.screen.query_one("Grid").model.shown  # type: ignore[attr-defined]
        assert [row.haystack for row in rows if row.key == "reach" and "secrets reachable per identity" in row.haystack]

    document = estate(namespace(), app("func", {"Bus": BUS, "FUNCTIONS_WORKER_RUNTIME": "dotnet-isolated"}))
    with cloud(document, tmp_path) as (_, place):
        driver = run(place, story, size=(120, 40))
    assert CANARY not in "".join(driver.seen.values())
    silent(place.state.path)
