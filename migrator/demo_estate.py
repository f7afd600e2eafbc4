"""The estate of `keylift demo`: a small shop on Container Apps, with every way of doing it wrong that people have.

Documents have the shape of captured ones. Planted values are made from a seed when the estate is made, so that the
source holds none.
"""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Mapping, Sequence
from typing import Any

Json = dict[str, Any]

SUBSCRIPTION = "5ee10000-0000-4000-8000-00000000c0de"
LAB = "5ee10000-0000-4000-8000-0000000000ab"
LOCATION = "West Europe"
VAULT = "kv-shop"
POLICY_VAULT = "kv-legacy"
CLOSED_VAULT = "kv-closed"
REGISTRY = "crshop"
ABAC_REGISTRY = "crmedia"


class Values:
    """Planted values, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - made-up values, not secrets

    def text(self, length: int, alphabet: str = string.ascii_letters + string.digits) -> str:
        """Random characters."""
        return "".join(self._random.choice(alphabet) for _ in range(length))

    def key(self, size: int) -> str:
        """Random bytes in base64, as access keys of Azure look."""
        return base64.b64encode(self._random.randbytes(size)).decode()


def _id(group: str, kind: str, name: str, subscription: str = SUBSCRIPTION) -> str:
    return f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{kind}/{name}"


def app_document(
    group: str,
    name: str,
    env: Sequence[Json] = (),
    *,
    subscription: str = SUBSCRIPTION,
    environment: str | None = None,
    secrets: Sequence[Json] | None = None,
    registries: Sequence[Json] | None = None,
    init: Sequence[Json] | None = None,
    mode: str = "Single",
    traffic: Sequence[Json] | None = None,
    replicas: int | None = 1,
    identity: Json | None = None,
    tags: Mapping[str, str] | None = None,
    image: str | None = None,
    volumes: Sequence[Json] | None = None,
    revision: str = "0000003",
    **more: Any,
) -> Json:
    """A container app as GET shows it, secret values included under `configuration.secrets`."""
    environment = environment or _id(
        group, "Microsoft.App/managedEnvironments", f"cae-{group.removeprefix('rg-')}", subscription
    )
    domain = "salmonwave-7a1c2d3e.westeurope.azurecontainerapps.io"
    latest = f"{name}--{revision}"
    container: Json = {
        "image": image or f"mcr.microsoft.com/{name}:1.4.2",
        "imageType": "ContainerImage",
        "name": name,
        "env": list(env),
        "resources": {"cpu": 0.5, "memory": "1Gi", "ephemeralStorage": "2Gi"},
    }
    if volumes is not None:
        container["volumeMounts"] = [{"volumeName": v["name"], "mountPath": f"/mnt/{v['name']}"} for v in volumes]
    document: Json = {
        "id": _id(group, "Microsoft.App/containerapps", name, subscription),
        "name": name,
        "type": "Microsoft.App/containerApps",
        "location": LOCATION,
        "tags": dict(tags or {}),
        "identity": identity or {"type": "None"},
        "properties": {
            "provisioningState": "Succeeded",
            "runningStatus": "Running",
            "managedEnvironmentId": environment,
            "environmentId": environment,
            "workloadProfileName": "Consumption",
            "latestRevisionName": latest,
            "latestReadyRevisionName": latest,
            "latestRevisionFqdn": f"{latest}.{domain}",
            "configuration": {
                "secrets": list(secrets) if secrets else None,
                "activeRevisionsMode": mode,
                "targetLabel": "",
                "ingress": {
                    "fqdn": f"{name}.{domain}",
                    "external": True,
                    "targetPort": 8080,
                    "exposedPort": 0,
                    "transport": "Auto",
                    "traffic": list(traffic or [{"weight": 100, "latestRevision": True}]),
                    "customDomains": None,
                    "allowInsecure": False,
                    "ipSecurityRestrictions": None,
                    "corsPolicy": None,
                    "clientCertificateMode": None,
                    "stickySessions": None,
                    "additionalPortMappings": None,
                    "targetPortHttpScheme": None,
                },
                "registries": list(registries) if registries else None,
                "identitySettings": [],
                "dapr": None,
                "runtime": None,
                "maxInactiveRevisions": 100,
                "service": None,
            },
            "template": {
                "revisionSuffix": "",
                "terminationGracePeriodSeconds": None,
                "containers": [container],
                "initContainers": list(init) if init else None,
                "scale": {
                    "minReplicas": replicas,
                    "maxReplicas": 10,
                    "cooldownPeriod": 300,
                    "pollingInterval": 30,
                    "rules": None,
                },
                "volumes": list(volumes) if volumes else None,
                "serviceBinds": None,
            },
            "delegatedIdentities": [],
        },
        "systemData": {
            "createdBy": "dev@shop.example",
            "createdByType": "User",
            "createdAt": "2026-03-02T09:12:44.1234567",
            "lastModifiedBy": "pipeline@shop.example",
            "lastModifiedByType": "Application",
            "lastModifiedAt": "2026-11-03T16:40:02.7654321",
        },
    }
    document.update(more)
    if not document["tags"]:
        del document["tags"]
    return document


def env(**values: str) -> list[Json]:
    """Env entries with plaintext values."""
    return [{"name": name, "value": value} for name, value in values.items()]


def ref(name: str, secret: str) -> Json:
    """An env entry that refers to a secret of the app."""
    return {"name": name, "secretRef": secret}


def estate(seed: int = 7) -> Json:
    """The estate document (`docs/estate.md`), value by value the same for the same seed."""
    v = Values(seed)
    shop, media, data = "rg-shop", "rg-media", "rg-data"
    registry_password, abac_password = v.text(32) + v.text(18), v.text(32) + v.text(20)
    bus = (
        "Endpoint=sb://sb-shop.servicebus.windows.net/;SharedAccessKeyName=RootManageSharedAccessKey;"
        f"SharedAccessKey={v.key(32)}"
    )
    sql = (
        "Server=tcp:sql-shop.database.windows.net,1433;Initial Catalog=orders;User ID=orders_app;"
        f"Password={v.text(20)};Encrypt=True;"
    )
    storage = (
        f"DefaultEndpointsProtocol=https;AccountName=stshop;AccountKey={v.key(64)};EndpointSuffix=core.windows.net"
    )
    redis = f"redis-shop.redis.cache.windows.net:6380,password={v.key(32)},ssl=True,abortConnect=False"
    postgres = (
        f"postgresql://catalog_app:{v.text(18)}@psql-shop.postgres.database.azure.com:5432/catalog?sslmode=require"
    )
    stripe, sendgrid = "sk_live_" + v.text(24), "SG." + v.text(22) + "." + v.text(43)
    client_secret = v.text(3) + "8Q~" + v.text(34)
    webhook = v.text(40)
    acr = [
        {
            "server": f"{REGISTRY}.azurecr.io",
            "username": REGISTRY,
            "passwordSecretRef": "crshopazurecrio-crshop",
            "identity": "",
        }
    ]
    acr_secret = {"name": "crshopazurecrio-crshop", "value": registry_password}
    reporting_identity = _id(shop, "Microsoft.ManagedIdentity/userAssignedIdentities", "id-reporting")
    kv = f"https://{VAULT}.vault.azure.net"
    vault_id = _id(shop, "Microsoft.KeyVault/vaults", VAULT)

    apps = [
        # the plain case: connection strings in env values, the registry by its admin password
        app_document(
            shop,
            "orders-api",
            [
                *env(
                    SQL_CONNECTION=sql,
                    SERVICEBUS_CONNECTION=bus,
                    ASPNETCORE_ENVIRONMENT="Production",
                    LOG_LEVEL="Information",
                )
            ],
            secrets=[acr_secret],
            registries=acr,
            image=f"{REGISTRY}.azurecr.io/orders-api:2026.11.1",
        ),
        # shares a value with the app above; an init container has one of its own
        app_document(
            shop,
            "orders-worker",
            env(BUS=bus, QUEUE="orders", CONCURRENCY="8"),
            init=[
                {
                    "name": "migrate",
                    "image": f"{REGISTRY}.azurecr.io/orders-migrate:2026.11.1",
                    "imageType": "ContainerImage",
                    "env": env(DATABASE_URL=postgres, MIGRATE_STEP="latest"),
                    "resources": {"cpu": 0.25, "memory": "0.5Gi", "ephemeralStorage": "1Gi"},
                }
            ],
            secrets=[acr_secret],
            registries=acr,
            image=f"{REGISTRY}.azurecr.io/orders-worker:2026.11.1",
        ),
        # Easy Auth: the client secret is an inline secret that only the auth configuration names
        app_document(
            shop,
            "storefront",
            [
                ref("SESSION_KEY", "session-key"),
                *env(API_URL="https://orders-api.internal", FEATURE_FLAGS="search,wishlist"),
            ],
            secrets=[
                {"name": "session-key", "value": v.text(48)},
                {"name": "microsoft-provider-authentication-secret", "value": client_secret},
            ],
        ),
        # Multiple mode, all traffic to the latest revision
        app_document(
            shop,
            "payments",
            env(STRIPE_API_KEY=stripe, STRIPE_WEBHOOK_SECRET="whsec_" + webhook, CURRENCY="EUR"),
            mode="Multiple",
            traffic=[{"weight": 100, "latestRevision": True}],
            replicas=2,
        ),
        # Multiple mode, traffic split by name
        app_document(
            shop,
            "catalog",
            env(CATALOG_DB=postgres, PAGE_SIZE="50"),
            mode="Multiple",
            traffic=[
                {"revisionName": "catalog--0000003", "weight": 100},
            ],
        ),
        app_document(
            shop,
            "notify",
            [ref("SENDGRID_API_KEY", "sendgrid"), *env(SMTP_HOST="smtp.shop.example", SMTP_PASSWORD=v.text(16))],
            secrets=[{"name": "sendgrid", "value": sendgrid}],
        ),
        # scaled to zero: nothing runs that could prove the change
        app_document(data, "nightly-export", env(STORAGE_CONNECTION=storage, SCHEDULE="0 2 * * *"), replicas=0),
        # an Aspire app: its next deployment will undo the change
        app_document(
            shop,
            "apiservice",
            [ref("ConnectionStrings__cache", "connectionstrings--cache"), *env(OTEL_SERVICE_NAME="apiservice")],
            secrets=[{"name": "connectionstrings--cache", "value": redis}],
            tags={"aspire-resource-name": "apiservice", "azd-service-name": "apiservice", "azd-env-name": "shop-prod"},
        ),
        # half migrated by hand: one reference works, one env value was forgotten
        app_document(
            shop,
            "reporting",
            [ref("REPORT_DB", "report-db"), *env(ANALYTICS_TOKEN=v.text(40))],
            secrets=[
                {
                    "name": "report-db",
                    "keyVaultUrl": f"{kv}/secrets/reporting-report-db",
                    "identity": reporting_identity,
                }
            ],
            identity={"type": "UserAssigned", "userAssignedIdentities": {reporting_identity: {}}},
        ),
        # a harmless name with a value that another app calls a secret
        app_document(shop, "gateway", env(UPSTREAM="https://apiservice.internal", CACHE_SETTINGS=redis)),
        # a registry in ABAC mode: AcrPull does not count there
        app_document(
            media,
            "thumbnails",
            env(BLOB_CONNECTION=storage),
            secrets=[{"name": "crmediaazurecrio-crmedia", "value": abac_password}],
            registries=[
                {
                    "server": f"{ABAC_REGISTRY}.azurecr.io",
                    "username": ABAC_REGISTRY,
                    "passwordSecretRef": "crmediaazurecrio-crmedia",
                    "identity": "",
                }
            ],
            image=f"{ABAC_REGISTRY}.azurecr.io/thumbnails:9",
        ),
        app_document(
            media, "uploads", env(SAS_SIGNING_KEY=v.key(48), MAX_SIZE="20971520"), tags={"azd-env-name": "media"}
        ),
        # clean: nothing to find
        app_document(media, "player", env(CDN="https://cdn.shop.example", REGION="westeurope")),
        # one app for each reason to leave an app alone
        app_document(shop, "billing", env(BILLING_DB_PASSWORD=v.text(22))),
        app_document(
            media,
            "transcoder",
            env(TRANSCODER_API_KEY=v.text(32)),
            managedBy=_id(media, "Microsoft.Solutions/applications", "transcoder-managed"),
        ),
        app_document(data, "importer", [*env(IMPORT_TOKEN=v.text(32)), *env(IMPORT_TOKEN=v.text(32))]),
        app_document(data, "ledger", [ref("SIGNING", "signing")], secrets=[{"name": "signing", "value": v.key(19500)}]),
        app_document(data, "sync", env(SYNC_PASSWORD="p$$" + v.text(14) + "$(HOSTNAME)")),
        app_document(
            data,
            "archive",
            env(ARCHIVE_PASSWORD=v.text(24)),
            secrets=[{"name": "bucket", "value": v.text(36)}],
            volumes=[{"name": "keys", "storageType": "Secret"}],
        ),
        app_document(
            data,
            "mailer",
            [
                {"name": "MAIL_PASSWORD", "value": "secretRef:mail-password"},
                *env(MAIL_FROM="noreply@shop.example"),
            ],
        ),
        app_document(
            "rg-lab",
            "experiment",
            env(OPENAI_API_KEY=v.text(32, string.hexdigits.lower()[:16])),
            subscription=LAB,
        ),
    ]
    groups = {(shop, SUBSCRIPTION), (media, SUBSCRIPTION), (data, SUBSCRIPTION), ("rg-lab", LAB)}
    environments = [
        {
            "id": _id(group, "Microsoft.App/managedEnvironments", f"cae-{group.removeprefix('rg-')}", subscription),
            "name": f"cae-{group.removeprefix('rg-')}",
            "type": "Microsoft.App/managedEnvironments",
            "location": LOCATION,
            "properties": {
                "provisioningState": "Succeeded",
                "defaultDomain": "salmonwave-7a1c2d3e.westeurope.azurecontainerapps.io",
                "staticIp": "20.103.4.5",
                "zoneRedundant": False,
                "workloadProfiles": [{"workloadProfileType": "Consumption", "name": "Consumption"}],
            },
        }
        for group, subscription in sorted(groups)
    ]
    auth_config = {
        "id": _id(shop, "Microsoft.App/containerApps", "storefront") + "/authConfigs/current",
        "name": "current",
        "type": "Microsoft.App/containerApps/authConfigs",
        "properties": {
            "platform": {"enabled": True},
            "globalValidation": {"unauthenticatedClientAction": "RedirectToLoginPage"},
            "identityProviders": {
                "azureActiveDirectory": {
                    "enabled": True,
                    "registration": {
                        "clientId": "9f0c2a54-0b4e-4c8d-9a53-1d2f3e4b5c6d",
                        "clientSecretSettingName": "microsoft-provider-authentication-secret",
                        "openIdIssuer": "https://sts.windows.net/0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d/v2.0",
                    },
                }
            },
        },
    }
    return {
        "schema": 1,
        "subscriptions": [
            {"subscriptionId": SUBSCRIPTION, "displayName": "Shop Production"},
            {"subscriptionId": LAB, "displayName": "Lab"},
        ],
        "resources": [
            *environments,
            {
                "id": reporting_identity,
                "name": "id-reporting",
                "type": "Microsoft.ManagedIdentity/userAssignedIdentities",
                "location": "westeurope",
                "tags": {},
                "properties": {},
            },
            _vault(shop, VAULT, enableRbacAuthorization=True),
            _vault(data, POLICY_VAULT, enableRbacAuthorization=False),
            _vault(
                data,
                CLOSED_VAULT,
                enableRbacAuthorization=True,
                publicNetworkAccess="Disabled",
                networkAcls={
                    "bypass": "AzureServices",
                    "defaultAction": "Deny",
                    "ipRules": [],
                    "virtualNetworkRules": [],
                },
            ),
            _registry(shop, REGISTRY, registry_password, mode="LegacyRegistryPermissions"),
            _registry(media, ABAC_REGISTRY, abac_password, mode="AbacRepositoryPermissions"),
            *apps,
            auth_config,
        ],
        "vaultSecrets": [
            {
                "vault": vault_id,
                "name": "reporting-report-db",
                "value": sql,
                "enabled": True,
                "tags": {"owner": "reporting"},
            },
            # the same value under the name the plan would choose: adopted
            {"vault": vault_id, "name": "payments-stripe-api-key", "value": stripe, "enabled": True, "tags": {}},
            # another value under a name the plan would choose: a conflict for a person to decide
            {"vault": vault_id, "name": "notify-smtp-password", "value": v.text(16), "enabled": True, "tags": {}},
        ],
        "roleAssignments": [
            {"principal": reporting_identity, "role": "Key Vault Secrets User", "scope": vault_id},
        ],
        "locks": [
            {
                "id": _id(shop, "Microsoft.App/containerApps", "billing")
                + "/providers/Microsoft.Authorization/locks/finance-freeze",
                "name": "finance-freeze",
                "level": "ReadOnly",
                "notes": "frozen until the audit is over",
            }
        ],
    }


def _vault(group: str, name: str, **properties: Any) -> Json:
    return {
        "id": _id(group, "Microsoft.KeyVault/vaults", name),
        "name": name,
        "type": "Microsoft.KeyVault/vaults",
        "location": "westeurope",
        "tags": {},
        "properties": {
            "sku": {"family": "A", "name": "standard"},
            "enableSoftDelete": True,
            "softDeleteRetentionInDays": 90,
            "accessPolicies": [],
            "publicNetworkAccess": "Enabled",
            **properties,
        },
    }


def _registry(group: str, name: str, password: str, *, mode: str) -> Json:
    return {
        "id": _id(group, "Microsoft.ContainerRegistry/registries", name),
        "name": name,
        "type": "Microsoft.ContainerRegistry/registries",
        "location": "westeurope",
        "tags": {},
        "sku": {"name": "Standard", "tier": "Standard"},
        "properties": {
            "loginServer": f"{name}.azurecr.io",
            "adminUserEnabled": True,
            "roleAssignmentMode": mode,
            "provisioningState": "Succeeded",
            # what a person would see as the admin user's first password; the simulated registry accepts it
            "adminPassword": password,
        },
    }
