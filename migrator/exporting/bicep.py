"""Bicep of what a plan makes: a file for each resource group, and what to merge into the apps that are declared elsewhere.

An app's own code is somebody else's, and Bicep cannot change a part of a resource: the parts come as variables, in the shape
of the resource, to be merged by hand. Values are nowhere in it; the vault's secrets are named as existing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from migrator.errors import UsageError
from migrator.exporting.wanted import SYSTEM, Assignment, Change, Identity, Symbols, Wanted, one_line
from migrator.model import ResourceId

VERSIONS = {
    "Microsoft.ManagedIdentity/userAssignedIdentities": "2023-01-31",
    "Microsoft.KeyVault/vaults": "2023-07-01",
    "Microsoft.KeyVault/vaults/secrets": "2023-07-01",
    "Microsoft.ContainerRegistry/registries": "2023-07-01",
    "Microsoft.Authorization/roleAssignments": "2022-04-01",
}
"""API versions of the types, as resources are declared."""

_ASSIGN = """\
@description('False where keylift apply made the assignments: one that is there by another name is refused (RoleAssignmentExists).')
param assignRoles bool = true
"""


def files(wanted: Wanted) -> dict[str, str]:
    """A file for each resource group in which the plan makes something: `GROUP.bicep`."""
    groups: dict[tuple[str, str], tuple[str, str]] = {}
    for resource in (
        *(identity.id for identity in wanted.identities if identity.made),
        *(assignment.scope for assignment in wanted.assignments),
        *(change.id for change in wanted.apps),
    ):
        groups.setdefault(
            (resource.subscription.lower(), resource.group.lower()), (resource.subscription, resource.group)
        )
    names = [group for _, group in groups.values()]
    made = {}
    for subscription, group in groups.values():
        alone = sum(name.lower() == group.lower() for name in names) == 1
        name = f"{group}.bicep" if alone else f"{group}-{subscription}.bicep"
        made[name] = _File(wanted, subscription, group).text()
    return made


class _File:
    """The code of one resource group."""

    def __init__(self, wanted: Wanted, subscription: str, group: str) -> None:
        self._wanted = wanted
        self._subscription, self._group = subscription, group
        self._symbols = Symbols()
        self._blocks: list[str] = []
        self._declared: set[str] = set()
        self._principals: dict[str, str] = {}

    def text(self) -> str:
        """All of it."""
        identities = [identity for identity in self._wanted.identities if identity.made and self._here(identity.id)]
        assignments = [each for each in self._wanted.assignments if self._here(each.scope)]
        changes = [change for change in self._wanted.apps if self._here(change.id)]
        for identity in identities:
            self._identity(identity)
        for assignment in assignments:
            self._assignment(assignment)
        for change in changes:
            self._change(change)
        head = [
            f"// What keylift plan {one_line(self._wanted.plan)} makes in resource group {one_line(self._group)}:",
            (
                f"//   az deployment group create --subscription {one_line(self._subscription)}"
                f" --resource-group {one_line(self._group)} --template-file FILE"
            ),
        ]
        if any(not self._here(ResourceId.parse(each.identity)) for each in assignments if each.identity != SYSTEM):
            head.append("// Identities of other groups are taken as existing: deploy the files of those groups first.")
        if self._wanted.left:
            head += ["// Not said here, the plan does it besides:"]
            head += [f"//   {one_line(text)}" for text in self._wanted.left]
        parameters = [_ASSIGN] if assignments else []
        parameters += [
            f"@description('Object id of the system-assigned identity of {_escaped(ResourceId.parse(app).name)}.')\n"
            f"param {symbol} string\n"
            for app, symbol in self._principals.items()
        ]
        return "\n".join(["\n".join(head) + "\n", *parameters, *self._blocks])

    def _here(self, resource: ResourceId) -> bool:
        ours = (self._subscription.lower(), self._group.lower())
        return (resource.subscription.lower(), resource.group.lower()) == ours

    def _identity(self, identity: Identity) -> None:
        self._declare(
            identity.id,
            {
                "name": identity.id.name,
                "location": identity.location,
                **({"tags": identity.tags} if identity.tags else {}),
            },
        )

    def _declare(self, resource: ResourceId, body: dict[str, Any], *, existing: bool = False) -> str:
        """The symbol of a resource, declared when it is not yet."""
        symbol = self._symbols.of(str(resource), resource.name)
        if str(resource).lower() not in self._declared:
            self._declared.add(str(resource).lower())
            word = " existing" if existing else ""
            self._blocks.append(f"resource {symbol} '{_type(resource)}'{word} = {_value(body)}\n")
        return symbol

    def _existing(self, resource: ResourceId) -> str:
        if resource.kind.lower() == "vaults/secrets":
            vault = ResourceId(resource.subscription, resource.group, resource.namespace, "vaults", resource.names[:1])
            parent = self._existing(vault)
            return self._declare(resource, {"parent": _Symbol(parent), "name": resource.name}, existing=True)
        body: dict[str, Any] = {"name": resource.name}
        if not self._here(resource):
            body["scope"] = _Symbol(f"resourceGroup({_text(resource.subscription)}, {_text(resource.group)})")
        return self._declare(resource, body, existing=True)

    def _assignment(self, assignment: Assignment) -> None:
        scope = self._existing(assignment.scope)
        if assignment.identity == SYSTEM:
            name = ResourceId.parse(assignment.app).name
            principal = self._principals.setdefault(
                assignment.app, self._symbols.of(f"principal {assignment.app}", f"{name} principal id")
            )
            key = principal
        else:
            identity = self._existing(ResourceId.parse(assignment.identity))
            principal, key = f"{identity}.properties.principalId", f"{identity}.id"
        symbol = self._symbols.of(
            f"{assignment.scope} {assignment.role} {assignment.identity} {assignment.app}",
            f"{key.removesuffix('.id')} reads {scope}",
        )
        role = _text(assignment.role)
        body = {
            "name": _Symbol(f"guid({scope}.id, {key}, {role})"),
            "scope": _Symbol(scope),
            "properties": {
                "roleDefinitionId": _Symbol(
                    f"subscriptionResourceId('Microsoft.Authorization/roleDefinitions', {role})"
                ),
                "principalId": _Symbol(principal),
                "principalType": "ServicePrincipal",
            },
        }
        kind = "Microsoft.Authorization/roleAssignments"
        self._blocks.append(
            f"// {one_line(assignment.role_name)}\n"
            f"resource {symbol} '{kind}@{VERSIONS[kind]}' = if (assignRoles) {_value(body)}\n"
        )

    def _change(self, change: Change) -> None:
        symbol = self._symbols.of(str(change.id), change.id.name)
        kind = "job" if change.job else "container app"
        self._blocks.append(
            f"// {kind} {one_line(change.id.name)}: merge into the resource that declares it, entry by entry, by name\n"
            f"var {symbol} = {_value(part(change))}\n"
        )


def part(change: Change) -> dict[str, Any]:
    """What an app or a job becomes, in the shape of its resource, without what it is besides."""
    configuration: dict[str, Any] = {}
    if change.secrets:
        configuration["secrets"] = [
            {"name": each["name"], "keyVaultUrl": each["key_vault_url"], "identity": each["identity"]}
            for each in change.secrets
        ]
    if change.registries:
        configuration["registries"] = [
            {"server": each["server"], "identity": each["identity"]} for each in change.registries
        ]
    properties: dict[str, Any] = {"configuration": configuration} if configuration else {}
    template: dict[str, Any] = {}
    for env in change.env:
        which = template.setdefault("initContainers" if env["init"] else "containers", [])
        container = next((each for each in which if each["name"] == env["container"]), None)
        if container is None:
            container = {"name": env["container"], "env": []}
            which.append(container)
        container["env"].append({"name": env["env"], "secretRef": env["secret"]})
    if template:
        properties["template"] = template
    return {**_identities_of(change.identities), "properties": properties}


def _type(resource: ResourceId) -> str:
    """Type and API version; ids spell types in any case, Bicep as they are declared.

    Raises:
        UsageError: the plan names a resource of another type.
    """
    kind = f"{resource.namespace}/{resource.kind}".lower()
    for known, version in VERSIONS.items():
        if known.lower() == kind:
            return f"{known}@{version}"
    raise UsageError(
        f"the plan names a {resource.namespace}/{resource.kind}, which export does not know",
        why=f"it knows {', '.join(VERSIONS)}",
        hint="keylift export PLAN --to terraform",
    )


def _identities_of(attached: Sequence[str]) -> dict[str, Any]:
    users = [identity for identity in attached if identity != SYSTEM]
    system = len(users) < len(attached)
    if not users and not system:
        return {}
    kind = ", ".join(word for word, there in (("SystemAssigned", system), ("UserAssigned", users)) if there)
    return {"identity": {"type": kind, **({"userAssignedIdentities": {each: {} for each in users}} if users else {})}}


class _Symbol(str):
    """Code, not text."""

    __slots__ = ()


def _escaped(text: str) -> str:
    for char, code in (("\\", "\\\\"), ("'", "\\'"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"), ("${", "\\${")):
        text = text.replace(char, code)
    return "".join(char if char.isprintable() else f"\\u{{{ord(char):x}}}" for char in text)


def _text(text: str) -> str:
    return f"'{_escaped(text)}'"


def _value(value: Any, depth: int = 0) -> str:
    """A value as Bicep writes it."""
    pad, close = "  " * (depth + 1), "  " * depth
    if isinstance(value, _Symbol):
        return str(value)
    if isinstance(value, dict):
        if not value:
            return "{}"
        lines = [f"{pad}{_key(name)}: {_value(inner, depth + 1)}" for name, inner in value.items()]
        return "{\n" + "\n".join(lines) + f"\n{close}}}"
    if isinstance(value, list):
        return "[\n" + "\n".join(f"{pad}{_value(inner, depth + 1)}" for inner in value) + f"\n{close}]"
    return _text(str(value))


def _key(name: str) -> str:
    return name if name.isascii() and name.isidentifier() else _text(name)
