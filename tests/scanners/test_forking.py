from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are copied on Linux only")

COPIES = """
import os, sys
from scanners.sources import forking
assert forking.possible()
me = os.getpid()

def work(number):
    if os.getpid() != me and number in DEADLY:
        os._exit(9)
    return number * number, os.getpid()

done = forking.each(work, range(COUNT), 3)
assert [square for square, _ in done] == [number * number for number in range(COUNT)]
assert not os.path.exists("/proc/self/task/%d/children" % me) or not open("/proc/self/task/%d/children" % me).read()
print("done")
"""

SCAN = """
import sys
from pathlib import Path
from scanners.engine import Engine
from scanners.model import Fingerprinter
from scanners.sources import files, forking
assert forking.possible()
engine, key = Engine.load(), Fingerprinter(b"7" * 32)
alone = files.scan([Path(sys.argv[1])], engine=engine, fingerprinter=key, workers=1)
together = files.scan([Path(sys.argv[1])], engine=engine, fingerprinter=key, workers=3)
assert alone.findings == together.findings and len(alone.findings) == 30
assert alone.scanned == together.scanned and alone.errors == together.errors
print("done")
"""


ASIDE = """
import os
from scanners.sources import forking
me = os.getpid()

def work():
    if os.getpid() != me and DIES:
        os._exit(9)
    return os.getpid(), list(range(100_000))

aside = forking.Aside(work)
assert aside.done_within(60)
who, numbers = aside.result()
assert numbers == list(range(100_000)) and (who == me) is DIES
assert not open("/proc/self/task/%d/children" % me).read()
print("done")
"""


def run(code: str, *arguments: str, home: Path) -> str:
    environment = {**os.environ, "XDG_CACHE_HOME": str(home)}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.strip()


@pytest.mark.parametrize("deadly", ["()", "(5, 6, 7)", "range(200)"])
@pytest.mark.parametrize("count", [0, 1, 200])
def test_every_item_is_done_though_copies_die(count: int, deadly: str, tmp_path: Path) -> None:
    assert run(COPIES.replace("COUNT", str(count)).replace("DEADLY", deadly), home=tmp_path) == "done"


@pytest.mark.parametrize("dies", ["True", "False"])
def test_what_is_worked_out_aside_is_worked_out_though_the_copy_dies(dies: str, tmp_path: Path) -> None:
    assert run(ASIDE.replace("DIES", dies), home=tmp_path) == "done"


def test_copies_find_the_same(tmp_path: Path) -> None:
    for number in range(30):
        folder = tmp_path / "tree" / str(number)
        folder.mkdir(parents=True)
        (folder / "x.env").write_text(f"A=1\nDB_PASSWORD=Wint3r-{number}-k9Xq2\n")
    assert run(SCAN, str(tmp_path / "tree"), home=tmp_path) == "done"


def test_more_items_than_a_pipe_holds_are_refused() -> None:
    from scanners.sources import forking

    with pytest.raises(ValueError, match="pipe"):
        forking.each(abs, range(20_000), 2)
