"""A simulated cloud as one flat table of facts: two clouds differ in the paths at which their tables differ."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from migrator.cloud.clients import APPS_VERSION
from migrator.model import Json, settled
from migrator.simulator import vault_store
from migrator.simulator.apps import children
from migrator.simulator.apps import secrets as app_secrets
from migrator.steps.identity_create import RUN_TAG

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .inside import Inside

Key = tuple[str, ...]
Facts = dict[Key, Any]

_KEYED = {"containers": "name", "initContainers": "name", "env": "name", "registries": "server"}
"""Arrays whose entries have a name: their order means nothing here."""


def facts(inside: Inside) -> Facts:
    """Everything that a run may change, or must not."""
    azure = inside.azure
    azure.settle()
    display, azure.switches.secret_ref_display = azure.switches.secret_ref_display, "plain"
    try:
        return _facts(inside)
    finally:
        azure.switches.secret_ref_display = display


def _facts(inside: Inside) -> Facts:
    azure, found = inside.azure, Facts()
    for key, document in azure.world.resources.items():
        kind = str(document.get("type") or "").lower()
        if kind in {"microsoft.app/containerapps", "microsoft.app/jobs"}:
            _app(inside, key, found)
        elif kind == "microsoft.managedidentity/userassignedidentities":
            found["identity", key] = json.dumps(_without_run(document.get("tags")), sort_keys=True)
        elif kind == "microsoft.containerregistry/registries":
            found["registry", key] = bool(document["properties"].get("adminUserEnabled"))
        elif kind == "microsoft.app/containerapps/authconfigs":
            found["auth", key] = json.dumps(document.get("properties"), sort_keys=True)
        elif kind == "microsoft.keyvault/vaults":
            _vault(inside, key, document, found)
        elif not kind.startswith("microsoft.app/containerapps/"):
            found["resource", key] = kind
    # a principal that went with its app leaves its roles, which then name nobody
    for key, entry in azure.world.table("principals").items():
        inside.names |= {key: str(entry.get("name", "?")), entry["clientId"]: f"client id of {entry.get('name', '?')}"}
    for entry in azure.world.table("data-roles").values():
        properties = entry["properties"]
        user = (properties.get("user") or {}).get("objectId")
        who = inside.names.get(str(properties.get("principalId") or properties.get("objectId") or user), "?")
        role = str(properties.get("roleDefinitionId") or properties.get("accessPolicyName")).rpartition("/")[2]
        found["data-role", entry["id"].rpartition("/")[0].lower(), role, who.lower()] = True
    for key, entry in children.table(azure).items():
        shown = entry["document"].get("properties")
        found["part", key] = _named(json.dumps([shown, sorted(entry["values"].items())], sort_keys=True), inside.names)
    for place in [place for place in found if "env" in place]:
        found[place] = _named(str(found[place]), inside.names)
    for assignment in azure.world.table("assignments").values():
        who = inside.names.get(assignment["principalId"], "?")
        role = assignment["role"].rsplit("/", 1)[-1].lower()
        found["role", assignment["scope"].lower(), role, who.lower()] = True
    return found


_CLIENT = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _named(text: str, names: Mapping[str, str]) -> str:
    """A text with the names of identities in the place of their client ids, which are anew in each world."""
    return _CLIENT.sub(lambda found: names.get(found[0], found[0]), text)


def _without_run(tags: Any) -> Json:
    return {key: value for key, value in (tags or {}).items() if key != RUN_TAG}


def _vault(inside: Inside, key: str, document: Json, found: Facts) -> None:
    for name, item in vault_store.live(inside.azure, document).items():
        versions = item["versions"]
        if versions and versions[-1]["enabled"]:
            found["vault", key, name] = versions[-1]["value"]
        # one each: a write whose answer was lost must not be made twice
        ours = sum(v["enabled"] and RUN_TAG in (v.get("tags") or {}) for v in versions)
        if ours:
            found["ours", key, name] = ours


def _app(inside: Inside, key: str, found: Facts) -> None:
    name = key.rsplit("/", 1)[-1]
    document = inside.request("GET", key, APPS_VERSION).body
    plain = settled(document)
    configuration, template = plain["properties"]["configuration"], plain["properties"]["template"]
    template.pop("revisionSuffix", None)
    for read_only in ("principalId", "tenantId"):  # a system identity's, anew each time
        plain["identity"].pop(read_only, None)
    shown = configuration.pop("secrets", None) or []
    traffic = (configuration.get("ingress") or {}).pop("traffic", None)
    _flat(plain, ("app", name), found)
    values = app_secrets.values(inside.azure, key)
    for secret in shown:
        url = secret.get("keyVaultUrl")
        # the value behind a reference is the platform's copy, and moves by itself
        found["app", name, "secret", secret["name"]] = (
            json.dumps([url, (secret.get("identity") or "").lower()]) if url else values[secret["name"]]["value"]
        )
    if str(configuration.get("activeRevisionsMode")).lower() == "multiple":
        _revisions(inside, key, document["properties"]["latestRevisionName"], traffic, found)


def _revisions(inside: Inside, key: str, latest: str, traffic: Any, found: Facts) -> None:
    name = key.rsplit("/", 1)[-1]
    listed = inside.request("GET", f"{key}/revisions", APPS_VERSION).body["value"]
    kinds = {}
    for revision in listed:
        template = dict(revision["properties"]["template"])
        template.pop("revisionSuffix", None)
        flat: Facts = {}
        _flat(template, (), flat)
        kinds[revision["name"]] = json.dumps(sorted((list(k), v) for k, v in flat.items()))
    goes = []
    for entry in traffic or [{"latestRevision": True, "weight": 100}]:
        to = latest if entry.get("latestRevision") else entry.get("revisionName")
        goes.append([bool(entry.get("latestRevision")), kinds.get(to), entry.get("weight"), entry.get("label")])
    found["app", name, "traffic"] = json.dumps(goes)
    active = {kinds[r["name"]] for r in listed if r["properties"].get("active")}
    found["app", name, "active"] = json.dumps(sorted(active))


def _flat(node: Any, path: Key, found: Facts) -> None:
    if isinstance(node, dict):
        for key, item in node.items():
            _flat(item, (*path, key), found)
    elif isinstance(node, list):
        by = _KEYED.get(path[-1]) if path else None
        if by and all(isinstance(item, dict) and by in item for item in node):
            for item in node:
                inner = (*path, str(item[by]))
                if path[-1] == "env":
                    found[inner] = json.dumps([item.get("value"), item.get("secretRef")])
                else:
                    _flat(item, inner, found)
        elif node:
            found[path] = json.dumps(node, sort_keys=True)
    elif node is not None and node != "":
        found[path] = node


def changed(before: Facts, after: Facts) -> list[Key]:
    """Keys at which two tables differ."""
    return sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
