"""What Container Apps checks in a write before it accepts it, and what it does not check (traffic, section 4)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from migrator.simulator import rbac
from migrator.simulator.apps import secrets
from migrator.simulator.apps.versions import PROVIDER
from migrator.simulator.azure import GATEWAY
from migrator.simulator.wire import AzureError, Json

if TYPE_CHECKING:
    from migrator.simulator.azure import Call

_SUFFIX = re.compile(r"[a-z0-9](?!.*--)([-a-z0-9]*[a-z0-9])?")
_APP_NAME = re.compile(r"[a-z](?!.*--)([-a-z0-9]{0,30}[a-z0-9])?")


def refused(code: str, message: str, status: int = 400) -> AzureError:
    """A refusal by the provider itself."""
    return AzureError(status, code, message, headers=dict(PROVIDER))


def invalid_field(field: str, details: str) -> AzureError:
    """The refusal of a field of the template or configuration, in the service's own wording."""
    return refused(
        "InvalidParameterValueInContainerTemplate",
        f"The following field(s) are either invalid or missing. Field '{field}' is invalid with details: '{details}';.",
    )


def linked(call: Call, action: str, scope: str, needed: str) -> None:
    """Raise 403 `LinkedAuthorizationFailed` unless the caller also has `needed` at what the write links to.

    Every write of an app is checked against its environment (CORRECTIONS, section 4.5), every identity that it
    attaches against that identity (section 3.7). Text: errors-catalog and Azure/aad-pod-identity#410.
    """
    if rbac.allowed(call.azure, call.principal, needed, scope):
        return
    entry = call.world.table("principals").get(call.principal, {})
    raise AzureError(
        403,
        "LinkedAuthorizationFailed",
        f"The client '{entry.get('clientId', call.principal)}' with object id '{call.principal}' has permission to "
        f"perform action '{action}' on scope '{call.request.path.rstrip('/')}'; however, it does not have permission to "
        f"perform action '{needed}' on the linked scope(s) '{scope}' or the linked scope(s) are invalid.",
        headers=dict(GATEWAY),
    )


def containers(template: Json) -> list[Json]:
    """Containers and init containers."""
    return [*(template.get("containers") or []), *(template.get("initContainers") or [])]


def env_references(template: Json) -> Iterator[tuple[str, str]]:
    """Container name and secret name of each env entry that refers to a secret."""
    for container in containers(template):
        for entry in container.get("env") or []:
            if entry.get("secretRef"):
                yield str(container.get("name")), str(entry["secretRef"])


def scale_references(template: Json) -> set[str]:
    """Names of secrets that scale rules refer to."""
    return {
        str(auth["secretRef"])
        for rule in (template.get("scale") or {}).get("rules") or []
        for part in ("azureQueue", "custom", "http", "tcp")
        for auth in (rule.get(part) or {}).get("auth") or []
        if auth.get("secretRef")
    }


def volume_references(template: Json, known: list[str]) -> set[str]:
    """Names of secrets that volumes mount; a secret volume that names none mounts all of them."""
    found: set[str] = set()
    for volume in template.get("volumes") or []:
        if str(volume.get("storageType", "")).lower() == "secret":
            chosen = [str(item["secretRef"]) for item in volume.get("secrets") or [] if item.get("secretRef")]
            found.update(chosen or known)
    return found


def uses(template: Json, known: list[str]) -> set[str]:
    """Names of secrets that a revision's containers see: by env and by volume."""
    return {name for _, name in env_references(template)} | volume_references(template, known)


def check_new(name: str, properties: Json) -> None:
    """Check what only a new app must bring.

    Raises:
        AzureError: 400.
    """
    if not _APP_NAME.fullmatch(name):
        raise refused(
            "ContainerAppInvalidName",
            f"Invalid ContainerApp name '{name}'. A name must consist of lower case alphanumeric characters or '-', start "
            "with an alphabetic character, and end with an alphanumeric character and cannot have '--'. The length must "
            "not be more than 32 characters.",
        )
    if not (properties.get("template") or {}).get("containers"):
        raise refused("ContainerAppContainersRequired", "The container app template must have at least one container.")


