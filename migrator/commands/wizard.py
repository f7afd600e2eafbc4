"""`keylift wizard`: the same job in a terminal interface, or in a browser."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

from migrator.commands.common import Settings, common


@click.command()
@click.option("--demo", is_flag=True, help="On a simulated shop: nothing is real, no Azure is touched.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="With --demo: keep its files here, and go on there.",
)
@click.option("--no-reveal", is_flag=True, help="No value can be looked at, not even with the key held down.")
@common(formats=(), output=False)
def wizard(settings: Settings, demo: bool, folder: Path | None, no_reveal: bool) -> None:
    """Go through the whole job in a terminal interface, from signing in to proof and back.

    Nothing is changed in the cloud before you confirm on the page Apply. Choices are kept in the state folder: closing it
    at any moment loses nothing, and reopening goes on.
    """
    from migrator.errors import UsageError

    if folder is not None and not demo:
        raise UsageError("--folder is for the demo", hint="add --demo, or name the state folder: --state-dir DIR")
    # tui imports migrator, so its name is looked up when it is asked for
    start = importlib.import_module("tui.start")
    place = settings.place()
    raise click.exceptions.Exit(start.run(place, demo=demo, folder=folder, reveal=not no_reveal))
