"""What stays as it is: each reason has a code, a sentence and a way out."""

from __future__ import annotations

from typing import Any

import pytest

from migrator.errors import UsageError
from migrator.model import Lock
from migrator.planning.options import Options
from scanners.model import Confidence, FileLocation, Finding, Severity

from .estates import (
    GROUP,
    KEY,
    OTHER,
    PASSWORD,
    SUBSCRIPTION,
    TOKEN,
    VAULT_ID,
    VAULT_URI,
    Spec,
    app_id,
    codes,
    entry,
    finding,
    held,
    ids,
    make,
    notes,
    options,
    registry,
    rid,
    step,
    vault,
)

GROUP_SCOPE = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"


def lock(scope: str, level: str = "ReadOnly") -> Lock:
    return Lock(f"{scope}/providers/Microsoft.Authorization/locks/keep", scope, level)


BOTH: dict[str, Any] = {"env": {"DB": PASSWORD}, "inline": {"token": TOKEN}}


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({"enableRbacAuthorization": False}, "vault-access-policies"),
        ({"enableRbacAuthorization": None}, "vault-access-policies"),
        ({"publicNetworkAccess": "Disabled"}, "vault-firewall"),
        ({"networkAcls": {"defaultAction": "Deny", "bypass": "AzureServices"}}, "vault-firewall"),
    ],
)
def test_a_vault_can_stop_everything(properties: Any, code: str) -> None:
    plan = make(Spec(**BOTH), vaults=(vault(**properties),))
    assert plan.steps == ()
    assert codes(plan) == [code, code]
    assert all("az keyvault" in entry["hint"] for entry in plan.skipped)


@pytest.mark.parametrize(
    ("parts", "more", "code"),
    [
        ({"document": {"managedBy": "/subscriptions/x/owner"}}, {}, "managed-by"),
        ({}, {"locks": (lock(app_id("orders")),)}, "app-lock"),
        ({}, {"locks": (lock(f"/subscriptions/{SUBSCRIPTION}"),)}, "vault-lock"),
        ({"group": "rg-other"}, {"locks": (lock(GROUP_SCOPE.replace(GROUP, "RG-Other")),)}, "app-lock"),
        ({"properties": {"provisioningState": "Failed"}}, {}, "app-failed"),
        ({"properties": {"provisioningState": "InProgress"}}, {}, "app-busy"),
        ({"secrets_read": False}, {}, "secrets-unreadable"),
        ({"references": {"old": (f"{VAULT_URI}/secrets/gone", None)}}, {}, "broken-reference"),
    ],
)
def test_an_app_can_stop_all_its_values(parts: Any, more: Any, code: str) -> None:
    plan = make(Spec(**BOTH, **parts), **more)
    assert plan.steps == ()
    assert codes(plan) == [code, code]
    assert all(entry["reason"] and "az " in entry["hint"] for entry in plan.skipped)


def test_a_lock_elsewhere_stops_nothing() -> None:
    plan = make(Spec(**BOTH), locks=(lock(GROUP_SCOPE + "-2"), lock(app_id("web"))))
    assert plan.skipped == ()


def test_a_lock_against_deletion_is_told() -> None:
    plan = make(Spec(**BOTH), locks=(lock(GROUP_SCOPE, "CanNotDelete"),))
    assert plan.skipped == ()
    assert len(notes(plan, "lock")) == 2


def test_an_app_nobody_could_look_into_is_named() -> None:
    spec = Spec(inline={"token": None}, secrets_read=False)
    errors = ({"where": spec.id, "what": "no right to list its secrets", "hint": "ask for it"},)
    plan = make(spec, findings=[], errors=errors)
    assert codes(plan) == ["secrets-unreadable"]
    assert plan.skipped[0]["finding"] == {"resource": spec.id}
    assert "ask for it" in notes(plan, "unread")[0]
    assert make(Spec(secrets_read=False)).skipped == ()


def test_an_empty_secret_stops_its_app() -> None:
    plan = make(Spec(env={"DB": PASSWORD}, inline={"blank": ""}))
    assert sorted(codes(plan)) == ["blank-secret", "empty"]
    unread = make(Spec(env={"DB": PASSWORD}, inline={"blank": None}))
    assert sorted(codes(unread)) == ["blank-secret", "empty"]


