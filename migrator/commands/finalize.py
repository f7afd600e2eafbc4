"""`keylift finalize`: plan what may be taken away now that a run is proven."""

from __future__ import annotations

import click

from migrator.commands.common import Settings, common


@click.command()
@click.argument("run", metavar="RUN")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when the plan has steps.")
@common(formats=("human", "markdown", "json"))
def finalize(settings: Settings, run: str, detailed_exitcode: bool) -> None:
    """Plan the contract of a run: take away what is only there for its rollback.

    Nothing is changed. `-o PLAN.json` writes the plan, which has an approval of its own: `keylift apply PLAN.json` asks
    once for the plan and once for what cannot be taken back (--auto-approve and --point-of-no-return say yes
    beforehand).

    Planned are: inline secrets that nothing uses, removed for good; revisions that still show a moved value,
    deactivated, never one with traffic; the admin user of a registry, turned off, when no app and no job of any
    subscription you can see pulls with it. Apps that are not proven right now are left alone.
    """
    from migrator import api, rendering
    from migrator.cli import Exit
    from migrator.console import write_file

    made = api.finalize_run(settings.place(), run, tell=settings.console.say)
    target, settings.console.output = settings.console.output, None
    if target is not None:
        write_file(target, made.to_json())
    settings.console.emit(rendering.plan(settings.format, made, settings.console))
    if target is not None:
        settings.console.say(f"wrote {target}; next: keylift apply {target}")
    elif made.steps:
        settings.console.say("the plan was not kept; add -o plan.json to apply it")
    raise click.exceptions.Exit(int(Exit.CHANGES if detailed_exitcode and made.steps else Exit.OK))
