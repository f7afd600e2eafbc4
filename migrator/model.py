"""The nouns of migrating: the estate as read, the plan, a run. Values sit in `Secret` only and never in a plan."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from migrator.errors import PlanFileError
from scanners.model import Secret

Json = dict[str, Any]
PLAN_SCHEMA = 1


def same_id(left: str | None, right: str | None) -> bool:
    """Whether two ARM ids name one resource: they compare without case."""
    return (left or "").lower().rstrip("/") == (right or "").lower().rstrip("/")


@dataclass(frozen=True, slots=True)
class ResourceId:
    """The parts of an ARM id of a resource below a resource group."""

    subscription: str
    group: str
    namespace: str
    kind: str
    """Types joined by slashes, e.g. `containerApps` or `vaults/secrets`."""
    names: tuple[str, ...]

    @property
    def name(self) -> str:
        """The last name."""
        return self.names[-1]

    @classmethod
    def parse(cls, text: str) -> ResourceId:
        """Take an id apart.

        Raises:
            ValueError: the text is no id of a resource below a resource group.
        """
        parts = text.strip("/").split("/")
        low = [part.lower() for part in parts]
        if (
            len(parts) < 8
            or low[0] != "subscriptions"
            or low[2] != "resourcegroups"
            or low[4] != "providers"
            or len(parts) % 2
        ):
            raise ValueError(f"not a resource id: {text!r}")
        return cls(parts[1], parts[3], parts[5], "/".join(parts[6::2]), tuple(parts[7::2]))

    def __str__(self) -> str:
        path = "/".join(f"{kind}/{name}" for kind, name in zip(self.kind.split("/"), self.names, strict=True))
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.group}/providers/{self.namespace}/{path}"


def called(ids: Iterable[str]) -> dict[str, str]:
    """What people call resources of one kind: the name, with the group or the whole id where that is not enough."""
    wanted = list(dict.fromkeys(ids))
    parts = {one: ResourceId.parse(one) for one in wanted}
    names = Counter(part.name.lower() for part in parts.values())
    pairs = Counter((part.group.lower(), part.name.lower()) for part in parts.values())
    found = {}
    for one, part in parts.items():
        if names[part.name.lower()] == 1:
            found[one] = part.name
        elif pairs[part.group.lower(), part.name.lower()] == 1:
            found[one] = f"{part.name} in {part.group}"
        else:
            found[one] = one
    return found


# The estate as read


@dataclass(frozen=True, slots=True)
class AppSecret:
    """One secret of an app as listSecrets gives it; `""` of Azure is None here."""

    name: str
    value: Secret | None
    """The resolved value, also of a vault reference; None when it could not be read."""
    key_vault_url: str | None = None
    identity: str | None = None


JOB_TYPE = "/providers/microsoft.app/jobs/"


@dataclass(frozen=True, slots=True)
class App:
    """One container app, or one job: they hold secrets, env values, registries and an identity in the same places."""

    id: str
    document: Json
    """The GET answer as it stands."""
    secrets: tuple[AppSecret, ...] = ()
    secrets_read: bool = True
    """False when the operator may not list secrets: then inline and reference cannot be told apart by value."""
    revisions: tuple[Json, ...] = ()
    """Other revisions than the latest that are kept, when they were read; of a job its executions."""
    auth: Json | None = None
    """authConfigs/current, when there is one."""

    @property
    def name(self) -> str:
        return str(self.document.get("name") or ResourceId.parse(self.id).name)

    @property
    def job(self) -> bool:
        """Whether it is a job: it has executions instead of revisions, and no traffic."""
        return is_job(self.id)


def is_job(resource: str) -> bool:
    """Whether an id is that of a job."""
    return JOB_TYPE in resource.lower()


@dataclass(frozen=True, slots=True)
class Part:
    """A resource of the surface that runs nothing itself: an environment's component, storage, certificate; a pool."""

    id: str
    document: Json
    """The GET answer as it stands."""
    secrets: tuple[AppSecret, ...] = ()
    """What its list action gave, where it has one (Dapr components)."""

    @property
    def name(self) -> str:
        return ResourceId.parse(self.id).name

    @property
    def kind(self) -> str:
        """The ARM type in lower case, e.g. `microsoft.app/managedenvironments/storages`."""
        parts = ResourceId.parse(self.id)
        return f"{parts.namespace}/{parts.kind}".lower()


