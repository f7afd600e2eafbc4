"""What Container Apps asks of other services: secrets of a vault as some identity, images of a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure

# providers are imported by the cloud itself, one after the other: not at import time here


def fetch_secret(azure: Azure, principal: str, url: str, subnet: str) -> str:
    """The value that a vault gives `principal` for a secret's URL, asked from an environment's subnet ("" without one).

    Raises:
        AzureError: whatever the vault answers.
    """
    from migrator.simulator.providers import vault_secrets

    return vault_secrets.fetch(azure, principal, url, subnet=subnet)


def refused_pull(
    azure: Azure, server: str, image: str, *, username: str | None, password: str | None, principal: str | None
) -> str | None:
    """Why a registry does not give an image, or None if it does."""
    from migrator.simulator.providers import registries

    return registries.may_pull(azure, server, username=username, password=password, principal=principal, image=image)
