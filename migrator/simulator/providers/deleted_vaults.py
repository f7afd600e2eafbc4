"""Soft-deleted vaults: seen, purged, and in the way of their names."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from migrator.simulator.azure import ARM
from migrator.simulator.clock import iso
from migrator.simulator.providers.vaults import HEADERS, IN_USE, SPACE, VERSIONS, later, page
from migrator.simulator.wire import AzureError, Json, Response

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure, Call, Handler

_HERE = f"/subscriptions/{{subscription}}{SPACE}"
_VAULT = f"{_HERE}/locations/{{location}}/deletedVaults/{{vault}}"


def register(azure: Azure) -> None:
    """Add the operations of deleted vaults. Table `vault-operations`: operation -> {begun, until}."""

    def route(method: str, template: str, handler: Handler, action: str) -> None:
        azure.route(ARM, method, template, handler, versions=VERSIONS, action=f"Microsoft.KeyVault/{action}")

    route("GET", f"{_HERE}/deletedVaults", _list_deleted, "deletedVaults/read")
    route("GET", _VAULT, _get_deleted, "locations/deletedVaults/read")
    route("POST", f"{_VAULT}/purge", _purge, "locations/deletedVaults/purge/action")
    results = f"{_HERE}/locations/{{location}}/operationResults/{{operation}}"
    route("GET", results, _operation, "locations/operationResults/read")
    route("POST", f"{_HERE}/checkNameAvailability", _check_name, "checkNameAvailability/read")


def _forget_purged(call: Call) -> Json:
    table = call.world.table("deleted-vaults")
    for name in [name for name, entry in table.items() if entry["purges"] <= call.now]:
        _forget(call, name)
    return table


def _forget(call: Call, name: str) -> None:
    entry = call.world.table("deleted-vaults").pop(name)
    key = call.world.table("vault-names").pop(name, str(entry["document"]["id"]).lower())
    call.world.table("vault-secrets").pop(key, None)


def _deleted(entry: Json) -> Json:
    vault = entry["document"]
    parts = str(vault["id"]).split("/")
    properties: Json = {
        "vaultId": vault["id"],
        "location": vault["location"],
        "tags": vault["tags"],
        "deletionDate": iso(entry["deleted"], digits=0),
        "scheduledPurgeDate": iso(entry["purges"], digits=0),
    }
    if vault["properties"].get("enablePurgeProtection"):
        properties["purgeProtectionEnabled"] = True
    return {
        "id": f"/subscriptions/{parts[2]}{SPACE}/locations/{vault['location']}/deletedVaults/{vault['name']}",
        "name": vault["name"],
        "type": "Microsoft.KeyVault/deletedVaults",
        "properties": properties,
    }


def _list_deleted(call: Call) -> Response:
    under = f"/subscriptions/{call.params['subscription']}/".lower()
    found = [_deleted(entry) for _, entry in sorted(_forget_purged(call).items())]
    return page(call, [d for d in found if str(d["id"]).lower().startswith(under)], size=25)


def _named_deleted(call: Call) -> Json:
    entry: Json | None = _forget_purged(call).get(call.params["vault"].lower())
    if entry is None or entry["document"]["location"] != call.params["location"].replace(" ", "").lower():
        raise AzureError(
            404,
            "DeletedVaultNotFound",
            f"The specified deleted vault '{call.params['vault']}' does not exist.",
        )
    return entry


def _get_deleted(call: Call) -> Response:
    return Response(200, _deleted(_named_deleted(call)), dict(HEADERS))


def _purge(call: Call) -> Response:
    entry = _named_deleted(call)
    if entry["document"]["properties"].get("enablePurgeProtection"):
        raise AzureError(405, "MethodNotAllowed", "Operation 'DeletedVaultPurge' is not allowed.")
    _forget(call, call.params["vault"].lower())
    name = base64.urlsafe_b64encode(call.world.fresh_guid().encode()).decode().rstrip("=")
    until = call.now + call.azure.switches.secret_deletion
    call.world.table("vault-operations")[name] = {"begun": call.now, "until": until}
    return Response(202, None, {**HEADERS, "Location": _operation_url(call, name), **later(call, until - call.now)})


def _operation_url(call: Call, name: str) -> str:
    where = f"/subscriptions/{call.params['subscription']}{SPACE}/locations/{call.params['location']}"
    return f"{call.request.origin}{where}/operationResults/{name}?api-version={call.version}"


def _operation(call: Call) -> Response:
    entry = call.world.table("vault-operations").get(call.params["operation"])
    if entry is None:
        raise AzureError(404, "NotFound", f"The operation '{call.params['operation']}' was not found.")

    def stamp(moment: float) -> str:
        return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%SZ")

    body: Json = {"createdDateTime": stamp(entry["begun"])}
    if call.now < entry["until"]:
        body["status"] = "NotStarted"
        headers = {**HEADERS, "Location": _operation_url(call, call.params["operation"])}
        headers |= later(call, entry["until"] - call.now)
        return Response(202, body, headers)
    body.update(lastActionDateTime=stamp(entry["until"]), status="Succeeded")
    return Response(200, body, dict(HEADERS))


def _check_name(call: Call) -> Response:
    name = str(call.request.json().get("name") or "")
    _forget_purged(call)
    if name.lower() not in call.world.table("vault-names"):
        return Response(200, {"nameAvailable": True}, dict(HEADERS))
    answer = {"nameAvailable": False, "reason": "AlreadyExists", "message": IN_USE.format(name)}
    return Response(200, answer, dict(HEADERS))
