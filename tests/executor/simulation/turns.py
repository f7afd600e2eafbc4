"""Who goes next, decided by a seed: jobs on threads of which one runs at a time, on a clock that only waiting moves.

Every request, journal write, wait and lane is an instant: there the baton may pass to another job, somebody else may
change the cloud, or the process may die.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from migrator.scheduling import Job
from migrator.simulator.clock import Clock


class DiedError(BaseException):
    """What a killed process would have no time to catch."""


class DeadlockError(AssertionError):
    """No job can go on, and time does not help."""


@dataclass(slots=True)
class _Fiber:
    job: Job
    baton: threading.Lock = field(default_factory=threading.Lock)
    thread: threading.Thread | None = None
    wakes: float | None = None
    """When it wants to go on; None: it does not sleep."""
    lane: str | None = None
    """The lane it waits for."""


class Turns:
    """A `Scheduler` and a `Clock` of one simulated process."""

    def __init__(self, clock: Clock, dice: random.Random, workers: int, instant: Callable[[str], None]) -> None:
        """Prepare.

        Args:
            clock: The simulated cloud's; moved when everybody waits.
            dice: Decides who goes next.
            workers: Jobs at work at a time.
            instant: Told what is about to happen or has happened; may raise `DiedError`.
        """
        self._clock = clock
        self._dice = dice
        self._workers = workers
        self._instant = instant
        self._current: _Fiber | None = None
        self._active: list[_Fiber] = []
        self._waiting: list[Job] = []
        self._names: set[str] = set()
        self._ended: set[str] = set()
        self._lanes: dict[str, tuple[_Fiber | None, int]] = {}
        self._home = threading.Lock()
        self._raised: list[BaseException] = []
        self._interrupt: Callable[[], None] = lambda: None
        self.dead = False
        self.switches = 0

    # As a clock

    def now(self) -> float:
        return self._clock.now()

    def sleep(self, seconds: float) -> None:
        self._check()
        if self._current is None:
            self._clock.advance(seconds)
            self.instant("wait")
            return
        self._current.wakes = self.now() + seconds
        self._pass_on()

    # As a scheduler

    @contextmanager
    def lane(self, name: str) -> Iterator[None]:
        me = self._current
        while True:
            holder, depth = self._lanes.get(name, (None, 0))
            if depth == 0 or holder is me:
                break
            assert me is not None
            me.lane = name
            self._pass_on()
        self._lanes[name] = (me, depth + 1)
        try:
            yield
        finally:
            holder, depth = self._lanes[name]
            self._lanes[name] = (holder, depth - 1)

    def run(self, jobs: Sequence[Job], interrupt: Callable[[], None]) -> None:
        self._waiting, self._names, self._ended = list(jobs), {job.name for job in jobs}, set()
        self._active, self._raised, self._lanes, self._interrupt = [], [], {}, interrupt
        if jobs:
            self._home.acquire()
            self._next(None)
            self._home.acquire()  # until the last job has ended
            self._home.release()
        self._check()
        if self._raised:
            raise self._raised[0]

    # Instants

    def instant(self, what: str) -> None:
        """Something is about to happen, or has happened: others may go first.

        Raises:
            DiedError: this process is dead.
        """
        self._check()
        try:
            self._instant(what)
        except DiedError:
            self.dead = True
            raise
        if self._current is not None and (len(self._active) > 1 or self._waiting):
            self._pass_on()

    def _check(self) -> None:
        if self.dead:
            raise DiedError

    # The baton

    def _pass_on(self) -> None:
        me = self._current
        assert me is not None
        self._next(me)
        if self.dead:
            raise DiedError

    def _next(self, me: _Fiber | None) -> None:
        """Give the baton to somebody, perhaps to `me` again; come back when it has come back."""
        chosen = self._choose()
        if chosen is me:
            return
        self.switches += 1
        self._give(chosen)
        if me is not None:
            me.baton.acquire()
            self._current = me

    def _give(self, chosen: _Fiber) -> None:
        self._current = chosen
        if chosen.thread is None:
            chosen.baton.acquire()
            chosen.thread = threading.Thread(target=self._work, args=(chosen,), daemon=True)
            chosen.thread.start()
        else:
            chosen.baton.release()

    def _choose(self) -> _Fiber:
        while True:
            while len(self._active) < self._workers and (job := self._take()) is not None:
                self._active.append(_Fiber(job))
            now = self.now()
            ready = [fiber for fiber in self._active if self.dead or self._may_go(fiber, now)]
            if ready:
                chosen = ready[0] if len(ready) == 1 else self._dice.choice(ready)
                chosen.wakes = chosen.lane = None
                return chosen
            wakes = [fiber.wakes for fiber in self._active if fiber.wakes is not None]
            if not wakes:
                raise DeadlockError([(fiber.job.name, fiber.lane) for fiber in self._active])
            self._clock.advance(max(0.0, min(wakes) - now) + 1e-6)

    def _take(self) -> Job | None:
        for job in self._waiting:
            if job.after & self._names <= self._ended:
                self._waiting.remove(job)
                return job
        return None

    def _may_go(self, fiber: _Fiber, now: float) -> bool:
        if fiber.lane is not None:
            return self._lanes[fiber.lane][1] == 0
        return fiber.wakes is None or fiber.wakes <= now

    def _work(self, me: _Fiber) -> None:
        try:
            if not self.dead:
                me.job.work()
        except DiedError:
            pass
        except BaseException as error:  # noqa: BLE001 - handed to the caller of `run`
            self._raised.append(error)
            self._interrupt()
        self._active.remove(me)
        self._ended.add(me.job.name)
        if self.dead:
            self._waiting.clear()
        if not self._active and not self._waiting:
            self._current = None
            self._home.release()
            return
        try:
            self._give(self._choose())
        except DeadlockError as error:
            self._raised.append(error)
            self._current = None
            self._home.release()
