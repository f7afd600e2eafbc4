"""Where the records of a journal are kept, and who may write a run's: the seam between local and shared state.

A journal works on a database. With a local folder that database is what is kept, and the ledger only locks runs. With
shared state the ledger keeps the records, one log a run, and every process builds a database of its own from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from migrator.model import Json


def words(holder: Json, when: str = "since") -> str:
    """Who holds a run, for people."""
    who = f" of {holder['user']}" if holder.get("user") else ""
    return f"process {holder.get('pid', '?')}{who} on {holder.get('host', '?')}, {when} {holder.get('since', '?')}"


class Ledger(Protocol):
    """Keeps records and holds runs. Used under the journal's guard, by one thread at a time, except `hold`."""

    shared: bool
    """Whether the records are kept here; False: the journal's database keeps them itself."""
    most_steps: int
    """Of a run: more would not fit."""
    name: str
    """What people know it by: a folder or a URL."""

    def hold(self, run: str, lost: Callable[[], None]) -> AbstractContextManager[None]:
        """Keep every other process off a run.

        Args:
            run: The run's id.
            lost: Called from any thread, once, when the run is not held any more though nobody let go of it: nothing
                more may be done for it.

        Raises:
            RunError: another process holds it; the message says which, where and since when.
            JournalError: that cannot be found out.
        """
        ...

    def holder(self, run: str) -> Json | None:
        """Who holds a run, as far as was last seen: `{"pid", "host", "since"}` and perhaps `user`; None if nobody."""
        ...

    def append(self, run: str, record: Json) -> None:
        """Keep a record of plain JSON, durably when this returns. An empty `run` is what belongs to no run.

        Raises:
            JournalError: it was not kept, or nobody knows; from then on every append fails.
        """
        ...

    def news(self) -> Iterable[tuple[str, Json]]:
        """Records that others kept since the last call, each with its run, those of a run in their order.

        Raises:
            JournalError: they cannot be read.
        """
        ...

    def discard(self, run: str) -> bool:
        """Take a run's records away for good, unless another process holds it; whether they are gone."""
        ...

    def close(self) -> None:
        """Let go of everything that is held. Doing it twice is safe."""
        ...
