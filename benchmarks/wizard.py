"""2,000 apps with 10,000 findings in the wizard: what a key costs, and memory. `python benchmarks/wizard.py` prints both."""

from __future__ import annotations

import asyncio
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from migrator import api
from migrator.cloud.account import Account
from migrator.model import App, Estate
from migrator.proposing import Material
from migrator.standing import Place, Standing, Thing
from migrator.state import StateFolder
from scanners.model import AzureLocation, Confidence, Finding, Fingerprinter, Report, Severity
from tui.app import Wizard

APPS, EACH = 2000, 5
SUBSCRIPTION = "11111111-2222-4333-8444-555555555555"


def resource_id(number: int) -> str:
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-{number % 40:02}"
    return f"{group}/providers/Microsoft.App/containerApps/app-{number:04}"


def findings() -> list[Finding]:
    severities = list(Severity)
    return [
        Finding(
            rule="generic-password",
            title="Password in plain text",
            severity=severities[(number + at) % 4],
            confidence=Confidence.HIGH,
            location=AzureLocation(
                resource_id(number), f"properties.template.containers[0].env[{at}].value", f"PASSWORD_{at}"
            ),
            fingerprint=f"f1:{number * EACH + at:032x}",
            preview="… (<32 chars)",
        )
        for number in range(APPS)
        for at in range(EACH)
    ]


class Filled(Wizard):
    """The wizard with an estate that was read already: keys are measured, not a cloud."""

    def fill(self) -> None:
        things = tuple(Thing(resource_id(n), f"app-{n:04}", SUBSCRIPTION, f"rg-{n % 40:02}") for n in range(APPS))
        account = Account("ann@example.com", "user", "Azure CLI", "tenant", "object")
        self.session.standing = Standing("public", account, (Place(SUBSCRIPTION, "Production"),), things, ())
        apps = tuple(App(thing.id, {"id": thing.id, "name": thing.name, "properties": {}}) for thing in things)
        estate = Estate(subscriptions=(SUBSCRIPTION,), apps=apps)
        self.session.material = Material(estate, Report(findings()), Fingerprinter(bytes(32)), api.Scope())


async def measure() -> None:
    with tempfile.TemporaryDirectory() as folder:
        wizard = Filled(api.Workplace(cloud="china", state=StateFolder(Path(folder))))
        wizard.page("scope").action_again = lambda: None  # type: ignore[attr-defined] # no cloud is asked
        async with wizard.run_test(size=(160, 50)) as pilot:
            wizard.fill()
            began = time.perf_counter()
            wizard.action_go("findings")
            await pilot.pause()
            print(f"open the page       {1000 * (time.perf_counter() - began):7.0f} ms")
            for what, keys in {
                "scroll a row": ["down"] * 100,
                "scroll a page": ["pagedown"] * 60,
                "open a row": ["right", "down"] * 20,
                "type a letter": ["slash", *"app-19", *["backspace"] * 6, *"password", "enter"],
                "sort": ["escape", "s", "s", "s", "S"],
                "select all": ["ctrl+a", "ctrl+a"],
            }.items():
                times = []
                for key in keys:
                    began = time.perf_counter()
                    await pilot.press(key)
                    await pilot.pause()
                    times.append(1000 * (time.perf_counter() - began))
                print(
                    f"{what:<19} {statistics.median(times):7.1f} ms median  {max(times):7.1f} ms worst of {len(times)}"
                )
            grid: Any = wizard.screen.query_one("Grid")
            print(f"rows                {len(grid.rows):7,} of {len(findings()):,} findings")
    print(f"memory              {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:7.0f} MB at most")


if __name__ == "__main__":
    asyncio.run(measure())
