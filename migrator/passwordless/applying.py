"""From decisions to what a plan does: which values an identity replaces, and which stay secrets all the same.

Only what configuration alone can do, whole: every use of the value, at every place of the app, with rights that one knows how
to give. Whatever lacks a part of that becomes a vault reference, as it would without `--passwordless apply`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from migrator.model import Json, ResourceId
from migrator.passwordless.decision import Decision, Outcome
from migrator.passwordless.rights import Grant
from migrator.passwordless.suggesting import Ruling, Use
from migrator.planning.consumers import rule_of, scale_rule_env
from migrator.planning.draft import Item
from migrator.planning.identities import Chosen
from migrator.planning.places import AppView
from scanners.model import reveal

SETTLE = 600
"""Seconds that a new role may take until a service honours it."""

_OWN = frozenset({"cosmos", "redis", "managed-redis"})
"""Services with a role system of their own in which keylift assigns."""


@dataclass(frozen=True, slots=True)
class Swap:
    """One value of one app that its identity replaces."""

    item: Item
    decision: Decision
    env: tuple[Json, ...]
    """As `migrator.swapping` takes them."""
    rules: tuple[Json, ...]
    store: Json | None = None
    """`{"drop", "put", "secrets"}` of the token store of the app's sign-in, as `migrator.parts` takes them."""

    @property
    def in_app(self) -> bool:
        """Whether the app itself is changed."""
        return bool(self.env or self.rules)

    @property
    def grants(self) -> tuple[Grant, ...]:
        """Rights that the identity needs."""
        return self.decision.grants

    @property
    def kept(self) -> Json | None:
        """The value as an app secret that nothing uses, for the way back; None where it is one already."""
        item = self.item
        if item.secrets or item.reference is not None or not item.app_secret:
            return None
        return {"name": item.app_secret, "fingerprint": item.fingerprint}


Barred = Callable[[Chosen, Grant], str]
"""Why a right would be of no use to an identity; empty where nothing stands against it."""


def swap(item: Item, ruling: Ruling, chosen: Chosen | None, barred: Barred) -> Swap | str:
    """How an identity replaces a value, or why it stays a secret; an empty reason where nothing was decided for it.

    Args:
        item: The value, with its places.
        ruling: What was decided about it.
        chosen: The app's identity.
        barred: Asked for each right.
    """
    decision = ruling.decision
    if decision.outcome is not Outcome.CONFIGURATION:
        return ""
    if chosen is None:
        return "the app has no identity"
    if item.reference is not None:
        return "it is a vault reference already"
    if decision.before:
        return f"first, and for a person to decide: {decision.before[0]['what']} ({decision.before[0]['command']})"
    if decision.scripts:
        who = ResourceId.parse(decision.resource).name if decision.resource else "the database"
        return (
            f"an Entra administrator of {who} makes a principal for the app first, with the script beside the plan "
            "(.sql, and .undo.sql for the way back), and then changes the app as the script's head says; no step waits for it"
        )
    if decision.stays:
        return decision.stays[0]
    why = next(filter(None, (barred(chosen, grant) for grant in decision.grants)), "")
    if why:
        return why
    store = [change for change in decision.changes if change.at == "sign-in"]
    if store and len(store) == len(decision.changes) and decision.grants:
        drop = [change.key for change in store if change.action == "remove"]
        put = {change.key: change.value for change in store if change.action == "set"}
        return Swap(
            item, decision, (), (), {"drop": drop, "put": put, "secrets": [place.name for place in item.secrets]}
        )
    if not ruling.uses:
        return "no place is known where the app would be told"
    if decision.grants and any(not grant.role.id for grant in decision.grants) and decision.service_id not in _OWN:
        return "the service's own roles are not known to keylift"
    if not decision.grants or any(not grant.scope for grant in decision.grants):
        return "it is not known which right the identity needs"
    if any(use.decision.outcome is not Outcome.CONFIGURATION for use in ruling.uses):
        return "one of its uses needs the key"
    return _in_command(item) or _unfit(item.view, ruling.uses, chosen) or _edited(item, ruling.uses, decision, chosen)


def doubt(decision: Decision) -> str:
    """Why settings alone are not enough for a value, for whoever asked for just that."""
    told = {
        Outcome.CODE: "settings alone are not enough, code has to change first",
        Outcome.CANNOT: "the service takes no identity in its place",
    }.get(decision.outcome, "nothing shows that an identity would do")
    return f"{told} ({decision.fails[0]})" if decision.fails else told


