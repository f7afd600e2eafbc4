"""What SARIF 2.1.0 (OASIS, errata 01) says of the objects that we write: closed tables, our words.

The standard's own schema takes our golden file too; it is not part of this repository.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

LEVELS = {"none", "note", "warning", "error"}

Check = Callable[[Any], bool]


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _address(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s]+", value) is not None


def _relative(value: Any) -> bool:
    """A URI reference (RFC 3986) that stays below the repository."""
    allowed = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=@/]|%[0-9A-Fa-f]{2})+"
    return isinstance(value, str) and re.fullmatch(allowed, value) is not None and not value.startswith("/")


def _from(least: int) -> Check:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least


def _bag(value: Any) -> bool:
    tags = value.get("tags", []) if isinstance(value, dict) else None
    return isinstance(tags, list) and all(map(_text, tags)) and len(set(tags)) == len(tags)


def _texts(value: Any) -> bool:
    return isinstance(value, dict) and all(_text(key) and _text(entry) for key, entry in value.items())


def _one_of(*words: str) -> Check:
    return lambda value: value in words


# object -> property -> (required, a check | the name of an object | [the name of an object] for a list of them)
SHAPE: dict[str, dict[str, tuple[bool, Any]]] = {
    "log": {"$schema": (False, _address), "version": (True, _one_of("2.1.0")), "runs": (True, ["run"])},
    "run": {
        "tool": (True, "tool"),
        "invocations": (False, ["invocation"]),
        "columnKind": (False, _one_of("utf16CodeUnits", "unicodeCodePoints")),
        "results": (False, ["result"]),
    },
    "tool": {"driver": (True, "driver")},
    "driver": {
        "name": (True, _text),
        "version": (False, _text),
        "informationUri": (False, _address),
        "rules": (False, ["rule"]),
    },
    "rule": {
        "id": (True, _text),
        "name": (False, _text),
        "shortDescription": (False, "message"),
        "fullDescription": (False, "message"),
        "helpUri": (False, _address),
        "help": (False, "message"),
        "defaultConfiguration": (False, "configuration"),
        "properties": (False, _bag),
    },
    "configuration": {"level": (False, LEVELS.__contains__)},
    "message": {"text": (True, _text)},
    "invocation": {
        "executionSuccessful": (True, lambda value: isinstance(value, bool)),
        "toolExecutionNotifications": (False, ["notification"]),
    },
    "notification": {"level": (False, LEVELS.__contains__), "message": (True, "message")},
    "result": {
        "ruleId": (False, _text),
        "ruleIndex": (False, _from(-1)),
        "level": (False, LEVELS.__contains__),
        "message": (True, "message"),
        "locations": (False, ["location"]),
        "partialFingerprints": (False, _texts),
        "suppressions": (False, ["suppression"]),
        "properties": (False, _bag),
    },
    "suppression": {"kind": (True, _one_of("inSource", "external")), "justification": (False, _text)},
    "location": {"physicalLocation": (False, "physical"), "logicalLocations": (False, ["logical"])},
    "physical": {"artifactLocation": (False, "artifact"), "region": (False, "region")},
    "artifact": {"uri": (False, _relative)},
    "region": {"startLine": (False, _from(1)), "startColumn": (False, _from(1))},
    "logical": {"name": (False, _text), "fullyQualifiedName": (False, _text), "kind": (False, _text)},
}


def wrong(value: Any, name: str = "log", where: str = "$") -> list[str]:
    """What is wrong with an object, by place; nothing when it is as the standard has it."""
    if not isinstance(value, dict):
        return [f"{where} is no object"]
    shape, found = SHAPE[name], []
    found += [f"{where}.{key} is not allowed" for key in value.keys() - shape.keys()]
    for key, (required, check) in shape.items():
        if key not in value:
            found += [f"{where}.{key} is missing"] if required else []
        elif isinstance(check, str):
            found += wrong(value[key], check, f"{where}.{key}")
        elif isinstance(check, list):
            found += _wrong_list(value[key], check[0], f"{where}.{key}")
        elif not check(value[key]):
            found.append(f"{where}.{key} is not as it must be")
    return found


def _wrong_list(value: Any, name: str, where: str) -> list[str]:
    if not isinstance(value, list):
        return [f"{where} is no list"]
    return [text for at, entry in enumerate(value) for text in wrong(entry, name, f"{where}[{at}]")]
