"""Microsoft.App/containerApps/resiliencyPolicies (flow resiliency-404): all synchronous."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.simulator.apps import children, documents, schema

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure

schema.define(
    """
-AppResiliency: id name type properties:AppResiliencyProperties
AppResiliencyProperties: timeoutPolicy:ResiliencyTimeout tcpRetryPolicy:ResiliencyTcp httpRetryPolicy:ResiliencyHttp circuitBreakerPolicy:ResiliencyBreaker tcpConnectionPool:ResiliencyTcpPool httpConnectionPool:ResiliencyHttpPool
-ResiliencyTimeout: connectionTimeoutInSeconds:# responseTimeoutInSeconds:#
-ResiliencyTcp: maxConnectAttempts:#
-ResiliencyHttp: maxRetries:# retryBackOff:DaprBackOff matches
-ResiliencyBreaker: consecutiveErrors:# intervalInSeconds:# maxEjectionPercent:#
-ResiliencyTcpPool: maxConnections:#
-ResiliencyHttpPool: http1MaxPendingRequests:# http2MaxRequests:#
"""
)

POLICY = children.Kind(
    type=f"{documents.KIND}/resiliencyPolicies",
    schema="AppResiliency",
    missing=("AppResiliencyNotFound", "App Resiliency with name '{name}' could not be found."),
)


def register(azure: Azure) -> None:
    """Add the operations and the loader of the provider."""
    children.register(azure, POLICY, ("GET", "PUT", "PATCH", "DELETE"))
