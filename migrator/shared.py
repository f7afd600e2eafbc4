"""The address of shared state: `azblob://ACCOUNT/CONTAINER[/PREFIX]`, a place in Azure Blob Storage."""

from __future__ import annotations

import re
from dataclasses import dataclass

from migrator.errors import UsageError

SCHEME = "azblob"
_FORM = "azblob://ACCOUNT/CONTAINER/PREFIX"
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_CONTAINER = re.compile(r"[a-z0-9](?:-?[a-z0-9]){2,62}")
_SEGMENT = re.compile(r"[A-Za-z0-9._-]{1,100}")


@dataclass(frozen=True, slots=True)
class SharedState:
    """Where a team keeps its runs."""

    account: str
    container: str
    prefix: str
    """Folder in the container, without slashes at its ends; empty for the container itself."""
    server: str = ""
    """`host:port` of an emulator on this machine; empty for Azure."""

    @classmethod
    def parse(cls, url: str) -> SharedState:
        """Read an address.

        `azblob://127.0.0.1:10000/ACCOUNT/CONTAINER/PREFIX` is an emulator's (Azurite).

        Raises:
            UsageError: it is no such address; the message says which part is not right.
        """
        scheme, _, rest = url.partition("://")
        host, *names = rest.split("/")
        names = [name for name in names if name]
        if scheme != SCHEME:
            hint = f"write it as {_FORM}"
            portal = re.fullmatch(r"([a-z0-9]+)\.blob\.[a-z.]+", host)
            if portal:
                hint = f"write it as {_shown('/'.join([f'{SCHEME}:/', portal[1], *names]))}"
            raise UsageError(
                f"--state {_shown(url)} is no address of shared state", why=f"it must be {_FORM}", hint=hint
            )
        if re.search(r"[?#@]", url):
            raise UsageError(
                f"--state {_shown(url)}: an address holds no key and no signature",
                why="keylift signs in to storage as to everything else",
                hint=f"leave it out, sign in with az login: --state {_shown(url)}",
            )
        server = host if ":" in host or host == "localhost" else ""
        account = (names.pop(0) if names else "") if server else host
        if not _ACCOUNT.fullmatch(account):
            raise _bad(url, f"'{account}' is no storage account's name", "3 to 24 small letters and digits")
        if not names:
            raise _bad(url, "the container is missing", "")
        if not _CONTAINER.fullmatch(names[0]) or not 3 <= len(names[0]) <= 63:
            raise _bad(url, f"'{names[0]}' is no container's name", "3 to 63 small letters, digits and single hyphens")
        for segment in names[1:]:
            if not _SEGMENT.fullmatch(segment) or segment in {".", ".."}:
                raise _bad(url, f"'{segment}' cannot be in a prefix", "letters, digits, dots, hyphens and underscores")
        return cls(account, names[0], "/".join(names[1:]), server)

    @property
    def url(self) -> str:
        """The address as it is written."""
        return "/".join([f"{SCHEME}:/", *filter(None, (self.server, self.account, self.container, self.prefix))])


def _shown(url: str) -> str:
    """An address without what may be a key: a query, a fragment, a password."""
    return re.sub(r"://[^/]*@", "://", re.split(r"[?#]", url)[0])


def _bad(url: str, what: str, why: str) -> UsageError:
    return UsageError(f"--state {_shown(url)}: {what}", why=why or f"it must be {_FORM}", hint=f"write it as {_FORM}")
