"""Carries plans out: apply, resume, rollback. The journal is ahead of every change, so any end can be gone on from."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from migrator.around import Surroundings
from migrator.errors import MADE_ELSEWHERE, PlanFileError, RunError, StoppedError
from migrator.journal import Journal
from migrator.kinds import kind_of
from migrator.model import AppState, Json, Plan, ResourceId, RunState, Step, StepState, by_app
from migrator.ports import Clock, Cloud, Event
from migrator.scheduling import Job, Scheduler, Threads
from migrator.swapping import needed_back
from migrator.walking import Walk
from scanners.model import Fingerprinter


@dataclass(frozen=True, slots=True)
class AppResult:
    """How one app ended."""

    app: str
    """ARM id, lower case."""
    state: str
    """One of `AppState`."""
    proven: bool
    """False: done, and nothing runs that could prove it."""
    cause: str
    """Why it was undone: `failed`, `stale` or `rollback`; empty otherwise."""
    error: Json | None = None
    """`{"what", "why", "hint"}`."""

    @property
    def name(self) -> str:
        return ResourceId.parse(self.app).name


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run, a resumption or a rollback ended."""

    run: str
    plan: str
    state: str
    """One of `RunState`."""
    apps: tuple[AppResult, ...]
    stopped: bool = False
    """Interrupted; the run can be resumed."""
    rolling_back: bool = False
    """A rollback was asked for: then apps that are back are the success."""
    left: tuple[str, ...] = field(default=())
    """What shared steps left behind, in words."""

    @property
    def exit_code(self) -> int:
        """0 done; 11 stale; 12 failed and put back; 13 needs a person; 130 interrupted."""
        if self.stopped:
            return 130
        if self.state == RunState.FAILED or any(app.state == AppState.FAILED for app in self.apps):
            return 13
        if self.rolling_back:
            return 0
        if self.state == RunState.INTERRUPTED:
            return 130
        if any(app.state == AppState.STALE for app in self.apps):
            return 11
        if any(app.state == AppState.ROLLED_BACK and app.cause == "failed" for app in self.apps):
            return 12
        return 0


class _StoppableClock:
    """The given clock, whose sleep ends when the run is being stopped."""

    CHUNK = 0.5

    def __init__(self, clock: Clock, stopped: threading.Event) -> None:
        self._clock = clock
        self._stopped = stopped

    def now(self) -> float:
        return self._clock.now()

    def sleep(self, seconds: float) -> None:
        while seconds > 0:
            if self._stopped.is_set():
                raise StoppedError("the run is being stopped", hint="keylift resume latest")
            self._clock.sleep(min(seconds, self.CHUNK))
            seconds -= self.CHUNK


