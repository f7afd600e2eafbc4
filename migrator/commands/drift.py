"""`keylift drift`: what is not as runs left it."""

from __future__ import annotations

import click

from migrator.commands.common import Settings, common


@click.command()
@click.option("--run", metavar="RUN", help="Look at this run only [all done ones].")
@common(formats=("human", "json", "sarif"))
def drift(settings: Settings, run: str | None) -> None:
    """Look at every done run again: what came back, what is broken, who has more to read, and who changed it.

    For a scheduled job. Exits with 10 when something drifted (with 0 for --format sarif), and with 1 when something could
    not be looked at and nothing else drifted: not knowing is not the same as no drift.
    """
    from migrator import api, rendering
    from migrator.about import tool
    from migrator.cli import Exit

    found = api.find_drift(settings.place(), run, tell=settings.console.say)
    settings.console.emit(rendering.drift(settings.format, found, tool()))
    if found.items and settings.format != "sarif":
        raise click.exceptions.Exit(int(Exit.FINDINGS))
    raise click.exceptions.Exit(int(Exit.ERROR if found.unchecked else Exit.OK))
