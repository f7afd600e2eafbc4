"""One world from a seed: an estate, a plan carried out on it by processes that die, faults, and somebody else's edits.

A world ends well if `resume` or `rollback` leaves exactly the planned or exactly the original cloud, apart from what
somebody else did, and if no planted value was written anywhere.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from migrator.errors import KeyliftError
from migrator.executor import Executor, RunResult
from migrator.journal import Journal
from migrator.model import AppState, Json, ResourceId, RunState, StepState
from migrator.ports import Event
from migrator.simulator.faults import Fault
from migrator.simulator.providers import entra
from migrator.simulator.switches import Switches
from migrator.simulator.wire import Request

from ..world import KEY
from .disk import Disk, WatchedJournal
from .edits import EDITS, Others
from .facts import Facts, Key, facts
from .shapes import ESTATES, QUICK, VALUES, Shape, shape
from .turns import DiedError, Turns

ENDLESS = 20_000
"""Instants after which a process counts as one that does not end."""
TORN = 2
"""Instants for which the last write of the journal may still be torn."""
AFTER = 3600.0
"""Virtual seconds that everything under way has to end, before the last process and before the cloud is looked at."""
LATE = {"identity", "role", "vault", "ours"}
"""Facts that somebody else may take away and the run may rightly make again."""


PLACED = {"make-identity", "give-role"}
"""Edits that only mean something at one instant, and are not drawn: a role given to an identity that goes stays theirs."""


class LostError(AssertionError):
    """A world did not end well."""


@dataclass(slots=True)
class Kill:
    """How a process ends before its time."""

    process: int
    instant: int
    how: str = "kill"
    """`kill` (SIGKILL), `power` (what is not flushed may be lost, the last write torn), `stop` (Ctrl-C)."""


@dataclass(slots=True)
class Edit:
    """Something that somebody else does."""

    process: int
    instant: int
    what: str


@dataclass(slots=True)
class Trouble:
    """A fault of the cloud while one process is at work."""

    process: int
    rule: Json


@dataclass(slots=True)
class Scenario:
    """Everything that decides a world."""

    seed: int
    shape: str
    workers: int = 1
    switches: Json = field(default_factory=dict)
    ways: list[str] = field(default_factory=list)
    """What the processes after the first do: `resume` or `rollback`. The last one is left in peace."""
    kills: list[Kill] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Scenario:
        given = json.loads(text)
        given["kills"] = [Kill(**one) for one in given["kills"]]
        given["edits"] = [Edit(**one) for one in given["edits"]]
        given["troubles"] = [Trouble(**one) for one in given["troubles"]]
        return cls(**given)


@dataclass(slots=True)
class Tally:
    """What was tried."""

    worlds: int = 0
    processes: int = 0
    instants: int = 0
    kills: int = 0
    faults: int = 0
    edits: int = 0
    switches: int = 0
    """Times that another job went on."""
    ends: dict[str, int] = field(default_factory=dict)
    under_way: dict[str, int] = field(default_factory=dict)
    """What was under way when a process died: `apply identity-create` -> how often."""

    def add(self, other: Tally) -> None:
        for name in ("worlds", "processes", "instants", "kills", "faults", "edits", "switches"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for mine, theirs in ((self.ends, other.ends), (self.under_way, other.under_way)):
            for name, number in theirs.items():
                mine[name] = mine.get(name, 0) + number


# From a seed

_METHODS = ["PATCH", "PUT", "DELETE", "GET", "POST", ""]


def _trouble(dice: random.Random) -> Json:
    rule: Json = {"method": dice.choice(_METHODS), "skip": dice.choice([0, 0, 1, 2, 4, 8, 15, 30])}
    kind = dice.choice(["after", "before", "429", "5xx", "busy", "truncate", "412", "403", "vault"])
    times = dice.choice([1, 1, 2, 3])
    if kind in {"after", "before"}:
        rule |= {"drop": kind, "times": times}
    elif kind == "429":
        rule |= {"status": 429, "code": "TooManyRequests", "headers": {"Retry-After": str(dice.choice([1, 5, 17]))}}
        rule["times"] = times
    elif kind == "5xx":
        rule |= {"status": dice.choice([500, 502, 503, 504]), "times": times}
    elif kind == "busy":
        rule |= {"method": "PATCH", "path": "containerApps/", "status": 409, "code": "ContainerAppOperationInProgress"}
        rule |= {"message": "an active provisioning operation", "times": dice.choice([1, 3, 7])}
    elif kind == "truncate":
        rule |= {"method": "GET", "truncate": True, "times": times}
    elif kind == "412":
        rule |= {"method": "POST", "path": "listSecrets", "status": 412, "times": times}
    elif kind == "403":
        rule |= {"method": dice.choice(["PATCH", "PUT"]), "status": 403, "code": "AuthorizationFailed", "times": 1}
    else:
        rule |= {"plane": "vault", "method": "", "drop": dice.choice(["after", "before"]), "times": times}
    return rule


def _switches(dice: random.Random) -> Json:
    return {
        "identity_map": dice.choice(["merge", "replace"]),
        "secret_ref_display": dice.choice(["plain", "plain", "prefixed"]),
        "resolve_on_write": dice.random() < 0.85,
        "patch_location_only_2023": dice.random() < 0.2,
        "app_operation": dice.choice([0.5, 1.0, 1.0, 8.0]),
        "role_propagation": dice.choice([[0.0, 1.0], [1.0, 3.0], [10.0, 84.0]]),
        "principal_replication": dice.choice([[0.0, 0.5], [2.0, 15.0]]),
    }


def drawn(seed: int) -> Scenario:
    """The world of a seed, or rather what decides it."""
    dice = random.Random(seed)
    name = dice.choice(sorted(ESTATES))
    made = shape(name)
    scenario = Scenario(seed, name, dice.choice([1, 2, 2, 3]), _switches(dice))
    processes = dice.choice([1, 2, 2, 3, 3, 4])
    toward = dice.choice([["resume"], ["rollback"], ["resume", "rollback"]])
    scenario.ways = [dice.choice(toward) for _ in range(processes)]
    for number in range(processes):
        verb = "apply" if number == 0 else scenario.ways[number - 1]
        most = made.instants["rollback" if verb == "rollback" else "apply"]
        if dice.random() < 0.9:
            how = dice.choice(["kill", "kill", "power", "stop"])
            scenario.kills.append(Kill(number, dice.randint(1, most), how))
        if dice.random() < 0.4:
            scenario.troubles += [Trouble(number, _trouble(dice)) for _ in range(dice.choice([1, 1, 2]))]
    if dice.random() < 0.6:
        for _ in range(dice.choice([1, 1, 1, 2, 3])):
            what = dice.choice(sorted(EDITS.keys() - PLACED))
            number = dice.randrange(processes)
            ends = [kill.instant for kill in scenario.kills if kill.process == number]
            scenario.edits.append(Edit(number, dice.randint(1, min([made.instants["apply"], *ends])), what))
    return scenario


# Carrying it out


class Process:
    """One process of keylift in a world."""

    def __init__(self, play: Play, number: int, verb: str) -> None:
        self.play, self.number, self.verb = play, number, verb
        self.instants = 0
        scenario = play.scenario
        self.kill = next((kill for kill in scenario.kills if kill.process == number), None)
        self.edits = sorted((e for e in scenario.edits if e.process == number), key=lambda e: e.instant)
        self.dice = play.dice(number)
        self.turns = Turns(play.shape.inside.clock, self.dice, scenario.workers, self.instant)
        self.executor: Executor | None = None
        self.journal: WatchedJournal | None = None
        self.watch: Callable[[Process], None] | None = None
        """Told of each instant at which the process could die."""

    def instant(self, what: str) -> None:
        self.instants += 1
        if self.instants > ENDLESS:
            raise LostError("the process does not end")
        self.play.say(what, quiet=True)
        while self.edits and self.edits[0].instant <= self.instants:
            self.play.edit(self.edits.pop(0), self.dice)
        kill = self.kill
        if kill is not None and self.instants == kill.instant:
            self.play.tally.kills += 1
            self.play.say(f"--- {kill.how} at instant {kill.instant}, {what}")
            if kill.how == "stop":
                assert self.executor is not None
                self.executor.stop()
            else:
                raise DiedError
        if self.watch is not None:
            self.watch(self)
        elif self.journal is not None:
            self.journal.tearing = kill is not None and kill.how == "power" and kill.instant - self.instants <= TORN

    def before(self, plane: str, request: Request) -> None:
        if plane != entra.PLANE:  # a lock of the library is held while a token is fetched
            self.turns.instant(_line(request))

    def after(self, plane: str, request: Request) -> None:
        if plane != entra.PLANE:
            self.turns.instant(f"answer to {_line(request)}")

    def run(self) -> RunResult | None:
        """Do its work; None if it died, or if there was nothing it could work on."""
        play, inside = self.play, self.play.shape.inside
        inside.process(self.turns, play.scenario.seed * 100 + self.number)
        inside.transport.before, inside.transport.after = self.before, self.after
        journal = WatchedJournal.open(play.disk.path)
        assert isinstance(journal, WatchedJournal)
        journal.instant, self.journal = self.turns.instant, journal
        self.executor = Executor(
            inside.cloud,
            journal,
            self.turns,
            KEY,
            play.event,
            scheduler=self.turns,
            token=lambda: f"{play.scenario.seed % 0xFFFFFF:06x}",
        )
        try:
            result = self._verb(self.executor)
        except DiedError:
            if not (play.scenario.edits or play.scenario.troubles):
                play.count(self.under_way())
            play.disk.crash(journal, self.kill.how if self.kill else "kill", self.dice)
            return None
        finally:
            play.tally.instants += self.instants
            play.tally.switches += self.turns.switches
        journal.close()
        return result

    def under_way(self) -> list[str]:
        """The steps that are being done or undone."""
        journal = self.journal
        if journal is None or not journal.runs():
            return []
        steps = journal.steps(journal.find("latest")).values()
        return [f"{self.verb} {s.kind}" for s in steps if s.state in {StepState.INTENT, StepState.UNDOING}]

    def _verb(self, executor: Executor) -> RunResult:
        if self.verb == "apply":
            return executor.apply(self.play.shape.plan, point_of_no_return=True)
        return executor.resume("latest") if self.verb == "resume" else executor.rollback("latest")


class Play:
    """Carries one scenario out and looks at the end."""

    def __init__(self, made: Shape, scenario: Scenario, *, script: bool = False) -> None:
        self.shape, self.scenario = made, scenario
        self.tally = Tally(worlds=1)
        self.lines: list[str] = []
        self.told: list[str] = []
        self.others = Others(made.inside, made.plan, {})
        self.way = (scenario.ways or ["apply"])[-1]
        """What the last process does."""
        self.judged = True
        """Whether the end is compared with how it should be."""
        self._script = script
        self.disk = Disk()

    def say(self, text: str, *, quiet: bool = False) -> None:
        if self._script:
            self.lines.append(f"{self.shape.inside.clock.now() - 2e9:10.1f}  {'      ' if quiet else ''}{text}")

    def dice(self, number: int) -> random.Random:
        """What decides the chances of a process."""
        return random.Random(f"{self.scenario.seed}/{number}")

    def event(self, event: Event) -> None:
        self.told.append(event.text)
        self.say(f"{event.kind} {ResourceId.parse(event.app).name if event.app else ''} {event.step} {event.text}")

    def edit(self, edit: Edit, dice: random.Random) -> None:
        done = self.others.act(edit.what, dice)
        self.tally.edits += done
        self.say(f"--- somebody else: {edit.what}{'' if done else ' (refused)'}")

    def count(self, names: list[str]) -> None:
        """Note which steps were under way."""
        for name in names:
            self.tally.under_way[name] = self.tally.under_way.get(name, 0) + 1

    def run(self) -> RunResult | None:
        """Carry it out.

        Raises:
            LostError: it did not end well.
        """
        try:
            return self._run()
        finally:
            self.disk.remove()

    def _run(self) -> RunResult | None:
        self.begin()
        return self.end(self.processes())

    def begin(self) -> None:
        """The estate as it is before everything, with an empty journal."""
        inside = self.shape.inside
        inside.reset(self.scenario.seed)
        self.answer()
        self.others.originals = {
            name: inside.request("GET", step.app, _VERSION).body
            for step in self.shape.plan.steps
            if step.app and (name := ResourceId.parse(step.app).name)
        }
        self.disk.fill(self.shape.journal)

    def answer(self) -> None:
        """Have the platform answer open questions as the scenario says."""
        self.shape.inside.azure.switches = Switches.of({**QUICK, **self.scenario.switches})

    def processes(self, first: int = 0) -> RunResult | None:
        """All processes from a number on, one after the other; what the last one gives."""
        inside, ways = self.shape.inside, self.scenario.ways
        result: RunResult | None = None
        for number, verb in list(enumerate(["apply", *ways]))[first:]:
            if number and not self._begun():
                self.say("nothing was begun")
                break
            if number and number == len(ways):
                self.others.relent()
                inside.clock.advance(AFTER)
            result = self.process(number, verb)
        return result

    def end(self, result: RunResult | None) -> RunResult | None:
        """Look at the end.

        Raises:
            LostError: it did not end well.
        """
        inside = self.shape.inside
        if self._told_to_recover():
            self.others.recover()
            self.way = "rollback"
            result = self.process(len(self.scenario.ways) + 1, self.way)
        inside.transport.before = inside.transport.after = lambda _plane, _request: None
        inside.clock.advance(AFTER)
        self._leaks()
        if not self.judged:
            return result
        if self._begun():
            self._judge(result)
        else:
            self._compare(self._base({}, set()))
            self._end("nothing begun")
        return result

    def process(self, number: int, verb: str, watch: Callable[[Process], None] | None = None) -> RunResult | None:
        """One process of keylift: what it gives, None if it died."""
        self.tally.processes += 1
        faults = self.shape.inside.azure.faults
        faults.rules[:] = [Fault(**t.rule) for t in self.scenario.troubles if t.process == number]
        self.say(f"=== process {number}: {verb}")
        try:
            process = Process(self, number, verb)
            process.watch = watch
            result = process.run()
        except KeyliftError as error:
            raise LostError(f"process {number} ({verb}) ended with {error.what}: {error.why}") from error
        finally:
            self.tally.faults += sum(min(max(0, rule.seen - rule.skip), rule.times) for rule in faults.rules)
            faults.rules.clear()
        self.say(f"=== ended: {result.state if result else 'died'}")
        return result

    def _told_to_recover(self) -> bool:
        """Whether the run ended with the command that brings a value back which somebody deleted, its last copy."""
        if not self._begun():
            return False
        with Journal.open(self.disk.path) as journal:
            (run, *_) = journal.runs()
            errors = [entry.error for entry in journal.apps(run["id"]).values() if entry.error]
        return run["state"] == RunState.FAILED and any("keyvault secret recover" in error["hint"] for error in errors)

    def _begun(self) -> bool:
        with Journal.open(self.disk.path) as journal:
            runs = journal.runs()
        return bool(runs) and runs[0]["plan"] == self.shape.plan.id

    # The end

    def _end(self, name: str) -> None:
        self.tally.ends[name] = self.tally.ends.get(name, 0) + 1

    def _leaks(self) -> None:
        written = self.disk.bytes()
        for value in VALUES:
            for form in (value.encode(), json.dumps(value)[1:-1].encode()):
                if form in written:
                    raise LostError("a planted value is in the journal")
            if any(value in text for text in self.told):
                raise LostError("a planted value is in an event")

    def _judge(self, result: RunResult | None) -> None:
        with Journal.open(self.disk.path) as journal:
            (run, *_) = journal.runs()
            apps, steps = journal.apps(run["id"]), journal.steps(run["id"])
        state = run["state"]
        if result is None or result.stopped:
            raise LostError("the last process did not end its work")
        if state not in {RunState.DONE, RunState.ROLLED_BACK, RunState.PARTLY}:
            told = [entry.error for entry in apps.values() if entry.error]
            told += [entry.error for entry in steps.values() if entry.error]
            if state != RunState.FAILED or not self._excused(apps):
                raise LostError(f"the run ends as {state}: {told}")
            self._compare(self._either())
            self._end("needs a person")
            return
        if self.way == "rollback" and state != RunState.ROLLED_BACK:
            raise LostError(f"after a rollback the run is {state}")
        calm = not self.scenario.edits and not self.scenario.troubles
        if calm and "rollback" not in self.scenario.ways and state != RunState.DONE:
            raise LostError(f"though nothing but death happened the run is {state}")
        done = {app for app, entry in apps.items() if entry.state == AppState.DONE}
        self._compare(self._base(steps, done))
        self._end(state)

    def _excused(self, apps: dict[str, Any]) -> bool:
        """Whether a person must decide, because somebody deployed a revision that stands on what the run made.

        Only where several revisions are active: theirs needs the reference and so the identity, until they say otherwise.
        """
        for app, entry in apps.items():
            if entry.state != AppState.FAILED:
                continue
            name = ResourceId.parse(app).name
            key = ("app", name, "properties", "configuration", "activeRevisionsMode")
            theirs = any(other[:2] == ("app", name) and "template" in other for other in self.others.theirs)
            if not theirs or self.shape.before.get(key) != "Multiple":
                return False
        return True

    def _base(self, steps: dict[str, Any], done: set[str]) -> dict[Key, tuple[Any, ...]]:
        """What each fact may be in the end, somebody else's doings apart."""
        before, after = self.shape.before, self.shape.after
        planned = {step.id: step for step in self.shape.plan.steps}
        needed: set[str] = set()
        todo = [step.id for step in planned.values() if step.app.lower() in done]
        while todo:
            name = todo.pop()
            if name not in needed:
                needed.add(name)
                todo += planned[name].after
        there = {self._made(planned[name]) for name in needed}
        names = {ResourceId.parse(app).name.lower() for app in done}
        found: dict[Key, tuple[Any, ...]] = {}
        for key in {*before, *after}:
            old, new = before.get(key), after.get(key)
            if old == new:
                found[key] = (old,)
            elif key[0] == "app":
                found[key] = (new,) if key[1].lower() in names else (old,)
            else:
                found[key] = (new,) if self._short(key) in there else (old,)
        for entry in steps.values():
            step = planned[entry.step]
            if entry.state == StepState.DONE and step.kind in _FINAL and step.app.lower() not in done:
                # what cannot come back: it is gone, or it was not yet taken
                for key in found:
                    if key[0] == "app" and key[1] == ResourceId.parse(step.app).name:
                        found[key] = (before.get(key), after.get(key))
        return found

    def _either(self) -> dict[Key, tuple[Any, ...]]:
        """Every fact as before or as planned: nothing is lost, though somebody must decide."""
        before, after = self.shape.before, self.shape.after
        return {key: (before.get(key), after.get(key)) for key in {*before, *after}}

    @staticmethod
    def _made(step: Any) -> Key:
        """The beginning of the facts that a step makes."""
        change = step.change
        if step.kind == "identity-create":
            return ("identity", step.target.lower())
        if step.kind == "role-assignment":
            who = step.app if change["identity"] == "system" else change["identity"]
            return ("role", change["scope"].lower(), change["role"].lower(), ResourceId.parse(who).name.lower())
        if step.kind == "data-role":
            collection = {
                "cosmos": "sqlroleassignments",
                "managed-redis": "databases/default/accesspolicyassignments",
            }.get(change["system"], "accesspolicyassignments")
            who = ResourceId.parse(change["identity"]).name.lower()
            return ("data-role", f"{step.target.lower()}/{collection}", change["role"], who)
        if step.kind == "part-switch":
            return ("part", step.target.lower())
        if step.kind == "vault-secret":
            return ("vault", change["vault"].lower(), change["name"].lower())
        if step.kind == "registry-admin-off":
            return ("registry", step.target.lower())
        return ("app", ResourceId.parse(step.target).name.lower())

    @staticmethod
    def _short(key: Key) -> Key:
        return ("vault", *key[1:]) if key[0] == "ours" else key

    def _compare(self, allowed: dict[Key, tuple[Any, ...]]) -> None:
        found, theirs = facts(self.shape.inside), self.others.theirs
        wrong = []
        for key in {*found, *allowed, *theirs}:
            value = found.get(key)
            if key[0] in {"app", "auth"} and key[1].rsplit("/")[-1] in self.others.gone and value is None:
                continue
            may = allowed.get(key, (None,))
            if key in theirs:
                # what only the run had made it may take away, whoever wrote over it meanwhile
                own = key[0] == "app" and key[2] == "secret" and key not in self.shape.before
                late = key[0] in LATE and not (self._given(key) and self._stands(key, found))
                if key[0] == "vault" and theirs[key] is not None:
                    may = tuple(value for value in may if value is not None)  # written over, perhaps; never taken away
                may = (theirs[key], *may) if late or own else (theirs[key],)
            if key[0] == "role" and key[3] in self.others.gone:
                continue  # a system identity goes with its app, and its roles show nobody
            if value not in may and not self._loose(key):
                wrong.append(f"{' '.join(key)}: is {value!r}, may be {' or '.join(map(repr, may))}")
        if wrong:
            raise LostError("\n".join(sorted(wrong)))

    def _given(self, key: Key) -> bool:
        """Whether somebody else made a role or an identity, and left it: then it is theirs and stays."""
        return key[0] in {"role", "identity"} and self.others.theirs[key] is not None

    @staticmethod
    def _stands(key: Key, found: Facts) -> bool:
        """Whether the identity of a role is still there."""
        return key[0] == "identity" or any(other[1].endswith(f"/{key[3]}") for other in found if other[0] == "identity")

    def _loose(self, key: Key) -> bool:
        """Facts that follow from somebody else's deployment in ways of their own."""
        if key[0] != "app":
            return False
        touched = {other[1] for other in self.others.theirs if other[0] == "app"}
        return key[1] in touched and key[2] in {"active", "traffic"}


