"""Break one promise at a time, and see that a test notices: `make mutants`.

Each mutation is made in a copy of the sources, never in the working tree, and must make at least one of its tests fail.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

ROOT = Path(__file__).resolve().parents[2]
APPLY, KINDS, CONTRACT = (f"tests/executor/test_{name}.py" for name in ("apply", "kinds", "contract"))
FAULTS, WORLDS, JOURNAL = "tests/executor/test_faults.py", "tests/executor/test_simulation.py", "tests/journal"
VAULTS = "tests/cloud/test_vaults.py"


@dataclass(frozen=True, slots=True)
class Mutation:
    """One promise broken."""

    promise: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    """What pytest is given: the tests that should notice."""


MUTATIONS = (
    Mutation(
        "a commit is flushed to the disk",
        "migrator/database.py",
        "PRAGMA synchronous = FULL",
        "PRAGMA synchronous = NORMAL",
        (WORLDS, "-k", "disk_loses"),
    ),
    Mutation(
        "a step is written down before it is done",
        "migrator/walking.py",
        "            state=StepState.INTENT,\n            attempts",
        "            attempts",
        (WORLDS, "-k", "dead_at_any_instant"),
    ),
    Mutation(
        "what is made is looked at before it counts as done",
        "migrator/walking.py",
        "        kind.verify(step, ctx)\n",
        "",
        (WORLDS, "-k", "looked_at"),
    ),
    Mutation(
        "an app that changed since the plan is left alone",
        "migrator/walking.py",
        "if planned is not None and planned !=",
        "if planned is None and planned !=",
        (APPLY, "-k", "stale_before or value_changed"),
    ),
    Mutation(
        "an app that changed meanwhile is not written",
        "migrator/appwrite.py",
        "    ctx.check(live.veiled, who(live.raw))\n",
        "",
        (FAULTS, APPLY, "-k", "old_reading or stale_while"),
    ),
    Mutation(
        "the whole app is compared after each write",
        "migrator/appwrite.py",
        "    changed = unlike(wanted, live.veiled)\n",
        "    changed: list[str] = []\n",
        (APPLY, "-k", "outside_the_plan"),
    ),
    Mutation(
        "steps are undone newest first",
        "migrator/walking.py",
        "for step in reversed(steps):",
        "for step in steps:",
        (WORLDS, "-k", "dead_at_any_instant"),
    ),
    Mutation(
        "an undone step is written down before it is undone",
        "migrator/walking.py",
        "            journal.set_step(run, step.id, state=StepState.UNDOING)\n            try:",
        "            try:",
        (WORLDS, "-k", "found_once"),
    ),
    Mutation(
        "an identity of somebody else is not deleted",
        "migrator/steps/identity_create.py",
        '        if (found.get("tags") or {}).get(RUN_TAG) != ctx.run:\n',
        "        if found is None:\n",
        (WORLDS, "-k", "is_theirs"),
    ),
    Mutation(
        "a role that was there is not taken away",
        "migrator/steps/role_assignment.py",
        'if step.change["existing"] or not ctx.record.facts.get("absent"):',
        'if step.change["existing"]:',
        (WORLDS, "-k", "is_theirs"),
    ),
    Mutation(
        "a role is noted before it is assigned",
        "migrator/steps/role_assignment.py",
        "            ctx.record.note(absent=True, assignment=ours, principal=principal, made=ctx.clock.now())\n",
        "            ctx.record.note(assignment=ours, principal=principal, made=ctx.clock.now())\n",
        (WORLDS, "-k", "dead_at_any_instant"),
    ),
    Mutation(
        "an identity is noted before it is made",
        "migrator/steps/identity_create.py",
        "            ctx.record.note(asked=True)\n",
        "            pass\n",
        (WORLDS, "-k", "dead_at_any_instant"),
    ),
    Mutation(
        "a value that the vault held is adopted, not owned",
        "migrator/steps/vault_secret.py",
        "            return Outcome(adopted=True)",
        '            ctx.record.note(previous=None)\n            change["action"] = "create"\n            return Outcome()',
        (WORLDS, "-k", "promise"),
    ),
    Mutation(
        "a new version is disabled on the way back",
        "migrator/steps/vault_secret.py",
        "enabled=False, tags=tags)",
        "enabled=True, tags=tags)",
        (WORLDS, "-k", "dead_at_any_instant"),
    ),
    Mutation(
        "the older value is written again on the way back",
        "migrator/steps/vault_secret.py",
        '            left = self._restore(step, ctx, facts["previous"], [v for v in versions if v.version not in ours])\n',
        "            pass\n",
        (WORLDS, "-k", "dead_at_any_instant"),
    ),
    Mutation(
        "what another run stands on stays",
        "migrator/walking.py",
        '        if step.kind not in {"vault-secret", "role-assignment"}:\n',
        "        if step.kind:\n",
        (APPLY, "-k", "another_run"),
    ),
    Mutation(
        "one process works on a run",
        "migrator/locking.py",
        "        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        "        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)\n",
        (JOURNAL, "-k", "second_process or exclude_each_other"),
    ),
    Mutation(
        "an unfinished run is ended first",
        "migrator/executor.py",
        "        if open_run is not None:\n",
        "        if open_run is None and not open_run == open_run:\n",
        (APPLY, "-k", "unfinished_run"),
    ),
    Mutation(
        "no value reaches the journal",
        "migrator/records.py",
        '        raise TypeError("a secret value must not reach the journal")\n',
        '        return "***"\n',
        (JOURNAL, "-k", "no_secret"),
    ),
    Mutation(
        "documents in the journal are veiled",
        "migrator/veil.py",
        "            return {MARK: self.add(Secret(document))}\n",
        "            self.add(Secret(document))\n            return document\n",
        (WORLDS, "-k", "dead_at_any_instant"),
    ),
    Mutation(
        "scaled to zero is unproven",
        "migrator/steps/app_prove.py",
        "                proven=False,",
        "                proven=True,",
        (KINDS, "-k", "scaled_to_zero"),
    ),
    Mutation(
        "traffic waits for the proof",
        "migrator/switching.py",
        '    if change["traffic"] and latest:\n',
        '    if change["traffic"] and not latest:\n',
        (KINDS, "-k", "traffic_moves_only"),
    ),
    Mutation(
        "what cannot be taken back is approved on its own",
        "migrator/executor.py",
        "        if plan.irreversible and not point_of_no_return:\n",
        "        if plan.irreversible and point_of_no_return:\n",
        (CONTRACT, "-k", "point_of_no_return"),
    ),
    Mutation(
        "a lost answer is looked up, not sent again",
        "migrator/cloud/vaults.py",
        "            if version is not None:\n                return version\n",
        "",
        (VAULTS, "-k", "answer_was_lost"),
    ),
    Mutation(
        "a lost answer is looked up, seen from a whole run",
        "migrator/cloud/vaults.py",
        "            if version is not None:\n                return version\n",
        "",
        (WORLDS, "-k", "promise"),
    ),
    Mutation(
        "a value is found though its reference never resolved",
        "migrator/appwrite.py",
        "self._sources = [self._from_memory, ",
        "self._sources = [",
        (WORLDS, "-k", "remembered"),
    ),
    Mutation(
        "every version that the run wrote is disabled on the way back",
        "migrator/steps/vault_secret.py",
        'ours = [v.version for v in versions if v.version and _is_ours(v, ctx, facts.get("version"))]',
        'ours = [v.version for v in versions if v.version and v.version == facts.get("version")]',
        (WORLDS, "-k", "found_once"),
    ),
    Mutation(
        "the vault is asked for every value that is nowhere else",
        "migrator/appwrite.py",
        "                source(mark)\n",
        "                source(mark)\n                self._from_vault = lambda _mark: None  # type: ignore\n",
        (WORLDS, "-k", "found_once"),
    ),
    Mutation(
        "traffic goes back without the vault",
        "migrator/steps/traffic_shift.py",
        "            except ReferenceRefusedError:\n",
        "            except StaleError:\n",
        (WORLDS, "-k", "found_once"),
    ),
    Mutation(
        "traffic goes back with the values in the place of references",
        "migrator/switchback.py",
        "            wanted = self._unshifted(wanted)\n",
        "",
        (WORLDS, "-k", "found_once"),
    ),
    Mutation(
        "a write of one's own whose reference gives nothing yet is no change of somebody else",
        "migrator/steps/app_switch.py",
        "        compare(step, ctx, live, wanted)\n        ctx.record.note(revision=live.latest)\n",
        "        if not self._unresolved(step, ctx):\n            compare(step, ctx, live, wanted)\n",
        (WORLDS, "-k", "found_once"),
    ),
    Mutation(
        "what an undo left is taken up by the next process",
        "migrator/walking.py",
        "AppState.STALE} and self._left_over():",
        "AppState.STALE} and not self.steps:",
        (WORLDS, "-k", "found_once"),
    ),
)


def _copy(folder: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, tracked.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def notices(mutation: Mutation, folder: Path) -> str:
    """What the tests say of a mutation: `noticed`, or what went wrong."""
    path = folder / mutation.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutation.old) != 1:
        return f"NOT MADE: its text is there {text.count(mutation.old)} times"
    path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *mutation.tests],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        path.write_text(text, encoding="utf-8")
    if done.returncode == 1:  # tests failed; anything else is no verdict
        failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
        return "noticed by " + (failed[0].split()[1].rsplit("/", 1)[-1] if failed else "?")
    return (
        "SURVIVED" if done.returncode == 0 else f"NO VERDICT: pytest ended with {done.returncode}: {done.stdout[-300:]}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="mutations whose promise contains this")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    chosen = [mutation for mutation in MUTATIONS if given.only in mutation.promise]
    with tempfile.TemporaryDirectory(prefix="keylift-mutants-") as name, ThreadPoolExecutor(given.jobs) as pool:
        folders: Queue[Path] = Queue()
        for number in range(given.jobs):
            _copy(Path(name) / str(number))
            folders.put(Path(name) / str(number))

        def one(mutation: Mutation) -> str:
            folder = folders.get()
            try:
                said = notices(mutation, folder)
            finally:
                folders.put(folder)
            sys.stdout.write(f"{mutation.promise:55} {said}\n")
            sys.stdout.flush()
            return said

        said = list(pool.map(one, chosen))
    alive = sum(not text.startswith("noticed") for text in said)
    sys.stdout.write(f"{len(said)} promises broken, {len(said) - alive} noticed\n")
    return int(alive > 0)


if __name__ == "__main__":
    sys.exit(main())
