"""What a switch does to an app's document, and its inverse: pure functions over veiled documents.

Both work entry by entry, found by name, so that what somebody else changed beside them stays.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from migrator import textswitch
from migrator.model import AppSecret, Json, is_job, same_id
from migrator.swapping import restored_swaps, swapped
from migrator.veil import MARK, Values, comparable, section
from scanners.model import Secret

TRAFFIC = ("properties", "configuration", "ingress", "traffic")

SECTIONS = (
    ("properties", "configuration", "secrets"),
    ("properties", "configuration", "registries"),
    TRAFFIC,
    ("properties", "template", "containers"),
    ("properties", "template", "initContainers"),
    ("properties", "template", "scale", "rules"),
    ("properties", "configuration", "eventTriggerConfig", "scale", "rules"),
)
"""The arrays a switch may replace; a PATCH replaces an array whole (FACTS, section 1.5)."""


FOLLOWING: list[Json] = [{"latestRevision": True, "weight": 100}]
"""What traffic is when nobody set it."""


def same_url(left: str | None, right: str | None) -> bool:
    """Whether two secret URLs are one: vault and secret names compare without case."""
    return (left or "").lower().rstrip("/") == (right or "").lower().rstrip("/")


def switched(document: Json, change: Json, latest: str) -> tuple[Json, list[str]]:
    """The document after the switch, and what in it is not as the plan saw it.

    Args:
        document: The app, veiled.
        change: Of an `app-switch` step, with marks where it has swaps (`swapping.marked`).
        latest: Name of the latest revision, which traffic is pinned to.
    """
    after: Json = copy.deepcopy(document)
    odd: list[str] = []
    configuration = after["properties"]["configuration"]
    entries = list(configuration.get("secrets") or [])
    for wanted in change["secrets"]:
        new = {
            "name": wanted["name"],
            "keyVaultUrl": wanted["key_vault_url"],
            "identity": wanted["identity"],
        }
        place = _named(entries, wanted["name"])
        if place is None:
            entries.append(new)
            if wanted["was"] == "inline":
                odd.append(f"secret {wanted['name']} is gone")
        elif entries[place].get("keyVaultUrl") and not same_url(entries[place]["keyVaultUrl"], wanted["key_vault_url"]):
            odd.append(f"secret {wanted['name']} refers to another vault secret")
        else:
            entries[place] = new
    if change["secrets"]:
        configuration["secrets"] = entries
    for wanted in change["env"]:
        entry = _env_entry(after, wanted)
        if entry is None:
            odd.append(f"{wanted['path']} is gone")
        elif entry.get("value") == {MARK: wanted["fingerprint"]} or entry.get("secretRef") == wanted["secret"]:
            entry.pop("value", None)
            entry["secretRef"] = wanted["secret"]
        else:
            odd.append(f"{wanted['path']} has another value")
    odd += textswitch.switch(after, change)
    for wanted in change["registries"]:
        entry = _registry(after, wanted["server"])
        if entry is None:
            odd.append(f"registry {wanted['server']} is gone")
        else:
            entry.update(identity=wanted["identity"], username="", passwordSecretRef="")
    odd += swapped(after, change)
    if change["traffic"] and latest:
        configuration["ingress"]["traffic"] = pinned(section(configuration, "ingress", "traffic"), latest)
    return after, odd


def restored(
    document: Json,
    change: Json,
    before: Json,
    *,
    keep_new: bool = False,
    inlined: Collection[str] = (),
    held: Collection[str] = (),
) -> tuple[Json, list[str]]:
    """The document with this run's own switch taken back, and what somebody else made of it meanwhile.

    Args:
        document: The app as it stands, veiled.
        change: Of an `app-switch` step, with marks where it has swaps.
        before: The app right before the step, veiled.
        keep_new: Leave the secrets that the switch added, because a revision that is active may still need them, but as
            inline values: Azure resolves every reference at each write, and the vault may be out of reach.
        inlined: Names of added secrets that were made inline so.
        held: Names of added secrets that something this run did not make needs; those stay references.
    """
    after: Json = copy.deepcopy(document)
    left: list[str] = []
    for wanted in change["env"]:
        entry = _env_entry(after, wanted)
        plain = {MARK: wanted["fingerprint"]}
        if entry is None:
            left.append(f"{wanted['path']} is gone")
        elif entry.get("secretRef") == wanted["secret"]:
            del entry["secretRef"]
            entry["value"] = plain
        elif entry.get("value") != plain:
            left.append(f"{wanted['path']} was changed by somebody else")
    left += textswitch.restore(after, change, before)
    configuration = after["properties"]["configuration"]
    for wanted in change["registries"]:
        entry, old = _registry(after, wanted["server"]), _registry(before, wanted["server"])
        if entry is not None and old is not None and same_id(entry.get("identity"), wanted["identity"]):
            entry.clear()
            entry.update(copy.deepcopy(old))
        elif comparable(entry) != comparable(old):
            left.append(f"registry {wanted['server']} was changed by somebody else")
    left += restored_swaps(after, change, before, lambda document: set(references(document)), keep=keep_new)
    used = set(references(after))
    entries: list[Json] = []
    by_name = {wanted["name"]: wanted for wanted in change["secrets"]}
    for entry in configuration.get("secrets") or []:
        wanted = by_name.get(entry.get("name"))
        inline = not entry.get("keyVaultUrl") and entry.get("name") in inlined
        ours = wanted is not None and (inline or same_url(entry.get("keyVaultUrl"), wanted["key_vault_url"]))
        if wanted is None or not ours:
            entries.append(entry)
            if wanted is not None and (entry.get("keyVaultUrl") or wanted["was"] == "new"):
                left.append(f"secret {entry.get('name')} was changed by somebody else")
        elif wanted["was"] == "inline":
            entries.append({"name": entry["name"], "value": {MARK: wanted["fingerprint"]}})
        elif keep_new:
            stays = inline or wanted["name"] in used or wanted["name"] in held
            entries.append(entry if stays else {"name": entry["name"], "value": {MARK: wanted["fingerprint"]}})
        elif wanted["name"] in used:
            entries.append(entry)
            left.append(f"secret {wanted['name']} is in use by something this run did not make")
    if change["secrets"]:
        configuration["secrets"] = entries or None
    return after, left


def repinned(document: Json, before: Json, latest: str) -> Json:
    """The document with the traffic as before the switch, if it still is as the switch pinned it."""
    old, now = section(before, *TRAFFIC), section(document, *TRAFFIC)
    return document if comparable(now) != comparable(pinned(old, latest)) else with_traffic(document, old)


def shifted(document: Json, change: Json, switch_before: Json, revision: str) -> Json | None:
    """The document with its traffic on the new revision; None where it does not name the old one any more.

    Args:
        document: The app, veiled.
        change: Of a `traffic-shift` step.
        switch_before: The app right before it was switched.
        revision: The new revision.
    """
    if change.get("restore_latest"):
        return with_traffic(document, section(switch_before, *TRAFFIC))
    entries = copy.deepcopy(section(document, *TRAFFIC) or [])
    moved = [entry for entry in entries if entry.get("revisionName") == change["from"]]
    if not moved or not revision:
        return None
    for entry in moved:
        entry["revisionName"] = revision
    return with_traffic(document, entries)


def unshifted(document: Json, change: Json, shift_before: Json, switch_before: Json, revision: str) -> Json:
    """The document with its traffic as right before a `traffic-shift`, if it still is as that left it."""
    after = shifted(shift_before, change, switch_before, revision)
    if after is None or comparable(section(after, *TRAFFIC)) != comparable(section(document, *TRAFFIC)):
        return document
    return with_traffic(document, section(shift_before, *TRAFFIC))


def with_traffic(document: Json, traffic: list[Json] | None) -> Json:
    """The document with other traffic."""
    after: Json = copy.deepcopy(document)
    after["properties"]["configuration"]["ingress"]["traffic"] = copy.deepcopy(traffic or FOLLOWING)
    return after


def pinned(traffic: Sequence[Json] | None, latest: str) -> list[Json]:
    """Traffic with the latest revision named in place of `latestRevision: true`; a label stays where it is."""
    return [
        {
            "revisionName": latest,
            **{key: value for key, value in entry.items() if key not in {"latestRevision", "revisionName"}},
        }
        if entry.get("latestRevision")
        else dict(entry)
        for entry in traffic or FOLLOWING
    ]


def patch_body(before: Json, after: Json, listed: Iterable[AppSecret], values: Values) -> Json:
    """The smallest merge PATCH from one document to the other: the arrays that differ, whole.

    Args:
        before: The app as it stands, veiled.
        after: As it shall stand, veiled.
        listed: Its secrets, for the inline ones that stay: an array of secrets is sent with every value (FACTS 1.5).
        values: Takes their values up.
    """
    body: Json = {}
    for path in SECTIONS:
        old, new = section(before, *path), section(after, *path)
        if old == new:
            continue
        if path[-1] == "secrets":
            new = _with_values(new or [], listed, values)
        node = body
        for name in path[:-1]:
            node = node.setdefault(name, {})
        node[path[-1]] = new
    template = section(body, "properties", "template")
    if template is not None and not is_job(str(before.get("id") or "")):
        # a suffix left from the last change would collide (FACTS, section 2.5)
        template["revisionSuffix"] = None
    return body


def references_again(document: Json, listed: Iterable[AppSecret], values: Values) -> list[Json]:
    """All secrets of a document as a PATCH sends them, though none changed.

    Args:
        document: The app as it stands, veiled.
        listed: Its secrets, for the inline ones.
        values: Takes their values up.
    """
    return _with_values(section(document, "properties", "configuration", "secrets") or [], listed, values)


def _with_values(entries: Sequence[Json], listed: Iterable[AppSecret], values: Values) -> list[Json]:
    known = {secret.name: secret.value for secret in listed}
    found: list[Json] = []
    for entry in entries:
        if entry.get("keyVaultUrl"):
            found.append({key: entry[key] for key in ("name", "keyVaultUrl", "identity")})
        elif "value" in entry:
            found.append(entry)
        else:
            value = known.get(entry["name"])
            # without a value the write is refused as a whole, before anything changes
            found.append({"name": entry["name"], "value": {MARK: values.add(value or Secret(""))}})
    return found


def references(document: Json) -> list[str]:
    """Every app secret that something in the document uses by name (FACTS, section 1.9)."""
    found: list[str] = []

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            for key, item in node.items():
                if key in {"secretRef", "passwordSecretRef"} and isinstance(item, str) and item:
                    found.append(item)
                else:
                    walk(item)
        elif isinstance(node, list):
            for item in node:
                walk(item)

    walk(document.get("properties"))
    return found


def _named(entries: Sequence[Json], name: str) -> int | None:
    return next((place for place, entry in enumerate(entries) if entry.get("name") == name), None)


def _env_entry(document: Json, wanted: Json) -> Json | None:
    kind = "initContainers" if wanted["init"] else "containers"
    for container in section(document, "properties", "template", kind) or []:
        if container.get("name") == wanted["container"]:
            for entry in container.get("env") or []:
                if entry.get("name") == wanted["env"]:
                    found: Json = entry
                    return found
    return None


def _registry(document: Json, server: str) -> Json | None:
    entries = section(document, "properties", "configuration", "registries") or []
    return next((entry for entry in entries if str(entry.get("server")).lower() == server.lower()), None)
