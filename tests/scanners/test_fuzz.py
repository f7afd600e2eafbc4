"""What fuzzing found, run again; a few inputs more each time; and how work grows with hostile input."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

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


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.one_of(st.binary(max_size=300), st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join)))
def test_no_input_breaks_any_reader(every: dict[str, Check], data: bytes) -> None:
    for check in every.values():
        check(data)


BASELINE = {
    "version": "1.5.0",
    "plugins_used": [{"name": "KeyliftDetector", "path": "x"}],
    "filters_used": [],
    "results": {"a.txt": [{"type": "x", "hashed_secret": "00", "line_number": 1}]},
}
REPORTS = sorted((Path(__file__).parent / "foreign").iterdir())
ODD = st.recursive(
    st.sampled_from([None, True, -1, 0.5, "", "x", "1.2", "a\x00b", "\ud800", 10**30]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["x", "type", "line_number"]), inner, max_size=2)
    ),
    max_leaves=3,
)


def spoiled(choose: st.DataObject, document: Any) -> Any:
    """A document in which one thing is something else."""
    within = isinstance(document, dict | list) and document and choose.draw(st.integers(0, 5))
    if not within:
        return choose.draw(ODD)
    key = choose.draw(st.sampled_from(sorted(document) if isinstance(document, dict) else range(len(document))))
    copy = dict(document) if isinstance(document, dict) else list(document)
    if isinstance(copy, dict) and choose.draw(st.integers(0, 5)) == 0:
        del copy[key]
    else:
        copy[key] = spoiled(choose, copy[key])
    return copy


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(choose=st.data())
def test_spoiled_documents_are_refused_or_read(every: dict[str, Check], choose: st.DataObject) -> None:
    every["baseline"](json.dumps(spoiled(choose, BASELINE)).encode())
    lines = choose.draw(st.sampled_from(REPORTS)).read_text().splitlines()
    try:
        documents = [json.loads("\n".join(lines))]
    except ValueError:
        documents = [json.loads(line) for line in lines if line.strip()]
    every["imports"]("\n".join(json.dumps(spoiled(choose, document)) for document in documents).encode())


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
