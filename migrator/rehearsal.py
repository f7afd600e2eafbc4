"""Rehearses a plan on the user's own estate, rebuilt without a value: carried out, proven, disturbed, taken back.

What it cannot show is said in its report: the real network, policies, and how long Azure takes on the day.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

from migrator import proof
from migrator.appwrite import listed
from migrator.executor import RunResult
from migrator.model import AppState, Json, Plan, ResourceId, Step, StepState, by_app, differences
from migrator.ports import Event
from migrator.proof import Status
from migrator.rehearsal_faults import (
    DEATH,
    EDIT,
    EVERY,
    LATE_ROLE,
    PASSING,
    REFUSED,
    Armed,
    AtEvery,
    DiedError,
    Dying,
    Passing,
    fault_of,
    writes,
)
from migrator.rehearsal_stage import Source, Stage

SCHEMA = 1
DEATHS = 400
"""How often a process may die in one rehearsal; more would mean that it does not get on."""

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Trial:
    """One fault on one kind of step."""

    fault: str
    kind: str
    step: str
    ended: str
    """`carried through`, `put back`, `stopped as stale`, `did not come up`, or `LOST`."""
    text: str = ""

    @property
    def survived(self) -> bool:
        """Whether the end was the planned world or the one before."""
        return self.ended != "LOST"


@dataclass(slots=True)
class Rehearsal:
    """What was proven. Holds no value, and no token either."""

    plan: str
    apps: int = 0
    steps: int = 0
    proven: int = 0
    """Apps of which a running replica proved the change."""
    inverses: int = 0
    """Steps that were taken back."""
    irreversible: list[str] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    everywhere: tuple[int, int] = (0, 0)
    """How many passing faults came up, at how many steps, in the run that gives them to every step of the plan."""
    deaths: int = 0
    slowest: tuple[str, float] = ("", 0.0)
    """The step that took longest, in virtual seconds."""
    worst: tuple[str, float] = ("", 0.0)
    """The fault under which a run took longest, in virtual seconds."""
    took: float = 0.0
    """Virtual seconds of the undisturbed run."""
    wall: float = 0.0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the plan did what it says, every way back led back, and no fault left a mess."""
        return not self.problems and all(trial.survived for trial in self.trials)

    def as_dict(self) -> Json:
        """The JSON form."""
        return {
            "schema": SCHEMA,
            "plan": self.plan,
            "ok": self.ok,
            "apps": self.apps,
            "steps": self.steps,
            "proven": self.proven,
            "inverses": self.inverses,
            "irreversible": self.irreversible,
            "faults": [
                {"fault": t.fault, "kind": t.kind, "step": t.step, "ended": t.ended, "text": t.text}
                for t in self.trials
            ],
            "at_every_step": {"faults": self.everywhere[0], "steps": self.everywhere[1]},
            "deaths": self.deaths,
            "slowest": {"step": self.slowest[0], "seconds": round(self.slowest[1], 1)},
            "worst": {"fault": self.worst[0], "seconds": round(self.worst[1], 1)},
            "seconds": round(self.took, 1),
            "wall_seconds": round(self.wall, 1),
            "problems": self.problems,
            "notes": self.notes,
        }


def rehearse(
    source: Source,
    *,
    tell: Tell = lambda _text: None,
    workers: int = 8,
    propagation: float = 1500.0,
    proof_seconds: float = 900.0,
) -> Rehearsal:
    """Carry a plan out where nothing can break.

    Args:
        source: The estate without values, and the plan.
        tell: Told how far it is.
        workers: Apps at work at a time in the undisturbed run.
        propagation: Seconds a new role may take, as the real run would allow.
        proof_seconds: Seconds a new revision may take, likewise.
    """
    began = time.monotonic()
    with ExitStack() as stack:
        work = _Work(source, stack, tell, workers, propagation, proof_seconds)
        work.plain()
        if not work.report.problems:
            for round_ in work.rounds():
                round_()
    work.report.wall = time.monotonic() - began
    return work.report


