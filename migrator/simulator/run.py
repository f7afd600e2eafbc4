"""`keylift simulator`: one simulated cloud in the foreground, until it is told to stop."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from migrator.simulator.faults import Faults
from migrator.simulator.server import Simulator

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def serve(
    estate: Path,
    *,
    port: int = 0,
    state_dir: Path | None = None,
    world: Path | None = None,
    request_log: Path | None = None,
    faults: Path | None = None,
    speed: float = 60.0,
    switches: Mapping[str, Any] | None = None,
) -> int:
    """Serve the cloud of `estate` until SIGTERM or SIGINT, and give the exit code.

    Standard output gets one JSON line when everything listens: `{"profile": PATH, "arm": URL, "pid": N}`. In
    `state_dir` (a temporary folder, removed at the end, if None) are the profile, the CA's certificate and one profile
    for each identity. The other arguments are those of `Simulator`; `faults` is a file with a JSON list of rules,
    or with an object of `seed` (which decides their chances) and `rules`.

    Raises:
        ValueError: a file is not in its format, a switch is unknown.
        OSError: a file cannot be read, the port is taken.
    """
    rules, seed = _rules(faults) if faults is not None else ([], 0)
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        simulator = Simulator(
            estate,
            world=world,
            directory=state_dir,
            port=port,
            speed=speed,
            switches=switches,
            faults=rules,
            fault_seed=seed,
            request_log=request_log,
        )
        with simulator:
            line = {"profile": str(simulator.profile_path), "arm": simulator.arm, "pid": os.getpid()}
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
            # with a timeout, because a wait without one keeps signals from being handled on some platforms
            while not stop.wait(1):
                pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def _rules(file: Path) -> tuple[list[dict[str, Any]], int]:
    try:
        document: Any = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file}: not JSON: {error}") from error
    if isinstance(document, list):
        document = {"rules": document}
    rules = document.get("rules") if isinstance(document, dict) else None
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise ValueError(f"{file}: a list of fault rules is needed, or an object with 'rules' and 'seed'")
    seed = document.get("seed", 0)
    if not isinstance(seed, int) or set(document) - {"rules", "seed"}:
        raise ValueError(f"{file}: 'seed' is a whole number, and beside it and 'rules' there is nothing")
    try:
        Faults(rules)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    return rules, seed
