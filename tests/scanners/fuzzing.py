"""What is asked of everything that reads untrusted bytes: one check for each reader, which raises when something is wrong.

`benchmarks/fuzz.py` runs the checks over inputs that it makes up, for as long as it is told; what it found lies in
`tests/scanners/fuzzed/`, one folder a check, and is run by the tests.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from scanners import allow, archives, baseline, ignoring, staged
from scanners.decoding import decoded_views
from scanners.engine import Engine
from scanners.imports import reading
from scanners.model import Document, FileLocation, Fingerprinter, Match, Secret, reveal
from scanners.positions import Lines
from scanners.sources import history
from scanners.sources.versions import author_date, shared_end, shared_start

Check = Callable[[bytes], None]
FOUND = Path(__file__).parent / "fuzzed"
_HERE = FileLocation("fuzz", 1, 1)
_LIMITS = archives.Limits(entry=1 << 20, total=4 << 20, ratio=200, entries=500)
_FINGERPRINTER = Fingerprinter(b"\x07" * 32)


def seen(matches: list[Match]) -> list[tuple[str, int, int, str | None, str | None, str]]:
    """Everything about matches that two engines have to agree on."""
    return [(m.rule, m.start, m.end, m.verified, m.detail, reveal(m.secret)) for m in matches]


def checks(engine: Engine, plain: Engine) -> dict[str, Check]:
    """All checks by name."""

    def scan(data: bytes) -> None:
        first = seen(engine.scan(Document(data, _HERE)))
        assert first == seen(engine.scan(Document(data, _HERE))), "two scans, two answers"
        lines = Lines(data)
        for _rule, start, end, *_ in first:
            assert 0 <= start < end <= len(data), "a match outside of the document"
            assert lines.at(start)[0] == data.count(b"\n", 0, start) + 1
        if len(data) < 4096 and sha256(data).digest()[0] < 32:
            assert first == seen(plain.scan(Document(data, _HERE))), "the matchers disagree"
        size = 0
        for view in decoded_views(data):
            size += len(view.data)
            assert 0 <= view.start < view.end <= len(data), "a view outside of the document"
        assert size <= 4 * len(data), "more decoded than there is"

    return {"engine": scan, **{check.__name__.strip("_"): check for check in _CHECKS}}


def _archives(data: bytes) -> None:
    total = 0
    for name in ("a.zip", "a.tar", "a.tar.gz", "a.gz", "a.zst"):
        errors: list[archives.Problem] = []
        for _path, content in archives.members(name, io.BytesIO(data), _LIMITS, errors):
            total += len(content)
        assert all(error["where"].startswith(name) and error["hint"] for error in errors)
    assert total <= 5 * _LIMITS.total, "limits were passed"


def _ignoring(data: bytes) -> None:
    text = data[:4096].decode("utf-8", "replace")
    ignore = ignoring.parse(text)
    if ignore is not None:
        for name in ("a/b/c.txt", text[:80], "x" * 200):
            ignoring.ignored(name, directory=False, files=[ignore])


def _patch(data: bytes) -> None:
    """A patch holds what the repository holds; only its headers are git's."""
    for _name, ranges in staged.added(data):
        assert all(1 <= low <= high or low == 0 for low, high in ranges)
    staged.unquoted(data)
    added = [line.replace(b"\r", b" ") for line in data.split(b"\n")[:50]]
    body = b"".join(b"+" + line + b"\n" for line in added)
    head = b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -0,0 +1,%d @@\n" % len(added)
    again = b"diff --git a/y b/y\n--- a/y\n+++ b/y\n@@ -3 +4 @@\n-" + added[0] + b"\n+" + added[-1] + b"\n"
    assert dict(staged.added(head + body + again)) == {b"x": [(1, len(added))], b"y": [(4, 4)]}


def _raw(data: bytes) -> None:
    """Names and messages are anybody's, and lie between what git says of them."""
    parts = [part for part in data.split(b"\0") if part.strip(b"\n")] or [b"x"]
    oid, zero = b"1" * 40, b"0" * 40
    removed: list[str] = []
    listed = b"".join(b":100644 100644 %s %s M\0%s\0" % (zero, oid, part) for part in parts)
    listed += b":100644 100644 %s %s R100\0%s\0%s\0" % (oid, oid, parts[0], parts[-1])
    files = list(staged.changed(listed, removed))
    assert [file.raw for file in files] == [*parts, parts[-1]]
    assert removed == [staged.shown(parts[0])]
    log = b"".join(
        b"%s\x002024-01-01T00:00:00Z\0%s\0\n:100644 100644 %s %s M\0%s\0" % (oid, part, zero, oid, part)
        for part in parts
    )
    told = list(history.parsed(iter(log.split(b"\0")[:-1])))
    assert [thing.message for thing in told if isinstance(thing, history.Commit)] == parts
    assert [thing.path for thing in told if isinstance(thing, history.Change)] == parts


def _objects(data: bytes) -> None:
    """A commit's header is whatever somebody wrote with `git hash-object -w --literally`."""
    author_date(data)
    author_date(b"tree " + b"1" * 40 + b"\nauthor " + data.replace(b"\n", b" "))
    half = len(data) // 2
    one, other = data[:half], data[half:]
    start = shared_start(one, other)
    assert one[:start] == other[:start]
    end = shared_end(one, other, min(len(one), len(other)) - start)
    assert one[len(one) - end :] == other[len(other) - end :]
    assert start + end <= min(len(one), len(other))


def _file(data: bytes, name: str, read: Callable[[Path], object], *expected: type[Exception]) -> None:
    with tempfile.TemporaryDirectory(prefix="keylift-fuzz-") as folder:
        path = Path(folder, name)
        path.write_bytes(data)
        try:
            read(path)
        except expected as error:
            if not getattr(error, "hint", ""):
                raise AssertionError(f"no way out: {error}") from error


def _imports(data: bytes) -> None:
    _file(data, "report.json", lambda path: reading.read(path, _FINGERPRINTER), reading.ImportFileError)


def _baseline(data: bytes) -> None:
    def read(path: Path) -> None:
        known = baseline.read(path)
        known.known("a.txt", Secret("value"))
        baseline.prune(known, [], ["a.txt"], ["b.txt"])
        known.text()

    _file(data, ".secrets.baseline", read, baseline.BaselineError)


def _configuration(data: bytes) -> None:
    def read(path: Path) -> None:
        found = allow.load(path.parent)
        found.status("a-rule", "a/b.txt", "line", "", Secret("value"))

    _file(data, "keylift.toml", read, allow.AllowError)


_CHECKS: tuple[Check, ...] = (_archives, _ignoring, _patch, _raw, _objects, _imports, _baseline, _configuration)
