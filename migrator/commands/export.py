"""`keylift export`: a plan as infrastructure code, or as a script of az."""

from __future__ import annotations

from pathlib import Path

import click

from migrator.commands.common import Settings, common
from migrator.errors import KeyliftError, UsageError
from migrator.exporting import targets


@click.command()
@click.argument("plan_file", metavar="PLAN", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--to", "target", required=True, type=click.Choice(targets.known()), help="What to write.")
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
        if len(files) > 1:
            raise UsageError(
                f"this plan makes {len(files)} files of {target}",
                why="each resource group is deployed by one of its own",
                hint=f"name a folder for them: keylift export {plan_file} --to {target} -o FOLDER",
            )
        settings.console.emit("".join(files.values()))
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise KeyliftError(f"{folder} cannot be made", why=why, hint="name another folder: --output FOLDER") from error
    for name, text in files.items():
        write_file(folder / name, text)
        settings.console.say(f"wrote {folder / name}")
