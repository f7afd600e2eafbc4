"""The token store of Easy Auth: a SAS URL that an identity replaces, and what stands against it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from migrator.model import App, Resource
from migrator.passwordless import token_store
from migrator.planning.places import AppView
from scanners.model import AzureLocation, Secret
from tests.planner.estates import Spec, make

GROUP = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-shop"
APP = f"{GROUP}/providers/Microsoft.App/containerApps/web"
IDENTITY = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-web"
ACCOUNT = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/shopdata"
SIGNATURE = "c4n4ryKqZr7tLw9pRsHb3nJ6yC8vQ2xZ7mLw4pRsHb3%3D"
SAS = f"https://shopdata.blob.core.windows.net/tokens?sv=2022-11-02&sr=c&sp=rwd&se=2030-01-01T00:00:00Z&sig={SIGNATURE}"
TARGETS = (
    Resource(ACCOUNT, {"properties": {"primaryEndpoints": {"blob": "https://shopdata.blob.core.windows.net/"}}}),
)


def decide(value: str = SAS, identity: str = "id-web", targets: tuple[Resource, ...] = TARGETS) -> dict[str, Any]:
    found = token_store.decide(Secret(value), identity, IDENTITY, "oid", targets).as_dict()
    assert SIGNATURE not in str(found)
    return found


def test_an_identity_writes_into_the_container() -> None:
    found = decide()
    assert found["outcome"] == "configuration"
    store = "authConfigs/current login.tokenStore.azureBlobStorage"
    assert found["changes"] == [
        {"action": "remove", "name": f"{store}.sasUrlSettingName"},
        {
            "action": "set",
            "name": f"{store}.blobContainerUri",
            "value": "https://shopdata.blob.core.windows.net/tokens",
        },
        {"action": "set", "name": f"{store}.managedIdentityResourceId", "value": IDENTITY},
    ]
    (role,) = found["roles"]
    assert role["role"] == "Storage Blob Data Contributor"
    assert role["scope"] == f"{ACCOUNT}/blobServices/default/containers/tokens"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"identity": ""}, "user-assigned identity only"),
        ({"targets": ()}, "no resource named shopdata"),
        ({"value": "https://files.example.com/tokens?sig=x"}, "no SAS URL"),
    ],
)
def test_what_stands_against_it(options: dict[str, Any], why: str) -> None:
    found = decide(**options)
    assert (found["outcome"], found["changes"]) == ("vault-reference", [])
    assert why in found["against"][0]


def test_only_the_secret_of_the_store_is_taken() -> None:
    auth = {"properties": {"login": {"tokenStore": {"azureBlobStorage": {"sasUrlSettingName": "tokens-sas"}}}}}
    view = AppView(App(APP, {"name": "web", "properties": {}}, auth=auth))
    assert token_store.takes(view, {"tokens-sas"})
    assert not token_store.takes(view, {"client-secret"})
    assert not token_store.takes(AppView(App(APP, {"name": "web", "properties": {}})), {"tokens-sas", ""})


@pytest.mark.parametrize("also_in_env", [False, True])
def test_a_plan_advises_it_where_nothing_else_takes_the_url(also_in_env: bool) -> None:
    auth = {"properties": {"login": {"tokenStore": {"azureBlobStorage": {"sasUrlSettingName": "tokens-sas"}}}}}
    env = [{"name": "BLOB", "secretRef": "tokens-sas"}] if also_in_env else []
    template = {"containers": [{"name": "main", "image": "nginx", "env": env}]}
    plan = make(Spec(inline={"tokens-sas": SAS}, auth=auth, template=template), targets=TARGETS)
    (advice,) = plan.passwordless
    assert SIGNATURE not in plan.to_json()
    assert (advice["client"] == "Easy Auth token store") is not also_in_env
    assert (advice["outcome"] == "configuration") is not also_in_env


def test_an_event_rule_of_a_job_is_advised_like_a_scale_rule() -> None:
    connection = "DefaultEndpointsProtocol=https;AccountName=shopdata;AccountKey=" + "Kq8vZr4t" * 10 + "abcdef=="
    rule = {
        "name": "queue",
        "type": "azure-queue",
        "metadata": {"queueName": "orders", "queueLength": "1"},
        "auth": [{"secretRef": "queue", "triggerParameter": "connection"}],
    }
    spec = Spec(
        name="nightly",
        inline={"queue": connection},
        configuration={"triggerType": "Event", "eventTriggerConfig": {"scale": {"rules": [rule]}}},
    )
    app = spec.app()
    job = replace(app, id=app.id.replace("containerApps", "jobs"), document={**app.document})
    found = replace(
        spec.findings()[0], location=AzureLocation(job.id, "properties.configuration.secrets[0].value", "queue")
    )
    plan = make(findings=[found], jobs=(job,), targets=TARGETS)
    (advice,) = plan.passwordless
    assert (advice["outcome"], advice["client"]) == ("configuration", "KEDA azure-queue")
    assert {"action": "set", "name": "scale rule queue: metadata.accountName", "value": "shopdata"} in advice["changes"]
    assert [role["role"] for role in advice["roles"]] == ["Storage Queue Data Reader"]
