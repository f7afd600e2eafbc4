"""Scan what is very large: a file of one line, a binary file, a tree of small files, a history of small commits.

    python benchmarks/scale.py [--only line binary tree commits] [--part 1.0] [--folder DIR]

Each input is made in a temporary folder (2 GB at most, when all of it is asked for), scanned by `keylift scan` on a
terminal of its own, and taken away. Printed are the time, the largest process by its resident memory (of every process
of the scan, git included), how often progress was shown, and how many of the planted values were found. The exit code
is 1 where a process passes the limit, a value is missed, or nothing was shown.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

BIN = Path(sys.executable).parent
LIMIT_MIB = 150
SIZES = {"line": 2_000_000_000, "binary": 1_000_000_000, "tree": 200_000, "commits": 100_000}
"""Bytes, bytes, files and commits."""
PLANTED = 20


def planted(number: int) -> str:
    """A made-up value."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    return "ghp_" + "".join(random.Random(f"planted {number}").choices(letters, k=36))


def make_line(folder: Path, size: int) -> list[str]:
    """One file without a line break."""
    words = (
        b'{"id": 1234, "name": "someone", "path": "/a/b/c.txt", "key": "value", "tokens": 17, "text": "lorem ipsum"},'
    )
    block = words * (1_000_000 // len(words))
    with (folder / "data.json").open("wb") as file:
        for number in range(PLANTED):
            while file.tell() < size * (number + 1) // PLANTED:
                file.write(block)
            file.write(f'"token": "{planted(number)}",'.encode())
    return ["files", str(folder)]


def make_binary(folder: Path, size: int) -> list[str]:
    """Noise, with values in characters of one byte and of two."""
    noise = random.Random(1).randbytes(8_000_000)
    with (folder / "data.bin").open("wb") as file:
        for number in range(PLANTED):
            while file.tell() < size * (number + 1) // PLANTED:
                file.write(noise)
            file.write(b"\x00\x01" + planted(number).encode("utf-16-le" if number % 2 else "ascii") + b"\x00\x00\x01")
    return ["files", str(folder)]


def make_tree(folder: Path, size: int) -> list[str]:
    """Many small files in many folders, each another text."""
    for number in range(size):
        below = folder / f"{number % 97:02}" / f"{number // 97 % 89:02}"
        if number < 97 * 89:
            below.mkdir(parents=True, exist_ok=True)
        text = f"def function_{number}(value):\n    return value + {number}\n\n\nname = 'n{number}'\n"
        if number % (size // PLANTED) == 0:
            text += f"token = '{planted(number // (size // PLANTED))}'\n"
        (below / f"module_{number}.py").write_text(text)
    return ["files", str(folder)]


def make_commits(folder: Path, size: int) -> list[str]:
    """Commits that each change one of a thousand files a little."""
    subprocess.run(["git", "init", "-q", "-b", "main", str(folder)], check=True)
    importing = subprocess.Popen(["git", "-C", str(folder), "fast-import", "--quiet"], stdin=subprocess.PIPE)
    assert importing.stdin is not None
    for number in range(size):
        text = "".join(f"setting_{line} = {number if line == number % 29 else line}\n" for line in range(30))
        if number % (size // PLANTED) == 0:
            text += f"token = '{planted(number // (size // PLANTED))}'\n"
        message = f"change {number}"
        name = f"src/{number % 31:02}/module_{number % 1000}.py"
        importing.stdin.write(
            f"commit refs/heads/main\ncommitter B <b@example.com> {1_500_000_000 + 60 * number} +0000\n"
            f"data {len(message)}\n{message}\nM 100644 inline {name}\ndata {len(text)}\n{text}\n".encode()
        )
    importing.stdin.close()
    if importing.wait():
        raise SystemExit("git fast-import failed")
    return ["repo", str(folder), "--history"]


MAKERS: dict[str, Callable[[Path, int], list[str]]] = {
    "line": make_line,
    "binary": make_binary,
    "tree": make_tree,
    "commits": make_commits,
}


@dataclass
class Watched:
    """The processes of one scan, as they were seen."""

    session: int
    largest: dict[str, float] = field(default_factory=dict)
    """MiB by the program's name."""

    def look(self) -> None:
        """Take down what every process of the session has held at most."""
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                about = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(about[3]) != self.session:
                    continue
                status = dict(line.split(":", 1) for line in (entry / "status").read_text().splitlines() if ":" in line)
                name, held = status["Name"].strip(), int(status["VmHWM"].split()[0]) / 1024
            except (OSError, KeyError, IndexError, ValueError):
                continue
            self.largest[name] = max(self.largest.get(name, 0.0), held)


def scan(arguments: list[str], state: Path) -> tuple[int, float, Watched, int, int]:
    """Run keylift; its exit code, seconds, processes, how often it told how far it is, and values found."""
    outer, inner = pty.openpty()
    shown = bytearray()

    def drain() -> None:
        while True:
            try:
                data = os.read(outer, 65536)
            except OSError:
                return
            if not data:
                return
            shown.extend(data)

    report = state / "report.json"
    command = [
        str(BIN / "keylift"),
        "scan",
        *arguments,
        "--state-dir",
        str(state),
        "--format",
        "json",
        "--output",
        str(report),
    ]
    began = time.monotonic()
    process = subprocess.Popen(
        command, stdin=inner, stdout=inner, stderr=inner, start_new_session=True, env={**os.environ, "TERM": "xterm"}
    )
    os.close(inner)
    reader = threading.Thread(target=drain, daemon=True)
    reader.start()
    watched = Watched(process.pid)
    while process.poll() is None:
        watched.look()
        time.sleep(0.05)
    seconds = time.monotonic() - began
    reader.join(5)
    os.close(outer)
    findings = json.loads(report.read_text())["findings"] if report.exists() else []
    found = len({finding["fingerprint"] for finding in findings if finding["rule"].startswith("github")})
    return process.returncode, seconds, watched, shown.count(b" of "), found


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=tuple(MAKERS), default=tuple(MAKERS))
    parser.add_argument("--part", type=float, default=1.0, help="of the sizes that are meant: 0.01 for a hundredth")
    parser.add_argument("--folder", type=Path, help="where inputs are made; by default the system's temporary folder")
    options = parser.parse_args()
    print(f"{'input':<10} {'size':>14} {'exit':>5} {'seconds':>8} {'shown':>6} {'found':>6}  largest process, MiB")
    failed = False
    for name in options.only:
        size = int(SIZES[name] * options.part)
        folder = Path(tempfile.mkdtemp(prefix="keylift-scale-", dir=options.folder))
        try:
            (folder / "input").mkdir()
            (folder / "state").mkdir(mode=0o700)
            arguments = MAKERS[name](folder / "input", size)
            code, seconds, watched, shown, found = scan(arguments, folder / "state")
        finally:
            shutil.rmtree(folder)
        held = ", ".join(f"{program} {mib:.0f}" for program, mib in sorted(watched.largest.items()))
        wrong = code != 10 or found < PLANTED or not shown or max(watched.largest.values(), default=0) > LIMIT_MIB
        failed |= wrong
        print(
            f"{name:<10} {size:>14,} {code:>5} {seconds:>8.1f} {shown:>6} {found:>3}/{PLANTED}  {held}"
            f"{'  FAILED' if wrong else ''}",
            flush=True,
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
