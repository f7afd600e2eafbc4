"""Microsoft.App/containerApps/sourcecontrols: read only. What signs in to GitHub, Azure and the registry is never shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.simulator.apps import children, documents, schema

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure

schema.define(
    """
-SourceControl: id name type systemData:SystemData properties:SourceControlProperties
-SourceControlProperties: operationState repoUrl branch githubActionConfiguration:GithubAction
-GithubAction: registryInfo:GithubRegistry azureCredentials:GithubCredentials contextPath githubPersonalAccessToken image publishType os runtimeStack runtimeVersion
-GithubRegistry: registryUrl registryUserName registryPassword
-GithubCredentials: clientId clientSecret tenantId kind subscriptionId
"""
)

_INFO = "githubActionConfiguration"
SOURCE_CONTROL = children.Kind(
    type=f"{documents.KIND}/sourcecontrols",
    schema="SourceControl",
    missing=("SourceControlNotFound", "Source Control '{name}' was not found."),
    # write-only by the schema (SURFACE.md, "What the schema itself marks")
    hidden=(
        f"{_INFO}.registryInfo.registryPassword",
        f"{_INFO}.githubPersonalAccessToken",
        *(f"{_INFO}.azureCredentials.{name}" for name in ("clientId", "clientSecret", "tenantId", "kind")),
    ),
)


def register(azure: Azure) -> None:
    """Add the operations and the loader of the provider."""
    children.register(azure, SOURCE_CONTROL, ("GET",))
