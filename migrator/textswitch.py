"""The part of a switch that lies within other texts: metadata of scale rules, words of command lines. Pure, veiled.

A rule gets its key by `auth` in place of `metadata`; a script in a command line gets a variable in place of the value, and
its container that variable as a reference to the secret.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from migrator.model import Json
from migrator.veil import MARK, section
from migrator.wording import edited, parts
from scanners.model import Secret, reveal

EVENT = "event"
"""Kind of a job's rule, which has no `custom`, `http` or `tcp` around it."""


def switch(document: Json, change: Json) -> list[str]:
    """Switch in place what `rules`, `commands` and `added` of an `app-switch` say; what is not as the plan saw it."""
    odd: list[str] = []
    for wanted in change.get("rules", ()):
        body = rule_body(document, wanted)
        if body is None:
            odd.append(f"{wanted['path']} is gone")
            continue
        metadata, given = body.get("metadata") or {}, _given(body, wanted)
        if metadata.get(wanted["key"]) == {MARK: wanted["fingerprint"]} and given is None:
            body["metadata"] = {key: text for key, text in metadata.items() if key != wanted["key"]}
            body["auth"] = [
                *(body.get("auth") or []),
                {"secretRef": wanted["secret"], "triggerParameter": wanted["parameter"]},
            ]
        elif wanted["key"] in metadata or given is None or given.get("secretRef") != wanted["secret"]:
            odd.append(f"{wanted['path']} has another value")
    for wanted in change.get("commands", ()):
        words = words_of(document, wanted)
        if words is None:
            odd.append(f"{wanted['path']} is gone")
        elif words[wanted["word"]] in ({MARK: wanted["was"]}, {MARK: wanted["becomes"]}):
            words[wanted["word"]] = {MARK: wanted["becomes"]}
        else:
            odd.append(f"{wanted['path']} has another value")
    for wanted in change.get("added", ()):
        container = _container(document, wanted)
        entry = _env(container, wanted)
        if container is None:
            odd.append(f"container {wanted['container']} is gone")
        elif entry is None:
            container["env"] = [*(container.get("env") or []), {"name": wanted["env"], "secretRef": wanted["secret"]}]
        elif entry.get("secretRef") != wanted["secret"]:
            odd.append(f"variable {wanted['env']} of {wanted['container']} is another's")
    return odd


def restore(document: Json, change: Json, before: Json) -> list[str]:
    """Take `switch` back in place; what somebody else made of it meanwhile.

    Args:
        document: The app as it stands, veiled.
        change: Of an `app-switch` step.
        before: The app right before the step, veiled.
    """
    left: list[str] = []
    for wanted in change.get("rules", ()):
        body, old = rule_body(document, wanted), rule_body(before, wanted)
        plain = {MARK: wanted["fingerprint"]}
        if body is None or old is None:
            left.append(f"{wanted['path']} is gone")
            continue
        metadata, given = body.get("metadata") or {}, _given(body, wanted)
        if given is not None and given.get("secretRef") == wanted["secret"] and wanted["key"] not in metadata:
            order = [key for key in old.get("metadata") or {} if key in metadata or key == wanted["key"]]
            merged = {**metadata, wanted["key"]: plain}
            body["metadata"] = {key: merged[key] for key in dict.fromkeys((*order, *merged))}
            _emptied(body, "auth", [auth for auth in body["auth"] if auth is not given], old)
        elif metadata.get(wanted["key"]) != plain:
            left.append(f"{wanted['path']} was changed by somebody else")
    for wanted in change.get("commands", ()):
        words = words_of(document, wanted)
        if words is None:
            left.append(f"{wanted['path']} is gone")
        elif words[wanted["word"]] == {MARK: wanted["becomes"]}:
            words[wanted["word"]] = {MARK: wanted["was"]}
        elif words[wanted["word"]] != {MARK: wanted["was"]}:
            left.append(f"{wanted['path']} was changed by somebody else")
    for wanted in change.get("added", ()):
        container = _container(document, wanted)
        entry = _env(container, wanted)
        if container is None or entry is None:
            continue
        if entry.get("secretRef") == wanted["secret"]:
            rest = [other for other in container["env"] if other is not entry]
            _emptied(container, "env", rest, _container(before, wanted) or {})
        else:
            left.append(f"variable {wanted['env']} of {wanted['container']} was changed by somebody else")
    return left


