"""Resource groups and resource providers (learn.microsoft.com/rest/api/resources).

Table `groups`: lower-case "/subscriptions/x/resourcegroups/y" -> {"id", "name", "location", "tags"}. Every provider is
registered in every subscription.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from migrator.simulator import odata, rbac, refusals
from migrator.simulator.azure import ARM, Azure, Call
from migrator.simulator.refusals import VERSIONS
from migrator.simulator.wire import AzureError, Json, Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable

_NAME = re.compile(r"[\w().-]{0,89}[\w()-]")
_BODY = {"id", "name", "type", "location", "tags", "managedBy", "properties"}
_EMPTYING = 10.0
"""Virtual seconds between two looks at whether a group that is being deleted is empty."""

_UNSIMULATED_VERSION = "2024-01-01"
"""The api-version told for types that no provider simulates; their resources answer to any."""


def register(azure: Azure) -> None:
    """Add the operations and the deletion of a group."""
    sub = "/subscriptions/{sub}"
    one, action = f"{sub}/resourceGroups/{{group}}", "Microsoft.Resources/subscriptions/resourceGroups"

    def add(method: str, path: str, handler: Callable[[Call], Response], verb: str | None) -> None:
        azure.route(ARM, method, path, handler, versions=VERSIONS, action=verb and f"{action}/{verb}")

    add("GET", f"{sub}/resourceGroups", _list, None)
    add("GET", one, _get, "read")
    add("HEAD", one, _head, "read")
    add("PUT", one, _put, "write")
    add("PATCH", one, _patch, "write")
    add("DELETE", one, _delete, "delete")
    add("GET", f"{sub}/operationresults/{{operation}}", _result, None)
    azure.on("groups.empty", _empty)
    read = "Microsoft.Resources/subscriptions/providers/read"
    azure.route(ARM, "GET", f"{sub}/providers", _providers, versions=VERSIONS, action=read, scope=sub)
    azure.route(ARM, "GET", f"{sub}/providers/{{space}}", _provider, versions=VERSIONS, action=read, scope=sub)
    azure.route(ARM, "GET", "/providers", _providers, versions=VERSIONS)
    azure.route(ARM, "GET", "/providers/{space}", _provider, versions=VERSIONS)
    for verb in ("register", "unregister"):
        azure.route(ARM, "POST", f"{sub}/providers/{{space}}/{verb}", _register, versions=VERSIONS)


# Groups


def _key(call: Call) -> str:
    return f"/subscriptions/{call.params['sub']}/resourcegroups/{call.params['group']}".lower()


def _group(call: Call) -> Json:
    entry: Json | None = call.world.table("groups").get(_key(call))
    if entry is None:
        raise refusals.group_not_found(call.params["group"])
    return entry


def _document(entry: Json) -> Json:
    return {
        "id": entry["id"],
        "name": entry["name"],
        "type": "Microsoft.Resources/resourceGroups",
        "location": entry["location"],
        **({"tags": entry["tags"]} if entry.get("tags") is not None else {}),
        **({"managedBy": entry["managedBy"]} if entry.get("managedBy") else {}),
        "properties": {"provisioningState": entry.get("state") or "Succeeded"},
    }


def _list(call: Call) -> Response:
    prefix = f"/subscriptions/{call.params['sub']}/resourcegroups/".lower()
    action = "Microsoft.Resources/subscriptions/resourceGroups/read"
    entries = [
        entry
        for key, entry in sorted(call.world.table("groups").items())
        if key.startswith(prefix) and call.allowed(action, key)
    ]
    if text := call.request.query.get("$filter", "").strip():
        refused = AzureError(
            400, "InvalidFilterInQueryString", f"Invalid $filter '{text}' specified in the query string."
        )
        try:
            leaves = odata.conjunction(text)
        except ValueError as error:
            raise refused from error
        for leaf in leaves:
            if leaf.operator != "eq" or leaf.name.lower() not in {"tagname", "tagvalue"}:
                raise refused
            entries = [one for one in entries if leaf.values[0] in _words(one, leaf.name)]
    return Response(200, {"value": [_document(entry) for entry in entries]})


def _words(entry: Json, name: str) -> list[str]:
    tags: dict[str, str] = entry.get("tags") or {}
    return list(tags) if name.lower() == "tagname" else list(tags.values())


def _get(call: Call) -> Response:
    return Response(200, _document(_group(call)))


def _head(call: Call) -> Response:
    return Response(204 if _key(call) in call.world.table("groups") else 404)


def _tags(body: Json) -> dict[str, str]:
    tags = body.get("tags") or {}
    if not isinstance(tags, dict) or any(not isinstance(value, str) for value in tags.values()):
        raise AzureError(400, "InvalidTagNameOrValue", "The tags are not an object of texts.")
    return tags


def _checked(call: Call) -> Json:
    body = call.request.json()
    for name in body:
        if name not in _BODY:
            raise AzureError(
                400,
                "InvalidRequestContent",
                "The request content was invalid and could not be deserialized: 'Could not find member "
                f"'{name}' on object of type 'ResourceGroupDefinition'.",
            )
    return body


def _put(call: Call) -> Response:
    body = _checked(call)
    name = call.params["group"]
    if not _NAME.fullmatch(name):
        raise AzureError(
            400,
            "InvalidResourceGroupName",
            f"The provided resource group name '{name}' has these invalid characters or is too long, or ends with "
            "a period.",
        )
    location = body.get("location")
    if not isinstance(location, str) or not location:
        raise AzureError(
            400,
            "LocationRequired",
            "The location property is required for this definition.",
        )
    place = location.replace(" ", "").lower()
    if place not in refusals.LOCATIONS:
        raise AzureError(
            400,
            "LocationNotAvailableForResourceGroup",
            f"The provided location '{location}' is not available for resource group. List of available regions is "
            f"'{','.join(refusals.LOCATIONS)}'.",
        )
    table = call.world.table("groups")
    old = table.get(_key(call))
    if old is not None and old["location"].replace(" ", "").lower() != place:
        raise AzureError(
            409,
            "InvalidResourceGroupLocation",
            f"Invalid resource group location '{location}'. The Resource group already exists in location "
            f"'{old['location']}'.",
        )
    entry = {
        "id": old["id"] if old else f"/subscriptions/{call.params['sub']}/resourceGroups/{name}",
        "name": old["name"] if old else name,
        "location": place,
        "tags": _tags(body) or None,
        "managedBy": body.get("managedBy"),
    }
    table[_key(call)] = entry
    return Response(200 if old else 201, _document(entry))


def _patch(call: Call) -> Response:
    entry, body = _group(call), _checked(call)
    if "tags" in body:
        entry["tags"] = _tags(body)
    return Response(200, _document(entry))


def _delete(call: Call) -> Response:
    """Delete a group and what is in it: each resource by its provider, then what is left."""
    entry = _group(call)
    entry["state"] = "Deleting"
    number = call.world.fresh_guid()
    call.world.table("group-deletions")[number] = _key(call)
    call.world.schedule(call.now + _EMPTYING, "groups.empty", group=_key(call), caller=call.principal)
    return Response(202, None, _polling(call, number))


def _polling(call: Call, number: str) -> dict[str, str]:
    url = f"{call.request.origin}/subscriptions/{call.params['sub']}/operationresults/{number}"
    return {"Location": f"{url}?api-version={call.version}", "Retry-After": "0"}


def _result(call: Call) -> Response:
    group = call.world.table("group-deletions").get(call.params["operation"])
    if group is None:
        raise AzureError(404, "OperationNotFound", f"The operation '{call.params['operation']}' was not found.")
    if group in call.world.table("groups"):
        return Response(202, None, _polling(call, call.params["operation"]))
    return Response(200)


def _empty(azure: Azure, due: float, arguments: dict[str, Any]) -> None:
    group = arguments["group"]
    for key in [key for key in azure.world.resources if key.startswith(group + "/")]:
        if key in azure.world.resources:
            _drop(azure, key, arguments["caller"])
    if any(key.startswith(group + "/") for key in azure.world.resources):
        azure.world.schedule(due + _EMPTYING, "groups.empty", **arguments)
        return
    for key in [key for key, one in azure.world.table("assignments").items() if rbac.covers(group, one["scope"])]:
        rbac.revoke(azure, key)
    azure.world.table("groups").pop(group, None)


def _drop(azure: Azure, key: str, caller: str) -> None:
    """Have a resource deleted by its provider; one that refuses now (an environment in use) is asked again later."""
    path = str(azure.world.resources[key].get("id", key))
    for route in azure.routes:
        if route.plane == ARM and route.method == "DELETE" and (match := route.pattern.fullmatch(path)):
            url = f"{azure.origins.get(ARM, 'https://arm')}{path}?api-version={max(route.versions, default='')}"
            with suppress(AzureError):
                route.handler(Call(azure, Request.of("DELETE", url), route, match.groupdict(), caller))
            return
    azure.world.resources.pop(key)


# Providers


def _provider_document(call: Call, entry: refusals.Namespace) -> Json:
    sub = call.params.get("sub")
    document: Json = {
        "namespace": entry.name,
        "authorizations": [],
        "resourceTypes": [
            {
                "resourceType": kind,
                "locations": list(refusals.LOCATIONS.values()),
                "apiVersions": sorted(versions, reverse=True) or [_UNSIMULATED_VERSION],
                "capabilities": "CrossResourceGroupResourceMove, CrossSubscriptionResourceMove, SupportsTags",
            }
            for kind, versions in entry.types.values()
        ],
    }
    if sub is None:
        return document
    state = {"registrationState": "Registered", "registrationPolicy": "RegistrationRequired"}
    return {"id": f"/subscriptions/{sub}/providers/{entry.name}", **document, **state}


def _providers(call: Call) -> Response:
    found = refusals.namespaces(call.azure)
    return Response(200, {"value": [_provider_document(call, found[key]) for key in sorted(found)]})


def _provider(call: Call) -> Response:
    space = call.params["space"]
    entry = refusals.namespaces(call.azure).get(space.lower())
    if entry is None:
        raise AzureError(
            404,
            "InvalidResourceNamespace",
            f"The resource namespace '{space}' is invalid.",
            headers=dict(refusals.GATEWAY),
        )
    return Response(200, _provider_document(call, entry))


def _register(call: Call) -> Response:
    call.authorize(f"{call.params['space']}/register/action", f"/subscriptions/{call.params['sub']}")
    return _provider(call)
