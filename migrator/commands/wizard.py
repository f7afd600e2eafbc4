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
@click.option(
    "--serve", is_flag=True, help="In a browser, on this machine only, behind a random token; with --no-reveal."
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="With --serve: the port [a free one].")
@click.option(
    "--i-understand",
    is_flag=True,
    help="With --serve on a real cloud: whoever has the address acts with your rights.",
)
@common(formats=(), output=False)
def wizard(
    settings: Settings,
    demo: bool,
    folder: Path | None,
    no_reveal: bool,
    serve: bool,
    port: int,
    i_understand: bool,
) -> None:
    """Go through the whole job in a terminal interface, from signing in to proof and back.

    Nothing is changed in the cloud before you confirm on the page Apply. Choices are kept in the state folder: closing it
    at any moment loses nothing, and reopening goes on.
    """
    from migrator.errors import UsageError

    if folder is not None and not demo:
        raise UsageError("--folder is for the demo", hint="add --demo, or name the state folder: --state-dir DIR")
    place = settings.place()
    # tui imports migrator, so its names are looked up when they are asked for
    if serve:
        if not demo and not i_understand:
            raise UsageError(
                "the wizard is not served for a real cloud just like that",
                why="whoever has the address acts with your rights, from any program on this machine",
                hint="try it with --demo, use a terminal, or add --i-understand",
            )
        common_options = ["--no-reveal", "--state-dir", str(place.state.path.absolute())]
        common_options += ["--cloud", settings.cloud] if settings.cloud != "public" else []
        common_options += ["--auth", settings.auth] if settings.auth else []
        common_options += ["--demo"] if demo else []
        common_options += ["--folder", str(folder.absolute())] if folder else []
        run = importlib.import_module("tui.serve").serve
        raise click.exceptions.Exit(run(common_options, port=port, say=settings.console.say))
    start = importlib.import_module("tui.start")
    raise click.exceptions.Exit(start.run(place, demo=demo, folder=folder, reveal=not no_reveal))
