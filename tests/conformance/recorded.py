"""Recorded interactions as replayable things, and the comparison of an answer with the recorded one."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
NOT_COMPARED = re.compile(
    r"date|server|content-(type|length)|retry-after|x-ms-ratelimit-.*|x-ms-request-(id|charge)|x-ms-correlation.*"
)
"""Headers of the transport, of quotas, and of a single request."""
MAPS = {"tags", "userAssignedIdentities"}
"""Objects whose keys are the user's."""
SAME = {
    *(
        "code",
        "status",
        "type",
        "provisioningState",
        "nameAvailable",
        "reason",
        "enabled",
        "contentType",
        "tags",
        "exp",
    ),
    *("nbf", "adminUserEnabled", "sku", "username", "enableSoftDelete", "enabledForDeployment", "principalType"),
    *(
        "principalId",
        "roleDefinitionId",
        "scope",
        "loginServer",
        "policies",
        "networkAcls",
        "networkRuleSet",
        "location",
    ),
}
"""Members whose values, not only their shapes, are compared where both sides have them."""


def recordings() -> Path:
    """The folder of recordings; skips where it is not there."""
    folder = SHARED / "azure" / "recordings"
    if not folder.is_dir():
        pytest.skip(f"the recordings are not at {folder}")
    return folder


@dataclass(frozen=True)
class Interaction:
    """One recorded request with its answer."""

    folder: str
    number: str
    source: str
    position: int
    moment: float
    method: str
    url: str
    body: Any
    status: int
    headers: dict[str, str]
    answer: Any

    @property
    def name(self) -> str:
        return f"{self.folder}/{self.number} {self.method} {self.url.partition('?')[0].rpartition('/providers/')[2]}"


def interaction(path: Path) -> Interaction:
    """Read one recording."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    return Interaction(
        folder=path.parent.name,
        number=path.name[:4],
        source=f"{raw['source']} {raw['source_file']}",
        position=raw["interaction"],
        moment=parsedate_to_datetime(raw["recorded"]).timestamp(),
        method=raw["method"],
        url=raw["url"],
        body=_body(raw["request_body"]),
        status=raw["status"],
        headers={name.lower(): value for name, value in (raw["response_headers"] or {}).items()},
        answer=raw["response_body"],
    )


def _body(body: Any) -> Any:
    """A request body; some were stored as Python's repr of bytes, several times over."""
    if isinstance(body, str) and "{" in body:
        inner = body[body.index("{") : body.rindex("}") + 1]
        return json.loads(inner.replace("\\", ""))
    return body


def shape(value: Any, name: str = "") -> Any:
    """Names and types of a value; the elements of a list are laid over each other."""
    if isinstance(value, dict):
        return "map" if name in MAPS else {key: shape(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        merged: dict[str, Any] = {}
        kinds: set[str] = set()
        for element in (shape(inner) for inner in value):
            if isinstance(element, dict):
                merged |= element
            else:
                kinds.add(str(element))
        return [merged, sorted(kinds)]
    return "null" if value is None else "boolean" if isinstance(value, bool) else type(value).__name__


def differences(recorded: Any, given: Any, path: str = "$") -> list[str]:
    """Where two shapes differ."""
    if isinstance(recorded, dict) and isinstance(given, dict):
        found = [f"{path}.{key} is missing" for key in recorded if key not in given]
        found += [f"{path}.{key} is not in the recording" for key in given if key not in recorded]
        for key in recorded:
            if key in given:
                found += differences(recorded[key], given[key], f"{path}.{key}")
        return found
    if isinstance(recorded, list) and isinstance(given, list) and recorded and given:
        return differences(recorded[0], given[0], f"{path}[]")
    return [] if recorded == given else [f"{path} is {given}, recorded was {recorded}"]


def unequal(recorded: Any, given: Any, path: str = "$") -> list[str]:
    """Members of `SAME` whose values differ."""
    found: list[str] = []
    if isinstance(recorded, dict) and isinstance(given, dict):
        for key in recorded.keys() & given.keys():
            if key in SAME and isinstance(recorded[key], str | bool | int) and recorded[key] != given[key]:
                found.append(f"{path}.{key} is {given[key]!r}, recorded was {recorded[key]!r}")
            found += unequal(recorded[key], given[key], f"{path}.{key}")
    elif isinstance(recorded, list) and isinstance(given, list) and len(recorded) == len(given) == 1:
        found += unequal(recorded[0], given[0], f"{path}[0]")
    return found


def compare(recorded: Interaction, status: int, headers: dict[str, str], answer: Any) -> list[str]:
    """What is wrong with an answer; nothing if it is like the recorded one."""
    found = [] if status == recorded.status else [f"status is {status}, recorded was {recorded.status}: {answer}"]
    given = {name.lower() for name in headers}
    found += [
        f"header {name} is missing"
        for name in recorded.headers
        if name not in given and not NOT_COMPARED.fullmatch(name)
    ]
    found += differences(shape(recorded.answer), shape(answer))
    return found or unequal(recorded.answer, answer)
