"""What `keylift access` tells: principals and what they read, references and whether they resolve, excess."""

from __future__ import annotations

from dataclasses import dataclass

from migrator.model import Json, ResourceId, same_id

SCHEMA = 1
ALL = "*"
"""In place of a secret's name: every secret of the vault, those made later included."""

CAN_LIST, SEES_ENV, CONSOLE, DEPLOYS = WAYS = ("list-secrets", "env", "console", "deploy")
DATA_ROLE, LISTS_KEYS = "data-role", "list-keys"


@dataclass(frozen=True, slots=True)
class Grant:
    """What gives an access: a role assignment, or an entry of a vault's access policies."""

    kind: str
    """`role` or `policy`."""
    name: str
    """The role's name, or the policy's secret permissions."""
    scope: str
    """Where it was given: an ARM id; of a policy the vault's."""
    id: str
    """The assignment's id; of a policy the vault's."""
    conditional: bool = False
    """The assignment has a condition: whether it holds for a given secret cannot be told from here."""
    through: str = ""
    """Object id of the group that it was given to; empty where it was given to the principal itself."""

    def as_dict(self) -> Json:
        """The object of the JSON format."""
        return {
            "kind": self.kind,
            "name": self.name,
            "scope": self.scope,
            "id": self.id,
            "conditional": self.conditional,
            **({"through": self.through} if self.through else {}),
        }


@dataclass(frozen=True, slots=True)
class Reading:
    """One vault secret, or all of a vault, that a principal can read."""

    vault: str
    """ARM id."""
    secret: str
    """Name, or `*`."""
    grants: tuple[Grant, ...]
    denied: tuple[str, ...] = ()
    """Of a reading of a whole vault: names of secrets, in lower case, that a deny assignment closes."""

    @property
    def conditional(self) -> bool:
        """Whether it hangs on conditions alone."""
        return all(grant.conditional for grant in self.grants)

    def as_dict(self) -> Json:
        """The object of the JSON format."""
        return {
            "vault": self.vault,
            "secret": self.secret,
            "conditional": self.conditional,
            "grants": [grant.as_dict() for grant in self.grants],
            **({"denied": list(self.denied)} if self.denied else {}),
        }


@dataclass(frozen=True, slots=True)
class Excess:
    """A grant that gives more than the estate's references use."""

    grant: Grant
    why: str
    replacement: tuple[tuple[str, str], ...]
    """The smallest that would do: (role name, scope) pairs; empty when nothing uses the grant."""
    commands: tuple[str, ...]
    """What replaces it, the new before the old, so that nothing breaks in between."""
    judged: bool = True
    """Whether the estate tells what would do instead; where it does not, a person must."""

    def as_dict(self) -> Json:
        """The object of the JSON format."""
        return {
            "grant": self.grant.as_dict(),
            "why": self.why,
            "replacement": [{"role": role, "scope": scope} for role, scope in self.replacement],
            "commands": list(self.commands),
            "judged": self.judged,
        }


@dataclass(frozen=True, slots=True)
class Reference:
    """A secret of an app that points into a vault, and whether the identity it names can read it."""

    app: str
    name: str
    """The app secret's name."""
    vault: str
    """ARM id; the host of the URL where the vault is not part of the estate."""
    secret: str
    principal: str
    """Empty where the identity's object id is not known."""
    readable: bool | None
    """None: a condition decides, or the vault or the identity is not part of the estate."""

    def as_dict(self) -> Json:
        """The object of the JSON format."""
        return {
            "app": self.app,
            "name": self.name,
            "vault": self.vault,
            "secret": self.secret,
            "principal": self.principal,
            "readable": self.readable,
        }


@dataclass(frozen=True, slots=True)
class Principal:
    """One identity, user, group or application with what it can read in vaults."""

    id: str
    """Object id."""
    name: str
    """The identity's name, `<app> (system)`, or the object id of what is not a resource."""
    kind: str
    """`user-assigned`, `system`, or the assignment's principal type."""
    resource: str = ""
    """ARM id of the identity, or of the app whose system identity it is."""
    apps: tuple[str, ...] = ()
    """ARM ids of the apps it is attached to."""
    readings: tuple[Reading, ...] = ()
    excess: tuple[Excess, ...] = ()

    def as_dict(self) -> Json:
        """The object of the JSON format."""
        return {
            "id": self.id,
            "name": self.name,
            "kind": self.kind,
            "resource": self.resource,
            "apps": list(self.apps),
            "readings": [reading.as_dict() for reading in self.readings],
            "excess": [excess.as_dict() for excess in self.excess],
        }


@dataclass(frozen=True, slots=True)
class ValueReader:
    """Somebody who reads values of apps without any role on a vault."""

    principal: str
    name: str
    way: str
    """`list-secrets`: all secrets of the apps, resolved references included. `env`: literal env values. `console`: opens one in
    the app's containers, where every variable is. `deploy`: a template of theirs is given any secret of the vault."""
    grant: Grant
    apps: tuple[str, ...]
    """ARM ids; of `deploy`, of vaults."""

    def as_dict(self) -> Json:
        """The object of the JSON format."""
        return {
            "principal": self.principal,
            "name": self.name,
            "way": self.way,
            "grant": self.grant.as_dict(),
            "apps": list(self.apps),
        }


