from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from scanners.engine import Engine
from scanners.examples import expand
from scanners.model import AzureLocation, Finding, Fingerprinter, Secret
from scanners.sources import container_app
from scanners.sources.container_app import FIC_SENTINEL

APP = "/subscriptions/s/resourceGroups/g/providers/Microsoft.App/containerApps/orders"
KEY = expand("%{key:service-bus:Send0000}")
VAULT = "https://kv.vault.azure.net/secrets/db"


@dataclass(frozen=True)
class Named:
    name: str
    value: Secret | None
    key_vault_url: str | None = None
    identity: str | None = None


def app(**parts: Any) -> dict[str, Any]:
    configuration = {"secrets": None, "registries": None, **parts.get("configuration", {})}
    template = {"containers": parts.get("containers", []), "initContainers": parts.get("init")}
    return {"id": APP, "name": "orders", "properties": {"configuration": configuration, "template": template}}


def env(*entries: tuple[str, str]) -> dict[str, Any]:
    return {"name": "main", "env": [{"name": name, "value": value} for name, value in entries]}


def at(finding: Finding) -> tuple[str, str, str]:
    assert isinstance(finding.location, AzureLocation)
    return finding.rule, finding.location.path, finding.location.name


@pytest.fixture
def scan(engine: Engine, fingerprinter: Fingerprinter) -> Any:
    def run(
        document: dict[str, Any], secrets: tuple[Named, ...] = (), known: dict[str, str] | None = None
    ) -> list[Finding]:
        return container_app.scan(document, secrets, engine, fingerprinter, known or {})

    return run


def test_env_values_of_containers_and_init_containers(scan: Any) -> None:
    document = app(
        containers=[env(("PORT", "80")), env(("A", "b"), ("HELLO", KEY))], init=[env(("DB_PASSWORD", "Summer2024!"))]
    )
    findings = scan(document)
    assert [at(f) for f in findings] == [
        ("azure-service-bus-key", "properties.template.containers[1].env[1].value", "HELLO"),
        ("env-secret", "properties.template.initContainers[0].env[0].value", "DB_PASSWORD"),
    ]
    assert findings[0].verified == "checksum"
    assert findings[0].detail == "Service Bus key with Send right"


def test_an_entry_with_a_reference_has_no_value(scan: Any) -> None:
    entry = {"name": "DB_PASSWORD", "value": "", "secretRef": "db"}
    stale = {"name": "DB_PASSWORD", "value": "Summer2024!", "secretRef": "db"}
    assert scan(app(containers=[{"env": [entry, stale, {"name": "DB_PASSWORD"}]}, {"env": None}, {}])) == []


def test_every_inline_secret_is_one_whatever_its_value(scan: Any) -> None:
    names = {"secrets": [{"name": "flag"}, {"name": "bus"}, {"name": "db"}, {"name": FIC_SENTINEL}]}
    secrets = (
        Named("bus", Secret(KEY)),
        Named("flag", Secret("true")),
        Named("db", Secret("resolved-from-vault"), VAULT, "system"),
        Named(FIC_SENTINEL, Secret(expand("%{guid}"))),
        Named("unread", None),
    )
    findings = scan(app(configuration=names), secrets)
    assert sorted(at(f) for f in findings) == [
        ("aca-inline-secret", "properties.configuration.secrets[0].value", "flag"),
        ("azure-service-bus-key", "properties.configuration.secrets[1].value", "bus"),
    ]
    assert {str(f.confidence) for f in findings} == {"high"}


def test_a_secret_that_listsecrets_alone_knows_has_its_place_there(scan: Any) -> None:
    (finding,) = scan(app(), (Named("db", Secret("")),))
    assert at(finding) == ("aca-inline-secret", "properties.configuration.secrets[0].value", "db")


def test_a_registry_password_is_its_secret_once_more(scan: Any) -> None:
    registries = [
        {"server": "a.azurecr.io", "identity": "system", "username": "", "passwordSecretRef": ""},
        {"server": "b.azurecr.io", "username": "b", "passwordSecretRef": "reg", "identity": ""},
        {"server": "c.azurecr.io", "username": "c", "passwordSecretRef": "vaulted"},
    ]
    secrets = (Named("reg", Secret("pw-of-b-7")), Named("vaulted", Secret("x" * 20), VAULT, "system"))
    findings = scan(app(configuration={"registries": registries}), secrets)
    assert [at(f) for f in findings] == [
        ("aca-inline-secret", "properties.configuration.secrets[0].value", "reg"),
        ("aca-registry-password", "properties.configuration.registries[1].passwordSecretRef", "b.azurecr.io"),
    ]
    assert findings[0].fingerprint == findings[1].fingerprint


