"""Git repositories for tests, and values to plant in them."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
from pathlib import Path

_ENVIRONMENT = {
    "GIT_AUTHOR_NAME": "A U Thor",
    "GIT_AUTHOR_EMAIL": "author@example.com",
    "GIT_COMMITTER_NAME": "C O Mitter",
    "GIT_COMMITTER_EMAIL": "committer@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


def key(seed: str) -> str:
    """A storage account key, made up: 64 bytes in base64."""
    return base64.b64encode(hashlib.sha512(seed.encode()).digest()).decode()


def connection(seed: str) -> str:
    """A connection string with a made-up key."""
    return f"DefaultEndpointsProtocol=https;AccountName=contoso{len(seed)};AccountKey={key(seed)};EndpointSuffix=core.windows.net"


class Repo:
    """A repository whose commits are a day apart, so that history has an order."""

    def __init__(self, path: Path, *options: str) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self._day = 0
        self.index: Path | None = None
        self.git("init", "-q", "-b", "main", *options)

    def git(self, *arguments: str, data: bytes | None = None, check: bool = True) -> str:
        """Run git; its standard output."""
        date = f"2024-01-{1 + self._day:02}T12:00:00+02:00"
        # What else names a repository is somebody else's: a test never touches the one it is run in.
        own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        own |= {"GIT_INDEX_FILE": str(self.index)} if self.index else {}
        environment = {**own, **_ENVIRONMENT, "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        done = subprocess.run(
            ["git", "-C", str(self.path), *arguments], input=data, env=environment, capture_output=True, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"git {' '.join(arguments)}: {done.stderr.decode()}")
        return done.stdout.decode("utf-8", "replace").strip()

    def write(self, name: str, content: str | bytes) -> Path:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def stage(self, name: str, content: str | bytes) -> None:
        self.write(name, content)
        self.git("--literal-pathspecs", "add", "--", name)

    def commit(self, message: str = "change", /, **files: str | bytes) -> str:
        """Commit everything that is there and in `files`; the commit's id."""
        for name, content in files.items():
            self.write(name, content)
        self.git("add", "-A")
        self._day += 1
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def date(self) -> str:
        """The author date of the newest commit."""
        return f"2024-01-{1 + self._day:02}T12:00:00+02:00"
