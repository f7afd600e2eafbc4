"""Keys of a Dapr component or of a token store given up for an identity, and the inverse: pure functions over documents.

A change of these is `{"form", "drop": [names], "put": {name: text}, "identity"}`: `dapr` speaks of metadata, by name; `sign-in`
of the token store of an app's sign-in settings. A plain value that is dropped from metadata stays as a secret of the
component, under a name of its own, so that going back needs nothing else.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from migrator.model import Json
from migrator.swapping import filled
from migrator.veil import MARK, comparable
from scanners.model import Secret

DAPR, SIGN_IN = "dapr", "sign-in"
KEPT = "keylift-kept-"
_STORE = ("properties", "login", "tokenStore", "azureBlobStorage")


def texts(change: Json, client_id: str, add: Callable[[Secret], str]) -> dict[str, Any]:
    """What a change puts, as veiled documents show it."""
    return {
        name: value
        if value.startswith("/subscriptions/")
        else {MARK: add(Secret(filled(value, change["identity"], client_id)))}
        for name, value in change["put"].items()
    }


def switched(document: Json, change: Json, put: Mapping[str, Any]) -> Json:
    """A document without the keys, with what stands in their place.

    Args:
        document: As it stands, veiled.
        change: The change.
        put: As `texts` gives it.
    """
    after: Json = copy.deepcopy(document)
    if change["form"] == SIGN_IN:
        store = _store(after)
        for name in change["drop"]:
            store.pop(name, None)
        store.update(put)
        return after
    properties = after["properties"]
    gone = {str(name).lower() for name in change["drop"]}
    kept = list(properties.get("secrets") or [])
    there = {str(entry.get("name")) for entry in kept}
    metadata: list[Json] = []
    for entry in properties.get("metadata") or []:
        name = str(entry.get("name"))
        if name.lower() in gone:
            if entry.get("value") and kept_as(name) not in there:
                kept.append({"name": kept_as(name), "value": entry["value"]})
        elif name.lower() not in {key.lower() for key in put}:
            metadata.append(entry)
    metadata += [{"name": name, "value": value} for name, value in put.items()]
    properties["metadata"] = metadata
    if kept:
        properties["secrets"] = kept
    return after


def restored(document: Json, change: Json, before: Json, put: Mapping[str, Any]) -> tuple[Json, list[str]]:
    """A document with the change taken back, and what somebody else made of it meanwhile.

    Args:
        document: As it stands, veiled.
        change: The change.
        before: As it stood right before, veiled.
        put: As `texts` gives it.
    """
    after: Json = copy.deepcopy(document)
    if change["form"] == SIGN_IN:
        now, was = _store(after), _store(copy.deepcopy(before))
        if comparable(now) == comparable(was):  # not written yet, or taken back already
            return document, []
        if any(now.get(name) != value for name, value in put.items()):
            return document, ["the token store was changed by somebody else"]
        now.clear()
        now.update(was)
        return after, []
    properties = after["properties"]
    now = {str(entry.get("name")).lower(): entry for entry in properties.get("metadata") or []}
    was = {str(entry.get("name")).lower(): entry for entry in before["properties"].get("metadata") or []}
    left = []
    for name, value in put.items():
        entry = now.get(name.lower())
        if entry is not None and entry.get("value") == value:
            del now[name.lower()]
            if name.lower() in was:
                now[name.lower()] = was[name.lower()]
        elif entry is not None and entry != was.get(name.lower()):
            left.append(f"metadata {name} was changed by somebody else")
    left += [
        f"metadata {name} was changed by somebody else"
        for name in change["drop"]
        if name.lower() in was and now.setdefault(name.lower(), was[name.lower()]) != was[name.lower()]
    ]
    order = [key for key in was if key in now] + [key for key in now if key not in was]
    properties["metadata"] = [copy.deepcopy(now[key]) for key in order]
    own = {kept_as(name) for name in change["drop"]}
    own -= {str(entry.get("name")) for entry in before["properties"].get("secrets") or []}
    secrets = [entry for entry in properties.get("secrets") or [] if str(entry.get("name")) not in own]
    properties["secrets"] = secrets
    return after, left


def kept_as(name: str) -> str:
    """The secret of a component that keeps a plain value of metadata."""
    return f"{KEPT}{name.lower()}"


def _store(document: Json) -> Json:
    node = document
    for name in _STORE:
        if node.get(name) is None:
            node[name] = {}
        node = node[name]
    return node
