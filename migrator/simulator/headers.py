"""The headers that Resource Manager puts on every answer, whichever provider gave it.

Presence and values follow traffic, section 2 and 8, and the answers recorded in 2025 and 2026. A provider may set any
of them itself; an empty value suppresses one.
"""

from __future__ import annotations

import re
import time
import uuid
from typing import TYPE_CHECKING

from migrator.simulator import throttling
from migrator.simulator.wire import Request, Response

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure

REGION = "WESTEUROPE"

_OPERATION_WRITES = re.compile(
    r"/providers/Microsoft\.App/(containerApps|jobs|managedEnvironments)/[^/]+/?$"
    r"|/providers/Microsoft\.App/managedEnvironments/[^/]+/(managedC|c)ertificates/[^/]+/?$",
    re.IGNORECASE,
)
"""Writes that count against the resource bucket instead of the subscription's."""

_IDENTIFIED = re.compile(r"/providers/Microsoft\.(ManagedIdentity|Authorization)/", re.IGNORECASE)
"""Providers other than Microsoft.App whose writes carry an operation identifier."""

_READ_IDENTIFIED = re.compile(r"/providers/Microsoft\.Authorization/role", re.IGNORECASE)
"""Reads that carry one too (recorded April 2026 for assignments and definitions)."""

_GATEWAY_CODES = {"AuthorizationFailed", "ScopeLocked", "LinkedAuthorizationFailed"}
"""Refusals that ARM decides itself, besides every 401."""


def dress(azure: Azure, request: Request, response: Response) -> None:
    """Add what is missing to an answer of Resource Manager."""
    given = {name.lower(): value for name, value in response.headers.items()}
    added = _common(azure, request)
    by_provider = "x-powered-by" in given
    code = response.body.get("error", {}) if isinstance(response.body, dict) else {}
    if response.status == 401 or (isinstance(code, dict) and code.get("code") in _GATEWAY_CODES):
        added["x-ms-failure-cause"] = "gateway"
    gateway = "x-ms-failure-cause" in given or "x-ms-failure-cause" in added
    counted = throttling.left(azure, request)
    if counted is not None:
        added.update(counted)
    elif not gateway:
        added.update(_allowance(request))
    if by_provider and response.status == 200 and response.body is not None:
        added["vary"] = "Accept-Encoding"
    writes = request.method in {"PUT", "PATCH"} and response.status != 429 and _IDENTIFIED.search(request.path)
    reads = request.method == "GET" and response.status == 200 and _READ_IDENTIFIED.search(request.path)
    if by_provider or ((writes or reads) and not gateway):
        added["x-ms-operation-identifier"] = (
            f"tenantId={azure.world.tenant},objectId={_caller(azure, request)}/{REGION.lower()}/{_guid(azure)}"
        )
    for name, value in added.items():
        if name not in given:
            response.headers[name] = value
    for name in [name for name, value in response.headers.items() if value == ""]:
        del response.headers[name]


def _common(azure: Azure, request: Request) -> dict[str, str]:
    asked = request.headers
    stamp = time.gmtime(azure.clock.now())
    correlation = asked.get("x-ms-correlation-request-id") or _guid(azure)
    common = {
        "cache-control": "no-cache",
        "pragma": "no-cache",
        "expires": "-1",
        "strict-transport-security": "max-age=31536000; includeSubDomains",
        "x-content-type-options": "nosniff",
        "x-cache": "CONFIG_NOCACHE",
        "x-msedge-ref": f"Ref A: {azure.trace.getrandbits(128):032X} Ref B: AMS231020615011 "
        f"Ref C: {time.strftime('%Y-%m-%dT%H:%M:%SZ', stamp)}",
        "x-ms-request-id": _guid(azure),
        "x-ms-correlation-request-id": correlation,
        "x-ms-routing-request-id": f"{REGION}:{time.strftime('%Y%m%dT%H%M%SZ', stamp)}:{_guid(azure)}",
    }
    if asked.get("x-ms-return-client-request-id", "").lower() == "true" and "x-ms-client-request-id" in asked:
        common["x-ms-client-request-id"] = asked["x-ms-client-request-id"]
    return common


def _allowance(request: Request) -> dict[str, str]:
    """What is left of the rate limits: constants, as long as no fault has them counted (`throttling`)."""
    left = "x-ms-ratelimit-remaining-subscription-"
    if request.method in {"GET", "HEAD"}:
        return {f"{left}reads": "1099", f"{left}global-reads": "16499"}
    if request.method == "DELETE":
        return {f"{left}deletes": "799", f"{left}global-deletes": "11999"}
    if request.method in {"PUT", "PATCH"} and _OPERATION_WRITES.search(request.path):
        return {f"{left}resource-requests": "699"}
    return {f"{left}writes": "799", f"{left}global-writes": "11999"}


def _caller(azure: Azure, request: Request) -> str:
    token = request.headers.get("authorization", "").partition(" ")[2].strip()
    return str(azure.world.table("tokens").get(token, {}).get("principal", ""))


def _guid(azure: Azure) -> str:
    return str(uuid.UUID(int=azure.trace.getrandbits(128), version=4))
