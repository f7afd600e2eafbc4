"""What `finalize` asks before anything is planned: is the run done, is every app of it proven now, who pulls passwords."""

from __future__ import annotations

from collections.abc import Sequence

from migrator import proof
from migrator.errors import MADE_ELSEWHERE, CloudError, PlanFileError, RunError
from migrator.journal import Journal
from migrator.model import AppState, Estate, RunState
from migrator.planning.contract import Finished, contract, registries
from migrator.ports import Cloud
from migrator.proof import Status
from scanners.model import Fingerprinter

__all__ = ["check", "contract", "finished"]


def check(run: str, journal: Journal, cloud: Cloud, fingerprinter: Fingerprinter) -> None:
    """See that a run can be finalized.

    Raises:
        RunError: it is not done, it is a contract itself, or it works on another cloud.
        PlanFileError: it was made with another fingerprint key.
    """
    plan, state = journal.plan(run), journal.state(run)
    if journal.cloud(run) != cloud.name:
        raise RunError(
            f"run {run} works on the cloud '{journal.cloud(run)}', not on '{cloud.name}'",
            hint=f"name its cloud: --cloud {journal.cloud(run)}",
        )
    if plan.finalizes:
        raise RunError(
            f"run {run} is the contract of run {plan.finalizes} itself",
            hint=f"finalize that one again: keylift finalize {plan.finalizes} -o PLAN.json",
        )
    if state not in {RunState.DONE, RunState.PARTLY}:
        raise RunError(
            f"run {run} is '{state}': only what is done can be finalized", hint=f"see it: keylift status {run}"
        )
    if plan.estate.get("key") not in {None, fingerprinter.key_id}:
        raise PlanFileError(
            f"run {run} was made with another fingerprint key",
            hint=MADE_ELSEWHERE,
        )


def finished(run: str, journal: Journal, cloud: Cloud, fingerprinter: Fingerprinter, estate: Estate) -> Finished:
    """Prove the run again, and ask who pulls with a password from the registries it moved."""
    plan = journal.plan(run)
    unready: dict[str, str] = {}
    for app in proof.verify(run, cloud, journal, fingerprinter).apps:
        if app.state != AppState.DONE:
            unready[app.app.lower()] = f"the run left it '{app.state}'"
            continue
        # an old revision with traffic is left out by itself, and the contract says what to do about it
        failed = [check for check in app.checks if check.status is Status.FAILED and check.name != "traffic"]
        # a value that is newer in the vault, or that may not be read there, does not keep old copies needed
        doubtful = [
            c for c in app.checks if c.status is Status.UNPROVEN and c.name in {"revision", "execution", "app", "role"}
        ]
        if failed or doubtful:
            worst = (failed or doubtful)[0]
            unready[app.app.lower()] = f"it is {worst.status}: {worst.name} {worst.subject}: {worst.text}"
    pullers: dict[str, Sequence[str] | str] = {}
    for registry, server in registries(plan, estate):
        try:
            pullers[registry.id.lower()] = cloud.password_pullers(server, registry.name)
        except CloudError as error:
            pullers[registry.id.lower()] = f"{error.what}: {error.why}"
    return Finished(run, plan, unready, pullers)
