"""A person's hold on work that is going on: pause it, go on, stop it. From any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

from migrator.errors import StoppedError


class Control:
    """Handed to a verb of `migrator.api`; whoever keeps it steers that one piece of work."""

    def __init__(self) -> None:
        """Neither paused nor stopped."""
        self._guard = threading.Lock()
        self._go = threading.Event()
        self._go.set()
        self._stopped = threading.Event()
        self._stop: Callable[[], None] | None = None

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    @property
    def paused(self) -> bool:
        """Whether the work waits at its next checkpoint."""
        return not self._go.is_set()

    def pause(self) -> None:
        """Have the work wait at its next checkpoint."""
        self._go.clear()

    def go_on(self) -> None:
        """Let paused work go on."""
        self._go.set()

    def stop(self) -> None:
        """End the work: a scan at its next checkpoint, a run after the steps that are at work."""
        with self._guard:
            self._stopped.set()
            self._go.set()
            if self._stop is not None:
                self._stop()

    def bind(self, stop: Callable[[], None]) -> None:
        """Called by the work: what ends it. Called at once if `stop` came before."""
        with self._guard:
            self._stop = stop
            if self._stopped.is_set():
                stop()

    def checkpoint(self) -> None:
        """Called by the work where it may wait or end.

        Raises:
            StoppedError: it was stopped.
        """
        while not self._go.wait(0.5):
            pass
        if self._stopped.is_set():
            raise StoppedError("this was stopped", hint="start it again")