@pytest.mark.parametrize("text", ["secretRef:db-password", "secretref:db-password", " SECRETREF:x"])
def test_a_mistyped_reference_is_told_as_what_it_is(scan: Any, text: str) -> None:
    (finding,) = scan(app(containers=[env(("DB_PASSWORD", text))]))
    assert finding.rule == "aca-literal-secretref"


def test_the_same_value_in_several_places_has_one_fingerprint(scan: Any) -> None:
    document = app(containers=[env(("A_PASSWORD", "Winter-2025x")), env(("B_PASSWORD", "Winter-2025x"))])
    first, second = scan(document, (Named("pw", Secret("Winter-2025x")),))[:2]
    assert first.fingerprint == second.fingerprint
    assert first.location != second.location


def test_a_known_value_under_a_harmless_name(scan: Any, fingerprinter: Fingerprinter) -> None:
    other = (Named("db-password", Secret("violet kettle$drum"), VAULT, "system"), Named("mode", Secret("verbose")))
    known = container_app.known_secrets([(app(), other)], fingerprinter)
    document = app(
        containers=[env(("LEGACY", "violet kettle$drum"), ("X", "violet kettle$$drum"), ("MODE", "verbose"))]
    )
    findings = scan(document, known=known)
    assert [at(f)[0::2] for f in findings] == [("aca-known-secret-value", "LEGACY"), ("aca-known-secret-value", "X")]
    assert findings[0].detail == "equals the secret db-password"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("db-user", "postgres"),
        ("endpoint", "https://contoso.vault.azure.net/"),
        ("host", "contoso.redis.cache.windows.net"),
        ("client-id", "1b4e28ba-2fa1-41d2-883f-0016d3cca427"),
        ("short", "a7!x"),
        ("flag", "disabled"),
        ("image", "contoso.azurecr.io/app:1.2.3"),
    ],
)
def test_values_that_anybody_could_choose_are_not_known(
    scan: Any, fingerprinter: Fingerprinter, name: str, value: str
) -> None:
    known = container_app.known_secrets([(app(), (Named(name, Secret(value)),))], fingerprinter)
    assert scan(app(containers=[env(("OTHER_SETTING", value))]), known=known) == []


def test_env_values_that_a_rule_finds_are_known_too(engine: Engine, fingerprinter: Fingerprinter) -> None:
    documents = [(app(containers=[env(("DB_PASSWORD", "Summer2024!"))]), ())]
    assert list(container_app.known_secrets(documents, fingerprinter, engine).values()) == ["DB_PASSWORD"]
    assert container_app.known_secrets(documents, fingerprinter) == {}


def test_revisions_are_scanned_alike(scan: Any) -> None:
    revision = {
        "id": f"{APP}/revisions/orders--1",
        "properties": {"template": {"containers": [env(("API_TOKEN", KEY))]}},
    }
    (finding,) = scan(revision)
    assert finding.location.as_dict()["resource"] == f"{APP}/revisions/orders--1"


def test_a_registry_with_the_admin_user_on(fingerprinter: Fingerprinter) -> None:
    resource = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries/contoso"
    document = {"id": resource, "name": "contoso", "properties": {"adminUserEnabled": True}}
    (finding,) = container_app.scan_registry(document, fingerprinter)
    assert at(finding) == ("acr-admin-user", "properties.adminUserEnabled", "contoso")
    assert finding.fingerprint == fingerprinter.of(resource.lower())
    document["properties"] = {"adminUserEnabled": False}
    assert container_app.scan_registry(document, fingerprinter) == []
    assert container_app.scan_registry({}, fingerprinter) == []


@pytest.mark.parametrize(
    "document", [{}, {"properties": None}, {"properties": {"template": {"containers": None}}}, {"properties": []}]
)
def test_misshapen_documents_hold_nothing(scan: Any, document: dict[str, Any]) -> None:
    assert scan(document) == []


def test_no_value_is_in_a_finding(scan: Any) -> None:
    document = app(containers=[env(("DB_PASSWORD", "correct-horse-battery"), ("HELLO", KEY))])
    text = json.dumps([finding.as_dict() for finding in scan(document, (Named("s", Secret("inline-value-77")),))])
    assert "correct-horse" not in text
    assert KEY[4:] not in text
    assert "inline-value" not in text
