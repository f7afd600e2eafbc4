"""The official types, as a checker of what is sent and answered.

    check_response("Microsoft.App/containerApps", "2025-07-01", body) -> ["properties.foo: not in the type", ...]
    check_request("Microsoft.App/containerApps", "2025-07-01", body) -> also members that are read-only

Sources: `specs/bicep-types` (one file a version), `specs/sdk-models` for the newest versions of Microsoft.App and
Microsoft.KeyVault. A version without a file is checked against the nearest one of its kind: previews against the newest
preview, stable ones against the next stable one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
READ_ONLY, WRITE_ONLY = 2, 4

SDK = {
    ("microsoft.app", "2026-07-01"): (
        "appcontainers-2026-07-01.json",
        {
            "containerapps": "ContainerApp",
            "containerapps/revisions": "Revision",
            "containerapps/revisions/replicas": "Replica",
            "containerapps/authconfigs": "AuthConfig",
            "managedenvironments": "ManagedEnvironment",
            "jobs": "Job",
        },
    ),
    ("microsoft.keyvault", "2026-05-15"): ("keyvault-2026-05-15.json", {"vaults": "Vault"}),
}

BEYOND = {
    "microsoft.app/containerapps": (
        r"properties\.(delegatedIdentities(\[\d+\])?|patchingMode|runningStatus|eventStreamEndpoint)",
        r"properties\.configuration\.(service|revisionTransitionThreshold|targetLabel|runtime|identitySettings|dapr)\b.*",
        r"properties\.template\.(customMetricsSettings|scale\.(cooldownPeriod|pollingInterval))",
    ),
    "microsoft.app/containerapps/revisions": (
        r"properties\.runningStateDetails",
        r"properties\.template\.scale\.(cooldownPeriod|pollingInterval)",
    ),
    "microsoft.app/containerapps/authconfigs": (r"properties\.encryptionSettings",),
    "microsoft.app/jobs": (r"properties\.runningStatus", r"properties\.configuration\.(dapr|identitySettings)\b.*"),
    "microsoft.app/managedenvironments/daprcomponents": (r"properties\.serviceComponentBind\b.*",),
    "microsoft.app/managedenvironments": (
        r"properties\.(appInsightsConfiguration|openTelemetryConfiguration)",
        r"properties\.customDomainConfiguration\.certificateKeyVaultProperties",
    ),
}
"""What recorded answers hold beyond the types (traffic, flows): allowed in answers, not in requests."""


@dataclass(slots=True)
class Node:
    """A type: an object with members, a map, a list, or anything else."""

    members: dict[str, tuple[Any, int]] = field(default_factory=dict)
    """Member name -> its type's key and its flags."""
    values: Any = None
    """Key of the type of a map's values."""
    items: Any = None
    """Key of the type of a list's items."""
    closed: bool = False
    """Whether only the members are allowed."""


class Types:
    """The types of one file."""

    def __init__(self, nodes: Mapping[Any, Node], roots: Mapping[str, Any]) -> None:
        self.nodes = nodes
        self.roots = roots

    def check(self, key: Any, value: Any, path: str, *, request: bool) -> Iterator[str]:
        """What is wrong with a value, each with its path."""
        node = self.nodes.get(key)
        if node is None or value is None:
            return
        if node.items is not None and isinstance(value, list):
            for index, item in enumerate(value):
                yield from self.check(node.items, item, f"{path}[{index}]", request=request)
        elif isinstance(value, dict):
            yield from self._object(node, value, path, request=request)

    def _object(self, node: Node, value: dict[str, Any], path: str, *, request: bool) -> Iterator[str]:
        for name, given in value.items():
            here = f"{path}.{name}" if path else name
            if name in node.members:
                kind, flags = node.members[name]
                if request and flags & READ_ONLY:
                    yield f"{here}: read-only"
                elif not request and flags & WRITE_ONLY and given is not None:
                    yield f"{here}: write-only"
                else:
                    yield from self.check(kind, given, here, request=request)
            elif node.values is not None:
                yield from self.check(node.values, given, here, request=request)
            elif node.closed:
                yield f"{here}: not in the type"


def _folder() -> Path:
    folder = SHARED / "azure" / "specs"
    if not folder.is_dir():
        pytest.skip(f"the official types are not at {folder}")
    return folder


