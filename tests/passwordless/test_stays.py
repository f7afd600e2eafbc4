"""What keylift proposes and does not do by itself: the value stays a secret though configuration alone is enough."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from migrator.passwordless.decision import Decision, Outcome
from tests.executor import world

from . import test_apply as apply
from .projects import BUS, STORAGE, csproj, judged

ASPIRE = {
    "app.csproj": csproj("Aspire.Azure.Messaging.ServiceBus 9.0.0"),
    "Program.cs": 'builder.AddAzureServiceBusClient("bus");',
}


def aspire(folder: Path, files: dict[str, str] | None = None, **env: str) -> Decision:
    given: dict[str, str | None] = {"ConnectionStrings__bus": BUS, **env}
    return judged(folder, {**ASPIRE, **(files or {})}, "ConnectionStrings__bus", BUS, env=given)


def test_variables_for_all_credentials_are_set_where_nothing_else_signs_in(tmp_path: Path) -> None:
    found = aspire(tmp_path, ConnectionStrings__other=STORAGE)
    assert (found.outcome, found.stays) == (Outcome.CONFIGURATION, ())
    assert {change.name for change in found.changes} >= {"AZURE_CLIENT_ID", "AZURE_TOKEN_CREDENTIALS"}


@pytest.mark.parametrize(
    ("files", "env"),
    [
        ({"Blobs.cs": "new BlobServiceClient(uri, new DefaultAzureCredential())"}, {}),
        ({}, {"Jobs__fullyQualifiedNamespace": "ns2.servicebus.windows.net"}),
        ({}, {"ConnectionStrings__files": "https://acme.blob.core.windows.net/"}),
        ({}, {"AZURE_CLIENT_ID": "8f1b"}),
    ],
)
def test_they_are_not_set_where_that_would_move_another_connection(
    tmp_path: Path, files: dict[str, str], env: dict[str, str]
) -> None:
    assert aspire(tmp_path, files, **env).stays


BLOBS = 'void Run([BlobTrigger("in/{name}", Connection = "Files")] string blob) {}'


def test_a_blob_trigger_gets_its_queues_and_keeps_the_hosts_key(tmp_path: Path) -> None:
    env: dict[str, str | None] = {"FUNCTIONS_WORKER_RUNTIME": "dotnet", "Files": None, "AzureWebJobsStorage": None}
    own = judged(tmp_path, {"f.cs": BLOBS}, "Files", STORAGE, env=env)
    assert {grant.role.name for grant in own.grants} == {"Storage Blob Data Owner", "Storage Queue Data Contributor"}
    assert own.stays == ()
    host = judged(tmp_path, {"f.cs": BLOBS}, "AzureWebJobsStorage", STORAGE, env=env)
    assert host.outcome is Outcome.CONFIGURATION
    assert host.stays
    quiet = judged(
        tmp_path / "quiet",
        {"f.cs": 'void Run([TimerTrigger("0 0 * * * *")] object t) {}'},
        "AzureWebJobsStorage",
        STORAGE,
        env=env,
    )
    assert quiet.stays == ()


def test_code_that_signs_with_the_key_keeps_it(tmp_path: Path) -> None:
    files = {"f.cs": BLOBS, "sas.cs": "blob.GenerateSasUri(BlobSasPermissions.Read, later)"}
    env: dict[str, str | None] = {"FUNCTIONS_WORKER_RUNTIME": "dotnet", "Files": None}
    assert judged(tmp_path, files, "Files", STORAGE, env=env).stays


def _bus_app(env: list[dict[str, Any]] | None = None, **configuration: Any) -> dict[str, Any]:
    found = world.app("func", {"FUNCTIONS_WORKER_RUNTIME": "node", "Bus": apply.BUS}, configuration=configuration)
    found["properties"]["template"]["containers"][0]["env"] += env or []
    return found


def _rule(app_: dict[str, Any]) -> dict[str, Any]:
    app_["properties"]["configuration"]["secrets"] = [{"name": "bus", "value": apply.BUS}]
    env = app_["properties"]["template"]["containers"][0]["env"]
    env[:] = [entry for entry in env if entry["name"] != "Bus"] + [{"name": "Bus", "secretRef": "bus"}]
    rule = {"type": "azure-servicebus", "metadata": {"queueName": "q", "connectionFromEnv": "Bus"}}
    app_["properties"]["template"]["scale"]["rules"] = [{"name": "r", "custom": rule}]
    return app_


def _init(app_: dict[str, Any]) -> dict[str, Any]:
    template = app_["properties"]["template"]
    template["initContainers"] = [{**template["containers"][0], "name": "prepare"}]
    return app_


OWN = f"{apply.GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/own"


def _barred(app_: dict[str, Any]) -> dict[str, Any]:
    app_["identity"] = {"type": "UserAssigned", "userAssignedIdentities": {OWN: {}}}
    app_["properties"]["configuration"]["identitySettings"] = [{"identity": OWN, "lifecycle": "None"}]
    return app_


@pytest.mark.parametrize(
    ("app_", "why"),
    [
        (_bus_app(), ""),
        (_rule(_bus_app()), "scale rule r reads Bus"),
        (_init(_bus_app()), "init container prepare"),
        (_barred(_bus_app()), "is kept from the app's containers"),
        (_bus_app([{"name": "COPY", "value": "x;$(Bus)"}]), "is made of $(Bus)"),
        (
            _bus_app([{"name": "Bus__fullyQualifiedNamespace", "value": "other.servicebus.windows.net"}]),
            "is set already",
        ),
    ],
    ids=["fits", "rule", "init", "lifecycle", "copy", "set"],
)
def test_an_app_that_does_not_fit_keeps_the_secret_in_the_vault(tmp_path: Path, app_: dict[str, Any], why: str) -> None:
    with world.inside(world.estate(app_, apply.bus()), tmp_path) as live:
        plan = apply.planned(live, tmp_path, apply.TRIGGER)
        swaps = [step for step in plan.steps if step.change.get("swaps")]
        notes = "\n".join(note["text"] for note in plan.notes if note["kind"] == "passwordless")
        assert bool(swaps) is not bool(why)
        assert why in notes
