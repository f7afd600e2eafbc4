"""Dapr components of Azure services as they are written: `dapr.toml`, and one component read by it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.resources import files

from migrator.model import Json, Part
from migrator.passwordless.cases import CLOUDS
from migrator.passwordless.pointer import Pointer, point
from migrator.passwordless.services import by_host, services
from scanners.model import Secret

SPARE = ("azureClientSecret", "azureTenantId")
"""Client credentials: they come first in the chain, so an identity is not even tried."""
_SUFFIXES = {"storage-blob": "blob", "storage-table": "table", "storage-queue": "queue"}


@dataclass(frozen=True, slots=True)
class Component:
    """One row of `dapr.toml`, whose head explains it."""

    types: tuple[str, ...]
    service: str
    drops: tuple[str, ...]
    name: str
    form: str
    requires: tuple[tuple[str, ...], ...]
    needs: tuple[str, ...]
    part: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    managed: str = ""
    second: Mapping[str, str] = field(default_factory=dict)
    adds: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    warns: str = ""


@lru_cache(maxsize=1)
def table() -> tuple[Mapping[str, Component], Mapping[str, str]]:
    """Components by type, and why others cannot do without a key, by type."""
    read = tomllib.loads(files("migrator.passwordless").joinpath("dapr.toml").read_text(encoding="utf-8"))
    known: dict[str, Component] = {}
    for entry in read["component"]:
        entry |= {key: tuple(entry[key]) for key in ("types", "drops", "needs")}
        entry["requires"] = tuple(map(tuple, entry["requires"]))
        entry["part"] = {key: tuple(names) for key, names in entry.get("part", {}).items()}
        known |= {kind: Component(**entry) for kind in entry["types"]}
    return known, {kind: entry["why"] for entry in read["cannot"] for kind in entry["types"]}


class Look:
    """One component, read."""

    def __init__(self, part: Part) -> None:
        self.part = part
        properties = part.document.get("properties") or {}
        self.kind = str(properties.get("componentType") or "").lower()
        self.metadata: dict[str, Json] = {str(e.get("name")): e for e in properties.get("metadata") or []}
        self.scopes = [str(scope) for scope in properties.get("scopes") or []]
        self._secrets = {secret.name: secret.value for secret in part.secrets}
        known, _ = table()
        self.component = known.get(self.kind)
        wanted = {name.lower() for name in (*(self.component.drops if self.component else ()), *SPARE[:1])}
        self.keys = [name for name in self.metadata if name.lower() in wanted and self._filled(name)]
        if self.component is None and self.kind in table()[1]:
            self.keys = [name for name, entry in self.metadata.items() if entry.get("secretRef")]

    def _filled(self, name: str) -> bool:
        entry = self.metadata[name]
        return bool(entry.get("value") or entry.get("secretRef"))

    def text(self, *names: str) -> str:
        """The plain value of the first metadata of some names that has one."""
        for name in names:
            for own, entry in self.metadata.items():
                if own.lower() == name.lower() and entry.get("value"):
                    return str(entry["value"])
        return ""

    def value(self, name: str) -> Secret | None:
        """The value of metadata, also of a secret that was listed."""
        entry = self.metadata[name]
        if entry.get("value"):
            return Secret(str(entry["value"]))
        return self._secrets.get(str(entry.get("secretRef")))

    @property
    def second(self) -> Pointer | None:
        """The part of another service that the component opens besides, in the same cloud."""
        second, first = (self.component.second if self.component else {}), self.pointer
        name = self.text(second["name"]).lower() if second else ""
        if not name or first is None or first.cloud not in CLOUDS:
            return None
        host = f"{name}.{services()[second['service']].hosts[first.cloud][0]}"
        part = self.text(second["at"])
        return Pointer((second["service"],), "name", host, name, first.cloud, {second["part"]: part} if part else {})

    @property
    def pointer(self) -> Pointer | None:
        """What the component opens: as its connection string says, else as the metadata beside its key says."""
        component = self.component
        if component is None or component.service not in services():
            return None
        for name in self.keys:
            if component.second and name.lower().startswith("storage"):
                continue  # of the second service
            value = self.value(name)
            found = point(value) if value is not None else None
            if found is not None and found.name and {component.service, "storage"} & set(found.services):
                return self._narrowed(replace(found, services=(component.service,)))
        told = self.text(component.name)
        host = told.split("//")[-1].split("/")[0].split(":")[0]
        if told and "." not in host:
            suffix = services()[component.service].hosts["public"][0]
            host = f"{host}.{suffix}"
        at = by_host(host) if host else None
        if at is None or component.service not in {service.id for service in at.services}:
            return None
        return self._narrowed(Pointer((component.service,), "bare-key", host.lower(), at.name, at.cloud))

    def _narrowed(self, pointer: Pointer) -> Pointer:
        component = self.component
        parts = {
            part: told for part, names in (component.part if component else {}).items() if (told := self.text(*names))
        }
        host = pointer.host
        if component and component.service in _SUFFIXES:
            host = host.replace(".blob.", f".{_SUFFIXES[component.service]}.")
        return replace(pointer, parts={**pointer.parts, **parts}, host=host)