def test_a_template_that_cannot_have_a_new_revision_stops_env_values_only() -> None:
    twice = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}, {"name": "DB", "value": PASSWORD}]
    spec = Spec(
        inline={"token": TOKEN, "acr-password": OTHER},
        registries=[entry()],
        template={"containers": [{"name": "main", "env": twice}]},
    )
    at = finding(spec.id, "properties.template.containers[0].env[2].value", "DB", PASSWORD)
    plan = make(spec, findings=[*spec.findings(), at], registries=(registry(),))
    assert codes(plan) == ["duplicate-env"]
    change = step(plan, "app-switch").change
    assert change["revision"] == "none"
    assert [s["name"] for s in change["secrets"]] == ["acr-password", "token"]
    assert "twice" in notes(plan, "registry")[0]
    assert codes(make(Spec(env={"DB": PASSWORD}, mode="Labels"))) == ["revision-mode"]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("secretRef:db", "literal-secretref"),
        ("SECRETREF: db", "literal-secretref"),
        ("@Microsoft.KeyVault(SecretUri=https://x)", "literal-keyvault"),
        (PASSWORD + "$$", "expansion"),
        (PASSWORD + "$(HOST)", "expansion"),
        ("x" * 25_001, "too-large"),
        ("ü" * 12_501, "too-large"),
    ],
)
def test_values_that_stay(value: str, code: str) -> None:
    plan = make(Spec(env={"DB": value, "TOKEN": TOKEN}))
    assert codes(plan) == [code]
    assert [e["env"] for e in step(plan, "app-switch").change["env"]] == ["TOKEN"]


def test_values_at_the_limit_and_with_a_dollar_move() -> None:
    plan = make(Spec(env={"DB": "x" * 25_000, "TOKEN": TOKEN + "$x$"}))
    assert plan.skipped == ()


def test_a_scale_rule_that_reads_a_variable_keeps_it() -> None:
    rule = {"name": "queue", "custom": {"type": "azure-queue", "metadata": {"connectionFromEnv": "DB"}}}
    plan = make(Spec(env={"DB": PASSWORD, "TOKEN": TOKEN}, template={"scale": {"rules": [rule]}}))
    assert codes(plan) == ["scale-rule-env"]


def test_a_volume_of_all_secrets_takes_no_new_ones() -> None:
    volume = {"volumes": [{"name": "all", "storageType": "Secret"}]}
    plan = make(Spec(env={"DB": PASSWORD, "SAME": TOKEN}, inline={"token": TOKEN}, template=volume))
    assert codes(plan) == ["secret-volume"]
    change = step(plan, "app-switch").change
    assert [s["name"] for s in change["secrets"]] == ["token"]
    assert [e["secret"] for e in change["env"]] == ["token"]
    listed = {"volumes": [{"name": "all", "storageType": "Secret", "secrets": [{"secretRef": "token"}]}]}
    assert make(Spec(env={"DB": PASSWORD}, inline={"token": TOKEN}, template=listed)).skipped == ()


def test_secrets_of_one_app_have_a_limit_together() -> None:
    large = {f"V{n:02}": f"{n:02}" + "x" * 24_990 for n in range(45)}
    plan = make(Spec(env=large))
    assert set(codes(plan)) == {"app-secret-limit"}
    assert len(step(plan, "app-switch").change["env"]) == 40


def test_what_is_no_credential_or_a_reference_already() -> None:
    fic = Spec(inline={"override-use-mi-fic-assertion-client-id": "0f8fad5b-d9cb-469f-a165-70867728950e"})
    assert codes(make(fic)) == ["no-credential"]
    spec = Spec(references={"db": (f"{VAULT_URI}/secrets/db", PASSWORD)})
    at = finding(spec.id, "properties.configuration.secrets[0].value", "db", PASSWORD)
    assert codes(make(spec, findings=[at])) == ["already-reference"]


@pytest.mark.parametrize(
    ("resource", "path", "code"),
    [
        (
            app_id("orders"),
            "properties.template.containers[0].probes[0].httpGet.httpHeaders[0].value",
            "unsupported-place",
        ),
        (app_id("orders"), "properties.template.containers[0].args[1]", "gone"),
        (app_id("orders"), "properties.template.scale.rules[0].custom.metadata.password", "gone"),
        (app_id("orders"), "properties.template.containers[0].env[9].value", "gone"),
        (app_id("nowhere"), "properties.template.containers[0].env[0].value", "gone"),
        (
            app_id("orders") + "/revisions/orders--0000001",
            "properties.template.containers[0].env[0].value",
            "old-revision",
        ),
        (rid("Microsoft.ContainerRegistry/registries", "acr"), "properties.adminUserEnabled", "admin-user"),
        (rid("Microsoft.App/managedEnvironments", "e") + "/daprComponents/c", "properties.x", "dapr-component"),
        (rid("Microsoft.App/jobs", "j"), "properties.template.containers[0].env[0].value", "gone"),
        (rid("Microsoft.Web/sites", "w"), "properties.x", "other-resource"),
    ],
)
def test_places_that_a_plan_does_not_reach(resource: str, path: str, code: str) -> None:
    plan = make(Spec(), findings=[finding(resource, path, "X", PASSWORD)])
    assert codes(plan) == [code]
    assert plan.steps == ()


