"""Microsoft.App/managedEnvironments/certificates and managedCertificates; bytes and password are never shown.

Managed certificates are read and deleted only: how one is issued is not simulated.
"""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING

from migrator.simulator.apps import children, documents, environments, places, schema
from migrator.simulator.apps.validation import refused
from migrator.simulator.apps.versions import VERSIONS
from migrator.simulator.clock import iso
from migrator.simulator.providers.environment_storages import check_reference
from migrator.simulator.wire import Json, Response

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure, Call

schema.define(
    """
-Certificate: id name type location tags systemData:SystemData properties:CertificateProperties
-CertificateProperties: provisioningState deploymentErrors certificateKeyVaultProperties:KeyVaultProperties@2025-01-01~2023-11-02 password subjectName subjectAlternativeNames value issuer issueDate expirationDate thumbprint valid:! publicKeyHash certificateType~2024-02-02
-ManagedCertificate: id name type location tags systemData:SystemData properties:ManagedCertificateProperties
-ManagedCertificateProperties: provisioningState subjectName error domainControlValidation validationMethod~2022-11-01 validationToken
"""
)
YEAR = 365 * 86400


def _check(call: Call, properties: Json) -> None:
    reference = properties.get("certificateKeyVaultProperties")
    if not properties.get("value") and not reference and not properties.get("thumbprint"):
        raise refused("CertificateInvalid", "Certificate must have a value or certificateKeyVaultProperties.")
    check_reference(call, reference, "certificateKeyVaultProperties")
    if properties.get("value"):
        # the certificate is not read: its facts are made up from its bytes
        properties["thumbprint"] = hashlib.sha256(str(properties["value"]).encode()).hexdigest()[:40].upper()


def _fill(azure: Azure, document: Json) -> None:
    properties = document["properties"]
    name, now = document["name"], azure.clock.now()
    for key, value in (
        ("provisioningState", "Succeeded"),
        ("subjectName", f"CN={name}"),
        ("subjectAlternativeNames", []),
        ("issuer", f"CN={name}"),
        ("issueDate", iso(now, digits=0)),
        ("expirationDate", iso(now + YEAR, digits=0)),
        ("thumbprint", hashlib.sha256(document["id"].lower().encode()).hexdigest()[:40].upper()),
        ("valid", True),
        ("publicKeyHash", hashlib.sha256(name.encode()).hexdigest()[:40]),
    ):
        if properties.get(key) is None:
            properties[key] = value
    if document.get("location"):
        document["location"] = places.display(str(document["location"]))
    azure.world.resources[document["id"].lower()] = document


def _fill_managed(azure: Azure, document: Json) -> None:
    azure.world.resources[document["id"].lower()] = document


CERTIFICATE = children.Kind(
    type=f"{environments.KIND}/certificates",
    schema="Certificate",
    missing=("CertificateNotFound", "Certificate '{name}' was not found."),
    hidden=("value", "password"),
    delete_status=200,
    check=_check,
    fill=_fill,
)
MANAGED = children.Kind(
    type=f"{environments.KIND}/managedCertificates",
    schema="ManagedCertificate",
    missing=("ManagedCertificateNotFound", "Managed Certificate '{name}' was not found."),
    delete_status=200,
    fill=_fill_managed,
)


def register(azure: Azure) -> None:
    """Add the operations and the loaders of the provider."""
    children.register(azure, CERTIFICATE, ("GET", "PUT", "PATCH"))
    children.register(azure, MANAGED, ("GET",))
    for kind in (CERTIFICATE, MANAGED):
        azure.route(
            "arm",
            "DELETE",
            kind.template,
            partial(_delete, kind=kind),
            versions=VERSIONS,
            action=f"{kind.type}/delete",
            scope=kind.template,
        )


def _delete(call: Call, kind: children.Kind) -> Response:
    """Delete one that no custom domain of an app uses (traffic, section 8)."""
    key = call.request.path.rstrip("/").lower()
    for app in call.world.of_type(documents.KIND):
        ingress = app["properties"]["configuration"].get("ingress") or {}
        for domain in ingress.get("customDomains") or []:
            if str(domain.get("certificateId") or "").lower() == key:
                name = call.params["name"]
                raise refused("CertificateInUse", f"Certificate '{name}' is used by existing custom domains.")
    call.world.resources.pop(key, None)
    return children.delete(call, kind)
