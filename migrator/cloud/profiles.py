"""Which Azure: the public one, China's, the US Government's, or one described by a profile file.

A profile names endpoints, never code paths: the simulator and a sovereign cloud are reached by the same calls. Imports
no azure, because the command line reads profiles early.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from migrator.errors import UsageError
from scanners.model import Secret

_HINT = (
    'a profile is {"name", "resource_manager", "audience", "authority", "vault_suffix", "registry_suffix", '
    '"storage_suffix", "ca_file", '
    '"credential"}; this writes one: keylift simulator --estate FILE'
)


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A service principal's sign-in; only a loopback profile may carry one."""

    tenant_id: str
    client_id: str
    client_secret: Secret


@dataclass(frozen=True, slots=True)
class CloudProfile:
    """Where one Azure is and how its tokens and hosts are named."""

    name: str
    resource_manager: str
    """Origin of Resource Manager, without a trailing slash."""
    audience: str
    """Resource whose tokens Resource Manager accepts."""
    authority: str
    """Origin of the sign-in endpoint, without a trailing slash."""
    vault_suffix: str | None = None
    """Domain of vaults, e.g. `vault.azure.net`; None where hosts follow no pattern."""
    registry_suffix: str | None = None
    storage_suffix: str | None = None
    """Domain of storage accounts, e.g. `core.windows.net`; None where there are none."""
    ca_file: Path | None = None
    """Certificates to trust instead of the public ones."""
    credential: ClientSecret | None = field(default=None, repr=False)
    cli_name: str = ""
    """What `az cloud set --name` calls it; empty for profiles from a file."""

    @property
    def scope(self) -> str:
        """The scope to ask a token for. The slash of an audience that ends in one is kept: Entra counts it."""
        return f"{self.audience}/.default"

    @property
    def loopback(self) -> bool:
        """Whether every endpoint is on this machine."""
        return is_loopback(self.resource_manager) and is_loopback(self.authority)


PUBLIC = CloudProfile(
    "public",
    "https://management.azure.com",
    "https://management.azure.com",
    "https://login.microsoftonline.com",
    "vault.azure.net",
    "azurecr.io",
    "core.windows.net",
    cli_name="AzureCloud",
)
CHINA = CloudProfile(
    "china",
    "https://management.chinacloudapi.cn",
    "https://management.chinacloudapi.cn",
    "https://login.chinacloudapi.cn",
    "vault.azure.cn",
    "azurecr.cn",
    "core.chinacloudapi.cn",
    cli_name="AzureChinaCloud",
)
USGOV = CloudProfile(
    "usgov",
    "https://management.usgovcloudapi.net",
    "https://management.core.usgovcloudapi.net",
    "https://login.microsoftonline.us",
    "vault.usgovcloudapi.net",
    "azurecr.us",
    "core.usgovcloudapi.net",
    cli_name="AzureUSGovernment",
)
CLOUDS = {profile.name: profile for profile in (PUBLIC, CHINA, USGOV)}

_TEXT = ("name", "resource_manager", "audience", "authority")
_OPTIONAL = ("vault_suffix", "registry_suffix", "storage_suffix", "ca_file", "credential")
_CREDENTIAL = ("tenant_id", "client_id", "client_secret")


def is_loopback(url: str) -> bool:
    """Whether a URL's host is this machine by its name or address; other names are not looked up."""
    host = urlsplit(url).hostname or ""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def load_profile(cloud: str) -> CloudProfile:
    """The profile of a name (`public`, `china`, `usgov`) or of a profile file.

    Raises:
        UsageError: neither a known name nor a readable profile; the message names the file and the key at fault.
    """
    known = CLOUDS.get(cloud.lower())
    if known is not None:
        return known
    path = Path(cloud).expanduser()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        near = difflib.get_close_matches(cloud.lower(), CLOUDS, n=1)
        raise UsageError(
            f"--cloud {cloud}: neither a cloud nor a profile file",
            why=f"clouds: {', '.join(CLOUDS)}; there is no file {path}",
            hint=f"did you mean --cloud {near[0]}?" if near else "name a cloud or a profile file: --cloud public",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the cloud profile {path} cannot be read", why=type(error).__name__, hint=f"check the file: ls -l {path}"
        ) from error
    try:
        document = json.loads(text)
    except ValueError:
        # `from None`: the exception of the JSON parser holds the document, and a profile may hold a password
        raise UsageError(
            f"the cloud profile {path} is not JSON",
            why="it does not parse",
            hint=f"check it: python -m json.tool {path}",
        ) from None
    return _parse(document, path)


def _parse(document: Any, path: Path) -> CloudProfile:
    if not isinstance(document, dict):
        raise _bad(path, "", f"must be an object, is {type(document).__name__}")
    _check_keys(document, (*_TEXT, *_OPTIONAL), path, "")
    for key in _TEXT:
        if not isinstance(document.get(key), str) or not document[key].strip():
            raise _bad(path, key, "must be a text" if key in document else "is missing")
    for key in ("resource_manager", "authority"):
        _check_endpoint(document[key], path, key)
    for key in ("vault_suffix", "registry_suffix", "storage_suffix", "ca_file"):
        if document.get(key) is not None and not isinstance(document[key], str):
            raise _bad(path, key, "must be a text or null")
    profile = CloudProfile(
        name=document["name"],
        resource_manager=document["resource_manager"].rstrip("/"),
        audience=document["audience"],
        authority=document["authority"].rstrip("/"),
        vault_suffix=document.get("vault_suffix"),
        registry_suffix=document.get("registry_suffix"),
        storage_suffix=document.get("storage_suffix"),
        ca_file=_ca_file(document.get("ca_file"), path),
        credential=_credential(document.get("credential"), path),
    )
    if profile.name.lower() in CLOUDS:
        raise _bad(path, "name", f"'{profile.name}' is the name of a built-in cloud")
    if profile.credential is not None and not profile.loopback:
        away = profile.authority if is_loopback(profile.resource_manager) else profile.resource_manager
        raise UsageError(
            f"the cloud profile {path}: 'credential' is not accepted",
            why=f"{away} is not on this machine, and a password for a real cloud does not belong in a file",
            hint="remove 'credential' from the profile and sign in: az login",
        )
    return profile


def _ca_file(value: str | None, path: Path) -> Path | None:
    if value is None:
        return None
    found = (path.parent / Path(value).expanduser()).resolve()
    if not found.is_file():
        raise _bad(path, "ca_file", f"there is no file {found}")
    return found


def _credential(value: Any, path: Path) -> ClientSecret | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise _bad(path, "credential", "must be an object or null")
    _check_keys(value, _CREDENTIAL, path, "credential.")
    for key in _CREDENTIAL:
        if not isinstance(value.get(key), str) or not value[key]:
            raise _bad(path, f"credential.{key}", "must be a text" if key in value else "is missing")
    return ClientSecret(value["tenant_id"], value["client_id"], Secret(value["client_secret"]))


def _check_keys(document: dict[str, Any], known: tuple[str, ...], path: Path, prefix: str) -> None:
    for key in document:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
            raise _bad(path, prefix + key, "is unknown" + (f"; did you mean '{prefix}{near[0]}'?" if near else ""))


def _check_endpoint(url: str, path: Path, key: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise _bad(path, key, "must be an https:// address")
    if parts.username or parts.password or parts.query or parts.fragment or parts.path.strip("/"):
        raise _bad(path, key, "must be scheme, host and port alone")


def _bad(path: Path, key: str, why: str) -> UsageError:
    where = f"the cloud profile {path}: '{key}' {why}" if key else f"the cloud profile {path} {why}"
    return UsageError(where, hint=_HINT)
