"""Every full app document captured on live Azure loads as it stands and comes back equal.

Apart from what Azure itself rewrites: `resourceGroup`, which the command line adds to what it prints, is no member of
the resource. Partial captures (a query's output) load too, and keep what they say.
"""

from __future__ import annotations

import copy
import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from migrator.simulator.azure import Azure
from tests.conformance import types
from tests.simulator.inside import Inside

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
FOLDER = SHARED / "azure" / "recordings"
KIND = "Microsoft.App/containerApps"


def _is_app(document: Any) -> bool:
    properties = document.get("properties") if isinstance(document, dict) else None
    return (
        isinstance(properties, dict)
        and str(document.get("type", "")).lower() == KIND.lower()
        and isinstance(properties.get("template"), dict)
        and isinstance(properties.get("configuration"), dict)
    )


def _yaml(path: Path) -> Any:
    yaml: Any = importlib.import_module("yaml")  # comes with detect-secrets; has no types of its own
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _documents() -> Iterator[tuple[str, Any, str]]:
    """Name, document and api-version of each full app document among the recordings."""
    for path in sorted((FOLDER / "live-captures").rglob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        if _is_app(document):
            yield path.relative_to(FOLDER).as_posix(), document, "2026-03-02-preview"
    for path in sorted((FOLDER / "live-captures").rglob("*.yaml")):
        yield path.relative_to(FOLDER).as_posix(), _yaml(path), "2026-03-02-preview"
    for path in sorted(FOLDER.rglob("*.json")):
        entry = json.loads(path.read_text(encoding="utf-8"))
        body = entry.get("response_body") if isinstance(entry, dict) else None
        if _is_app(body):
            yield path.relative_to(FOLDER).as_posix(), body, entry.get("api_version") or "2024-03-01"
    for path in sorted((SHARED / "azure" / "traffic" / "flows").glob("*.json")):
        for number, entry in enumerate(json.loads(path.read_text(encoding="utf-8"))):
            body = entry["response_body"]
            settled = isinstance(body, dict) and (body.get("properties") or {}).get("provisioningState") == "Succeeded"
            if _is_app(body) and settled:
                yield f"{path.stem}-{number}", body, entry["api_version"]


@pytest.fixture(scope="module")
def documents() -> list[tuple[str, Any, str]]:
    if not FOLDER.is_dir():
        pytest.skip(f"the recordings are not at {FOLDER}")
    return list(_documents())


def _loaded(document: Any) -> Inside:
    cloud = Inside()
    _, _, subscription, _, group, *_ = document["id"].split("/")
    world = cloud.azure.world
    whole = f"/subscriptions/{subscription}/resourceGroups/{group}"
    world.table("subscriptions")[subscription.lower()] = {
        "id": subscription,
        "displayName": "x",
        "tenantId": world.tenant,
    }
    world.table("groups")[whole.lower()] = {"id": whole, "name": group, "location": "eastus", "tags": {}}
    cloud.grant(cloud.operator, "Owner", f"/subscriptions/{subscription}")
    load(cloud.azure, document)
    return cloud


def load(azure: Azure, document: Any) -> None:
    azure.loaders[KIND.lower()](azure, copy.deepcopy(document))


def test_documents_come_back_as_they_were(documents: list[tuple[str, Any, str]]) -> None:
    assert sum(name.startswith("live-captures") for name, _, _ in documents) == 6
    different = {}
    for name, document, version in documents:
        cloud = _loaded(document)
        answer = cloud.arm("GET", document["id"], version=version)
        assert answer.status == 200, (name, answer.body)
        expected = {key: value for key, value in document.items() if key != "resourceGroup"}
        # transcribed by hand: what was left out says nothing; a null member may be younger than the recording
        partial = name.startswith("azure-cli-transcribed")
        if found := [d for d in _differences(expected, answer.body, "") if not (partial and ABSENT in d)]:
            different[name] = found
    assert different == {}


ABSENT = "(absent)"


def _differences(one: Any, other: Any, path: str) -> list[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [*one, *(key for key in other if key not in one and other[key] is not None)]
        return [d for key in keys for d in _differences(one.get(key, ABSENT), other.get(key, ABSENT), f"{path}.{key}")]
    return [] if one == other else [f"{path}: {str(one)[:80]} became {str(other)[:80]}"]


def test_captured_apps_run(documents: list[tuple[str, Any, str]]) -> None:
    for name, document, _ in documents:
        cloud = _loaded(document)
        latest = document["properties"].get("latestRevisionName")
        listed = cloud.arm("GET", f"{document['id']}/revisions", version="2025-07-01").body["value"]
        found = {entry["name"]: entry["properties"] for entry in listed}
        if latest:
            assert found[latest]["runningState"] in {"Running", "RunningAtMaxScale"}, name
            replicas = cloud.arm("GET", f"{document['id']}/revisions/{latest}/replicas", version="2025-07-01")
            assert replicas.body["value"][0]["properties"]["runningState"] == "Running", name
            assert not types.check_response(f"{KIND}/revisions", "2025-07-01", {"value": listed})


def test_a_captured_app_can_be_changed(documents: list[tuple[str, Any, str]]) -> None:
    for name, document, _ in documents:
        if not name.startswith("live-captures"):
            continue
        cloud = _loaded(document)
        before = cloud.arm("GET", document["id"], version="2026-03-02-preview").body
        # secrets that were captured by name only have a value here, so that a write is not refused for want of it
        changed = cloud.arm("PATCH", document["id"], {"tags": {"seen": "yes"}}, version="2025-07-01")
        assert changed.status == 202, (name, changed.body)
        cloud.wait(30)
        after = cloud.arm("GET", document["id"], version="2026-03-02-preview").body
        assert after.pop("tags")["seen"] == "yes"
        for body in (before, after):
            body.pop("systemData")
            body.pop("tags", None)
        assert after == before, name