def _in_command(item: Item) -> str:
    """Why a value that some command line holds, too, stays: the program it is given to was not seen."""
    values = [*(place.value for place in item.secrets), *(place.value for place in item.env)]
    for init, _, container in item.view.containers():
        words = [*(container.get("command") or []), *(container.get("args") or [])]
        if any(reveal(value) in str(word) for value in values for word in words):
            return f"the command of {'init ' if init else ''}container {container.get('name')} holds it, too"
    return ""


def _unfit(view: AppView, uses: Sequence[Use], chosen: Chosen) -> str:
    """Why the app as it stands could not do with the identity, or without the variable; empty when it could."""
    for setting in view.configuration.get("identitySettings") or []:
        kept = str(setting.get("lifecycle") or "All").lower() not in {"all", "main"}
        if kept and str(setting.get("identity") or "").lower() == chosen.ref.lower():
            return f"identity {chosen.name} is kept from the app's containers (identitySettings, lifecycle {setting['lifecycle']})"
    swapped = {use.rule for use in uses if use.rule}
    read = scale_rule_env(view)
    for use in uses:
        if use.init:
            # an environment of Consumption only gives init containers no identity (container-apps/managed-identity)
            return f"init container {use.container} uses it, and may be given no identity"
        rule = read.get(use.name) if use.name else None
        if rule is not None and rule not in swapped:
            return f"scale rule {rule} reads {use.name}, too, and would be without it"
        if use.name and f"$({use.name})" in _texts(view, use):
            return f"something else of container {use.container} is made of $({use.name})"
    return ""


def _texts(view: AppView, use: Use) -> str:
    """Everything of a container that Kubernetes fills variables into: other values, command and arguments."""
    for init, _, container in view.containers():
        if init == use.init and str(container.get("name") or "") == use.container:
            parts = [str(entry.get("value")) for entry in container.get("env") or [] if entry.get("value")]
            return "\n".join(
                [*parts, *map(str, container.get("command") or []), *map(str, container.get("args") or [])]
            )
    return ""


def _edited(item: Item, uses: Sequence[Use], decision: Decision, chosen: Chosen) -> Swap | str:
    groups: dict[tuple[bool, str], Json] = {}
    rules = []
    for use in uses:
        if use.rule:
            rule = _rule(item.view, use, chosen)
            if isinstance(rule, str):
                return rule
            rules.append(rule)
            continue
        group = groups.setdefault(
            (use.init, use.container), {"container": use.container, "init": use.init, "drop": [], "put": []}
        )
        why = _group(group, item, use)
        if why:
            return why
    return Swap(item, decision, tuple(groups[key] for key in sorted(groups)), tuple(rules))


def _group(group: Json, item: Item, use: Use) -> str:
    """Add what becomes of one variable; why it cannot, if so."""
    entries = _env(item.view, use)
    here = entries.get(use.name) or {}
    drop: Json = {"env": use.name}
    if here.get("secretRef"):
        drop["secret"] = str(here["secretRef"])
    else:
        drop["fingerprint"] = item.fingerprint
    group["drop"].append(drop)
    for change in use.decision.changes:
        if change.at != "env":
            return f"it is set in {change.at}"
        if change.action == "remove":
            if change.name != use.name:
                return f"{change.name} would have to go, too"
        elif change.name == use.name or change.name not in entries:
            entry = {"env": change.name, "value": change.value}
            group["put"] += [entry] if entry not in group["put"] else []
        elif entries[change.name].get("value") != change.value:
            return f"{change.name} is set already, to something else"
    return ""


def _env(view: AppView, use: Use) -> dict[str, Json]:
    for init, _, container in view.containers():
        if init == use.init and str(container.get("name") or "") == use.container:
            return {str(entry.get("name")): entry for entry in container.get("env") or []}
    return {}


