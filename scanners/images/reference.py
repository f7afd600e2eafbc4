"""Names of images in registries, as `docker pull` takes them: `[host[:port]/]repository[:tag][@digest]`."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from scanners.images.errors import ImageError

DOCKER_HUB = "docker.io"
_HUB_HOST = "registry-1.docker.io"
_HUB_NAMES = {"docker.io", "index.docker.io", "registry-1.docker.io"}
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[\w][\w.-]{0,127}", re.ASCII)
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?")
DIGEST = re.compile(r"(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})")
"""The digests that can be checked."""
_HINT = "write it as for docker pull: keylift scan image registry.example.com/team/app:1.0"


@dataclass(frozen=True, slots=True)
class Reference:
    """One image in one registry."""

    server: str
    """As people and Docker's configuration write it, with the port."""
    repository: str
    tag: str | None
    digest: str | None

    @property
    def host(self) -> str:
        """Where the registry answers; Docker Hub does so under another name."""
        return _HUB_HOST if self.server == DOCKER_HUB else self.server

    @property
    def wanted(self) -> str:
        """What to ask for: the digest if there is one."""
        return self.digest or self.tag or "latest"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.server}/{self.repository}{tag}{f'@{self.digest}' if self.digest else ''}"


def parse(text: str) -> Reference:
    """Read a reference. Without a host it is Docker Hub's, without a tag or a digest `latest`.

    Raises:
        ImageError: it is none.
    """
    rest = text.strip().removeprefix("docker://")
    if "://" in rest:
        raise ImageError(f"{text!r} is no image", why="a reference has no scheme", hint=_HINT)
    rest, at, digest = rest.partition("@")
    if at and not DIGEST.fullmatch(digest):
        raise ImageError(
            f"{text!r} is no image", why="what follows @ is no digest (sha256 and 64 hex digits)", hint=_HINT
        )
    first, slash, below = rest.partition("/")
    if slash and (any(sign in first for sign in ".:[") or first == "localhost" or first != first.lower()):
        server, rest = first, below
    else:
        server = DOCKER_HUB
    if not _HOST.fullmatch(server) or not _has_address(server):
        raise ImageError(f"{text!r} is no image", why=f"{server!r} is no host", hint=_HINT)
    server = server.lower()
    if server in _HUB_NAMES:
        server = DOCKER_HUB
    repository, colon, tag = rest.partition(":")
    if colon and not _TAG.fullmatch(tag):
        raise ImageError(f"{text!r} is no image", why=f"{tag!r} is no tag", hint=_HINT)
    if server == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    if len(repository) > 255 or not _REPOSITORY.fullmatch(repository):
        raise ImageError(
            f"{text!r} is no image", why=f"{repository!r} is no repository (they are lower-case)", hint=_HINT
        )
    return Reference(server, repository, tag or (None if digest else "latest"), digest or None)


def _has_address(server: str) -> bool:
    """Whether what stands in brackets is an address, and behind a colon a port."""
    host, _, port = server.rpartition(":") if not server.endswith("]") and ":" in server else (server, "", "0")
    if int(port) > 65535:
        return False
    if host.startswith("["):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            return False
    return True
