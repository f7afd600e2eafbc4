"""Takes an estate document (docs/estate.md) into the simulated cloud.

What real captures lack is filled in: resource groups, the environment and the identities that an app names, the
subscriptions of the ids. Nonsense is refused with a ValueError that names the place.

Tables written here: `subscriptions` (lower-case id -> {"id", "displayName", "tenantId"}) and `groups` (lower-case
`/subscriptions/x/resourcegroups/y` -> {"id", "name", "location", "tags"}); `estate_access` and `estate_needs` beside
this module write the rest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from migrator.simulator import estate_access, estate_needs
from migrator.simulator.documents import items, known, mapping, mappings, placed, text
from migrator.simulator.faults import Faults
from migrator.simulator.providers import service_keys, vault_secrets
from migrator.simulator.switches import Switches
from migrator.simulator.wire import AzureError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from migrator.simulator.azure import Azure
    from migrator.simulator.wire import Json

SCHEMA = 1

GROUP = "Microsoft.Resources/resourceGroups"
IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities"
ENVIRONMENT = "Microsoft.App/managedEnvironments"
FIRST = [
    kind.lower()
    for kind in (GROUP, IDENTITY, ENVIRONMENT, "Microsoft.KeyVault/vaults", "Microsoft.ContainerRegistry/registries")
]
"""What others hang on, in the order in which it is taken in."""
CONSUMERS = ("microsoft.app/containerapps", "microsoft.app/jobs")
"""What uses the rest; taken in last, after the vaults' secrets."""

