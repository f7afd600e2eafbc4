"""Git objects by their ids, streamed out of one `git cat-file`, whatever state the object store is in."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from scanners.git import Git, failed

if TYPE_CHECKING:
    import subprocess

_AT_ONCE = 256
"""Ids asked for before the first is read: they fit into a pipe, so writing them never waits for reading."""
_PIPE = 1 << 20
_F_SETPIPE_SZ = 1031


class Unreadable(NamedTuple):
    """An object that could not be had."""

    missing: bool
    """It is not in the store, as in a partial clone; else it is there and damaged."""
    why: str


class Stream(NamedTuple):
    """One object as it comes. What is not read of it is passed over."""

    kind: str
    size: int
    read: Callable[[int], bytes]
    """At most so many bytes, nothing at the end. An EOFError that says why means that the object is damaged."""


class Objects:
    """A running `git cat-file --batch`, started again when a damaged object ends it."""

    def __init__(self, git: Git) -> None:
        """Start nothing yet."""
        self._git = git
        self._process: subprocess.Popen[bytes] | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the rest by close
        self._left = 0

    def close(self) -> None:
        """End git."""
        self._stop()
        self._errors.close()

    def each(self, ids: Sequence[str]) -> Iterator[Stream | Unreadable]:
        """Objects in the order of their ids. Each is read before the next is asked for.

        Raises:
            RepositoryError: git is missing, or cannot read this repository at all.
        """
        at = 0
        while at < len(ids):
            process = self._running()
            some = ids[at : at + _AT_ONCE]
            assert process.stdin is not None
            with suppress(BrokenPipeError):
                process.stdin.write("".join(f"{name}\n" for name in some).encode("ascii"))
                process.stdin.flush()
            for name in some:
                at += 1
                try:
                    head = self._head(name)
                except EOFError as error:
                    head = Unreadable(missing=False, why=str(error))
                yield head
                if isinstance(head, Stream) and self._process is not None:
                    with suppress(EOFError):
                        self._skip()
                if self._process is None:
                    break

    def _head(self, name: str) -> Stream | Unreadable:
        process = self._running()
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.endswith(b"\n"):
            raise EOFError(self._stop())
        said = line.decode("ascii", "replace").split()
        if len(said) != 3 or said[0] != name or not said[2].isdigit():
            return Unreadable(missing=said[-1:] == ["missing"], why=" ".join(said[1:]))
        self._left = int(said[2])
        return Stream(said[1], self._left, self._read)

    def _read(self, size: int) -> bytes:
        wanted = min(size, self._left)
        if not wanted:
            return b""
        process = self._running()
        assert process.stdout is not None
        data = process.stdout.read(wanted)
        if len(data) < wanted:
            raise EOFError(self._stop())
        self._left -= wanted
        return data

    def _skip(self) -> None:
        while self._read(_PIPE):
            pass
        process = self._running()
        assert process.stdout is not None
        if process.stdout.read(1) != b"\n":
            raise EOFError(self._stop())

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._errors.seek(0)
            self._errors.truncate()
            self._left = 0
            self._process = self._git.start("cat-file", "--batch", errors=self._errors, feed=True)
            if sys.platform == "linux" and self._process.stdout is not None:
                import fcntl

                with suppress(OSError):
                    # Git works on while an object is judged.
                    fcntl.fcntl(self._process.stdout, _F_SETPIPE_SZ, _PIPE)
        return self._process

    def _stop(self) -> str:
        """End git; what it said last."""
        process, self._process = self._process, None
        if process is None:
            return ""
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        process.kill()
        process.wait()
        self._errors.seek(0)
        return failed(self._git.path, self._errors.read()).why
