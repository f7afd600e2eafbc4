"""Every answer of Microsoft.App is checked against the official types, and the checker against what was recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from migrator.simulator.apps.versions import VERSIONS
from tests.conformance import flows, traffic, types
from tests.simulator.apps import APP, ENVIRONMENT, Apps

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
KINDS = {
    "microsoft.app/containerapps": "Microsoft.App/containerApps",
    "microsoft.app/containerapps/revisions": "Microsoft.App/containerApps/revisions",
    "microsoft.app/containerapps/revisions/replicas": "Microsoft.App/containerApps/revisions/replicas",
    "microsoft.app/containerapps/authconfigs": "Microsoft.App/containerApps/authConfigs",
    "microsoft.app/managedenvironments": "Microsoft.App/managedEnvironments",
    "microsoft.app/jobs": "Microsoft.App/jobs",
    "microsoft.app/managedenvironments/daprcomponents": "Microsoft.App/managedEnvironments/daprComponents",
    "microsoft.app/managedenvironments/storages": "Microsoft.App/managedEnvironments/storages",
    "microsoft.app/managedenvironments/certificates": "Microsoft.App/managedEnvironments/certificates",
}
RICH: Any = {
    "location": "westeurope",
    "tags": {"a": "b"},
    "identity": {"type": "SystemAssigned"},
    "properties": {
        "configuration": {
            "secrets": [{"name": "one", "value": "1"}, {"name": "two", "value": "2"}],
            "activeRevisionsMode": "Multiple",
            "ingress": {
                "external": True,
                "targetPort": 80,
                "traffic": [{"latestRevision": True, "weight": 100, "label": "main"}],
            },
            "registries": [{"server": "example.com", "username": "u", "passwordSecretRef": "one"}],
            "dapr": {"enabled": True, "appId": "app", "appPort": 80},
        },
        "template": {
            "containers": [
                {
                    "name": "main",
                    "image": "nginx",
                    "env": [{"name": "A", "value": "1"}, {"name": "B", "secretRef": "two"}],
                    "probes": [{"type": "Liveness", "httpGet": {"path": "/", "port": 80}}],
                    "volumeMounts": [{"volumeName": "v", "mountPath": "/v"}],
                    "resources": {"cpu": 0.25, "memory": "0.5Gi"},
                }
            ],
            "initContainers": [{"name": "first", "image": "busybox", "env": [{"name": "A", "secretRef": "one"}]}],
            "scale": {
                "minReplicas": 1,
                "maxReplicas": 3,
                "rules": [
                    {"name": "h", "http": {"metadata": {"concurrentRequests": "5"}}},
                    {
                        "name": "q",
                        "custom": {
                            "type": "azure-servicebus",
                            "metadata": {"queueName": "q"},
                            "auth": [{"secretRef": "two", "triggerParameter": "connection"}],
                        },
                    },
                ],
            },
            "volumes": [{"name": "v", "storageType": "EmptyDir"}],
        },
    },
}


@pytest.fixture(scope="module")
def specs() -> None:
    if not (SHARED / "azure" / "specs").is_dir():
        pytest.skip(f"the official types are not at {SHARED / 'azure' / 'specs'}")


def _wrong(version: str, body: Any) -> list[str]:
    """What is wrong with a body: each resource in it is known by its own `type`."""
    entries = body.get("value") if isinstance(body.get("value"), list) else [body]
    found = []
    for entry in entries:
        kind = KINDS.get(str(entry.get("type", "")).lower()) if isinstance(entry, dict) else None
        if kind is not None:
            found += [f"{kind}: {wrong}" for wrong in types.check_response(kind, version, entry)]
    return found


@pytest.mark.usefixtures("specs")
def test_recorded_answers_pass_the_checker() -> None:
    seen = 0
    for path in sorted((SHARED / "azure" / "traffic" / "flows").glob("*.json")):
        for entry in json.loads(path.read_text(encoding="utf-8")):
            if isinstance(entry["response_body"], dict):
                assert _wrong(entry["api_version"], entry["response_body"]) == [], path.name
                seen += 1
    assert seen > 300


@pytest.mark.usefixtures("specs")
def test_answers_to_recorded_requests_are_of_the_types() -> None:
    wrong = set()
    for path in sorted((SHARED / "azure" / "traffic" / "flows").glob("*.json")):
        for step, body in traffic.answers(flows.read(path)):
            if isinstance(body, dict):
                version = step.url.partition("api-version=")[2].partition("&")[0]
                wrong |= {f"{version} {found}" for found in _wrong(version, body)}
    assert sorted(wrong) == []


@pytest.mark.usefixtures("specs")
@pytest.mark.parametrize("version", VERSIONS)
def test_answers_of_each_version_are_of_its_types(version: str) -> None:
    apps = Apps()
    apps.create(**RICH)
    name = apps.latest()
    revision = f"{APP}/revisions/{name}"
    paths = [APP, ENVIRONMENT, f"{APP}/revisions", revision, f"{revision}/replicas"]
    for path in paths:
        response = apps.arm("GET", path, version=version)
        assert response.status == 200, response.body
        assert _wrong(version, response.body) == [], path
    if version == "2022-03-01":
        return
    body = {
        "properties": {
            "platform": {"enabled": True},
            "login": {},
            "identityProviders": {"azureActiveDirectory": {"registration": {"clientSecretSettingName": "one"}}},
        }
    }
    response = apps.arm("PUT", f"{APP}/authConfigs/current", body, version=version)
    assert response.status == 200, response.body
    assert _wrong(version, response.body) == []


@pytest.mark.usefixtures("specs")
@pytest.mark.parametrize("version", [version for version in VERSIONS if version >= "2024"])
def test_jobs_and_parts_of_environments_are_of_their_types(version: str) -> None:
    apps = Apps()
    job = f"{ENVIRONMENT.partition('/managedEnvironments/')[0]}/jobs/nightly"
    template = {key: RICH["properties"]["template"][key] for key in ("containers", "initContainers", "volumes")}
    configuration = {key: RICH["properties"]["configuration"][key] for key in ("secrets", "registries")}
    configuration |= {"triggerType": "Schedule", "scheduleTriggerConfig": {"cronExpression": "0 0 * * *"}}
    properties = {"environmentId": ENVIRONMENT, "configuration": configuration, "template": template}
    share = {"accountName": "a", "accountKey": "k", "shareName": "s", "accessMode": "ReadOnly"}
    component = {"componentType": "state.redis", "version": "v1", "secrets": [{"name": "s", "value": "v"}]}
    bodies = {
        job: {"location": "westeurope", "identity": {"type": "SystemAssigned"}, "properties": properties},
        f"{ENVIRONMENT}/daprComponents/state": {"properties": component},
        f"{ENVIRONMENT}/storages/files": {"properties": {"azureFile": share}},
        f"{ENVIRONMENT}/certificates/site": {
            "location": "westeurope",
            "properties": {"value": "AA==", "password": "p"},
        },
    }
    for path, body in bodies.items():
        if path != job and version == "2026-07-01":
            continue  # the official types of that version hold apps, jobs and environments only
        for method in ("PUT", "GET"):
            response = apps.arm(method, path, body if method == "PUT" else None, version=version)
            assert response.status in {200, 201}, response.body
            assert _wrong(version, response.body) == [], path


@pytest.mark.usefixtures("specs")
def test_the_checker_finds_what_is_wrong() -> None:
    kind = "Microsoft.App/containerApps"
    body = {"id": "x", "properties": {"foo": 1, "provisioningState": "Succeeded"}}
    assert types.check_response(kind, "2025-07-01", body) == ["properties.foo: not in the type"]
    assert types.check_request(kind, "2025-07-01", {"properties": {"provisioningState": "Succeeded"}}) == [
        "properties.provisioningState: read-only"
    ]
    secrets = {"properties": {"configuration": {"secrets": [{"name": "a", "value": "b"}]}}}
    assert types.check_request(kind, "2026-07-01", secrets) == []
    assert types.check_response(kind, "2025-07-01", secrets) == [
        "properties.configuration.secrets[0].value: write-only"
    ]
    assert types.check_request(kind, "2026-07-01", {"properties": {"template": {"containers": [{"bar": 1}]}}}) == [
        "properties.template.containers[0].bar: not in the type"
    ]
    assert types.check_request("Microsoft.KeyVault/vaults", "2025-05-01", {"properties": {"sku": {"x": 1}}})
