"""What fuzzing found, run again; a few inputs more each time; and how work grows with hostile input."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scanners.engine import Engine
from scanners.model import Document, FileLocation
from tests.scanners.fuzzing import FOUND, Check, checks

CASES = sorted(FOUND.glob("*/*.bin"))
PIECES = (b"'", b'"', b"=", b"A", b"ZGF0", b"{", b"[", b"(", b"<", b"\\", b'\\"', b"%25", b"\\u005c", b"password=", b"://", b"eyJ",
    b"-----BEGIN ", b"${", b"{{", b" ", b"\n", b"\x00", b"key: ", b"a:b@", b".", b"-", b"/", b"0", b"a\x00", b"pwd='x',", b"\xff",
    b"token: \n", b"sig=%2", b"AccountKey=", b"-u a:b ", b"<key>")  # fmt: skip
HERE = FileLocation("hostile", 1, 1)


@pytest.fixture(scope="module")
def every(engine: Engine, plain_engine: Engine) -> dict[str, Check]:
    return checks(engine, plain_engine)


@pytest.mark.parametrize("case", CASES, ids=[f"{case.parent.name}-{case.stem}" for case in CASES])
def test_what_was_found_stays_mended(case: Path, every: dict[str, Check]) -> None:
    every[case.parent.name](case.read_bytes())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.one_of(st.binary(max_size=300), st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join)))
def test_no_input_breaks_any_reader(every: dict[str, Check], data: bytes) -> None:
    for check in every.values():
        check(data)


@pytest.mark.parametrize("piece", PIECES, ids=ascii)
def test_work_grows_with_the_size_of_hostile_input(engine: Engine, piece: bytes) -> None:
    """Not timed: calls are counted, and the bytes that patterns are tried on, which bound what happens between calls."""
    short, long = (piece * (size // len(piece)) for size in (6_000, 24_000))
    engine.scan(Document(long, HERE))
    assert (
        calls(lambda: engine.scan(Document(long, HERE)))
        <= 4.6 * calls(lambda: engine.scan(Document(short, HERE))) + 400
    )
    assert tried(engine, long) <= 4.2 * tried(engine, short) + 4_000


def calls(work: Callable[[], object]) -> int:
    """How many functions are called, of Python and of C."""
    count = 0

    def counted(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def tried(engine: Engine, data: bytes) -> int:
    """How many bytes patterns are tried on, over all rules."""
    return sum(stop - low for _, windows in engine._matcher.look(data).windows for low, _, stop in windows)
