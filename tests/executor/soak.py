"""Worlds by the thousand: each a plan carried out by processes that die, with faults and other people's edits.

.venv/bin/python -m tests.executor.soak --worlds 1000
.venv/bin/python -m tests.executor.soak --seed 4711      # one world again, told as a script of events
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator

from .simulation.shapes import ESTATES, shape
from .simulation.world import LostError, Play, Scenario, Tally, drawn, failure, shrunk

AGAIN = ".venv/bin/python -m tests.executor.soak"
CHUNK = 50


def chunk(first: int, number: int) -> tuple[Tally, list[tuple[int, str]]]:
    """Worlds of consecutive seeds: what was tried, and the seeds that ended badly with their reason."""
    tally, bad = Tally(), []
    for seed in range(first, first + number):
        scenario = drawn(seed)
        play = Play(shape(scenario.shape), scenario)
        try:
            play.run()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            bad.append((seed, f"{type(error).__name__}: {error}"))
        tally.add(play.tally)
    gc.collect()
    return tally, bad


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


def told(tally: Tally, bad: int, seconds: float) -> str:
    ends = ", ".join(f"{number} {end}" for end, number in sorted(tally.ends.items()))
    return (
        f"{tally.worlds} worlds ({tally.worlds / seconds * 60:.0f} a minute), {tally.processes} runs of keylift, "
        f"{tally.instants} instants, {tally.kills} kill points, {tally.faults} faults, "
        f"{tally.edits} edits of somebody else, {tally.switches} switches of jobs; {ends}; {bad} ended badly"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=0, help="how many worlds to simulate")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes that simulate")
    parser.add_argument("--seed", type=int, help="one world, told as a script")
    parser.add_argument("--replay", help="a scenario as printed, told as a script")
    parser.add_argument("--no-shrink", action="store_true", help="print failing seeds as they are")
    given = parser.parse_args()
    if given.replay:
        return script(Scenario.from_json(given.replay))
    if given.seed is not None:
        return script(drawn(given.seed))
    begun, tally, bad = time.monotonic(), Tally(), 0
    for part, failed in worlds(given.first, given.worlds, given.jobs):
        tally.add(part)
        for seed, reason in failed:
            bad += 1
            say(f"LOST  seed {seed}: {reason[:600]}\n      {AGAIN} --seed {seed}")
            if not given.no_shrink and bad <= 5:
                say(f"      smallest: {AGAIN} --replay '{shrunk(drawn(seed)).to_json()}'")
        if tally.worlds % 1000 < CHUNK:
            say(told(tally, bad, time.monotonic() - begun))
    say(told(tally, bad, time.monotonic() - begun))
    return int(bad > 0)


__all__ = ["ESTATES", "LostError", "failure"]

if __name__ == "__main__":
    sys.exit(main())