@lru_cache
def _load(namespace: str, version: str) -> Types:
    if (namespace, version) in SDK:
        name, roots = SDK[namespace, version]
        return _sdk(json.loads((_folder() / "sdk-models" / name).read_text(encoding="utf-8")), roots)
    nodes: dict[Any, Node] = {}
    roots_found: dict[str, Any] = {}
    for number, path in enumerate(sorted((_folder() / "bicep-types" / namespace / version).glob("*.json"))):
        _bicep(json.loads(path.read_text(encoding="utf-8")), number, nodes, roots_found)
    return Types(nodes, roots_found)


def _bicep(types: list[dict[str, Any]], file: int, nodes: dict[Any, Node], roots: dict[str, Any]) -> None:
    def key(reference: Mapping[str, str]) -> tuple[int, int]:
        return file, int(reference["$ref"].removeprefix("#/"))

    for number, entry in enumerate(types):
        kind = entry["$type"]
        if kind == "ResourceType":
            roots[entry["name"].partition("@")[0].lower()] = key(entry["body"])
        elif kind == "ResourceFunctionType":
            roots[f"{entry['resourceType']}/{entry['name']}".lower()] = key(entry["output"])
        elif kind in {"ObjectType", "DiscriminatedObjectType"}:
            given = {**(entry.get("properties") or {}), **(entry.get("baseProperties") or {})}
            members = {name: (key(value["type"]), int(value["flags"])) for name, value in given.items()}
            more = entry.get("additionalProperties")
            nodes[file, number] = Node(
                members, values=key(more) if more else None, closed=kind == "ObjectType" and more is None
            )
        elif kind == "ArrayType":
            nodes[file, number] = Node(items=key(entry["itemType"]))


def _sdk(models: dict[str, Any], roots: Mapping[str, str]) -> Types:
    nodes: dict[Any, Node] = {}

    def fields(name: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for base in models[name].get("bases") or []:
            if base in models:
                found |= fields(base)
        found |= models[name].get("fields", {})
        return found

    def reference(text: str) -> Any:
        match = re.search(r"_models\.(\w+)", text)
        inner = match[1] if match and match[1] in models and fields(match[1]) else None
        for shape in ("list", "dict"):
            if f"{shape}[" in text:
                nodes[text] = Node(items=inner) if shape == "list" else Node(values=inner or "")
                return text
        return inner

    for name in models:
        members = {
            member: (reference(value["type"]), READ_ONLY if value.get("visibility") == ["read"] else 0)
            for member, value in fields(name).items()
        }
        nodes[name] = Node(members, closed=bool(members))
    return Types(nodes, roots)


def _nearest(namespace: str, version: str) -> str:
    folder = _folder() / "bicep-types" / namespace
    known = sorted({path.name for path in folder.iterdir()} | {v for n, v in SDK if n == namespace})
    if version in known:
        return version
    if "-preview" in version:
        previews = [one for one in known if "-preview" in one]
        return (previews or known)[-1]
    stable = [one for one in known if "-preview" not in one]
    return next((one for one in stable if one >= version), stable[-1])


def _check(kind: str, version: str, body: Any, *, request: bool) -> list[str]:
    namespace = kind.partition("/")[0].lower()
    nearest = _nearest(namespace, version)
    types = _load(namespace, nearest)
    short = kind.lower() if (namespace, nearest) not in SDK else kind.lower().partition("/")[2]
    root = types.roots.get(short)
    if root is None:
        raise KeyError(f"{kind} is not among the types of {namespace} {nearest}")
    if not request and isinstance(body, dict) and isinstance(body.get("value"), list) and "id" not in body:
        listed = set(body) - {"value", "nextLink"}
        return [f"{name}: not in a listing" for name in sorted(listed)] + [
            found for entry in body["value"] for found in _check(kind, version, entry, request=False)
        ]
    return list(types.check(root, body, "", request=request))


def check_response(kind: str, version: str, body: Any) -> list[str]:
    """What in an answer of a type is not in the official type; a listing is checked item by item."""
    allowed = BEYOND.get(kind.lower(), ())
    return [
        found
        for found in _check(kind, version, body, request=False)
        if not any(re.fullmatch(pattern, found.partition(": ")[0]) for pattern in allowed)
    ]


def check_request(kind: str, version: str, body: Any) -> list[str]:
    """What in a request for a type is not in the official type, or is read-only there."""
    return _check(kind, version, body, request=True)