def _rule(view: AppView, use: Use, chosen: Chosen) -> Json | str:
    kind, body = rule_of(view, use.rule)
    changes = [change for change in use.decision.changes if change.at == "rule"]
    drop = [change.key for change in changes if change.action == "remove" and change.key != "auth"]
    metadata = body if kind == "azureQueue" else body.get("metadata") or {}
    names = {key: str(metadata[key]) for key in drop if metadata.get(key)}
    if any(not key.endswith("FromEnv") for key in names):
        return f"scale rule {use.rule} holds a key in its metadata, too, which nothing would keep for a way back"
    known = {str(entry.get("name")) for _, _, container in view.containers() for entry in container.get("env") or []}
    if not known.issuperset(names.values()):
        # it may be the key itself, which must not come into a plan
        return f"scale rule {use.rule} names a variable that no container has ({', '.join(sorted(names))})"
    return {
        "event": kind == "event",
        "rule": use.rule,
        "kind": kind,
        "identity": chosen.ref,
        "secrets": sorted(str(auth.get("secretRef")) for auth in body.get("auth") or []),
        "drop": drop,
        # of variables: what is put back must be known without an old revision
        "names": sorted(names.values()),
        "put": {change.key: change.value for change in changes if change.action == "set" and change.key != "identity"},
    }


def together(swaps: Sequence[Swap], chosen: Chosen) -> Json:
    """The part `swaps` of one `app-switch`: the changes of all values, container by container."""
    groups: dict[tuple[bool, str], Json] = {}
    rules: list[Json] = []
    kept: list[Json] = []
    values: set[str] = set()
    for one in swaps:
        for part in one.env:
            group = groups.setdefault((part["init"], part["container"]), {**part, "drop": [], "put": []})
            group["drop"] += part["drop"]
            known = {entry["env"] for entry in group["put"]}
            group["put"] += [entry for entry in part["put"] if entry["env"] not in known]
        for rule in one.rules:
            same = next((known for known in rules if known["rule"] == rule["rule"]), None)
            if same is None:
                rules.append({**rule, "put": dict(rule["put"])})
            else:  # of another secret of the rule
                same["put"] |= rule["put"]
        kept += [one.kept] if one.kept else []
        values.add(one.item.fingerprint)
    return {
        "identity": chosen.ref,
        "env": [groups[key] for key in sorted(groups)],
        "rules": sorted(rules, key=lambda rule: str(rule["rule"])),
        "kept": sorted(kept, key=lambda entry: str(entry["name"])),
        "values": sorted(values),
        "services": sorted({one.decision.service_id for one in swaps}),
    }


def conflicts(swaps: Sequence[Swap]) -> dict[str, str]:
    """Fingerprint of a value -> why it stays, for values that would set one variable in two ways."""
    seen: dict[tuple[bool, str, str], tuple[str, str]] = {}
    found: dict[str, str] = {}
    for one in swaps:
        for group in one.env:
            for entry in group["put"]:
                place = (bool(group["init"]), str(group["container"]), str(entry["env"]))
                value, _ = seen.setdefault(place, (str(entry["value"]), one.item.fingerprint))
                if value != entry["value"]:
                    found[one.item.fingerprint] = f"{entry['env']} would be set in two ways"
    return found


def of_app(
    items: Sequence[Item], rulings: Mapping[str, Ruling], chosen: Chosen | None, barred: Barred
) -> tuple[list[Swap], dict[str, str]]:
    """What an identity replaces in one app, and by fingerprint why other values that it could replace stay secrets.

    Args:
        items: The app's values that move.
        rulings: By fingerprint.
        chosen: The app's identity.
        barred: Asked for each right.
    """
    swaps: list[Swap] = []
    stay: dict[str, str] = {}
    for item in items:
        found = swap(item, rulings[item.fingerprint], chosen, barred)
        if isinstance(found, Swap):
            swaps.append(found)
        elif found:
            stay[item.fingerprint] = found
    stay |= conflicts(swaps)
    swaps = [one for one in swaps if one.item.fingerprint not in stay]
    while left := _halved(swaps):
        stay |= left
        swaps = [one for one in swaps if one.item.fingerprint not in left]
    return swaps, stay


def _halved(swaps: Sequence[Swap]) -> dict[str, str]:
    """Fingerprint of a value -> why it stays, for values of a scale rule that is given another secret which stays."""
    going = {place.name for one in swaps for place in one.item.secrets}
    return {
        one.item.fingerprint: f"scale rule {rule['rule']} is given another secret, too, which stays ({', '.join(left)})"
        for one in swaps
        for rule in one.rules
        if (left := sorted(set(rule["secrets"]) - going))
    }
