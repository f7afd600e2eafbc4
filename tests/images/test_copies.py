"""Copies of the process judge what streams by: they find the same as one process does, and hide nothing when they die."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.images import build, planted

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are copied on Linux only")

SCAN = """
import io, os, sys
from dataclasses import replace
from pathlib import Path
from scanners.engine import Engine
from scanners.images import judging
from scanners.images.limits import DEFAULT
from scanners.model import Fingerprinter
from scanners.sources import forking, image

me, items, deaths = os.getpid(), judging.Judge.items, Path(sys.argv[2])
def deadly(self, some):
    if os.getpid() != me:
        deaths.touch()
        if DEADLY:
            os._exit(9)
    return items(self, some)
judging.Judge.items = deadly

def scan(workers):
    assert forking.possible()
    if sys.argv[1] == "-":
        sys.stdin = io.TextIOWrapper(open(sys.argv[3], "rb"))
    return image.scan([sys.argv[1]], engine=engine, fingerprinter=Fingerprinter(bytes(32)), workers=workers, limits=LIMITS)

engine = Engine.load()
alone = scan(1)
assert not deaths.exists()
together = scan(3)
assert deaths.exists(), "no copy was at work"
assert alone == together, (alone, together)
assert not os.path.exists(f"/proc/{me}/task/{me}/children") or not open(f"/proc/{me}/task/{me}/children").read()
paths = {finding.location.as_dict().get("path", "").partition("!")[0] for finding in alone.findings}
print(len(paths), *sorted(error["what"] for error in alone.errors))
"""


def large(path: Path) -> Path:
    """Every kind of place, files larger than what is handed over at once, names twice, and damage."""
    made = planted.image()
    noise = b"".join(f"line {number} of nothing much\n".encode() for number in range(260_000))
    jar = build.jar({"a.properties": b"db_password=" + planted.password().encode(), "pad": os.urandom(5_000_000)})
    first = build.tar(
        {
            "app/large.log": noise + b"db_password = " + planted.password().encode() + b"\n" + noise,
            "app/large.jar": jar,
            "app/bad.jar": b"PK\x03\x04" + b"\xff" * 300,
            **{f"app/conf/{number}.ini": f"db_password = {planted.password()}\n".encode() for number in range(1200)},
        }
    )
    again = build.tar({"app/twice": b"db_password = " + planted.password().encode()})[:1024] + build.tar(
        {"app/twice": b"nothing"}
    )
    return build.write_tar(path, build.oci_files(build.Made([*made.layers, first, again], made.env), build.plain))


def run(tmp_path: Path, *, stdin: bool, deadly: str = "False", limits: str = "DEFAULT") -> tuple[int, str]:
    """How many paths something was found at, and the errors."""
    path = large(tmp_path / "image.tar")
    code = SCAN.replace("DEADLY", deadly).replace("LIMITS", limits)
    command = [sys.executable, "-c", code, "-" if stdin else str(path), str(tmp_path / "at-work"), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    paths, _, errors = done.stdout.strip().partition(" ")
    return int(paths), errors


@pytest.mark.parametrize("stdin", [False, True])
def test_copies_find_the_same(stdin: bool, tmp_path: Path) -> None:
    paths, errors = run(tmp_path, stdin=stdin)
    assert paths > 1100
    assert errors == "the archive is damaged: BadZipFile"


@pytest.mark.parametrize("deadly", ["True", "any('700.ini' in about[0] for about, _ in some)"])
def test_copies_that_die_hide_nothing(deadly: str, tmp_path: Path) -> None:
    assert run(tmp_path, stdin=False, deadly=deadly)[0] > 1100


def test_a_layer_with_more_findings_than_are_kept(tmp_path: Path) -> None:
    paths, errors = run(tmp_path, stdin=False, limits="replace(DEFAULT, layer_findings=700)")
    assert 600 < paths < 710
    assert "has more than 700 findings" in errors


STILL = """
import os, signal
from scanners.images.copies import Batches, Copies

copies = Copies(lambda items: [len(data) for _, data in items], 2, lambda: os.kill(os.getpid(), signal.SIGSTOP))
batches = Batches(copies)
taken = []
while (number := batches.add(("path",), 4, b"-" * (1024 * 1024 + len(taken)))) is not None:
    taken.append(number)
batches.finish()
assert len(taken) > 2
assert sorted(batches.made) == [(number, 1024 * 1024 + number) for number in taken], batches.made
copies.close()
"""


def test_who_waits_does_what_no_copy_has_begun() -> None:
    """Copies that get no processor hold up nothing but what they have in hand."""
    done = subprocess.run([sys.executable, "-c", STILL], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr[-3000:]
