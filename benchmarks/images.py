"""Scan images with keylift and its peers, and print how they compare.

    python benchmarks/images.py --betterleaks BIN --trivy BIN [--kingfisher BIN] [--gitleaks BIN] [--large] [--runs 3]

The small image is two layers of 48 MB in all: this environment's site-packages in part, and five planted secrets. With
`--large`, a Debian root file system by debootstrap and the whole site-packages, about 1 GB, is built first (as root).
Only ratios within one run compare.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.images import build, planted  # noqa: E402 - found by the line above

SMALL = 48 * 1000 * 1000


@dataclass
class Ran:
    """The best of several runs of one command."""

    seconds: float
    mib: float
    found: str
    code: int


def main() -> None:
    """Build, run, print."""
    options = argparse.ArgumentParser(description=__doc__)
    for name in ("betterleaks", "trivy", "kingfisher", "gitleaks"):
        options.add_argument(f"--{name}", type=Path)
    options.add_argument("--large", action="store_true")
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--build", choices=["small", "large"], help=argparse.SUPPRESS)
    options.add_argument("--folder", type=Path, help="Keep images here [a temporary folder].")
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
            compare(name, image, given, folder)
    finally:
        if given.folder is None:
            shutil.rmtree(folder, ignore_errors=True)


def site_packages() -> Path:
    return Path(sysconfig.get_paths()["purelib"])


def build_small(path: Path) -> None:
    """Two layers: packages, and the planted image's own files."""
    files: dict[str, bytes | str | None] = {}
    size = 0
    for file in sorted(site_packages().rglob("*")):
        if file.is_file() and not file.is_symlink():
            data = file.read_bytes()
            if size + len(data) > SMALL:
                continue
            files[f"usr/lib/python3/{file.relative_to(site_packages())}"] = data
            size += len(data)
    made = planted.image()
    image = build.Made([build.tar(files), made.layers[1], made.layers[2]], made.env, made.history)
    build.write_tar(path, build.docker_files(image))


def build_large(path: Path, folder: Path) -> None:
    """A Debian root file system with site-packages until it is about a gigabyte, and the planted image above."""
    root = folder / "root"
    if not root.exists():
        subprocess.run(
            ["debootstrap", "--variant=minbase", "bookworm", str(root)], check=True, stdout=subprocess.DEVNULL
        )
    made = planted.image()
    out = folder / "base.tar"
    with tarfile.open(out, "w") as archive:
        archive.add(root, ".")
        number = 0
        while out.stat().st_size < 1_000_000_000:
            archive.add(site_packages(), f"opt/env-{number}/site-packages")
            number += 1
    base = out.read_bytes()
    image = build.Made([base, made.layers[1], made.layers[2]], made.env, made.history)
    build.write_tar(path, build.docker_files(image))
    out.unlink()


def commands(image: Path, given: argparse.Namespace, folder: Path) -> Iterator[tuple[str, list[str], Path | None]]:
    state = folder / "state"
    keylift = [str(Path(sys.executable).with_name("keylift")), "scan", "image", str(image), "--format", "json"]
    yield (
        "keylift",
        [*keylift, "--state-dir", str(state), "--output", str(folder / "keylift.json")],
        folder / "keylift.json",
    )
    yield (
        "keylift again",
        [*keylift, "--state-dir", str(state), "--output", str(folder / "keylift.json")],
        folder / "keylift.json",
    )
    if given.betterleaks:
        report = folder / "betterleaks.json"
        yield (
            "betterleaks",
            [str(given.betterleaks), "fs", str(image), "-s", "--exit-code=0", "-o", str(report)],
            report,
        )
    if given.gitleaks:
        report = folder / "gitleaks.json"
        yield (
            "gitleaks",
            [str(given.gitleaks), "dir", str(image), "--max-archive-depth", "4", "-r", str(report), "--exit-code", "0"],
            report,
        )
    if given.trivy:
        report = folder / "trivy.json"
        flags = ["--scanners", "secret", "--image-config-scanners", "secret", "--offline-scan"]
        yield (
            "trivy",
            [str(given.trivy), "image", "--input", str(image), *flags, "-q", "-f", "json", "-o", str(report)],
            report,
        )
    if given.kingfisher:
        report = folder / "kingfisher.json"
        yield (
            "kingfisher",
            [
                str(given.kingfisher),
                "scan",
                "docker",
                "--archive",
                str(image),
                "--no-validate",
                "--no-update-check",
                "-q",
                "-f",
                "json",
                "-o",
                str(report),
            ],
            report,
        )


def compare(name: str, image: Path, given: argparse.Namespace, folder: Path) -> None:
    """Run everything on one image, and print a table."""
    print(f"\n{name} image, {image.stat().st_size / 1e6:,.0f} MB")
    print(f"{'':<15}{'seconds':>9}{'of betterleaks':>16}{'MiB':>7}  planted secrets found")
    rows: dict[str, Ran] = {}
    for tool, command, report in commands(image, given, folder):
        best: Ran | None = None
        for _ in range(given.runs):
            if tool == "keylift":
                shutil.rmtree(folder / "state" / "cache" / "layers", ignore_errors=True)
            ran = run(command, report)
            best = ran if best is None or ran.seconds < best.seconds else best
        assert best is not None
        rows[tool] = best
    base = rows["betterleaks"].seconds if "betterleaks" in rows else None
    for tool, ran in rows.items():
        ratio = f"{ran.seconds / base:.2f}" if base else "-"
        failed = f"  (exit {ran.code})" if ran.code not in {0, 10, 200, 205} else ""
        print(f"{tool:<15}{ran.seconds:>9.2f}{ratio:>16}{ran.mib:>7.0f}  {ran.found}{failed}")


def run(command: list[str], report: Path | None) -> Ran:
    """One run: wall seconds, peak memory, which of the planted secrets the report has."""
    if report is not None:
        report.unlink(missing_ok=True)
    environment = {**os.environ, "TRIVY_CACHE_DIR": str((report or Path(tempfile.gettempdir())).parent / "trivy-cache")}
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
    output = process.stdout.read() if process.stdout else b""
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.stdout:
        process.stdout.close()
    text = output.decode("utf-8", "replace")
    if report is not None and report.exists():
        text += report.read_text(encoding="utf-8", errors="replace")
    return Ran(seconds, peak(usage), found_in(text), process.returncode)


def peak(usage: resource.struct_rusage) -> float:
    return usage.ru_maxrss / 1024


_SIGNS = {
    "live": ("/app/settings.ini", "settings.ini"),
    "deleted": ("/app/build/deploy.env", "deploy.env"),
    "env": ("Env.DB_PASSWORD", planted.ENV),
    "argument": ("History[2]", planted.ARGUMENT),
    "jar": ("/app/shop.jar!/application.properties", "application.properties"),
}
"""How a report shows that it has one: by the place, or, where others have no word for the place, by the value."""


def found_in(text: str) -> str:
    has = [name for name, signs in _SIGNS.items() if any(sign in text for sign in signs)]
    missing = [name for name in _SIGNS if name not in has]
    return f"{len(has)} of 5" + (f", not: {', '.join(missing)}" if missing else "")


if __name__ == "__main__":
    main()
