"""The write-ahead journal of runs, for the owner's or the team's eyes only, without a single value.

Every write is durable when the call returns. What is about to be done to a cloud is written before it is done; after a
crash the journal says what to ask the cloud about.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from migrator import database, records
from migrator.errors import JournalError, RunError
from migrator.ledger import Ledger
from migrator.locking import FolderLocks
from migrator.model import AppState, Json, Plan, RunState, StepState
from migrator.ports import Event
from migrator.timing import iso

OPEN_STATES = frozenset({RunState.RUNNING, RunState.INTERRUPTED, RunState.ROLLING_BACK, records.JOINING})
"""States of runs that somebody has to end: resume them or roll them back."""


@dataclass(frozen=True, slots=True)
class StepEntry:
    """A step's line in the journal."""

    step: str
    app: str
    kind: str
    target: str
    state: str
    attempts: int
    operation: str
    facts: Json
    error: Json


@dataclass(frozen=True, slots=True)
class AppEntry:
    """An app's line in the journal."""

    app: str
    state: str
    proven: bool
    cause: str
    """Why the app is being undone: `failed`, `stale` or `rollback`; empty otherwise."""
    error: Json
    """`{"what", "why", "hint"}` of what went wrong."""
    initial: Any
    """The app as it was read before its first step, settled and without values; None before that."""


