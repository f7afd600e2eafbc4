"""Microsoft.App/sessionPools: read only. Secrets are shown by name, and no action lists their values (SURFACE.md, row 27).

How a pool is written is not simulated: its secrets have no form with a vault reference, so keylift changes none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.simulator.apps import children, schema

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure

schema.define(
    """
-SessionPool: id name type location tags systemData:SystemData properties:SessionPoolProperties identity:Identity
-SessionPoolProperties: environmentId containerType poolManagementType nodeCount:# scaleConfiguration secrets:PoolSecret[] dynamicPoolConfiguration customContainerTemplate:PoolTemplate sessionNetworkConfiguration poolManagementEndpoint provisioningState managedIdentitySettings
-PoolSecret: name value
-PoolTemplate: registryCredentials:Registry containers:Container[] ingress
"""
)

POOL = children.Kind(
    type="Microsoft.App/sessionPools", schema="SessionPool", missing=("", ""), hidden=("secrets[].value",), stamped=True
)


def register(azure: Azure) -> None:
    """Add the operations and the loader of the provider."""
    children.register_readable(azure, POOL)
