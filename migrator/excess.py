"""What is wider than needed: grants that open more than the estate's references use, and what would do instead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from migrator.access_report import (
    ALL,
    LISTS_KEYS,
    SEES_ENV,
    Excess,
    Grant,
    NamedResource,
    Principal,
    Reading,
    ValueReader,
)
from migrator.model import ResourceId, same_id
from migrator.planning.roles import SECRETS_USER
from migrator.vault_readers import VaultReaders


def excess(look: VaultReaders, entry: Principal, readings: Iterable[Reading]) -> Iterator[Excess]:
    """What an identity holds beyond what its apps refer to, whichever apps a report is about."""
    used: dict[str, dict[str, str]] = {}
    for one in look.used.get(entry.id, ()):
        used.setdefault(one.vault.lower(), {})[one.secret.lower()] = f"{one.vault}/secrets/{one.secret}"
    shown = look.whole.get(entry.id, {})
    through: dict[Grant, list[Reading]] = {}
    for reading in readings:
        for grant in reading.grants:
            through.setdefault(grant, []).append(reading)
    held = {grant.scope.lower() for grant in through if _just(look, grant) and not grant.conditional}
    for grant, opened in through.items():
        wide = any(reading.secret == ALL for reading in opened)
        scopes: set[str] = set()
        for reading in opened:
            within, name = used.get(reading.vault.lower(), {}), reading.secret.lower()
            if wide and reading.vault.lower() in shown:
                scopes.add(reading.vault)
            else:
                scopes.update(within.values() if wide else [within[name]] if name in within else ())
        needed = sorted(scopes)
        by_program = sorted({shown[scope.lower()] for scope in needed if scope.lower() in shown})
        why = _why(look, grant, opened, needed, by_program, wide=wide)
        if why:
            commands, kept = _commands(look, entry, grant, [one for one in needed if one.lower() not in held])
            replacement = tuple((SECRETS_USER.name, scope) for scope in needed)
            yield Excess(grant, f"{why}; {kept}" if kept else why, replacement, commands)


def beyond_vaults(
    people: Iterable[Principal], values: Iterable[ValueReader], resources: Iterable[NamedResource]
) -> dict[str, list[Excess]]:
    """Object id -> what identities of apps hold that gives them other apps' values, keys, or more than the named resource.

    What their apps do with Azure's control plane is not seen, so that no command is proposed.
    """
    apps = {entry.id: {app.lower() for app in entry.apps} for entry in people if entry.resource}
    listing: dict[tuple[str, Grant], dict[str, list[str]]] = {}
    wide: dict[tuple[str, Grant], list[str]] = {}
    for reader in values:
        if reader.principal in apps and reader.way != SEES_ENV:
            others = [one for one in reader.apps if one.lower() not in apps[reader.principal]]
            if others:
                listing.setdefault((reader.principal, reader.grant), {}).setdefault("values", []).extend(others)
    for target in resources:
        for one in target.readers:
            if one.principal not in apps:
                continue
            if one.way == LISTS_KEYS:
                listing.setdefault((one.principal, one.grant), {}).setdefault("keys", []).append(target.resource)
            elif not one.grant.scope.lower().startswith(target.resource.lower()):
                wide.setdefault((one.principal, one.grant), []).append(target.resource)
    found: dict[str, list[Excess]] = {}
    for (who, grant), given in listing.items():
        what = ", ".join(f"{kind} of {_called(of)}" for kind, of in given.items())
        why = f"it gives {what}: an app that manages nothing in Azure needs none of it"
        found.setdefault(who, []).append(Excess(grant, why, (), (), judged=False))
    for (who, grant), named in wide.items():
        why = f"it reaches all of its kind below {grant.scope}; secrets of the estate name {_called(named)}"
        if (who, grant) not in listing:
            smaller = tuple((grant.name, one) for one in named)
            found.setdefault(who, []).append(Excess(grant, why, smaller, (), judged=False))
    # a condition may narrow a grant to just what is needed
    return {who: [one for one in entries if not one.grant.conditional] for who, entries in found.items()}


def _called(resources: Sequence[str]) -> str:
    names = [ResourceId.parse(one).name for one in dict.fromkeys(resources)]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _why(
    look: VaultReaders,
    grant: Grant,
    opened: Sequence[Reading],
    needed: Sequence[str],
    by_program: Sequence[str],
    *,
    wide: bool,
) -> str:
    if grant.conditional:
        return ""  # its condition may narrow it to just what is needed
    if not needed:
        return "no app in the estate refers to a secret that it opens"
    count = f"{len(needed)} secret{'s' if len(needed) > 1 else ''}"
    if grant.kind == "policy":
        others = look.names[opened[0].vault]
        if len(others) > len(needed) and not by_program:
            return (
                f"an access policy opens the whole vault, the apps refer to {count} of it; only roles are narrower, "
                "and moving the vault to roles voids all its policies: a person must decide that"
            )
        return "it permits more than get" if grant.name != "get" else ""
    if by_program:
        narrow = all(same_id(grant.scope, scope) for scope in needed)
        told = f"{', '.join(by_program)} may read any of it"
        if narrow:
            return "" if _just(look, grant) else f"{grant.name} holds more than reading; {told}"
        return f"it opens every secret below {grant.scope}; of what is needed, {told}"
    if wide:
        return f"it opens every secret below {grant.scope}, the apps refer to {count}"
    return "" if _just(look, grant) else f"{grant.name} holds more than reading"


def _just(look: VaultReaders, grant: Grant) -> bool:
    """Whether what gives an access is a role that reads secrets, and nothing else."""
    role = look.effective.role_of(grant)
    return role is not None and look.effective.only_reads(role)


def _commands(look: VaultReaders, entry: Principal, grant: Grant, needed: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """What replaces a grant, and what a person has to know before something of it is taken away."""
    leave = f"az ad group member remove --group {grant.through} --member-id {entry.id}"
    others = look.effective.also_given(grant) if grant.through else 0
    stays = f"its group is given {others} more: who leaves it loses that, too" if others else ""
    if grant.kind == "policy" and grant.through:
        return (() if needed else (leave,)), stays
    if grant.kind == "policy":
        vault = ResourceId.parse(grant.scope)
        if not needed and not any(same_id(grant.scope, one) for one in look.whole.get(entry.id, ())):
            return (f"az keyvault delete-policy --name {vault.name} --object-id {entry.id}",), ""
        if grant.name == "get":
            return (), ""
        return (f"az keyvault set-policy --name {vault.name} --object-id {entry.id} --secret-permissions get",), ""
    new = tuple(
        f'az role assignment create --role "{SECRETS_USER.name}" --assignee-object-id {entry.id} '
        f'--assignee-principal-type ServicePrincipal --scope "{scope}"'
        for scope in needed
    )
    if grant.through:
        return (*new, leave), stays
    role = look.effective.role_of(grant)
    more = look.effective.beyond_secrets(role) if role is not None else ()
    if more:
        return new, f"it also gives {', '.join(more)}, and who uses that is not seen: delete it when nobody does"
    return (*new, f'az role assignment delete --ids "{grant.id}"'), ""