def _line(request: Request) -> str:
    parts = request.path.rstrip("/").split("/")
    return f"{request.method} {'/'.join(parts[-2:])}"


_FINAL = {"secret-remove"}
_VERSION = "2026-07-01"


def measure(made: Shape, scenario: Scenario) -> tuple[Facts, int]:
    """Facts and instants after an undisturbed scenario; the last process's instants."""
    play = Play(made, scenario)
    play.judged = False
    result = play.run()
    assert result is not None
    assert result.exit_code == 0, [app.error for app in result.apps]
    return facts(made.inside), play.tally.instants


def run(scenario: Scenario, *, script: bool = False) -> Play:
    """Carry a scenario out.

    Raises:
        LostError: it did not end well.
    """
    play = Play(shape(scenario.shape), scenario, script=script)
    play.run()
    return play


def failure(scenario: Scenario) -> str | None:
    """How a scenario ends badly; None if it ends well."""
    try:
        run(scenario)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
        return f"{type(error).__name__}: {error}"
    return None


def shrunk(scenario: Scenario, fails: Callable[[Scenario], bool] = lambda s: failure(s) is not None) -> Scenario:
    """The smallest scenario in reach that ends badly, too."""
    while True:
        for smaller in _smaller(scenario):
            if smaller.ways and _peaceful(smaller) and fails(smaller):
                scenario = smaller
                break
        else:
            return scenario


