"""Who signs in to a registry: Docker's configuration, credential helpers, and what a caller brings.

`~/.docker/config.json` as the Docker documentation describes it (docker login, "Credential stores" and "Credential
helpers"), Podman's auth.json in the same format. Nothing is ever written there.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scanners.images.reference import DOCKER_HUB
from scanners.model import Secret, reveal

_HUB_KEYS = (
    "https://index.docker.io/v1/",
    "index.docker.io/v1/",
    "index.docker.io",
    "docker.io",
    "registry-1.docker.io",
)
_TOKEN_USER = "<token>"  # noqa: S105 - what credential helpers say instead of a name
_ACR_USER = "00000000-0000-0000-0000-000000000000"
"""The name under which Azure registries take a refresh token for a password."""
_HELPER = re.compile(r"[A-Za-z0-9][\w.-]*")
_HELPER_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Login:
    """A name and a password, or an identity token."""

    username: str = ""
    password: Secret | None = None
    identity_token: Secret | None = None
    """A refresh token for the registry's token server."""

    @property
    def basic(self) -> Secret | None:
        """What goes behind `Basic`."""
        if self.password is None:
            return None
        return Secret(base64.b64encode(f"{self.username}:{reveal(self.password)}".encode()).decode("ascii"))


def of(username: str, password: Secret) -> Login:
    """A login; an identity token where the name says that it is one."""
    if username in (_TOKEN_USER, _ACR_USER):
        return Login(identity_token=password)
    return Login(username, password)


class DockerConfig:
    """Logins of Docker's configuration."""

    def __init__(self, path: Path | None = None, environment: Mapping[str, str] = os.environ) -> None:
        """Read `path`, or where Docker and Podman keep it."""
        self._paths = [path] if path else list(_places(environment))
        self._environment = environment
        self.problems: list[str] = []
        """What could not be read, without values."""

    def login(self, server: str) -> Login | None:
        """The login for a server; None: there is none, and the registry is asked without."""
        for path in self._paths:
            said = self._read(path)
            if said is None:
                continue
            found = self._of(said, server, path)
            if found is not None:
                return found
        return None

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            said = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            self.problems.append(f"{path} cannot be read ({type(error).__name__})")
            return None
        return said if isinstance(said, dict) else None

    def _of(self, said: dict[str, Any], server: str, path: Path) -> Login | None:
        keys = (
            list(_HUB_KEYS)
            if server == DOCKER_HUB
            else [server, f"https://{server}", f"https://{server}/", f"http://{server}"]
        )
        helpers = said.get("credHelpers")
        for key in keys:
            name = helpers.get(key) if isinstance(helpers, dict) else None
            if isinstance(name, str):
                return self._helper(name, key, path)
        store = said.get("credsStore")
        if isinstance(store, str) and store:
            for key in keys[:1] if server == DOCKER_HUB else [server, f"https://{server}"]:
                found = self._helper(store, key, path)
                if found is not None:
                    return found
        auths = said.get("auths")
        for key in keys:
            entry = auths.get(key) if isinstance(auths, dict) else None
            found = _entry(entry) if isinstance(entry, dict) else None
            if found is not None:
                return found
        return None

    def _helper(self, name: str, key: str, path: Path) -> Login | None:
        """Ask a credential helper: the server's name on its standard input, never on the command line."""
        program = (
            shutil.which(f"docker-credential-{name}", path=self._environment.get("PATH"))
            if _HELPER.fullmatch(name)
            else None
        )
        if program is None:
            self.problems.append(
                f"{path} names the credential helper {name!r}, and there is no docker-credential-{name} on PATH"
            )
            return None
        try:
            done = subprocess.run(
                [program, "get"],
                input=key.encode(),
                capture_output=True,
                timeout=_HELPER_SECONDS,
                check=False,
                env=dict(self._environment),
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            self.problems.append(f"docker-credential-{name} did not answer ({type(error).__name__})")
            return None
        try:
            said = json.loads(done.stdout) if done.returncode == 0 else None
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict) or not isinstance(said.get("Secret"), str) or not said["Secret"]:
            # `credentials not found` is an ordinary answer; what a helper says may hold values and is not repeated.
            return None
        return of(str(said.get("Username") or ""), Secret(said["Secret"]))


def _places(environment: Mapping[str, str]) -> Iterator[Path]:
    if environment.get("DOCKER_CONFIG"):
        yield Path(environment["DOCKER_CONFIG"]) / "config.json"
    elif environment.get("HOME") or environment.get("USERPROFILE"):
        yield Path(environment.get("HOME") or environment["USERPROFILE"]) / ".docker" / "config.json"
    if environment.get("REGISTRY_AUTH_FILE"):
        yield Path(environment["REGISTRY_AUTH_FILE"])
    if environment.get("XDG_RUNTIME_DIR"):
        yield Path(environment["XDG_RUNTIME_DIR"]) / "containers" / "auth.json"


def _entry(entry: dict[str, Any]) -> Login | None:
    token = entry.get("identitytoken")
    if isinstance(token, str) and token:
        return Login(identity_token=Secret(token))
    coded = entry.get("auth")
    if isinstance(coded, str) and coded:
        try:
            name, colon, password = base64.b64decode(coded, validate=True).decode("utf-8").partition(":")
        except (ValueError, binascii.Error):
            return None
        return of(name, Secret(password.rstrip("\0"))) if colon else None
    user, secret = entry.get("username"), entry.get("password")
    return of(user, Secret(secret)) if isinstance(user, str) and isinstance(secret, str) and secret else None
