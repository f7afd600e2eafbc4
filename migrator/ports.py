"""What the executor and the steps need of the world: a cloud, a clock, a place to tell. `migrator.api` hands them in.

`migrator.cloud.Cloud` is the one implementation of `Cloud`; steps see this protocol only, so that the planner and the
executor know nothing of the Azure SDK.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

from migrator.model import AppSecret, DataRole, Json, Lock, Permission, RoleAssignment, Step, VaultSecret
from scanners.model import Fingerprinter, Secret

OnOperation = Callable[[str], None]
"""Told the operation's URL before it is polled, so that it can be made durable first."""


WAITING: ContextVar[Callable[[str], None]] = ContextVar("waiting", default=lambda _text: None)
"""Told in a few words what a call into the cloud waits for; set for the time of a step, by the thread that does it."""


class Cloud(Protocol):
    """One verb a call. Every method raises `migrator.errors.CloudError` or a subclass, never an SDK's own error."""

    name: str
    """`public`, `china`, `usgov` or the profile's name."""

    def get_app(self, app: str) -> Json:
        """GET; raises NotFoundError."""
        ...

    def get_app_secrets(self, app: str) -> tuple[AppSecret, ...]:
        """POST listSecrets: names, values (those of references resolved), references."""
        ...

    def patch_app(self, app: str, body: Json, on_operation: OnOperation, *, patience: float | None = None) -> Json:
        """PATCH (JSON merge), wait for the operation's end, GET: the resource as it then stands.

        Retries 409 "in progress" for `patience` seconds (None: as long as an operation may take; 0: not at all, for a
        caller that looks again first, because the other operation may have changed what the body was made from).
        Raises ReferenceRefusedError when a vault reference did not resolve, and CloudError when the operation failed.
        """
        ...

    def get_part(self, part: str) -> Json:
        """GET a Dapr component or an app's sign-in settings; raises NotFoundError."""
        ...

    def put_part(self, part: str, body: Json, on_operation: OnOperation) -> None:
        """PUT one whole, and wait for its end."""
        ...

    def wait_operation(self, url: str) -> str:
        """Poll an operation begun earlier (perhaps by a killed process); its end: Succeeded, Failed or Canceled."""
        ...

    def list_revisions(self, app: str) -> tuple[Json, ...]:
        """All kept revisions, inactive ones included."""
        ...

    def get_revision(self, app: str, revision: str) -> Json:
        """One revision; raises NotFoundError."""
        ...

    def list_replicas(self, app: str, revision: str) -> tuple[Json, ...]:
        """Replicas of one revision."""
        ...

    def tail_log(self, app: str, endpoint: str) -> tuple[str, ...]:
        """The last lines that a container wrote; `endpoint` is its `logStreamEndpoint`. They may hold values."""
        ...

    def revision_action(self, app: str, revision: str, action: str) -> None:
        """`restart`, `activate` or `deactivate`."""
        ...

    def get_auth(self, app: str) -> Json | None:
        """authConfigs/current, or None."""
        ...

    def get_identity(self, identity: str) -> Json | None:
        """A user-assigned identity, or None."""
        ...

    def put_identity(self, identity: str, location: str, tags: dict[str, str]) -> Json:
        """Make a user-assigned identity; waits until the answer carries its principal id."""
        ...

    def delete_identity(self, identity: str) -> None:
        """Delete it; one that is gone is a success."""
        ...

    def list_assignments(
        self, scope: str, principal_id: str | None = None, *, groups: bool = False
    ) -> tuple[RoleAssignment, ...]:
        """Role assignments at and above `scope` (for a principal, if given; with `groups`, for its groups too)."""
        ...

    def last_change(self, resource: str, since: float) -> Json | None:
        """Who last wrote or deleted a resource since a moment of our clock, as the Activity Log tells.

        Returns:
            `{"by", "at", "operation"}`; None where nothing is told, or the log may not be read.
        """
        ...

    def ahead(self) -> float:
        """Seconds by which Azure's clock is ahead of this machine's."""
        ...

    def put_assignment(
        self, scope: str, name: str, role: str, principal_id: str, description: str
    ) -> tuple[RoleAssignment, bool]:
        """Assign; True if this call made it, False if one for the triple was there (then that one is returned).

        Sends principalType ServicePrincipal and retries while the principal is not yet replicated.
        """
        ...

    def delete_assignment(self, assignment: str) -> None:
        """Delete by id; one that is gone is a success."""
        ...

    def list_data_roles(self, system: str, resource: str) -> tuple[DataRole, ...]:
        """Assignments of a service's own role system; `system` is `cosmos`, `redis` or `managed-redis`."""
        ...

    def data_role_id(self, system: str, resource: str, name: str) -> str:
        """ARM id that an assignment of some name has."""
        ...

    def put_data_role(self, system: str, role: DataRole, on_operation: OnOperation) -> None:
        """Make an assignment and wait until it is there; made again under its name, it stays as it is."""
        ...

    def delete_data_role(self, system: str, assignment: str) -> None:
        """Take an assignment away; one that is gone is a success."""
        ...

    def get_secret(self, vault_uri: str, name: str, version: str | None = None) -> tuple[Secret, VaultSecret] | None:
        """A vault secret's value and properties, or None when there is none. Raises DeniedError when it is disabled."""
        ...

    def describe_secret(self, vault_uri: str, name: str) -> VaultSecret | None:
        """Properties of the newest version without its value (it may be disabled), soft-deleted ones included."""
        ...

    def list_secret_versions(self, vault_uri: str, name: str) -> tuple[VaultSecret, ...]:
        """Properties of every version of a secret, without values, in no order; none when there is no such secret."""
        ...

    def set_secret(self, vault_uri: str, name: str, value: Secret, tags: dict[str, str]) -> str:
        """Write a new version; its id (the last segment)."""
        ...

    def update_secret(
        self, vault_uri: str, name: str, version: str, *, enabled: bool, tags: dict[str, str] | None = None
    ) -> None:
        """Enable or disable one version, and replace its tags if given."""
        ...

    def get_registry(self, registry: str) -> Json:
        """A container registry's document; raises NotFoundError."""
        ...

    def set_registry_admin(self, registry: str, *, enabled: bool) -> Json:
        """Turn the admin user on or off; the registry as it then stands."""
        ...

    def password_pullers(self, server: str, username: str) -> tuple[str, ...]:
        """Ids of all apps and jobs that can be seen and pull from `server` with the password of `username`.

        Raises CloudError when a subscription cannot be listed: then nobody knows.
        """
        ...

    def get_vault(self, vault: str) -> Json:
        """The vault's ARM document; raises NotFoundError."""
        ...

    def locks(self, scope: str) -> tuple[Lock, ...]:
        """Locks at and above `scope`."""
        ...

    def permissions(self, scope: str) -> tuple[Permission, ...]:
        """What the operator may do at `scope`."""
        ...


