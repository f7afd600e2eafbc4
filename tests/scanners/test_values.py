"""One named value at a time: what a live env variable must be for it to be a finding, and what must not be one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scanners.engine import Engine
from scanners.examples import expand
from scanners.judge import Form, judge
from scanners.model import Secret
from tests.scanners.cases import SHARED

SECRET = [
    ("DB_PASSWORD", "Summer2024", "env-secret"),
    ("DB_PASSWORD", "hunter2", "env-secret"),
    ("DB_PASSWORD", "correct horse battery staple", "env-secret"),
    ("POSTGRES_PASSWORD", "postgres", "env-secret"),
    ("REDIS_PASSWORD", "20231105", "env-secret"),
    ("API_TOKEN", "3f2504e0-4f89-41d3-9a0c-0305e82c3301", "env-secret"),
    ("STRIPE_SECRET", "%{alnum:24}", "env-secret"),
    ("OPENAI_API_KEY", "sk-%{alnum:48}", "openai-key"),
    ("JWT_SECRET", "s3cr3tSigningValue!", "env-secret"),
    ("Jwt__Key", "%{base64:44}", "env-secret"),
    (
        "ConnectionStrings__Default",
        "Server=tcp:x.database.windows.net,1433;Database=o;User ID=app;Password=Winter2023!;Encrypt=True",
        "azure-sql-connection-string",
    ),
    (
        "ConnectionStrings__Default",
        "Host=db;Port=5432;Username=app;Password=pw;Database=x",
        "ado-net-connection-string",
    ),
    ("DATABASE_URL", "postgres://app:hunter2@db.contoso.net/orders", "postgres-url"),
    ("CACHE", "contoso.redis.cache.windows.net:6380,password=%{base64:43}=,ssl=True", "azure-redis-connection-string"),
    ("SOMETHING", "%{key:storage:Default0}", "azure-storage-key"),
    ("HELLO", "%{key:service-bus:Send0000}", "azure-service-bus-key"),
    ("AZURE_CLIENT_SECRET", "%{entra}", "azure-entra-client-secret"),
    ("X", "%{cask:ACOG:AAAB}", "azure-openai-key"),
    ("KEY_PEM", "-----BEGIN PRIVATE KEY-----\n%{base64:64}\n%{base64:64}\n-----END PRIVATE KEY-----", "private-key"),
    ("SESSION", "%{jwt}", "jwt"),
    ("CONFIG", '{"Db":{"Password":"%{word:14}"},"x":1}', "assigned-secret"),
    (
        "BLOB_URL",
        "https://c.blob.core.windows.net/x?sv=2022-11-02&ss=b&srt=sco&sp=rl&se=2031-01-01&sig=%{alnum:43}%3D",
        "azure-sas-token",
    ),
    ("GITHUB_TOKEN", "ghp_%{alnum:36}", "github-pat"),
    ("SMTP_PASS", "Abc.1234", "env-secret"),
    ("APP_SECRET", "MyS3cretValue2024", "env-secret"),
    ("ADMIN_PASSWORD", "P@ssw0rd!", "env-secret"),
    ("STORAGE_KEY", "%{base64:86}==", "azure-account-key"),
    ("EncryptionKey", "%{hex:64}", "env-secret"),
    ("WEBHOOK_TOKEN", "%{hex:32}", "env-secret"),
    ("DbPassword", "${DB_PW:-Sup3rS3cret}", "default-secret"),
    ("PW", "abcd1234", "env-secret"),
    ("SQL_PASSWORD", "$w0rd$$fish", "env-secret"),
]
INNOCENT = [
    ("KEY_VAULT_URL", "https://kv-labkv.vault.azure.net/"),
    ("SECRET_NAME", "demo-secret"),
    ("RESTART_TOKEN", "1782462304"),
    ("testenv", "testing"),
    ("HTTP_PORT", "80"),
    (
        "APPLICATIONINSIGHTS_CONNECTION_STRING",
        "InstrumentationKey=1b4e28ba-2fa1-41d2-883f-0016d3cca427;IngestionEndpoint=https://koreacentral-0.in.applicationinsights.azure.com/;LiveEndpoint=https://k/;ApplicationId=1b4e28ba-2fa1-41d2-883f-0016d3cca427",
    ),
    ("APPINSIGHTS_INSTRUMENTATIONKEY", "1b4e28ba-2fa1-41d2-883f-0016d3cca427"),
    ("AZURE_CLIENT_ID", "1b4e28ba-2fa1-41d2-883f-0016d3cca427"),
    ("AZURE_TENANT_ID", "1b4e28ba-2fa1-41d2-883f-0016d3cca427"),
    ("DB_PASSWORD", "secretref:db-password"),
    ("DB_PASSWORD", "@Microsoft.KeyVault(SecretUri=https://x.vault.azure.net/secrets/y)"),
    ("DB_PASSWORD", "https://x.vault.azure.net/secrets/y"),
    ("DB_PASSWORD", "${DB_PASSWORD}"),
    ("DB_PASSWORD", "$(db-password)"),
    ("DB_PASSWORD", "changeme"),
    ("DB_PASSWORD", "<your-password>"),
    ("DB_PASSWORD", "/run/secrets/db"),
    ("DB_PASSWORD_FILE", "/run/secrets/db"),
    ("DB_PASSWORD", "true"),
    ("DB_PASSWORD", ""),
    ("API_KEY", "xxxxxxxxxxxxxxxxxxxx"),
    ("TOKEN_ENDPOINT", "https://login.microsoftonline.com/x/oauth2/v2.0/token"),
    ("MAX_TOKENS", "4096"),
    ("IMAGE", "contoso.azurecr.io/app:1.2.3"),
    ("ASPNETCORE_URLS", "http://+:8080"),
    ("AzureServiceBus__FullyQualifiedNamespace", "contoso.servicebus.windows.net"),
    (
        "ConnectionStrings__Default",
        "Server=tcp:x.database.windows.net,1433;Database=o;Authentication=Active Directory Default;Encrypt=True",
    ),
    ("STORAGE_ACCOUNT_KEY", "secretref:storage-key"),
    ("AzureWebJobsStorage", "UseDevelopmentStorage=true"),
    (
        "AzureWebJobsStorage",
        "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;",
    ),
    ("GIT_COMMIT", "9fceb02d0ae598e95dc970b74767f19372d61af8"),
    ("IMAGE_DIGEST", "sha256:9fceb02d0ae598e95dc970b74767f19372d61af89fceb02d0ae598e95dc970b7"),
    ("PUBLIC_KEY", "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----"),
    ("PASSWORD_POLICY", "strong"),
    ("JWT_ISSUER", "https://contoso.eu"),
    ("JWT_AUDIENCE", "api://1b4e28ba-2fa1-41d2-883f-0016d3cca427"),
    ("CLIENT_SECRET_NAME", "kvref-h1-value"),
    ("REDIS_HOST", "contoso.redis.cache.windows.net:6380"),
    ("LOG_LEVEL", "Information"),
    ("CACHE_KEY", "orders:latest"),
    ("PARTITION_KEY", "/tenantId"),
    ("SECRET_STORE", "azurekeyvault"),
    ("FEATURE_TOKEN_AUTH", "enabled"),
    ("TOKEN_TTL", "3600s"),
    ("AUTH_MODE", "oidc"),
    ("COSMOS_ENDPOINT", "https://contoso.documents.azure.com:443/"),
    ("IDENTITY_HEADER", "X"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "key=value"),
    ("POSTGRES_USER", "postgres"),
    ("USER_PASSWORD_FLOW", "B2C_1_ropc"),
    ("APP_ID", "%{hex:24}"),
    ("VERSION", "1.0.0-20240101-abcdef12"),
    ("ELASTIC_SECRET", "my-secret"),
    ("SECRET_KEY_REF", "abc"),
    ("TOKEN_NAME", "MyTokenName123"),
    ("PASSWORD_RESET_URL", "https://contoso.eu/reset"),
    ("API_KEY", "<API_KEY>"),
    ("API_KEY", "{{api_key}}"),
    ("API_KEY", "your-api-key-here"),
    ("OIDC_CLIENT", "web-app"),
    ("SSL_CERT_FILE", "/etc/ssl/cert.pem"),
    ("NEXT_PUBLIC_KEY", "pk_live_x"),
    ("AZURE_KEY_VAULT_NAME", "kv-contoso-prod-01"),
    ("COOKIE_NAME", ".AspNetCore.Session"),
    ("REGISTRY_PASSWORD", "password"),
    ("S3_BUCKET", "contoso-backup-2024"),
    ("DATABASE_URL", "postgresql://db.contoso.net:5432/orders"),
    ("DATABASE_URL", "postgresql://app:${DB_PASSWORD}@db/orders"),
    ("CRON", "*/5 * * * *"),
    ("JAVA_OPTS", "-Xmx512m -Dspring.profiles.active=prod"),
    ("CORS", "https://a.contoso.eu,https://b.contoso.eu"),
    ("KEYS", "a,b,c"),
    ("PASSWORDLESS", "true"),
    ("ROLE_ID", "4633458b-17de-408a-b874-0445c86b69e6"),
    ("SIGNING_KEY_ID", "2024-05-01-a1b2c3d4e5f6a7b8c9"),
]


@pytest.mark.parametrize(("name", "value", "rule"), SECRET, ids=[f"{n}-{i}" for i, (n, *_) in enumerate(SECRET)])
def test_a_secret_is_found(engine: Engine, name: str, value: str, rule: str) -> None:
    match = engine.scan_value(name, Secret(expand(value)))
    assert match is not None
    assert match.rule == rule
    # The whole value is what moves to the vault, so the whole value is what was found.
    assert match.secret == Secret(expand(value))
    assert (match.start, match.end) == (0, len(expand(value).encode()))


@pytest.mark.parametrize(("name", "value"), INNOCENT, ids=[f"{n}-{i}" for i, (n, _) in enumerate(INNOCENT)])
def test_what_is_no_secret_is_not_found(engine: Engine, name: str, value: str) -> None:
    assert engine.scan_value(name, Secret(expand(value))) is None


def test_weak_passwords_are_found_and_called_weak(engine: Engine) -> None:
    match = engine.scan_value("POSTGRES_PASSWORD", Secret("postgres"))
    assert match is not None
    assert match.weak


def test_both_matchers_judge_alike(engine: Engine, plain_engine: Engine) -> None:
    for name, value, *_ in [*SECRET, *INNOCENT]:
        one, other = (e.scan_value(name, Secret(expand(value))) for e in (engine, plain_engine))
        assert (one and one.rule) == (other and other.rule), name


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.text(max_size=30), st.text(max_size=200))
def test_no_name_or_value_breaks_it(engine: Engine, name: str, value: str) -> None:
    engine.scan_value(name, Secret(value))


# Quiet on what real apps hold


def entries(node: Any) -> Iterator[tuple[str, str]]:
    """Every env entry with a value anywhere in a JSON document, also in JSON inside strings."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "env" and isinstance(value, list):
                for entry in value:
                    if isinstance(entry, dict) and isinstance(entry.get("value"), str) and not entry.get("secretRef"):
                        yield str(entry.get("name")), entry["value"]
            yield from entries(value)
    elif isinstance(node, list):
        for value in node:
            yield from entries(value)
    elif isinstance(node, str) and node[:1] in "{[":
        try:
            yield from entries(json.loads(node))
        except ValueError:
            return