@dataclass(frozen=True, slots=True)
class VaultSecret:
    """One secret of a vault, without its value."""

    name: str
    enabled: bool = True
    fingerprint: str | None = None
    """Of the current value, where the operator may read it."""
    version: str | None = None
    deleted: bool = False
    """Soft-deleted: the name is occupied."""
    ours: bool = False
    """Carries keylift's tag."""
    tags: Mapping[str, str] = field(default_factory=dict)
    created: float = 0.0
    """When this version was made: whole seconds since 1970, by the vault's clock."""


@dataclass(frozen=True, slots=True)
class Vault:
    """A vault and what is known of its secrets (only those a plan asks about)."""

    id: str
    document: Json
    secrets: tuple[VaultSecret, ...] = ()

    @property
    def name(self) -> str:
        return ResourceId.parse(self.id).name

    @property
    def uri(self) -> str:
        """`properties.vaultUri` without a trailing slash."""
        return str(self.document["properties"]["vaultUri"]).rstrip("/")

    @property
    def rbac(self) -> bool:
        """Whether roles decide on the data plane; null means access policies."""
        return self.document["properties"].get("enableRbacAuthorization") is True


@dataclass(frozen=True, slots=True)
class Resource:
    """Any other resource as read: environments, identities, registries."""

    id: str
    document: Json

    @property
    def name(self) -> str:
        return ResourceId.parse(self.id).name


@dataclass(frozen=True, slots=True)
class RoleAssignment:
    """One role assignment."""

    id: str
    scope: str
    role: str
    """GUID of the role definition, lower case."""
    principal_id: str
    principal_type: str = "ServicePrincipal"
    condition: str | None = None
    created: str = ""
    """When, `2026-11-22T08:00:00Z`; empty where Azure does not say."""
    created_by: str = ""
    """Object id of whoever made it."""
    within: frozenset[str] = field(default=frozenset(), compare=False)
    """Subscriptions, in lower case, that it was listed in: those that a management group of its scope is above."""


@dataclass(frozen=True, slots=True)
class DataRole:
    """One assignment in a service's own role system (Cosmos DB, Redis)."""

    id: str
    role: str
    """GUID of a role definition of the account (Cosmos DB), or the name of an access policy (Redis)."""
    principal_id: str
    """Lower case."""
    scope: str
    """The resource, or a database or container of it."""


@dataclass(frozen=True, slots=True)
class Rights:
    """One permission block: its exceptions take from it, and not from blocks beside it."""

    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RoleDefinition:
    """What a role allows."""

    id: str
    """GUID, lower case."""
    name: str
    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()
    more: tuple[Rights, ...] = ()
    """Further permission blocks of a custom role that has several."""

    @property
    def blocks(self) -> tuple[Rights, ...]:
        """All permission blocks."""
        own = Rights(self.actions, self.not_actions, self.data_actions, self.not_data_actions)
        return (own, *self.more)


@dataclass(frozen=True, slots=True)
class Denial:
    """A deny assignment: it wins over every role."""

    id: str
    name: str
    scope: str
    blocks: tuple[Rights, ...]
    principals: frozenset[str]
    """Object ids in lower case; the empty GUID means everybody."""
    spared: frozenset[str] = frozenset()
    """Object ids in lower case that it does not reach."""
    below: bool = True
    """Whether it reaches what is below its scope."""
    groups: frozenset[str] = frozenset()
    """Which of `principals` and `spared` are groups."""
    condition: str = ""
    """Where it does not hold, the denial says nothing; it is not judged."""
    within: frozenset[str] = field(default=frozenset(), compare=False)
    """Subscriptions, in lower case, that it was listed in: those that a management group of its scope is above."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group that roles or deny assignments name, and who of the estate is in it, through other groups too."""

    id: str
    """Object id in lower case."""
    members: frozenset[str] = frozenset()
    """Object ids in lower case, of identities of the estate: whoever else is in it is not looked up."""


@dataclass(frozen=True, slots=True)
class Lock:
    """A management lock."""

    id: str
    scope: str
    level: str
    """`ReadOnly` or `CanNotDelete`."""


