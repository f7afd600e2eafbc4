"""`keylift unlock`: take the lock of a run of shared state away from a process that is gone."""

from __future__ import annotations

import click

from migrator.commands.common import Settings, common


@click.command()
@click.argument("run", metavar="[RUN]", required=False)
@click.option("--auto-approve", is_flag=True, help="Do not ask.")
@common(formats=())
def unlock(settings: Settings, run: str | None, auto_approve: bool) -> None:
    """Take a run's lock away from whoever holds it, in shared state.

    Says who holds it and since when, and asks. Without RUN it lists what is locked, and takes the only one. A process
    that still works loses its right to write with that: it does nothing more to the cloud, and the run can be resumed or
    taken back. Needed rarely: the lock of a process that died ends by itself within a minute.
    """
    from migrator import api
    from migrator.errors import RunError
    from migrator.ledger import words

    say = settings.console.say
    place = settings.place()
    if place.shared is None:
        api.unlock_run(place, run or "latest")  # says why there is nothing to unlock
        return
    held = [known for known in api.list_runs(place, tell=say) if known["holder"] is not None]
    if run is not None:
        wanted = api.run_status(place, run, tell=say)["id"]
        held = [known for known in held if known["id"] == wanted]
    if not held:
        say(f"run {wanted} is not locked" if run is not None else f"nothing is locked in {place.shared.url}")
        return
    for known in held:
        say(f"run {known['id']} is held by {words(known['holder'])}")
    if len(held) > 1:
        raise RunError(f"{len(held)} runs are locked", hint="name one: keylift unlock RUN")
    if not auto_approve:
        settings.console.confirm(
            "Take the lock away? A process that still works stops where it is.", flag="--auto-approve"
        )
    run = str(held[0]["id"])
    if api.unlock_run(place, run, tell=say):
        say(f"unlocked; next: keylift resume {run}, or keylift rollback {run}")
    else:
        say(f"run {run} was let go of meanwhile; next: keylift status {run}")
