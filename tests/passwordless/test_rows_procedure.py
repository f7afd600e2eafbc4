"""The order in which a secret is judged: what stands in the way comes before what would be possible, use by use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from migrator.passwordless.code import read_code
from migrator.passwordless.decision import Outcome, Subject, decide
from migrator.passwordless.evidence import Code, Evidence, Sight
from migrator.passwordless.pointer import point
from migrator.proposing import with_targets
from scanners.model import Secret
from tests.executor import world

from .projects import BUS, TARGETS, csproj
from .test_apply import GROUP, KEY, TRIGGER, bus, planned, steps

ASPIRE_REDIS = {
    "app.csproj": csproj("Aspire.Microsoft.Azure.StackExchangeRedis 9.4.0"),
    "p.cs": 'builder.AddRedisClientBuilder("x").WithAzureAuthentication();',
}
X = "ConnectionStrings__x"


def of(kind: str, name: str, **properties: Any) -> dict[str, Any]:
    return {"id": f"{GROUP}/providers/{kind}/{name}", "location": "westeurope", "properties": properties}


NOT_READY = {
    "aad-enabled is false": (
        X, f"r1.redis.cache.windows.net:6380,password={KEY},ssl=True", ASPIRE_REDIS,
        of("Microsoft.Cache/redis", "r1", hostName="r1.redis.cache.windows.net", redisConfiguration={"aad-enabled": "false"}),
        "az redis update",
    ),
    "authOptions is apiKeyOnly": (
        X, f"Endpoint=https://se1.search.windows.net/;Key={KEY}",
        {"app.csproj": csproj("Aspire.Azure.Search.Documents 9.0.0"), "p.cs": 'builder.AddAzureSearchClient("x");'},
        of("Microsoft.Search/searchServices", "se1", authOptions={"apiKeyOnly": {}}), "--auth-options aadOrApiKey",
    ),
    "no customSubDomainName": (
        X, f"Endpoint=https://ai1.openai.azure.com/;Key={KEY}",
        {"app.csproj": csproj("Aspire.Azure.AI.OpenAI 9.0.0"), "p.cs": 'builder.AddAzureOpenAIClient("x");'},
        of("Microsoft.CognitiveServices/accounts", "ai1", endpoint="https://ai1.openai.azure.com/"), "--custom-domain ai1",
    ),
    "disableAadAuth is true": (
        "Azure__SignalR__ConnectionString", f"Endpoint=https://s1.service.signalr.net;AccessKey={KEY};Version=1.0;",
        {"p.cs": "builder.Services.AddSignalR().AddAzureSignalR();"},
        of("Microsoft.SignalRService/signalR", "s1", hostName="s1.service.signalr.net", disableAadAuth=True), "--disable-aad-auth false",
    ),
    "no Entra administrator": (
        "DB", "Server=tcp:sql1.database.windows.net,1433;Database=shop;User ID=app;Password=CanaryP4ss-Kq8vZr4tLw;",
        {"app.csproj": csproj("Microsoft.Data.SqlClient 5.2.0")},
        of("Microsoft.Sql/servers", "sql1", fullyQualifiedDomainName="sql1.database.windows.net"), "az sql server ad-admin create",
    ),
    "PostgreSQL without Entra sign-in": (
        X, "Host=pg1.postgres.database.azure.com;Username=app;Password=CanaryP4ss-Kq8vZr4tLw;Database=shop",
        {"app.csproj": csproj("Aspire.Azure.Npgsql 9.0.0"), "p.cs": 'builder.AddAzureNpgsqlDataSource("x");'},
        of(
            "Microsoft.DBforPostgreSQL/flexibleServers", "pg1", fullyQualifiedDomainName="pg1.postgres.database.azure.com",
            authConfig={"activeDirectoryAuth": "Disabled"},
        ),
        "--microsoft-entra-auth Enabled",
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", NOT_READY)
def test_5_step_2_what_the_resource_lacks_is_a_persons_decision(row: str, tmp_path: Path) -> None:
    name, value, code, target, command = NOT_READY[row]
    with world.inside(world.estate(world.app("api", {name: value}), target), tmp_path) as live:
        plan = planned(live, tmp_path, code, planted=[value])
        (advice,) = plan.passwordless
        assert [command in entry["command"] for entry in advice["before"]] == [True]
        assert "vault-secret" in steps(plan)
        assert not any(step.change.get("swaps") for step in plan.steps)
        assert any(
            "first, and for a person to decide" in note["text"] and command in note["text"] for note in plan.notes
        )


def test_5_step_1_a_key_that_the_service_does_not_list_stays() -> None:
    (namespace,) = (target for target in TARGETS if target.name == "ns1")
    listing = type(namespace)(namespace.id, {**namespace.document, "keys": {"another": "primary"}})
    code = Code(names={"connection:x": (Sight("f.cs", 1, "connection"),)})
    evidence = Evidence({"X": None, "FUNCTIONS_WORKER_RUNTIME": "node"}, code=code)
    subject = Subject("X", point(Secret(BUS)), evidence, key="this one")
    assert decide(subject, TARGETS).outcome is Outcome.CONFIGURATION
    found = decide(subject, (listing,))
    assert found.outcome is Outcome.VAULT
    assert "no key of ns1" in found.fails[0]


@pytest.mark.parametrize(
    ("env", "function_app", "outcome"),
    [
        ({"FUNCTIONS_WORKER_RUNTIME": "node"}, False, Outcome.CONFIGURATION),
        ({"AzureWebJobsFeatureFlags": "EnableWorkerIndexing"}, False, Outcome.CONFIGURATION),
        ({}, True, Outcome.CONFIGURATION),
        ({}, False, Outcome.VAULT),
    ],
)
def test_5_step_5_a_binding_counts_where_the_functions_host_runs(
    env: dict[str, str | None], function_app: bool, outcome: Outcome
) -> None:
    code = Code(names={"connection:x": (Sight("f.cs", 1, "connection"),)})
    evidence = Evidence({"X": None, **env}, function_app, code)
    assert decide(Subject("X", point(Secret(BUS)), evidence), TARGETS).outcome is outcome


def test_5_each_consumer_by_itself_and_the_key_stays_on_for_the_rest(tmp_path: Path) -> None:
    value = BUS
    apps = [world.app(name, {"FUNCTIONS_WORKER_RUNTIME": "node", "Bus": value}) for name in ("one", "two")]
    folders = {}
    for name, files in {"one": TRIGGER, "two": {**TRIGGER, "g.cs": "new ServiceBusClient(connectionString)"}}.items():
        folder = tmp_path / name
        folder.mkdir()
        for path, text in files.items():
            (folder / path).write_text(text)
        folders[name] = read_code(folder)
    with world.inside(world.estate(*apps, bus()), tmp_path) as live:
        estate = with_targets(live.session, live.read(), None)
        plan = live.plan(estate=estate, passwordless="apply", code=folders, planted=[value])
        by_app: dict[str, set[str]] = {}
        for step in plan.steps:
            by_app.setdefault(step.app.rpartition("/")[2], set()).add(step.kind)
        assert "vault-secret" not in by_app["one"]
        assert "access-wait" in by_app["one"]
        assert "vault-secret" in by_app["two"]
        assert "access-wait" not in by_app["two"]
        # closing the key is nobody's step: it is what is left to do, with who else would break
        assert any(risk["where"] == bus()["id"] for risk in plan.rest_risk)
        assert not any("disableLocalAuth" in str(step.change) for step in plan.steps)
