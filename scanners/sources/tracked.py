"""What git tracks below a folder: that is committed and shipped, whatever `.gitignore` files say of it by now."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

from scanners.git import SAFE, Git, NoRepositoryError, RepositoryError, environment
from scanners.spawn import Running

_LIST = ("ls-files", "-z")


class Tracked:
    """The files of one repository that git tracks below one of its folders. Git is asked when there is something to ask."""

    def __init__(self, folder: str, base: str, errors: list[dict[str, str]]) -> None:
        """Ask git nothing yet.

        Args:
            folder: where git runs.
            base: what the paths that are asked for begin with, which lead to the folder.
            errors: takes it when git refuses.
        """
        self._folder = folder
        self._base = base
        self._errors = errors
        self._names: Sequence[bytes] | None = None

    def has(self, path: str, *, directory: bool) -> bool:
        """Whether git tracks a file, or anything in a directory."""
        if self._names is None:
            self._names = self._listed()
        name = os.fsencode(path[len(self._base) :]) + (b"/" if directory else b"")
        at = bisect_left(self._names, name)
        found = self._names[at] if at < len(self._names) else b""
        return found.startswith(name) if directory else found == name

    def _listed(self) -> Sequence[bytes]:
        """In the order of the index, which is that of bytes."""
        try:
            # Most trees leave something out, and importing `subprocess` takes longer than git does.
            listed = Running([*SAFE, "-C", self._folder, *_LIST], environment(callers=False)).output()
        except OSError:
            return ()  # without git, nobody knows
        if listed is None:
            listed = self._again()
        return listed.split(b"\0")[:-1]

    def _again(self) -> bytes:
        """Ask once more, for the reason why git does not tell."""
        try:
            return Git(Path(self._folder)).run(*_LIST)
        except NoRepositoryError:
            return b""
        except RepositoryError as error:
            what = f"which of the files that .gitignore names are tracked is not known: {error.what}"
            self._errors.append({"where": self._folder.replace(os.sep, "/"), "what": what, "hint": error.hint})
            return b""