@dataclass(frozen=True, slots=True)
class Permission:
    """One entry of the permissions API: what the operator may do at `scope` (conditions are not shown there)."""

    scope: str
    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Estate:
    """What was read of a cloud. Everything is in order of ids, so that the same cloud gives the same estate."""

    cloud: str = "public"
    tenant: str = ""
    subscriptions: tuple[str, ...] = ()
    apps: tuple[App, ...] = ()
    jobs: tuple[App, ...] = ()
    parts: tuple[Part, ...] = ()
    """What else of Microsoft.App can hold a value, environments included."""
    environments: tuple[Resource, ...] = ()
    identities: tuple[Resource, ...] = ()
    vaults: tuple[Vault, ...] = ()
    registries: tuple[Resource, ...] = ()
    assignments: tuple[RoleAssignment, ...] = ()
    roles: tuple[RoleDefinition, ...] = ()
    denials: tuple[Denial, ...] = ()
    groups: tuple[Group, ...] = ()
    """Those whose members among the estate's identities are known; of any other group nothing is."""
    operator: str = ""
    """Object id of whoever read it, in lower case; empty where that is not known."""
    locks: tuple[Lock, ...] = ()
    permissions: tuple[Permission, ...] = ()
    targets: tuple[Resource, ...] = ()
    """What values of the apps point at: storage accounts, namespaces, databases, as Resource Graph shows them."""
    errors: tuple[Json, ...] = ()
    """`{"where", "what", "hint"}` each: what could not be read."""

    def app(self, resource: str) -> App | None:
        """The app or job of an id."""
        return next((app for app in self.workloads if same_id(app.id, resource)), None)

    @property
    def workloads(self) -> tuple[App, ...]:
        """Apps and jobs, in order of ids."""
        return tuple(sorted((*self.apps, *self.jobs), key=lambda app: app.id.lower()))

    @property
    def principals(self) -> tuple[str, ...]:
        """Object ids of all identities of the estate, in lower case and order."""
        found = {str((one.document.get("properties") or {}).get("principalId") or "") for one in self.identities}
        for app in self.workloads:
            identity = app.document.get("identity") or {}
            found.add(str(identity.get("principalId") or ""))
            attached = (identity.get("userAssignedIdentities") or {}).values()
            found |= {str((shown or {}).get("principalId") or "") for shown in attached}
        return tuple(sorted({one.lower() for one in found} - {""}))

    def with_vault(self, vault: Vault) -> Estate:
        """The estate with one vault replaced by a fuller reading of it."""
        return replace(self, vaults=tuple(vault if same_id(v.id, vault.id) else v for v in self.vaults))


# The plan


@dataclass(frozen=True, slots=True)
class Step:
    """One change. `change`, `undo` and `expects` are JSON whose shape the step's kind knows; none holds a value."""

    id: str
    """Unique in the plan and stable: `<app>/<kind>[/<what>]`."""
    kind: str
    """Name of a module in `migrator.steps`, with dashes."""
    target: str
    """ARM id of what is changed."""
    app: str
    """ARM id of the app this step belongs to; empty for steps shared by several."""
    change: Json
    undo: Json
    why: str
    permission: str
    """The action the operator needs, e.g. `Microsoft.App/containerApps/write`."""
    after: tuple[str, ...] = ()
    """Steps that must be done before."""
    expects: Json = field(default_factory=dict)
    """Lower-case resource id -> fingerprint of the live resource when the plan was made; `#<path>` -> the short one of a
    part of the step's app, to name what changed."""

    def as_dict(self) -> Json:
        """The object of the plan format."""
        return {
            "id": self.id,
            "kind": self.kind,
            "target": self.target,
            "app": self.app,
            "after": list(self.after),
            "change": self.change,
            "undo": self.undo,
            "expects": self.expects,
            "why": self.why,
            "permission": self.permission,
        }