def recorded() -> Iterator[Path]:
    for folder in ("azure/recordings", "azure/traffic"):
        yield from sorted((SHARED / folder).rglob("*.json"))


def test_nothing_in_recorded_apps_is_a_finding(engine: Engine) -> None:
    if not (SHARED / "azure").is_dir():
        pytest.skip("no recordings beside the repository")
    seen = set()
    for path in recorded():
        try:
            seen |= set(entries(json.loads(path.read_text())))
        except ValueError:
            continue
    assert len(seen) >= 7
    assert [name for name, value in sorted(seen) if engine.scan_value(name, Secret(value)) is not None] == []


@given(
    name=st.sampled_from(
        ["token", "api_key", "Key", "clientSecret", "auth", "connectionString", "jwt", "AWS_SECRET_KEY", "salt"]
    ),
    value=st.from_regex(r"[A-Za-z_. -]{1,19}", fullmatch=True) | st.from_regex(r"[a-fA-F]{1,19}", fullmatch=True),
    form=st.sampled_from([form for form in Form if form is not Form.LIVE]),
)
@settings(max_examples=300, deadline=None)
def test_few_letters_are_a_secret_only_where_a_password_is_asked_for(name: str, value: str, form: Form) -> None:
    """What is written in a file is turned down by that before it is judged."""
    assert judge(name, value, form) is None
