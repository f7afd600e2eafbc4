"""Who can read what: which principal reads which vault secret and why, and who reads values without a vault role.

Pure: it looks at an estate that was read before. What it cannot see, and does not guess: who besides the estate's
identities is in a group, and code that reads a vault by itself instead of through a reference of its app.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from migrator.access_report import (
    ALL,
    CAN_LIST,
    SEES_ENV,
    AccessReport,
    Excess,
    Grant,
    Principal,
    Reading,
    Reference,
    ValueReader,
)
from migrator.effective import Effective
from migrator.errors import UsageError
from migrator.model import App, Estate, Json, ResourceId, Vault, same_id
from migrator.planning.roles import SECRETS_USER, covers
from scanners.surface import kind_of

__all__ = ["AccessReport", "access"]

_APP, _JOB = "Microsoft.App/containerApps", "Microsoft.App/jobs"
_COMPONENTS = ("Microsoft.App/managedEnvironments/daprComponents", "Microsoft.App/connectedEnvironments/daprComponents")
LISTS = {kind.lower(): (f"{kind}/listSecrets/action",) for kind in (_APP, _JOB, *_COMPONENTS)}
"""By type: gives inline values, and the resolved values of vault references."""
SHOWS = {
    _APP.lower(): (f"{_APP}/read", f"{_APP}/revisions/read"),
    _JOB.lower(): (f"{_JOB}/read", f"{_JOB}/executions/read"),
    **{kind.lower(): (f"{kind}/read",) for kind in _COMPONENTS},
}
"""By type: shows the literal values of env entries, or of a component's metadata."""


def access(
    estate: Estate, *, identity: str | None = None, secret: str | None = None, apps: Sequence[str] = ()
) -> AccessReport:
    """Who can read what in an estate.

    Args:
        estate: Read with its vaults, identities, role assignments and definitions.
        identity: Only this one: ARM id, name or object id.
        secret: Only who can read a vault secret of this name.
        apps: Only these apps (names or ids), what they refer to, and the identities attached to them.

    Raises:
        UsageError: no principal of the estate is meant by `identity`; near names are in the hint.
    """
    return _Look(estate).report(identity, secret, tuple(apps))


