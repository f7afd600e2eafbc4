"""What Resource Manager refuses by itself, before a provider is asked: versions, unknown types, missing parents."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from migrator.simulator.wire import AzureError, Json, Request

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure, Route

GATEWAY = {"x-ms-failure-cause": "gateway"}
"""Header of errors that ARM gives itself, before any provider is asked (traffic, section 8)."""

_OWN = (
    "2025-04-01,2025-03-01,2024-11-01,2024-08-01,2024-07-01,2024-06-01-preview,2024-03-01,2023-07-01,"
    "2023-07-01-preview,2023-03-01-preview,2022-12-01,2022-11-01-preview,2022-09-01,2022-06-01,2022-05-01,"
    "2022-03-01-preview,2022-01-01,2021-04-01,2021-01-01,2020-10-01,2020-09-01,2020-08-01,2020-07-01,2020-06-01,"
    "2020-05-01,2020-01-01,2019-11-01,2019-10-01,2019-09-01,2019-08-01,2019-07-01,2019-06-01,2019-05-10,2019-05-01,"
    "2019-03-01,2018-11-01,2018-09-01,2018-08-01,2018-07-01,2018-06-01,2018-05-01,2018-02-01,2018-01-01,2017-12-01,"
    "2017-08-01,2017-06-01,2017-05-10,2017-05-01,2017-03-01,2016-09-01,2016-07-01,2016-06-01,2016-02-01,2015-11-01,"
    "2015-01-01,2014-04-01-preview,2014-04-01,2014-01-01,2013-03-01,2014-02-26,2014-04"
)
VERSIONS = tuple(_OWN.split(","))
"""Versions of Resource Manager's own operations, newest first (ansible-collections/azure#1739, newer ones added)."""

LOCATIONS = {
    "eastus": "East US",
    "eastus2": "East US 2",
    "westus": "West US",
    "westus2": "West US 2",
    "westus3": "West US 3",
    "centralus": "Central US",
    "northcentralus": "North Central US",
    "southcentralus": "South Central US",
    "northeurope": "North Europe",
    "westeurope": "West Europe",
    "germanywestcentral": "Germany West Central",
    "switzerlandnorth": "Switzerland North",
    "francecentral": "France Central",
    "uksouth": "UK South",
    "norwayeast": "Norway East",
    "swedencentral": "Sweden Central",
    "canadacentral": "Canada Central",
    "brazilsouth": "Brazil South",
    "australiaeast": "Australia East",
    "japaneast": "Japan East",
    "koreacentral": "Korea Central",
    "southeastasia": "Southeast Asia",
    "eastasia": "East Asia",
    "centralindia": "Central India",
}
"""Regions that every simulated provider serves, with their display names."""

_EVERYWHERE = frozenset({"microsoft.authorization", "microsoft.resourcegraph", "microsoft.resources"})
"""Namespaces without a location: a wrong version is a wrong type there (Azure/acs-engine#4037)."""

_OTHERS = tuple(
    f"Microsoft.{name}"
    for name in (
        *("AppConfiguration", "Cache", "CognitiveServices", "Compute", "DBforPostgreSQL", "DocumentDB", "EventGrid"),
        *("EventHub", "Features", "Insights", "Network", "OperationalInsights", "Resources", "Search", "ServiceBus"),
        *("SignalRService", "Sql", "Storage", "Web"),
    )
)
"""Namespaces that exist and of which nothing is simulated."""

_SUBSCRIPTION = re.compile(r"/subscriptions/([^/]+)(?:/resourcegroups/([^/]+)(/.*)?|/.*)?", re.IGNORECASE)
_PROVIDER = re.compile(r"/providers/([^/]+)((?:/[^/]+)*)", re.IGNORECASE)


@dataclass(slots=True)
class Namespace:
    """One resource provider as its routes show it."""

    name: str
    types: dict[str, tuple[str, set[str]]] = field(default_factory=dict)
    """Lower-case type -> its spelling and api-versions."""


def namespaces(azure: Azure) -> dict[str, Namespace]:
    """Resource providers by lower-case namespace, with the types that have operations or stored documents."""
    found = {space.lower(): Namespace(space) for space in _OTHERS}
    for route in azure.routes:
        if route.plane == "arm" and not route.fallback and (parts := _type_of(route.template, route.method)):
            space, kind = parts
            entry = found.setdefault(space.lower(), Namespace(space))
            entry.types.setdefault(kind.lower(), (kind, set()))[1].update(route.versions)
    for document in azure.world.resources.values():
        space, _, kind = str(document.get("type", "")).partition("/")
        if kind:
            entry = found.setdefault(space.lower(), Namespace(space))
            entry.types.setdefault(kind.lower(), (kind, set()))
    return found


def _type_of(path: str, method: str = "GET") -> tuple[str, str] | None:
    """Namespace and type that a path (or a route's template) is about; the last `/providers/` decides."""
    _, marker, rest = re.sub("/providers/", "/providers/", path, flags=re.IGNORECASE).rpartition("/providers/")
    segments = [segment for segment in rest.split("/") if segment]
    if not marker or not segments or segments[0].startswith("{"):
        return None
    kinds = segments[1::2]
    if method == "POST" and len(segments) % 2 == 0 and len(kinds) > 1:
        kinds = kinds[:-1]  # `/providers/N/type/name/action`: the last word is no type
    kinds = [kind for kind in kinds if not kind.startswith("{")]
    return (segments[0], "/".join(kinds)) if kinds else None


