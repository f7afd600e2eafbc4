"""The little of Microsoft Graph that `az role assignment` asks for: names of principals, and principals by name.

It answers on Resource Manager's origin, below `/v1.0` (learn.microsoft.com/graph/api: directoryobject-getbyids,
serviceprincipal-list). Whether a caller may read the directory is a matter of Entra roles, which are not simulated:
`Switches.directory_readable` says it for all.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from migrator.simulator import memberships
from migrator.simulator.azure import ARM, Azure, Call
from migrator.simulator.wire import AzureError, Json, Response

if TYPE_CHECKING:
    from collections.abc import Iterable

_BY_NAME = re.compile(r"servicePrincipalNames/any\(c:\s*c eq '([^']*)'\)", re.IGNORECASE)
_EQUALS = re.compile(r"(displayName|appId|id|userPrincipalName|mail) eq '([^']*)'", re.IGNORECASE)


def register(azure: Azure) -> None:
    """Add the operations."""
    azure.route(ARM, "POST", "/v1.0/directoryObjects/getByIds", _by_ids, write=False)
    azure.route(ARM, "GET", "/v1.0/servicePrincipals", _service_principals)
    azure.route(ARM, "GET", "/v1.0/servicePrincipals/{principal}", _service_principal)
    azure.route(ARM, "GET", "/v1.0/users", _users)


def _document(entry: Json) -> Json:
    if entry["kind"] == "other":
        return {
            "@odata.type": "#microsoft.graph.user",
            "id": entry["id"],
            "displayName": entry["name"],
            "userPrincipalName": entry["name"],
        }
    if entry["kind"] == memberships.KIND:
        return {"@odata.type": "#microsoft.graph.group", "id": entry["id"], "displayName": entry["name"]}
    kind = "ManagedIdentity" if entry["kind"] in {"user-assigned", "system"} else "Application"
    return {
        "@odata.type": "#microsoft.graph.servicePrincipal",
        "id": entry["id"],
        "appId": entry["clientId"],
        "displayName": entry["name"],
        "appDisplayName": None if kind == "ManagedIdentity" else entry["name"],
        "servicePrincipalType": kind,
        "accountEnabled": True,
        "alternativeNames": [entry["resource"]] if entry["resource"] else [],
        "servicePrincipalNames": [entry["clientId"]],
    }


def _known(call: Call) -> list[Json]:
    """The principals as the directory shows them to the caller.

    Raises:
        AzureError: 403 `Authorization_RequestDenied`.
    """
    if not call.azure.switches.directory_readable:
        raise AzureError(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
    return [entry for entry in call.world.table("principals").values() if entry["known"] <= call.now]


def _answer(call: Call, what: str, entries: Iterable[Json]) -> Response:
    context = f"{call.request.origin}/v1.0/$metadata#{what}"
    return Response(200, {"@odata.context": context, "value": [_document(entry) for entry in entries]})


def _by_ids(call: Call) -> Response:
    wanted = call.request.json().get("ids")
    if not isinstance(wanted, list) or len(wanted) > 1000:
        raise AzureError(400, "Request_BadRequest", "Invalid value specified for property 'ids' of resource.")
    ids = {str(one).lower() for one in wanted}
    return _answer(call, "directoryObjects", [entry for entry in _known(call) if entry["id"] in ids])


def _service_principals(call: Call) -> Response:
    text = call.request.query.get("$filter", "").strip()
    entries = [entry for entry in _known(call) if entry["kind"] not in {"other", memberships.KIND}]
    if found := _BY_NAME.fullmatch(text):
        name = found[1].lower()
        entries = [entry for entry in entries if name == entry["clientId"]]
    elif found := _EQUALS.fullmatch(text):
        field, value = found[1].lower(), found[2].lower()
        member = {"displayname": "name", "appid": "clientId", "id": "id"}.get(field)
        entries = [entry for entry in entries if member and str(entry[member]).lower() == value]
    elif text:
        raise AzureError(400, "Request_UnsupportedQuery", f"Unsupported filter '{text}'.")
    return _answer(call, "servicePrincipals", entries)


def _service_principal(call: Call) -> Response:
    wanted = call.params["principal"].lower()
    for entry in _known(call):
        if entry["id"] == wanted:
            return Response(200, _document(entry))
    raise AzureError(
        404,
        "Request_ResourceNotFound",
        f"Resource '{wanted}' does not exist or one of its queried reference-property objects are not present.",
    )


def _users(call: Call) -> Response:
    """People whom the estate names; they cannot sign in here."""
    entries, text = [entry for entry in _known(call) if entry["kind"] == "other"], call.request.query.get("$filter", "")
    if found := _EQUALS.fullmatch(text.strip()):
        entries = [entry for entry in entries if found[2].lower() in {entry["name"].lower(), entry["id"]}]
    return _answer(call, "users", entries)
