"""`keylift export`: a plan as infrastructure code, or as a script of az."""

from __future__ import annotations

from pathlib import Path

import click

from migrator.commands.common import Settings, common


@click.command()
@click.argument("plan_file", metavar="PLAN", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--to", "target", required=True, type=click.Choice(["az", "bicep", "terraform"]), help="What to write.")
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write the files into FOLDER instead of to standard output.",
)
@common(formats=(), cloud=False, output=False)
def export(settings: Settings, plan_file: Path, target: str, folder: Path | None) -> None:
    """Say a plan in Bicep, in Terraform, or as a script of az.

    An app that is deployed from code gets its plaintext back with the next deployment: bring the code to what the plan
    makes. Identities and role assignments are declared whole, what changes in an app comes as the part to merge; no file
    holds a value. `az` is the plan as commands, for whoever must see each one; keylift apply proves more, and takes back.
    """
    from migrator import api
    from migrator.console import write_file

    files = api.export_plan(api.load_plan(plan_file), target)
    if folder is None:
        mark = "#" if target != "bicep" else "//"
        parts = [text if len(files) == 1 else f"{mark} ==> {name}\n{text}" for name, text in files.items()]
        settings.console.emit("\n".join(parts))
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        write_file(folder / name, text)
        settings.console.say(f"wrote {folder / name}")
