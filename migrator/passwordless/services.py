"""The Azure services whose keys an identity can replace: `services.toml`, read once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any

from migrator.model import Json, ResourceId
from migrator.planning.places import child

NEEDS = ("read", "write", "send", "receive", "manage", "mint")
"""What an app may need of a service; `mint` is signing SAS itself."""


@dataclass(frozen=True, slots=True)
class Role:
    """A role of Azure, or of the service's own system (then without an id)."""

    name: str
    id: str = ""
    data: tuple[str, ...] = ()
    """What of a service's data it opens: data actions, or wildcards over them."""

    @property
    def owns(self) -> bool:
        """Whether it gives everything on the data plane: nothing to give unasked."""
        return "Owner" in self.name


@dataclass(frozen=True, slots=True)
class Service:
    """One service; every field is a column of `services.toml`, whose head explains it."""

    id: str
    title: str
    types: tuple[str, ...]
    hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    nameless: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    scope: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, Role] = field(default_factory=dict)
    system: str = "arm"
    """`arm`, `cosmos`, `redis`, `sql`, `postgresql`, `mysql` or `code`: who decides on its data plane."""
    command: str = ""
    """Gives a role of the service's own system."""
    ready: Mapping[str, str] = field(default_factory=dict)
    """A property of the resource without which it takes no token: `property` with `equals`, `differs` or `present`;
    `lacks` says so, `mend` is the command."""
    custom_domain: bool = False
    """Whether it takes tokens under a domain of its own only."""
    kinds: Mapping[str, Role] = field(default_factory=dict)
    """The role by the kind of account, in lower case."""
    cannot: str = ""
    alone: str = ""
    unclear: str = ""
    code: str = ""
    also: str = ""
    close: str = ""
    breaks: str = ""
    choices: tuple[str, ...] = ()
    rotate: str = ""
    """Makes the old key worthless."""
    shut: str = ""
    """Closes key access."""
    prove: str = ""
    """Shows whether somebody still signs in with a key: only time can prove that nobody does."""
    failures: tuple[str, ...] = ()
    """Texts of a log that tell that signing in with an identity fails there."""

    def told(self, what: str, resource: str) -> str:
        """A command (`rotate`, `shut` or `prove`) for one resource."""
        text = str(getattr(self, what))
        parsed = ResourceId.parse(resource)
        return text.format(name=parsed.name, group=parsed.group, id=resource)

    def lacking(self, document: Json) -> tuple[str, str] | None:
        """Why a resource takes no token as it stands, and the command that mends it; None when it does."""
        properties = document.get("properties") or {}
        if self.custom_domain and not properties.get("customSubDomainName"):
            return "the account has no custom domain, and takes tokens under one only", (
                "az cognitiveservices account update -n {name} -g {group} --custom-domain {name}"
            )
        if str(properties.get("disableAadAuth")).lower() == "true":
            return "Entra sign-in is off on the resource", self.ready.get("mend", "")
        if not self.ready:
            return None
        # a resource read by Resource Graph may show the property in another case, or not at all
        found = child(properties, *self.ready["property"].split("."))
        good = True
        if "equals" in self.ready:
            good = str(found).lower() == self.ready["equals"].lower()
        elif "differs" in self.ready:
            good = str(found).lower() != self.ready["differs"].lower()
        elif "present" in self.ready:
            good = child(properties, *self.ready["present"].split(".")) is not None
        return None if good else (self.ready["lacks"], self.ready["mend"])


def _table() -> dict[str, Any]:
    return tomllib.loads(files("migrator.passwordless").joinpath("services.toml").read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def common_failures() -> tuple[str, ...]:
    """Texts of a log that tell that a client got no token at all, whatever the service."""
    return tuple(_table()["failures"])


@lru_cache(maxsize=1)
def services() -> Mapping[str, Service]:
    """All services by id, in the order of the file."""
    return {entry["id"]: _service(entry) for entry in _table()["service"]}


def _service(entry: dict[str, Any]) -> Service:
    own = {need: Role(name) for need, name in entry.pop("system_roles", {}).items()}
    roles = {need: Role(name, guid, tuple(data)) for need, (guid, name, *data) in entry.pop("roles", {}).items()}
    for key in ("types", "nameless", "endpoints", "choices", "failures"):
        entry[key] = tuple(entry.get(key, ()))
    entry["kinds"] = {
        kind.lower(): Role(name, guid, tuple(data)) for kind, (guid, name, *data) in entry.pop("kinds", {}).items()
    }
    hosts = {cloud: tuple(suffixes) for cloud, suffixes in entry.pop("hosts", {}).items()}
    return Service(**entry, hosts=hosts, roles={**roles, **own})


@dataclass(frozen=True, slots=True)
class Host:
    """What a host name says by itself."""

    name: str
    """Of the resource."""
    services: tuple[Service, ...]
    """Those that share the suffix; the resource's type decides."""
    cloud: str


def nameless(host: str) -> Service | None:
    """The service behind a host that many of its resources share; None for any other host."""
    low = host.lower().rstrip(".").partition(":")[0]
    ends = ((service, end) for service in services().values() for end in service.nameless)
    return next((service for service, end in ends if low == end or low.endswith(f".{end}")), None)


def by_host(host: str) -> Host | None:
    """The service and resource name behind a host; None for a custom domain, an address, or another company's host.

    The name is the first label: `account-secondary` is the same storage account, `ns.redis.azure.net` has its region
    between. The longest suffix wins (`mongo.cosmos.azure.com`).
    """
    low = host.lower().rstrip(".").partition(":")[0]
    found: list[tuple[int, str, Service]] = []
    for service in services().values():
        for cloud, suffixes in service.hosts.items():
            found += [(len(suffix), cloud, service) for suffix in suffixes if low.endswith(f".{suffix}")]
    if not found:
        return None
    longest = max(length for length, _, _ in found)
    chosen = [(cloud, service) for length, cloud, service in found if length == longest]
    name = low.partition(".")[0]
    if chosen[0][1].id.startswith("storage"):
        name = name.removesuffix("-secondary")
    return Host(name, tuple(service for _, service in chosen), chosen[0][0])
