"""The Activity Log: who did what, for those who may read it."""

from __future__ import annotations

import pytest

from migrator.simulator.clock import iso

from .inside import GROUP, SUBSCRIPTION, VAULTS, Inside, code

PATH = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Insights/eventtypes/management/values"
IDENTITY = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-shop"


@pytest.fixture
def inside() -> Inside:
    cloud = Inside()
    made = cloud.arm("PUT", IDENTITY, {"location": "westeurope"}, version="2024-11-30")
    assert made.status == 201, made.body
    cloud.wait(60)
    assert cloud.arm("DELETE", IDENTITY, version="2024-11-30").status == 200
    return cloud


def ask(inside: Inside, text: str, caller: str | None = None) -> list[tuple[str, str]]:
    found = inside.arm("GET", PATH, version="2015-04-01", caller=caller, **{"$filter": text})
    assert found.status == 200, found.body
    return [(event["operationName"]["value"].rpartition("/")[2], event["caller"]) for event in found.body["value"]]


def test_writes_and_deletions_are_told_newest_first(inside: Inside) -> None:
    start = iso(inside.azure.clock.now() - 3600)
    me = inside.azure.world.table("principals")[inside.operator]["clientId"]
    filtered = f"eventTimestamp ge '{start}' and resourceUri eq '{IDENTITY.upper()}'"
    assert ask(inside, filtered) == [("delete", me), ("write", me)]
    assert ask(inside, f"eventTimestamp ge '{start}' and resourceUri eq '{VAULTS}/kv'") == []
    assert ask(inside, f"eventTimestamp ge '{iso(inside.azure.clock.now() - 30)}'")[0][0] == "delete"


@pytest.mark.parametrize("text", ["", "resourceUri eq 'x'", "eventTimestamp ge '2001-01-01T00:00:00Z'", "level eq 'x'"])
def test_a_start_is_needed(inside: Inside, text: str) -> None:
    answer = inside.arm("GET", PATH, version="2015-04-01", **({"$filter": text} if text else {}))
    assert (answer.status, code(answer)) == (400, "BadRequest")


def test_reading_it_is_a_right(inside: Inside) -> None:
    start = iso(inside.azure.clock.now() - 3600)
    nobody = inside.identity("nobody")
    answer = inside.arm("GET", PATH, version="2015-04-01", caller=nobody, **{"$filter": f"eventTimestamp ge '{start}'"})
    assert (answer.status, code(answer)) == (403, "AuthorizationFailed")
    inside.grant(nobody, "Reader", f"/subscriptions/{SUBSCRIPTION}")
    assert ask(inside, f"eventTimestamp ge '{start}'", caller=nobody)


def test_what_was_refused_is_not_told(inside: Inside) -> None:
    nobody = inside.identity("nobody")
    inside.wait(60)
    start = iso(inside.azure.clock.now())
    assert inside.arm("DELETE", IDENTITY, version="2024-11-30", caller=nobody).status == 403
    assert ask(inside, f"eventTimestamp ge '{start}'") == []
