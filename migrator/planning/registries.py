"""Registries that an app can pull from with its identity instead of a password."""

from __future__ import annotations

from dataclasses import dataclass

from migrator.model import Estate, Resource
from migrator.planning import skips
from migrator.planning.places import RegistryPlace, child
from migrator.planning.roles import ACR_PULL, REPOSITORY_READER, Need


@dataclass(frozen=True, slots=True)
class Switch:
    """A registry entry that moves to the app's identity."""

    place: RegistryPlace
    registry: Resource
    need: Need


class Registries:
    """The estate's registries by login server."""

    def __init__(self, estate: Estate) -> None:
        """Index `estate`; a login server may carry a hash that the registry's name lacks, so names do not do."""
        self._by_server = {
            str(child(registry.document, "properties", "loginServer") or "").lower(): registry
            for registry in estate.registries
        }
        self._locks = estate.locks

    def switch(self, place: RegistryPlace) -> Switch | str:
        """How the entry moves to an identity, or why it cannot."""
        registry = self._by_server.get(_host(place.server)) if place.server else None
        if registry is None:
            if ".azurecr." in place.server.lower():
                return (
                    f"registry {place.server} was not among what you may read, so nobody can be let in there; plan "
                    f"again with its subscription in scope (az acr list --query \"[?loginServer=='{place.server}'].id\")"
                )
            return f"{place.server} is no Azure registry, so it knows no managed identity"
        policy = child(registry.document, "properties", "policies", "azureADAuthenticationAsArmPolicy", "status")
        if str(policy).lower() == "disabled":
            return (
                f"registry {registry.name} refuses tokens for Azure Resource Manager, which the platform pulls with; "
                f"az acr config authentication-as-arm update -r {registry.name} --status enabled lets them in"
            )
        held = skips.covering(self._locks, registry.id, "ReadOnly")
        if held:
            return f"a ReadOnly lock at {held[0].scope} keeps role assignments from being made on {registry.name}"
        mode = str(child(registry.document, "properties", "roleAssignmentMode") or "")
        abac = mode.lower() == "abacrepositorypermissions"
        return Switch(place, registry, REPOSITORY_READER if abac else ACR_PULL)


def _host(server: str) -> str:
    return server.lower().removeprefix("https://").rstrip("/")
