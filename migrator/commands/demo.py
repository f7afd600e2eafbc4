"""`keylift demo`: the main job on a simulated estate."""

from __future__ import annotations

from pathlib import Path

import click

from migrator.console import Console


@click.command()
@click.option("--keep", is_flag=True, help="Leave the simulator running and print the profile to use with --cloud.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help="Keep the demo's files here.")
@click.option("--no-color", is_flag=True, help="No colour.")
@click.option("-v", "--verbose", is_flag=True, help="Show tracebacks.")
def demo(keep: bool, folder: Path | None, no_color: bool, verbose: bool) -> None:  # noqa: ARG001 - `main` looks for it
    """Show the main job on a simulated estate: scan, plan, apply, prove, roll back.

    Needs no Azure, asks nothing, takes under a minute.
    """
    from migrator import demo as show

    raise click.exceptions.Exit(show.run(Console(color=False if no_color else None), keep=keep, folder=folder))
