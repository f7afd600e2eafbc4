"""A machine of its own that applies with shared state, and kills itself right before or after the N-th record."""

from __future__ import annotations

import itertools
import os
import signal
import sys
from pathlib import Path

from migrator.cloud.blob_ledger import BlobLedger
from migrator.cloud.blobs import BlobFolder
from migrator.cloud.cloud import AzureCloud
from migrator.cloud.profiles import load_profile
from migrator.cloud.session import Session
from migrator.executor import Executor
from migrator.journal import Journal
from migrator.model import Json, Plan
from migrator.shared import SharedState
from tests.executor.world import KEY, Fast


def main(profile: str, state: str, plan: str, number: int, after: str) -> int:
    count = itertools.count(1)

    class Mortal(BlobLedger):
        def append(self, run: str, record: Json) -> None:
            due = next(count) == number
            if due and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            super().append(run, record)
            if due:
                os.kill(os.getpid(), signal.SIGKILL)

    clock, cloud = Fast(), load_profile(profile)
    with (
        Session(cloud) as storage,
        Journal.of(Mortal(BlobFolder(storage, SharedState.parse(state)), user="operator", seconds=15)) as journal,
        Session(cloud, clock=clock, seed=1) as session,
    ):
        executor = Executor(AzureCloud(session), journal, clock, KEY, workers=2)
        return executor.apply(Plan.from_json(Path(plan).read_text())).exit_code


if __name__ == "__main__":
    _, PROFILE, STATE, PLAN, NUMBER, AFTER = sys.argv
    sys.exit(main(PROFILE, STATE, PLAN, int(NUMBER), AFTER))