def check_version(azure: Azure, request: Request, route: Route | None) -> None:
    """Refuse a request without an api-version, with a malformed one, or with one that the operation does not have.

    Raises:
        AzureError: 400 `MissingApiVersionParameter`, 400 `InvalidApiVersionParameter` (Resource Manager's own
            operations, and any malformed version), 400 `NoRegisteredProviderFound` (types with a location), 404
            `InvalidResourceType` (types without one).
    """
    version = request.query.get("api-version", "")
    if not version:
        raise AzureError(
            400,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
            headers=dict(GATEWAY),
        )
    well_formed = re.fullmatch(
        r"\d{4}-\d{2}(-\d{2})?(-(preview|alpha|beta|rc|privatepreview))?", version, re.IGNORECASE
    )
    if well_formed and (route is None or not route.versions or version.lower() in route.versions):
        return
    parts = _type_of(request.path, request.method)
    if not well_formed or parts is None:
        raise AzureError(
            400,
            "InvalidApiVersionParameter",
            f"The api-version '{version}' is invalid. The supported versions are '{','.join(VERSIONS)}'.",
            headers=dict(GATEWAY),
        )
    space, kind = parts
    versions = sorted(route.versions if route is not None else ())
    if space.lower() in _EVERYWHERE:
        raise AzureError(
            404,
            "InvalidResourceType",
            f"The resource type '{kind}' could not be found in the namespace '{space}' for api version '{version}'. "
            f"The supported api-versions are '{','.join(versions)}'.",
            headers=dict(GATEWAY),
        )
    raise AzureError(
        400,
        "NoRegisteredProviderFound",
        f"No registered resource provider found for location '{_location(azure, request)}' and API version "
        f"'{version}' for type '{kind}'. The supported api-versions are '{', '.join(versions)}'. "
        f"The supported locations are '{', '.join(LOCATIONS)}'.",
        headers=dict(GATEWAY),
    )


def _location(azure: Azure, request: Request) -> str:
    """Where the addressed resource is or is to be; empty where the request names no resource."""
    path = request.path.lower().rstrip("/")
    while path.count("/") > 1:
        if document := azure.world.resources.get(path):
            return str(document.get("location", "")).replace(" ", "").lower()
        path = path.rpartition("/")[0]
    try:
        body: Json = request.json()
    except AzureError:
        return ""
    return str(body.get("location") or "").replace(" ", "").lower()


def check_subscription(azure: Azure, request: Request) -> None:
    """Refuse a path below a subscription that does not exist.

    Raises:
        AzureError: 404 `SubscriptionNotFound`, 400 `InvalidSubscriptionId`.
    """
    known = azure.world.table("subscriptions")
    match = _SUBSCRIPTION.fullmatch(request.path.rstrip("/"))
    if match is None or match[1].lower() in {key.lower() for key in known}:
        return
    if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", match[1], re.IGNORECASE):
        raise AzureError(
            404,
            "SubscriptionNotFound",
            f"The subscription '{match[1]}' could not be found.",
            headers=dict(GATEWAY),
        )
    raise AzureError(
        400,
        "InvalidSubscriptionId",
        f"The provided subscription identifier '{match[1]}' is malformed or invalid.",
        headers=dict(GATEWAY),
    )


def check_group(azure: Azure, request: Request) -> None:
    """Refuse a path below a resource group that does not exist.

    Raises:
        AzureError: 404 `ResourceGroupNotFound` (traffic 0172).
    """
    match = _SUBSCRIPTION.fullmatch(request.path.rstrip("/"))
    if match is None or match[2] is None or match[3] is None:
        return
    if f"/subscriptions/{match[1]}/resourcegroups/{match[2]}".lower() not in azure.world.table("groups"):
        raise group_not_found(match[2])


def group_not_found(name: str) -> AzureError:
    """ARM's 404 for a resource group."""
    return AzureError(
        404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.", headers=dict(GATEWAY)
    )


def refuse(azure: Azure, request: Request, *, known_path: bool) -> NoReturn:
    """What ARM itself says of a path, type or method that no provider registered.

    Raises:
        AzureError: always.
    """
    check_version(azure, request, None)
    check_subscription(azure, request)
    path = request.path.rstrip("/")
    if known_path:
        raise AzureError(
            405, "MethodNotAllowed", f"The requested resource does not support http method '{request.method}'."
        )
    found = _PROVIDER.search(path)
    if found is None:
        raise AzureError(404, "NotFound", f"The resource at '{path}' was not found.", headers=dict(GATEWAY))
    space, _, rest = path[path.lower().rindex("/providers/") + len("/providers/") :].partition("/")
    entry = namespaces(azure).get(space.lower())
    if entry is None:
        raise AzureError(
            404,
            "InvalidResourceNamespace",
            f"The resource namespace '{space}' is invalid.",
            headers=dict(GATEWAY),
        )
    kind = "/".join(rest.split("/")[::2])
    version = request.query.get("api-version", "")
    _, versions = entry.types.get(kind.lower(), ("", set()))
    raise AzureError(
        404,
        "InvalidResourceType",
        (
            f"The resource type '{kind}' could not be found in the namespace '{space}' for api version '{version}'. "
            f"The supported api-versions are '{','.join(sorted(versions))}'."
            if versions
            else f"The resource type could not be found in the namespace '{space}' for api version '{version}'."
        ),
        headers=dict(GATEWAY),
    )