@dataclass(frozen=True)  # without slots, so that its id can be kept: a digest of megabytes, asked for again and again
class Plan:
    """Ordered steps and all a reviewer must know. The same estate and options give the same bytes."""

    tool: Json
    """`{"name", "version"}`."""
    cloud: str
    scope: Json
    options: Json
    estate: Json
    """`{"fingerprint", "key", "access"}`: of everything the plan depends on, the id of the key it was made with, and how
    many secrets each identity can read before and after (`migrator.reachable.Reachable`)."""
    steps: tuple[Step, ...]
    skipped: tuple[Json, ...] = ()
    """`{"finding": {"rule", "location", "fingerprint"} | {"resource"}, "reason", "hint"}` each."""
    rest_risk: tuple[Json, ...] = ()
    """`{"where", "what", "until"}` each: where a value still lies."""
    operator: Json = field(default_factory=dict)
    """`{"permissions": [{"scope", "action", "role", "held": true|false|null}]}`."""
    notes: tuple[Json, ...] = ()
    """`{"app", "kind", "text"}` each: deployers that will undo the change, wider roles that were adopted."""
    passwordless: tuple[Json, ...] = ()
    """`{"app", "names", "fingerprint", "outcome", ...}` each (`migrator.passwordless.decision.Decision`): what each
    secret could end as instead of a vault reference. With `--passwordless apply` steps come of what configuration alone
    can do; else it is advice."""

    def content(self) -> Json:
        """Everything but the id."""
        return {
            "schema": PLAN_SCHEMA,
            "tool": self.tool,
            "cloud": self.cloud,
            "scope": self.scope,
            "options": self.options,
            "estate": self.estate,
            "steps": [step.as_dict() for step in self.steps],
            "skipped": list(self.skipped),
            "rest_risk": list(self.rest_risk),
            "operator": self.operator,
            "notes": list(self.notes),
            # left out where there is none, so that plans of before keep their ids
            **({"passwordless": list(self.passwordless)} if self.passwordless else {}),
        }

    @property
    def irreversible(self) -> tuple[Step, ...]:
        """Steps behind the point of no return: `undo` says under `irreversible` what cannot come back."""
        return tuple(step for step in self.steps if step.undo.get("irreversible"))

    @property
    def finalizes(self) -> str:
        """The run that this plan is the contract of; empty for any other plan."""
        return str(self.options.get("finalize") or "")

    @cached_property
    def id(self) -> str:
        """A digest of the content; the content holds no value."""
        return hashlib.sha256(canonical(self.content()).encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """The plan file: stable key order, a line break at the end."""
        content = self.content()
        document = {"schema": content.pop("schema"), "id": self.id, **content}
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, *, source: str = "the plan") -> Plan:
        """Read a plan file.

        Raises:
            PlanFileError: no JSON, another schema, a missing or misshapen part, or content that is not what its id says.
        """
        hint = "make a new one: keylift plan --vault NAME -o PLAN.json"
        try:
            document = json.loads(text)
        except ValueError as error:
            raise PlanFileError(f"{source} is not JSON", why=str(error), hint=hint) from error
        if not isinstance(document, dict) or document.get("schema") != PLAN_SCHEMA:
            found = document.get("schema") if isinstance(document, dict) else type(document).__name__
            raise PlanFileError(f"{source} is no plan of schema {PLAN_SCHEMA}", why=f"it says {found!r}", hint=hint)
        try:
            plan = cls(
                tool=document["tool"],
                cloud=document["cloud"],
                scope=document["scope"],
                options=document["options"],
                estate=document["estate"],
                steps=tuple(
                    Step(
                        id=entry["id"],
                        kind=entry["kind"],
                        target=entry["target"],
                        app=entry["app"],
                        change=entry["change"],
                        undo=entry["undo"],
                        why=entry["why"],
                        permission=entry["permission"],
                        after=tuple(entry["after"]),
                        expects=entry["expects"],
                    )
                    for entry in document["steps"]
                ),
                skipped=tuple(document["skipped"]),
                rest_risk=tuple(document["rest_risk"]),
                operator=document["operator"],
                notes=tuple(document.get("notes", ())),
                passwordless=tuple(document.get("passwordless", ())),
            )
        except (KeyError, TypeError) as error:
            raise PlanFileError(f"{source} is incomplete", why=f"missing or misshapen: {error}", hint=hint) from error
        if document.get("id") != plan.id:
            raise PlanFileError(
                f"{source} was changed after it was made",
                why=f"it says id {document.get('id')!r}, its content is {plan.id!r}",
                hint=hint,
            )
        return plan