class _Work:
    def __init__(
        self, source: Source, stack: ExitStack, tell: Tell, workers: int, propagation: float, proof_seconds: float
    ) -> None:
        self.source = source
        self.report = Rehearsal(source.plan.id, steps=len(source.plan.steps))
        self._stack = stack
        self._tell = tell
        self._options = {"workers": workers, "propagation": propagation, "proof": proof_seconds}
        self._stage: Stage | None = None
        self._before: Json = {}
        self._gone: dict[str, set[str]] = {}
        self._targets: dict[str, Step] = {}
        self._sub = source.plan

    # The stage

    def stage(self) -> Stage:
        """A stage that stands as the estate does: the one that is there, or a new one after a run that left marks."""
        if self._stage is None or self._stage.world() != self._before:
            if self._stage is not None:
                self._stage.__exit__()
            self._stage = Stage(self.source, **self._options)  # type: ignore[arg-type] # three numbers
            self._stack.push(self._stage.__enter__())
            self._before = self._stage.world()
            self._sub = self._part(self._stage.plan)
        return self._stage

    def _part(self, plan: Plan) -> Plan:
        """The steps of the fewest apps that together have every kind of step, with the shared ones they wait for."""
        groups = by_app(plan.steps)
        shared = {step.id: step for step in groups.pop("", [])}
        needs: dict[str, set[str]] = {}
        for app, steps in groups.items():
            todo = [name for step in steps for name in step.after if name in shared]
            needs[app] = set()
            while todo:
                name = todo.pop()
                if name not in needs[app]:
                    needs[app].add(name)
                    todo += shared[name].after
        kinds = {
            app: {step.kind for step in steps} | {shared[name].kind for name in needs[app]}
            for app, steps in groups.items()
        }
        missing, chosen = set().union(*kinds.values()) if kinds else set(), list[str]()
        while missing:
            best = max(sorted(kinds), key=lambda app: len(kinds[app] & missing))
            chosen.append(best)
            missing -= kinds[best]
        wanted = set().union(*(needs[app] for app in chosen)) if chosen else set(shared)
        keep = tuple(s for s in plan.steps if (s.app.lower() in chosen if s.app else s.id in wanted))
        self._targets = {}
        for step in keep:
            self._targets.setdefault(step.kind, step)
        return Plan(**{**{name: getattr(plan, name) for name in Plan.__dataclass_fields__}, "steps": keep})

    # The undisturbed run

    def plain(self) -> None:
        """Carry the whole plan out, prove it, take it back, compare."""
        report, stage = self.report, self.stage()
        report.irreversible = [step.id for step in stage.plan.irreversible]
        for step in stage.plan.irreversible:
            names = {str(secret["name"]) for secret in step.change.get("secrets", ())}
            self._gone.setdefault(step.app.lower(), set()).update(names)
        before = stage.world(self._gone)
        self._tell(f"carrying out {len(stage.plan.steps)} steps")
        starts: dict[str, float] = {}

        def listen(event: Event) -> None:
            if event.kind == "step-started":
                starts[event.step] = event.at
            elif event.kind in {"step-done", "step-adopted"} and event.step in starts:
                took = event.at - starts[event.step]
                if took > report.slowest[1]:
                    report.slowest = (event.step, took)

        began = stage.clock.now()
        result = stage.executor(listen).apply(stage.plan, point_of_no_return=True)
        report.took = stage.clock.now() - began
        report.apps = len(result.apps)
        report.problems += _failures(result)
        proven = proof.verify(result.run, stage.cloud, stage.journal, self.source.fingerprinter)
        for app in proven.apps:
            report.proven += app.status is Status.OK
            failed = [check for check in app.checks if check.status is Status.FAILED]
            report.problems += [f"{app.name}: {c.name} {c.subject}: {c.text}" for c in failed]
            report.notes += [
                f"{app.name}: {c.name} {c.subject}: {c.text}" for c in app.checks if c.status is Status.UNPROVEN
            ]
        self._tell("taking it back")
        back = stage.executor(lambda _event: None).rollback(result.run)
        report.problems += [f"rollback: {text}" for text in _failures(back, back=True)]
        entries = stage.journal.steps(result.run).values()
        report.inverses = sum(1 for entry in entries if entry.state == StepState.UNDONE)
        changed = differences(before, stage.world(self._gone))
        if changed:
            report.problems.append(f"after the rollback the estate differs in {listed(changed)}")

    # Faults

    def rounds(self) -> Iterator[Callable[[], None]]:
        """Every disturbed run, bounded by kinds of steps, not by apps."""
        yield self._everywhere
        for passing in PASSING:
            yield lambda passing=passing: self._passing(passing)  # type: ignore[misc] # bound now, called at once
        yield self._late_role
        yield self._dying
        for kind in list(self._targets):
            if writes(kind):
                yield lambda kind=kind: self._refused(kind)  # type: ignore[misc]
            if writes(kind) and self._targets[kind].app:
                yield lambda kind=kind: self._edited(kind)  # type: ignore[misc]

    def _everywhere(self) -> None:
        """The whole plan, each of its steps under every passing fault, one after the other."""
        stage = self.stage()
        self._tell(f"fault: {EVERY}")
        armed = AtEvery(stage.simulator, stage.plan.steps)
        began = stage.clock.now()
        result = stage.executor(armed, workers=1).apply(stage.plan, point_of_no_return=True)
        armed.disarm()
        self.report.everywhere = (armed.met, armed.steps)
        text = listed(_failures(result)) or self._proof(stage, result.run)
        self._timed(EVERY, stage.clock.now() - began)
        text = text or self._taken_back(stage, result.run)
        if text:
            self.report.problems.append(f"{EVERY}: {text}")

    def _passing(self, passing: Passing) -> None:
        stage = self.stage()
        self._tell(f"fault: {passing.name}")
        armed = Armed(stage.simulator, passing.make, self._targets.values())
        began = stage.clock.now()
        result = stage.executor(armed, workers=1).apply(self._sub, point_of_no_return=True)
        armed.disarm()
        text = listed(_failures(result)) or self._proof(stage, result.run)
        self._timed(passing.name, stage.clock.now() - began)
        text = text or self._taken_back(stage, result.run)
        for kind, step in self._targets.items():
            if kind in armed.offered:
                met = kind in armed.met()
                ended = "LOST" if text and met else "carried through" if met else "did not come up"
                self._add(passing.name, step, ended, text)
        if text and not armed.met():
            self.report.problems.append(f"{passing.name}: {text}")

    def _late_role(self) -> None:
        step = next((s for k, s in self._targets.items() if k == "app-switch"), None)
        if step is None or not any(s.kind == "role-assignment" for s in self._sub.steps):
            return
        stage = self.stage()
        self._tell(f"fault: {LATE_ROLE}")
        usual = stage.simulator.azure.switches.role_propagation
        stage.simulator.azure.switches.role_propagation = (1200.0, 1200.0)
        began = stage.clock.now()
        try:
            result = stage.executor(lambda _event: None, workers=1).apply(self._sub, point_of_no_return=True)
        finally:
            stage.simulator.azure.switches.role_propagation = usual
        self._timed(LATE_ROLE, stage.clock.now() - began)
        failed = _failures(result)
        text = self._taken_back(stage, result.run)
        ended = "LOST" if text else "put back" if failed else "carried through"
        self._add(LATE_ROLE, step, ended, text or listed(failed))

    def _dying(self) -> None:
        """The process dies after every change it makes, forth and back, and another one goes on."""
        stage = self.stage()
        self._tell(f"fault: {DEATH}")
        dying = Dying(stage.cloud)
        silent: Callable[[Event], None] = lambda _event: None  # noqa: E731 - a name for nothing
        run, result = "", None
        began = stage.clock.now()
        deaths = 0
        while result is None and deaths < DEATHS:
            executor = stage.executor(silent, cloud=dying, workers=1)
            try:
                result = executor.resume(run) if run else executor.apply(self._sub, point_of_no_return=True)
            except DiedError:
                deaths += 1
                run = stage.journal.find("latest")
        text = "it does not get on" if result is None else listed(_failures(result)) or self._proof(stage, result.run)
        self._timed(DEATH, stage.clock.now() - began)
        back = None
        while result is not None and back is None and deaths < DEATHS:
            try:
                back = stage.executor(silent, cloud=dying, workers=1).rollback(result.run)
            except DiedError:
                deaths += 1
        if not text and back is not None:
            text = listed(_failures(back, back=True)) or self._unlike(stage)
        self.report.deaths = deaths
        for kind, step in self._targets.items():
            if writes(kind):
                self._add(DEATH, step, "LOST" if text else "carried through", text)

    def _refused(self, kind: str) -> None:
        """Azure refuses a kind of step for good: the app is put back."""
        stage, step = self.stage(), self._targets[kind]
        self._tell(f"fault: {REFUSED}, {kind}")
        armed = Armed(
            stage.simulator, lambda k: fault_of(k, status=403, code="AuthorizationFailed", times=10**9), [step]
        )
        result = stage.executor(armed, workers=1).apply(self._sub, point_of_no_return=True)
        armed.disarm()
        if not armed.met():
            self._add(REFUSED, step, "did not come up")
            self._taken_back(stage, result.run)
            return
        done = [app for app in result.apps if app.state == AppState.DONE]
        text = listed([app.name for app in result.apps if app.state == AppState.FAILED])
        text = f"needs a person: {text}" if text else ""
        text = text or (self._taken_back(stage, result.run) if done else self._unlike(stage))
        self._add(REFUSED, step, "LOST" if text else "put back", text)

    def _edited(self, kind: str) -> None:
        """Somebody changes the app at the moment a step of it begins: that change stays, and everything else goes back."""
        stage, step = self.stage(), self._targets[kind]
        self._tell(f"fault: {EDIT}, {kind}")
        tags: Json = dict(stage.cloud.get_app(step.app).get("tags") or {})
        made: list[str] = []

        def listen(event: Event) -> None:
            if event.kind == "step-started" and event.step == step.id and not made:
                made.append(event.step)
                stage.cloud.patch_app(step.app, {"tags": {**tags, "edited-by": "somebody"}}, lambda _url: None)

        result = stage.executor(listen, workers=1).apply(self._sub, point_of_no_return=True)
        app = next(a for a in result.apps if a.app == step.app.lower())
        kept = (stage.cloud.get_app(step.app).get("tags") or {}).get("edited-by") == "somebody"
        stage.cloud.patch_app(step.app, {"tags": {**tags, "edited-by": None}}, lambda _url: None)
        stage.executor(lambda _event: None).rollback(result.run)
        text = "" if kept else "the change of somebody else is gone"
        text = text or ("needs a person" if app.state == AppState.FAILED else self._unlike(stage))
        ended = "stopped as stale" if app.state == AppState.STALE else "carried through"
        self._add(EDIT, step, "LOST" if text else ended, text)

    # Judging

    def _proof(self, stage: Stage, run: str) -> str:
        proven = proof.verify(run, stage.cloud, stage.journal, self.source.fingerprinter)
        failed = [f"{a.name}: {c.name}: {c.text}" for a in proven.apps for c in a.checks if c.status is Status.FAILED]
        return listed(failed)

    def _taken_back(self, stage: Stage, run: str) -> str:
        back = stage.executor(lambda _event: None).rollback(run)
        return listed(_failures(back, back=True)) or self._unlike(stage)

    def _unlike(self, stage: Stage) -> str:
        changed = differences(_without(self._before, self._gone), stage.world(self._gone))
        return f"the estate differs from before in {listed(changed)}" if changed else ""

    def _add(self, fault: str, step: Step, ended: str, text: str = "") -> None:
        self.report.trials.append(Trial(fault, step.kind, step.id, ended, text))

    def _timed(self, fault: str, seconds: float) -> None:
        if seconds > self.report.worst[1]:
            self.report.worst = (fault, seconds)


