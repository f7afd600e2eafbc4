"""What there is: the subscriptions an account sees, and Resource Graph's rows of the types this project knows.

Graph lags minutes behind, so its rows only say where to look; documents are always read from the provider itself.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from azure.mgmt.resourcegraph.models import QueryRequest, QueryRequestOptions

from migrator.cloud.clients import SUBSCRIPTIONS_VERSION
from migrator.cloud.session import Session
from migrator.errors import CloudError, UsageError
from migrator.model import Json, Resource

APPS = "microsoft.app/containerapps"
JOBS = "microsoft.app/jobs"
POOLS = "microsoft.app/sessionpools"
CONNECTED = "microsoft.app/connectedenvironments"
ENVIRONMENTS = "microsoft.app/managedenvironments"
IDENTITIES = "microsoft.managedidentity/userassignedidentities"
VAULTS = "microsoft.keyvault/vaults"
REGISTRIES = "microsoft.containerregistry/registries"
KINDS = (APPS, JOBS, POOLS, CONNECTED, ENVIRONMENTS, IDENTITIES, VAULTS, REGISTRIES)

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,79}")
PAGE = 1000
"""Rows a page; Graph gives no more (FACTS 10.7)."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription as the account sees it."""

    id: str
    name: str
    tenant: str


@dataclass(frozen=True, slots=True)
class Row:
    """One resource of the inventory. `kind` and `subscription` are lower case."""

    id: str
    kind: str
    name: str
    subscription: str
    group: str


def subscriptions(session: Session, wanted: Sequence[str] = ()) -> list[Subscription]:
    """All subscriptions of the account, or those named by id or by name (without case), in order of ids.

    Raises:
        UsageError: one that is named is not among them, or the account sees none.
        CloudError: the listing failed.
    """
    listed = session.pages(session.arm(), "/subscriptions", "list the subscriptions", api_version=SUBSCRIPTIONS_VERSION)
    known = sorted(
        (
            Subscription(
                str(s["subscriptionId"]).lower(), str(s.get("displayName") or ""), str(s.get("tenantId") or "")
            )
            for s in listed
            if s.get("state") != "Deleted"
        ),
        key=lambda s: s.id,
    )
    if not known:
        raise UsageError(
            "the account sees no subscription",
            why="it is signed in, but has no role anywhere in this tenant",
            hint="check who is signed in: az account list --all --output table",
        )
    if not wanted:
        return known
    found: dict[str, Subscription] = {}
    for name in wanted:
        matches = [s for s in known if name.lower() in {s.id, s.name.lower()}]
        if not matches:
            near = difflib.get_close_matches(name, [*(s.name for s in known), *(s.id for s in known)], n=3, cutoff=0.5)
            raise UsageError(
                f"--subscription {name}: the account sees no such subscription",
                why="it sees: " + ", ".join(s.name or s.id for s in known[:20]) + (" …" if len(known) > 20 else ""),
                hint=f"did you mean {' or '.join(near)}?" if near else "az account list --all --output table",
            )
        found.update((s.id, s) for s in matches)
    return sorted(found.values(), key=lambda s: s.id)


def inventory(session: Session, within: Sequence[Subscription], kinds: Sequence[str] = KINDS) -> list[Row]:
    """The resources of some types in some subscriptions, by one paged Graph query, in order of ids.

    Raises:
        CloudError: the query failed.
    """
    names = ", ".join(f"'{kind}'" for kind in kinds)
    query = f"resources | where type in~ ({names}) | project id, name, type, subscriptionId, resourceGroup | order by id asc"
    rows = [_row(entry) for entry in _asked(session, [s.id for s in within], query)]
    return sorted(rows, key=lambda row: row.id.lower())


def named(session: Session, within: Sequence[str], kinds: Sequence[str], names: Sequence[str]) -> tuple[Resource, ...]:
    """Resources of some types that go by one of some names, or by a domain of their own, with their properties as Graph has them, in order of ids.

    Args:
        session: Where.
        within: Ids of subscriptions.
        kinds: Types.
        names: In lower case; what cannot be a resource's name is left out.

    Raises:
        CloudError: the query failed.
    """
    wanted = ", ".join(f"'{name}'" for name in names if _NAME.fullmatch(name))
    if not wanted or not within:
        return ()
    types = ", ".join(f"'{kind}'" for kind in kinds)
    # an AI account's host begins with the domain it was given, which need not be its name
    called = f"(name in~ ({wanted}) or tostring(properties.customSubDomainName) in~ ({wanted}))"
    query = f"resources | where type in~ ({types}) and {called} | project id, name, type, kind, properties | order by id asc"
    found = [
        Resource(str(entry["id"]), {"kind": entry.get("kind") or "", "properties": entry.get("properties") or {}})
        for entry in _asked(session, within, query)
    ]
    return tuple(sorted(found, key=lambda resource: resource.id.lower()))


def of_kinds(session: Session, within: Sequence[str], kinds: Sequence[str], most: int) -> tuple[Resource, ...]:
    """The first resources of some types, as `named` gives them.

    Raises:
        CloudError: the query failed.
    """
    if not kinds or not within:
        return ()
    types = ", ".join(f"'{kind}'" for kind in kinds)
    query = f"resources | where type in~ ({types}) | project id, name, type, kind, properties | order by id asc | take {most}"
    return tuple(
        Resource(str(entry["id"]), {"kind": entry.get("kind") or "", "properties": entry.get("properties") or {}})
        for entry in _asked(session, within, query)
    )


def _asked(session: Session, within: Sequence[str], query: str) -> Iterator[Json]:
    """All rows of a query; Graph takes at most 1000 subscriptions at a time."""
    for start in range(0, len(within), 1000):
        token: str | None = None
        while True:
            request = QueryRequest(
                subscriptions=list(within[start : start + 1000]),
                query=query,
                options=QueryRequestOptions(result_format="objectArray", top=PAGE, skip_token=token),
            )
            answer = session.call("query Resource Graph", partial(session.graph().resources, request))
            data: Any = answer.data
            yield from data
            token = answer.skip_token
            if not token:
                break


def try_inventory(session: Session, within: Sequence[Subscription]) -> list[Row] | None:
    """The inventory, or None when Graph does not answer: then the listings alone must do."""
    try:
        return inventory(session, within)
    except CloudError:
        return None


def _row(entry: Json) -> Row:
    return Row(
        id=str(entry["id"]),
        kind=str(entry["type"]).lower(),
        name=str(entry["name"]),
        subscription=str(entry["subscriptionId"]).lower(),
        group=str(entry["resourceGroup"]),
    )
