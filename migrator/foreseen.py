"""The estate as a plan leaves it, so that who can read what can be told before anything is done. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from migrator.model import (
    App,
    AppSecret,
    Estate,
    Json,
    Resource,
    RoleAssignment,
    RoleDefinition,
    Step,
    VaultSecret,
)
from migrator.planning.identities import SYSTEM
from migrator.planning.roles import BUILT_IN
from scanners.model import Secret, reveal

_INDEXED = re.compile(r"properties\.template\.(containers|initContainers)\[(\d+)\]\.env\[(\d+)\]\.value")


def foreseen(estate: Estate, steps: Iterable[Step]) -> Estate:
    """What an estate will be when steps are done: identities, assignments, vault secrets, references instead of values.

    Args:
        estate: As read.
        steps: Of a plan made from it; kinds that change nothing of that are passed over.

    Returns:
        The estate. An identity that is yet to be made has its ARM id in the place of an object id.
    """
    ordered = list(steps)
    apps = {app.id.lower(): app for app in estate.workloads}
    identities = {identity.id.lower(): identity for identity in estate.identities}
    made: list[RoleAssignment] = []
    names: dict[str, dict[str, VaultSecret]] = {}
    named: dict[str, str] = {}
    for step in ordered:
        if step.kind == "identity-create":
            document = {"properties": {"principalId": step.target.lower()}}
            identities.setdefault(step.target.lower(), Resource(step.target, document))
        elif step.kind == "vault-secret":
            name = str(step.change["name"])
            names.setdefault(str(step.change["vault"]).lower(), {})[name.lower()] = VaultSecret(name)
    for step in ordered:
        app = apps.get(step.app.lower()) if step.app else None
        if step.kind == "identity-attach" and app is not None:
            apps[app.id.lower()] = _attached(app, str(step.change["identity"]), identities)
        elif step.kind == "app-switch" and app is not None:
            apps[app.id.lower()] = _switched(app, step.change)
    for step in ordered:
        if step.kind == "role-assignment" and not step.change["existing"]:
            principal = _principal(step, apps, identities)
            if principal:
                role = str(step.change["role"]).lower()
                made.append(RoleAssignment(f"planned:{step.id}", str(step.change["scope"]), role, principal))
                named[role] = str(step.change["role_name"])
    known = {role.id.lower() for role in estate.roles}
    given = {role.id: role for role in BUILT_IN}
    roles = [given.get(role, RoleDefinition(role, named[role])) for role in sorted(named) if role not in known]
    return replace(
        estate,
        apps=tuple(apps[app.id.lower()] for app in estate.apps),
        jobs=tuple(apps[job.id.lower()] for job in estate.jobs),
        identities=tuple(identities[key] for key in sorted(identities)),
        assignments=(*estate.assignments, *made),
        roles=(*estate.roles, *roles),
        vaults=tuple(
            replace(vault, secrets=tuple({**{s.name.lower(): s for s in vault.secrets}, **more}.values()))
            if (more := names.get(vault.id.lower()))
            else vault
            for vault in estate.vaults
        ),
    )


def _attached(app: App, identity: str, identities: dict[str, Resource]) -> App:
    document: Json = {**app.document, "identity": dict(app.document.get("identity") or {})}
    if identity == SYSTEM:
        document["identity"].setdefault("principalId", f"{app.id.lower()}#{SYSTEM}")
    else:
        listed = dict(document["identity"].get("userAssignedIdentities") or {})
        found = identities.get(identity.lower())
        principal = (found.document.get("properties") or {}).get("principalId") if found is not None else None
        document["identity"]["userAssignedIdentities"] = {**listed, identity: {"principalId": principal}}
    return replace(app, document=document)


def _switched(app: App, change: Json) -> App:
    secrets = {secret.name: secret for secret in app.secrets}
    document: Json = json.loads(json.dumps(app.document))
    moved: dict[str, Secret] = {}
    for entry in change["env"]:
        found = _INDEXED.fullmatch(str(entry["path"]))
        if found is not None:
            container = document["properties"]["template"][found[1]][int(found[2])]
            moved[str(entry["secret"])] = Secret(str(container["env"][int(found[3])].get("value") or ""))
            container["env"][int(found[3])] = {"name": entry["env"], "secretRef": entry["secret"]}
    for entry in change["secrets"]:
        name, known = str(entry["name"]), secrets.get(str(entry["name"]))
        # what it opens stays known, wherever the value lies
        value = known.value if known is not None and known.value is not None else moved.get(name)
        secrets[name] = AppSecret(name, value, str(entry["key_vault_url"]), str(entry["identity"]))
    for container, group in _swapped(document, change):
        gone = {str(one["env"]) for one in group["drop"]} | {str(one["env"]) for one in group["put"]}
        rest = [one for one in container.get("env") or [] if one.get("name") not in gone]
        container["env"] = [*rest, *({"name": one["env"], "value": one["value"]} for one in group["put"])]
    return replace(app, document=document, secrets=tuple(secrets.values()))


def _swapped(document: Json, change: Json) -> Iterator[tuple[Json, Json]]:
    """Containers in which keys give way to an identity, each with what it loses and gets."""
    template = (document.get("properties") or {}).get("template") or {}
    for group in (change.get("swaps") or {}).get("env") or []:
        for container in template.get("initContainers" if group["init"] else "containers") or []:
            if container.get("name") == group["container"]:
                yield container, group


def _principal(step: Step, apps: dict[str, App], identities: dict[str, Resource]) -> str:
    if step.change["principal_id"]:
        return str(step.change["principal_id"]).lower()
    wanted = str(step.change["identity"])
    if wanted == SYSTEM:
        app = apps.get(step.app.lower())
        return str((app.document.get("identity") or {}).get("principalId") or "").lower() if app is not None else ""
    found = identities.get(wanted.lower().rstrip("/"))
    return str((found.document.get("properties") or {}).get("principalId") or "").lower() if found is not None else ""


def unmade(estate: Estate, steps: Iterable[Step], assignments: frozenset[str]) -> Estate:
    """An estate without what steps made of it: values where references are, and without some role assignments.

    Args:
        estate: As read after a run.
        steps: What the run did; of apps that it put back there must be none.
        assignments: Ids in lower case of those that the run made.
    """
    apps = {app.id.lower(): app for app in estate.workloads}
    for step in steps:
        app = apps.get(step.app.lower()) if step.app else None
        if step.kind == "app-switch" and app is not None:
            apps[app.id.lower()] = _unswitched(app, step.change)
    return replace(
        estate,
        apps=tuple(apps[app.id.lower()] for app in estate.apps),
        jobs=tuple(apps[job.id.lower()] for job in estate.jobs),
        assignments=tuple(a for a in estate.assignments if a.id.lower() not in assignments),
    )


def _unswitched(app: App, change: Json) -> App:
    values: dict[str, str] = {}
    secrets = {secret.name: secret for secret in app.secrets}
    for entry in change["secrets"]:
        known = secrets.pop(str(entry["name"]), None)
        if known is not None and known.value is not None:
            values[known.name] = reveal(known.value)
        if entry["was"] == "inline":
            secrets[str(entry["name"])] = AppSecret(str(entry["name"]), known.value if known is not None else None)
    document: Json = json.loads(json.dumps(app.document))
    for entry in change["env"]:
        for kind in ("containers", "initContainers"):
            for container in (document.get("properties") or {}).get("template", {}).get(kind) or []:
                for env in container.get("env") or [] if container.get("name") == entry["container"] else ():
                    if env.get("name") == entry["env"] and env.get("secretRef") == entry["secret"]:
                        env.pop("secretRef")
                        # there was a value; if it cannot be read any more, which one is not known here
                        env["value"] = values.get(str(entry["secret"]), "moved")
    for container, group in _swapped(document, change):
        put = {str(one["env"]) for one in group["put"]}
        rest = [one for one in container.get("env") or [] if one.get("name") not in put]
        back = [
            {"name": one["env"], **({"secretRef": one["secret"]} if one.get("secret") else {"value": "moved"})}
            for one in group["drop"]
        ]
        container["env"] = [*rest, *back]
    return replace(app, document=document, secrets=tuple(secrets.values()))
