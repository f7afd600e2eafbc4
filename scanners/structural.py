"""Rules that no pattern can state: what makes them findings is where a value lies in a resource, not what it looks like."""

from __future__ import annotations

from dataclasses import dataclass

from scanners.model import Confidence, Severity


@dataclass(frozen=True, slots=True)
class StructuralRule:
    """One rule about a place. Ids are permanent, as those of rule files are."""

    id: str
    title: str
    severity: Severity
    confidence: Confidence
    service: str
    passwordless: str
    help: str


INLINE_SECRET = StructuralRule(
    "aca-inline-secret",
    "Secret stored in the container app",
    Severity.MEDIUM,
    Confidence.HIGH,
    "Azure Container Apps",
    "a Key Vault reference of the same name, resolved by the app's managed identity",
    "Everybody who may call listSecrets on the app reads the value. Move it to Key Vault: keylift plan --vault NAME.",
)
REGISTRY_PASSWORD = StructuralRule(
    "aca-registry-password",
    "Registry password stored in the container app",
    Severity.HIGH,
    Confidence.HIGH,
    "Azure Container Registry",
    "the app's managed identity with AcrPull",
    "Set identity instead of username and passwordSecretRef on the registry, then drop the secret: keylift plan --vault NAME.",
)
LITERAL_REFERENCE = StructuralRule(
    "aca-literal-secretref",
    "Mistyped secret reference: the app gets its text as the value",
    Severity.MEDIUM,
    Confidence.HIGH,
    "Azure Container Apps",
    "",
    # ACA#346: the command line knows lower-case `secretref:` only; every other case, and the API always, takes the text.
    "The variable holds the text of the reference, not the secret. Set it again: "
    "az containerapp update -n APP -g GROUP --set-env-vars NAME=secretref:SECRET.",
)
KNOWN_VALUE = StructuralRule(
    "aca-known-secret-value",
    "Value of a known secret under another name",
    Severity.HIGH,
    Confidence.HIGH,
    "Azure Container Apps",
    "a reference to the secret that holds the value",
    "The same value is a secret elsewhere in the estate. Refer to that secret instead of repeating its value.",
)
ADMIN_USER = StructuralRule(
    "acr-admin-user",
    "Registry with the admin user on",
    Severity.MEDIUM,
    Confidence.HIGH,
    "Azure Container Registry",
    "managed identities with AcrPull and AcrPush",
    "One shared account with two passwords that can push and pull everything. When nothing signs in with it any more: "
    "az acr update -n REGISTRY --admin-enabled false.",
)
STRUCTURAL_RULES = (INLINE_SECRET, REGISTRY_PASSWORD, LITERAL_REFERENCE, KNOWN_VALUE, ADMIN_USER)
