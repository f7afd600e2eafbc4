"""Measure a rehearsal: wall and processor seconds of `keylift rehearse` for a number of apps.

    python benchmarks/rehearse.py [--apps 20]

The estate is the one of `benchmarks/run.py`; the target is a minute for 20 apps on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.run import estate  # the same one


def main() -> None:
    """Plan and rehearse, and print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--apps", type=int, default=20)
    apps = parser.parse_args().apps
    with tempfile.TemporaryDirectory(prefix="keylift-bench-") as name:
        folder = Path(name)
        (folder / "estate.json").write_text(json.dumps(estate(apps)), encoding="utf-8")
        keylift = [sys.executable, "-m", "migrator"]
        server = subprocess.Popen(
            [*keylift, "simulator", "--estate", "estate.json", "--state-dir", "sim"],
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            profile = json.loads(server.stdout.readline())["profile"]
            common = ["--cloud", profile, "--state-dir", "state"]
            vault = ["--vault", "kv-bench", "-o", "plan.json"]
            subprocess.run([*keylift, "plan", *vault, *common], cwd=folder, check=True, capture_output=True)
            before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
            told = subprocess.run(
                [*keylift, "rehearse", "plan.json", "--format", "json", *common],
                cwd=folder,
                check=True,
                capture_output=True,
                text=True,
            )
            wall = time.monotonic() - began
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
        finally:
            server.terminate()
            server.wait()
        held = json.loads(told.stdout)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        every = held["at_every_step"]
        print(
            f"rehearse {apps} apps: {wall:.1f} s wall, {used:.1f} s processor, {held['steps']} steps, "
            f"{len(held['faults'])} faults by kind, {every['faults']} at {every['steps']} steps, ok: {held['ok']}"
        )


if __name__ == "__main__":
    main()
