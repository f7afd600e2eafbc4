"""Microsoft.ResourceGraph: inventories by query, as stale as `Switches.graph_staleness` says.

Shapes follow recordings/microsoft.resourcegraph and learn.microsoft.com/rest/api/azureresourcegraph, limits FACTS 10.7:
15 queries in 5 seconds for each caller, 1000 rows a page, `$skipToken` only where the rows have an `id`.

Tables: `graph-history` (lower-case id -> [[virtual moment of a write, the row before it or None], ...]) and
`graph-quota` (object id -> [moments of the last queries]).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from migrator.simulator import kql, rbac
from migrator.simulator.azure import ARM, Azure, Call
from migrator.simulator.clock import iso
from migrator.simulator.kql_expressions import QueryError
from migrator.simulator.plain import copied
from migrator.simulator.providers.resources import tracked
from migrator.simulator.wire import AzureError, Json, Request, Response

VERSIONS = (
    "2018-09-01-preview",
    "2019-04-01",
    "2020-04-01-preview",
    "2021-03-01",
    "2021-06-01-preview",
    "2022-10-01",
    "2024-04-01",
)
COLUMNS = [
    *("id", "name", "type", "tenantId", "kind", "location", "resourceGroup", "subscriptionId", "managedBy", "sku"),
    *("plan", "properties", "tags", "identity", "zones", "extendedLocation"),
]
_DYNAMIC = {"sku", "plan", "properties", "tags", "identity", "zones", "extendedLocation"}
_QUERIES, _WINDOW = 15, 5.0
_MOST = 1000
_ROOT = re.compile(r"(?P<id>.*?/providers/[^/]+/[^/]+/[^/]+)(?:/.*)?", re.IGNORECASE)


def register(azure: Azure) -> None:
    """Add the query and the memory of what was before each write."""
    azure.route(ARM, "POST", "/providers/Microsoft.ResourceGraph/resources", _query, versions=VERSIONS, write=False)
    azure.before_write.append(_remember)


# Rows


class _Row(Mapping[str, Any]):
    """One resource; what its provider has to work out is asked for only when a query needs it."""

    def __init__(self, azure: Azure, document: Json) -> None:
        self._azure, self._document = azure, document
        self._view: Json | None = None

    def __getitem__(self, name: str) -> Any:
        identifier = str(self._document["id"])
        parts = identifier.split("/")
        match name:
            case "id" | "name":
                return self._document[name]
            case "type":
                return str(self._document["type"]).lower()
            case "subscriptionId":
                return parts[2] if len(parts) > 2 else ""
            case "resourceGroup":
                return parts[4].lower() if len(parts) > 4 and parts[3].lower() == "resourcegroups" else ""
            case "tenantId":
                return self._azure.world.tenant
            case "location":
                return str(self._document.get("location") or "").replace(" ", "").lower()
        if self._view is None:
            self._view = view(self._azure, self._document)
        return self._view.get(name) if name in _DYNAMIC else self._view.get(name) or ""

    def __iter__(self) -> Iterator[str]:
        return iter(COLUMNS)

    def __len__(self) -> int:
        return len(COLUMNS)


def view(azure: Azure, document: Json) -> Json:
    """A stored document as its provider shows it to a reader; one without a provider as it stands."""
    identifier = str(document["id"])
    for route in azure.routes:
        if route.plane == ARM and route.method == "GET" and not route.fallback:
            match = route.pattern.fullmatch(identifier)
            if match is not None and "path" not in route.template:
                version = max((one for one in route.versions if "preview" not in one), default="")
                url = f"{azure.origins.get(ARM, 'https://management.azure.com')}{identifier}?api-version={version}"
                try:
                    answer = route.handler(Call(azure, Request.of("GET", url), route, match.groupdict(), ""))
                except AzureError:
                    return document
                body: Json = answer.body
                return body if azure.switches.graph_env_values else _without_values(body)
    return document


def _without_values(document: Json) -> Json:
    bare = copied(document)
    template = (bare.get("properties") or {}).get("template") or {}
    for container in [*(template.get("containers") or []), *(template.get("initContainers") or [])]:
        for entry in container.get("env") or []:
            entry.pop("value", None)
    return bare


def _remember(azure: Azure, request: Request) -> None:
    """Keep what a resource looked like before a write, as long as Graph still shows it so."""
    staleness = azure.switches.graph_staleness
    found = _ROOT.fullmatch(request.path.rstrip("/"))
    if staleness <= 0 or found is None:
        return
    key, now = found["id"].lower(), azure.clock.now()
    document = azure.world.resources.get(key)
    row = copied(dict(_Row(azure, document))) if document is not None else None
    history = azure.world.table("graph-history")
    entries = [entry for entry in history.get(key, []) if entry[0] > now - staleness]
    history[key] = [*entries, [now, row]]


def _resources(call: Call) -> list[kql.Row]:
    """The rows of table Resources as they were `graph_staleness` seconds ago."""
    azure = call.azure
    then = call.now - azure.switches.graph_staleness
    rows: dict[str, kql.Row] = {str(one["id"]).lower(): _Row(azure, one) for one in tracked(azure)}
    for key, entries in call.world.table("graph-history").items():
        before = next((entry[1] for entry in entries if entry[0] > then), ...)
        if before is None:
            rows.pop(key, None)
        elif before is not ...:
            rows[key] = before
    return [row for _, row in sorted(rows.items())]


def _containers(call: Call) -> list[kql.Row]:
    world = call.world
    empty: Json = dict.fromkeys(COLUMNS)
    rows: list[kql.Row] = [
        {
            **empty,
            "id": f"/subscriptions/{sub}",
            "name": entry.get("displayName") or sub,
            "subscriptionId": sub,
            "type": "microsoft.resources/subscriptions",
            "tenantId": entry.get("tenantId") or world.tenant,
            "kind": "",
            "location": "",
            "managedBy": "",
            "resourceGroup": "",
            "properties": {"state": "Enabled"},
        }
        for sub, entry in world.table("subscriptions").items()
    ]
    for entry in world.table("groups").values():
        document = {**entry, "type": "Microsoft.Resources/subscriptions/resourceGroups", "properties": {}}
        rows.append(dict(_Row(call.azure, {**document, "properties": {"provisioningState": "Succeeded"}})))
    return rows


def _authorization(call: Call) -> list[kql.Row]:
    rows: list[kql.Row] = []
    for entry in call.world.table("assignments").values():
        root = re.match(r"/subscriptions/[^/]+", entry["scope"], re.IGNORECASE)
        base = f"{root[0] if root else ''}/providers/Microsoft.Authorization/RoleDefinitions/{entry['role']}"
        document = {
            "id": entry["id"],
            "name": entry["name"],
            "type": "microsoft.authorization/roleassignments",
            "properties": {
                "principalId": entry["principalId"],
                "principalType": entry["principalType"],
                "roleDefinitionId": base,
                "scope": entry["scope"],
                "createdOn": iso(entry["created"]),
                "createdBy": entry.get("createdBy"),
            },
        }
        rows.append({**dict.fromkeys(COLUMNS), **dict(_Row(call.azure, document))})
    return rows


_TABLES = {"resources": _resources, "resourcecontainers": _containers, "authorizationresources": _authorization}


# Queries


def _query(call: Call) -> Response:
    body = call.request.json()
    options = body.get("options") or {}
    if set(body) - {"query", "subscriptions", "managementGroups", "options", "facets"} or set(options) - {
        *("$top", "$skip", "$skipToken", "resultFormat", "allowPartialScopes", "authorizationScopeFilter"),
    }:
        raise _refused(call, "InvalidRequestContent", "The request has members that this version does not know.")
    if body.get("facets"):
        raise _refused(call, "FacetsNotSupported", "Facets are not simulated.")
    quota = _count_query(call)
    query = body.get("query")
    if not isinstance(query, str) or not query.strip():
        raise _refused(call, "EmptyQuery", "Query is empty.")
    top = _number(call, options, "$top", _MOST, 1, _MOST)
    skip = _number(call, options, "$skip", 0, 0, 10**9)
    if token := options.get("$skipToken"):
        skip = _position(call, token, query)
    scopes = _subscriptions(call, body)
    try:
        table = kql.run(query, lambda name: _table(call, name, scopes))
    except QueryError as error:
        raise _invalid(call, error) from error
    rows = [{name: row[name] for name in table.columns} for row in table.rows[skip : skip + top]]
    more = skip + top < len(table.rows)
    answer: Json = {
        "totalRecords": len(table.rows),
        "count": len(rows),
        "data": rows,
        "facets": [],
        "resultTruncated": "true" if more and "id" not in table.columns else "false",
    }
    form = str(options.get("resultFormat") or ("objectArray" if call.version >= "2021" else "table"))
    if form.lower() == "table":
        answer["data"] = {
            "columns": [{"name": name, "type": _type(rows, name)} for name in table.columns],
            "rows": [list(row.values()) for row in rows],
        }
    elif form.lower() != "objectarray":
        raise _refused(call, "InvalidResultFormat", f"The result format '{form}' is not supported.")
    if more and "id" in table.columns:
        answer["$skipToken"] = _token(skip + top, query)
    return Response(200, answer, quota)


def _table(call: Call, name: str, scopes: set[str]) -> kql.Table | None:
    fill = _TABLES.get(name)
    if fill is None:
        return None
    return kql.Table(
        COLUMNS,
        [
            row
            for row in fill(call)
            if (not row["subscriptionId"] or row["subscriptionId"].lower() in scopes) and _readable(call, row)
        ],
    )


def _readable(call: Call, row: kql.Row) -> bool:
    kind = row["type"]
    action = kind.removeprefix("microsoft.resources/subscriptions/") if "resourcegroups" in kind else kind
    prefix = "Microsoft.Resources/subscriptions/" if action == "resourcegroups" else ""
    return rbac.allowed(call.azure, call.principal, f"{prefix}{action}/read", row["id"])


def _type(rows: list[Json], name: str) -> str:
    value = next((row[name] for row in rows if row[name] is not None), None)
    if name in _DYNAMIC or isinstance(value, dict | list):
        return "object"
    return "boolean" if isinstance(value, bool) else "integer" if isinstance(value, int) else "string"


def _subscriptions(call: Call, body: Json) -> set[str]:
    """The subscriptions a query looks in: those it names, else all; the rights decide what is seen of them."""
    known = {sub.lower() for sub in call.world.table("subscriptions")}
    wanted = body.get("subscriptions")
    if wanted is None or body.get("managementGroups"):
        return known
    chosen = {str(sub).lower() for sub in wanted} & known
    if not chosen:
        raise _refused(
            call,
            "NoValidSubscriptionsInQueryRequest",
            "There must be at least one subscription that is eligible to contain resources. "
            f"Given: '{','.join(str(sub) for sub in wanted)}'.",
        )
    return chosen


def _number(call: Call, options: Json, name: str, default: int, least: int, most: int) -> int:
    value = options.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise _refused(call, "InvalidOption", f"The option '{name}' must be between {least} and {most}.")
    return value


def _digest(query: str) -> str:
    return hashlib.sha256(query.encode()).hexdigest()[:16]


def _token(position: int, query: str) -> str:
    return base64.b64encode(json.dumps({"$id": "1", "from": position, "query": _digest(query)}).encode()).decode()


def _position(call: Call, token: object, query: str) -> int:
    try:
        content = json.loads(base64.b64decode(str(token), validate=True))
        if content["query"] == _digest(query):
            return int(content["from"])
    except (ValueError, KeyError, TypeError):
        pass
    raise _refused(call, "InvalidSkipToken", "The skip token does not belong to this query.")


def _count_query(call: Call) -> dict[str, str]:
    """Count a query against the caller's quota and give the headers that show it."""
    table = call.world.table("graph-quota")
    used = [moment for moment in table.get(call.principal, []) if moment > call.now - _WINDOW]
    left = max(0, _QUERIES - len(used) - 1)
    headers = {"x-ms-user-quota-remaining": str(left), "x-ms-user-quota-resets-after": "00:00:05"}
    if len(used) >= _QUERIES:
        raise AzureError(
            429,
            "RateLimiting",
            _support(call),
            headers={**headers, "Retry-After": "5"},
            details=[
                {
                    "code": "RateLimiting",
                    "message": "Client application has been throttled and should not attempt to repeat the request "
                    "until an amount of time has elapsed. Please see https://aka.ms/resourcegraph-throttling for help.",
                }
            ],
        )
    table[call.principal] = [*used, call.now]
    return headers


def _support(call: Call) -> str:
    correlation = call.request.headers.get("x-ms-correlation-request-id", "00000000-0000-0000-0000-000000000000")
    return f"Please provide below info when asking for support: timestamp = {iso(call.now)}, correlationId = {correlation}."


def _refused(call: Call, code: str, message: str) -> AzureError:
    return AzureError(400, "BadRequest", _support(call), details=[{"code": code, "message": message}])


def _invalid(call: Call, error: QueryError) -> AzureError:
    """A query that cannot be parsed: outer code `InvalidQuery` until 2019 (recording 0189), `BadRequest` since."""
    place = {
        "line": error.token.line,
        "characterPositionInLine": error.token.column,
        "token": error.token.text,
        "expectedToken": str(error),
    }
    if call.version < "2020":
        detail = {"code": "ParserFailure", "message": "Parser failure", **place}
        return AzureError(400, "InvalidQuery", "Query validation error", details=[detail])
    text = (
        "Query is invalid. Please refer to the documentation for the Azure Resource Graph service and fix the error "
        "before retrying."
    )
    details = [
        {"code": "InvalidQuery", "message": text},
        {"code": "ParserFailure", "message": "ParserFailure", **place},
    ]
    return AzureError(400, "BadRequest", _support(call), details=details)
