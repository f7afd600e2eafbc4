"""Signing in: the credential asked for, its tokens kept, and one readable error when nothing works."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

from azure.core.credentials import AccessToken, AccessTokenInfo, SupportsTokenInfo, TokenRequestOptions
from azure.core.exceptions import AzureError

from migrator.cloud.profiles import CloudProfile
from migrator.errors import SignInError, UsageError
from migrator.ports import Clock
from scanners.model import reveal

AUTH = ("default", "cli", "managed-identity", "environment", "device-code")
"""What `--auth` may say; `default` tries the chain of the Azure libraries."""
MARGIN = 300.0
"""Seconds before its end at which a token is renewed."""

Tell = Callable[[str], None]


def make_credential(profile: CloudProfile, auth: str, tell: Tell, **options: Any) -> SupportsTokenInfo:
    """The credential that a profile and `--auth` ask for.

    Args:
        profile: The cloud; one that carries a credential signs in with it unless `auth` says otherwise.
        auth: One of `AUTH`.
        tell: Says to the person where to enter a device code.
        options: For the credential's own requests (`transport`, retry settings).

    Raises:
        UsageError: `auth` is unknown.
    """
    from azure import identity

    options["authority"] = profile.authority
    if not profile.cli_name:
        # a cloud that Microsoft's own list does not know cannot be looked up there
        options["disable_instance_discovery"] = True
    if auth == "default":
        if profile.credential is not None:
            return identity.ClientSecretCredential(
                profile.credential.tenant_id,
                profile.credential.client_id,
                reveal(profile.credential.client_secret),
                **options,
            )
        return identity.DefaultAzureCredential(process_timeout=30, **options)
    if auth == "cli":
        return identity.AzureCliCredential(process_timeout=30)
    if auth == "environment":
        return identity.EnvironmentCredential(**options)
    if auth == "managed-identity":
        import os

        return identity.ManagedIdentityCredential(
            client_id=os.environ.get("AZURE_CLIENT_ID"), transport=options.get("transport")
        )
    if auth == "device-code":

        def prompt(address: str, code: str, _expires: object) -> None:
            tell(f"to sign in, open {address} and enter the code {code}")

        return identity.DeviceCodeCredential(prompt_callback=prompt, **options)
    raise UsageError(
        f"--auth {auth}: unknown way to sign in",
        why="known: " + ", ".join(AUTH),
        hint="sign in with az login and use --auth cli",
    )


class Tokens:
    """A credential whose tokens are asked for once and shared by all clients and threads.

    The chain of the libraries is slow (`az` is started for each token) and every client keeps tokens of its own, so
    without this a run over many subscriptions would start `az` many times.
    """

    def __init__(self, make: Callable[[], SupportsTokenInfo], profile: CloudProfile, auth: str, clock: Clock) -> None:
        """Ask the credential that `make` gives for tokens."""
        self._make = make
        self._inner: SupportsTokenInfo | None = None
        self._profile = profile
        self._auth = auth
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[tuple[Any, ...], AccessTokenInfo] = {}

    def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """A token for `scopes`.

        Raises:
            SignInError: no credential gave one.
        """
        asked = dict(options or {})
        key = (scopes, asked.get("tenant_id"), asked.get("enable_cae"))
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and not asked.get("claims") and kept.expires_on - MARGIN > self._clock.now():
                return kept
            try:
                if self._inner is None:
                    self._inner = self._make()
                token = self._inner.get_token_info(*scopes, options=options)
            except (AzureError, ValueError) as error:
                message = str(getattr(error, "message", "") or error)
            else:
                self._kept[key] = token
                return token
        # raised outside the handler: what the libraries raise holds the request, and with it the password
        raise sign_in_error(self._profile, self._auth, message)

    def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        **_unused: Any,
    ) -> AccessToken:
        """The older form of `get_token_info`, which some clients still ask for."""
        options: TokenRequestOptions = {"enable_cae": enable_cae}
        if claims:
            options["claims"] = claims
        if tenant_id:
            options["tenant_id"] = tenant_id
        info = self.get_token_info(*scopes, options=options)
        return AccessToken(info.token, info.expires_on)

    def forget(self) -> None:
        """Drop all kept tokens, and the credential with those it keeps itself: Azure refused one."""
        with self._lock:
            self._kept.clear()
            self._inner = None

    def close(self) -> None:
        """Nothing to close: the transport belongs to the session."""

    def __enter__(self) -> Tokens:  # noqa: PYI034 - the protocol's form
        return self

    def __exit__(self, *_arguments: object) -> None:
        return


def sign_in_error(profile: CloudProfile, auth: str, message: str) -> SignInError:
    """One error that says which credentials were tried, why each failed, and what to type."""
    attempts = [(name, _short(text)) for name, text in _ATTEMPT.findall(message)]
    if not attempts:
        attempts = [(_NAMES.get(auth, "the profile's credential" if profile.credential else auth), _short(message))]
    hints = {
        "cli": _login(profile),
        "managed-identity": "run keylift where a managed identity is attached, or sign in yourself: az login, then --auth cli",
        "environment": "set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET (or AZURE_CLIENT_CERTIFICATE_PATH)",
        "device-code": "try again, or sign in with az login and use --auth cli",
    }
    hint = hints.get(auth, _login(profile))
    if auth == "default" and profile.credential is not None:
        hint = "start the simulator again and use the profile that it writes: keylift simulator --estate FILE"
    return SignInError(
        f"no credential could sign in to the cloud '{profile.name}'",
        why="tried " + "; ".join(f"{name}: {text}" for name, text in attempts),
        hint=hint,
    )


_ATTEMPT = re.compile(r"^\t(\w+Credential): (.+?)(?=^\t\w+Credential|\Z|^To mitigate)", re.MULTILINE | re.DOTALL)
"""One attempt in the message of the chain: a tab, the credential's name, its message of one or more lines."""
_NAMES = {
    "cli": "AzureCliCredential",
    "managed-identity": "ManagedIdentityCredential",
    "environment": "EnvironmentCredential",
    "device-code": "DeviceCodeCredential",
}


def _login(profile: CloudProfile) -> str:
    if profile.cli_name in {"", "AzureCloud"}:
        return "az login"
    return f"az cloud set --name {profile.cli_name} && az login"


def _short(text: str) -> str:
    """The first sentence or line of a library's message, without its own name and links."""
    line = next((part.strip() for part in text.strip().splitlines() if part.strip()), "no reason given")
    line = re.sub(r"^\w+Credential authentication unavailable[.,] ?", "", line) or line
    line = re.split(r"(?<=[.!]) (?=[A-Z])", line)[0]
    return line.rstrip(".")[:240]