def canonical(document: Any) -> str:
    """JSON with sorted keys and no blanks: equal documents give equal text."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


# Comparing app documents

READ_ONLY = (
    "systemData",
    "properties.provisioningState",
    "properties.deploymentErrors",
    "properties.runningStatus",
    "properties.runningState",
    "properties.latestRevisionName",
    "properties.latestReadyRevisionName",
    "properties.latestRevisionFqdn",
    "properties.outboundIpAddresses",
    "properties.eventStreamEndpoint",
    "properties.customDomainVerificationId",
    "properties.template.revisionSuffix",
)
"""What Azure itself moves between two readings of an unchanged app; the suffix names a revision, no more."""


def settled(document: Json) -> Json:
    """An app's document without what Azure itself moves: two settled documents differ only by somebody's change.

    Identity types lose their blanks (`SystemAssigned, UserAssigned`), keys of the identity map and ids lose their case,
    and `principalId`/`clientId` inside the map go, because answers leave them out while an identity is new.
    """
    copy: Json = json.loads(json.dumps(document))
    for path in READ_ONLY:
        *parents, last = path.split(".")
        node: Any = copy
        for parent in parents:
            node = node.get(parent) if isinstance(node, dict) else None
        if isinstance(node, dict):
            node.pop(last, None)
    for key in ("id", "managedBy"):
        if isinstance(copy.get(key), str):
            copy[key] = copy[key].lower()
    identity = copy.get("identity") or {"type": "None"}
    identity["type"] = str(identity.get("type") or "None").replace(" ", "")
    attached = identity.get("userAssignedIdentities")
    if isinstance(attached, dict) and attached:
        identity["userAssignedIdentities"] = {key.lower(): {} for key in sorted(attached)}
    else:
        identity.pop("userAssignedIdentities", None)
    copy["identity"] = identity
    for key in ("managedEnvironmentId", "environmentId"):
        if isinstance((copy.get("properties") or {}).get(key), str):
            copy["properties"][key] = copy["properties"][key].lower()
    return copy


def differences(before: Any, after: Any, path: str = "") -> list[str]:
    """JSON paths at which two documents differ, in order. Paths only: a value could be a secret."""
    if isinstance(before, dict) and isinstance(after, dict):
        found: list[str] = []
        for key in sorted({*before, *after}):
            inner = f"{path}.{key}" if path else key
            if key not in before or key not in after:
                found.append(inner)
            else:
                found += differences(before[key], after[key], inner)
        return found
    if isinstance(before, list) and isinstance(after, list):
        found = []
        for index in range(max(len(before), len(after))):
            inner = f"{path}[{index}]"
            if index >= len(before) or index >= len(after):
                found.append(inner)
            else:
                found += differences(before[index], after[index], inner)
        return found
    return [] if before == after else [path]


# A run


class StepState:
    """States of a step in a run, as the journal writes them."""

    PENDING = "pending"
    INTENT = "intent"
    """About to be done, or being done: after a crash, ask Azure."""
    DONE = "done"
    ADOPTED = "adopted"
    """Found already so: not the run's own, rollback leaves it."""
    UNDOING = "undoing"
    UNDONE = "undone"
    FAILED = "failed"
    SKIPPED = "skipped"


class AppState:
    """States of an app in a run."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    UNDOING = "undoing"
    ROLLED_BACK = "rolled-back"
    STALE = "stale"
    """It was not the app the plan was made from, or somebody changed it; what the run had made of it is undone."""
    FAILED = "failed"
    """It could not be put back: needs a person."""


class RunState:
    """States of a run."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    """Something needs a person."""
    ROLLED_BACK = "rolled-back"
    PARTLY = "partly-done"
    """Some apps are done, others were rolled back."""
    INTERRUPTED = "interrupted"
    ROLLING_BACK = "rolling-back"


def by_app(steps: Iterable[Step]) -> dict[str, list[Step]]:
    """Steps grouped by the app they belong to, in plan order; shared steps under the empty id."""
    groups: dict[str, list[Step]] = {}
    for step in steps:
        groups.setdefault(step.app.lower(), []).append(step)
    return groups