@dataclass(frozen=True, slots=True)
class ResourceReader:
    """Somebody who gets at a resource that a secret opens, without that secret."""

    principal: str
    name: str
    way: str
    """`data-role`: by a role with data actions. `list-keys`: by reading the very keys."""
    grant: Grant

    def as_dict(self) -> Json:
        """The object of the JSON format."""
        return {"principal": self.principal, "name": self.name, "way": self.way, "grant": self.grant.as_dict()}


@dataclass(frozen=True, slots=True)
class NamedResource:
    """A resource that secrets open."""

    resource: str
    """ARM id."""
    by: tuple[tuple[str, str], ...]
    """(app's ARM id, name of the secret, or `env NAME`) of what opens it."""
    readers: tuple[ResourceReader, ...]
    own_roles: bool = False
    """The service has roles of its own beside Azure's (Cosmos DB, Redis, databases); they are not looked at."""

    def as_dict(self) -> Json:
        """The object of the JSON format."""
        return {
            "resource": self.resource,
            "by": [{"app": app, "name": name} for app, name in self.by],
            "readers": [reader.as_dict() for reader in self.readers],
            "own_roles": self.own_roles,
        }


@dataclass(frozen=True, slots=True)
class Kept:
    """What an app keeps in plain text."""

    app: str
    """ARM id."""
    inline: tuple[str, ...] = ()
    """Secrets with a value of their own."""
    env: tuple[str, ...] = ()
    """Env entries with a literal value, secret or not."""


@dataclass(frozen=True, slots=True)
class AccessReport:
    """Who can read what, in order of names."""

    principals: tuple[Principal, ...]
    references: tuple[Reference, ...]
    value_readers: tuple[ValueReader, ...]
    notes: tuple[str, ...] = ()
    """What could not be judged, and what could not be read."""
    resources: tuple[NamedResource, ...] = ()
    kept: tuple[Kept, ...] = ()

    def reads(self) -> dict[str, tuple[str, ...]]:
        """Object id -> what a principal reads, as `vault/secret`, or `vault/*` for every one."""
        return {
            entry.id: tuple(f"{ResourceId.parse(reading.vault).name}/{reading.secret}" for reading in entry.readings)
            for entry in self.principals
        }

    def can_read(self, principal: str, vault: str, secret: str) -> bool | None:
        """Whether a principal (object id) reads a secret of a vault (ARM id); None: a condition decides."""
        found = [
            reading.conditional
            for entry in self.principals
            if entry.id == principal.lower()
            for reading in entry.readings
            if same_id(reading.vault, vault)
            and reading.secret.lower() in {ALL, secret.lower()}
            and secret.lower() not in reading.denied
        ]
        return None if found and all(found) else bool(found)

    def as_dict(self) -> Json:
        """The document of the JSON format."""
        return {
            "schema": SCHEMA,
            "principals": [entry.as_dict() for entry in self.principals],
            "references": [entry.as_dict() for entry in self.references],
            "value_readers": [entry.as_dict() for entry in self.value_readers],
            "resources": [entry.as_dict() for entry in self.resources],
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Access before and after a plan or a run."""

    what: str
    """`plan <id>` or `run <id>`."""
    before: AccessReport
    after: AccessReport

    @property
    def changes(self) -> tuple[tuple[Principal, tuple[str, ...], tuple[str, ...]], ...]:
        """(principal, what it reads before, after) of each one with something to read, in order of names."""
        old, new = self.before.reads(), self.after.reads()
        people = {entry.id: entry for entry in (*self.before.principals, *self.after.principals)}
        return tuple(
            (entry, old.get(entry.id, ()), new.get(entry.id, ()))
            for entry in sorted(people.values(), key=lambda one: (one.name.lower(), one.id))
            if old.get(entry.id) or new.get(entry.id)
        )

    @property
    def openings(self) -> tuple[tuple[str, tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]], ...]:
        """(resource, what opens it before, after), as `NamedResource.by`, of each where that changes, in order of ids."""
        old = {one.resource.lower(): one for one in self.before.resources}
        new = {one.resource.lower(): one for one in self.after.resources}
        every = {**old, **new}
        found = [
            (every[key].resource, old[key].by if key in old else (), new[key].by if key in new else ())
            for key in sorted(every)
        ]
        return tuple(one for one in found if one[1] != one[2])

    def as_dict(self) -> Json:
        """The object beside the report in the JSON format."""
        return {
            "what": self.what,
            "principals": [
                {"id": entry.id, "name": entry.name, "before": list(before), "after": list(after)}
                for entry, before, after in self.changes
            ],
            "resources": [
                {
                    "resource": resource,
                    "before": [{"app": app, "name": name} for app, name in before],
                    "after": [{"app": app, "name": name} for app, name in after],
                }
                for resource, before, after in self.openings
            ],
        }
