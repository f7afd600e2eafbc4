"""The way back of a component and of a token store, and what it says of others' changes."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from migrator import parts
from migrator.veil import MARK

STORE = {"form": "sign-in", "drop": ["sasUrlSettingName"], "put": {"blobContainerUri": "u"}, "identity": "system"}
DAPR = {"form": "dapr", "drop": ["connectionString"], "put": {"namespaceName": "n"}, "identity": "system"}


def sign_in(**store: Any) -> dict[str, Any]:
    return {"properties": {"login": {"tokenStore": {"enabled": True, "azureBlobStorage": store}}}}


def component(**metadata: Any) -> dict[str, Any]:
    return {"properties": {"metadata": [{"name": name, "value": value} for name, value in metadata.items()]}}


FORMS = [
    (STORE, sign_in(sasUrlSettingName="s"), {"blobContainerUri": {MARK: "1"}}),
    (DAPR, component(connectionString={MARK: "key"}), {"namespaceName": {MARK: "1"}}),
]


@pytest.mark.parametrize(("change", "before", "put"), FORMS, ids=["sign-in", "dapr"])
def test_the_way_back_can_be_gone_twice_and_before_anything_was_written(
    change: dict[str, Any], before: dict[str, Any], put: dict[str, Any]
) -> None:
    there = parts.switched(before, change, put)
    back, left = parts.restored(there, change, before, put)
    assert left == []
    for document in (back, copy.deepcopy(before)):
        again, left = parts.restored(document, change, before, put)
        # nobody else did anything, so nobody is blamed
        assert (again["properties"].get("metadata"), left) == (before["properties"].get("metadata"), [])


def test_what_somebody_else_set_meanwhile_stays_and_is_told() -> None:
    change, before, put = FORMS[1]
    there = parts.switched(before, change, put)
    there["properties"]["metadata"].append({"name": "connectionString", "value": {MARK: "theirs"}})
    back, left = parts.restored(there, change, before, put)
    assert {"name": "connectionString", "value": {MARK: "theirs"}} in back["properties"]["metadata"]
    assert left == ["metadata connectionString was changed by somebody else"]
    change, before, put = FORMS[0]
    theirs = sign_in(blobContainerUri={MARK: "theirs"})
    assert parts.restored(theirs, change, before, put) == (theirs, ["the token store was changed by somebody else"])
