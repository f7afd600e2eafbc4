"""Resource Manager's own surface: endpoints, tenants, subscriptions, groups, listings of resources, unnamed types.

Shapes follow learn.microsoft.com/rest/api/resources and what azure-cli 2.91 reads. A resource of a type that no provider
simulates is kept and shown as the estate gave it.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from migrator.simulator import odata, rbac, refusals
from migrator.simulator.azure import ARM, Azure, Call, not_found
from migrator.simulator.refusals import VERSIONS
from migrator.simulator.wire import AzureError, Json, Response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from migrator.simulator.odata import Leaf

_SHOWN = ("id", "name", "type", "kind", "managedBy", "sku", "plan", "location", "zones", "tags", "identity")
"""What a listing of resources shows of each, in this order."""

_NOWHERE = "simulator.invalid"
"""Domain of services that are not simulated: reserved (RFC 2606), so that no client reaches a real one by mistake."""


def register(azure: Azure) -> None:
    """Add the operations."""
    sub, action = "/subscriptions/{sub}", "Microsoft.Resources/subscriptions"
    azure.route(ARM, "GET", "/metadata/endpoints", _endpoints, public=True)
    azure.route(ARM, "GET", "/tenants", _tenants, versions=VERSIONS)
    azure.route(ARM, "GET", "/subscriptions", _subscriptions, versions=VERSIONS)
    azure.route(ARM, "GET", sub, _subscription, versions=VERSIONS)
    azure.route(ARM, "GET", f"{sub}/locations", _locations, versions=VERSIONS, action=f"{action}/read", scope=sub)
    azure.route(ARM, "GET", f"{sub}/resources", _resources, versions=VERSIONS)
    azure.route(ARM, "GET", f"{sub}/resourceGroups/{{group}}/resources", _resources, versions=VERSIONS)
    for method in ("GET", "HEAD"):
        azure.route(ARM, method, "{rest:path}/providers/{space}/{kinds:path}", _any_resource, fallback=True)


# Endpoints, tenants, subscriptions


def _endpoints(call: Call) -> Response:
    """What `az cloud register --endpoint-resource-manager` reads: one object in 2022-09-01, a list in 2019-05-01."""
    arm, entra = call.azure.origins["arm"], call.azure.origins["entra"]
    audiences = [f"{arm}/", "https://management.core.windows.net/", "https://management.azure.com/"]
    authentication: Json = {"loginEndpoint": entra, "audiences": audiences}
    version = call.version
    if version in {"1.0", "2015-01-01"}:
        return Response(
            200,
            {
                "galleryEndpoint": f"https://gallery.{_NOWHERE}/",
                "graphEndpoint": f"https://graph.{_NOWHERE}/",
                "portalEndpoint": f"https://portal.{_NOWHERE}/",
                "authentication": authentication,
            },
        )
    suffixes = {
        "azureDataLakeStoreFileSystem": f"azuredatalakestore.{_NOWHERE}",
        "acrLoginServer": "azurecr.io",
        "sqlServerHostname": f"database.{_NOWHERE}",
        "azureDataLakeAnalyticsCatalogAndJob": f"azuredatalakeanalytics.{_NOWHERE}",
        # each vault has a port of its own, which no suffix can name
        "keyVaultDns": f"vault.{_NOWHERE}",
        "mhsmDns": f"managedhsm.{_NOWHERE}",
        "storage": f"core.{_NOWHERE}",
        "storageSyncEndpointSuffix": f"afs.{_NOWHERE}",
        "mysqlServerEndpoint": f"mysql.database.{_NOWHERE}",
        "postgresqlServerEndpoint": f"postgres.database.{_NOWHERE}",
        "mariadbServerEndpoint": f"mariadb.database.{_NOWHERE}",
        "synapseAnalytics": f"dev.azuresynapse.{_NOWHERE}",
        "attestationEndpoint": f"attest.{_NOWHERE}",
    }
    document: Json = {
        "portal": f"https://portal.{_NOWHERE}",
        "authentication": {**authentication, "tenant": "common", "identityProvider": "AAD"},
        "media": f"https://media.{_NOWHERE}",
        "graphAudience": f"https://graph.{_NOWHERE}/",
        "graph": f"https://graph.{_NOWHERE}/",
        "name": "simulator",
        "suffixes": suffixes,
        "batch": f"https://batch.{_NOWHERE}/",
        "resourceManager": arm,
        "vmImageAliasDoc": f"https://images.{_NOWHERE}/aliases.json",
        "activeDirectoryDataLake": f"https://datalake.{_NOWHERE}/",
        "sqlManagement": f"https://sqlmanagement.{_NOWHERE}/",
        "microsoftGraphResourceId": f"{arm}/",
        "appInsightsResourceId": f"https://api.applicationinsights.{_NOWHERE}",
        "appInsightsTelemetryChannelResourceId": f"https://dc.applicationinsights.{_NOWHERE}/v2/track",
        "attestationResourceId": f"https://attest.{_NOWHERE}",
        "synapseAnalyticsResourceId": f"https://dev.azuresynapse.{_NOWHERE}",
        "logAnalyticsResourceId": f"https://api.loganalytics.{_NOWHERE}",
        "ossrdbmsResourceId": f"https://ossrdbms-aad.database.{_NOWHERE}",
        "gallery": f"https://gallery.{_NOWHERE}/",
    }
    refusals.check_version(call.azure, call.request, None)
    return Response(200, [document] if version < "2020" else document)


def _tenants(call: Call) -> Response:
    tenant = call.world.tenant
    domain = f"keylift.{_NOWHERE}"
    return Response(
        200,
        {
            "value": [
                {
                    "id": f"/tenants/{tenant}",
                    "tenantId": tenant,
                    "countryCode": "CH",
                    "displayName": "Simulated tenant",
                    "domains": [domain],
                    "tenantCategory": "Home",
                    "defaultDomain": domain,
                    "tenantType": "AAD",
                }
            ]
        },
    )


def _visible(call: Call, sub: str) -> bool:
    """Whether the caller holds any role at, above or inside a subscription: Azure shows it then."""
    scope = f"/subscriptions/{sub}"
    return any(
        rbac.reaches(call.azure, entry["scope"], scope) or rbac.covers(scope, entry["scope"])
        for entry in rbac.effective(call.azure, call.principal)
    )


def _subscription_of(call: Call, sub: str, entry: Json) -> Json:
    return {
        "id": f"/subscriptions/{sub}",
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionId": sub,
        "tenantId": entry.get("tenantId") or call.world.tenant,
        "displayName": entry.get("displayName") or sub,
        "state": entry.get("state") or "Enabled",
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "PayAsYouGo_2014-09-01",
            "spendingLimit": "Off",
        },
    }


def _subscriptions(call: Call) -> Response:
    value = [
        _subscription_of(call, sub, entry)
        for sub, entry in call.world.table("subscriptions").items()
        if _visible(call, sub)
    ]
    return Response(200, {"value": value, "count": {"type": "Total", "value": len(value)}})


def _subscription(call: Call) -> Response:
    wanted = call.params["sub"].lower()
    if not _visible(call, wanted):
        call.authorize("Microsoft.Resources/subscriptions/read", f"/subscriptions/{wanted}")
    for sub, entry in call.world.table("subscriptions").items():
        if sub.lower() == wanted:
            return Response(200, _subscription_of(call, sub, entry))
    raise AzureError(404, "SubscriptionNotFound", f"The subscription '{wanted}' could not be found.")


def _locations(call: Call) -> Response:
    sub = call.params["sub"]
    return Response(
        200,
        {
            "value": [
                {
                    "id": f"/subscriptions/{sub}/locations/{name}",
                    "name": name,
                    "type": "Region",
                    "displayName": display,
                    "regionalDisplayName": display,
                    "metadata": {"regionType": "Physical", "regionCategory": "Recommended"},
                }
                for name, display in refusals.LOCATIONS.items()
            ]
        },
    )


# Resources


def readable(call: Call, documents: Iterable[Json]) -> list[Json]:
    """The documents that the caller may read."""
    return [one for one in documents if call.allowed(f"{one['type']}/read", str(one["id"]))]


def tracked(azure: Azure, scope: str = "") -> list[Json]:
    """Top-level resources below a scope, in order of their ids; children and settings are no resources of a listing."""
    prefix = scope.lower().rstrip("/") + "/"
    return [
        document
        for key, document in sorted(azure.world.resources.items())
        if key.startswith(prefix) and str(document.get("type", "")).count("/") == 1
    ]


def _resources(call: Call) -> Response:
    query = call.request.query
    scope = call.request.path.rstrip("/").rpartition("/")[0]
    documents = tracked(call.azure, scope)
    if text := query.get("$filter", "").strip():
        refused = AzureError(
            400, "InvalidFilterInQueryString", f"Invalid $filter '{text}' specified in the query string."
        )
        try:
            expression = odata.parse(text)
            documents = [one for one in documents if odata.matches(expression, partial(_meets, one))]
        except ValueError as error:
            raise refused from error
    value = [{name: one[name] for name in _SHOWN if one.get(name) is not None} for one in readable(call, documents)]
    top = query.get("$top", "")
    if top and (not top.isdigit() or not 1 <= int(top) <= 1000):
        raise AzureError(400, "InvalidTopInQueryString", f"Invalid $top '{top}' specified in the query string.")
    start, size = int(query.get("$skiptoken") or query.get("$skipToken") or 0), int(top or 1000)
    answer: Json = {"value": value[start : start + size]}
    if start + size < len(value):
        kept = {name: text for name, text in query.items() if name.lower() != "$skiptoken"}
        following = urlencode({**kept, "$skiptoken": start + size}, safe="$", quote_via=quote)
        answer["nextLink"] = f"{call.request.origin}{quote(call.request.path)}?{following}"
    return Response(200, answer)


def _meets(document: Json, leaf: Leaf) -> bool:
    """Whether a document meets one part of a filter (learn.microsoft.com/rest/api/resources/resources/list).

    Raises:
        ValueError: the part is none that Azure supports here.
    """
    name = leaf.name.lower()
    tags = {str(key).lower(): str(value) for key, value in (document.get("tags") or {}).items()}
    if leaf.operator == "call":
        if name in {"substringof", "startswith"} and len(leaf.values) == 2:
            part, field = leaf.values if name == "substringof" else leaf.values[::-1]
            if field.lower() == "tagname" and name == "startswith":
                return any(key.startswith(part.lower()) for key in tags)
            text = _field(document, field.lower())
            return part.lower() in text if name == "substringof" else text.startswith(part.lower())
        raise ValueError(f"unknown function '{leaf.name}'")
    wanted = leaf.values[0]
    if name == "tagname":
        found = wanted.lower() in tags
    elif name == "tagvalue":
        found = wanted in tags.values()
    else:
        found = _field(document, name) == (wanted.replace(" ", "").lower() if name == "location" else wanted.lower())
    return found == (leaf.operator == "eq")


def _field(document: Json, name: str) -> str:
    if name in {"resourcetype", "name", "id"}:
        return str(document.get("type" if name == "resourcetype" else name, "")).lower()
    if name == "location":
        return str(document.get("location", "")).replace(" ", "").lower()
    if name == "resourcegroup":
        found = re.match(r"/subscriptions/[^/]+/resourcegroups/([^/]+)", str(document["id"]), re.IGNORECASE)
        return found[1].lower() if found else ""
    if name in {"identity/principalid", "plan/publisher", "plan/product", "plan/name"}:
        outer, inner = {"identity/principalid": ("identity", "principalId")}.get(name, tuple(name.split("/")))
        return str((document.get(outer) or {}).get(inner, "")).lower()
    raise ValueError(f"unknown property '{name}'")


def _any_resource(call: Call) -> Response:
    """A resource of a type without a provider of its own, at any scope."""
    path = call.request.path.rstrip("/")
    document = call.world.resources.get(path.lower())
    space, segments = call.params["space"], call.params["kinds"].strip("/").split("/")
    kind = "/".join(segments[::2])
    known = refusals.namespaces(call.azure).get(space.lower())
    if known is None or kind.lower() not in known.types or len(segments) % 2:
        refusals.refuse(call.azure, call.request, known_path=False)
    refusals.check_version(call.azure, call.request, None)
    refusals.check_subscription(call.azure, call.request)
    call.authorize(f"{known.name}/{known.types[kind.lower()][0]}/read", path)
    refusals.check_group(call.azure, call.request)
    if document is None:
        group = re.search(r"/resourcegroups/([^/]+)", path, re.IGNORECASE)
        raise not_found(f"{space}/{kind}", "/".join(segments[1::2]), group[1] if group else "")
    return Response(204) if call.request.method == "HEAD" else Response(200, document)
