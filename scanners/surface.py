"""Every place of Container Apps where a value can lie, as data: what Azure shows of it and what keylift does about it.

The rows are those of the surface of Microsoft.App (azure-mgmt-appcontainers 5.1.0, api-version 2026-07-01). The scan
(`sources.surface`), the reasons of a plan and the page docs/surface.md are made of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

APP = "microsoft.app/containerapps"
REVISION = f"{APP}/revisions"
JOB = "microsoft.app/jobs"
EXECUTION = f"{JOB}/executions"
ENVIRONMENT = "microsoft.app/managedenvironments"
CONNECTED = "microsoft.app/connectedenvironments"
POOL = "microsoft.app/sessionpools"


class Does(StrEnum):
    """What keylift does about a place."""

    MIGRATES = "migrates"
    REPORTS = "reports"
    """Finds the value; a plan skips it with the platform's limit."""
    NAMES = "names"
    """Azure never shows the value: that one is held is found, and a plan skips it with the platform's limit."""
    UNTOLD = "cannot be told"
    """Azure shows neither the value nor that one is held: nothing can be found."""
    NOTHING = "nothing to find"


class Judge(StrEnum):
    """How a text is judged."""

    VALUE = "value"
    """As one named value."""
    METADATA = "metadata"
    """As one named value; names that components and scalers know as keys are enough."""
    COMMAND = "command"
    """As words of a command line."""
    TEXT = "text"
    """For what stands in it."""
    OWN = "own"
    """By another source: apps' env values, secrets and registries."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the surface."""

    number: int
    kinds: tuple[str, ...]
    """ARM types in lower case."""
    path: str
    """Below the document; `[]` each item, `{}` each member."""
    does: Does
    limit: str
    """What the platform lacks, or how it is migrated: a sentence for people."""
    judge: Judge = Judge.VALUE
    label: str = ""
    """The key beside the value that names it; empty: the last part of the path."""


_TEMPLATES = (APP, REVISION, JOB, EXECUTION)
_BOTH = ("containers", "initContainers")
_BY_AUTH = (
    "becomes auth[].secretRef to a secret that is a Key Vault reference, where the scaler takes a parameter of that name; metadata "
    "itself cannot refer to a secret"
)
_SEEN_BY_ALL = "every reader of the resource sees it: remove it and rotate the value"
_NO_FORM = "the model has no form with a secret"
DESTINATIONS = "properties.openTelemetryConfiguration.destinationsConfiguration"
ACTION = "properties.githubActionConfiguration"


