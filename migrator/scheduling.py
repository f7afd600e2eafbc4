"""Who works when: jobs that wait for each other, some at a time, and lanes in which only one goes at a time.

The executor knows `Scheduler` only. `Threads` is the one for real runs; a test may bring a seeded one that decides by
itself who goes next.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from migrator.ports import WAITING


@dataclass(frozen=True, slots=True)
class Job:
    """Work to do once."""

    name: str
    work: Callable[[], None]
    """Handles its own failures; what it raises nevertheless ends the whole run."""
    after: frozenset[str] = frozenset()
    """Names of jobs that must have ended before, however they ended."""


class Scheduler(Protocol):
    """Runs jobs."""

    def run(self, jobs: Sequence[Job], interrupt: Callable[[], None]) -> None:
        """Run every job and come back when all have ended.

        Args:
            jobs: What to run; the order is a preference, `after` is a must.
            interrupt: Called when the user asks to stop; jobs that go on then end soon by themselves.

        Raises:
            KeyboardInterrupt: the user asked twice; jobs may still be at work.
            BaseException: the first that a job raised, after all others ended.
        """
        ...

    def lane(self, name: str) -> AbstractContextManager[object]:
        """Enter a lane, in which one job is at a time."""
        ...


class Threads:
    """A bounded number of daemon threads: a second Ctrl-C does not wait for them."""

    def __init__(self, workers: int = 8) -> None:
        """Work on `workers` jobs at a time."""
        self.workers = max(1, workers)
        self._lanes: dict[str, threading.RLock] = {}
        self._guard = threading.Lock()

    @contextmanager
    def lane(self, name: str) -> Iterator[None]:
        with self._guard:
            lock = self._lanes.setdefault(name.lower(), threading.RLock())
        if not lock.acquire(blocking=False):
            # as long as the write before takes, which has a deadline of its own
            WAITING.get()("this run's write to another app of the environment to end")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def run(self, jobs: Sequence[Job], interrupt: Callable[[], None]) -> None:
        waiting = list(jobs)
        names = {job.name for job in jobs}
        ended: set[str] = set()
        raised: list[BaseException] = []
        changed = threading.Condition()

        def take() -> Job | None:
            for job in waiting:
                if job.after & names <= ended:
                    waiting.remove(job)
                    return job
            return None

        def worker() -> None:
            while True:
                with changed:
                    while (job := take()) is None:
                        if not waiting:
                            return
                        changed.wait()
                try:
                    job.work()
                except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
                    raised.append(error)
                    interrupt()
                with changed:
                    ended.add(job.name)
                    changed.notify_all()

        for number in range(min(self.workers, len(waiting))):
            threading.Thread(target=worker, name=f"keylift-{number}", daemon=True).start()
        asked = False
        while True:
            try:
                with changed:
                    while len(ended) < len(names):
                        changed.wait(0.5)  # a wait without an end would keep Ctrl-C out on some platforms
                break
            except KeyboardInterrupt:
                if asked:
                    raise
                asked = True
                interrupt()
        if raised:
            raise raised[0]