def check_template(template: Json, known: list[str]) -> None:
    """Check images, suffix and the secrets that env entries and volumes name; scale rules are not checked.

    Raises:
        AzureError: 400.
    """
    for container in containers(template):
        if not container.get("image"):
            raise refused(
                "ContainerAppImageRequired",
                f"Container with name '{container.get('name')}' must have an 'Image' property specified.",
            )
    names = [str(container.get("name")) for container in template.get("containers") or []]
    if len(set(names)) != len(names):
        raise invalid_field("template.containers", "Container names must be unique")
    suffix = template.get("revisionSuffix")
    if suffix and not (_SUFFIX.fullmatch(suffix) and len(suffix) <= 64):
        raise invalid_field(
            "template.revisionSuffix",
            f"Invalid value: \"{suffix}\": a revision suffix must consist of lower case alphanumeric characters or '-', "
            "start and end with an alphanumeric character and cannot have '--'",
        )
    for container_name, secret in env_references(template):
        if secret not in known:
            raise refused(
                "ContainerAppSecretRefNotFound",
                f"SecretRef '{secret}' defined for container '{container_name}' not found.",
            )
    for secret in sorted(volume_references(template, known)):
        if secret not in known:
            raise refused(
                "ContainerAppSecretRefNotFound", f"SecretRef '{secret}' defined for a volume of type Secret not found."
            )


def check_registries(configuration: Json, known: list[str]) -> None:
    """Check that each password of a registry is a secret of the app (traffic 0188).

    Raises:
        AzureError: 400 `ContainerAppRegistriesPasswordSecretRefNotFound`.
    """
    for registry in configuration.get("registries") or []:
        reference = registry.get("passwordSecretRef")
        if reference and reference not in known:
            raise refused(
                "ContainerAppRegistriesPasswordSecretRefNotFound",
                f"PasswordSecretRef '{reference}' defined for registry server '{registry.get('server')}' not found.",
            )


def check_modes(configuration: Json) -> None:
    """Check the words and sums of a configuration.

    Raises:
        AzureError: 400.
    """
    mode = configuration.get("activeRevisionsMode")
    if mode not in {"Single", "Multiple", "Labels"}:
        raise invalid_field("configuration.activeRevisionsMode", f'Unsupported value: "{mode}"')
    ingress = configuration.get("ingress")
    if not isinstance(ingress, dict):
        return
    if ingress.get("transport") not in {None, "Auto", "Http", "Http2", "Tcp"}:
        raise invalid_field("configuration.ingress.transport", f'Unsupported value: "{ingress["transport"]}"')
    weights: list[Any] = [entry.get("weight") or 0 for entry in ingress.get("traffic") or []]
    if weights and sum(weights) != 100:
        raise refused(
            "ContainerAppInvalidTrafficWeight",
            f"Traffic weights must sum to 100, the sum of the weights given is {sum(weights)}.",
        )


def check_traffic(configuration: Json, revisions: set[str]) -> None:
    """Refuse traffic for a revision that is not there; the words are inferred, as no recorded write sent such traffic.

    Args:
        configuration: of the app, as it would become.
        revisions: names of those the app has, and of the one that this write makes.

    Raises:
        AzureError: 400.
    """
    ingress = configuration.get("ingress")
    for entry in (ingress.get("traffic") or []) if isinstance(ingress, dict) else []:
        name = entry.get("revisionName")
        if entry.get("weight") and not entry.get("latestRevision") and name not in revisions:
            raise invalid_field("configuration.ingress.traffic", f'Invalid value: "{name}": revision not found')


def check_removed(removed: set[str], active: list[tuple[str, Json]], known: list[str], *, multiple: bool) -> None:
    """Refuse to remove a secret that an active revision uses (FACTS 1.8; scale rules count in Multiple mode only).

    Raises:
        AzureError: 400.
    """
    for revision, template in active:
        used = uses(template, known) | (scale_references(template) if multiple else set())
        if found := sorted(removed & used):
            raise invalid_field(
                "configuration.secrets",
                f"Invalid value: \"{', '.join(found)}\": secrets are referenced by active revision '{revision}', add "
                f"secrets: {', '.join(found)}",
            )


def checked_secrets(document: Json | None, values: Json, sent: list[Json] | None) -> list[Json]:
    """The secrets that a write leaves the app with, each with its value or its reference.

    Args:
        document: The stored app, or None for a new one.
        values: Its kept values.
        sent: The request's secrets; None leaves them as they are.

    Raises:
        AzureError: 400; also for a stored secret that is empty, which blocks every later write (ACA#654, #660).
    """
    if sent is not None:
        return secrets.check(sent)
    stored = (document or {"properties": {"configuration": {}}})["properties"]["configuration"].get("secrets") or []
    effective = [
        secret if "keyVaultUrl" in secret else {**secret, "value": values.get(secret["name"], {}).get("value")}
        for secret in stored
    ]
    secrets.refuse_missing([s["name"] for s in effective if "keyVaultUrl" not in s and not s["value"]])
    return effective