class Executor:
    """Carries out plans on one cloud, with one journal."""

    def __init__(
        self,
        cloud: Cloud,
        journal: Journal,
        clock: Clock,
        fingerprinter: Fingerprinter,
        on_event: Callable[[Event], None] = lambda _event: None,
        *,
        workers: int = 8,
        scheduler: Scheduler | None = None,
        propagation: float = 1500.0,
        proof: float = 900.0,
        by: str = "",
        token: Callable[[], str] = lambda: secrets.token_hex(3),
    ) -> None:
        """Prepare.

        Args:
            cloud: Where.
            journal: What is written ahead.
            clock: Time.
            fingerprinter: With the key the plan was made with.
            on_event: Told what happens, one call at a time, from any thread.
            workers: Apps at work at a time.
            scheduler: Instead of `workers` threads.
            propagation: Seconds a new role assignment may stay without effect.
            proof: Seconds a new revision may take until it runs.
            by: Who does it, for the report; empty where nobody asks.
            token: Makes the end of a new run's id, which keeps runs of one second apart.
        """
        self._cloud = cloud
        self._journal = journal
        self._stop = threading.Event()
        self._clock: Clock = _StoppableClock(clock, self._stop)
        self._fingerprinter = fingerprinter
        self._on_event = on_event
        # reentrant: who listens may call into the cloud, whose waits are told, too
        self._telling = threading.RLock()
        self._scheduler: Scheduler = scheduler or Threads(workers)
        self._propagation = propagation
        self._proof = proof
        self._by = by
        self._token = token

    def stop(self) -> None:
        """Have every app end after its current step; waits inside a step end at once. The run stays resumable."""
        self._stop.set()

    def apply(self, plan: Plan, *, point_of_no_return: bool = False) -> RunResult:
        """Carry out a plan as a new run.

        Args:
            plan: What to do.
            point_of_no_return: Whether somebody approved the steps that cannot be taken back, if it has such.

        Raises:
            PlanFileError: the plan is not for this cloud, this key or this version.
            RunError: another run on one of its apps is not finished, or the point of no return was not approved.
            JournalError: the journal cannot be written; what was begun is in it.
        """
        self._examine(plan)
        if plan.irreversible and not point_of_no_return:
            raise RunError(
                f"the plan has {len(plan.irreversible)} steps that cannot be taken back, and nobody approved them",
                why=f"they are {', '.join(step.id for step in plan.irreversible[:8])}",
                hint="read it (keylift show PLAN), then approve them, too: keylift apply PLAN --point-of-no-return",
            )
        apps = frozenset(step.app.lower() for step in plan.steps if step.app)
        open_run = self._journal.unfinished(apps)
        if open_run is not None:
            raise RunError(
                f"run {open_run} works on an app of this plan and is not finished",
                why="it was interrupted, or is still at work",
                hint=f"keylift resume {open_run}, or take it back: keylift rollback {open_run}",
            )
        now = self._clock.now()
        run = f"{datetime.fromtimestamp(now, UTC):%Y%m%d-%H%M%S}-{self._token()}"
        with self._journal.hold(run, self.stop):
            self._journal.begin(run, plan, self._cloud.name, now)
            self._sign(run, "applied")
            return self._go(run, plan)

    def resume(self, run: str) -> RunResult:
        """Go on with a run, in the direction it was going: what was begun is asked for at Azure first.

        Raises:
            RunError: there is no such run, or another process holds it.
            JournalError: the journal cannot be written.
        """
        run = self._journal.find(run)
        with self._journal.hold(run, self.stop):
            plan = self._plan(run)
            causes = {entry.cause for entry in self._journal.apps(run).values()}
            self._sign(run, "resumed")
            return self._go(run, plan, rolling_back="rollback" in causes)

    def rollback(self, run: str, apps: Sequence[str] = ()) -> RunResult:
        """Put apps back as they were read before the plan. Touches only what the run made; needs no vault.

        Args:
            run: The run's id, its beginning, or `latest`.
            apps: Names or ids of apps; all if empty.

        Raises:
            RunError: there is no such run or app, or another process holds the run.
            JournalError: the journal cannot be written.
        """
        run = self._journal.find(run)
        with self._journal.hold(run, self.stop):
            plan = self._plan(run)
            chosen = self._choose(run, apps)
            self._refuse_finalized(run, plan, chosen)
            for app in chosen:
                self._journal.set_app(run, app, state=AppState.UNDOING, cause="rollback", error={})
            self._sign(run, "rolled back")
            return self._go(run, plan, rolling_back=True, only=frozenset(chosen))

    # One run

    def _sign(self, run: str, what: str) -> None:
        """Write down who does it."""
        if self._by:
            self._journal.tell(run, Event("by", text=f"{what} by {self._by}", at=self._clock.now()))

    def _plan(self, run: str) -> Plan:
        plan = self._journal.plan(run)
        if self._journal.cloud(run) != self._cloud.name:
            raise RunError(
                f"run {run} works on the cloud '{self._journal.cloud(run)}', not on '{self._cloud.name}'",
                hint=f"name its cloud: --cloud {self._journal.cloud(run)}",
            )
        self._examine(plan)
        return plan

    def _examine(self, plan: Plan) -> None:
        if plan.cloud != self._cloud.name:
            raise PlanFileError(
                f"the plan is for the cloud '{plan.cloud}', not for '{self._cloud.name}'",
                hint=f"name its cloud: --cloud {plan.cloud}",
            )
        key = plan.estate.get("key")
        if key is not None and key != self._fingerprinter.key_id:
            raise PlanFileError(
                "the plan was made with another fingerprint key",
                why=f"its key is {key}, the one here is {self._fingerprinter.key_id}",
                hint=MADE_ELSEWHERE,
            )
        seen: set[str] = set()
        for step in plan.steps:
            kind_of(step)
            if step.id in seen or not seen.issuperset(step.after) or (not step.app and _app_of(plan, step.after)):
                raise PlanFileError(
                    f"the order of the plan is wrong at step {step.id}",
                    why="a step must be there once and come after those it waits for; a shared one waits for no app",
                    hint="make a new plan: keylift plan --vault NAME -o PLAN.json",
                )
            seen.add(step.id)

    def _choose(self, run: str, names: Sequence[str]) -> list[str]:
        known = list(self._journal.apps(run))
        if not names:
            return known
        chosen = []
        for name in names:
            found = [app for app in known if name.lower() in {app, ResourceId.parse(app).name}]
            if len(found) != 1:
                raise RunError(
                    f"run {run} has {'several apps' if found else 'no app'} '{name}'",
                    why="it has " + ", ".join(found or [ResourceId.parse(app).name for app in known]),
                    hint=f"name one by its id: keylift rollback {run} --app ID",
                )
            chosen += found
        return chosen

    def _refuse_finalized(self, run: str, plan: Plan, apps: Sequence[str]) -> None:
        """An app whose contract was carried out lacks what the way back needs.

        Raises:
            RunError: one of the apps was finalized and that was not, or cannot be, taken back.
        """
        needed = {
            (step.app.lower(), str(entry["was"]["secret"]))
            for step in plan.steps
            if step.kind == "app-switch"
            for entry in step.change["registries"]
        } | {(step.app.lower(), name) for step in plan.steps for name in needed_back(step.change)}
        for entry, contract in self._journal.contracts(run):
            step = next(step for step in self._journal.plan(contract).steps if step.id == entry.step)
            if entry.app not in apps:
                continue
            name = ResourceId.parse(entry.app).name
            if step.kind == "secret-remove":
                gone = [s["name"] for s in step.change["secrets"] if (entry.app, s["name"]) in needed]
                if not gone:
                    continue
                raise RunError(
                    f"{name} cannot be taken back: it is past the point of no return",
                    why=f"run {contract} removed {', '.join(gone)}, which the way back needs",
                    hint=f"take back the others, by name: keylift rollback {run} --app NAME",
                )
            raise RunError(
                f"{name} was finalized after run {run}",
                why=f"run {contract} did {entry.step}, which the way back may need undone",
                hint=f"take that back first: keylift rollback {contract} --app {name}",
            )

    def _go(self, run: str, plan: Plan, *, rolling_back: bool = False, only: frozenset[str] | None = None) -> RunResult:
        self._stop.clear()
        journal = self._journal
        journal.set_run(run, RunState.ROLLING_BACK if rolling_back else RunState.RUNNING)
        around = Surroundings(
            run=run,
            plan=plan.id,
            steps={step.id: step for step in plan.steps},
            cloud=self._cloud,
            journal=journal,
            clock=self._clock,
            fingerprinter=self._fingerprinter,
            scheduler=self._scheduler,
            tell=self._tell_one,
            propagation=self._propagation,
            proof=self._proof,
        )
        groups = by_app(plan.steps)
        shared = groups.pop("", [])
        walks = {
            app: Walk(around, app, steps, stopped=self._stop.is_set)
            for app, steps in groups.items()
            if only is None or app in only
        }
        jobs = [] if rolling_back else [self._shared_job(around, step) for step in shared]
        names = {job.name for job in jobs}
        jobs += [
            Job(app, walk.forward, frozenset(name for step in walk.steps for name in step.after) & names)
            for app, walk in walks.items()
        ]
        try:
            self._scheduler.run(jobs, self.stop)
            left, hard = ([], None) if self._stop.is_set() else self._undo_shared(around, shared, groups)
        except KeyboardInterrupt:
            self._stop.set()
            left, hard = [], None
        except StoppedError:
            left, hard = [], None
        stopped = self._stop.is_set()
        state = RunState.INTERRUPTED if stopped else self._state(run, hard)
        journal.set_run(run, state, ended=None if stopped else self._clock.now())
        around.event("run-done", text=state)
        return self.result(run, stopped=stopped, rolling_back=rolling_back, only=only, left=tuple(left))

    def _shared_job(self, around: Surroundings, step: Step) -> Job:
        walk = Walk(around, "", [step], stopped=self._stop.is_set)
        return Job(step.id, walk.shared, frozenset(step.after))

    def _undo_shared(
        self, around: Surroundings, shared: Sequence[Step], groups: dict[str, list[Step]]
    ) -> tuple[list[str], Json | None]:
        """Undo shared steps that no app stands on any more."""
        apps = self._journal.apps(around.run)
        gone = {AppState.ROLLED_BACK, AppState.STALE}
        needed: set[str] = set()
        for app, steps in groups.items():
            if apps[app].state not in gone:
                todo = [name for step in steps for name in step.after]
                while todo:
                    name = todo.pop()
                    if name not in needed:
                        needed.add(name)
                        todo += around.steps[name].after
        idle = [step for step in shared if step.id not in needed]
        return Walk(around, "", idle, stopped=self._stop.is_set).undo(idle)

    def _state(self, run: str, hard: Json | None) -> str:
        states = {entry.state for entry in self._journal.apps(run).values()}
        steps = self._journal.steps(run).values()
        if hard is not None or AppState.FAILED in states:
            return RunState.FAILED
        if states & {AppState.PENDING, AppState.RUNNING, AppState.UNDOING}:
            return RunState.INTERRUPTED
        if states <= {AppState.DONE}:
            alone = not states and any(step.state == StepState.FAILED for step in steps)
            return RunState.FAILED if alone else RunState.DONE
        return RunState.PARTLY if AppState.DONE in states else RunState.ROLLED_BACK

    def result(
        self,
        run: str,
        *,
        stopped: bool = False,
        rolling_back: bool = False,
        only: frozenset[str] | None = None,
        left: tuple[str, ...] = (),
    ) -> RunResult:
        """What the journal says of a run."""
        return RunResult(
            run,
            self._journal.plan(run).id,
            self._journal.state(run),
            tuple(
                AppResult(entry.app, entry.state, entry.proven, entry.cause, entry.error or None)
                for entry in self._journal.apps(run).values()
                if only is None or entry.app in only
            ),
            stopped,
            rolling_back,
            left,
        )

    def _tell_one(self, event: Event) -> None:
        with self._telling:
            self._on_event(event)


def _app_of(plan: Plan, names: Sequence[str]) -> bool:
    return any(step.app for step in plan.steps if step.id in names)
