"""Microsoft.Authorization/locks at every scope (learn.microsoft.com/rest/api/resources/management-locks).

Table `locks`: lower-case id -> {"id", "name", "scope", "level", "notes"}. What they forbid is decided in `rbac`.
"""

from __future__ import annotations

import re

from migrator.simulator import odata, rbac
from migrator.simulator.azure import ARM, Azure, Call
from migrator.simulator.wire import AzureError, Json, Response

VERSIONS = ("2015-01-01", "2016-09-01", "2017-04-01", "2020-05-01")
LEVELS = {"cannotdelete": "CanNotDelete", "readonly": "ReadOnly", "notspecified": "NotSpecified"}

_NAME = re.compile(r"[^<>%&:\\?/]{1,260}")
_MOST_NOTES = 512


def register(azure: Azure) -> None:
    """Add the operations."""
    base, action = "{scope:path}/providers/Microsoft.Authorization/locks", "Microsoft.Authorization/locks"
    for method, path, handler, verb in (
        ("GET", "", _list, "read"),
        ("GET", "/{name}", _get, "read"),
        ("PUT", "/{name}", _put, "write"),
        ("DELETE", "/{name}", _delete, "delete"),
    ):
        azure.route(ARM, method, base + path, handler, versions=VERSIONS, action=f"{action}/{verb}", scope="{scope}")


def _key(call: Call) -> str:
    return f"{call.params['scope'].rstrip('/')}/providers/Microsoft.Authorization/locks/{call.params['name']}".lower()


def _document(entry: Json) -> Json:
    notes = {"notes": entry["notes"]} if entry.get("notes") else {}
    return {
        "properties": {"level": entry["level"], **notes},
        "id": entry["id"],
        "type": "Microsoft.Authorization/locks",
        "name": entry["name"],
    }


def _list(call: Call) -> Response:
    """Locks at, above and below the scope; with `atScope()` those at and above it."""
    scope, text = call.params["scope"], call.request.query.get("$filter", "").strip()
    only_here = False
    if text:
        try:
            leaves = odata.conjunction(text)
        except ValueError:
            leaves = []
        only_here = [(leaf.name.lower(), leaf.operator, leaf.values) for leaf in leaves] == [("atscope", "call", ())]
        if not only_here:
            raise AzureError(
                400, "InvalidFilterInQueryString", f"Invalid $filter '{text}' specified in the query string."
            )
    found = [
        entry
        for _, entry in sorted(call.world.table("locks").items())
        if rbac.covers(entry["scope"], scope) or (not only_here and rbac.covers(scope, entry["scope"]))
    ]
    return Response(200, {"value": [_document(entry) for entry in found]})


def _get(call: Call) -> Response:
    entry = call.world.table("locks").get(_key(call))
    if entry is None:
        raise AzureError(404, "LockNotFound", f"The lock '{call.params['name']}' could not be found.")
    return Response(200, _document(entry))


def _put(call: Call) -> Response:
    name, properties = call.params["name"], call.request.json().get("properties")
    if not _NAME.fullmatch(name) or name.endswith((".", " ")):
        raise AzureError(400, "InvalidLockName", f"The lock name '{name}' is invalid.")
    given: Json = properties if isinstance(properties, dict) else {}
    level = LEVELS.get(str(given.get("level", "")).lower())
    if level is None or set(given) - {"level", "notes", "owners"}:
        raise AzureError(
            400,
            "InvalidRequestContent",
            "The request content was invalid and could not be deserialized: 'a lock has the properties level "
            f"({', '.join(LEVELS.values())}), notes and owners'.",
        )
    notes = given.get("notes") or ""
    if not isinstance(notes, str) or len(notes) > _MOST_NOTES:
        raise AzureError(
            400, "InvalidLockNotes", f"The notes of a lock are a text of {_MOST_NOTES} characters at most."
        )
    table = call.world.table("locks")
    scope = call.params["scope"].rstrip("/")
    new = _key(call) not in table
    table[_key(call)] = {
        "id": f"{scope}/providers/Microsoft.Authorization/locks/{name}",
        "name": name,
        "scope": scope,
        "level": level,
        "notes": notes,
    }
    return Response(201 if new else 200, _document(table[_key(call)]))


def _delete(call: Call) -> Response:
    return Response(200 if call.world.table("locks").pop(_key(call), None) else 204)
