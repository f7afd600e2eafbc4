"""Draw the wizard's pages on the demo's shop into `docs/screens/*.svg`: `python -m docs.screens`."""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot
from textual.widgets import Input

from migrator import api
from migrator.state import StateFolder
from tui.app import Wizard
from tui.theme import DARK

FOLDER = Path(__file__).parent / "screens"
SIZE = (110, 32)


async def _until(pilot: Pilot[int], holds: Callable[[], object]) -> None:
    while not holds():
        await pilot.pause(0.1)
    await pilot.pause(0.4)


async def draw(folder: Path = FOLDER, theme: str = DARK, size: tuple[int, int] = SIZE) -> None:
    """Go through the journey by keys and keep a picture of each page in a folder."""
    with tempfile.TemporaryDirectory() as state:
        place = api.Workplace(state=StateFolder(Path(state)))
        wizard = Wizard(place, demo=True, speed=600.0, fixed_theme=theme)

        def keep(name: str) -> None:
            picture = re.sub(r"/\w+/keylift-wizard-\w+", "/shop", wizard.export_screenshot(title="keylift wizard"))
            # fonts of a stranger's server are not asked for
            picture = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)
            folder.mkdir(exist_ok=True)
            (folder / f"{name}.svg").write_text(picture, encoding="utf-8")

        session = wizard.session
        try:
            async with wizard.run_test(size=size) as pilot:
                await _until(pilot, lambda: session.standing)
                keep("1-scope")
                await pilot.press("enter")
                await _until(pilot, lambda: session.material)
                keep("2-scan")
                await pilot.press("enter", "down", "right")
                await pilot.pause(0.4)
                keep("3-findings")
                await pilot.press("enter")
                await _until(pilot, lambda: type(wizard.screen).__name__ == "MappingPage")
                await pilot.press("enter", "down", "down", "down", "enter")
                await _until(pilot, lambda: session.plan)
                keep("4-mapping")
                await pilot.press("enter", "down", "down")
                await pilot.pause(0.4)
                keep("5-review")
                await pilot.press("enter")
                await pilot.pause(0.3)
                await pilot.press("enter")
                apps = len({step.app for step in session.plan.steps if step.app})
                wizard.screen.query_one("#word", Input).value = f"apply {apps} apps"
                await pilot.press("shift+tab", "enter")
                await _until(pilot, lambda: session.running)
                await pilot.pause(2.0)
                keep("6-apply")
                await _until(pilot, lambda: session.result and not session.running)
                if type(wizard.screen).__name__ == "Failure":
                    await pilot.press("escape")
                await pilot.press("7")
                await _until(pilot, lambda: session.proof)
                keep("7-proof")
                for name in ("apps", "rest", "graph", "next"):
                    await pilot.press("right_square_bracket")
                    await pilot.pause(0.3)
                    if name == "graph" or folder != FOLDER:
                        keep(f"8-{name}")
        finally:
            wizard.close_demo()


if __name__ == "__main__":
    sys.exit(asyncio.run(draw()))
