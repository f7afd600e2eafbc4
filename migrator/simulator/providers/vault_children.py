"""What hangs below a vault in Resource Manager: its access policies, and its secrets without their values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.simulator.azure import ARM
from migrator.simulator.plain import copied
from migrator.simulator.providers import vault_secrets
from migrator.simulator.providers.vaults import (
    HEADERS,
    KIND,
    MAX_POLICIES,
    VAULT,
    VERSIONS,
    bad,
    check_policy,
    named,
    object_id,
    origin,
    page,
    stamp,
)
from migrator.simulator.wire import AzureError, Json, Response

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure, Call


def register(azure: Azure) -> None:
    """Add the operations of access policies and of secrets as resources."""
    write, read = "Microsoft.KeyVault/vaults/accessPolicies/write", "Microsoft.KeyVault/vaults/secrets/read"
    azure.route(ARM, "PUT", f"{VAULT}/accessPolicies/{{kind}}", _policies, versions=VERSIONS, action=write)
    azure.route(ARM, "GET", f"{VAULT}/secrets", _secrets, versions=VERSIONS, action=read)
    azure.route(ARM, "GET", f"{VAULT}/secrets/{{secret}}", _secret, versions=VERSIONS, action=read)


def _policies(call: Call) -> Response:
    """`add` joins permissions, `replace` sets them, `remove` takes them away, each for the principals in the body."""
    vault, kind = named(call), call.params["kind"].lower()
    if kind not in {"add", "replace", "remove"}:
        raise AzureError(404, "NotFound", f"The operation 'accessPolicies/{call.params['kind']}' is not known.")
    wanted = (call.request.json().get("properties") or {}).get("accessPolicies")
    if not isinstance(wanted, list):
        raise bad("The parameter properties.accessPolicies is not specified.")
    held: list[Json] = vault["properties"].setdefault("accessPolicies", [])
    touched: list[Json] = []
    for change in wanted:
        check_policy(change)
        who = (object_id(call.azure, change["objectId"]), str(change.get("applicationId") or "").lower())
        entry = next(
            (
                policy
                for policy in held
                if (object_id(call.azure, policy["objectId"]), str(policy.get("applicationId") or "").lower()) == who
            ),
            None,
        )
        if entry is None:
            if kind == "remove":
                continue
            entry = copied(change)
            held.append(entry)
        else:
            entry["permissions"] = _merged(entry["permissions"], change["permissions"], kind)
            if not any(entry["permissions"].values()):
                held.remove(entry)
        touched.append(entry)
    if len(held) > MAX_POLICIES:
        raise bad(f"A vault holds at most {MAX_POLICIES} access policies.")
    stamp(call, vault)
    answer = {
        "id": f"{vault['id']}/accessPolicies/",
        "type": f"{KIND}/accessPolicies",
        "properties": {"accessPolicies": touched},
    }
    return Response(200, answer, dict(HEADERS))


def _merged(before: Json, change: Json, kind: str) -> Json:
    if kind == "replace":
        return copied(change)
    merged: Json = {}
    for area in dict.fromkeys([*before, *change]):
        old, new = list(before.get(area) or []), list(change.get(area) or [])
        if kind == "add":
            known = {permission.lower() for permission in old}
            merged[area] = old + [permission for permission in new if permission.lower() not in known]
        else:
            gone = {permission.lower() for permission in new}
            merged[area] = [permission for permission in old if permission.lower() not in gone]
    return merged


# Secrets as children in Resource Manager: what is there, never a value


def _child(call: Call, vault: Json, name: str, item: Json) -> Json:
    current = item["versions"][-1]
    uri = f"{origin(call.azure, vault)}/secrets/{name}"
    attributes: Json = {key: current[key] for key in ("enabled", "nbf", "exp", "created", "updated") if key in current}
    properties: Json = {
        "attributes": attributes,
        "secretUri": uri,
        "secretUriWithVersion": f"{uri}/{current['version']}",
    }
    if current.get("contentType") is not None:
        properties["contentType"] = current["contentType"]
    document: Json = {
        "id": f"{vault['id']}/secrets/{name}",
        "name": name,
        "type": f"{KIND}/secrets",
        "location": vault["location"],
        "properties": properties,
    }
    if current.get("tags"):
        document["tags"] = current["tags"]
    return document


def _secrets(call: Call) -> Response:
    vault = named(call)
    found = vault_secrets.live(call.azure, vault)
    return page(call, [_child(call, vault, item["name"], item) for _, item in sorted(found.items())], size=100)


def _secret(call: Call) -> Response:
    vault, name = named(call), call.params["secret"]
    item = vault_secrets.live(call.azure, vault).get(name.lower())
    if item is None:
        raise AzureError(404, "SecretNotFound", f"The secret '{name}' was not found in the vault '{vault['name']}'.")
    return Response(200, _child(call, vault, item["name"], item), dict(HEADERS))
