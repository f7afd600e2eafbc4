"""`keylift simulator`: a loopback Azure to try things on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from migrator.errors import UsageError


@click.command()
@click.option(
    "--estate",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="What the simulated cloud holds (JSON, see docs/estate.md).",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of Resource Manager [a free one].")
@click.option("--state-dir", type=click.Path(path_type=Path), metavar="DIR", help="Folder for the profile and the CA.")
@click.option(
    "--world", type=click.Path(path_type=Path), metavar="FILE", help="Load the world from FILE, save it there."
)
@click.option("--request-log", type=click.Path(path_type=Path), metavar="FILE", help="Write a line for each request.")
@click.option(
    "--faults",
    type=click.Path(path_type=Path, exists=True),
    metavar="FILE",
    help="Faults to give (JSON list of rules).",
)
@click.option("--speed", type=click.FloatRange(min=0.001), default=60.0, help="Virtual seconds a wall second [60].")
@click.option("--switch", "switches", multiple=True, metavar="NAME=VALUE", help="Choose an answer Azure leaves open.")
@click.option("-v", "--verbose", is_flag=True, help="Show tracebacks.")
def simulator(
    estate: Path,
    port: int,
    state_dir: Path | None,
    world: Path | None,
    request_log: Path | None,
    faults: Path | None,
    speed: float,
    switches: tuple[str, ...],
    verbose: bool,  # noqa: ARG001 - `main` looks for it
) -> None:
    """Run a loopback Azure until SIGTERM.

    Prints one JSON line when it is ready: {"profile": PATH, "arm": URL, "pid": N}. Use the profile with --cloud.
    """
    import json

    from migrator.simulator import run

    chosen: dict[str, Any] = {}
    for item in switches:
        name, sign, text = item.partition("=")
        if not sign:
            raise UsageError(f"--switch {item}: a value is missing", hint="write --switch NAME=VALUE")
        try:
            chosen[name] = json.loads(text)
        except ValueError:
            chosen[name] = text
    try:
        code = run.serve(
            estate,
            port=port,
            state_dir=state_dir,
            world=world,
            request_log=request_log,
            faults=faults,
            speed=speed,
            switches=chosen,
        )
    except (ValueError, OSError) as error:
        raise UsageError(
            "the simulator cannot start", why=str(error), hint="see docs/estate.md for the formats"
        ) from error
    raise click.exceptions.Exit(code)
