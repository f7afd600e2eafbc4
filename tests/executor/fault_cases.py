"""What keylift does when something goes wrong: one case a fault, from which `docs/faults.md` has its table.

python -m tests.executor.fault_cases     # writes the tables into docs/faults.md
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from migrator.simulator import mishap

from .waits import waits

Json = dict[str, Any]
PAGE = Path(__file__).parents[2] / "docs" / "faults.md"

ATTACH = {"method": "PATCH", "path": "containerApps/api$", "body": '"identity"'}
"""The request that attaches an identity to the app `api`."""
SWITCH = {"method": "PATCH", "path": "containerApps/api$", "body": "keyVaultUrl"}
"""The request that moves it onto references."""
STORE = {"method": "PUT", "plane": "vault", "path": "^/secrets/"}
"""The request that writes a vault secret."""
ASSIGN = {"method": "PUT", "path": "roleAssignments/"}
THROUGH, BACK, STALE, PERSON = 0, 12, 11, 13
"""Exit codes: carried through, put back, put back because the plan is stale, a person is needed."""


@dataclass(frozen=True, slots=True)
class Case:
    """One fault, and how a run under it must end."""

    name: str
    """Short, unique: the test's id."""
    fault: str
    does: str
    rules: tuple[Json, ...]
    code: int = THROUGH
    says: str = ""
    """Regular expression that the error's parts must match; its way out is among them."""
    kept: tuple[str, ...] = ()
    """Top-level parts of the app that are not as before, because somebody else changed them."""
    fresh: str = ""
    """An app that must have a new revision."""
    registries: bool = False
    """On the estate whose apps pull with a password."""
    propagation: float = 1500.0
    mended: tuple[Json, ...] = ()
    """Rules under which the rollback is tried again."""
    limit: float | None = None
    """Virtual seconds that the run may take."""
    options: Json = field(default_factory=dict)


def always(rule: Json, **more: Any) -> Json:
    return {**rule, "times": 10**9, **more}


