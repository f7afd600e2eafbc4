"""Microsoft.App/managedEnvironments/javaComponents and dotNetComponents: read only; their values are shown in clear.

How components are written (long-running, unrecorded) is not simulated: keylift changes none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.simulator.apps import children, environments, schema

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure

schema.define(
    """
-EnvironmentComponent: id name type systemData:SystemData properties:EnvironmentComponentProperties
-EnvironmentComponentProperties: componentType provisioningState configurations:ComponentValue[] scale serviceBinds ingress
-ComponentValue: propertyName value
"""
)

JAVA = children.Kind(
    type=f"{environments.KIND}/javaComponents",
    schema="EnvironmentComponent",
    missing=("JavaComponentNotFound", "Java Component with name '{name}' was not found."),
)
DOTNET = children.Kind(
    type=f"{environments.KIND}/dotNetComponents",
    schema="EnvironmentComponent",
    missing=("DotNetComponentNotFound", "DotNet Component with name '{name}' was not found."),
)


def register(azure: Azure) -> None:
    """Add the operations and the loaders of the provider."""
    children.register(azure, JAVA, ("GET",))
    children.register(azure, DOTNET, ("GET",))
