"""The state folder: the journal's database and the fingerprint key, for the owner's eyes only."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from migrator.errors import KeyliftError
from scanners.model import Fingerprinter

KEY_BYTES = 32


def default_folder() -> Path:
    """Where state lies unless told otherwise: the platform's folder for state of the user."""
    import platformdirs

    return Path(platformdirs.user_state_dir("keylift", appauthor=False))


@dataclass(frozen=True, slots=True)
class StateFolder:
    """A folder 0700 whose files are 0600."""

    path: Path

    def ensure(self) -> StateFolder:
        """Make the folder, or check it.

        Raises:
            KeyliftError: it cannot be made or written to.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if os.name == "posix" and stat.S_IMODE(self.path.stat().st_mode) & 0o077:
                self.path.chmod(0o700)
        except OSError as error:
            raise KeyliftError(
                f"the state folder {self.path} cannot be used",
                why=error.strerror or type(error).__name__,
                hint="name another one: --state-dir DIR",
            ) from error
        if not os.access(self.path, os.W_OK):
            raise KeyliftError(
                f"the state folder {self.path} cannot be written to",
                why="no permission",
                hint="name another one: --state-dir DIR",
            )
        return self

    @property
    def database(self) -> Path:
        """The journal."""
        return self.path / "keylift.db"

    @property
    def cache(self) -> Path:
        """Things that can be made again."""
        return self.path / "cache"

    def team_key(self, url: str) -> Fingerprinter | None:
        """The fingerprint key of a team's shared state, if it was fetched before and is whole."""
        try:
            key = self._team_file(url).read_bytes()
        except OSError:
            return None
        return Fingerprinter(key) if len(key) == KEY_BYTES else None

    def keep_team_key(self, url: str, fingerprinter: Fingerprinter) -> None:
        """Keep a team's key for scans that go without signing in."""
        if self.team_key(url) == fingerprinter:
            return
        self.ensure()
        path = self._team_file(url)
        path.unlink(missing_ok=True)
        with (
            suppress(FileExistsError),
            os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as f,
        ):
            f.write(fingerprinter.key)

    def _team_file(self, url: str) -> Path:
        return self.path / f"team-{hashlib.sha256(url.encode()).hexdigest()[:16]}.key"

    def fingerprinter(self) -> Fingerprinter:
        """The folder's fingerprint key, made on first use.

        Raises:
            KeyliftError: the key file is damaged.
        """
        self.ensure()
        path = self.path / "fingerprint.key"
        try:
            # O_EXCL: of two processes that start at once, one makes the key and the other reads it
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            key = path.read_bytes()
            if len(key) != KEY_BYTES:
                raise KeyliftError(
                    f"the fingerprint key {path} is damaged",
                    why=f"{len(key)} bytes instead of {KEY_BYTES}; plans and runs made with it cannot be checked",
                    hint=f"restore it from a backup, or move the folder away and plan again: mv {self.path} {self.path}.old",
                ) from None
            return Fingerprinter(key)
        import secrets

        with os.fdopen(descriptor, "wb") as stream:
            key = secrets.token_bytes(KEY_BYTES)
            stream.write(key)
            stream.flush()
            os.fsync(stream.fileno())
        return Fingerprinter(key)
