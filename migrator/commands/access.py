"""`keylift access`: who can read what."""

from __future__ import annotations

import click

from migrator.commands.common import Settings, common, scope_options


@click.command()
@scope_options
@click.option("--identity", metavar="ID", help="Only what this identity can read.")
@click.option("--secret", metavar="NAME", help="Only who can read this vault secret.")
@common(formats=("human", "json"))
def access(
    settings: Settings,
    subscriptions: tuple[str, ...],
    groups: tuple[str, ...],
    apps: tuple[str, ...],
    identity: str | None,
    secret: str | None,
) -> None:
    """Show which identity can read which vault secret, and who reads values without a vault role."""
    from migrator import api, rendering

    scope = settings.scope(subscriptions, groups, apps)
    report = api.access(settings.place(), scope, identity=identity, secret=secret, tell=settings.console.say)
    settings.console.emit(rendering.access(settings.format, report))
