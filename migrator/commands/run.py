"""`keylift apply`, `runs`, `status`, `resume`, `rollback`, `verify`: change, look, take back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from migrator.commands.common import Settings, common

if TYPE_CHECKING:
    from migrator.executor import RunResult
    from migrator.model import Plan


@click.command()
@click.argument("plan_file", metavar="PLAN", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--auto-approve", is_flag=True, help="Do not ask.")
@click.option(
    "--point-of-no-return", is_flag=True, help="Say yes to the steps of a contract that cannot be taken back, too."
)
@click.option("--require-rehearsal", is_flag=True, help="Refuse a plan whose rehearsal was not good, or was not held.")
@click.option("--workers", type=click.IntRange(1, 64), help="Apps worked on at once [8].")
@common(formats=("human", "json"))
def apply(
    settings: Settings,
    plan_file: Path,
    auto_approve: bool,
    point_of_no_return: bool,
    require_rehearsal: bool,
    workers: int | None,
) -> None:
    """Apply a plan, proving each step; an app that fails is put back as it was.

    Exits with 11 when the estate is not the one the plan was made from, with 12 when something failed and was rolled
    back, with 13 when a person is needed, with 130 when interrupted (`keylift resume` goes on).

    The plan of `keylift finalize` may hold steps that cannot be taken back. They are asked for by themselves, with the
    plan's id as the answer; --auto-approve does not cover them, --point-of-no-return does.
    """
    from migrator import api, rendering
    from migrator.console import Narrator

    plan = api.load_plan(plan_file)
    if not plan.steps:
        settings.console.say("nothing to do: the plan has no steps")
        return
    _rehearsed(settings, plan, plan_file, required=require_rehearsal)
    if not auto_approve:
        settings.console.say(rendering.summary(plan))
        settings.console.confirm("Apply this plan?", flag="--auto-approve")
    if plan.irreversible and not point_of_no_return:
        settings.console.say(rendering.no_return(plan))
        settings.console.confirm(
            "Pass the point of no return?", flag="--point-of-no-return", word=plan.id, called="the plan's id"
        )
    with Narrator(settings.console, len(plan.steps)) as narrator:
        result = api.apply_plan(
            settings.place(workers=workers),
            plan,
            point_of_no_return=bool(plan.irreversible),
            on_event=narrator,
            tell=settings.console.say,
        )
    _end(settings, result)


@click.command()
@common(formats=("human", "json"))
def runs(settings: Settings) -> None:
    """List runs, newest first."""
    from migrator import api, rendering

    settings.console.emit(rendering.runs(settings.format, api.list_runs(settings.place(), tell=settings.console.say)))


@click.command()
@click.argument("run", metavar="RUN")
@common(formats=("human", "json", "markdown", "html"))
def status(settings: Settings, run: str) -> None:
    """Show a run step by step.

    As markdown or html it is a report: what was done when, what proved it, where values still lie, how long it took; the
    html has a diagram of apps, identities and secrets before and after, and loads nothing.
    """
    from migrator import api, rendering

    if settings.format in {"markdown", "html"}:
        settings.console.emit(
            rendering.report(settings.format, api.run_report(settings.place(), run, tell=settings.console.say))
        )
        return
    settings.console.emit(
        rendering.status(settings.format, api.run_status(settings.place(), run, tell=settings.console.say))
    )


@click.command()
@click.argument("run", metavar="RUN")
@click.option("--auto-approve", is_flag=True, help="Do not ask.")
@common(formats=("human", "json"))
def resume(settings: Settings, run: str, auto_approve: bool) -> None:
    """Go on with a run that was interrupted."""
    from migrator import api
    from migrator.console import Narrator

    if not auto_approve:
        settings.console.confirm(f"Go on with run {run}?", flag="--auto-approve")
    with Narrator(settings.console) as narrator:
        result = api.resume_run(settings.place(), run, on_event=narrator, tell=settings.console.say)
    _end(settings, result)


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
    from migrator.console import Narrator

    if not auto_approve:
        settings.console.confirm(
            f"Take back {', '.join(apps) if apps else 'every app'} of run {run}?", flag="--auto-approve"
        )
    with Narrator(settings.console) as narrator:
        result = api.rollback_run(settings.place(), run, apps=apps, on_event=narrator, tell=settings.console.say)
    _end(settings, result)


@click.command()
@click.argument("run", metavar="RUN")
@common(formats=("human", "json"))
def verify(settings: Settings, run: str) -> None:
    """Prove a run again: references, roles, running replicas, and no plaintext left in the apps.

    Exits with 13 when something is not as the run left it.
    """
    from migrator import api, rendering
    from migrator.cli import Exit

    proof = api.verify_run(settings.place(), run, tell=settings.console.say)
    settings.console.emit(rendering.proof(settings.format, proof))
    raise click.exceptions.Exit(int(Exit.OK if proof.ok else Exit.NEEDS_PERSON))


def _rehearsed(settings: Settings, plan: Plan, plan_file: Path, *, required: bool) -> None:
    """Say that a plan was not rehearsed, or refuse it."""
    from migrator import api
    from migrator.errors import RunError

    held = api.rehearsal_of(settings.place(), plan, tell=settings.console.say)
    if held is not None and held["ok"]:
        return
    what = "this plan was not rehearsed" if held is None else "the rehearsal of this plan did not end well"
    hint = f"keylift rehearse {plan_file}"
    if required:
        raise RunError(what, why="--require-rehearsal was given", hint=hint)
    settings.console.say(f"{what}; try it where nothing can break: {hint}")


def _end(settings: Settings, result: RunResult) -> None:
    from migrator import rendering

    settings.console.emit(rendering.result(settings.format, result))
    raise click.exceptions.Exit(int(result.exit_code))
