"""`keylift rehearse`: try a plan where nothing can break."""

from __future__ import annotations

from pathlib import Path

import click

from migrator.commands.common import Settings, common


@click.command()
@click.argument("plan_file", metavar="PLAN", type=click.Path(path_type=Path, dir_okay=False))
@common(formats=("human", "json"))
def rehearse(settings: Settings, plan_file: Path) -> None:
    """Rebuild your estate in a private simulator, carry the plan out there, disturb it, take it back.

    Azure is only read. No value gets into the simulator: each is replaced by a token that is equal where values are.
    Every kind of step meets every class of fault once. The state folder remembers how it ended, for `keylift apply`.

    Exits with 11 when the estate is not the one the plan was made from, and with 1 when the rehearsal was not good.
    """
    from migrator import api, rendering
    from migrator.cli import Exit

    plan = api.load_plan(plan_file)
    if not plan.steps:
        settings.console.say("nothing to rehearse: the plan has no steps")
        return
    held = api.rehearse_plan(settings.place(), plan, tell=settings.console.say)
    settings.console.emit(rendering.rehearsal(settings.format, held))
    if held.ok:
        settings.console.say(f"next: keylift apply {plan_file}")
    raise click.exceptions.Exit(int(Exit.OK if held.ok else Exit.ERROR))
