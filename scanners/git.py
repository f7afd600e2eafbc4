"""Git, run so that a repository can make it do nothing but read: no hooks, no filters, no fetches, no prompts, no locks.

A repository's own configuration is somebody else's text. Everything in it that would start a program or change what is
read is switched off for each call; objects are read as they are stored, whatever replaces them by name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path
    from typing import IO

SAFE = (
    "git",
    "--no-pager",
    "--no-replace-objects",
    "--literal-pathspecs",
    "-c",
    "core.fsmonitor=false",
    "-c",
    f"core.hooksPath={os.devnull}",
    "-c",
    "core.quotePath=false",
    "-c",
    "log.showSignature=false",
    "-c",
    # Blobs beyond this are streamed instead of held; unlike its default, it is less than this process may take.
    "core.bigFileThreshold=4m",
    "-c",
    "core.deltaBaseCacheLimit=48m",
    "-c",
    "core.packedGitWindowSize=8m",
    "-c",
    "core.packedGitLimit=48m",
)
"""How every git starts."""
DIFF = ("--no-ext-diff", "--no-textconv", "--no-color", "--no-relative", f"-O{os.devnull}")
"""What every diff needs besides, so that neither attributes nor configuration change what is seen."""

_ENVIRONMENT = {
    "LC_ALL": "C",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    # What a partial clone lacks is reported, not fetched: the first is git 2.45's, the second stops older ones.
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_GRAFT_FILE": os.devnull,
}
_NEVER = ("LANGUAGE", "GIT_EXTERNAL_DIFF", "GIT_DIFF_OPTS", "GIT_PAGER", "GIT_LITERAL_PATHSPECS", "GIT_ICASE_PATHSPECS")
_CALLERS_REPOSITORY = (
    # `git rev-parse --local-env-vars`, but for the configuration somebody gave on the command line.
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_IMPLICIT_WORK_TREE",
)
_CREDENTIALS = re.compile(r"//[^/\s@]*@")


class RepositoryError(Exception):
    """A repository that cannot be scanned: what happened, why, and the way out."""

    def __init__(self, what: str, *, why: str = "", hint: str) -> None:
        """Keep the parts; `hint` is never empty."""
        super().__init__(what)
        self.what = what
        self.why = why
        self.hint = hint


def environment(*, callers: bool) -> dict[str, str]:
    """The environment git runs in.

    Args:
        callers: keep what names a repository and an index: a hook runs inside the git that sets it, and a commit of
            single files has an index of its own. A path given by a person is the repository, whatever was set.
    """
    out = _NEVER if callers else (*_NEVER, *_CALLERS_REPOSITORY)
    kept = {name: value for name, value in os.environ.items() if name not in out and not name.startswith("GIT_TRACE")}
    return {**kept, **_ENVIRONMENT}


class NoRepositoryError(RepositoryError):
    """There is none where one was looked for."""


class Git:
    """Runs git in one repository."""

    def __init__(self, path: Path, *, callers: bool = False) -> None:
        """Run in `path`; `callers` as in `environment`."""
        self.path = path
        self.callers = callers
        self._environment: Mapping[str, str] = environment(callers=callers)

    def run(self, *arguments: str, data: bytes | None = None) -> bytes:
        """Standard output of a git command.

        Raises:
            RepositoryError: git is missing, or the command failed.
        """
        import subprocess

        try:
            done = subprocess.run(
                self._command(arguments),
                # Without a repository to write to, nothing is read from a terminal either.
                input=data if data is not None else b"",
                capture_output=True,
                env=self._environment,
                check=False,
            )
        except FileNotFoundError as error:
            raise missing() from error
        if done.returncode:
            raise failed(self.path, done.stderr)
        return done.stdout

    def start(self, *arguments: str, errors: IO[bytes], feed: bool = False) -> subprocess.Popen[bytes]:
        """A running git whose output is read as it comes.

        Args:
            arguments: of git.
            errors: takes what it says on standard error.
            feed: whether it is given something on standard input.

        Raises:
            RepositoryError: git is missing.
        """
        import subprocess

        try:
            return subprocess.Popen(
                self._command(arguments),
                stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=self._environment,
                bufsize=1 << 18,
            )
        except FileNotFoundError as error:
            raise missing() from error

    def _command(self, arguments: Sequence[str]) -> list[str]:
        return [*SAFE, "-C", os.fspath(self.path), *arguments]


def missing() -> RepositoryError:
    """There is no git."""
    return RepositoryError(
        "git is not installed",
        why="no program of that name is on PATH",
        hint="install git 2.30 or newer, or scan the files alone: keylift scan files PATH",
    )


def failed(path: Path, said: bytes) -> RepositoryError:
    """What git said on standard error, as an error that a person can act on."""
    text = _CREDENTIALS.sub("//", said.decode("utf-8", "replace")).strip()
    lines = [line.removeprefix("fatal: ").removeprefix("error: ") for line in text.splitlines()]
    why = next((line for line in lines if line), "it gave no reason")
    shown = os.fspath(path)
    if "dubious ownership" in text or "is owned by someone else" in text:
        return RepositoryError(
            f"git refuses to read {shown}",
            why="it belongs to another user, who could have put commands into its configuration",
            hint=f"if you trust it: git config --global --add safe.directory {_quoted(os.path.realpath(shown))}",
        )
    if "safe.bareRepository" in text:
        return RepositoryError(
            f"git refuses to read {shown}",
            why=why,
            hint=f"name the repository itself: git --git-dir={_quoted(shown)} log",
        )
    if "not a git repository" in text or "cannot change to" in text:
        return NoRepositoryError(
            f"{shown} is not a git repository",
            why="neither it nor a folder above it has one" if path.exists() else "there is no such folder",
            hint="name a repository, or scan the files alone: keylift scan files PATH",
        )
    return RepositoryError(
        f"git could not read {shown}", why=why, hint=f"see what is wrong with it: git -C {_quoted(shown)} fsck --full"
    )


def _quoted(text: str) -> str:
    import shlex

    return shlex.quote(text)
