"""Registries of the cloud: a login by Entra token exchange, as `az acr login --expose-token` makes one."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from azure.core.exceptions import AzureError

from migrator.cloud.profiles import CloudProfile, load_profile
from migrator.errors import KeyliftError
from scanners.images.auth import Login
from scanners.model import Secret

if TYPE_CHECKING:
    from migrator.cloud.credentials import Tell
    from migrator.cloud.session import Session

_SUFFIXES = ("azurecr.io", "azurecr.cn", "azurecr.us")


class Registries:
    """Logins for the cloud's registries; nobody is signed in before one is asked for."""

    def __init__(self, cloud: str, auth: str, tell: Tell) -> None:
        """Sign in to `cloud` by `auth` when it is needed."""
        self._profile: CloudProfile = load_profile(cloud)
        self._auth = auth
        self._tell = tell
        self._stack = ExitStack()
        self._session: Session | None = None

    def __enter__(self) -> Registries:  # noqa: PYI034 - never subclassed
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def ca_file(self) -> Path | None:
        """Whom to trust besides the usual authorities."""
        return Path(self._profile.ca_file) if self._profile.ca_file else None

    def login(self, server: str) -> Login | None:
        """A refresh token of a registry of this cloud; None for any other, and where signing in fails."""
        if not self._ours(server):
            return None
        try:
            return self._exchanged(server)
        except (KeyliftError, AzureError) as error:
            what = getattr(error, "what", type(error).__name__)
            # Docker's configuration may still know a way in.
            self._tell(f"could not sign in to {server} with your Azure account: {what}")
            return None

    def _ours(self, server: str) -> bool:
        if self._profile.loopback:
            return urlsplit(f"//{server}").hostname in {"127.0.0.1", "localhost"}
        return bool(
            re.fullmatch(
                r"[a-z0-9][a-z0-9-]*(?:\.[a-z0-9]+\.data)?\.(?:" + "|".join(map(re.escape, _SUFFIXES)) + ")", server
            )
        )

    def _exchanged(self, server: str) -> Login | None:
        from azure.containerregistry._exchange_client import ACRExchangeClient

        from migrator.cloud.session import Session

        if self._session is None:
            self._session = self._stack.enter_context(Session(self._profile, auth=self._auth, tell=self._tell))
        session = self._session
        # The library's own exchange, which its public client makes for each request: it offers no other way to the token.
        client = ACRExchangeClient(
            f"https://{server}",
            session.tokens,
            credential_scopes=[self._profile.scope],
            transport=session.transport,
        )
        return Login(identity_token=Secret(client.exchange_aad_token_for_refresh_token(server)))
