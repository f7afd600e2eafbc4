"""A process of its own that applies, resumes or rolls back, and sends itself a signal at the N-th durable point."""

from __future__ import annotations

import itertools
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from world import KEY, Fast  # type: ignore[import-not-found]  # beside this file, started as a script

from migrator.cloud.cloud import AzureCloud
from migrator.cloud.profiles import load_profile
from migrator.cloud.session import Session
from migrator.executor import Executor
from migrator.journal import Journal
from migrator.model import Plan


def main(profile: str, folder: str, verb: str, plan: str, commit: int, sent: signal.Signals, times: int) -> int:
    count = itertools.count(1)
    times = times if commit else 0

    def observe(statement: str) -> None:
        # the callback comes before the statement runs: the kill falls right before the commit's bytes are written
        if statement.strip().upper().startswith("COMMIT") and commit <= next(count) < commit + times:
            os.kill(os.getpid(), sent)

    clock = Fast()
    with (
        Journal.open(Path(folder) / "keylift.db", observe=observe) as journal,
        Session(load_profile(profile), clock=clock, seed=1) as session,
    ):
        executor = Executor(AzureCloud(session), journal, clock, KEY, workers=2)
        if verb == "apply":
            return executor.apply(Plan.from_json(Path(plan).read_text())).exit_code
        if verb == "resume":
            return executor.resume("latest").exit_code
        return executor.rollback("latest").exit_code


if __name__ == "__main__":
    _, PROFILE, FOLDER, VERB, PLAN, COMMIT, SIGNAL, TIMES = sys.argv
    sys.exit(main(PROFILE, FOLDER, VERB, PLAN, int(COMMIT), signal.Signals[SIGNAL], int(TIMES)))
