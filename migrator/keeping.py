"""Opens what a workplace keeps: the journal and the fingerprint key, of its own folder or of a team."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from migrator.errors import UsageError
from scanners.model import Fingerprinter

if TYPE_CHECKING:
    from migrator.api import Tell, Workplace
    from migrator.cloud.blob_ledger import BlobLedger
    from migrator.journal import Journal
    from migrator.shared import SharedState


def _pass() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Kept:
    """An open journal and the key that its plans were made with."""

    journal: Journal
    fingerprinter: Callable[[], Fingerprinter]
    """Gives the key; it is made on first use."""
    gate: Callable[[], None] = _pass
    """Asked before each change of the cloud; raises StoppedError when the lock of the run may be lost."""


def exists(place: Workplace) -> bool:
    """Whether there may be runs; a folder that has none is not made for looking."""
    return place.shared is not None or place.state.database.exists()


@contextmanager
def kept(place: Workplace, tell: Tell) -> Iterator[Kept]:
    """The workplace's journal and key.

    Raises:
        JournalError: it cannot be opened.
        SignInError: shared state needs a sign-in, and there is none.
    """
    from migrator.journal import Journal

    if place.shared is None:
        if not place.state.database.exists():
            place.state.ensure()
        with Journal.open(place.state.database) as journal:
            yield Kept(journal, place.state.fingerprinter)
        return
    with ExitStack() as stack:
        ledger = stack.enter_context(_ledger(place, place.shared, tell))
        journal = stack.enter_context(Journal.of(ledger))
        yield Kept(journal, lambda: _remember(place, ledger), ledger.check)


def fingerprinter(place: Workplace, tell: Tell, *, offline: bool = False) -> Fingerprinter:
    """The workplace's fingerprint key.

    Args:
        place: Where.
        tell: Says something to the person at the terminal.
        offline: Take a team's key from the folder, if it was fetched before: what scans files needs no sign-in.

    Raises:
        KeyliftError: it is damaged, or a team's key cannot be fetched.
    """
    if place.shared is None:
        return place.state.fingerprinter()
    known = place.state.team_key(place.shared.url) if offline else None
    if known is not None:
        return known
    with _ledger(place, place.shared, tell) as ledger:
        return _remember(place, ledger)


def unlock(place: Workplace, run: str, tell: Tell) -> bool:
    """Take a run's lock away; False if nobody held it.

    Raises:
        UsageError: the state is a folder, whose locks end with their process.
        RunError: there is no such run.
    """
    from migrator.journal import Journal

    if place.shared is None:
        raise UsageError(
            "a run of a state folder cannot be unlocked",
            why="its lock is the operating system's: it ends with the process that holds it, however that ends",
            hint="stop that process (keylift runs says which), or name shared state: --state azblob://...",
        )
    with _ledger(place, place.shared, tell) as ledger, Journal.of(ledger) as journal:
        return ledger.unlock(journal.find(run))


@contextmanager
def _ledger(place: Workplace, shared: SharedState, tell: Tell) -> Iterator[BlobLedger]:
    from migrator.cloud.blob_ledger import BlobLedger
    from migrator.cloud.profiles import load_profile
    from migrator.cloud.session import Session

    # a session of its own: a lease must not wait behind the requests of the run that it locks
    with Session(load_profile(place.cloud), auth=place.auth, tell=tell) as opened:
        yield BlobLedger.open(opened, shared)


def _remember(place: Workplace, ledger: BlobLedger) -> Fingerprinter:
    found = ledger.fingerprinter()
    place.state.keep_team_key(ledger.name, found)
    return found
