"""From results to text: findings and plans by the format's module in `migrator.output`, runs and proofs here."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from migrator.ledger import words
from scanners.model import Report

if TYPE_CHECKING:
    from migrator.access_report import AccessReport, Comparison
    from migrator.console import Console
    from migrator.drift import Drift
    from migrator.executor import RunResult
    from migrator.model import Json, Plan
    from migrator.output.formats import Look
    from migrator.proof import Proof
    from migrator.rehearsal import Rehearsal
    from migrator.report import RunReport

SCHEMA = 1


def findings(form: str, report: Report, console: Console) -> str:
    """A scan's report in one of the formats."""
    from migrator.output import formats

    return formats.render_findings(form, report, _look(console))


def plan(form: str, made: Plan, console: Console) -> str:
    """A plan in one of the formats."""
    from migrator.output import formats

    return formats.render_plan(form, made, _look(console))


def _look(console: Console) -> Look:
    from migrator.output.formats import Look

    tty = console.output is None and sys.stdout.isatty()
    return Look(color=console.colored(stream_is_tty=tty), width=console.width())


def _json(document: Json) -> str:
    return json.dumps({"schema": SCHEMA, **document}, indent=2, ensure_ascii=False) + "\n"


def table(rows: Iterable[Sequence[str]], head: Sequence[str]) -> str:
    """Columns as wide as they need to be."""
    lines = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def summary(made: Plan) -> str:
    """What a plan changes, in a line, for the question before it is applied."""
    from migrator.output import _changes

    return _changes.summary(made)


def no_return(made: Plan) -> str:
    """What a plan does that cannot be taken back, for the question before it is applied."""
    from migrator.output import _changes

    return "\n".join(_changes.no_return(made))


# Runs


def runs(form: str, listed: list[Json]) -> str:
    """All runs."""
    if form == "json":
        return _json({"runs": listed})
    if not listed:
        return "no runs yet; make one: keylift apply PLAN.json\n"
    rows = [
        (
            entry["id"],
            entry["state"],
            entry["cloud"],
            entry["started"] or "",
            entry["ended"] or "",
            _apps(entry["apps"]),
        )
        for entry in listed
    ]
    return table(rows, ("RUN", "STATE", "CLOUD", "STARTED", "ENDED", "APPS")) + "\n"


def _apps(apps: Json) -> str:
    counts: dict[str, int] = {}
    for app in apps.values():
        counts[app["state"]] = counts.get(app["state"], 0) + 1
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))


def status(form: str, described: Json) -> str:
    """One run, step by step."""
    if form == "json":
        return _json(described)
    lines = [
        f"run {described['id']}: {described['state']}",
        f"plan {described['plan']} on {described['cloud']}, started {described['started']}, ended {described['ended']}",
        *([f"held by {words(described['holder'])}"] if described["holder"] is not None else []),
        "",
        table([(step["id"], step["state"]) for step in described["steps"]], ("STEP", "STATE")),
    ]
    from migrator.model import called

    names = called(described["apps"])
    for app, entry in described["apps"].items():
        if entry["error"]:
            lines += ["", f"{names[app]}: {entry['error'].get('what', '')}"]
            lines += [f"  why: {entry['error']['why']}"] if entry["error"].get("why") else []
            lines += [f"  next: {entry['error']['hint']}"] if entry["error"].get("hint") else []
    return "\n".join([*lines, "", _next(str(described["id"]), str(described["state"]))]) + "\n"


def report(form: str, told: RunReport) -> str:
    """A run's report as Markdown or HTML."""
    from migrator.output import _report

    return _report.html(told) if form == "html" else _report.markdown(told)


def _next(run: str, state: str) -> str:
    words = {
        "done": f"prove it: keylift verify {run}    take it back: keylift rollback {run}",
        "partly-done": f"see why: keylift status {run}    take the rest back: keylift rollback {run}",
        "interrupted": f"go on: keylift resume {run}    or take it back: keylift rollback {run}",
        "running": f"it is at work; look again: keylift status {run}",
        "rolling-back": f"it is at work; look again: keylift status {run}",
        "failed": f"mend what the error names, then: keylift rollback {run}",
        "rolled-back": "nothing of it is left in the apps; plan again: keylift plan --vault NAME -o plan.json",
    }
    return "next: " + words.get(state, f"keylift status {run}")


def result(form: str, ended: RunResult) -> str:
    """How a run, a resumption or a rollback ended."""
    if form == "json":
        return _json(
            {
                "run": ended.run,
                "plan": ended.plan,
                "state": ended.state,
                "exit_code": int(ended.exit_code),
                "apps": [
                    {"app": app.app, "state": app.state, "proven": app.proven, "cause": app.cause, "error": app.error}
                    for app in ended.apps
                ],
                "left": list(ended.left),
            }
        )
    from migrator.model import called

    rows, names = [], called(app.app for app in ended.apps)
    for app in ended.apps:
        state = app.state if app.proven or app.state != "done" else "done, unproven"
        rows.append((names[app.app], state, (app.error or {}).get("what", "")))
    lines = [f"run {ended.run}: {'interrupted' if ended.stopped else ended.state}", ""]
    lines.append(table(rows, ("APP", "STATE", "")))
    for app in ended.apps:
        if app.error:
            lines += ["", f"{names[app.app]}: {app.error.get('what', '')}"]
            lines += [f"  why: {app.error['why']}"] if app.error.get("why") else []
            lines += [f"  next: {app.error['hint']}"] if app.error.get("hint") else []
    lines += ["", *(f"left: {text}" for text in ended.left)] if ended.left else []
    state = "interrupted" if ended.stopped else str(ended.state)
    return "\n".join([*lines, "", _next(ended.run, state)]) + "\n"