def _without(world: Json, gone: dict[str, set[str]]) -> Json:
    """The world before, without the secrets that cannot come back."""
    apps: Json = {}
    for key, part in world["apps"].items():
        names = gone.get(key.removesuffix("#secrets"), set())
        if names and key.endswith("#secrets"):
            part = {name: held for name, held in part.items() if name not in names}  # noqa: PLW2901 - a smaller one
        elif names:
            configuration = dict(part["properties"]["configuration"])
            configuration["secrets"] = [e for e in configuration["secrets"] or [] if e["name"] not in names] or None
            part = {**part, "properties": {**part["properties"], "configuration": configuration}}  # noqa: PLW2901
        apps[key] = part
    return {**world, "apps": apps}


def _failures(result: RunResult, *, back: bool = False) -> list[str]:
    good = {AppState.ROLLED_BACK, AppState.STALE} if back else {AppState.DONE}
    return [
        f"{ResourceId.parse(app.app).name} ended '{app.state}': {(app.error or {}).get('what', '')}: "
        f"{(app.error or {}).get('why', '')}"
        for app in result.apps
        if app.state not in good
    ]


def limits(plan: Plan) -> list[str]:
    """What a rehearsal of a plan cannot show."""
    lacking = [p for p in plan.operator.get("permissions", ()) if p.get("held") is False]
    found = [
        "not shown: the real network and firewalls, policies, your own rights, and how long Azure takes on the day",
    ]
    if lacking:
        found.append(f"you lack {len(lacking)} rights that the plan needs: keylift show PLAN names them")
    return found
