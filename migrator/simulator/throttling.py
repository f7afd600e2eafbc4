"""Resource Manager's rate limits, in force only when a fault turns them on: `mishaps/answers.py`, `buckets`.

A token bucket for reads, writes and deletes of each subscription and principal, refilled every second; what is left is
in the headers of every answer, and an empty one is 429 with `Retry-After` (FACTS, section 10.3). The subscription's own
limit, fifteen times as much, is only shown.

Table `buckets`: {"limits": {kind: [size, refill a second]}, "levels": {"<subscription>|<token's principal>|<kind>":
[left, virtual moment]}}; empty: nobody is throttled.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from migrator.simulator.wire import AzureError, Request

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure

GLOBAL = 15
"""How many times a principal's limit the subscription has (FACTS, section 10.3)."""
_KINDS = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}


def _level(azure: Azure, request: Request) -> tuple[str, list[float], list[float]] | None:
    """Kind, limit and level of the bucket that a request draws from, refilled; None where nothing is counted."""
    table = azure.world.table("buckets")
    found = re.match(r"/subscriptions/([^/]+)", request.path, re.IGNORECASE)
    if not table or found is None:
        return None
    token = request.headers.get("authorization", "").partition(" ")[2].strip()
    principal = azure.world.table("tokens").get(token, {}).get("principal", "")
    kind = _KINDS.get(request.method, "writes")
    limit, now = table["limits"][kind], azure.clock.now()
    level = table["levels"].setdefault(f"{found[1].lower()}|{principal}|{kind}", [limit[0], now])
    level[:] = [min(limit[0], level[0] + max(0.0, now - level[1]) * limit[1]), now]
    return kind, limit, level


def draw(azure: Azure, request: Request) -> None:
    """Take one token for a request.

    Raises:
        AzureError: 429, the bucket is empty.
    """
    if not azure.world.table("buckets"):
        return
    found = _level(azure, request)
    if found is None:
        return
    _, limit, level = found
    if level[0] < 1:
        wait = max(1, math.ceil((1 - level[0]) / limit[1]))
        raise AzureError(
            429,
            "TooManyRequests",
            "Request is temporarily throttled because the subscription has issued too many requests. "
            f"Retry after {wait} seconds.",
            headers={"Retry-After": str(wait), "x-ms-failure-cause": "gateway"},
        )
    level[0] -= 1


def left(azure: Azure, request: Request) -> dict[str, str] | None:
    """The headers that say what is left; None where nothing is counted."""
    if not azure.world.table("buckets"):
        return None
    found = _level(azure, request)
    if found is None:
        return None
    kind, limit, level = found
    prefix = "x-ms-ratelimit-remaining-subscription-"
    return {f"{prefix}{kind}": str(int(level[0])), f"{prefix}global-{kind}": str(int(limit[0] * GLOBAL - 1))}