def places(change: Json) -> Iterator[tuple[str, str, Json]]:
    """`(check, subject, entry)` of every text that a switch changes: what a proof looks at."""
    for wanted in change.get("rules", ()):
        yield "scale-rule", f"{wanted['rule']}/{wanted['key']}", wanted
    for wanted in change.get("commands", ()):
        yield "command", f"{wanted['container']}/{wanted['part']}[{wanted['word']}]", wanted


def plain(document: Json, wanted: Json) -> bool:
    """Whether a text of `places` stands there again as before the switch."""
    if "was" in wanted:
        words = words_of(document, wanted)
        return words is not None and words[wanted["word"]] == {MARK: wanted["was"]}
    body = rule_body(document, wanted) or {}
    return (body.get("metadata") or {}).get(wanted["key"]) == {MARK: wanted["fingerprint"]}


def rewritten(change: Json, text: Any) -> Iterator[tuple[Secret, dict[str, Secret]]]:
    """The new text of each word, and the values that stood in it.

    Args:
        change: Of an `app-switch` step.
        text: Gives the text of a fingerprint, as a `Secret`, or None where it is not known (switched already).
    """
    for wanted in change.get("commands", ()):
        found = text(wanted["was"])
        if found is not None:
            yield Secret(edited(reveal(found), wanted["edits"])), parts(reveal(found), wanted["edits"])


def lines(change: Json) -> list[tuple[str, str]]:
    """Lines of the diff about rules and command lines: a sign and a text."""
    found = []
    for rule in change.get("rules", ()):
        way = f"metadata {rule['key']} → auth {rule['parameter']}, secretRef {rule['secret']}"
        found.append(("~", f"scale rule {rule['rule']}: {way}"))
    for entry in change.get("commands", ()):
        variables = ", ".join(sorted({f"${edit['variable']}" for edit in entry["edits"]}))
        found.append(("~", f"{entry['part']} of {entry['container']}: plaintext in a script → {variables}"))
    found += [
        ("+", f"env {env['env']} of {env['container']}: secretRef {env['secret']}") for env in change.get("added", ())
    ]
    return found


def _emptied(node: Json, key: str, rest: list[Any], old: Json) -> None:
    """Set a list; one that becomes empty is what it was before: empty, null or absent."""
    if rest or old.get(key):
        node[key] = rest
    elif key in old:
        node[key] = old[key]
    else:
        node.pop(key, None)


def rule_body(document: Json, wanted: Json) -> Json | None:
    """What holds the metadata of the rule that an entry of `rules` names."""
    if wanted["of"] == EVENT:
        rules = section(document, "properties", "configuration", "eventTriggerConfig", "scale", "rules")
    else:
        rules = section(document, "properties", "template", "scale", "rules")
    for rule in rules or []:
        if rule.get("name") == wanted["rule"]:
            found: Json | None = rule if wanted["of"] == EVENT else rule.get(wanted["of"])
            return found
    return None


def _given(body: Json, wanted: Json) -> Json | None:
    return next((auth for auth in body.get("auth") or [] if auth.get("triggerParameter") == wanted["parameter"]), None)


def _container(document: Json, wanted: Json) -> Json | None:
    kind = "initContainers" if wanted["init"] else "containers"
    for container in section(document, "properties", "template", kind) or []:
        if container.get("name") == wanted["container"]:
            found: Json = container
            return found
    return None


def words_of(document: Json, wanted: Json) -> list[Any] | None:
    """The list that the word of an entry of `commands` is in."""
    words = (_container(document, wanted) or {}).get(wanted["part"])
    return words if isinstance(words, list) and len(words) > wanted["word"] else None


def _env(container: Json | None, wanted: Json) -> Json | None:
    entries = (container or {}).get("env") or []
    return next((entry for entry in entries if entry.get("name") == wanted["env"]), None)
