"""Small estates by hand: what the cloud would have given, without a cloud."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from migrator import planner
from migrator.model import App, AppSecret, Estate, Json, Plan, Resource, RoleAssignment, Vault, VaultSecret
from migrator.planning.options import Options
from scanners.model import AzureLocation, Confidence, Finding, Fingerprinter, Secret, Severity, preview

SUBSCRIPTION = "11111111-1111-4111-8111-111111111111"
GROUP = "rg-shop"
KEY = Fingerprinter(b"k" * 32)
VAULT_URI = "https://kv-shop.vault.azure.net"
SECRETS_USER = "4633458b-17de-408a-b874-0445c86b69e6"
ACR_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
REPOSITORY_READER = "b93aa761-3e63-49ed-ac28-beffa264f7ac"
PASSWORD = "Canary-1-kX9vQ2mZ7pL4"
TOKEN = "Canary-2-bT5wR8nY3sF6"
OTHER = "Canary-3-hJ7cV1xG9dK2"


def rid(kind: str, name: str, group: str = GROUP) -> str:
    return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}/providers/{kind}/{name}"


def app_id(name: str, group: str = GROUP) -> str:
    return rid("Microsoft.App/containerApps", name, group)


def identity_id(name: str, group: str = GROUP) -> str:
    return rid("Microsoft.ManagedIdentity/userAssignedIdentities", name, group)


VAULT_ID = rid("Microsoft.KeyVault/vaults", "kv-shop")
ENVIRONMENT = rid("Microsoft.App/managedEnvironments", "env-shop", "rg-platform")


@dataclass
class Spec:
    """One app as a test says it."""

    name: str = "orders"
    group: str = GROUP
    env: Mapping[str, str] = field(default_factory=dict)
    init_env: Mapping[str, str] = field(default_factory=dict)
    inline: Mapping[str, str | None] = field(default_factory=dict)
    references: Mapping[str, tuple[str, str | None]] = field(default_factory=dict)
    """name -> (url, resolved value)"""
    registries: Iterable[Json] = ()
    identity: Json | None = None
    mode: str = "Single"
    traffic: Iterable[Json] | None = None
    ingress: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)
    template: Json = field(default_factory=dict)
    configuration: Json = field(default_factory=dict)
    properties: Json = field(default_factory=dict)
    document: Json = field(default_factory=dict)
    revisions: tuple[Json, ...] = ()
    auth: Json | None = None
    secrets_read: bool = True

    @property
    def id(self) -> str:
        return app_id(self.name, self.group)

    def app(self) -> App:
        containers: list[Json] = [
            {
                "name": "main",
                "image": "mcr.microsoft.com/k8se/quickstart:latest",
                "env": [{"name": name, "value": value} for name, value in self.env.items()],
            }
        ]
        template: Json = {"containers": containers, "scale": {"minReplicas": 1, "maxReplicas": 3}}
        if self.init_env:
            template["initContainers"] = [
                {"name": "init", "env": [{"name": name, "value": value} for name, value in self.init_env.items()]}
            ]
        names = [{"name": name} for name in self.inline] + [
            {"name": name, "keyVaultUrl": url, "identity": "system"} for name, (url, _) in self.references.items()
        ]
        configuration: Json = {
            "activeRevisionsMode": self.mode,
            "secrets": names or None,
            "registries": list(self.registries) or None,
        }
        if self.ingress:
            configuration["ingress"] = {
                "targetPort": 80,
                "traffic": list(self.traffic or [{"weight": 100, "latestRevision": True}]),
            }
        document = {
            "id": self.id,
            "name": self.name,
            "type": "Microsoft.App/containerApps",
            "location": "West Europe",
            "tags": dict(self.tags),
            "identity": self.identity or {"type": "None"},
            "properties": {
                "provisioningState": "Succeeded",
                "managedEnvironmentId": ENVIRONMENT,
                "latestRevisionName": f"{self.name}--0000001",
                "configuration": {**configuration, **self.configuration},
                "template": {**template, **self.template},
                **self.properties,
            },
            **self.document,
        }
        secrets = [
            AppSecret(name, Secret(value) if value is not None else None) for name, value in self.inline.items()
        ] + [
            AppSecret(name, Secret(value) if value is not None else None, url, "system")
            for name, (url, value) in self.references.items()
        ]
        return App(self.id, document, tuple(secrets), self.secrets_read, self.revisions, self.auth)

    def findings(self) -> list[Finding]:
        found = []
        for kind, entries in (("containers", self.env), ("initContainers", self.init_env)):
            for index, (name, value) in enumerate(entries.items()):
                found.append(finding(self.id, f"properties.template.{kind}[0].env[{index}].value", name, value))
        for index, (name, inline) in enumerate(self.inline.items()):
            path = f"properties.configuration.secrets[{index}].value"
            found.append(finding(self.id, path, name, inline or "", rule="inline-secret"))
        return found


def finding(
    resource: str,
    path: str,
    name: str,
    value: str = "",
    *,
    rule: str = "password",
    confidence: Confidence = Confidence.HIGH,
    status: str = "new",
) -> Finding:
    return Finding(
        rule,
        "A password",
        Severity.HIGH,
        confidence,
        AzureLocation(resource, path, name),
        KEY.of(value),
        preview(Secret(value)),
        status=status,
    )


def vault(*secrets: VaultSecret, **properties: Any) -> Vault:
    document = {
        "id": VAULT_ID,
        "name": "kv-shop",
        "properties": {"vaultUri": f"{VAULT_URI}/", "enableRbacAuthorization": True, **properties},
    }
    return Vault(VAULT_ID, document, secrets)


def held(name: str, value: str | None, **more: Any) -> VaultSecret:
    return VaultSecret(name, fingerprint=None if value is None else KEY.of(value), version="v1", **more)


def identity(name: str, principal: str, group: str = GROUP, tags: Mapping[str, str] | None = None) -> Resource:
    document = {
        "id": identity_id(name, group),
        "name": name,
        "tags": dict(tags or {}),
        "properties": {"principalId": principal, "clientId": f"client-{principal}"},
    }
    return Resource(identity_id(name, group), document)


def with_identities(*names: str) -> Json:
    return {
        "type": "UserAssigned",
        "userAssignedIdentities": {identity_id(name): {"principalId": f"p-{name}"} for name in names},
    }


def registry(name: str = "acrshop", *, server: str | None = None, **properties: Any) -> Resource:
    document = {"properties": {"loginServer": server or f"{name}.azurecr.io", "adminUserEnabled": True, **properties}}
    return Resource(rid("Microsoft.ContainerRegistry/registries", name), document)


def entry(server: str = "acrshop.azurecr.io", secret: str = "acr-password") -> Json:
    return {"server": server, "username": "acrshop", "passwordSecretRef": secret, "identity": ""}


def assignment(name: str, scope: str, role: str, principal: str, **more: Any) -> RoleAssignment:
    return RoleAssignment(
        f"{scope}/providers/Microsoft.Authorization/roleAssignments/{name}", scope, role, principal, **more
    )


def estate(*specs: Spec, **parts: Any) -> Estate:
    known = {"vaults": (vault(),), **parts}
    return Estate(tenant="t", subscriptions=(SUBSCRIPTION,), apps=tuple(spec.app() for spec in specs), **known)


def make(*specs: Spec, findings: Iterable[Finding] | None = None, options: Options | None = None, **parts: Any) -> Plan:
    """A plan for apps whose every env value and inline secret is a finding."""
    found = list(findings) if findings is not None else [f for spec in specs for f in spec.findings()]
    return planner.plan(estate(*specs, **parts), found, options or Options("kv-shop"), KEY)


def options(**more: Any) -> Options:
    return replace(Options("kv-shop"), **more)


def ids(plan: Plan) -> list[str]:
    return [step.id for step in plan.steps]


def step(plan: Plan, wanted: str) -> Any:
    """The one step of an id, or the only one of a kind."""
    found = [one for one in plan.steps if wanted in (one.id, one.kind)]
    assert len(found) == 1, (wanted, ids(plan))
    return found[0]


def codes(plan: Plan) -> list[str]:
    return [entry["code"] for entry in plan.skipped]


def notes(plan: Plan, kind: str) -> list[str]:
    return [note["text"] for note in plan.notes if note["kind"] == kind]