class Clock(Protocol):
    """Time, so that a test can own it."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass; raises Interrupted's equivalent if the run is being stopped."""
        ...


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened in a run, for the screen, the log and the report. Never holds a value."""

    kind: str
    """`step-started`, `step-waiting`, `step-done`, `step-adopted`, `step-failed`, `step-undone`, `app-done`,
    `app-failed`, `app-rolled-back`, `run-done`, `note`; `by`: who applied, resumed or took back."""
    app: str = ""
    step: str = ""
    text: str = ""
    at: float = 0.0


class Record(Protocol):
    """A step's page in the journal: every write is durable when the call returns, and value-free."""

    def operation(self, url: str) -> None:
        """The operation that is about to be polled."""
        ...

    def note(self, **facts: object) -> None:
        """Remember facts this step's undo or its resumption needs (ids, versions, names; never a value)."""
        ...

    @property
    def facts(self) -> Json:
        """What was noted for this step so far, `pre_image` included."""
        ...


@dataclass(frozen=True, slots=True)
class StepContext:
    """What a step kind works with."""

    cloud: Cloud
    clock: Clock
    fingerprinter: Fingerprinter
    record: Record
    tell: Callable[[str], None]
    """Says in a few words what the step waits for."""
    run: str
    """The run's id: goes into tags and descriptions of what it makes."""
    plan: str
    """The plan's id."""
    facts_of: Callable[[str], Json]
    """Facts another step of this run noted, by step id (the principal id of the identity it made)."""
    propagation: float = 1500.0
    """Seconds within which a new role assignment may still not be honoured (14 min 44 s was measured)."""
    proof: float = 900.0
    """Seconds a new revision may take until it runs."""
    steps: Mapping[str, Step] = field(default_factory=dict)
    """Every step of the plan by id."""
    check: Callable[[Json, str], None] = lambda _document, _who: None
    """Given the app (settled, values replaced by fingerprints) immediately before it is written, and who changed it
    last: raises StaleError unless it stands as this run expects it."""
    lane: Callable[[str], AbstractContextManager[object]] = lambda _name: nullcontext()
    """Keeps writes of one environment (by its id) apart."""
    see: Callable[[Secret], None] = lambda _secret: None
    """Told every value that passes, so that `redact` knows it."""
    seen: Callable[[], Sequence[Secret]] = tuple
    """The values that passed, in this process only."""
    redact: Callable[[str], str] = lambda text: text
    """Takes known values out of a text that Azure wrote."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended."""

    adopted: bool = False
    """The world was already so; rollback leaves it."""
    proven: bool = True
    """False: done, but nothing runs that could prove it (scaled to zero)."""
    text: str = ""


class StepKind(Protocol):
    """One kind of change: do, verify, undo, describe. One file in `migrator.steps`, found by its name.

    Every method may be repeated: after a crash nobody knows how far the last try came.
    """

    kind: str
    writes_app: bool
    """Whether it writes the app itself; what such a step leaves in `facts["after"]` is what the next one expects."""
    spare: bool
    """Whether an undo that fails may be left behind: the app runs as before without it."""
    irreversible: bool
    """Whether it lies behind the point of no return: its undo only says what cannot come back, and the step stays done."""

    def describe(self, step: Step) -> Sequence[tuple[str, str]]:
        """Lines of the diff: a sign (`+`, `~`, `-` or blank) and a text."""
        ...

    def do(self, step: Step, ctx: StepContext) -> Outcome:
        """Make the change, or find it made.

        Raises:
            StaleError: what the step depends on is not as the plan says; nothing was done.
            OutsideChangeError: something else changed with the write.
            CloudError: Azure refused or failed.
        """
        ...

    def done(self, step: Step, ctx: StepContext) -> bool | None:
        """Ask Azure whether the change is made: after a crash between intent and the note of success.

        None: Azure does not say; doing it again is safe.
        """
        ...

    def verify(self, step: Step, ctx: StepContext) -> None:
        """Read back what the step made.

        Raises:
            UnprovenError: it is not there, or not as it should be.
        """
        ...

    def undo(self, step: Step, ctx: StepContext) -> str:
        """Take back what this run made of the change, and nothing else; says in words what was left, if anything."""
        ...