CASES = (
    # Any request
    Case(
        "delay",
        "a request takes half a minute",
        "waits",
        (
            {**SWITCH, "delay": 30.0},
            {"method": "GET", "path": "containerApps/web$", "delay": 20.0, "when": "after", "times": 3},
        ),
    ),
    Case(
        "dropped-before",
        "the connection breaks before Azure acted",
        "sends it again",
        ({**SWITCH, "drop": "before", "times": 3},),
    ),
    Case(
        "dropped-after",
        "the connection breaks after Azure acted: the answer is lost",
        "reads the app, finds its change made, goes on",
        ({**SWITCH, "drop": "after"}, {**ATTACH, "drop": "after"}, {**ASSIGN, "drop": "after", "times": 2}),
    ),
    Case(
        "lost-version",
        "the answer to a vault write is lost",
        "finds the version it wrote by its tag; no second one is made",
        ({**STORE, "drop": "after", "times": 2},),
    ),
    Case(
        "throttled",
        "429 with `Retry-After`",
        "waits as long as it is told, all its requests of that kind with it",
        ({"path": "containerApps", "mishap": "throttled", "arguments": {"retry_after": 7}, "times": 5},),
    ),
    Case(
        "buckets",
        "Resource Manager's buckets run low, then dry",
        "slows down to the rate they refill at, as their headers say",
        ({"mishap": "buckets", "arguments": {"reads": [30, 5], "writes": [6, 1], "deletes": [6, 1]}},),
    ),
    Case(
        "server-errors",
        "500, 502, 503 for a while",
        "tries again, with growing pauses",
        (
            {"path": "containerApps", "status": 500, "times": 2},
            {"path": "containerApps", "skip": 9, "status": 502, "code": "BadGateway", "times": 2},
            {**SWITCH, "status": 503, "code": "ServerBusy", "times": 3},
        ),
    ),
    Case(
        "server-errors-for-good",
        "500 for good on one app's writes",
        "gives that app up after three minutes and says what Azure said; the others are done meanwhile",
        (always({"method": "PATCH", "path": "containerApps/api$"}, status=500),),
        BACK,
        r"encountered an internal error.*(again|status)",
        limit=300.0,
    ),
    Case(
        "busy",
        "409, another operation is in progress",
        "waits until it ends, then reads the app again before it writes",
        ({**SWITCH, "mishap": "busy", "times": 7},),
    ),
    Case(
        "truncated",
        "an answer breaks off half-way",
        "asks again",
        (
            {"method": "GET", "path": "containerApps", "truncate": True, "times": 4},
            {"path": "listSecrets", "truncate": True, "times": 2},
        ),
    ),
    Case(
        "token-expired",
        "the token expires before its time",
        "signs in again",
        (
            {"path": "containerApps", "mishap": "token-expired"},
            {"path": "containerApps", "skip": 20, "mishap": "token-expired"},
            {"plane": "vault", "mishap": "token-expired"},
        ),
    ),
    Case(
        "clock-ahead",
        "Azure's clock is ten minutes ahead",
        "compares none of Azure's times with its own",
        ({"mishap": "clock-skew", "arguments": {"seconds": 600}},),
    ),
    Case(
        "clock-behind",
        "Azure's clock is ten minutes behind",
        "the same",
        ({"mishap": "clock-skew", "arguments": {"seconds": -600}},),
    ),
    # Operations
    Case(
        "operation-failed",
        "an operation is accepted and fails",
        "puts the app back, names Azure's reason",
        ({**SWITCH, "mishap": "operation", "when": "after", "arguments": {"ends": "failed"}},),
        BACK,
        "ended as Failed.*Failed to provision revision",
    ),
    Case(
        "operation-expired",
        'an operation hangs for 20 minutes, then "Operation expired"',
        "waits it out, then puts the app back",
        ({**SWITCH, "mishap": "operation", "when": "after", "arguments": {"ends": "expired"}},),
        BACK,
        "Operation expired",
    ),
    Case(
        "operation-slow",
        "an operation takes twenty minutes",
        "waits for its end",
        ({**SWITCH, "mishap": "operation", "when": "after", "arguments": {"ends": "late", "seconds": 1200}},),
    ),
    Case(
        "operation-late",
        "an operation succeeds after keylift gave up polling it (half an hour)",
        "waits until the app may be written again, puts it back",
        ({**SWITCH, "mishap": "operation", "when": "after", "arguments": {"ends": "late", "seconds": 2200}},),
        BACK,
        "still says it is in progress after 30 minutes",
    ),
    # Revisions
    Case(
        "revision-failed",
        "the app says Succeeded, its revision failed",
        "puts the app back; the old revision served all the time",
        ({**SWITCH, "mishap": "revision", "arguments": {"becomes": "failed"}},),
        BACK,
        "does not run.*az containerapp logs show",
    ),
    Case(
        "revision-degraded",
        "the revision is degraded",
        "the same",
        ({**SWITCH, "mishap": "revision", "arguments": {"becomes": "degraded"}},),
        BACK,
        "does not run.*az containerapp logs show",
    ),
    Case(
        "revision-stuck",
        "the revision never gets ready and shows no error",
        "gives it its time, then puts the app back",
        ({**SWITCH, "mishap": "revision", "arguments": {"becomes": "stuck"}},),
        BACK,
        "has not started within.*az containerapp logs show",
    ),
    Case(
        "revision-zero",
        "the revision has no replica although it must have one",
        "gives it its time, then puts the app back",
        ({**SWITCH, "mishap": "revision", "arguments": {"becomes": "zero"}},),
        BACK,
        "has not started within.*az containerapp logs show",
    ),
    Case(
        "suffix-loud",
        "the revision suffix is taken, and Azure says so",
        "takes another suffix",
        ({"method": "PATCH", "body": "kl-", "path": "containerApps/web$", "mishap": "suffix-taken"},),
        fresh="web",
        registries=True,
    ),
    Case(
        "suffix-silent",
        "the suffix is taken by an inactive revision: accepted, and nothing is made",
        "sees that no revision came, takes another suffix",
        (
            {
                "method": "PATCH",
                "body": "kl-",
                "path": "containerApps/web$",
                "mishap": "suffix-taken",
                "arguments": {"loud": False},
            },
        ),
        fresh="web",
        registries=True,
    ),
    Case(
        "names-rewritten",
        "revisions show secretRefs under other names",
        "compares none of them; what counts is that the replica runs",
        ({"mishap": "switch", "arguments": {"name": "secret_ref_display", "value": "prefixed"}},),
    ),
    Case(
        "identities-recased",
        "identity ids come back in another case",
        "compares ids without case",
        ({"mishap": "switch", "arguments": {"name": "identity_keys", "value": "recased"}},),
    ),
    # Governance
    Case(
        "policy-denies",
        "a policy forbids the write",
        "puts the app back, names the policy assignment and whom to ask",
        (always(SWITCH, mishap="policy-denies"),),
        BACK,
        "disallowed by policy.*exemption.*policyAssignments/no-changes-on-fridays",
    ),
    Case(
        "policy-rewrites",
        "a policy changes the write on its way",
        "sees the change outside the plan, puts its own change back, leaves the policy's",
        (always({"method": "PATCH", "path": "containerApps/api$"}, mishap="policy-rewrites"),),
        BACK,
        "differs in tags",
        kept=("tags",),
    ),
    Case(
        "lock-read-only",
        "a ReadOnly lock appears on the app before it is touched",
        "puts back what it made elsewhere, names the lock",
        ({**ATTACH, "mishap": "lock", "arguments": {"level": "ReadOnly"}},),
        BACK,
        "lock.*az lock list",
    ),
    Case(
        "lock-read-only-midway",
        "a ReadOnly lock appears on a half-changed app",
        "stops, says that a person is needed and which lock; `keylift rollback` when it is lifted",
        ({**SWITCH, "mishap": "lock", "arguments": {"level": "ReadOnly"}},),
        PERSON,
        "lock.*az lock list",
        mended=({"mishap": "unlock"},),
    ),
    Case(
        "lock-cannot-delete",
        "a CanNotDelete lock keeps a role from being taken back",
        "stops, names the lock; `keylift rollback` when it is lifted",
        (
            {**SWITCH, "mishap": "lock", "arguments": {"level": "CanNotDelete", "scope": "$vault"}},
            always(SWITCH, mishap="policy-denies"),
        ),
        PERSON,
        "lock.*az lock list",
        mended=({"mishap": "unlock"},),
    ),
    # Identities and roles
    Case(
        "identity-slow",
        "a new identity is unknown to the role service for two minutes",
        "tries the assignment again",
        ({"mishap": "identity-slow", "arguments": {"seconds": 120}},),
    ),
    Case(
        "role-slow",
        "a role takes twenty minutes to take effect",
        "writes the reference again until it resolves",
        ({"mishap": "role-slow", "arguments": {"seconds": 1200}},),
    ),
    Case(
        "role-too-slow",
        "a role takes longer than the window",
        "puts the app back, says that the role is not in effect yet",
        ({"mishap": "role-slow", "arguments": {"seconds": 1200}},),
        BACK,
        "not in effect yet.*waited 5 minutes.*keylift apply",
        propagation=300.0,
    ),
    Case(
        "role-removed",
        "somebody takes the role away mid-run",
        "puts the app back, names role and scope",
        ({**SWITCH, "mishap": "role-removed"},),
        BACK,
        "has no role that reads.*az role assignment create",
    ),
    # Vaults
    Case(
        "vault-firewall",
        "the vault's firewall closes before the app is switched",
        "puts the app back without the vault, names the firewall",
        ({**SWITCH, "mishap": "vault-closed", "arguments": {"vault": "kv-shop"}},),
        BACK,
        "firewall denies.*az keyvault network-rule add",
    ),
    Case(
        "vault-unreachable",
        "the vault closes before it is written",
        "changes nothing more, says how it is closed",
        (always(STORE, mishap="vault-closed", arguments={"by": "connection"}),),
        BACK,
        "refuses public access.*publicNetworkAccess",
    ),
    Case(
        "vault-deleted",
        "somebody deletes the vault",
        "puts the app back without the vault, says how to recover it",
        ({**SWITCH, "mishap": "vault-deleted", "arguments": {"vault": "kv-shop"}},),
        BACK,
        "vault kv-shop is gone.*az keyvault recover",
    ),
    Case(
        "name-soft-deleted",
        "a soft-deleted secret occupies the name",
        "puts back, says how to recover or purge it: whose old versions come back is for a person to decide",
        ({**STORE, "mishap": "secret-deleted"},),
        BACK,
        "soft-deleted.*az keyvault secret recover",
    ),
    Case(
        "name-recovering",
        "a secret of the name is being recovered",
        "waits until it is, finds somebody's secret under the name, and does not write over it",
        ({**STORE, "mishap": "secret-recovering"},),
        STALE,
        "not as the plan saw it.*keylift plan",
    ),
    Case(
        "vault-throttled",
        "the vault throttles",
        "waits as long as it is told",
        ({"plane": "vault", "mishap": "throttled", "arguments": {"retry_after": 4}, "times": 6},),
    ),
    Case(
        "secret-disabled",
        "somebody disables the secret mid-run",
        "puts the app back, names the secret",
        ({**SWITCH, "mishap": "secret-disabled", "arguments": {"vault": "kv-shop", "name": "$api"}},),
        BACK,
        "is disabled.*az keyvault secret set-attributes",
    ),
    Case(
        "secret-written",
        "somebody writes another version mid-run",
        "sees that the app would get another value, puts it back",
        ({**SWITCH, "mishap": "secret-written", "arguments": {"vault": "kv-shop", "name": "$api"}},),
        BACK,
        "do not give the planned values.*keylift rollback",
    ),
    # People
    Case(
        "secret-written-in-between",
        "somebody writes a secret in the instant between the look at its name and the write",
        "sees it right after its own write, makes theirs the newest again",
        ({**STORE, "mishap": "secret-written"},),
        BACK,
        "came right after it.*see who else writes",
    ),
    Case(
        "app-edited",
        "somebody edits the app before a step",
        "stops that app as stale, names what changed and who; their change stays",
        ({**STORE, "mishap": "app-edited", "arguments": {"app": "api"}},),
        STALE,
        "tags.*somebody-else.*keylift plan",
        kept=("tags",),
    ),
    Case(
        "app-edited-between",
        "somebody edits it between two steps",
        "the same",
        ({**ASSIGN, "mishap": "app-edited", "arguments": {"app": "api"}},),
        STALE,
        "tags.*somebody-else.*keylift plan",
        kept=("tags",),
    ),
    Case(
        "app-edited-in-between",
        "somebody edits it in the instant between reading and writing",
        "sees it right after its own write, puts its own change back; theirs stays",
        ({**SWITCH, "mishap": "app-edited"},),
        BACK,
        "differs in tags.*keylift rollback",
        kept=("tags",),
    ),
    Case(
        "app-edited-busily",
        "somebody's operation is under way when keylift writes",
        "waits for its end, reads the app again, stops as stale",
        ({**SWITCH, "mishap": "app-edited", "arguments": {"instantly": False}},),
        STALE,
        "tags.*somebody-else",
        kept=("tags",),
    ),
    Case(
        "app-redeployed",
        "somebody deploys the app whole before it is switched",
        "stops as stale; their deployment stays",
        ({**SWITCH, "mishap": "app-redeployed", "arguments": {"instantly": False}},),
        STALE,
        "env",
        kept=("template",),
    ),
    Case(
        "app-redeployed-after",
        "somebody deploys over the switched app and keeps its references",
        "proves the revision that serves now",
        ({"method": "GET", "path": "containerApps/api/revisions/", "mishap": "app-redeployed"},),
        kept=("template",),
    ),
    Case(
        "app-reverted",
        "somebody deploys over the switched app as it was before, plain text included",
        "sees that its change is gone, takes back what it made, leaves theirs",
        (
            {
                "method": "GET",
                "path": "containerApps/api/revisions/",
                "mishap": "app-redeployed",
                "arguments": {"body": "$body"},
            },
        ),
        STALE,
        "deployed over api.*somebody-else",
    ),
    Case(
        "app-deleted",
        "somebody deletes the app",
        "takes its identity and roles back; the other apps go on",
        ({**SWITCH, "mishap": "app-deleted"},),
        STALE,
        "gone",
        kept=("*",),
    ),
)