def _rows() -> Iterator[Row]:
    own = Judge.OWN
    vaulted = "becomes a Key Vault reference of the same name, resolved by a managed identity"
    yield Row(1, (APP,), "properties.configuration.secrets[].value", Does.MIGRATES, vaulted, own, "name")
    yield Row(2, (JOB,), "properties.configuration.secrets[].value", Does.MIGRATES, vaulted, own, "name")
    ref = "becomes a secretRef to an app secret that is a Key Vault reference"
    for number, container in ((3, "containers"), (4, "initContainers")):
        path = f"properties.template.{container}[].env[].value"
        yield Row(number, (APP, JOB), path, Does.MIGRATES, ref, own, "name")
    for number, past, why in (
        (5, REVISION, "a revision cannot be edited: deactivate it, and rotate the value"),
        (6, EXECUTION, "an execution keeps what it ran with, and none can be deleted: rotate the value"),
    ):
        for container in _BOTH:
            path = f"properties.template.{container}[].env[].value"
            yield Row(number, (past,), path, Does.REPORTS, why, own, "name")
    for container in _BOTH:
        for part in ("command", "args"):
            path = f"properties.template.{container}[].{part}[]"
            why = (
                "in a script of a shell (sh -c) the value becomes a variable that is a secretRef, where quoting leaves no doubt; "
                "any other command cannot refer to a secret"
            )
            yield Row(7, (APP, JOB), path, Does.MIGRATES, why, Judge.COMMAND)
            why = "it is kept as it ran, and cannot be edited: rotate the value"
            yield Row(7, (REVISION, EXECUTION), path, Does.REPORTS, why, Judge.COMMAND)
    header = "probes[].httpGet.httpHeaders[].value"
    why = "a probe's header cannot refer to a secret: drop the header, or let the probed path answer without it"
    # an execution shows no probes
    yield Row(8, (APP, REVISION, JOB), f"properties.template.containers[].{header}", Does.REPORTS, why, label="name")
    yield Row(8, (POOL,), f"properties.customContainerTemplate.containers[].{header}", Does.REPORTS, why, label="name")
    for rule in ("custom", "http", "tcp"):
        path = f"properties.template.scale.rules[].{rule}.metadata{{}}"
        if rule == "custom":
            yield Row(9, (APP,), path, Does.MIGRATES, _BY_AUTH, Judge.METADATA)
        else:
            yield Row(
                9, (APP,), path, Does.REPORTS, f"{rule} rules take no key: remove it and rotate it", Judge.METADATA
            )
        why = "a revision keeps its rules and cannot be edited: deactivate it, and rotate the value"
        yield Row(9, (REVISION,), path, Does.REPORTS, why, Judge.METADATA)
    path = "properties.configuration.eventTriggerConfig.scale.rules[].metadata{}"
    yield Row(10, (JOB,), path, Does.MIGRATES, _BY_AUTH, Judge.METADATA)
    why = "the registry is read with a managed identity that has AcrPull; user name and password reference go"
    path = "properties.configuration.registries[].passwordSecretRef"
    yield Row(11, (APP, JOB), path, Does.MIGRATES, why, own, "server")
    for secrets, metadata, home in ((12, 13, ENVIRONMENT), (14, 14, CONNECTED)):
        kind = (f"{home}/daprcomponents",)
        why = (
            "a component's secrets take values only, whatever the schema says (TF#23958). secretStoreComponent names a "
            "secretstores.azure.keyvault component, which every scoped app reads with one azureClientId and of which the value "
            "comes back from the vault alone: a person decides that; keys of services go with --passwordless apply"
        )
        yield Row(secrets, kind, "properties.secrets[].value", Does.REPORTS, why, Judge.METADATA, "name")
        why = (
            "metadata is shown to every reader, and refers to secrets of the component only, which take values: name a secret of "
            "secretStoreComponent, or drop the key for azureClientId (--passwordless apply does where all scoped apps have an "
            "identity)"
        )
        yield Row(metadata, kind, "properties.metadata[].value", Does.REPORTS, why, Judge.METADATA, "name")
    yield Row(
        15,
        (ENVIRONMENT,),
        "properties.appLogsConfiguration.logAnalyticsConfiguration.sharedKey",
        Does.NAMES,
        "the workspace's shared key has no form with a reference: use destination azure-monitor with diagnostic settings",
    )
    for number, homes, name in (
        (16, (ENVIRONMENT,), "properties.daprAIInstrumentationKey"),
        (17, (ENVIRONMENT, CONNECTED), "properties.daprAIConnectionString"),
    ):
        yield Row(number, homes, name, Does.UNTOLD, f"{_NO_FORM}, and Azure does not tell whether it is set")
    for number, homes, name in (
        (18, (ENVIRONMENT,), "properties.appInsightsConfiguration.connectionString"),
        (19, (ENVIRONMENT,), f"{DESTINATIONS}.dataDogConfiguration.key"),
    ):
        yield Row(number, homes, name, Does.NAMES, f"{_NO_FORM}: rotate the key where it is made, and limit who writes")
    path = f"{DESTINATIONS}.otlpConfigurations[].headers[].value"
    yield Row(20, (ENVIRONMENT,), path, Does.NAMES, f"{_NO_FORM}: rotate the key where it is made", label="key")
    for name in ("certificateValue", "certificatePassword"):
        path = f"properties.customDomainConfiguration.{name}"
        why = "give certificateKeyVaultProperties instead, read with the environment's own identity"
        yield Row(21, (ENVIRONMENT, CONNECTED), path, Does.NAMES, why)
    for name in ("value", "password"):
        kinds = (f"{ENVIRONMENT}/certificates", f"{CONNECTED}/certificates")
        why = "give certificateKeyVaultProperties (read with the environment's own identity), or use a managed certificate"
        yield Row(22, kinds, f"properties.{name}", Does.NAMES, why)
    kinds = (f"{ENVIRONMENT}/storages", f"{CONNECTED}/storages")
    why = (
        "a share is mounted with the account key; accountKeyVaultProperties takes it from a vault with the environment's own "
        "identity, and nfsAzureFile needs none"
    )
    yield Row(23, kinds, "properties.azureFile.accountKey", Does.NAMES, why)
    for number, path, does, why in (
        (24, f"{ACTION}.registryInfo.registryPassword", Does.NAMES, "sign in by OIDC with AcrPush, without a password"),
        (
            25,
            f"{ACTION}.azureCredentials.clientSecret",
            Does.UNTOLD,
            "no credential of the workflow is shown, not even its kind: use a federated credential (azureCredentials.kind)",
        ),
        (26, f"{ACTION}.githubPersonalAccessToken", Does.UNTOLD, "it is never shown, and serves once: revoke it"),
    ):
        yield Row(number, (f"{APP}/sourcecontrols",), path, does, why)
    why = "a pool's secrets have no form with a reference and no action lists them"
    yield Row(27, (POOL,), "properties.secrets[].value", Does.NAMES, why, label="name")
    why = "give registryCredentials.identity instead of a user name and a password"
    path = "properties.customContainerTemplate.registryCredentials.passwordSecretRef"
    yield Row(28, (POOL,), path, Does.NAMES, why, label="server")
    path = "properties.customContainerTemplate.containers[].env[].value"
    why = "secretRef names a secret of the pool, which is no vault reference either"
    yield Row(29, (POOL,), path, Does.REPORTS, why, label="name")
    for part in ("command", "args"):
        path = f"properties.customContainerTemplate.containers[].{part}[]"
        yield Row(29, (POOL,), path, Does.REPORTS, why, Judge.COMMAND)
    for number, name in ((30, "javacomponents"), (31, "dotnetcomponents")):
        components = (f"{ENVIRONMENT}/{name}",)
        path = "properties.configurations[].value"
        why = f"{_NO_FORM}: take the value from where the component reads it (a private repository needs a deploy key)"
        yield Row(number, components, path, Does.REPORTS, why, label="propertyName")
    yield Row(
        32, (APP,), "properties.template.serviceBinds[]", Does.NOTHING, "what a bind injects is stored nowhere", own
    )
    everywhere = (APP, JOB, ENVIRONMENT, CONNECTED, POOL, f"{ENVIRONMENT}/certificates", f"{CONNECTED}/certificates")
    yield Row(33, everywhere, "tags{}", Does.REPORTS, _SEEN_BY_ALL)
    for container in _BOTH:
        why = "an image address cannot refer to a secret: put the credential into registries[], better an identity"
        yield Row(33, _TEMPLATES, f"properties.template.{container}[].image", Does.REPORTS, why, Judge.TEXT)
    why = "tokens of getAuthToken live for an hour and are stored nowhere"
    yield Row(34, (APP, ENVIRONMENT), "properties.eventStreamEndpoint", Does.NOTHING, why, own)
    yield Row(
        35,
        ("microsoft.containerregistry/registries",),
        "properties.adminUserEnabled",
        Does.MIGRATES,
        "finalize turns the admin user off when no app and no job pulls with its password",
        own,
    )
    why = "holds an environment and a domain, nothing secret"
    yield Row(36, ("microsoft.app/sandboxgroups",), "properties", Does.NOTHING, why, own)


ROWS = tuple(_rows())

_KEYS = """
accesskey accountkey apikey azurecertificate azurecertificatepassword azureclientsecret connection connectionstring
masterkey password personalaccesstoken redispassword saslpassword sharedaccesskey sharedkey storageaccesskey
storageaccountkey storageconnection storageconnectionstring token
"""
KEYS = frozenset(_KEYS.split())
"""Names in metadata of components and scalers that hold keys, whatever the value looks like, in lower case."""


def kind_of(resource: str) -> str:
    """The ARM type of an id, in lower case."""
    segments = resource.lower().strip("/").split("/providers/")[-1].split("/")
    return "/".join([segments[0], *segments[1::2]])


def row_at(resource: str, path: str) -> Row | None:
    """The row that a place of a resource belongs to.

    Args:
        resource: ARM id.
        path: JSON path with indexes, as in a finding's location.
    """
    kind = kind_of(resource)
    return next((row for row in ROWS if kind in row.kinds and _pattern(row.path).fullmatch(path)), None)


@cache
def _pattern(path: str) -> re.Pattern[str]:
    text = re.escape(path).replace(re.escape("[]"), r"\[\d+\]").replace(re.escape("{}"), r"\..+")
    return re.compile(text)
