"""Names of regions, domains and ids as Microsoft.App writes them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from migrator.simulator.world import World

_DISPLAY = """
Australia Central|Australia Central 2|Australia East|Australia Southeast|Austria East|Belgium Central|Brazil South
Brazil Southeast|Canada Central|Canada East|Central India|Central US|Central US EUAP|Chile Central|China East
China East 2|China East 3|China North|China North 2|China North 3|East Asia|East US|East US 2|East US 2 EUAP
East US 3|France Central|France South|Germany North|Germany West Central|Indonesia Central|Israel Central|Italy North
Japan East|Japan West|Jio India Central|Jio India West|Korea Central|Korea South|Malaysia West|Mexico Central
New Zealand North|North Central US|North Central US (Stage)|North Europe|Norway East|Norway West|Poland Central
Qatar Central|South Africa North|South Africa West|South Central US|South India|Southeast Asia|Spain Central
Sweden Central|Sweden South|Switzerland North|Switzerland West|UAE Central|UAE North|UK South|UK West
USGov Arizona|USGov Texas|USGov Virginia|West Central US|West Europe|West India|West US|West US 2|West US 3
"""


def slug(location: str) -> str:
    """A location as URLs spell it: `northcentralusstage`."""
    return re.sub(r"[^a-z0-9]", "", location.lower())


_NAMES = {slug(name): name for line in _DISPLAY.strip().splitlines() for name in line.split("|")}


def display(location: str) -> str:
    """A location as answers of Microsoft.App spell it (`eastus` -> `East US`); an unknown one as it is."""
    return _NAMES.get(slug(location), location)


_FIRST = ("orange", "brave", "jolly", "red", "green", "purple", "happy", "gray", "white", "calm", "lemon", "salmon")
_SECOND = ("hill", "forest", "desert", "pond", "sea", "glacier", "wave", "stone", "meadow", "bush", "field", "island")


def domain(world: World, environment: str, location: str, suffix: str = "azurecontainerapps.io") -> str:
    """The default domain of an environment that is made now; the same world gives the same one."""
    digits = world.guid("domain", environment.lower()).replace("-", "")
    first, second = _FIRST[int(digits[8:12], 16) % len(_FIRST)], _SECOND[int(digits[12:16], 16) % len(_SECOND)]
    return f"{first}{second}-{digits[:8]}.{slug(location)}.{suffix}"


def addresses(world: World, environment: str, count: int = 3) -> list[str]:
    """Outbound addresses of an environment, from the blocks kept for documentation (RFC 5737)."""
    digits = world.guid("addresses", environment.lower()).replace("-", "")
    return [f"203.0.113.{int(digits[2 * i : 2 * i + 2], 16)}" for i in range(count)]


def verification(world: World) -> str:
    """The customDomainVerificationId, one for all environments and apps of a subscription's tenant."""
    return (world.guid("verification", "1") + world.guid("verification", "2")).replace("-", "").upper()


def parts(resource: str) -> tuple[str, str, str]:
    """Subscription, resource group and last name of a resource id."""
    pieces = resource.strip("/").split("/")
    return pieces[1], pieces[3], pieces[-1]
