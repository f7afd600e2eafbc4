"""What is wider than needed: grants that open more than the estate's references use, and what would do instead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from migrator.access_report import ALL, Excess, Grant, Principal, Reading
from migrator.model import ResourceId, same_id
from migrator.planning.roles import SECRETS_USER
from migrator.vault_readers import VaultReaders


def excess(look: VaultReaders, entry: Principal, readings: Iterable[Reading]) -> Iterator[Excess]:
    """What an identity holds beyond what its apps refer to, whichever apps a report is about."""
    used: dict[str, dict[str, str]] = {}
    for one in look.used.get(entry.id, ()):
        used.setdefault(one.vault.lower(), {})[one.secret.lower()] = f"{one.vault}/secrets/{one.secret}"
    through: dict[Grant, list[Reading]] = {}
    for reading in readings:
        for grant in reading.grants:
            through.setdefault(grant, []).append(reading)
    for grant, opened in through.items():
        wide = any(reading.secret == ALL for reading in opened)
        scopes: set[str] = set()
        for reading in opened:
            within, name = used.get(reading.vault.lower(), {}), reading.secret.lower()
            scopes.update(within.values() if wide else [within[name]] if name in within else ())
        needed = sorted(scopes)
        why = _why(look, grant, opened, needed, wide=wide)
        if why:
            yield Excess(grant, why, tuple((SECRETS_USER.name, s) for s in needed), _commands(entry, grant, needed))


def _why(look: VaultReaders, grant: Grant, opened: Sequence[Reading], needed: Sequence[str], *, wide: bool) -> str:
    if grant.conditional:
        return ""  # its condition may narrow it to just what is needed
    if not needed:
        return "no app in the estate refers to a secret that it opens"
    count = f"{len(needed)} secret{'s' if len(needed) > 1 else ''}"
    if grant.kind == "policy":
        others = look.names[opened[0].vault]
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
