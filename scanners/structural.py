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
COMPONENT_SECRET = StructuralRule(
    "aca-component-secret",
    "Secret stored in a Dapr component",
    Severity.MEDIUM,
    Confidence.HIGH,
    "Azure Container Apps",
    "the managed identities of the apps in its scopes (azureClientId), without any key",
    "Everybody who may call listSecrets on the component reads the value, and it takes no vault reference. Use a "
    "secretstores.azure.keyvault component and name it as secretStoreComponent, or drop the key for an identity.",
)
METADATA_SECRET = StructuralRule(
    "aca-metadata-secret",
    "Key in the metadata of a component or a scale rule",
    Severity.HIGH,
    Confidence.HIGH,
    "Azure Container Apps",
    "an identity on the rule or component, where its kind takes one",
    "Metadata is shown to everybody who may read the resource. Name a secret instead (secretRef, auth[].secretRef), and "
    "rotate the value.",
)
UNSEEN_SECRET = StructuralRule(
    "aca-unseen-secret",
    "Key or password that a resource holds and never shows",
    Severity.LOW,
    Confidence.HIGH,
    "Azure Container Apps",
    "the identity of the environment, or of the workflow, where the setting takes one",
    "Azure shows the setting without its value, so nobody can tell which one it is or whether it was rotated. "
    "docs/surface.md says for each place what can stand there instead.",
)
STRUCTURAL_RULES = (
    INLINE_SECRET,
    REGISTRY_PASSWORD,
    LITERAL_REFERENCE,
    KNOWN_VALUE,
    ADMIN_USER,
    COMPONENT_SECRET,
    METADATA_SECRET,
    UNSEEN_SECRET,
)
