"""What an identity in place of a key does to an app's document, and its inverse: pure functions over veiled documents.

A swap is the part `swaps` of an `app-switch`: `{"identity", "env": [...], "rules": [...], "kept": [...], "values", "services"}`.

* `env`, one a container: `{"container", "init", "drop": [{"env", "fingerprint" | "secret"}], "put": [{"env", "value"}]}`.
* `rules`, one a scale rule: `{"event", "rule", "kind", "identity", "secrets", "drop": [metadata], "names": [variables],
  "put": {metadata: value}}`.
* `kept`: `{"name", "fingerprint"}` of plain values that stay in the app as secrets which nothing uses, so that going back
  needs neither the vault nor an old revision.
* `values`: fingerprints of the keys. `services`: what they open, by id in `services.toml`.

Values that a swap puts are names and addresses. `<client id of NAME>` stands for what is known only when the identity is there.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from migrator.errors import StaleError
from migrator.model import Json, ResourceId, Step, same_id
from migrator.ports import StepContext
from migrator.veil import MARK, comparable, section
from scanners.model import Secret

SYSTEM = "system"
CLIENT_ID = "<client id of {identity}>"
"""As in the proposals of `migrator.passwordless.cases`."""


def prepared(step: Step, ctx: StepContext, add: Callable[[Secret], str] | None = None) -> Json:
    """The change of an `app-switch` with the fingerprints of what its swaps put, under `mark` and `marks`.

    Args:
        step: The step.
        ctx: Its surroundings, or those of another step of the run.
        add: Takes the values up; without it only their fingerprints are taken.
    """
    client = str(ctx.facts_of(step.id).get("clientId") or "") if step.change.get("swaps") else ""
    return marked(step.change, client, add or ctx.fingerprinter.of_secret)


def marked(change: Json, client_id: str, add: Callable[[Secret], str]) -> Json:
    """A change with the fingerprints of what its swaps put; one without swaps as it is."""
    swaps = change.get("swaps")
    if not swaps:
        return change

    def mark(value: str) -> str:
        return add(Secret(filled(value, str(swaps["identity"]), client_id)))

    env = [
        {**group, "put": [{**entry, "mark": mark(entry["value"])} for entry in group["put"]]} for group in swaps["env"]
    ]
    rules = [{**rule, "marks": {key: mark(value) for key, value in rule["put"].items()}} for rule in swaps["rules"]]
    return {**change, "swaps": {**swaps, "env": env, "rules": rules}}


def filled(value: str, identity: str, client_id: str) -> str:
    """A value with the client id in the place of what stands for it."""
    if identity == SYSTEM or not client_id:
        return value
    return value.replace(CLIENT_ID.format(identity=ResourceId.parse(identity).name), client_id)


def client_id_of(identity: str, ctx: StepContext) -> str:
    """Client id of a user-assigned identity; empty for the system one, which nothing needs to name.

    Raises:
        StaleError: the identity is gone.
    """
    if identity == SYSTEM:
        return ""
    found = section(ctx.cloud.get_identity(identity) or {}, "properties", "clientId")
    if not found:
        raise StaleError(
            "the identity of the plan is gone",
            why=f"{identity} has no client id",
            hint="make a new plan: keylift plan --vault NAME --passwordless apply -o PLAN.json",
        )
    return str(found)


# Forth


def swapped(after: Json, change: Json) -> list[str]:
    """Change a document in place; what in it is not as the plan saw it."""
    swaps: Json = change.get("swaps") or {}
    odd: list[str] = []
    for group in swaps.get("env", ()):
        odd += _env(after, group)
    for wanted in swaps.get("rules", ()):
        found = _rule(after, wanted)
        if found is None:
            odd.append(f"scale rule {wanted['rule']} is gone")
        elif not _is_swapped(found, wanted):
            if _secrets(found) != wanted["secrets"]:
                odd.append(f"scale rule {wanted['rule']} is given other secrets")
            else:
                _swap_rule(found, wanted)
    _keep(after, swaps)
    return odd


def _env(after: Json, group: Json) -> Iterator[str]:
    container = _container(after, group)
    if container is None:
        yield f"container {group['container']} is gone"
        return
    entries = list(container.get("env") or [])
    by = {str(entry.get("name")): at for at, entry in enumerate(entries)}
    put = {str(entry["env"]): {"name": entry["env"], "value": {MARK: entry["mark"]}} for entry in group["put"]}
    there = all(name in by and entries[by[name]] == entry for name, entry in put.items())
    gone: set[int] = set()
    for drop in group["drop"]:
        name = str(drop["env"])
        at = by.get(name)
        if at is None:
            if not there or name in put:
                yield f"env {name} of {group['container']} is gone"
        elif _is_old(entries[at], drop):
            if name in put:
                entries[at] = put[name]
            else:
                gone.add(at)
        elif entries[at] != put.get(name):
            yield f"env {name} of {group['container']} has another value"
    own = {str(drop["env"]) for drop in group["drop"]}
    for name, entry in put.items():
        if name not in by:
            entries.append(entry)
        elif name not in own and entries[by[name]] != entry:
            yield f"env {name} of {group['container']} is there already"
    container["env"] = [entry for at, entry in enumerate(entries) if at not in gone]


def _is_old(entry: Json, drop: Json) -> bool:
    if drop.get("secret"):
        return bool(entry.get("secretRef") == drop["secret"])
    return bool(entry.get("value") == {MARK: drop["fingerprint"]})


def unkept(document: Json, change: Json) -> list[tuple[str, str]]:
    """Env names and fingerprints of plain values that the switch of a document takes out without keeping them itself."""
    swaps: Json = change.get("swaps") or {}
    kept = {str(one["fingerprint"]) for one in swaps.get("kept") or ()}
    found = []
    for group in swaps.get("env", ()):
        entries = {str(entry.get("name")): entry for entry in (_container(document, group) or {}).get("env") or []}
        found += [
            (str(drop["env"]), str(drop["fingerprint"]))
            for drop in group["drop"]
            if not drop.get("secret")
            and drop["fingerprint"] not in kept
            and _is_old(entries.get(drop["env"], {}), drop)
        ]
    return found


def _is_swapped(body: Json, wanted: Json) -> bool:
    place = _metadata(body, wanted)
    put = all(place.get(key) == {MARK: mark} for key, mark in wanted["marks"].items())
    return same_id(body.get("identity"), wanted["identity"]) and not body.get("auth") and put


def _swap_rule(body: Json, wanted: Json) -> None:
    body["identity"] = wanted["identity"]
    body.pop("auth", None)
    place = _metadata(body, wanted)
    for key in wanted["drop"]:
        place.pop(key, None)
    place.update({key: {MARK: mark} for key, mark in wanted["marks"].items()})


def _metadata(body: Json, wanted: Json) -> Json:
    """Where a rule keeps what it asks for: `azureQueue` has it in its own body."""
    if wanted["kind"] == "azureQueue":
        return body
    if body.get("metadata") is None:
        body["metadata"] = {}
    found: Json = body["metadata"]
    return found


def _secrets(body: Json) -> list[str]:
    return sorted(str(auth.get("secretRef")) for auth in body.get("auth") or [])


def _keep(after: Json, swaps: Json) -> None:
    kept = swaps.get("kept") or []
    if not kept:
        return
    configuration = after["properties"]["configuration"]
    entries = list(configuration.get("secrets") or [])
    there = {str(entry.get("name")) for entry in entries}
    entries += [
        {"name": one["name"], "value": {MARK: one["fingerprint"]}} for one in kept if str(one["name"]) not in there
    ]
    configuration["secrets"] = entries


# Back


def restored_swaps(
    after: Json, change: Json, before: Json, used: Callable[[Json], set[str]], *, keep: bool
) -> list[str]:
    """Take a swap back in place, as `before` had it; what somebody else made of it meanwhile.

    Args:
        after: The document as it stands, to be changed.
        change: With marks.
        before: The app right before the step.
        used: Names of secrets that something in a document uses.
        keep: Leave the secrets that were kept for this way back.
    """
    swaps: Json = change.get("swaps") or {}
    left: list[str] = []
    for group in swaps.get("env", ()):
        left += _env_back(after, group, before)
    for wanted in swaps.get("rules", ()):
        now, old = _rule(after, wanted), _rule(before, wanted)
        if now is None or old is None:
            left.append(f"scale rule {wanted['rule']} is gone")
        elif _is_swapped(now, wanted):
            old = copy.deepcopy(old)
            now.clear()
            now.update(old)
        elif comparable(now) != comparable(old):
            left.append(f"scale rule {wanted['rule']} was changed by somebody else")
    if not keep:
        _drop_kept(after, swaps, before, used)
    return left


def _env_back(after: Json, group: Json, before: Json) -> Iterator[str]:
    container, old = _container(after, group), _container(before, group)
    if container is None or old is None:
        yield f"container {group['container']} is gone"
        return
    now = {str(entry.get("name")): entry for entry in container.get("env") or []}
    was = {str(entry.get("name")): entry for entry in old.get("env") or []}
    put = {str(entry["env"]): {"name": entry["env"], "value": {MARK: entry["mark"]}} for entry in group["put"]}
    for name, entry in put.items():
        if name not in now or now[name] == entry:
            now.pop(name, None)
        elif now[name] != was.get(name):
            yield f"env {name} of {group['container']} was changed by somebody else"
    for drop in group["drop"]:
        name = str(drop["env"])
        if name not in now and name in was:
            now[name] = copy.deepcopy(was[name])
        elif name in now and name not in put and now[name] != was.get(name):
            yield f"env {name} of {group['container']} was changed by somebody else"
    # in the order of before: the platform shows entries in the order they were sent in
    order = [name for name in was if name in now] + [name for name in now if name not in was]
    container["env"] = [now[name] for name in order]


def _drop_kept(after: Json, swaps: Json, before: Json, used: Callable[[Json], set[str]]) -> None:
    kept = {str(one["name"]) for one in swaps.get("kept") or []}
    kept -= {str(entry.get("name")) for entry in section(before, "properties", "configuration", "secrets") or []}
    kept -= used(after)
    configuration = after["properties"]["configuration"]
    entries = configuration.get("secrets") or []
    rest = [entry for entry in entries if entry.get("keyVaultUrl") or str(entry.get("name")) not in kept]
    if len(rest) != len(entries):
        configuration["secrets"] = rest or None


# Places


def _container(document: Json, group: Json) -> Json | None:
    kind = "initContainers" if group["init"] else "containers"
    found = section(document, "properties", "template", kind) or []
    return next((one for one in found if one.get("name") == group["container"]), None)


def _rule(document: Json, wanted: Json) -> Json | None:
    where = ("configuration", "eventTriggerConfig") if wanted["event"] else ("template",)
    for rule in section(document, "properties", *where, "scale", "rules") or []:
        if rule.get("name") == wanted["rule"]:
            found: Any = rule if wanted["event"] else rule.get(wanted["kind"])
            return found if isinstance(found, dict) else None
    return None


def checks(document: Json, change: Json) -> Iterator[tuple[str, str, bool, str]]:
    """`(check, subject, good, text)` of what a swap made, looked at in a veiled document.

    Args:
        document: The app.
        change: With marks.
    """
    swaps: Mapping[str, Any] = change.get("swaps") or {}
    for group in swaps.get("env", ()):
        container: Json = _container(document, group) or {}
        now = {str(entry.get("name")): entry for entry in container.get("env") or []}
        put = {str(entry["env"]): entry for entry in group["put"]}
        for name in sorted({*put, *(str(drop["env"]) for drop in group["drop"])}):
            entry = now.get(name)
            if name in put:
                good = entry is not None and entry.get("value") == {MARK: put[name]["mark"]}
                yield "env", name, good, "signs in with the identity" if good else "it is not what the plan set"
            else:
                good = entry is None
                yield "env", name, good, "the key is gone" if good else "the key is there again, and it wins"
    for wanted in swaps.get("rules", ()):
        body = _rule(document, wanted)
        good = body is not None and _is_swapped(copy.deepcopy(body), wanted)
        yield "scale-rule", wanted["rule"], good, "asks with the identity" if good else "it is not what the plan set"


def needed_back(change: Json) -> dict[str, str]:
    """Secrets of the app that the way back needs and nothing else uses -> what they were for."""
    swaps: Mapping[str, Any] = change.get("swaps") or {}
    found = {str(one["name"]): "a key that an identity replaced" for one in swaps.get("kept") or ()}
    if change.get("form") == "sign-in":
        found |= {str(name): "the SAS URL of the token store" for name in change.get("secrets", ())}
    for group in swaps.get("env", ()):
        found |= {str(drop["secret"]): f"the key of env {drop['env']}" for drop in group["drop"] if drop.get("secret")}
    for rule in swaps.get("rules", ()):
        found |= {str(name): f"the key of scale rule {rule['rule']}" for name in rule["secrets"]}
    return found


def swapped_values(change: Json) -> set[str]:
    """Fingerprints of the keys that identities replaced."""
    swaps: Mapping[str, Any] = change.get("swaps") or {}
    return {str(mark) for mark in swaps.get("values") or ()}


def swap_lines(swaps: Json) -> list[tuple[str, str]]:
    """What an identity in the place of keys changes."""
    lines = []
    for group in swaps.get("env", ()):
        put = {entry["env"] for entry in group["put"]}
        lines += [
            ("-", f"env {drop['env']} of {group['container']}: the key goes")
            for drop in group["drop"]
            if drop["env"] not in put
        ]
        lines += [("+", f"env {entry['env']} of {group['container']} = {entry['value']}") for entry in group["put"]]
    for rule in swaps.get("rules", ()):
        told = "".join(f", {key} = {value}" for key, value in rule["put"].items())
        lines.append(("~", f"scale rule {rule['rule']}: secret → identity{told}"))
    lines += [
        (" ", f"secret {one['name']}: keeps the key for a way back, until finalize") for one in swaps.get("kept", ())
    ]
    return lines
