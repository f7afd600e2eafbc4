"""`keylift access`: who can read what."""

from __future__ import annotations

from pathlib import Path

import click

from migrator.commands.common import Settings, common, scope_options


@click.command()
@scope_options
@click.option("--identity", metavar="ID", help="Only what this identity can read.")
@click.option("--secret", metavar="NAME", help="Only who can read this vault secret.")
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PLAN",
    help="Beside it what will be after this plan.",
)
@click.option("--run", metavar="RUN", help="Beside it what was before this run.")
@common(formats=("human", "json", "html"))
def access(
    settings: Settings,
    subscriptions: tuple[str, ...],
    groups: tuple[str, ...],
    apps: tuple[str, ...],
    identity: str | None,
    secret: str | None,
    plan_file: Path | None,
    run: str | None,
) -> None:
    """Show which identity can read which vault secret, and who reads values without a vault role.

    As html it is a page with a graph of apps, identities and secrets; it loads nothing.
    """
    from migrator import api, rendering
    from migrator.errors import UsageError

    if plan_file is not None and run is not None:
        raise UsageError(
            "--plan and --run were both given", hint="compare with one of them: keylift access --run latest"
        )
    report, compared = api.compare_access(
        settings.place(),
        settings.scope(subscriptions, groups, apps),
        identity=identity,
        secret=secret,
        plan=api.load_plan(plan_file) if plan_file is not None else None,
        run=run,
        tell=settings.console.say,
    )
    settings.console.emit(rendering.access(settings.format, report, compared))
