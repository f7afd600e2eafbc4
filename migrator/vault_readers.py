"""Who reads which vault secret: the principals of an estate, what each holds in each vault, and what apps refer to.

Pure. Everything is looked up once, so that estates of thousands of apps and identities are judged in one pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from urllib.parse import urlsplit

from migrator.access_report import ALL, Grant, Principal, Reference
from migrator.effective import Effective
from migrator.model import App, Estate, Json, Part, Resource, ResourceId, Vault
from migrator.planning.roles import SECRETS_USER, covers
from migrator.program_readers import read_by_programs


class VaultReaders:
    """One estate, indexed."""

    def __init__(self, estate: Estate) -> None:
        self.estate = estate
        self.effective = Effective(estate, certain=True)
        self.people: dict[str, Principal] = {}
        """By object id."""
        self._by_resource: dict[str, str] = {}
        """User-assigned identity -> its object id."""
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
        for home in self.estate.environments:
            system = _text(home.document, "identity", "principalId").lower()
            if system:
                self.people[system] = Principal(system, f"{home.name} (system)", "system", home.id)
        for key, principal in sorted(objects.items()):
            if principal:
                name = ResourceId.parse(spelled[key]).name
                entry = Principal(principal.lower(), name, "user-assigned", spelled[key], tuple(attached.get(key, ())))
                self.people[entry.id] = entry
                self._by_resource[key] = entry.id

    # The vaults

    @cached_property
    def names(self) -> dict[str, frozenset[str]]:
        """Vault (its id as it stands) -> names, in lower case, of secrets that are known to be in it."""
        found: dict[str, set[str]] = {
            vault.id: {secret.name.lower() for secret in vault.secrets if not secret.deleted}
            for vault in self.estate.vaults
        }
        for reference in self.references:
            if reference.vault in found:
                found[reference.vault].add(reference.secret.lower())
        for held in self.readings.values():
            for vault, name in held:
                if name != ALL:
                    found[vault].add(name.lower())
        return {vault: frozenset(names) for vault, names in found.items()}

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

    @cached_property
    def references(self) -> tuple[Reference, ...]:
        """What the secrets of apps and jobs refer to, and certificates and storages of environments, in order of names."""
        found = [reference for app in self.estate.workloads for reference in self._references(app)]
        found += [reference for part in self.estate.parts for reference in self._of_part(part)]
        return tuple(sorted(found, key=lambda reference: (reference.app.lower(), reference.name)))

    @cached_property
    def used(self) -> dict[str, tuple[Reference, ...]]:
        """Principal -> the references that it resolves, those to vaults outside the estate left out."""
        found: dict[str, list[Reference]] = {}
        for reference in self.references:
            if reference.principal and reference.vault.startswith("/"):
                found.setdefault(reference.principal, []).append(reference)
        return {principal: tuple(references) for principal, references in found.items()}

    def _target(self, url: str | None) -> tuple[Vault | None, str, str] | None:
        """The vault (None if it is not here), secret name and host that a reference's URL means."""
        if not url:
            return None
        parts = urlsplit(url)
        path = parts.path.strip("/").split("/")
        if len(path) < 2 or path[0].lower() not in {
            "secrets",
            "certificates",
        }:  # a certificate's value is a secret, too
            return None
        host = parts.netloc.lower()
        return self.vault_at(host), path[1], host

    def vault_at(self, host: str) -> Vault | None:
        """The vault that a host, or a name alone, means; None where it is not here."""
        return self._hosts.get(host.lower()) or self._hosts.get(host.lower().partition(".")[0])

    @cached_property
    def _hosts(self) -> dict[str, Vault]:
        """Vaults by the host of their URI, and by name: a simulated one answers to the name it would have in Azure."""
        named = {vault.name.lower(): vault for vault in reversed(self.estate.vaults)}
        return named | {urlsplit(vault.uri).netloc.lower(): vault for vault in reversed(self.estate.vaults)}

    def _references(self, app: App) -> Iterator[Reference]:
        for entry in app.secrets:
            found = self._target(entry.key_vault_url)
            if found is None:
                continue
            vault, name, host = found
            principal = self._reader(app, entry.identity)
            readable = self._can_read(principal, vault, name) if principal and vault else None
            yield Reference(app.id, entry.name, vault.id if vault else host, name, principal, readable)

    def _of_part(self, part: Part) -> Iterator[Reference]:
        properties = part.document.get("properties") or {}
        for holder, key in ((properties, "certificate"), (properties.get("azureFile") or {}, "account")):
            entry = holder.get(f"{key}KeyVaultProperties") or {}
            found = self._target(entry.get("keyVaultUrl"))
            if found is None:
                continue
            vault, name, host = found
            home = next(
                (one for one in self.estate.environments if part.id.lower().startswith(f"{one.id.lower()}/")), None
            )
            principal = self._reader(home, entry.get("identity")) if home is not None else ""
            readable = self._can_read(principal, vault, name) if principal and vault else None
            yield Reference(part.id, key, vault.id if vault else host, name, principal, readable)

    @cached_property
    def whole(self) -> dict[str, dict[str, str]]:
        """Principal -> vaults (ids in lower case) that programs may read with it by themselves, and what shows that."""
        return read_by_programs(self.estate, self.vault_at, self.people.values())

    def _reader(self, app: App | Resource, identity: str | None) -> str:
        if (identity or "").lower() == "system":
            return _text(app.document, "identity", "principalId").lower()
        return self._by_resource.get((identity or "").lower().rstrip("/"), "")

    @cached_property
    def _held(self) -> dict[str, dict[tuple[str, str], list[Grant]]]:
        """The readings by names in lower case: assignments spell a secret as they like."""
        found: dict[str, dict[tuple[str, str], list[Grant]]] = {}
        for principal, readings in self.readings.items():
            held = found.setdefault(principal, {})
            for (vault, name), grants in readings.items():
                held.setdefault((vault, name.lower()), []).extend(grants)
        return found

    def _can_read(self, principal: str, vault: Vault, secret: str) -> bool | None:
        held = self._held.get(principal, {})
        grants = list(held.get((vault.id, secret.lower()), ()))
        if secret.lower() not in self.except_for.get((principal, vault.id), ()):
            grants += held.get((vault.id, ALL), ())
        return None if grants and all(grant.conditional for grant in grants) else bool(grants)


def _by_role(look: VaultReaders, vault: Vault) -> Iterator[tuple[str, str, Grant]]:
    """(object id, secret name or `*`, grant) for each assignment that opens a vault or one of its secrets."""
    below = f"{vault.id.lower().rstrip('/')}/secrets/"
    for assignment in look.estate.assignments:
        scope = assignment.scope.lower().rstrip("/")
        name = assignment.scope.rstrip("/")[len(below) :] if scope.startswith(below) else ""
        if not name and not covers(assignment.scope, vault.id, assignment.within):
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


def _text(document: Json, outer: str, inner: str) -> str:
    return str((document.get(outer) or {}).get(inner) or "")