def test_an_env_entry_under_another_name_is_not_touched() -> None:
    spec = Spec(env={"DB": PASSWORD})
    at = finding(spec.id, "properties.template.containers[0].env[0].value", "DATABASE", PASSWORD)
    assert codes(make(spec, findings=[at])) == ["gone"]


def test_doubt_and_permission_leave_a_value_alone() -> None:
    spec = Spec(env={"DB": PASSWORD})
    path = "properties.template.containers[0].env[0].value"
    low = finding(spec.id, path, "DB", PASSWORD, confidence=Confidence.LOW)
    assert codes(make(spec, findings=[low])) == ["low-confidence"]
    fine = finding(spec.id, path, "DB", PASSWORD, status="allowed")
    assert codes(make(spec, findings=[fine])) == ["allowed"]
    sure = finding(spec.id, path, "DB", PASSWORD, rule="checked", confidence=Confidence.MEDIUM)
    plan = make(spec, findings=[low, sure])
    assert plan.skipped == ()
    assert plan.steps


def test_a_finding_in_a_file_becomes_rest_risk() -> None:
    spec = Spec(env={"DB": PASSWORD})
    place = FileLocation("deploy/app.bicep", 12, 3)
    file = Finding("password", "A password", Severity.HIGH, Confidence.HIGH, place, KEY.of(PASSWORD), "")
    plan = make(spec, findings=[*spec.findings(), file])
    assert codes(plan) == ["not-live"]
    assert any(risk["where"] == "deploy/app.bicep:12" for risk in plan.rest_risk)


@pytest.mark.parametrize(
    ("secret", "on_conflict", "code", "way"),
    [
        (held("orders-db", OTHER), None, "vault-conflict", "--on-conflict rename"),
        (held("orders-db", None), None, "vault-unreadable", "Key Vault Secrets Officer"),
        (held("orders-db", None), "new-version", "vault-unreadable", "Key Vault Secrets Officer"),
        (held("orders-db", None, enabled=False), None, "vault-disabled", "--on-conflict new-version"),
        (held("orders-db", None, deleted=True), None, "vault-deleted", "az keyvault secret recover"),
        (held("orders-db", None, deleted=True), "new-version", "vault-deleted", "az keyvault secret purge"),
    ],
)
def test_the_vault_holds_something_else(secret: Any, on_conflict: Any, code: str, way: str) -> None:
    spec = Spec(env={"DB": PASSWORD})
    plan = make(spec, vaults=(vault(secret),), options=options(on_conflict=on_conflict))
    assert codes(plan) == [code]
    assert way in plan.skipped[0]["hint"]
    assert plan.steps == ()


def test_a_conflict_leaves_the_rest_of_the_app() -> None:
    plan = make(Spec(env={"DB": PASSWORD, "TOKEN": TOKEN}), vaults=(vault(held("orders-db", OTHER)),))
    assert codes(plan) == ["vault-conflict"]
    assert "orders/vault-secret/orders-token" in ids(plan)
    assert [e["env"] for e in step(plan, "app-switch").change["env"]] == ["TOKEN"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"vault": ""},
        {"identity": "me"},
        {"identity": app_id("orders")},
        {"on_conflict": "overwrite"},
        {"passwordless": "yes"},
        {"vault_secret_name": "{app}"},
        {"vault_secret_name": "{app}-{name!r}"},
        {"vault_secret_name": "{team}-{name}"},
        {"vault_secret_name": "{name"},
    ],
)
def test_options_that_cannot_be(wrong: Any) -> None:
    with pytest.raises(UsageError) as error:
        Options(**{"vault": "kv-shop", **wrong})
    assert error.value.hint


def test_a_vault_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="no vault kv-none"):
        make(Spec(), options=Options("kv-none"))
    assert make(Spec(), options=Options(VAULT_ID.upper())).options["vault"] == VAULT_ID