def _name(app: str) -> str:
    try:
        from migrator.model import ResourceId

        return ResourceId.parse(app).name
    except ValueError:
        return app


# Rehearsals


def rehearsal(form: str, held: Rehearsal) -> str:
    """What a rehearsal proved."""
    from migrator.output._words import count, joined

    if form == "json":
        return _json({key: part for key, part in held.as_dict().items() if key != "schema"})
    by: dict[str, list[str]] = {}
    for trial in held.trials:
        by.setdefault(trial.fault, []).append(trial.ended)
    rows = []
    for fault, ends in by.items():
        counts = {ended: ends.count(ended) for ended in dict.fromkeys(ends)}
        rows.append((fault, ", ".join(f"{number} {ended}" for ended, number in counts.items())))
    survived = sum(1 for trial in held.trials if trial.survived and trial.ended != "did not come up")
    lines = [
        f"rehearsal of plan {held.plan}: {'good' if held.ok else 'NOT GOOD'}",
        "",
        f"carried out  {count(held.steps, 'step')} on {count(held.apps, 'app')}, {held.proven} proven by a running replica",
        f"taken back   {count(held.inverses, 'inverse')} executed, the estate compared with before",
    ]
    if held.irreversible:
        lines.append(f"no way back  {joined(held.irreversible)}")
    lines += [
        f"disturbed    {count(survived, 'fault')} survived, {count(held.deaths, 'death')} of the process among them",
        f"             {count(held.everywhere[0], 'passing fault')} at {count(held.everywhere[1], 'step')}",
        f"times        {held.took:.0f} s undisturbed; slowest step {held.slowest[0]} with {held.slowest[1]:.0f} s",
        f"             worst run {held.worst[1]:.0f} s ({held.worst[0]}); all simulated, in {held.wall:.0f} s",
        "",
    ]
    lines.append(table(rows, ("FAULT", "ENDED, BY KIND OF STEP")))
    lines += ["", *(f"problem: {text}" for text in held.problems)] if held.problems else []
    lost = [trial for trial in held.trials if not trial.survived]
    lines += [f"LOST: {trial.fault}, at {trial.step}: {trial.text}" for trial in lost]
    lines += ["", *(f"note: {text}" for text in held.notes)] if held.notes else []
    return "\n".join(lines) + "\n"


# Proof and access


def proof(form: str, proven: Proof) -> str:
    """What a verification found."""
    if form == "json":
        return _json(proven.as_dict())
    from migrator.model import called
    from migrator.output._words import count

    rows, names = [], called(app.app for app in proven.apps)
    for app in proven.apps:
        rows.append((names[app.app], str(app.status), ""))
        rows += [
            ("", f"  {check.status}", f"{check.name} {check.subject}: {check.text}".rstrip(": "))
            for check in app.checks
            if check.status != "ok" or len(proven.apps) == 1
        ]
    checked = sum(len(app.checks) for app in proven.apps)
    verdict = "everything is as the run left it" if proven.ok else "something is not as the run left it"
    lines = [table(rows, ("APP", "STATUS", "CHECK")), ""]
    if proven.reaches:
        pairs = [
            (r.identity, ", ".join(r.before) or "nothing", ", ".join(r.after) or "nothing") for r in proven.reaches
        ]
        lines += [table(pairs, ("IDENTITY", "READ BEFORE", "READS NOW")), ""]
    if proven.lying:
        places = [(entry.secret, place) for entry in proven.lying for place in entry.places]
        lines += [table(places, ("VAULT SECRET", "STILL LIES IN PLAIN TEXT IN")), ""]
    lines += [*(f"note: {note}" for note in proven.notes), ""] if proven.notes else []
    counted = f"{count(checked, 'check')} of {count(len(proven.apps), 'app')}"
    return "\n".join([*lines, f"{counted}: {verdict}"]) + "\n"


def drift(form: str, found: Drift, tool: Json) -> str:
    """What is not as runs left it."""
    from migrator.output import _drift

    return {"json": _drift.as_json, "sarif": _drift.sarif}.get(form, _drift.human)(found, tool)


def access(form: str, report: AccessReport, compared: Comparison | None = None) -> str:
    """Who can read what, and what a plan or a run changes of it."""
    from migrator.output import _access, _access_page

    shown = {"json": _access.as_json, "html": _access_page.html}.get(form, _access.human)
    return shown(report, compared)
