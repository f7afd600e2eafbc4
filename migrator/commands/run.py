"""`keylift apply`, `runs`, `status`, `resume`, `rollback`, `verify`: change, look, take back."""

from __future__ import annotations

from pathlib import Path

import click

from migrator.commands.common import Settings, common


@click.command()
@click.argument("plan_file", metavar="PLAN", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--auto-approve", is_flag=True, help="Do not ask.")
@click.option("--workers", type=click.IntRange(1, 64), help="Apps worked on at once [8].")
@common(formats=("human", "json"))
def apply(settings: Settings, plan_file: Path, auto_approve: bool, workers: int | None) -> None:
    """Apply a plan, proving each step; an app that fails is put back as it was.

    Exits with 11 when the estate is not the one the plan was made from, with 12 when something failed and was rolled
    back, with 13 when a person is needed, with 130 when interrupted (`keylift resume` goes on).
    """
    from migrator import api

    plan = api.load_plan(plan_file)
    if not plan.steps:
        settings.console.say("nothing to do: the plan has no steps")
        return
    if not auto_approve:
        settings.console.say(api.summarize_plan(plan))
        settings.console.confirm("Apply this plan?", flag="--auto-approve")
    result = api.apply_plan(settings, plan, workers=workers or settings.config.get("workers"))
    settings.console.emit(api.render_result(settings, result))
    raise click.exceptions.Exit(result.exit_code)


@click.command()
@common(formats=("human", "json"), cloud=False)
def runs(settings: Settings) -> None:
    """List runs, newest first."""
    from migrator import api

    settings.console.emit(api.render_runs(settings, api.list_runs(settings)))


@click.command()
@click.argument("run", metavar="RUN")
@common(formats=("human", "json"), cloud=False)
def status(settings: Settings, run: str) -> None:
    """Show a run step by step."""
    from migrator import api

    settings.console.emit(api.render_status(settings, api.run_status(settings, run)))


@click.command()
@click.argument("run", metavar="RUN")
@click.option("--auto-approve", is_flag=True, help="Do not ask.")
@common(formats=("human", "json"))
def resume(settings: Settings, run: str, auto_approve: bool) -> None:
    """Go on with a run that was interrupted."""
    from migrator import api

    if not auto_approve:
        settings.console.confirm(f"Go on with run {run}?", flag="--auto-approve")
    result = api.resume_run(settings, run)
    settings.console.emit(api.render_result(settings, result))
    raise click.exceptions.Exit(result.exit_code)


@click.command()
@click.argument("run", metavar="RUN")
@click.option("--app", "apps", multiple=True, metavar="NAME", help="Take back this app only; may be repeated.")
@click.option("--auto-approve", is_flag=True, help="Do not ask.")
@common(formats=("human", "json"))
def rollback(settings: Settings, run: str, apps: tuple[str, ...], auto_approve: bool) -> None:
    """Put every app of a run back as it was read before the plan.

    Touches only what the run made. Does not need the vault. Doing it twice is safe.
    """
    from migrator import api

    if not auto_approve:
        settings.console.confirm(
            f"Take back {', '.join(apps) if apps else 'every app'} of run {run}?", flag="--auto-approve"
        )
    result = api.rollback_run(settings, run, apps=apps)
    settings.console.emit(api.render_result(settings, result))
    raise click.exceptions.Exit(result.exit_code)


@click.command()
@click.argument("run", metavar="RUN")
@common(formats=("human", "json"))
def verify(settings: Settings, run: str) -> None:
    """Prove a run again: references, roles, running replicas, and no plaintext left in the apps.

    Exits with 13 when something is not as the run left it.
    """
    from migrator import api

    proof = api.verify_run(settings, run)
    settings.console.emit(api.render_proof(settings, proof))
    raise click.exceptions.Exit(proof.exit_code)
