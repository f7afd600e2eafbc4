"""Programs started with as little as possible: what `subprocess` does, without the time it takes to import it.

The pre-commit hook starts git before it imports anything else, so that both happen at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any


class Running:
    """A program that was started. Its standard error goes nowhere."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], *, feed: bool = False) -> None:
        """Start it.

        Args:
            command: the program, found by PATH, and its arguments.
            environment: its whole environment.
            feed: whether it is given something on standard input, which is `feed` then.

        Raises:
            FileNotFoundError: there is no such program.
        """
        self.feed: Any = None
        self.stream: Any
        self._wait: Callable[[], int]
        if os.name == "posix":
            self._spawn(command, environment, feed=feed)
            return
        import subprocess

        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        self.stream, self.feed, self._wait = process.stdout, process.stdin, process.wait

    def _spawn(self, command: Sequence[str], environment: Mapping[str, str], *, feed: bool) -> None:
        out_read, out_write = os.pipe()
        in_read, in_write = os.pipe() if feed else (os.open(os.devnull, os.O_RDONLY), -1)
        try:
            child = os.posix_spawnp(
                command[0],
                list(command),
                environment,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, in_read, 0),
                    (os.POSIX_SPAWN_DUP2, out_write, 1),
                    (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                ],
            )
        except OSError:
            os.close(out_read)
            if feed:
                os.close(in_write)
            raise
        finally:
            os.close(out_write)
            os.close(in_read)
        self.stream = os.fdopen(out_read, "rb", 1 << 16)
        self.feed = os.fdopen(in_write, "wb", 0) if feed else None
        self._wait = lambda: os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def output(self) -> bytes | None:
        """Everything it writes; None when it fails."""
        data: bytes = self.stream.read()
        return data if self.close() == 0 else None

    def close(self) -> int:
        """Read no more and wait for its end; its exit code."""
        if self.feed is not None:
            self.feed.close()
        self.stream.close()
        return self._wait()
