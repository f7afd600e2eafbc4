"""What every step of one run works with: cloud, journal, clock, and the words in which it tells what happens."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from migrator import about
from migrator.errors import KeyliftError, StaleError
from migrator.journal import Journal
from migrator.model import Json, Step
from migrator.ports import Clock, Cloud, Event
from migrator.scheduling import Scheduler
from migrator.veil import Known
from scanners.model import Fingerprinter


@dataclass(slots=True)
class Surroundings:
    """What every step of one run works with."""

    run: str
    plan: str
    steps: Mapping[str, Step]
    cloud: Cloud
    journal: Journal
    clock: Clock
    fingerprinter: Fingerprinter
    scheduler: Scheduler
    tell: Callable[[Event], None]
    propagation: float
    proof: float
    known: Known = field(default_factory=Known)

    def event(self, kind: str, *, app: str = "", step: str = "", text: str = "") -> None:
        """Tell what happened, and keep it, unless it is only a wait."""
        event = Event(kind, app, step, self.known.redact(text), self.clock.now())
        if kind != "step-waiting":
            self.journal.tell(self.run, event)
        with suppress(Exception):  # a screen that is gone is no reason to stop half-way
            self.tell(event)

    def error(self, error: KeyliftError) -> Json:
        """An error as the journal keeps it: three texts without values."""
        return {
            "what": self.known.redact(error.what),
            "why": self.known.redact(error.why),
            "hint": self.known.redact(error.hint),
            "stale": isinstance(error, StaleError),
        }


@dataclass(frozen=True, slots=True)
class Page:
    """A step's page in the journal."""

    journal: Journal
    run: str
    step: str

    def operation(self, url: str) -> None:
        self.journal.set_step(self.run, self.step, operation=url)

    def note(self, **facts: object) -> None:
        self.journal.note(self.run, self.step, facts)

    @property
    def facts(self) -> Json:
        return self.journal.step(self.run, self.step).facts


def surprise(error: Exception) -> KeyliftError:
    """An error nobody foresaw, by its kind and place only: its message may hold anything."""
    frame = traceback.extract_tb(error.__traceback__)[-1] if error.__traceback__ else None
    place = f" at {frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}" if frame else ""
    return KeyliftError(
        "something unforeseen happened in keylift itself",
        why=f"{type(error).__name__}{place}",
        hint=f"report it with this text: {about.HOME}/issues",
    )
