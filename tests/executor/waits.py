"""What a run waits for, how long at most, what it shows meanwhile, and what it says at the end: a table of `docs/faults.md`."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

from migrator import health, signins, switchback, walking
from migrator.cloud import blobs, data_roles, pipeline, session, writing
from migrator.executor import Executor
from migrator.steps import app_switch, revision_deactivate


@dataclass(frozen=True, slots=True)
class Wait:
    """One wait."""

    what: str
    most: str
    shows: str
    """As on the screen, after `waits for`."""
    end: str
    """What is said and done when it was for nothing."""
    where: tuple[str, ...]
    """Files that wait so."""
    tests: tuple[str, ...]


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 or seconds % 60 else f"{seconds / 60:.0f} min"


def _default(name: str) -> float:
    return float(inspect.signature(Executor.__init__).parameters[name].default)


WINDOW, PROOF = (
    f"{_minutes(_default('propagation'))} (`propagation_minutes`)",
    f"{_minutes(_default('proof'))} (`proof_minutes`)",
)

WAITS = (
    Wait(
        "an operation that the run began",
        _minutes(writing.OPERATION_SECONDS),
        "Azure to carry it out",
        "names the state, and the command that shows how it ends; the app is put back when it may be written again",
        ("migrator/cloud/writing.py",),
        ("test_fault[operation-late]", "test_fault[operation-expired]", "test_an_endless_operation_is_a_passing_error"),
    ),
    Wait(
        "somebody else's operation on the app, before it is read",
        PROOF,
        "another operation on the app to end",
        "names the state, who changed the app last, and the command that shows it",
        ("migrator/appwrite.py",),
        ("test_somebody_elses_operation",),
    ),
    Wait(
        "somebody else's operation that a write meets, and what else passes by itself",
        f"{_minutes(walking.PATIENCE)} while Azure says busy, else {_minutes(walking.TROUBLE)}",
        "tries again: what Azure said",
        "what Azure said, how often and how long it was tried; the app is put back",
        ("migrator/walking.py",),
        (
            "test_a_write_that_meets_operations_without_end",
            "test_fault[busy]",
            "test_fault[server-errors-for-good]",
        ),
    ),
    Wait(
        "this run's write to another app of the environment",
        "as long as that takes, which has a deadline of its own",
        "this run's write to another app of the environment to end",
        "–",
        ("migrator/scheduling.py",),
        ("test_the_lane_of_an_environment",),
    ),
    Wait(
        "access to the vault: a reference that does not resolve yet",
        f"{WINDOW}, and no longer than a cause is found that waiting does not mend",
        "the identity's access to take effect (tries)",
        "the one cause: vault gone, its model, its network, role missing, secret missing, deleted, disabled, empty, or the "
        "role not in effect yet; and the command that mends it",
        ("migrator/steps/app_switch.py",),
        ("test_fault[role-slow]", "test_fault[role-too-slow]", "test_the_one_cause_is_named"),
    ),
    Wait(
        "rights on other services, before the change that stands on them",
        f"what the plan says, at most {WINDOW}",
        "the identity's rights to take effect everywhere (minutes left)",
        "goes on: what the app's log says decides",
        ("migrator/steps/access_wait.py",),
        ("test_a_clock_that_is_put_right_between_a_right_and_what_stands_on_it",),
    ),
    Wait(
        "the app to sign in with its identity",
        WINDOW,
        "the app to sign in; then what its log says",
        "the line of the log, and the command that shows it; one that failed and fell silent is unproven",
        ("migrator/signins.py",),
        ("test_a_right_that_is_late_is_waited_for", "test_a_client_that_failed_and_fell_silent_is_no_proof"),
    ),
    Wait(
        "a revision to run",
        PROOF,
        "the revision's state, its replicas",
        "what Azure says of revision and replicas, and the command that shows the log; the app is put back",
        ("migrator/health.py",),
        ("test_fault[revision-stuck]", "test_fault[revision-zero]"),
    ),
    Wait(
        "a right to pull, where a revision is refused its image",
        WINDOW,
        "the identity's right to pull to take effect",
        "what Azure says, the command that shows whether the role is there, and the log's; the app is put back",
        ("migrator/health.py",),
        ("test_a_right_to_pull_that_never_takes_effect", "test_a_late_right_to_pull_is_waited_for"),
    ),
    Wait(
        "a replica of a revision that may rest at zero",
        _minutes(health.GRACE),
        "the revision's state, its replicas",
        "unproven: scaled to zero",
        ("migrator/health.py",),
        ("test_scaled_to_zero_is_unproven",),
    ),
    Wait(
        "executions of a job that run since it was changed",
        PROOF,
        "which execution is running",
        "unproven until the next one, and the command that starts one",
        ("migrator/executions.py",),
        ("test_an_execution_that_does_not_end",),
    ),
    Wait(
        "a revision to be inactive, or active again",
        _minutes(revision_deactivate.PATIENCE),
        "revision NAME to be inactive",
        "that it is active still, and the command that takes the run back",
        ("migrator/steps/revision_deactivate.py",),
        ("test_a_revision_that_stays_active",),
    ),
    Wait(
        "the replaced revision to drain, before its secrets are taken away",
        _minutes(switchback.DRAINING),
        "the replaced revision to drain",
        "what Azure said; a person is needed, and `keylift rollback` goes on from there",
        ("migrator/switchback.py",),
        ("test_a_replaced_revision_that_does_not_drain",),
    ),
    Wait(
        "a new identity's principal id",
        _minutes(writing.IDENTITY_SECONDS),
        "Azure to tell the new identity's principal id",
        "that it has none, and the command that shows it",
        ("migrator/cloud/writing.py",),
        ("test_a_new_identity_without_a_principal",),
    ),
    Wait(
        "the role service to know a new identity",
        _minutes(writing.PRINCIPAL_SECONDS),
        "the role service to know the new identity",
        "that it does not, how long after, and the command that shows whether the directory has it",
        ("migrator/cloud/writing.py",),
        ("test_a_principal_that_stays_unknown", "test_fault[identity-slow]"),
    ),
    Wait(
        "a service of its own role system to know a new identity",
        _minutes(data_roles._UNKNOWN),
        "the service to know the new identity",
        "what the service said, and the command that shows whether the directory has it",
        ("migrator/cloud/data_roles.py",),
        ("test_a_service_that_never_knows_the_identity", "test_an_identity_that_the_service_does_not_know_yet"),
    ),
    Wait(
        "Azure's limits: 429 and what its headers say is left",
        f"{_minutes(pipeline.PATIENCE)} at a time; a longer Retry-After is an error at once",
        "Azure's rate limit (seconds); Azure to answer again (seconds)",
        "that Azure is throttling, and what it said",
        ("migrator/cloud/pipeline.py",),
        (
            "test_a_wait_says_what_it_waits_for",
            "test_more_patience_than_there_is_becomes_an_error",
            "test_throttling_holds_all_threads_back_and_graph_tells_its_own_way",
        ),
    ),
    Wait(
        "an answer that failed, broke off or was lost",
        f"{session.REPEATS} to 8 times with growing pauses, 30 s at most; 20 s to connect, 120 s to read",
        "Azure to answer again (seconds)",
        "what Azure said, and where its state is shown",
        ("migrator/cloud/session.py", "migrator/cloud/pipeline.py"),
        ("test_what_does_not_pass_ends_as_a_passing_error", "test_fault[server-errors]", "test_fault[truncated]"),
    ),
    Wait(
        "a vault whose answer to a write was lost",
        "4 times with growing pauses, 4 s at most",
        "the vault to answer again",
        "what the vault said; the version is looked for by its tag before each try",
        ("migrator/cloud/vaults.py",),
        ("test_fault[lost-version]",),
    ),
    Wait(
        "shared state that cannot be reached",
        f"{_minutes(blobs.PATIENCE)}; a lease that is held, as long as it lasts",
        "–",
        "what storage said, and the command that shows it; the run stops resumable",
        ("migrator/cloud/blobs.py",),
        ("test_an_answer_that_was_lost_is_no_conflict",),
    ),
    Wait(
        "another process that looks at a run's lock",
        ".1 s",
        "–",
        "who holds the run, on which host, since when",
        ("migrator/locking.py",),
        ("test_the_second_process_is_told_who_holds_the_run",),
    ),
)
SLEEPS = {
    "migrator/executor.py": "the clock of a run, whose waits end when it is being stopped",
    "migrator/cloud/blob_ledger.py": "takes a lease, at once or not at all",
}
"""Files that wait for nothing of their own, and why."""
assert app_switch.PAUSES[-1] < _default("propagation")
assert _default("propagation") > signins.LOOK


def waits() -> str:
    """The table."""
    rows = [
        "## What it waits for",
        "",
        "| waits for | at most | shows, after `waits for` | at the end | tests |",
        "|---|---|---|---|---|",
    ]
    for wait in WAITS:
        tests = ", ".join(f"`{test}`" for test in wait.tests)
        rows.append(f"| {wait.what} | {wait.most} | {wait.shows} | {wait.end} | {tests} |")
    return "\n".join(rows) + "\n"