_KEYS = {
    *("schema", "subscriptions", "resources", "vaultSecrets", "roleAssignments", "roleDefinitions", "denyAssignments"),
    *("locks", "operator", "needs", "switches", "faults", "serviceKeys", "groups", "connections", "managementGroups"),
}
_RESOURCE = re.compile(
    r"/subscriptions/([^/]+)/resourceGroups/([^/]+)(?:/providers/([^/]+)((?:/[^/]+/[^/]+)+))?", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource of the document."""

    place: str
    kind: str
    """The ARM type in lower case."""
    document: Json

    @property
    def rank(self) -> tuple[int, int]:
        """Where it comes in the order: what others need first, children after their parents."""
        root = "/".join(self.kind.split("/")[:2])
        place = FIRST.index(root) if root in FIRST else len(FIRST) + (root in CONSUMERS)
        return place, self.kind.count("/")

    @property
    def last(self) -> bool:
        """Whether it uses the rest."""
        return self.kind.startswith(CONSUMERS)


def load(azure: Azure, document: Mapping[str, Any]) -> None:
    """Take `document` in; what it describes is settled: roles are in effect, principals are known everywhere.

    Raises:
        ValueError: the document is not an estate of schema 1; the message begins with the place.
    """
    known(document, _KEYS, "estate")
    if document.get("schema") != SCHEMA or isinstance(document.get("schema"), bool):
        raise ValueError(f"schema: this simulator reads estates of schema {SCHEMA}, not {document.get('schema')!r}")
    with azure.lock:
        switches = mapping(document.get("switches", {}), "switches")
        azure.switches = placed("switches", lambda: Switches.of({**azure.switches.as_dict(), **switches}))
        _subscriptions(azure, document)
        given = list(_entries(document))
        present = {entry.document["id"].lower() for entry in given}
        entries = sorted([*given, *_implied(document, given, present)], key=lambda entry: entry.rank)
        _take(azure, (entry for entry in entries if not entry.last))
        _secrets(azure, document)
        _service_keys(azure, document)
        estate_needs.load(azure, document)
        estate_needs.connections(azure, document)
        _take(azure, (entry for entry in entries if entry.last))
        estate_access.load(azure, document)
        rules = [dict(rule) for _, rule in mappings(document, "faults")]
        azure.faults.rules.extend(placed("faults", lambda: Faults(rules)).rules)


# Subscriptions and groups


def _subscriptions(azure: Azure, document: Mapping[str, Any]) -> None:
    for place, given in items(document, "subscriptions"):
        entry = mapping({"id": given} if isinstance(given, str) else given, place)
        known(entry, {"id", "subscriptionId", "displayName", "name", "tenantId", "state"}, place)
        identifier = str(entry.get("subscriptionId") or entry.get("id") or "").removeprefix("/subscriptions/")
        if not identifier or "/" in identifier:
            raise ValueError(f"{place}: a subscription is its id, or an object with 'id'; got {given!r}")
        _subscription(azure, identifier, entry.get("displayName") or entry.get("name"))


def _subscription(azure: Azure, identifier: str, name: str | None = None) -> None:
    azure.world.table("subscriptions").setdefault(
        identifier.lower(),
        {"id": identifier, "displayName": name or f"Subscription {identifier}", "tenantId": azure.world.tenant},
    )


def _group(azure: Azure, identifier: str, location: str, tags: Json | None = None) -> None:
    found = _RESOURCE.match(identifier)
    if found is not None:
        _subscription(azure, found[1])
        whole = f"/subscriptions/{found[1]}/resourceGroups/{found[2]}"
        entry = {"id": whole, "name": found[2], "location": _place(location), "tags": tags or {}}
        azure.world.table("groups").setdefault(whole.lower(), entry)


def _place(location: str) -> str:
    return location.replace(" ", "").lower()


# Resources


def _entries(document: Mapping[str, Any]) -> Iterator[Entry]:
    seen: dict[str, str] = {}
    for place, given in mappings(document, "resources"):
        entry = _entry(given, place)
        key = entry.document["id"].lower()
        if key in seen:
            raise ValueError(f"{place}.id: {entry.document['id']} is already at {seen[key]}")
        seen[key] = place
        yield entry


def _entry(given: Mapping[str, Any], place: str) -> Entry:
    identifier = given.get("id")
    found = _RESOURCE.fullmatch(identifier.rstrip("/")) if isinstance(identifier, str) else None
    if found is None:
        raise ValueError(f"{place}.id: {identifier!r} is no id of a resource in a resource group")
    segments = (found[4] or "").strip("/").split("/")
    from_id = "/".join((found[3], *segments[0::2])) if found[3] else GROUP
    kind = given.get("type") or from_id
    if str(kind).lower() == "microsoft.resources/subscriptions/resourcegroups":
        kind = GROUP
    if not isinstance(kind, str) or kind.lower() != from_id.lower():
        raise ValueError(f"{place}.type: {kind!r} does not fit the id {identifier!r}")
    mapping(given.get("properties") or {}, f"{place}.properties")
    document = {**given, "id": found[0], "type": kind}
    document.setdefault("name", segments[-1] if found[3] else found[2])
    return Entry(place, kind.lower(), document)


def _take(azure: Azure, entries: Iterable[Entry]) -> None:
    for entry in entries:
        document = entry.document
        is_group = entry.kind == GROUP.lower()
        location = str(document.get("location") or "westeurope")
        _group(azure, document["id"], location, document.get("tags") if is_group else None)
        loader = azure.loaders.get(entry.kind)
        if is_group:
            continue
        if loader is None:
            azure.world.resources[document["id"].lower()] = document
            continue
        try:
            loader(azure, document)
        except (ValueError, AzureError) as error:
            raise ValueError(f"{entry.place} ({document['id']}): {error}") from error
        except (LookupError, TypeError, AttributeError) as error:
            # without the error's text: it may hold a value of the document
            raise ValueError(f"{entry.place} ({document['id']}): malformed ({type(error).__name__})") from error


def _implied(document: Mapping[str, Any], entries: list[Entry], present: set[str]) -> Iterator[Entry]:
    """Identities, then environments, that apps, jobs and assignments name and the document lacks."""
    identities: dict[str, Json] = {}
    environments: dict[str, Json] = {}

    def note(made: dict[str, Json], kind: str, identifier: str, location: str, properties: Json) -> None:
        if identifier.lower() not in present:
            new = {"id": identifier, "type": kind, "location": location, "tags": {}, "properties": {}}
            made.setdefault(identifier.lower(), new)["properties"].update(properties)

    for entry in entries:
        location = str(entry.document.get("location") or "westeurope")
        for identifier, properties in _attached(entry):
            note(identities, IDENTITY, identifier, _place(location), properties)
        inner = entry.document.get("properties") or {}
        named = inner.get("environmentId") or inner.get("managedEnvironmentId")
        if entry.kind in CONSUMERS and isinstance(named, str):
            note(environments, ENVIRONMENT, named, location, {})
    for _, assignment in mappings(document, "roleAssignments"):
        named = assignment.get("principal")
        if isinstance(named, str) and f"/{IDENTITY}/".lower() in named.lower():
            note(identities, IDENTITY, named, "westeurope", {})
    for made in (*identities.values(), *environments.values()):
        yield _entry(made, f"the {made['type']} that a resource names")


def _attached(entry: Entry) -> Iterator[tuple[str, Json]]:
    """Ids of user-assigned identities that a resource names, with what it tells of them."""
    identity = entry.document.get("identity")
    attached = identity.get("userAssignedIdentities") if isinstance(identity, dict) else None
    for identifier, told in (attached or {}).items():
        yield identifier, {k: v for k, v in (told or {}).items() if k in {"principalId", "clientId"}}
    if entry.kind in CONSUMERS:
        configuration = (entry.document.get("properties") or {}).get("configuration") or {}
        for part in (*(configuration.get("secrets") or []), *(configuration.get("registries") or [])):
            named = part.get("identity") if isinstance(part, dict) else None
            if isinstance(named, str) and f"/{IDENTITY}/".lower() in named.lower():
                yield named, {}


# Secrets


def _secrets(azure: Azure, document: Mapping[str, Any]) -> None:
    for place, entry in mappings(document, "vaultSecrets"):
        known(entry, {"vault", "name", "value", "enabled", "tags", "deleted"}, place)
        name, vault, value = text(entry, "name", place), text(entry, "vault", place), entry.get("value")
        if not isinstance(value, str):
            raise ValueError(f"{place}.value: a string is needed")  # noqa: TRY004 - one error type for a bad file
        flags = {"enabled": entry.get("enabled", True), "deleted": entry.get("deleted", False)}
        for key, flag in flags.items():
            if not isinstance(flag, bool):
                raise ValueError(f"{place}.{key}: true or false")  # noqa: TRY004 - as above
        tags = dict(mapping(entry.get("tags") or {}, f"{place}.tags"))
        try:
            vault_secrets.plant(azure, _vault(vault), name, value, tags=tags, **flags)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error


def _service_keys(azure: Azure, document: Mapping[str, Any]) -> None:
    for place, entry in mappings(document, "serviceKeys"):
        known(entry, {"resource", "name", "value", "rights"}, place)
        rights = entry.get("rights") or []
        if not isinstance(rights, list):
            raise ValueError(f"{place}.rights: a list is needed")  # noqa: TRY004 - one error type for a bad file
        resource, name, value = (text(entry, key, place) for key in ("resource", "name", "value"))
        try:
            service_keys.plant(azure, resource, name, value, rights)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error


def _vault(named: str) -> str:
    """A vault's id or name, from either or from its address (`https://<name>.vault.azure.net`)."""
    found = re.fullmatch(r"https://([0-9a-z-]+)\.vault\.[^/]+/?", named, re.IGNORECASE)
    return found[1] if found else named