class _Look:
    """One estate, indexed."""

    def __init__(self, estate: Estate) -> None:
        self.estate = estate
        self.effective = Effective(estate)
        self.people: dict[str, Principal] = {}
        self._identities()
        for assignment in estate.assignments:
            key = assignment.principal_id.lower()
            self.people.setdefault(key, Principal(key, key, assignment.principal_type))
        for group in estate.groups:
            for member in group.members:
                self.people.setdefault(member, Principal(member, member, "Unknown"))
        self.readings: dict[str, dict[tuple[str, str], list[Grant]]] = {}
        self.except_for: dict[tuple[str, str], tuple[str, ...]] = {}
        """Of readings of whole vaults: the secrets that a deny assignment closes."""
        for vault in estate.vaults:
            for principal, name, grant in _by_role(self, vault) if vault.rbac else _by_policy(self.effective, vault):
                self.people.setdefault(principal, Principal(principal, principal, "Unknown"))
                closed = self.closed(principal, vault) if vault.rbac else frozenset()
                if closed & {ALL, name.lower()}:
                    continue
                held = self.readings.setdefault(principal, {})
                held.setdefault((vault.id, name), []).append(grant)
                if name == ALL and closed:
                    self.except_for[principal, vault.id] = tuple(sorted(closed))

    def _identities(self) -> None:
        known = {resource.id.lower(): resource for resource in self.estate.identities}
        attached: dict[str, list[str]] = {}
        objects: dict[str, str] = {key: _text(r.document, "properties", "principalId") for key, r in known.items()}
        spelled = {key: resource.id for key, resource in known.items()}
        for app in self.estate.workloads:
            system = _text(app.document, "identity", "principalId").lower()
            if system:
                self.people[system] = Principal(system, f"{app.name} (system)", "system", app.id, (app.id,))
            for key, shown in ((app.document.get("identity") or {}).get("userAssignedIdentities") or {}).items():
                attached.setdefault(key.lower(), []).append(app.id)
                spelled.setdefault(key.lower(), key)
                objects[key.lower()] = objects.get(key.lower()) or str((shown or {}).get("principalId") or "")
        for key, principal in sorted(objects.items()):
            if principal:
                name = ResourceId.parse(spelled[key]).name
                entry = Principal(principal.lower(), name, "user-assigned", spelled[key], tuple(attached.get(key, ())))
                self.people[entry.id] = entry

    def report(self, identity: str | None, secret: str | None, apps: tuple[str, ...]) -> AccessReport:
        chosen = [app for app in self.estate.workloads if not apps or _named(app, apps)]
        references = tuple(sorted(self._references(chosen), key=lambda r: (r.app.lower(), r.name)))
        within = {app.id.lower() for app in chosen}
        if identity and not any(_means(entry, identity) for entry in self.people.values()):
            near = difflib.get_close_matches(identity, [entry.name for entry in self.people.values()], n=3)
            raise UsageError(
                f"--identity {identity}: no identity in scope has this id, name or object id",
                hint=f"did you mean {' or '.join(near)}?" if near else "see all of them: keylift access",
            )
        people = []
        for entry in sorted(self.people.values(), key=lambda p: (p.name.lower(), p.id)):
            if identity and not _means(entry, identity):
                continue
            if apps and not any(app.lower() in within for app in entry.apps):
                continue
            readings = self._readings(entry.id, secret)
            if not readings and (secret or not entry.resource):
                continue  # principals without a resource are of interest for what they read only
            excess = tuple(self._excess(entry, readings)) if entry.resource else ()
            people.append(replace(entry, readings=readings, excess=excess))
        shown = {entry.id for entry in people}
        if identity or secret:
            references = tuple(
                r
                for r in references
                if (not identity or r.principal in shown) and (not secret or r.secret.lower() == secret.lower())
            )
        readers = () if secret else tuple(self._value_readers(chosen, shown if identity else None))
        return AccessReport(tuple(people), references, readers, tuple(self._notes()))

    def _readings(self, principal: str, secret: str | None) -> tuple[Reading, ...]:
        found = self.readings.get(principal, {})
        wanted = (secret or "").lower()
        holding = {vault.id for vault in self.estate.vaults if wanted in self._names(vault)}
        return tuple(
            Reading(vault, name, tuple(grants), self.except_for.get((principal, vault), ()) if name == ALL else ())
            for (vault, name), grants in sorted(
                found.items(), key=lambda item: (item[0][0].lower(), item[0][1].lower())
            )
            # a vault whose names are not known may hold the secret too, if no other is known to
            if not wanted
            or name.lower() == wanted
            or (
                name == ALL
                and (vault in holding or not holding)
                and wanted not in self.except_for.get((principal, vault), ())
            )
        )

    def _names(self, vault: Vault) -> set[str]:
        """Names of secrets that are known to be in a vault."""
        names = {secret.name.lower() for secret in vault.secrets if not secret.deleted}
        for app in self.estate.workloads:
            for entry in app.secrets:
                found = self._target(entry.key_vault_url)
                if found and found[0] is vault:
                    names.add(found[1].lower())
        for held in self.readings.values():
            names |= {name.lower() for key, name in held if key == vault.id and name != ALL}
        return names

    def closed(self, principal: str, vault: Vault) -> frozenset[str]:
        """Names of a vault's secrets that a deny assignment closes to a principal: `*` when it closes all."""
        below = f"{vault.id.lower().rstrip('/')}/secrets/"
        if self.denied(principal, f"{below}{ALL}"):
            return frozenset({ALL})
        named = {d.scope.lower().rstrip("/") for d in self.estate.denials if d.scope.lower().startswith(below)}
        return frozenset(scope[len(below) :] for scope in named if self.denied(principal, scope))

    def denied(self, principal: str, secret: str) -> bool:
        """Whether a deny assignment keeps a principal from reading a vault secret, whatever its roles."""
        return self.effective.denial(principal, SECRETS_USER.right, secret, data=True) is not None

    # References

    def _target(self, url: str | None) -> tuple[Vault | None, str, str] | None:
        """The vault (None if it is not here), secret name and host that a reference's URL means."""
        if not url:
            return None
        parts = urlsplit(url)
        path = parts.path.strip("/").split("/")
        if len(path) < 2 or path[0].lower() != "secrets":
            return None
        host = parts.netloc.lower()
        for vault in self.estate.vaults:
            own = urlsplit(vault.uri).netloc.lower()
            if host == own or (
                host.partition(".")[0] == vault.name.lower() and host.startswith(f"{vault.name.lower()}.")
            ):
                return vault, path[1], host
        return None, path[1], host

    def _references(self, apps: Iterable[App]) -> Iterator[Reference]:
        for app in apps:
            for entry in app.secrets:
                found = self._target(entry.key_vault_url)
                if found is None:
                    continue
                vault, name, host = found
                principal = self._reader(app, entry.identity)
                readable = self._can_read(principal, vault, name) if principal and vault else None
                yield Reference(app.id, entry.name, vault.id if vault else host, name, principal, readable)

    def _reader(self, app: App, identity: str | None) -> str:
        if (identity or "").lower() == "system":
            return _text(app.document, "identity", "principalId").lower()
        return next(
            (p.id for p in self.people.values() if p.kind == "user-assigned" and same_id(p.resource, identity)), ""
        )

    def _can_read(self, principal: str, vault: Vault, secret: str) -> bool | None:
        grants = [
            grant
            for (key, name), found in self.readings.get(principal, {}).items()
            if key == vault.id
            and name.lower() in {ALL, secret.lower()}
            and not (name == ALL and secret.lower() in self.except_for.get((principal, vault.id), ()))
            for grant in found
        ]
        return None if grants and all(grant.conditional for grant in grants) else bool(grants)

    # What is wider than needed

    def _excess(self, entry: Principal, readings: Iterable[Reading]) -> Iterator[Excess]:
        # what the identity's apps refer to, whichever apps the report is about
        used = {
            (r.vault.lower(), r.secret.lower()): f"{r.vault}/secrets/{r.secret}"
            for r in self._references(self.estate.workloads)
            if r.principal == entry.id and r.vault.startswith("/")
        }
        through: dict[Grant, list[Reading]] = {}
        for reading in readings:
            for grant in reading.grants:
                through.setdefault(grant, []).append(reading)
        for grant, opened in through.items():
            vaults = {reading.vault.lower() for reading in opened}
            wide = any(reading.secret == ALL for reading in opened)
            names = {reading.secret.lower() for reading in opened}
            needed = sorted(
                scope for (vault, name), scope in used.items() if vault in vaults and (wide or name in names)
            )
            why = self._why(grant, opened, needed, wide=wide)
            if why:
                yield Excess(grant, why, tuple((SECRETS_USER.name, s) for s in needed), _commands(entry, grant, needed))

    def _why(self, grant: Grant, opened: Sequence[Reading], needed: Sequence[str], *, wide: bool) -> str:
        if grant.conditional:
            return ""  # its condition may narrow it to just what is needed
        if not needed:
            return "no app in the estate refers to a secret that it opens"
        count = f"{len(needed)} secret{'s' if len(needed) > 1 else ''}"
        if grant.kind == "policy":
            others = self._names(next(v for v in self.estate.vaults if v.id == opened[0].vault))
            if len(others) > len(needed):
                return (
                    f"an access policy opens the whole vault, the apps refer to {count} of it; only roles are narrower, "
                    "and moving the vault to roles voids all its policies: a person must decide that"
                )
            return "it permits more than get" if grant.name != "get" else ""
        if wide:
            return f"it opens every secret below {grant.scope}, the apps refer to {count}"
        if grant.name != SECRETS_USER.name:
            return f"{grant.name} holds more than reading"
        return ""

    # Values without a vault role

    def _value_readers(self, apps: Sequence[App], only: set[str] | None) -> Iterator[ValueReader]:
        listing = [app.id for app in apps if app.secrets or _configured(app)]
        showing = [app.id for app in apps if _literal(app)]
        components = [part for part in self.estate.parts if part.kind.endswith("/daprcomponents")]
        listing += [part.id for part in components if (part.document.get("properties") or {}).get("secrets")]
        showing += [part.id for part in components if (part.document.get("properties") or {}).get("metadata")]
        for assignment in sorted(self.estate.assignments, key=lambda a: (a.principal_id.lower(), a.id.lower())):
            for way, table, among in ((CAN_LIST, LISTS, listing), (SEES_ENV, SHOWS, showing)):
                given = {
                    kind: tuple(one for one in actions if self.effective.gives(assignment, (one,), data=False))
                    for kind, actions in table.items()
                }
                if not any(given.values()):
                    continue
                for holder in self.effective.holders(assignment.principal_id):
                    if only is not None and holder not in only:
                        continue
                    reached = tuple(
                        resource
                        for resource in among
                        if covers(assignment.scope, resource)
                        and any(
                            self.effective.denial(holder, action, resource, data=False) is None
                            for action in given[kind_of(resource)]
                        )
                    )
                    if reached:
                        grant = self.effective.grant(assignment, holder)
                        yield ValueReader(holder, self.people[holder].name, way, grant, reached)

    def _notes(self) -> Iterator[str]:
        unknown = sorted({a.role for a in self.estate.assignments if a.role.lower() not in self.effective.roles})
        if unknown:
            yield f"roles that could not be read, so that what they give is not known: {', '.join(unknown)}"
        groups = {a.principal_id for a in self.estate.assignments if a.principal_type.lower() == "group"}
        if groups & {group.id for group in self.estate.groups}:
            yield (
                "of groups only those members are shown that are identities of the estate: who else is in them only the "
                "directory tells (az ad group member list --group ID)"
            )
        groups |= {one for denial in self.estate.denials for one in denial.groups}
        unseen = sorted(group for group in groups if not self.effective.known(group))
        if unseen:
            yield f"who is in these groups could not be seen, identities of the estate included: {', '.join(unseen)}"
        own = {*self.estate.principals, *groups}
        strangers = sorted(
            {
                str(policy["objectId"]).lower()
                for vault in self.estate.vaults
                if not vault.rbac
                for policy in vault.document["properties"].get("accessPolicies") or []
            }
            - own
            - {a.principal_id for a in self.estate.assignments}
        )
        if strangers:
            yield f"access policies name who may be users or groups, and whose members are not seen: {', '.join(strangers)}"
        for error in self.estate.errors:
            yield f"{error.get('where')}: {error.get('what')}"


