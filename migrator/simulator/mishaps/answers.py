"""Mishaps of the one request: refused in the words that Azure uses, or rewritten on its way in."""

from __future__ import annotations

import json
from typing import Any

from migrator.simulator.clock import Skewed
from migrator.simulator.mishap import Occasion, named
from migrator.simulator.switches import Switches
from migrator.simulator.wire import AzureError, Json

POLICIES = "/providers/Microsoft.Management/managementGroups/corp/providers/Microsoft.Authorization"


@named("throttled")
def throttled(occasion: Occasion, retry_after: float = 5.0) -> None:
    """The request is answered with 429 and `Retry-After`, as Resource Manager and vaults do."""
    text = (
        f"Request is temporarily throttled because tenant {occasion.azure.world.tenant} has issued too many requests."
    )
    raise AzureError(
        429,
        "429" if occasion.plane == "arm" else "Throttled",
        f"{text} Retry after {retry_after:g} seconds.",
        headers={"Retry-After": f"{retry_after:g}"},
    )


@named("buckets")
def buckets(
    occasion: Occasion,
    reads: tuple[float, float] = (250, 25),
    writes: tuple[float, float] = (200, 10),
    deletes: tuple[float, float] = (200, 10),
) -> None:
    """From now on Resource Manager counts: [size, refill a second] of the buckets of each subscription and principal."""
    limits = {"reads": list(reads), "writes": list(writes), "deletes": list(deletes)}
    occasion.azure.world.table("buckets").update(limits=limits, levels={})


@named("busy")
def busy(occasion: Occasion) -> None:
    """The request is answered with 409, another operation is in progress on the app."""
    name = occasion.app()["name"]
    raise AzureError(
        409,
        "ContainerAppOperationInProgress",
        f"Cannot modify a container app '{name}' because there is an active provisioning operation in progress. "
        f"OperationId: '{occasion.azure.world.guid('busy')}'.",
    )


@named("policy-denies")
def policy_denies(occasion: Occasion, policy: str = "no-changes-on-fridays") -> None:
    """A policy forbids the request: 403 `RequestDisallowedByPolicy`, the assignment named in message and `additionalInfo`."""
    name = occasion.request.path.rstrip("/").rpartition("/")[2]
    assignment = f"{POLICIES}/policyAssignments/{policy}"
    identifiers = [
        {
            "policyAssignment": {"name": policy, "id": assignment},
            "policyDefinition": {"name": policy, "id": f"{POLICIES}/policyDefinitions/{policy}"},
        }
    ]
    raise AzureError(
        403,
        "RequestDisallowedByPolicy",
        f"Resource '{name}' was disallowed by policy. Policy identifiers: '{json.dumps(identifiers)}'.",
        target=name,
        additionalInfo=[{"type": "PolicyViolation", "info": {"policyAssignmentId": assignment}}],
    )


@named("policy-rewrites")
def policy_rewrites(occasion: Occasion, merge: Json | None = None) -> None:
    """A policy of effect Modify changes the request before it is carried out: `merge` is merged into its body."""
    from migrator.simulator.apps.documents import merge as merged

    body: Any = json.loads(occasion.request.body or b"{}")
    occasion.request.body = json.dumps(merged(body, merge or {"tags": {"cost-center": "4711"}})).encode()


@named("token-expired")
def token_expired(occasion: Occasion) -> None:
    """The request's token has expired, earlier than it said."""
    token = occasion.request.headers.get("authorization", "").partition(" ")[2].strip()
    issued = occasion.azure.world.table("tokens").get(token)
    if issued is not None:
        issued["expires"] = 0.0


@named("clock-skew")
def clock_skew(occasion: Occasion, seconds: float) -> None:
    """Azure's clock goes `seconds` before (negative: behind) the one of the caller from now on."""
    occasion.azure.clock = Skewed(occasion.azure.clock, seconds)


@named("switch")
def switch(occasion: Occasion, name: str, value: Any) -> None:
    """The platform answers an open question another way from now on: any switch of the simulator, by name."""
    azure = occasion.azure
    azure.switches = Switches.of({**azure.switches.as_dict(), name: value})
