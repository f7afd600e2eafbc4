"""What keylift proposes and does not do by itself: the value stays a secret though configuration alone is enough."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.passwordless.decision import Decision, Outcome

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