class Journal:
    """Runs, their apps, steps and events. Safe to use from several threads."""

    def __init__(self, path: Path, connection: sqlite3.Connection, ledger: Ledger) -> None:
        """Use `Journal.open`, or `Journal.of` for shared state."""
        self.path = path
        self._connection = connection
        self._ledger = ledger
        self._guard = threading.RLock()

    @classmethod
    def open(cls, path: Path, *, observe: Callable[[str], None] | None = None) -> Journal:
        """Open the journal of a folder, made on first use (0600 whatever the umask), and bring its schema forward.

        Args:
            path: The database's file; its folder exists.
            observe: Given every SQL statement, for tests of crashes.

        Raises:
            JournalError: it cannot be opened, is damaged, or was written by a newer keylift.
        """
        with database.translated(path):
            database.create(path)
            connection = database.connect(path, observe)
        return cls(path, connection, FolderLocks(path.parent))

    @classmethod
    def of(cls, ledger: Ledger) -> Journal:
        """The journal that a ledger keeps: a database in memory, built from its records.

        The ledger is closed with the journal.

        Raises:
            JournalError: it cannot be read, is damaged, or was written by a newer keylift.
        """
        journal = cls(Path(), database.connect(None), ledger)
        try:
            journal.refresh()
        except BaseException:
            journal.close()
            raise
        return journal

    @property
    def name(self) -> str:
        """What people know it by."""
        return self._ledger.name if self._ledger.shared else str(self.path)

    def close(self) -> None:
        """Let go of the database and of every run that is held."""
        self._ledger.close()
        with self._guard:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Holding a run

    @contextmanager
    def hold(self, run: str, lost: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Keep every other process off a run.

        A lock of a folder is the operating system's, so one whose holder died is free at once; one of shared state ends
        by itself within a minute.

        Args:
            run: The run's id.
            lost: Called, from any thread, when the lock is lost: nothing more may be done for the run.

        Raises:
            RunError: another process holds it; the message says which.
        """
        with self._ledger.hold(run, lost):
            self.refresh()
            yield

    def refresh(self) -> None:
        """Take in what other machines wrote; a folder's journal always has it.

        Raises:
            JournalError: it cannot be read, or was written by a newer keylift.
        """
        if not self._ledger.shared:
            return
        with self._guard:
            news = list(self._ledger.news())
            if news:
                with self._write() as db:
                    for run, record in news:
                        self._take(db, run, record)

    def _take(self, db: sqlite3.Connection, run: str, record: Json) -> None:
        what = f"the log of {f'run {run}' if run else 'rehearsals'} in {self.name}"
        try:
            records.apply(db, run, record)
        except LookupError as error:
            raise JournalError(
                f"{what} holds what this version does not know",
                why=f"a record of '{record['change']}': {error}",
                hint="update keylift: uv tool upgrade keylift",
            ) from None
        except (TypeError, ValueError, sqlite3.Error) as error:
            raise JournalError(
                f"{what} is damaged",
                why=f"a record of '{record['change']}' does not fit those before it: {type(error).__name__}",
                hint="restore the blob from an earlier version; runs under another prefix are not concerned",
            ) from None

    # Runs

    def begin(self, run: str, plan: Plan, cloud: str, now: float) -> None:
        """Write a new run with all its steps pending.

        Raises:
            RunError: with shared state: another machine began a run on one of its apps meanwhile, or it is too large.
        """
        if len(plan.steps) > self._ledger.most_steps:
            raise RunError(
                f"the plan has {len(plan.steps)} steps, more than a run in {self.name} can have",
                why=f"a run can have {self._ledger.most_steps}",
                hint="plan fewer apps at a time: keylift plan --resource-group G, or --app NAME",
            )
        apps = list(dict.fromkeys(step.app.lower() for step in plan.steps if step.app))
        self._record(
            run,
            "begin",
            plan=plan.id,
            document=plan.to_json(),
            cloud=cloud,
            state=records.JOINING if self._ledger.shared else RunState.RUNNING,
            at=now,
            apps=apps,
            steps=[[step.id, step.app.lower(), step.kind, step.target.lower()] for step in plan.steps],
        )
        if self._ledger.shared:
            self._join(run, frozenset(apps))

    def _join(self, run: str, apps: frozenset[str]) -> None:
        """See that a run is alone on its apps, now that every other machine can see it.

        Of two that begin at once, the one that was written down later sees the other, so they cannot both go on. One
        that nobody holds died before it did anything.
        """
        self.refresh()
        for other in self._open_runs(apps):
            if other == run:
                continue
            if self.state(other) == records.JOINING and self._ledger.discard(other):
                self._forget(other)
                continue
            self._ledger.discard(run)
            self._forget(run)
            raise RunError(
                f"run {other} works on an app of this plan and is not finished",
                why="another process began it at the same moment",
                hint=f"look at it, then apply the plan again: keylift status {other}",
            )
        self.set_run(run, RunState.RUNNING)

    def set_run(self, run: str, state: str, *, ended: float | None = None) -> None:
        """Write a run's state."""
        self._record(run, "run", state=state, ended=ended)

    def find(self, prefix: str) -> str:
        """The id of the run that `prefix` begins, or of the newest for `latest`.

        Raises:
            RunError: there is none, or there are several.
        """
        known = self._ids()
        found = known[:1] if prefix == "latest" else [run for run in known if run == prefix]
        found = found or [run for run in known if prefix and run.startswith(prefix)]
        if len(found) == 1:
            return found[0]
        raise RunError(
            f"there are {len(found)} runs that begin with '{prefix}'" if found else f"there is no run '{prefix}'",
            why=f"the journal {self.name} knows {len(known)} runs",
            hint="list them: keylift runs",
        )

    def state(self, run: str) -> str:
        """A run's state."""
        return str(self._row("SELECT state FROM runs WHERE id = ?", run)["state"])

    def cloud(self, run: str) -> str:
        """The name of the cloud a run works on."""
        return str(self._row("SELECT cloud FROM runs WHERE id = ?", run)["cloud"])

    def plan(self, run: str) -> Plan:
        """The plan a run carries out, as it was stored with it."""
        text = str(self._row("SELECT document FROM runs WHERE id = ?", run)["document"])
        return Plan.from_json(text, source=f"the plan of run {run}")

    def runs(self) -> list[Json]:
        """All runs, newest first, each as the object of the runs format."""
        return [self.describe(run) for run in self._ids()]

    def _ids(self) -> list[str]:
        self.refresh()
        rows = self._read("SELECT id FROM runs WHERE state <> ? ORDER BY number DESC", records.JOINING)
        return [str(row["id"]) for row in rows]

    def describe(self, run: str) -> Json:
        """One run as the object of the runs format."""
        row = self._row("SELECT * FROM runs WHERE id = ?", run)
        holder = self._ledger.holder(run)
        state = str(row["state"])
        if state in {RunState.RUNNING, RunState.ROLLING_BACK} and holder is None:
            state = RunState.INTERRUPTED  # its process is gone
        return {
            "id": str(row["id"]),
            "plan": str(row["plan"]),
            "cloud": str(row["cloud"]),
            "state": state,
            "started": _moment(row["started"]),
            "ended": _moment(row["ended"]),
            "holder": holder,
            "apps": {
                entry.app: {"state": entry.state, "proven": entry.proven, "error": entry.error or None}
                for entry in self.apps(run).values()
            },
        }

    def unfinished(self, apps: frozenset[str]) -> str | None:
        """The newest run that nobody has ended yet and that works on one of `apps` (lower-case ids)."""
        self.refresh()
        return next((run for run in self._open_runs(apps) if self.state(run) != records.JOINING), None)

    def _open_runs(self, apps: frozenset[str]) -> list[str]:
        """Runs that nobody has ended yet and that work on one of `apps`, newest first."""
        rows = self._read(
            "SELECT runs.id, runs.state, apps.app FROM runs JOIN apps ON apps.run = runs.id ORDER BY number DESC"
        )
        found = [str(row["id"]) for row in rows if row["state"] in OPEN_STATES and row["app"] in apps]
        return list(dict.fromkeys(found))

    def others_using(self, run: str, kind: str, target: str) -> list[tuple[str, Json]]:
        """Other runs, and what they noted, whose steps of a kind stand on `target` and were not taken back."""
        self.refresh()
        rows = self._read(
            "SELECT steps.run, steps.facts FROM steps JOIN runs ON runs.id = steps.run "
            "LEFT JOIN apps ON apps.run = steps.run AND apps.app = steps.app "
            "WHERE steps.target = ? AND steps.kind = ? AND steps.run <> ? AND steps.state IN (?, ?) "
            "AND coalesce(apps.state, runs.state) NOT IN (?, ?) ORDER BY runs.number",
            *(target.lower(), kind, run, StepState.DONE, StepState.ADOPTED, AppState.ROLLED_BACK, AppState.STALE),
        )
        return [(str(row["run"]), json.loads(row["facts"])) for row in rows]

    def contracts(self, run: str) -> list[tuple[StepEntry, str]]:
        """Done steps of the runs that finalized `run`, each with its run: what stands between it and the way back."""
        self.refresh()
        rows = self._read(
            "SELECT steps.* FROM steps JOIN runs ON runs.id = steps.run "
            "WHERE json_extract(runs.document, '$.options.finalize') = ? AND steps.state = ? "
            "ORDER BY runs.number, steps.position",
            *(run, StepState.DONE),
        )
        return [(_entry(row), str(row["run"])) for row in rows]

    # Apps

    def apps(self, run: str) -> dict[str, AppEntry]:
        """The apps of a run by lower-case id, in plan order."""
        rows = self._read("SELECT * FROM apps WHERE run = ? ORDER BY position", run)
        return {str(row["app"]): _app(row) for row in rows}

    def app(self, run: str, app: str) -> AppEntry:
        """One app of a run, by its lower-case id."""
        return _app(self._row("SELECT * FROM apps WHERE run = ? AND app = ?", run, app))

    def set_app(self, run: str, app: str, **columns: Any) -> None:
        """Write columns of an app: `state`, `proven`, `cause`, `error`, `initial`."""
        self._record(run, "app", app=app.lower(), columns=columns)

    # Steps

    def steps(self, run: str) -> dict[str, StepEntry]:
        """The steps of a run by id, in plan order."""
        rows = self._read("SELECT * FROM steps WHERE run = ? ORDER BY position", run)
        return {str(row["step"]): _entry(row) for row in rows}

    def step(self, run: str, step: str) -> StepEntry:
        """One step."""
        return _entry(self._row("SELECT * FROM steps WHERE run = ? AND step = ?", run, step))

    def timings(self, run: str) -> dict[str, tuple[float | None, float | None, int]]:
        """When each step began and ended (seconds since the epoch), and how often it was tried."""
        rows = self._read("SELECT step, started, ended, attempts FROM steps WHERE run = ? ORDER BY position", run)
        return {str(row["step"]): (row["started"], row["ended"], int(row["attempts"])) for row in rows}

    def set_step(self, run: str, step: str, **columns: Any) -> None:
        """Write columns of a step: `state`, `attempts`, `operation`, `error`, `started`, `ended`."""
        self._record(run, "step", step=step, columns=columns)

    def note(self, run: str, step: str, facts: Mapping[str, object]) -> None:
        """Add facts to a step's page."""
        self._record(run, "note", step=step, facts=dict(facts))

    # Rehearsals

    def rehearsed(self, plan: str, at: float, report: Mapping[str, Any], *, ok: bool) -> None:
        """Keep how the rehearsal of a plan ended; a later one takes its place."""
        self._record("", "rehearsal", plan=plan, at=at, ok=ok, report=dict(report))

    def rehearsal(self, plan: str) -> Json | None:
        """The last rehearsal of a plan by the plan's id: `{"at", "ok", "report"}`; None if there was none."""
        self.refresh()
        rows = self._read("SELECT * FROM rehearsals WHERE plan = ?", plan)
        if not rows:
            return None
        return {"at": _moment(rows[0]["at"]), "ok": bool(rows[0]["ok"]), "report": json.loads(rows[0]["report"])}

    # Events

    def tell(self, run: str, event: Event) -> None:
        """Keep an event."""
        self._record(run, "event", at=event.at, kind=event.kind, app=event.app, step=event.step, text=event.text)

    def events(self, run: str) -> list[Event]:
        """Everything that happened in a run, in order."""
        rows = self._read("SELECT * FROM events WHERE run = ? ORDER BY number", run)
        return [Event(row["kind"], row["app"], row["step"], row["text"], row["at"]) for row in rows]

    # The database

    def _record(self, run: str, change: str, **arguments: Any) -> None:
        """Make a change; it is durable when this returns, and did not happen when this raises."""
        record = {"change": change, **arguments}
        with self._write() as db:
            records.apply(db, run, record)
            if self._ledger.shared:
                self._ledger.append(run, record)

    def _forget(self, run: str) -> None:
        """Take a run's rows away."""
        with self._write() as db:
            records.apply(db, run, {"change": "discard"})

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._guard, database.translated(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _read(self, statement: str, *arguments: Any) -> list[sqlite3.Row]:
        with self._guard, database.translated(self.path):
            return self._connection.execute(statement, arguments).fetchall()

    def _row(self, statement: str, *arguments: Any) -> sqlite3.Row:
        rows = self._read(statement, *arguments)
        if not rows:
            raise RunError(
                f"the journal has no entry for {', '.join(map(str, arguments))}", hint="list the runs: keylift runs"
            )
        return rows[0]


def _app(row: sqlite3.Row) -> AppEntry:
    return AppEntry(
        str(row["app"]),
        str(row["state"]),
        bool(row["proven"]),
        str(row["cause"]),
        json.loads(row["error"]),
        json.loads(row["initial"]),
    )


def _entry(row: sqlite3.Row) -> StepEntry:
    return StepEntry(
        str(row["step"]),
        str(row["app"]),
        str(row["kind"]),
        str(row["target"]),
        str(row["state"]),
        int(row["attempts"]),
        str(row["operation"]),
        json.loads(row["facts"]),
        json.loads(row["error"]),
    )


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else iso(seconds)
