"""Measure keylift on simulated estates: requests per app, wall time, peak memory, for growing numbers of apps.

    python benchmarks/run.py [--apps 10 100 1000] [--speed 600]

Prints one table; figures of different machines do not compare, figures of one run do.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from migrator.demo_estate import LOCATION, SUBSCRIPTION, Values, app_document, env

GROUP = "rg-bench"
PROVIDER = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers"
ROOT = Path(__file__).parents[1]


def estate(apps: int) -> dict[str, Any]:
    """`apps` apps with one secret env value each; every other one has an inline secret, too."""
    values = Values(1)
    documents = []
    for number in range(apps):
        secrets = [{"name": "token", "value": values.text(40)}] if number % 2 else None
        documents.append(
            app_document(GROUP, f"app-{number:04d}", env(DB_PASSWORD=values.text(24), MODE="live"), secrets=secrets)
        )
    return {
        "schema": 1,
        "subscriptions": [SUBSCRIPTION],
        "resources": [
            {
                "id": f"{PROVIDER}/Microsoft.App/managedEnvironments/cae-bench",
                "name": "cae-bench",
                "type": "Microsoft.App/managedEnvironments",
                "location": LOCATION,
                "properties": {},
            },
            {
                "id": f"{PROVIDER}/Microsoft.KeyVault/vaults/kv-bench",
                "name": "kv-bench",
                "type": "Microsoft.KeyVault/vaults",
                "location": "westeurope",
                "properties": {"enableRbacAuthorization": True},
            },
            *documents,
        ],
        "vaultSecrets": [],
        "roleAssignments": [],
        "locks": [],
    }


@dataclass
class Measured:
    """One command, measured from outside."""

    command: str
    seconds: float
    peak_mib: float
    requests: collections.Counter[str]
    code: int


def shape(entry: dict[str, Any]) -> str:
    """A request's kind: method and path with its names taken out."""
    path = re.sub(
        r"(?i)(/subscriptions|/resourcegroups|/containerapps|/revisions|/userassignedidentities|/secrets)/[^/]+",
        r"\1/*",
        entry["path"],
    )
    path = re.sub(r"(?i)(operationstatuses|operationresults|roleassignments)/[^/]+", r"\1/*", path)
    return f"{entry['method']} {path.rsplit('/providers/', 1)[-1]}"


def run(arguments: list[str], log: Path, code: int) -> Measured:
    """Run one keylift command; count the requests it made."""
    start = log.stat().st_size if log.exists() else 0
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "migrator", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != code:
        print((process.stderr.read() if process.stderr else b"").decode()[-2000:], file=sys.stderr)
    time.sleep(0.2)
    with log.open("rb") as stream:
        stream.seek(start)
        requests = collections.Counter(shape(json.loads(line)) for line in stream)
    return Measured(arguments[0], seconds, usage.ru_maxrss / 1024, requests, process.returncode)


def measure(apps: int, speed: float, folder: Path, details: bool) -> list[Measured]:
    """Scan, plan, apply, verify and roll back an estate of `apps` apps."""
    file = folder / f"estate-{apps}.json"
    file.write_text(json.dumps(estate(apps)))
    log = folder / f"requests-{apps}.log"
    simulator = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "migrator",
            "simulator",
            "--estate",
            str(file),
            "--state-dir",
            str(folder / f"sim-{apps}"),
            "--request-log",
            str(log),
            "--speed",
            str(speed),
            # a token that lasts a day of virtual time is short on a fast clock: clients would renew it at every call
            "--switch",
            f"token_lifetime={speed * 86400}",
        ],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    try:
        profile = json.loads(simulator.stdout.readline() if simulator.stdout else "")["profile"]
        common = ["--cloud", profile, "--state-dir", str(folder / f"state-{apps}"), "--quiet"]
        plan = str(folder / f"plan-{apps}.json")
        results = [
            run(["scan", "azure", *common], log, 10),
            run(["scan", "azure", "--revisions", *common], log, 10),
            run(["plan", "--vault", "kv-bench", "-o", plan, *common], log, 0),
            run(["apply", plan, "--auto-approve", *common], log, 0),
        ]
        if details:
            for result in results:
                print(f"\n{apps} apps, {result.command}:")
                for kind, count in result.requests.most_common(12):
                    print(f"  {count:6d}  {kind}")
        return results
    finally:
        simulator.send_signal(signal.SIGTERM)
        simulator.wait(60)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apps", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--speed", type=float, default=600.0, help="virtual seconds a second of the simulator")
    parser.add_argument("--details", action="store_true", help="print requests by kind")
    options = parser.parse_args()
    print(
        f"{'apps':>5}  {'command':<18} {'exit':>4} {'requests':>9} {'per app':>8} {'seconds':>8} {'s/app':>8} {'peak MiB':>9}"
    )
    with tempfile.TemporaryDirectory(prefix="keylift-bench-") as folder:
        for apps in options.apps:
            for index, result in enumerate(measure(apps, options.speed, Path(folder), options.details)):
                name = ["scan", "scan --revisions", "plan", "apply"][index]
                total = sum(result.requests.values())
                print(
                    f"{apps:>5}  {name:<18} {result.code:>4} {total:>9} {total / apps:>8.2f} {result.seconds:>8.2f} "
                    f"{result.seconds / apps:>8.4f} {result.peak_mib:>9.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
