"""Worlds by the thousand: each a plan carried out by processes that die, with faults and other people's edits.

.venv/bin/python -m tests.executor.soak --worlds 1000
.venv/bin/python -m tests.executor.soak --seed 4711      # one world again, told as a script of events
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator

from .real import kills
from .simulation.shapes import ESTATES, shape
from .simulation.sweeping import swept
from .simulation.world import Play, Scenario, Tally, drawn, shrunk

AGAIN = ".venv/bin/python -m tests.executor.soak"
CHUNK = 50


def chunk(first: int, number: int) -> tuple[Tally, list[tuple[int, str]]]:
    """Worlds of consecutive seeds: what was tried, and the seeds that ended badly with their reason."""
    tally, bad = Tally(), []
    gc.disable()  # what goes round in circles is collected once, in the end
    for seed in range(first, first + number):
        scenario = drawn(seed)
        play = Play(shape(scenario.shape), scenario)
        try:
            play.run()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            bad.append((seed, f"{type(error).__name__}: {error}"))
        tally.add(play.tally)
    gc.enable()
    gc.collect()
    return tally, bad


def sweep(given: tuple[str, int, int]) -> tuple[Tally, list[tuple[str, str]]]:
    """Deaths at the instants of one shape (its name, a stride, the first): what was tried, and what ended badly."""
    return swept(*given)


def _chunk(given: tuple[int, int]) -> tuple[Tally, list[tuple[int, str]]]:
    return chunk(*given)


def worlds(first: int, number: int, jobs: int) -> Iterator[tuple[Tally, list[tuple[int, str]]]]:
    """Worlds over several processes, chunk by chunk."""
    parts = [(start, min(CHUNK, first + number - start)) for start in range(first, first + number, CHUNK)]
    if jobs == 1:
        yield from map(_chunk, parts)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(_chunk, parts)


def sweeps(stride: int, jobs: int) -> Iterator[tuple[Tally, list[tuple[str, str]]]]:
    """The sweep of all shapes over several processes."""
    # each shape in parts that interleave, so that all processes stay at work
    parts = [(name, stride * jobs * 4, 1 + stride * part) for name in sorted(ESTATES) for part in range(jobs * 4)]
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(sweep, parts)


def _sweep(stride: int, jobs: int) -> int:
    begun, tally, bad = time.monotonic(), Tally(), Counter[str]()
    for number, (part, failed) in enumerate(sweeps(stride, jobs)):
        tally.add(part)
        bad.update(harm(reason) for _, reason in failed)
        for scenario, reason in failed[:3]:
            say(f"LOST  {reason[:600]}\n      {AGAIN} --replay '{scenario}'")
        if number % 10 == 0:
            say(f"sweep: {told(tally, bad, time.monotonic() - begun)}")
    say(f"sweep: {told(tally, bad, time.monotonic() - begun)}")
    say("died while at work on: " + ", ".join(f"{name} {n}" for name, n in sorted(tally.under_way.items())))
    return int(bad.total() > 0)


def _kills(wanted: int, seed: int) -> int:
    found = kills(wanted, seed, tell=say)
    say(f"kills: {found.killed} real processes killed in {found.cases} cases; {len(found.bad)} ended badly")
    for reason in found.bad:
        say(f"LOST  {reason}\n      {AGAIN} --kills {wanted} --from {seed}")
    return int(bool(found.bad))


def script(scenario: Scenario) -> int:
    """Carry one scenario out and print everything that happens."""
    play = Play(shape(scenario.shape), scenario, script=True)
    try:
        play.run()
        ended = "ended well"
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
        ended = f"ended badly: {type(error).__name__}: {error}"
    say("\n".join([scenario.to_json(), *play.lines, ended]))
    return int(ended != "ended well")


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def harm(reason: str) -> str:
    """What a world that ended badly did: `leaked` a value, left something `orphaned`, or else `lost` something."""
    if "planted value" in reason:
        return "leaked"
    return "orphaned" if re.search(r"may be None($|\n)", reason) else "lost"


def told(tally: Tally, bad: Counter[str], seconds: float) -> str:
    ends = ", ".join(f"{number} {end}" for end, number in sorted(tally.ends.items()))
    return (
        f"{tally.worlds} worlds ({tally.worlds / seconds * 60:.0f} a minute), {tally.processes} runs of keylift, "
        f"{tally.instants} instants, {tally.kills} kill points, {tally.faults} faults, "
        f"{tally.edits} edits of somebody else, {tally.switches} switches of jobs; {ends}; "
        f"{bad['lost']} lost, {bad['orphaned']} orphaned, {bad['leaked']} leaked"
    )


def _worlds(first: int, number: int, jobs: int, shrink: bool) -> int:
    begun, tally, bad = time.monotonic(), Tally(), Counter[str]()
    for part, failed in worlds(first, number, jobs):
        tally.add(part)
        for seed, reason in failed:
            bad[harm(reason)] += 1
            say(f"LOST  seed {seed}: {reason[:600]}\n      {AGAIN} --seed {seed}")
            if shrink and bad.total() <= 5:
                say(f"      smallest: {AGAIN} --replay '{shrunk(drawn(seed)).to_json()}'")
        if tally.worlds % 1000 < CHUNK:
            say(told(tally, bad, time.monotonic() - begun))
    say(f"worlds: {told(tally, bad, time.monotonic() - begun)}")
    return int(bad.total() > 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=0, help="how many worlds to simulate")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first seed")
    parser.add_argument(
        "--sweep", type=int, default=0, metavar="STRIDE", help="die at every STRIDE-th instant; 1: at each"
    )
    parser.add_argument("--kills", type=int, default=0, help="how many real processes to kill")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes that simulate")
    parser.add_argument("--seed", type=int, help="one world, told as a script")
    parser.add_argument("--replay", help="a scenario as printed, told as a script")
    parser.add_argument("--no-shrink", action="store_true", help="print failing seeds as they are")
    given = parser.parse_args()
    if given.replay:
        return script(Scenario.from_json(given.replay))
    if given.seed is not None:
        return script(drawn(given.seed))
    failed = 0
    if given.kills:
        failed |= _kills(given.kills, given.first)
    if given.sweep:
        failed |= _sweep(given.sweep, given.jobs)
    if given.worlds:
        failed |= _worlds(given.first, given.worlds, given.jobs, not given.no_shrink)
    return failed


if __name__ == "__main__":
    sys.exit(main())