def _by_role(look: _Look, vault: Vault) -> Iterator[tuple[str, str, Grant]]:
    """(object id, secret name or `*`, grant) for each assignment that opens a vault or one of its secrets."""
    below = f"{vault.id.lower().rstrip('/')}/secrets/"
    for assignment in look.estate.assignments:
        scope = assignment.scope.lower().rstrip("/")
        name = assignment.scope.rstrip("/")[len(below) :] if scope.startswith(below) else ""
        if not name and not covers(assignment.scope, vault.id):
            continue
        if look.effective.gives(assignment, (SECRETS_USER.right,), data=True):
            for holder in look.effective.holders(assignment.principal_id):
                yield holder, name or ALL, look.effective.grant(assignment, holder)


def _by_policy(effective: Effective, vault: Vault) -> Iterator[tuple[str, str, Grant]]:
    """(object id, `*`, grant) for each access policy that permits reading: they know no single secret."""
    for policy in vault.document["properties"].get("accessPolicies") or []:
        held = [str(one).lower() for one in (policy.get("permissions") or {}).get("secrets") or []]
        # with an applicationId it is for that application on behalf of a user, never for a principal alone
        if {"get", "all"} & {*held} and not policy.get("applicationId"):
            given, *members = effective.holders(str(policy["objectId"]))
            yield given, ALL, Grant("policy", ", ".join(held), vault.id, vault.id)
            for member in members:
                yield member, ALL, Grant("policy", ", ".join(held), vault.id, vault.id, through=given)


