"""Every change that can be made to a journal, each as a record of plain JSON: `{"change": name, ...its arguments}`.

The same records in the same order give the same rows in any database. That is what lets shared state keep a journal as a
log of its changes, and what a change must keep to: no clock, no chance, nothing but its arguments and the rows.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from migrator.model import AppState, Json, StepState
from scanners.model import Secret

JOINING = "joining"
"""State of a run that is written down and not yet known to be alone on its apps; nothing was done for it."""

_APP_COLUMNS = frozenset({"state", "proven", "cause", "error", "initial"})
_STEP_COLUMNS = frozenset({"state", "attempts", "operation", "error", "started", "ended"})
_JSON_COLUMNS = frozenset({"error", "initial"})


def value_free(thing: Any) -> Any:
    """The thing itself, if it holds no `Secret` at any depth.

    Raises:
        TypeError: it holds one, or something that is no plain JSON.
    """
    if thing is None or type(thing) is str:  # nearly everything; asking an abstract class costs ten times as much
        return thing
    if isinstance(thing, Secret):
        raise TypeError("a secret value must not reach the journal")
    if isinstance(thing, (dict, Mapping)):
        for key, item in thing.items():
            value_free(key)
            value_free(item)
    elif isinstance(thing, (list, tuple)):
        for item in thing:
            value_free(item)
    elif not isinstance(thing, (str, int, float, bool)):
        raise TypeError(f"the journal takes plain JSON, not {type(thing).__name__}")
    return thing


def text(thing: Any) -> str:
    """A thing without values as JSON.

    Raises:
        TypeError: see `value_free`.
    """
    return json.dumps(value_free(thing), ensure_ascii=False)


def apply(db: sqlite3.Connection, run: str, record: Json) -> None:
    """Make a record's change; `run` is empty for what belongs to no run.

    Raises:
        LookupError: this version knows no such change, or not these columns.
        TypeError: a value is in it, or arguments are not the change's.
    """
    arguments = dict(value_free(record))
    CHANGES[arguments.pop("change")](db, run, **arguments)


def _begin(
    db: sqlite3.Connection,
    run: str,
    *,
    plan: str,
    document: str,
    cloud: str,
    state: str,
    at: float,
    apps: Sequence[str],
    steps: Sequence[Sequence[str]],
) -> None:
    (number,) = db.execute("SELECT coalesce(max(number), 0) + 1 FROM runs").fetchone()
    db.execute(
        "INSERT INTO runs (id, number, plan, document, cloud, state, started) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (run, number, plan, document, cloud, state, at),
    )
    db.executemany(
        "INSERT INTO apps (run, app, position, state) VALUES (?, ?, ?, ?)",
        [(run, app, position, AppState.PENDING) for position, app in enumerate(apps)],
    )
    db.executemany(
        "INSERT INTO steps (run, step, app, kind, target, position, state) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(run, *step, position, StepState.PENDING) for position, step in enumerate(steps)],
    )


def _run(db: sqlite3.Connection, run: str, *, state: str, ended: float | None) -> None:
    db.execute("UPDATE runs SET state = ?, ended = ? WHERE id = ?", (state, ended, run))


def _app(db: sqlite3.Connection, run: str, *, app: str, columns: Json) -> None:
    _update(db, "apps", "app", run, app, columns, _APP_COLUMNS)


def _step(db: sqlite3.Connection, run: str, *, step: str, columns: Json) -> None:
    _update(db, "steps", "step", run, step, columns, _STEP_COLUMNS)


def _note(db: sqlite3.Connection, run: str, *, step: str, facts: Json) -> None:
    row = db.execute("SELECT facts FROM steps WHERE run = ? AND step = ?", (run, step)).fetchone()
    merged = {**json.loads(row["facts"]), **facts}
    db.execute("UPDATE steps SET facts = ? WHERE run = ? AND step = ?", (text(merged), run, step))


def _event(
    db: sqlite3.Connection,
    run: str,
    *,
    at: float,
    kind: str,
    app: str,
    step: str,
    text: str,  # noqa: A002, RUF100 - the event's own word
) -> None:
    db.execute(
        "INSERT INTO events SELECT ?, coalesce(max(number), 0) + 1, ?, ?, ?, ?, ? FROM events WHERE run = ?",
        (run, at, kind, app, step, text, run),
    )


def _rehearsal(db: sqlite3.Connection, _run: str, *, plan: str, at: float, ok: bool, report: Json) -> None:
    db.execute(
        "INSERT INTO rehearsals (plan, at, ok, report) VALUES (?, ?, ?, ?) ON CONFLICT (plan) DO UPDATE "
        "SET at = excluded.at, ok = excluded.ok, report = excluded.report WHERE excluded.at >= at",
        (plan, at, int(ok), text(report)),
    )


def _discard(db: sqlite3.Connection, run: str) -> None:
    for table, key in (("events", "run"), ("steps", "run"), ("apps", "run"), ("runs", "id")):
        db.execute(f"DELETE FROM {table} WHERE {key} = ?", (run,))  # noqa: S608 - the names stand in the line above


CHANGES: Mapping[str, Callable[..., None]] = {
    "begin": _begin,
    "run": _run,
    "app": _app,
    "step": _step,
    "note": _note,
    "event": _event,
    "rehearsal": _rehearsal,
    "discard": _discard,
}
"""Name of a change -> what makes it. Names and arguments are a file format: logs hold them."""


def _update(
    db: sqlite3.Connection, table: str, key: str, run: str, name: str, columns: Json, known: frozenset[str]
) -> None:
    if not known.issuperset(columns):
        raise LookupError(f"no such column: {', '.join(sorted(set(columns) - known))}")
    plain = {column: text(value) if column in _JSON_COLUMNS else value for column, value in columns.items()}
    assignments = ", ".join(f"{column} = :{column}" for column in plain)
    # column names are among the known ones, values are bound
    db.execute(
        f"UPDATE {table} SET {assignments} WHERE run = :run_ AND {key} = :name_",  # noqa: S608
        {**plain, "run_": run, "name_": name},
    )
