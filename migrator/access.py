"""Who can read what: which principal reads which vault secret and why, and who reads values without a vault role.

Pure: it looks at an estate that was read before. What it cannot see, and does not guess: who besides the estate's
identities is in a group, and code that reads a vault by itself instead of through a reference of its app.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from migrator.access_report import ALL, CAN_LIST, DEPLOYS, WAYS, AccessReport, Kept, Principal, Reading
from migrator.errors import UsageError
from migrator.excess import beyond_vaults, excess
from migrator.model import App, Estate, ResourceId, Vault, same_id
from migrator.planning.places import AppView
from migrator.target_readers import named_resources
from migrator.value_readers import holders_of_values, value_readers
from migrator.vault_readers import VaultReaders

__all__ = ["AccessReport", "access"]


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
    return _Access(VaultReaders(estate)).report(identity, secret, tuple(apps))


class _Access:
    """A report on one estate."""

    def __init__(self, look: VaultReaders) -> None:
        self.look = look

    def report(self, identity: str | None, secret: str | None, apps: tuple[str, ...]) -> AccessReport:
        chosen = [app for app in self.look.estate.workloads if not apps or _named(app, apps)]
        within = {app.id.lower() for app in chosen}
        references = tuple(r for r in self.look.references if r.app.lower() in within or (not apps and _of_part(r.app)))
        if identity and not any(_means(entry, identity) for entry in self.look.people.values()):
            near = difflib.get_close_matches(identity, [entry.name for entry in self.look.people.values()], n=3)
            raise UsageError(
                f"--identity {identity}: no identity in scope has this id, name or object id",
                hint=f"did you mean {' or '.join(near)}?" if near else "see all of them: keylift access",
            )
        people = []
        for entry in sorted(self.look.people.values(), key=lambda p: (p.name.lower(), p.id)):
            if identity and not _means(entry, identity):
                continue
            if apps and not any(app.lower() in within for app in entry.apps):
                continue
            readings = self._readings(entry.id, secret)
            if not readings and (secret or not entry.resource):
                continue  # principals without a resource are of interest for what they read only
            wide = tuple(excess(self.look, entry, readings)) if entry.resource else ()
            people.append(replace(entry, readings=readings, excess=wide))
        shown = {entry.id for entry in people}
        if identity or secret:
            references = tuple(
                r
                for r in references
                if (not identity or r.principal in shown) and (not secret or r.secret.lower() == secret.lower())
            )
        if secret:  # whoever lists the secrets of an app gets what they refer to
            referring = {r.app.lower() for r in references}
            known = [vault for vault in self.look.estate.vaults if secret.lower() in self.look.names[vault.id]]
            holding = known or self.look.estate.vaults  # where no name is known, any of them may hold it
            values = holders_of_values([app for app in chosen if app.id.lower() in referring], (), holding)
        else:
            values = holders_of_values(chosen, self.look.estate.parts, () if apps else self.look.estate.vaults)
        ways = (CAN_LIST, DEPLOYS) if secret else WAYS
        readers = tuple(value_readers(self.look, values, ways, only=shown if identity else None))
        resources = (
            ()
            if identity or secret
            else named_resources(self.look.estate, self.look, chosen, () if apps else self.look.estate.parts)
        )
        beyond = beyond_vaults(people, readers, resources)
        people = [replace(one, excess=(*one.excess, *beyond[one.id])) if one.id in beyond else one for one in people]
        kept = tuple(Kept(app.id, *_kept(app)) for app in chosen)
        notes = (*(_UNSEEN_USE for _ in people[:1] if any(one.excess for one in people)), *self._notes())
        return AccessReport(tuple(people), references, readers, notes, resources, kept)

    def _readings(self, principal: str, secret: str | None) -> tuple[Reading, ...]:
        found = self.look.readings.get(principal, {})
        wanted = (secret or "").lower()
        holding = {vault for vault, names in self.look.names.items() if wanted in names} if wanted else set()
        return tuple(
            Reading(vault, name, tuple(grants), self.look.except_for.get((principal, vault), ()) if name == ALL else ())
            for (vault, name), grants in sorted(
                found.items(), key=lambda item: (item[0][0].lower(), item[0][1].lower())
            )
            # a vault whose names are not known may hold the secret too, if no other is known to
            if not wanted
            or name.lower() == wanted
            or (
                name == ALL
                and (vault in holding or not holding)
                and wanted not in self.look.except_for.get((principal, vault), ())
            )
        )

    def _notes(self) -> Iterator[str]:
        unknown = sorted(
            {a.role for a in self.look.estate.assignments if a.role.lower() not in self.look.effective.roles}
        )
        if unknown:
            yield f"roles that could not be read, so that what they give is not known: {', '.join(unknown)}"
        groups = {a.principal_id for a in self.look.estate.assignments if a.principal_type.lower() == "group"}
        if groups & {group.id for group in self.look.estate.groups}:
            yield (
                "of groups only those members are shown that are identities of the estate: who else is in them only the "
                "directory tells (az ad group member list --group ID)"
            )
        groups |= {one for denial in self.look.estate.denials for one in denial.groups}
        unseen = sorted(group for group in groups if not self.look.effective.known(group))
        if unseen:
            yield f"who is in these groups could not be seen, identities of the estate included: {', '.join(unseen)}"
        own = {*self.look.estate.principals, *groups}
        strangers = sorted(
            {
                str(policy["objectId"]).lower()
                for vault in self.look.estate.vaults
                if not vault.rbac
                for policy in vault.document["properties"].get("accessPolicies") or []
            }
            - own
            - {a.principal_id for a in self.look.estate.assignments}
        )
        if strangers:
            yield f"access policies name who may be users or groups, and whose members are not seen: {', '.join(strangers)}"
        limited = sorted(vault.name for vault in self.look.estate.vaults if _closed(vault))
        if limited:
            yield f"the firewall lets some networks only reach {', '.join(limited)}: from elsewhere no right is of use there"
        limits = sorted(f"'{denial.name}'" for denial in self.look.estate.denials if denial.condition)
        if limits:
            yield (
                f"the conditions of these deny assignments are not judged, so that whom they name may read less than is "
                f"shown: {', '.join(limits)}"
            )
        yield _BEYOND
        for error in self.look.estate.errors:
            yield f"{error.get('where')}: {error.get('what')}"


_UNSEEN_USE = (
    "code that reads a vault by itself, without its address among the app's settings, is not seen: before a role goes, look "
    "into the vault's audit log for who used it (az monitor diagnostic-settings list --resource VAULT_ID)"
)


_BEYOND = (
    "not looked at: roles that people may activate for a time and have not (Privileged Identity Management), and who could give "
    "themselves a right by writing roles, access policies, apps or identities"
)


def _closed(vault: Vault) -> bool:
    properties = vault.document["properties"]
    default = str((properties.get("networkAcls") or {}).get("defaultAction"))
    return str(properties.get("publicNetworkAccess")).lower() == "disabled" or default.lower() == "deny"


def _of_part(resource: str) -> bool:
    kind = ResourceId.parse(resource).kind.lower()
    return kind.endswith(("/certificates", "/storages"))


def _means(entry: Principal, identity: str) -> bool:
    return identity.lower().rstrip("/") in {entry.id, entry.name.lower(), entry.resource.lower()}


def _named(app: App, names: Iterable[str]) -> bool:
    return any(same_id(app.id, name) or app.name.lower() == name.lower() for name in names)


def _kept(app: App) -> tuple[tuple[str, ...], tuple[str, ...]]:
    view = AppView(app)
    inline = tuple(name for name, secret in view.secrets.items() if not secret.key_vault_url)
    return inline, tuple(sorted({name for name, _ in view.plain_env()}))
