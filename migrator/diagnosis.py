"""Why a vault reference does not resolve: Azure gives one vague message for all causes (FACTS, section 1.6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from migrator.errors import CloudError, DeniedError, NotFoundError
from migrator.model import Json, ResourceId
from migrator.ports import Cloud
from migrator.veil import section

READERS = {
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
    "b86a8fe4-44ce-4948-aee5-eccb2c155cd7": "Key Vault Secrets Officer",
    "00482a5a-887f-4fb3-b363-3b7fe8e74483": "Key Vault Administrator",
}
"""Built-in roles that let an identity read a secret's value (FACTS, section 4.1)."""


AGAIN = ", then apply the plan again: keylift apply PLAN"
"""An app that could not be moved is put back as it was, so the same plan fits it."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A vault reference of an app, and what is known around it."""

    name: str
    """The app's name for the secret."""
    vault_uri: str
    secret: str
    """The vault's name for it."""
    vault: str | None = None
    """ARM id of the vault; None for a reference that keylift did not make."""
    principal: str | None = None
    """Object id of the identity that reads it."""
    role: str | None = None
    """GUID of the role it should have."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One cause, and what mends it."""

    cause: str
    """`unreachable`, `model`, `network`, `role`, `missing`, `deleted`, `disabled`, `empty`, `not-yet` or `unknown`."""
    text: str
    hint: str
    definite: bool = False
    """Waiting does not mend it."""


def diagnose(references: Sequence[Reference], cloud: Cloud, *, said: str = "") -> Diagnosis:
    """Probe in the one order vault reachable, its model, its network, the role, the secret itself.

    Args:
        references: All vault references of the app.
        cloud: Where they are.
        said: Azure's message; a reference it names is probed first.
    """
    ordered = sorted(references, key=lambda reference: f" {reference.name.lower()} " not in f" {said.lower()} ")
    weak: Diagnosis | None = None
    for reference in ordered:
        for probe in (_vault, _secret):
            for found in probe(reference, cloud):
                if found.definite:
                    return found
                weak = weak or found
    return weak or Diagnosis(
        "not-yet",
        "the role is assigned and the secret is there: the role is not in effect yet (up to 15 minutes were measured)",
        f"wait a few minutes{AGAIN}",
    )


def _vault(reference: Reference, cloud: Cloud) -> Iterator[Diagnosis]:
    if reference.vault is None:
        return
    name = ResourceId.parse(reference.vault).name
    try:
        document = cloud.get_vault(reference.vault)
    except NotFoundError:
        yield Diagnosis(
            "unreachable",
            f"the vault {name} is gone",
            f"az keyvault recover --name {name}{AGAIN}",
            definite=True,
        )
        return
    except CloudError as error:
        yield Diagnosis("unreachable", f"the vault {name} cannot be looked at: {error.why}", error.hint)
        return
    if section(document, "properties", "enableRbacAuthorization") is not True:
        yield Diagnosis(
            "model",
            f"the vault {name} decides by access policies: a role does nothing there",
            f"az keyvault set-policy --name {name} --object-id {reference.principal or 'PRINCIPAL'} "
            f"--secret-permissions get{AGAIN}",
            definite=True,
        )
        return
    yield from _network(name, document)
    yield from _role(reference, cloud)


def _network(name: str, document: Json) -> Iterator[Diagnosis]:
    properties = document.get("properties") or {}
    rules = properties.get("networkAcls") or {}
    private = bool(properties.get("privateEndpointConnections"))
    closed = str(properties.get("publicNetworkAccess") or "Enabled").lower() == "disabled"
    denied = str(rules.get("defaultAction") or "Allow").lower() == "deny"
    if not (closed or denied):
        return
    way_in = private or (not closed and bool(rules.get("ipRules") or rules.get("virtualNetworkRules")))
    # Container Apps are no trusted service of the vault's firewall (FACTS, section 5.6), so bypass does not help
    yield Diagnosis(
        "network",
        f"the network of vault {name} does not let the app in: "
        + ("public access is off" if closed else "its firewall denies by default"),
        f"let somebody decide: az keyvault network-rule add --name {name} --subnet SUBNET_OF_THE_ENVIRONMENT{AGAIN}",
        definite=not way_in,
    )


def _role(reference: Reference, cloud: Cloud) -> Iterator[Diagnosis]:
    if reference.principal is None:
        return
    scope = f"{reference.vault}/secrets/{reference.secret}"
    try:
        held = cloud.list_assignments(scope, reference.principal, groups=True)
    except CloudError:
        return
    if not any(assignment.role in {*READERS, reference.role} for assignment in held):
        yield Diagnosis(
            "role",
            f"the identity {reference.principal} has no role that reads the secret {reference.secret}",
            f"az role assignment create --role 'Key Vault Secrets User' --assignee-object-id {reference.principal} "
            f"--assignee-principal-type ServicePrincipal --scope {scope}{AGAIN}",
        )


def _secret(reference: Reference, cloud: Cloud) -> Iterator[Diagnosis]:
    vault = reference.vault_uri.split("//")[-1].split(".")[0].split(":")[0]
    if reference.vault is not None:
        vault = ResourceId.parse(reference.vault).name
    command: Callable[[str], str] = lambda rest: (  # noqa: E731 - three commands of one form
        f"az keyvault secret {rest} --vault-name {vault} --name {reference.secret}"
    )
    where = f"the vault secret {reference.secret} that app secret {reference.name} refers to"
    try:
        described = cloud.describe_secret(reference.vault_uri, reference.secret)
    except DeniedError:
        return  # the operator may not look; that says nothing about the app's identity
    except CloudError as error:
        yield Diagnosis("unreachable", f"the vault {vault} does not answer: {error.why}", error.hint)
        return
    if described is None:
        yield Diagnosis("missing", f"{where} is not there", command("set") + " --value VALUE" + AGAIN, definite=True)
    elif described.deleted:
        yield Diagnosis("deleted", f"{where} is soft-deleted", command("recover") + AGAIN, definite=True)
    elif not described.enabled:
        yield Diagnosis(
            "disabled", f"{where} is disabled", command("set-attributes") + " --enabled true" + AGAIN, definite=True
        )
    else:
        try:
            found = cloud.get_secret(reference.vault_uri, reference.secret)
        except CloudError:
            return
        if found is not None and len(found[0]) == 0:
            # an empty value breaks every reference to it (FACTS, section 1.8)
            yield Diagnosis("empty", f"{where} is empty", command("set") + " --value VALUE" + AGAIN, definite=True)
