"""Each row of the surface has a scanner, which finds the value in the very place that the row names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest

from docs import surfacebook
from scanners.engine import Engine
from scanners.model import AzureLocation, Finding, Fingerprinter, Secret
from scanners.sources import container_app, surface
from scanners.structural import COMPONENT_SECRET, METADATA_SECRET, UNSEEN_SECRET
from scanners.surface import APP, ENVIRONMENT, JOB, POOL, ROWS, Does, Judge, Row, row_at
from tests import surfaces

DOCUMENTS = surfaces.documents()
KEY = Fingerprinter(b"k" * 32)


@dataclass(frozen=True, slots=True)
class Named:
    name: str
    value: Secret | None
    key_vault_url: str | None = None
    identity: str | None = None


def scan(document: dict[str, Any], engine: Engine, known: dict[str, str] | None = None) -> list[Finding]:
    """All findings of a document, as a scan of the estate puts them together."""
    properties = document.get("properties") or {}
    assert isinstance(properties, dict)
    found = container_app.scan(document, named(properties.get("configuration") or {}), engine, KEY, known or {})
    return found + surface.scan(document, named(properties), engine, KEY, known or {})


def named(holder: dict[str, Any]) -> list[Named]:
    return [Named(entry["name"], Secret(entry["value"])) for entry in holder.get("secrets") or []]


def at(findings: list[Finding]) -> dict[str, Finding]:
    return {place.path: finding for finding in findings if isinstance(place := finding.location, AzureLocation)}


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load()


@pytest.mark.parametrize(
    ("row", "kind", "path"), list(surfaces.planted()), ids=lambda value: str(getattr(value, "number", value))[-60:]
)
def test_a_value_is_found_in_its_place(engine: Engine, row: Row, kind: str, path: str) -> None:
    finding = at(scan(DOCUMENTS[kind], engine)).get(path)
    assert finding is not None, path
    assert isinstance(finding.location, AzureLocation)
    assert finding.location.resource == surfaces.IDS[kind]
    value = surfaces.canary(row, kind)
    if row.path.endswith("passwordSecretRef"):
        value = DOCUMENTS[kind]["properties"]["configuration"]["secrets"][0]["value"]
    assert finding.fingerprint == KEY.of(value), "the fingerprint is that of the value alone"
    assert value not in str(finding.as_dict())
    assert row_at(surfaces.IDS[kind], path) == row


def test_every_row_is_planted_or_never_shown() -> None:
    shown = {row.number for row, _, _ in surfaces.planted()}
    rest = {row.number for row in ROWS if row.does in {Does.NAMES, Does.UNTOLD, Does.NOTHING}} | {35}
    assert shown | rest == set(range(1, 37))


UNSEEN = {
    ENVIRONMENT: {
        "properties.appLogsConfiguration.logAnalyticsConfiguration.sharedKey",
        "properties.appInsightsConfiguration.connectionString",
        "properties.openTelemetryConfiguration.destinationsConfiguration.dataDogConfiguration.key",
        "properties.openTelemetryConfiguration.destinationsConfiguration.otlpConfigurations[0].headers[0].value",
        "properties.customDomainConfiguration.certificateValue",
    },
    f"{ENVIRONMENT}/certificates": {"properties.value"},
    f"{ENVIRONMENT}/storages": {"properties.azureFile.accountKey"},
    f"{APP}/sourcecontrols": {"properties.githubActionConfiguration.registryInfo.registryPassword"},
    POOL: {
        "properties.secrets[0].value",
        "properties.customContainerTemplate.registryCredentials.passwordSecretRef",
    },
}


def as_shown(kind: str) -> dict[str, object]:
    """A document as Azure gives it: without the values that it never shows."""
    text = re.sub(r"'(never-shown|bmV2ZXI=)'", "None", repr(DOCUMENTS[kind]))
    document: dict[str, object] = eval(text)
    if kind == ENVIRONMENT:
        document["properties"]["customDomainConfiguration"]["thumbprint"] = "AB"  # type: ignore[index]
    return document


@pytest.mark.parametrize("kind", sorted(UNSEEN))
def test_what_is_held_and_never_shown_is_named(kind: str) -> None:
    found = at(surface.unseen(as_shown(kind), KEY))
    assert set(found) == UNSEEN[kind]
    for path, finding in found.items():
        assert finding.rule == UNSEEN_SECRET.id
        assert finding.preview == ""
        row = row_at(surfaces.IDS[kind], path)
        assert row is not None
        assert row.does is Does.NAMES


@pytest.mark.parametrize(
    ("kind", "properties"),
    [
        (ENVIRONMENT, {"appLogsConfiguration": {"destination": "azure-monitor"}}),
        (
            ENVIRONMENT,
            {"customDomainConfiguration": {"thumbprint": "A", "certificateKeyVaultProperties": {"identity": "x"}}},
        ),
        (f"{ENVIRONMENT}/certificates", {"certificateKeyVaultProperties": {"identity": "system"}}),
        (f"{ENVIRONMENT}/storages", {"azureFile": {"accountKeyVaultProperties": {"identity": "system"}}}),
        (f"{ENVIRONMENT}/storages", {"nfsAzureFile": {"server": "s"}}),
        (POOL, {"customContainerTemplate": {"registryCredentials": {"identity": "system"}}}),
    ],
)
def test_where_an_identity_does_it_nothing_is_held(kind: str, properties: dict[str, object]) -> None:
    assert surface.unseen({"id": surfaces.IDS[kind], "properties": properties}, KEY) == []


def app(template: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": surfaces.IDS[APP], "properties": {"template": template}, **more}


SCALED = "properties.template.scale.rules[0].custom.metadata"


@pytest.mark.parametrize(
    ("metadata", "found"),
    [
        ({"connectionFromEnv": "SERVICEBUS_CONNECTION"}, False),
        ({"queueName": "orders", "namespace": "shop-bus", "queueLength": "5"}, False),
        ({"connection": "orders-2024-3"}, True),
        ({"masterKey": "shortish"}, True),
        ({"connection": "<connection string>"}, False),
    ],
)
def test_metadata_of_scalers(engine: Engine, metadata: dict[str, str], found: bool) -> None:
    rules = [{"name": "q", "custom": {"type": "azure-servicebus", "metadata": metadata}}]
    findings = at(scan(app({"scale": {"rules": rules}}), engine))
    assert bool(findings) is found
    if found:
        (path,) = findings
        assert path == f"{SCALED}.{next(iter(metadata))}"
        assert findings[path].rule == METADATA_SECRET.id


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (["serve", "--api-key", "q7Rw01xZk2LmT4vBn9"], 2),
        (["DB_PASSWORD=q7Rw01xZk2LmT4vBn9", "./run"], 0),
        (["sh", "-c", "curl -u admin:q7Rw01xZk2LmT4vBn9 https://shop.example.com"], 2),
        (["serve", "--port", "8080", "--verbose", "--api-key", "$(API_KEY)"], None),
        (["--password", "--verbose"], None),
    ],
)
def test_words_of_a_command(engine: Engine, words: list[str], place: int | None) -> None:
    findings = at(scan(app({"containers": [{"name": "c", "image": "nginx", "args": words}]}), engine))
    assert list(findings) == ([] if place is None else [f"properties.template.containers[0].args[{place}]"])
    for finding in findings.values():
        assert finding.fingerprint == KEY.of("q7Rw01xZk2LmT4vBn9")


def test_an_image_by_digest_is_no_credential(engine: Engine) -> None:
    image = "shop.azurecr.io/web@sha256:" + "ab" * 32
    assert scan(app({"containers": [{"name": "c", "image": image}]}), engine) == []


def test_a_known_value_is_found_under_any_name(engine: Engine) -> None:
    known = {KEY.of("ordinary words of five"): "db-password"}
    (finding,) = scan(app({"containers": []}, tags={"note": "ordinary words of five"}), engine, known)
    assert (finding.rule, finding.detail) == ("aca-known-secret-value", "equals the secret db-password")


def test_secrets_of_a_component_are_secrets_whatever_they_look_like(engine: Engine) -> None:
    document = {
        "id": surfaces.IDS[f"{ENVIRONMENT}/daprcomponents"],
        "properties": {"secrets": [{"name": "account", "value": "plainword"}], "metadata": []},
    }
    (finding,) = scan(document, engine)
    assert finding.rule == COMPONENT_SECRET.id


def test_the_page_says_what_the_rows_say() -> None:
    text = surfacebook.PAGE.read_text(encoding="utf-8")
    assert text == surfacebook.page(), "run: .venv/bin/python -m docs.regenerate"
    for row in ROWS:
        assert f"| {row.number} |" in text
        assert f"`{row.path}`" in text
        assert row.limit


def test_rows_of_other_sources_are_those_of_apps_and_jobs() -> None:
    own = {kind for row in ROWS if row.judge is Judge.OWN and row.does is not Does.NOTHING for kind in row.kinds}
    assert {APP, JOB} <= own