def _commands(entry: Principal, grant: Grant, needed: Sequence[str]) -> tuple[str, ...]:
    leave = f"az ad group member remove --group {grant.through} --member-id {entry.id}"
    if grant.kind == "policy" and grant.through:
        return () if needed else (leave,)
    if grant.kind == "policy":
        vault = ResourceId.parse(grant.scope)
        if not needed:
            return (f"az keyvault delete-policy --name {vault.name} --object-id {entry.id}",)
        if grant.name == "get":
            return ()
        return (f"az keyvault set-policy --name {vault.name} --object-id {entry.id} --secret-permissions get",)
    new = tuple(
        f'az role assignment create --role "{SECRETS_USER.name}" --assignee-object-id {entry.id} '
        f'--assignee-principal-type ServicePrincipal --scope "{scope}"'
        for scope in needed
        if not (grant.name == SECRETS_USER.name and same_id(grant.scope, scope))
    )
    return (*new, leave if grant.through else f'az role assignment delete --ids "{grant.id}"')


def _means(entry: Principal, identity: str) -> bool:
    return identity.lower().rstrip("/") in {entry.id, entry.name.lower(), entry.resource.lower()}


def _named(app: App, names: Iterable[str]) -> bool:
    return any(same_id(app.id, name) or app.name.lower() == name.lower() for name in names)


def _configured(app: App) -> list[Json]:
    """Secrets that the document names, where listSecrets was not read."""
    properties = app.document.get("properties") or {}
    return list((properties.get("configuration") or {}).get("secrets") or [])


def _literal(app: App) -> bool:
    """Whether a container of the app has an env entry with a literal value."""
    template = (app.document.get("properties") or {}).get("template") or {}
    containers = [*(template.get("containers") or []), *(template.get("initContainers") or [])]
    return any(entry.get("value") and not entry.get("secretRef") for c in containers for entry in c.get("env") or [])


def _text(document: Json, outer: str, inner: str) -> str:
    return str((document.get(outer) or {}).get(inner) or "")