def _peaceful(scenario: Scenario) -> bool:
    """Whether nothing happens to the last process: only then must it end well."""
    happens = [kill.process for kill in scenario.kills] + [edit.process for edit in scenario.edits]
    happens += [trouble.process for trouble in scenario.troubles]
    return all(process < len(scenario.ways) for process in happens)


def _smaller(scenario: Scenario) -> list[Scenario]:
    found = []
    for name in ("edits", "troubles", "kills"):
        entries = getattr(scenario, name)
        found += [replace(scenario, **{name: entries[:i] + entries[i + 1 :]}) for i in range(len(entries))]
    found += [
        replace(
            scenario,
            ways=scenario.ways[:i] + scenario.ways[i + 1 :],
            kills=_without(scenario.kills, i + 1),
            edits=_without(scenario.edits, i + 1),
            troubles=_without(scenario.troubles, i + 1),
        )
        for i in range(len(scenario.ways))
    ]
    if scenario.workers > 1:
        found.append(replace(scenario, workers=1))
    found += [
        replace(scenario, switches={k: v for k, v in scenario.switches.items() if k != name})
        for name in scenario.switches
    ]
    found += [
        replace(
            scenario,
            troubles=[*scenario.troubles[:i], replace(t, rule={**t.rule, key: low}), *scenario.troubles[i + 1 :]],
        )
        for i, t in enumerate(scenario.troubles)
        for key, low in (("times", 1), ("skip", 0))
        if t.rule.get(key, low) != low
    ]
    return found


def _without(entries: list[Any], process: int) -> list[Any]:
    return [
        replace(entry, process=entry.process - (entry.process > process))
        for entry in entries
        if entry.process != process
    ]
