"""The Activity Log: who wrote, deleted or listed keys of what, as Microsoft.Insights lists it.

Shape and filters: learn.microsoft.com/rest/api/monitor/activity-logs/list; captures of failed pulls have an event of
`az monitor activity-log list`. Kept are successful operations of Resource Manager, the newest of them. Azure shows an
event only minutes after it happened, and for 90 days; here at once.

Table `activity`: number as text -> {"resource", "operation", "caller", "at", "id"}.
"""

from __future__ import annotations

import re

from migrator.simulator import odata
from migrator.simulator.azure import ARM, Azure, Call
from migrator.simulator.clock import iso
from migrator.simulator.wire import AzureError, Json, Response

VERSIONS = ("2015-04-01",)
MOST = 500
"""Events that are kept."""
_VERBS = {"PUT": "write", "PATCH": "write", "DELETE": "delete"}
_DAYS = 90 * 86_400.0


def register(azure: Azure) -> None:
    """Add the operation, and listen."""
    path = "/subscriptions/{subscription}/providers/Microsoft.Insights/eventtypes/management/values"
    action = "Microsoft.Insights/eventtypes/values/Read"
    azure.route(ARM, "GET", path, _list, versions=VERSIONS, action=action, scope="/subscriptions/{subscription}")
    azure.after_write.append(_keep)


def _keep(call: Call, response: Response) -> None:
    if response.status >= 400 or not call.principal or call.request.method not in {"POST", *_VERBS}:
        return
    path = call.request.path.rstrip("/")
    kinds = re.findall(r"/providers/([^/]+)((?:/[^/]+/[^/]+)+)", path, re.IGNORECASE)
    if call.request.method == "POST":
        operation = call.route.action or ""
        path = path.rpartition("/")[0]
    elif kinds:
        namespace, rest = kinds[-1]
        operation = f"{namespace}/{'/'.join(rest.strip('/').split('/')[::2])}/{_VERBS[call.request.method]}"
    else:
        operation = ""
    if not operation:
        return
    table = call.world.table("activity")
    number = int(next(reversed(table), "0")) + 1
    table[f"{number:08}"] = {
        "resource": path,
        "operation": operation,
        "caller": call.principal,
        "at": call.now,
        "id": call.world.guid("activity", str(number)),
    }
    while len(table) > MOST:
        del table[next(iter(table))]


def _list(call: Call) -> Response:
    text = call.request.query.get("$filter", "").strip()
    try:
        leaves = odata.conjunction(text)
    except ValueError as error:
        raise _refused(text) from error
    wanted = {(leaf.name.lower(), leaf.operator): leaf.values[0] for leaf in leaves if len(leaf.values) == 1}
    since = wanted.pop(("eventtimestamp", "ge"), None)
    until = wanted.pop(("eventtimestamp", "le"), None)
    resource = wanted.pop(("resourceuri", "eq"), None)
    group = wanted.pop(("resourcegroupname", "eq"), None)
    if since is None or wanted or (resource and group) or since < iso(call.now - _DAYS):
        raise _refused(text)
    found = []
    for entry in reversed(call.world.table("activity").values()):
        at = iso(entry["at"])
        if at < since or (until and at > until) or not _lies(entry["resource"], call.params["subscription"], group):
            continue
        if resource is None or entry["resource"].lower() == resource.lower().rstrip("/"):
            found.append(_event(call, entry, at))
    return Response(200, {"value": found})


def _lies(resource: str, subscription: str, group: str | None) -> bool:
    prefix = f"/subscriptions/{subscription}/" + (f"resourcegroups/{group}/" if group else "")
    return resource.lower().startswith(prefix.lower())


def _event(call: Call, entry: Json, at: str) -> Json:
    who = call.world.table("principals").get(entry["caller"], {})
    return {
        "authorization": {"action": entry["operation"], "scope": entry["resource"]},
        "caller": who.get("clientId", entry["caller"]),
        "claims": {"http://schemas.microsoft.com/identity/claims/objectidentifier": entry["caller"]},
        "eventDataId": entry["id"],
        "eventTimestamp": at,
        "level": "Informational",
        "operationName": {"value": entry["operation"], "localizedValue": entry["operation"]},
        "resourceId": entry["resource"],
        "status": {"value": "Succeeded", "localizedValue": "Succeeded"},
        "submissionTimestamp": at,
        "subscriptionId": call.params["subscription"],
    }


def _refused(text: str) -> AzureError:
    return AzureError(400, "BadRequest", f"The query filter '{text}' is not valid: a start within 90 days is needed.")
