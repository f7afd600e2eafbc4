"""Whole worlds from seeds, in one process on a virtual clock: a part of what `make soak` does."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from migrator import kinds, parts
from migrator.executor import RunResult
from migrator.journal import Journal
from migrator.model import Json, RunState
from migrator.planning import building
from migrator.simulator import vault_store

from .simulation.disk import Disk, WatchedJournal
from .simulation.facts import facts
from .simulation.shapes import ESTATES, shape
from .simulation.sweeping import trunks
from .simulation.world import Edit, Kill, LostError, Play, Scenario, Tally, Trouble, drawn, shrunk
from .soak import chunk, sweep
from .world import app_id

CHUNKS = 10
WORLDS = 25


@pytest.mark.parametrize("number", range(CHUNKS))
def test_worlds_end_as_planned_or_as_before(number: int) -> None:
    tally, bad = chunk(number * WORLDS, WORLDS)
    assert not bad, "\n".join(f"seed {seed}: {reason}" for seed, reason in bad)
    assert tally.kills > WORLDS / 2
    assert tally.faults
    assert tally.edits


@pytest.mark.parametrize(
    "name",
    ["multiple", "one-identity", "contract", "new-version", "job-and-app", "keyless", "component", "cache"],
)
def test_dead_at_any_instant(name: str) -> None:
    """A part of the sweep: deaths all along a plan, its way back and its resumption; the machine's, too."""
    stride = sum(shape(name).instants.values()) // 8
    tally, bad = sweep((name, stride, stride // 2))
    assert not bad, "\n".join(reason for _, reason in bad)
    assert tally.kills >= 20
    assert tally.under_way


@pytest.mark.parametrize("name", ["multiple", "keyless"])
def test_what_the_sweep_does_once_goes_the_same_way_each_time(name: str) -> None:
    """A world that goes on from a copy ends, event by event, as the same world played from its beginning."""
    tried = 0
    for trunk, hows in trunks(name, 139, 31):
        for moment in trunk.moments:
            for branch in trunk.branches(moment, hows):
                trunk.go_on(branch, moment)
                ended = facts(branch.shape.inside), branch.shape.inside.clock.now()
                whole = Play(branch.shape, Scenario.from_json(branch.scenario.to_json()))
                whole.run()
                assert (facts(whole.shape.inside), whole.shape.inside.clock.now()) == ended
                assert whole.told == branch.told
                assert whole.tally.ends == branch.tally.ends
                tried += 1
    assert tried >= 12


def shape_with(kind: str) -> str:
    """The smallest shape whose plan has a step of a kind."""
    having = [name for name in ESTATES if any(step.kind == kind for step in shape(name).plan.steps)]
    assert having, f"no simulated world has a step of kind {kind}: give it one in tests/executor/simulation/shapes.py"
    return min(having, key=lambda name: sum(shape(name).instants.values()))


def under_way(shape_name: str, kind: str) -> list[Kill]:
    """Deaths while a step of a kind is being done, and while it is being undone, all along."""
    undisturbed = Play(shape(shape_name), Scenario(0, shape_name, ways=["rollback"]), script=True)
    undisturbed.run()
    (step, *_) = [step for step in shape(shape_name).plan.steps if step.kind == kind]
    process, instant, begun, found = -1, 0, {}, []
    for line in undisturbed.lines:
        told = line[12:]
        if told.startswith("=== process"):
            process, instant = process + 1, 0
        elif told.startswith("      "):
            instant += 1
        elif f" {step.id} " in f"{told} ":
            if told.startswith("step-started"):
                begun[0] = instant
            elif told.startswith(("step-done", "step-adopted")):
                found += [Kill(0, at) for at in range(begun[0] + 2, instant - 1, max(1, (instant - begun[0]) // 4))]
            elif told.startswith("step-undone"):
                # undone steps tell their beginning nowhere: the instants right before the end are theirs
                found += [Kill(1, at) for at in range(max(1, instant - 4), instant + 1, 2)]
    return found


@pytest.mark.parametrize("kind", sorted(kinds.find()))
def test_dead_while_a_step_of_any_kind_is_under_way(kind: str) -> None:
    """Each kind there is, also one that is new: it needs a world to die in."""
    name = shape_with(kind)
    tried = Tally()
    for kill in under_way(name, kind):
        for way in ("resume", "rollback"):
            ways = [way] if kill.process == 0 else ["rollback", way]
            play = Play(shape(name), Scenario(kill.instant, name, ways=ways, kills=[kill]))
            play.run()
            tried.add(play.tally)
    assert tried.kills >= 4
    assert tried.under_way.get(f"apply {kind}"), f"nobody died while {kind} was under way"


def ways(name: str) -> set[str]:
    """What the steps of a shape's plan do, where one kind does several things."""
    found = set()
    for step in shape(name).plan.steps:
        found |= {f"{step.kind} {key}" for key, value in step.change.items() if value}
        found |= {
            f"{step.kind} {part} {key}" for part in ("swaps",) for key, v in (step.change.get(part) or {}).items() if v
        }
        found |= {
            f"{step.kind} {key} {step.change[key]}"
            for key in ("system", "form", "action", "revision")
            if step.change.get(key)
        }
        found |= {f"{step.kind} from {(step.change.get('source') or {}).get('kind')}"}
    return found


def test_every_way_of_a_kind_has_a_world() -> None:
    """A kind that learns something new is not met by the worlds of what it did before."""
    wanted = {f"data-role system {system}" for system in building.DATA_ROLES}
    wanted |= {f"part-switch form {form}" for form in (parts.DAPR, parts.SIGN_IN)}
    wanted |= {f"vault-secret action {action}" for action in ("create", "adopt", "new-version")}
    wanted |= {f"vault-secret from {kind}" for kind in ("secret", "env", "rule", "word")}
    wanted |= {f"app-switch revision {how}" for how in ("none", "template", "suffix")}
    changed = ("secrets", "env", "registries", "traffic", "rules", "commands", "swaps env", "swaps rules", "swaps kept")
    wanted |= {f"app-switch {what}" for what in changed}
    wanted |= {"role-assignment existing", "role-assignment data", "part-switch secrets"}
    missing = wanted - set[str]().union(*map(ways, ESTATES))
    assert not missing, f"{missing} are in no world: give them one in tests/executor/simulation/shapes.py"


FOUND = [
    # an undo that the closed vault kept from ending was not taken up by resume
    Scenario(449, "init", ways=["resume"], edits=[Edit(0, 159, "firewall")]),
    Scenario(593, "mixed", ways=["rollback", "resume"], edits=[Edit(1, 6, "firewall")]),
    # the platform took a reference unresolved, and somebody disabled the secret behind it
    Scenario(24, "system", 1, {"resolve_on_write": False}, ["rollback"], edits=[Edit(0, 74, "disable")]),
    # resume took a write of its own, whose reference did not resolve yet, for somebody else's
    Scenario(
        202260,
        "shared",
        3,
        {"resolve_on_write": False, "role_propagation": [10.0, 84.0]},
        ["resume", "resume"],
        [Kill(0, 217)],
    ),
    # a version whose answer was lost stayed enabled when somebody had written another over it
    Scenario(
        100349,
        "zero",
        1,
        {"app_operation": 8.0},
        ["rollback", "rollback"],
        [Kill(0, 91, "power")],
        [Edit(1, 3, "version")],
    ),
    # the same where somebody had disabled the version that was to be written again
    Scenario(104541, "new-version", 1, {"app_operation": 8.0}, ["rollback"], edits=[Edit(0, 85, "disable")]),
    # traffic could not go back without the vault
    Scenario(102933, "multiple", 1, {"role_propagation": [0.0, 1.0]}, ["rollback"], edits=[Edit(0, 146, "role")]),
    # the same where traffic names a revision: the switched one kept it, and so its secret
    Scenario(1, "named", ways=["rollback"], edits=[Edit(0, 142, "role")]),
    # somebody deployed on top of a switch whose revision was not noted yet: theirs was taken for it
    Scenario(
        243176,
        "multiple",
        2,
        {"identity_map": "replace", "app_operation": 8.0, "role_propagation": [0.0, 1.0]},
        ["resume", "resume", "resume"],
        [Kill(0, 141, "power"), Kill(1, 176)],
        [Edit(1, 39, "env")],
        [Trouble(1, {"method": "GET", "skip": 0, "drop": "after", "times": 1})],
    ),
    # a revision of somebody else needs the secret, and shows its reference under no name that is known
    Scenario(
        101990,
        "mixed",
        2,
        {"secret_ref_display": "prefixed", "role_propagation": [0.0, 1.0]},
        ["rollback"],
        edits=[Edit(0, 402, "value"), Edit(0, 486, "image")],
    ),
    # of several values that only the vault had still, one was asked for
    Scenario(410184, "job", 1, {"resolve_on_write": False}, ["rollback"], [Kill(0, 266)]),
    # the last copy of a value lay in a vault secret that somebody deleted: nobody was told to recover it
    Scenario(
        202329,
        "inline",
        1,
        {"resolve_on_write": False, "role_propagation": [10.0, 84.0]},
        ["resume", "resume"],
        [Kill(0, 196, "power")],
        [Edit(1, 36, "delete-secret")],
    ),
    # somebody wrote over the run's version before they deleted the secret: recovered, theirs is what must stay
    Scenario(
        50623,
        "registry",
        1,
        {"resolve_on_write": False},
        ["resume"],
        [Kill(0, 230)],
        [Edit(0, 155, "version"), Edit(0, 219, "delete-secret")],
    ),
    # somebody wrote a version between the run's look and its own write: it is the newest again after the way back
    Scenario(62025, "init", 1, {}, ["rollback"], [], [Edit(0, 120, "version")]),
    # the secret of a job that held the same value as its env was set anew before an identity took the key's place
    Scenario(66214, "job-keyless", 1, {}, ["rollback"], [], [Edit(0, 90, "inline")]),
    # somebody's whole operation fell between the reading of an app and its write, while its secrets were asked for again
    Scenario(
        52311,
        "one-identity",
        2,
        {
            "identity_map": "replace",
            "secret_ref_display": "prefixed",
            "role_propagation": [1.0, 3.0],
            "principal_replication": [2.0, 15.0],
        },
        ["rollback", "resume"],
        [Kill(0, 334, "stop"), Kill(1, 128)],
        [Edit(1, 86, "image")],
        [
            Trouble(1, {"method": "GET", "skip": 0, "truncate": True, "times": 2}),
            Trouble(1, {"method": "POST", "skip": 1, "path": "listSecrets", "status": 412, "times": 3}),
        ],
    ),
]


@pytest.mark.parametrize("scenario", FOUND, ids=lambda scenario: str(scenario.seed))
def test_what_was_found_once_stays_mended(scenario: Scenario) -> None:
    play = Play(shape(scenario.shape), scenario)
    play.run()
    assert play.tally.edits == len(scenario.edits)


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario(1, "adopt", ways=["rollback"]),
        Scenario(2, "one-identity", 2, ways=["rollback"]),
        Scenario(3, "env", ways=["rollback"], edits=[Edit(0, 130, "disable"), Edit(0, 240, "tag")]),
        Scenario(
            4, "env", ways=["resume"], troubles=[Trouble(0, {"plane": "vault", "method": "PUT", "drop": "after"})]
        ),
    ],
    ids=lambda scenario: scenario.shape,
)
def test_a_promise_in_one_world(scenario: Scenario) -> None:
    Play(shape(scenario.shape), scenario).run()


def instant_of(shape_name: str, what: str) -> int:
    """The first instant of an undisturbed run that begins so."""
    undisturbed = Play(shape(shape_name), Scenario(0, shape_name), script=True)
    undisturbed.run()
    instants = [line[12:].strip() for line in undisturbed.lines if line[12:].startswith("      ")]
    return next(number for number, told in enumerate(instants, 1) if told.startswith(what))


@pytest.mark.parametrize("way", ["resume", "rollback"])
def test_what_somebody_else_made_meanwhile_is_theirs(way: str) -> None:
    """Dead right before an identity is made, or a role given, that somebody else then makes or gives."""
    for shape_name, what, edit, later in (
        ("env", "PUT userAssignedIdentities/", "make-identity", 0),
        # before it is noted whose the role is, and after
        ("one-identity", "GET Microsoft.Authorization/roleAssignments", "give-role", 2),
        ("one-identity", "GET Microsoft.Authorization/roleAssignments", "give-role", 3),
        ("one-identity", "GET Microsoft.Authorization/roleAssignments", "give-role", 20),
    ):
        at = instant_of(shape_name, what)
        kill = Kill(0, at + later)
        play = Play(shape(shape_name), Scenario(0, shape_name, ways=[way], kills=[kill], edits=[Edit(0, at, edit)]))
        play.run()
        assert play.tally.edits == 1


@pytest.mark.parametrize(
    ("shape_name", "made", "edit", "said"),
    [
        ("env", "PUT secrets/", "disable", "is not the one that was written"),
        ("env", "PUT roleAssignments/", "role", "is not held at"),
        ("env", "PUT userAssignedIdentities/", "delete-identity", "is not the one that was made"),
    ],
)
def test_what_is_made_is_looked_at(shape_name: str, made: str, edit: str, said: str) -> None:
    """Right after a thing was made somebody takes it away: the step that made it says so, not a later one."""
    answered = instant_of(shape_name, f"answer to {made}")
    play = Play(shape(shape_name), Scenario(0, shape_name, ways=["rollback"], edits=[Edit(0, answered + 1, edit)]))
    play.run()
    assert play.tally.edits == 1
    assert any(said in text for text in play.told), play.told


def test_a_value_is_remembered_where_nothing_shows_it_any_more() -> None:
    """Written as a reference that never resolved, and the vault closed: the app goes back all the same, at once."""
    scenario = Scenario(0, "inline", switches={"resolve_on_write": False, "role_propagation": [10.0, 84.0]})
    switch = "PATCH containerapps/web"
    undisturbed = Play(shape("inline"), scenario, script=True)
    undisturbed.run()
    instants = [line[12:].strip() for line in undisturbed.lines if line[12:].startswith("      ")]
    patches = [number for number, told in enumerate(instants, 1) if told.startswith(switch)]
    scenario.ways, scenario.edits = ["rollback"], [Edit(0, patches[1] + 1, "firewall")]
    play = Play(shape("inline"), scenario)
    play.run()
    assert any("firewall" in text for text in play.told), play.told
    assert not any("needs a person" in text for text in play.told)


@pytest.mark.parametrize("seed", [3, 17, 29])
def test_a_seed_is_one_world(seed: int) -> None:
    """Every instant, every choice of who goes next and every word is the same again."""
    scripts = []
    for _ in range(2):
        scenario = drawn(seed)
        play = Play(shape(scenario.shape), scenario, script=True)
        play.run()
        scripts.append(play.lines)
    assert len(scripts[0]) > 50
    assert scripts[0] == scripts[1]


def test_another_seed_lets_others_go_first() -> None:
    orders = set()
    for seed in range(4):
        play = Play(shape("two"), Scenario(seed, "two", workers=2, ways=["resume"]), script=True)
        play.run()
        assert play.tally.switches
        orders.add(tuple(line.split(maxsplit=1)[1] for line in play.lines if "step-done" in line))
    assert len(orders) > 1


def test_a_failing_scenario_is_made_small() -> None:
    scenario = Scenario(
        5,
        "two",
        2,
        {"app_operation": 8.0},
        ["resume", "rollback", "resume"],
        [Kill(0, 90), Kill(1, 20, "power")],
        [Edit(0, 10, "tag"), Edit(1, 5, "env")],
        [Trouble(0, {"method": "GET", "status": 500, "times": 3, "skip": 4})],
    )
    small = shrunk(scenario, lambda s: any(edit.what == "env" for edit in s.edits))
    assert small == Scenario(5, "two", 1, {}, small.ways, [], [Edit(1, 5, "env")], [])
    assert len(small.ways) == 2
    assert Scenario.from_json(small.to_json()) == small


def test_what_a_world_must_not_leave_is_seen() -> None:
    """The judge itself: a thing too many, a changed app and a value in the journal are each found."""
    made = shape("env")
    world = made.inside.azure.world

    def take_a_role(held: Json) -> None:
        held.pop(next(key for key, entry in held.items() if "/secrets/" in entry["scope"]))

    harms: dict[str, Callable[[], object]] = {
        "role": lambda: take_a_role(world.table("assignments")),
        "app bystander tags": lambda: world.resources[app_id("bystander").lower()].update(tags={}),
        "identity": lambda: world.resources.pop(made.plan.steps[0].target.lower()),
        "vault": lambda: vault_store.plant(made.inside.azure, "kv-shop", "api-db", "another"),
    }
    for said, harm in harms.items():

        class Harmed(Play):
            def _judge(self, result: RunResult | None, harm: Callable[[], object] = harm) -> None:
                harm()
                super()._judge(result)

        with pytest.raises(LostError, match=said):
            Harmed(made, Scenario(1, "env", ways=["resume"])).run()
    play = Play(made, Scenario(1, "env"))
    play.told.append(
        "Password=Canary1-Kq8vZr4tLw; Server=tcp:sql.example.net;Database=shop;User ID=app;Password=Canary1-Kq8vZr4tLw;"
    )
    with pytest.raises(LostError, match="planted value"):
        play.run()


@pytest.mark.parametrize("seed", range(8))
def test_the_disk_loses_no_commit_that_returned(seed: int) -> None:
    """A power cut in a commit leaves the state before it or after it, and everything earlier."""
    disk = Disk()
    try:
        journal = WatchedJournal.open(disk.path)
        assert isinstance(journal, WatchedJournal)
        journal.instant = lambda _what: None
        journal.begin("r", shape("env").plan, "inside", 1.0)
        journal.set_run("r", RunState.ROLLING_BACK)
        journal.tearing = True
        journal.set_run("r", RunState.INTERRUPTED)
        disk.crash(journal, "power", random.Random(seed))
        with Journal.open(disk.path) as again:
            assert again.state("r") in {RunState.ROLLING_BACK, RunState.INTERRUPTED}
    finally:
        disk.remove()


def test_a_disk_that_is_not_flushed_loses() -> None:
    """What shows that the check above can fail."""
    lost = 0
    for seed in range(8):
        disk = Disk()
        journal = WatchedJournal.open(disk.path)
        assert isinstance(journal, WatchedJournal)
        journal.instant = lambda _what: None
        journal._connection.execute("PRAGMA synchronous = NORMAL")
        journal.begin("r", shape("env").plan, "inside", 1.0)
        journal.set_run("r", RunState.ROLLING_BACK)
        disk.crash(journal, "power", random.Random(seed))
        with Journal.open(disk.path) as again:
            runs = again.runs()
            lost += not runs or runs[0]["state"] == RunState.RUNNING
        disk.remove()
    assert lost
