"""The simulator's own time: it can run faster than the wall and be pushed forward, never back."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime


class Clock:
    """Virtual time in seconds since the epoch."""

    def __init__(self, speed: float = 1.0, start: float | None = None, wall: Callable[[], float] = time.time) -> None:
        """Start at `start` (default: the wall's time) and run `speed` times as fast as `wall`."""
        self.speed = speed
        self._wall = wall
        self._origin = wall()
        self._start = self._origin if start is None else start

    def now(self) -> float:
        """Seconds since the epoch, virtual."""
        return self._start + (self._wall() - self._origin) * self.speed

    def advance(self, seconds: float) -> None:
        """Jump forward by virtual `seconds`."""
        if seconds < 0:
            raise ValueError("time does not run backwards")
        self._start += seconds

    def to_wall(self, seconds: float) -> float:
        """How many wall seconds a virtual span lasts; what a client with an ordinary clock must be told."""
        return seconds / self.speed if self.speed else seconds


class Skewed(Clock):
    """Another clock's time, some seconds off: what Azure's servers say it is, where callers go by the other."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        """Go `seconds` before (negative: behind) `clock`, whatever that is pushed to."""
        self._clock = clock
        self._seconds = seconds
        self.speed = clock.speed

    def now(self) -> float:
        """Seconds since the epoch, as this clock has it."""
        return self._clock.now() + self._seconds

    def advance(self, seconds: float) -> None:
        """Push the other clock."""
        self._clock.advance(seconds)


def iso(moment: float, *, zone: str = "Z", digits: int = 7) -> str:
    """A moment as ARM writes it: seven fractional digits, with or without a zone."""
    stamp = datetime.fromtimestamp(moment, UTC)
    fraction = f"{stamp.microsecond:06d}".ljust(digits, "0")[:digits]
    return stamp.strftime("%Y-%m-%dT%H:%M:%S") + (f".{fraction}" if digits else "") + zone