def tables() -> str:
    """The generated part of the page."""
    rows = ["| mishap | arguments | what happens |", "|---|---|---|"]
    for name, function in mishap.catalogue().items():
        given = [
            f"`{p.name}`" + ("" if p.default is p.empty else f" [{p.default!r}]".replace("''", "the request's"))
            for p in list(inspect.signature(function).parameters.values())[1:]
        ]
        rows.append(f"| `{name}` | {', '.join(given) or '–'} | {' '.join((inspect.getdoc(function) or '').split())} |")
    rows += ["", "## What keylift does", "", "| fault | keylift | exit | test |", "|---|---|---|---|"]
    rows += [f"| {case.fault} | {case.does} | {case.code} | `test_fault[{case.name}]` |" for case in CASES]
    rows += [f"| {fault} | {does} | {code} | `{test}` |" for fault, does, code, test in ELSEWHERE]
    return "\n".join(rows) + "\n\n" + waits()


ELSEWHERE: tuple[tuple[str, str, str, str], ...] = (
    (
        "Azure is killed and started again in the middle of a run",
        "tries again until it answers",
        "0",
        "test_a_killed_simulator",
    ),
    (
        "keylift is killed, at every write to its journal",
        "`resume` and `rollback` reach the planned or the original estate",
        "0",
        "test_dead_at_any_instant",
    ),
)
"""Faults that a rule cannot give: (fault, what keylift does, exit code, test)."""


def parts(text: str) -> tuple[str, str]:
    """The written part of the page and the generated one."""
    head, _, generated = text.partition("<!-- generated -->\n")
    return head, generated


def elsewhere() -> Iterator[str]:
    """Names of the tests that the table names besides its own."""
    yield from (test for *_, test in ELSEWHERE)


if __name__ == "__main__":
    head, _ = parts(PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(f"{head}<!-- generated -->\n{tables()}", encoding="utf-8")
