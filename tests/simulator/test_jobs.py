"""Jobs of the simulated cloud: secrets, references, PATCH, executions that keep what they ran with, rights."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from migrator.simulator import estate
from migrator.simulator.azure import Azure
from migrator.simulator.clock import Clock
from migrator.simulator.providers import vault_secrets
from migrator.simulator.wire import Response
from migrator.simulator.world import World
from tests.simulator.apps import ENVIRONMENT, VERSION, Apps
from tests.simulator.inside import GROUP, VAULTS, code

JOB = f"{GROUP}/providers/Microsoft.App/jobs/nightly"
KV = f"{VAULTS}/kv-shop"
USER = "Key Vault Secrets User"
BODY: Any = {
    "location": "westeurope",
    "properties": {
        "environmentId": ENVIRONMENT,
        "configuration": {
            "triggerType": "manual",
            "replicaTimeout": 60,
            "secrets": [{"name": "db", "value": "plain-db"}, {"name": "other", "value": "plain-other"}],
        },
        "template": {
            "containers": [
                {
                    "name": "main",
                    "image": "busybox",
                    "env": [{"name": "DB", "value": "plain-db"}, {"name": "REF", "secretRef": "other"}],
                }
            ]
        },
    },
}


class Jobs(Apps):
    """A cloud with a vault and one job."""

    def __init__(self) -> None:
        super().__init__()
        self.load("Microsoft.KeyVault/vaults", {"id": KV, "location": "westeurope", "properties": {}})
        vault_secrets.plant(self.azure, KV, "db", "from the vault")
        assert self.ask("PUT", BODY).status == 201
        self.wait(60)

    def ask(self, method: str, body: Any = None, path: str = JOB, **more: Any) -> Response:
        return self.arm(method, path, body, version=VERSION, **more)

    def shown(self) -> Any:
        return self.ask("GET").body

    def set(self, properties: Any, **more: Any) -> Response:
        response = self.ask("PATCH", {"properties": properties, **more})
        if response.status == 202:
            self.wait(60)
        return response

    def listed(self, path: str = JOB) -> dict[str, Any]:
        return {entry["name"]: entry for entry in self.ask("POST", None, f"{path}/listSecrets").body["value"]}

    def run(self) -> Any:
        started = self.ask("POST", None, f"{JOB}/start").body
        self.wait(60)
        return self.ask("GET", None, started["id"]).body["properties"]


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


def test_a_job_shows_names_of_secrets_and_lists_their_values(jobs: Jobs) -> None:
    shown = jobs.shown()["properties"]["configuration"]
    assert shown["secrets"] == [{"name": "db"}, {"name": "other"}]
    assert shown["triggerType"] == "Manual"
    assert jobs.listed()["db"] == {"name": "db", "value": "plain-db"}


def test_a_patch_merges_and_an_array_of_secrets_is_the_whole_array(jobs: Jobs) -> None:
    assert jobs.set({"configuration": {"replicaTimeout": 90}}).status == 202
    after = jobs.shown()["properties"]
    assert after["configuration"]["replicaTimeout"] == 90
    assert after["configuration"]["secrets"] == [{"name": "db"}, {"name": "other"}]
    assert after["template"]["containers"][0]["env"][0]["value"] == "plain-db"
    # a secret that is only named has no value: the whole write is refused
    refused = jobs.set({"configuration": {"secrets": [{"name": "db"}, {"name": "other", "value": "x"}]}})
    assert code(refused) == "ContainerAppSecretInvalid"
    # one that is left out is gone, which the env entry that uses it does not allow
    gone = jobs.set({"configuration": {"secrets": [{"name": "db", "value": "plain-db"}]}})
    assert code(gone) == "ContainerAppSecretRefNotFound"


def test_a_reference_is_resolved_at_the_write_with_the_jobs_identity(jobs: Jobs) -> None:
    identity = jobs.user_identity("id-nightly")
    attach = {"type": "UserAssigned", "userAssignedIdentities": {identity: {}}}
    assert jobs.ask("PATCH", {"identity": attach}).status == 202
    jobs.wait(60)
    url = f"{jobs.azure.origin('vault:' + KV.lower())}/secrets/db"
    secrets = [
        {"name": "db", "keyVaultUrl": url, "identity": identity},
        {"name": "other", "value": "plain-other"},
    ]
    before = copy.deepcopy(jobs.shown())
    assert code(jobs.set({"configuration": {"secrets": secrets}})) == "InvalidParameterValueInContainerTemplate"
    assert jobs.shown() == before
    jobs.grant(jobs.principal(identity), USER, f"{KV}/secrets/db")
    assert jobs.set({"configuration": {"secrets": secrets}}).status == 202
    assert jobs.listed()["db"]["value"] == "from the vault"
    assert jobs.listed()["db"]["keyVaultUrl"] == url


def test_an_execution_keeps_the_values_it_ran_with(jobs: Jobs) -> None:
    assert jobs.run()["status"] == "Succeeded"
    containers = copy.deepcopy(jobs.shown()["properties"]["template"]["containers"])
    containers[0]["env"][0] = {"name": "DB", "secretRef": "db"}
    assert jobs.set({"template": {"containers": containers}}).status == 202
    jobs.run()
    newest, oldest = jobs.ask("GET", None, f"{JOB}/executions").body["value"]
    assert oldest["properties"]["template"]["containers"][0]["env"][0] == {"name": "DB", "value": "plain-db"}
    assert newest["properties"]["template"]["containers"][0]["env"][0] == {"name": "DB", "secretRef": "db"}


def test_an_execution_fails_without_what_the_job_needs(jobs: Jobs) -> None:
    jobs.azure.world.table("needs")[JOB.lower()] = [{"env": "REF", "value": "plain-other"}]
    assert jobs.run()["status"] == "Succeeded"
    secrets = [{"name": "db", "value": "plain-db"}, {"name": "other", "value": "wrong"}]
    assert jobs.set({"configuration": {"secrets": secrets}}).status == 202
    assert jobs.run()["status"] == "Failed"


def test_a_caller_may_start_a_job_with_another_template(jobs: Jobs) -> None:
    body = {"containers": [{"name": "main", "image": "busybox", "env": [{"name": "X", "value": "once"}]}]}
    started = jobs.ask("POST", body, f"{JOB}/start").body
    shown = jobs.ask("GET", None, started["id"]).body["properties"]["template"]["containers"][0]
    assert shown["env"] == [{"name": "X", "value": "once"}]
    assert jobs.shown()["properties"]["template"]["containers"][0]["env"][0]["name"] == "DB"


def test_who_reads_and_who_lists_secrets(jobs: Jobs) -> None:
    reader, operator = jobs.identity("reader"), jobs.identity("jobs-operator")
    jobs.grant(reader, "Reader", JOB)
    jobs.grant(operator, "Container Apps Jobs Operator", JOB)
    assert jobs.ask("GET", caller=reader).status == 200
    assert code(jobs.ask("POST", None, f"{JOB}/listSecrets", caller=reader)) == "AuthorizationFailed"
    assert jobs.ask("POST", None, f"{JOB}/listSecrets", caller=operator).status == 200


def test_a_second_write_waits_for_the_first(jobs: Jobs) -> None:
    assert jobs.ask("PATCH", {"properties": {"configuration": {"replicaTimeout": 1}}}).status == 202
    busy = jobs.ask("PATCH", {"properties": {"configuration": {"replicaTimeout": 2}}})
    assert (busy.status, code(busy)) == (409, "ContainerAppsJobOperationInProgress")


def test_a_rule_of_an_event_job_may_name_a_secret_that_is_not_there(jobs: Jobs) -> None:
    rule = {
        "name": "queue",
        "type": "azure-queue",
        "metadata": {"queueName": "q", "queueLength": 1},
        "auth": [{"secretRef": "nowhere", "triggerParameter": "connection"}],
    }
    event = {"eventTriggerConfig": {"scale": {"rules": [rule]}}, "triggerType": "Event"}
    assert jobs.set({"configuration": event}).status == 202
    assert jobs.shown()["properties"]["configuration"]["eventTriggerConfig"]["scale"]["rules"] == [rule]


def test_a_deleted_job_is_gone_with_its_executions(jobs: Jobs) -> None:
    jobs.run()
    assert jobs.ask("DELETE").status == 202
    jobs.wait(60)
    assert jobs.ask("GET").status == 404
    assert jobs.ask("DELETE").status == 204
    assert JOB.lower() not in jobs.azure.world.table("executions")


def test_a_job_of_an_estate_file_comes_with_executions_references_and_needs() -> None:
    identity = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-nightly"
    document = copy.deepcopy(BODY) | {"id": JOB}
    document["identity"] = {"type": "UserAssigned", "userAssignedIdentities": {identity: {}}}
    document["properties"]["configuration"]["secrets"][1] = {
        "name": "other",
        "keyVaultUrl": "https://kv-shop.vault.azure.net/secrets/other",
        "identity": identity,
    }
    execution = {
        "id": f"{JOB}/executions/nightly-abc1234",
        "properties": {"template": BODY["properties"]["template"]},
    }
    azure = Azure(World(), Clock(0.0, 1_700_000_000.0), origins={"arm": "https://arm", "entra": "https://arm"})
    estate.load(
        azure,
        {
            "schema": 1,
            "resources": [execution, document, {"id": KV, "properties": {"enableRbacAuthorization": True}}],
            "vaultSecrets": [{"vault": "kv-shop", "name": "other", "value": "from the vault"}],
            "roleAssignments": [{"principal": identity, "role": USER, "scope": KV}],
            "needs": [{"app": "nightly", "env": "REF"}],
        },
    )
    azure.settle()
    assert azure.world.table("needs")[JOB.lower()] == [{"env": "REF", "value": "from the vault"}]
    kept = azure.world.table("app-secrets")[JOB.lower()]
    assert {name: entry["value"] for name, entry in kept.items()} == {"db": "plain-db", "other": "from the vault"}
    (record,) = azure.world.table("executions")[JOB.lower()].values()
    assert record["template"]["containers"][0]["env"][0]["value"] == "plain-db"
