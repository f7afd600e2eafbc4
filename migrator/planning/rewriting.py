"""What a switch does within other texts: keys of scale rules by `auth`, variables in scripts of command lines."""

from __future__ import annotations

from collections.abc import Sequence

from migrator.model import Json
from migrator.planning.draft import Item
from migrator.planning.places import AppView, WordPlace
from migrator.planning.scripts import variable
from migrator.wording import marks
from scanners.model import Fingerprinter, reveal


def of_app(view: AppView, items: Sequence[Item], fingerprinter: Fingerprinter) -> Json:
    """What a switch does within other texts; keys only for what there is, so that plans of before keep their ids."""
    rules = [
        {
            "rule": place.rule,
            "of": place.kind,
            "key": place.key,
            "parameter": place.key,
            "secret": item.app_secret,
            "path": place.path,
            "fingerprint": item.fingerprint,
        }
        for item in items
        for place in item.rules
    ]
    commands, added = _commands(view, items, fingerprinter)
    found = {"rules": sorted(rules, key=lambda rule: str(rule["path"])), "commands": commands, "added": added}
    return {key: entries for key, entries in found.items() if entries}


def _commands(view: AppView, items: Sequence[Item], fingerprinter: Fingerprinter) -> tuple[list[Json], list[Json]]:
    """Words with the edits to make in them, and the variables that carry the values."""
    words: dict[str, list[tuple[WordPlace, Item]]] = {}
    for item in items:
        for place in item.words:
            words.setdefault(place.path, []).append((place, item))
    commands: list[Json] = []
    added: dict[tuple[bool, str, str], Json] = {}
    for path, found in sorted(words.items()):
        first, text = found[0][0], reveal(found[0][0].text)
        edits: list[Json] = []
        for place, item in found:
            carrier = _carrier(view, place, item.app_secret, added)
            edits += [
                {
                    "start": span.start,
                    "end": span.end,
                    "text": span.refer(carrier),
                    "variable": carrier,
                    "fingerprint": item.fingerprint,
                }
                for span in place.spans
            ]
        edits.sort(key=lambda edit: int(edit["start"]))
        was, becomes = marks(text, edits, fingerprinter)
        commands.append(
            {
                "container": first.container,
                "init": first.init,
                "part": first.part,
                "word": first.word,
                "path": path,
                "was": was,
                "becomes": becomes,
                "edits": edits,
            }
        )
    return commands, [added[key] for key in sorted(added)]


def _carrier(view: AppView, place: WordPlace, secret: str, added: dict[tuple[bool, str, str], Json]) -> str:
    """The variable that brings a secret into a script: one for each secret and container."""
    key = (place.init, place.container, secret)
    if key not in added:
        container = view.template["initContainers" if place.init else "containers"][place.index]
        taken = [str(entry.get("name")) for entry in container.get("env") or []]
        taken += [str(entry["env"]) for (_, name, _), entry in added.items() if name == place.container]
        scripts = " ".join(str(word) for part in ("command", "args") for word in container.get(part) or [])
        added[key] = {
            "container": place.container,
            "init": place.init,
            "env": variable(secret, taken, scripts),
            "secret": secret,
        }
    return str(added[key]["env"])
