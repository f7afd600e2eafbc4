"""How the wizard starts and ends; the command line finds it here."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType

from migrator import api


def run(
    place: api.Workplace, *, demo: bool = False, folder: Path | None = None, reveal: bool = True, speed: float = 60.0
) -> int:
    """Show the wizard in this terminal; its exit code."""
    from tui.app import Wizard

    app = Wizard(place, demo=demo, folder=folder, reveal=reveal, speed=speed)

    def hang_up(number: int, _frame: FrameType | None) -> None:
        app.hang_up(gone=number != signal.SIGTERM)

    for name in ("SIGHUP", "SIGTERM"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), hang_up)
    try:
        code = app.run()
    finally:
        app.close_demo()
    if app.broken is not None:
        import click

        click.echo(f"error: the wizard failed; a report without values is in {app.broken}", err=True)
        click.echo("  next: start it again, your choices are kept: keylift wizard", err=True)
        return 1
    return code or 0
