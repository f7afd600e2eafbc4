"""The SDK's clients, each made once and used by all threads, on a pipeline of our own.

The pipeline lacks the SDK's policy that registers resource providers by itself (a change nobody planned) and those that
log bodies; its retries carry jitter, and all clients share one transport and one credential.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from azure.core import PipelineClient
from azure.core.pipeline import policies
from azure.mgmt.core import ARMPipelineClient
from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy

from migrator import about
from migrator.cloud.credentials import Tokens
from migrator.cloud.pipeline import Retries, Transport
from migrator.cloud.profiles import CloudProfile

if TYPE_CHECKING:
    from azure.keyvault.secrets import SecretClient
    from azure.mgmt.appcontainers import ContainerAppsAPIClient
    from azure.mgmt.authorization import AuthorizationManagementClient
    from azure.mgmt.containerregistry import ContainerRegistryManagementClient
    from azure.mgmt.keyvault import KeyVaultManagementClient
    from azure.mgmt.msi import ManagedServiceIdentityClient
    from azure.mgmt.resourcegraph import ResourceGraphClient
    from azure.storage.blob import ContainerClient

APPS_VERSION = "2026-07-01"
"""Of Microsoft.App: the newest of SDK 5.1. A PATCH at an older one could not carry newer properties."""
AUTHORIZATION_VERSION = "2022-04-01"
"""Of Microsoft.Authorization; pinned, because the package's last release is of 2023."""
VAULTS_VERSION = "2026-05-15"
REGISTRIES_VERSION = "2025-11-01"
SUBSCRIPTIONS_VERSION = "2022-12-01"
LOCKS_VERSION = "2020-05-01"

BLOBS_VERSION = "2025-05-05"
"""Of the blob service; older than the SDK's default, which emulators do not know yet."""

T = TypeVar("T")


class Clients:
    """One client for each service and subscription."""

    def __init__(self, profile: CloudProfile, transport: Transport, tokens: Tokens, dice: random.Random) -> None:
        """Nothing is made before it is asked for.

        Args:
            profile: The cloud.
            transport: Shared by all clients.
            tokens: The credential of all clients.
            dice: Of the jitter.
        """
        self.profile = profile
        self.transport = transport
        self.tokens = tokens
        self.dice = dice
        self._agent = f"keylift/{about.tool()['version']}"
        self._lock = threading.RLock()
        self._clients: dict[tuple[str, str], Any] = {}

    def _policies(self) -> list[Any]:
        return [
            policies.RequestIdPolicy(),
            policies.HeadersPolicy(),
            policies.UserAgentPolicy(user_agent=self._agent, use_env=False),
            policies.ContentDecodePolicy(),
            Retries(self.dice),
            ARMChallengeAuthenticationPolicy(self.tokens, self.profile.scope),
        ]

    def _client(self, kind: str, scope: str, make: Callable[[], T]) -> T:
        with self._lock:
            key = (kind, scope.lower())
            if key not in self._clients:
                self._clients[key] = make()
            client: T = self._clients[key]
            return client

    def _common(self) -> dict[str, Any]:
        return {
            "base_url": self.profile.resource_manager,
            "credential_scopes": [self.profile.scope],
            "policies": self._policies(),
            "transport": self.transport,
        }

    def apps(self, subscription: str) -> ContainerAppsAPIClient:
        """Client of Microsoft.App."""
        from azure.mgmt.appcontainers import ContainerAppsAPIClient

        return self._client(
            "apps",
            subscription,
            lambda: ContainerAppsAPIClient(self.tokens, subscription, api_version=APPS_VERSION, **self._common()),
        )

    def authorization(self, subscription: str) -> AuthorizationManagementClient:
        """Client of Microsoft.Authorization, at a pinned api-version."""
        from azure.mgmt.authorization import AuthorizationManagementClient

        return self._client(
            "authorization",
            subscription,
            lambda: AuthorizationManagementClient(
                self.tokens, subscription, api_version=AUTHORIZATION_VERSION, **self._common()
            ),
        )

    def identities(self, subscription: str) -> ManagedServiceIdentityClient:
        """Client of Microsoft.ManagedIdentity."""
        from azure.mgmt.msi import ManagedServiceIdentityClient

        return self._client(
            "identities",
            subscription,
            lambda: ManagedServiceIdentityClient(self.tokens, subscription, **self._common()),
        )

    def vaults(self, subscription: str) -> KeyVaultManagementClient:
        """Client of Microsoft.KeyVault on the management plane."""
        from azure.mgmt.keyvault import KeyVaultManagementClient

        return self._client(
            "vaults",
            subscription,
            lambda: KeyVaultManagementClient(self.tokens, subscription, api_version=VAULTS_VERSION, **self._common()),
        )

    def registries(self, subscription: str) -> ContainerRegistryManagementClient:
        """Client of Microsoft.ContainerRegistry."""
        from azure.mgmt.containerregistry import ContainerRegistryManagementClient

        return self._client(
            "registries",
            subscription,
            lambda: ContainerRegistryManagementClient(
                self.tokens, subscription, api_version=REGISTRIES_VERSION, **self._common()
            ),
        )

    def graph(self) -> ResourceGraphClient:
        """Client of Resource Graph."""
        from azure.mgmt.resourcegraph import ResourceGraphClient

        return self._client("graph", "", lambda: ResourceGraphClient(self.tokens, **self._common()))

    def arm(self) -> ARMPipelineClient[Any, Any]:
        """Resource Manager itself, for what no client of ours covers: subscriptions, locks, permissions, operations."""

        def make() -> ARMPipelineClient[Any, Any]:
            return ARMPipelineClient(
                base_url=self.profile.resource_manager, policies=self._policies(), transport=self.transport
            )

        return self._client("arm", "", make)

    def bare(self) -> PipelineClient[Any, Any]:
        """Any host, without the operator's token: for what carries a token of its own."""

        def make() -> PipelineClient[Any, Any]:
            # all but the last, which signs in to Resource Manager, and what decodes answers: these may be any bytes
            kept = [one for one in self._policies()[:-1] if not isinstance(one, policies.ContentDecodePolicy)]
            return PipelineClient(base_url=self.profile.resource_manager, policies=kept, transport=self.transport)

        return self._client("bare", "", make)

    def secrets(self, vault_uri: str) -> SecretClient:
        """Client of one vault's data plane."""
        from azure.keyvault.secrets import SecretClient

        return self._client(
            "secrets",
            vault_uri.rstrip("/"),
            lambda: SecretClient(
                vault_uri,
                self.tokens,
                transport=self.transport,
                retry_policy=Retries(self.dice),
                user_agent=self._agent,
                permit_redirects=False,
                # a loopback vault's host is no subdomain of https://vault.azure.net
                verify_challenge_resource=not self.profile.loopback,
            ),
        )

    def container(self, account_url: str, container: str) -> ContainerClient:
        """Client of one blob container, which tries everything once: `blobs` knows what may be repeated."""
        from azure.storage.blob import ContainerClient

        return self._client(
            "container",
            f"{account_url}/{container}",
            lambda: ContainerClient(
                account_url,
                container,
                credential=self.tokens,
                transport=self.transport,
                api_version=BLOBS_VERSION,
                user_agent=self._agent,
                retry_total=0,
            ),
        )
