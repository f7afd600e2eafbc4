"""Feed the scanner what nobody would write: any bytes, for as long as asked.

    python benchmarks/fuzz.py --seconds 1200

With atheris (`pip install atheris`), coverage leads the way; without it, the labelled cases and the rules' own examples
are mutated by a seeded generator. Either way an input that raises, that gives two answers, or that takes longer than
the limit ends the run with exit code 1 and is kept, named by its digest, in the folder of findings; what is kept goes
into `tests/scanners/fuzzed/` and is run by the tests from then on.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
LIMIT = 20
"""Seconds one input may take. Inputs are short: thousands of times what they need."""
LONGEST = 60_000


def target() -> Callable[[bytes], None]:
    """One check of everything that reads untrusted bytes; raises when something is wrong."""
    from scanners import archives, ignoring
    from scanners.decoding import decoded_views
    from scanners.engine import Engine
    from scanners.model import Document, FileLocation, Match, reveal

    engine, plain = Engine.load(), Engine.load(plain=True)
    here = FileLocation("fuzz", 1, 1)
    limits = archives.Limits(entry=1 << 20, total=4 << 20, ratio=200, entries=500)

    def seen(matches: list[Match]) -> list[tuple[str, int, int, str | None, str | None, str]]:
        return [(m.rule, m.start, m.end, m.verified, m.detail, reveal(m.secret)) for m in matches]

    def check(data: bytes) -> None:
        first = seen(engine.scan(Document(data, here)))
        assert first == seen(engine.scan(Document(data, here))), "two scans, two answers"
        for _rule, start, end, *_ in first:
            assert 0 <= start < end <= len(data), "a match outside of the document"
        if len(data) < 4096 and sha256(data).digest()[0] < 32:
            assert first == seen(plain.scan(Document(data, here))), "the matchers disagree"
        size = 0
        for view in decoded_views(data):
            size += len(view.data)
            assert 0 <= view.start < view.end <= len(data), "a view outside of the document"
        assert size <= 4 * len(data), "more decoded than there is"
        text = data[:4096].decode("utf-8", "replace")
        ignore = ignoring.parse(text)
        if ignore is not None:
            for name in ("a/b/c.txt", text[:80], "x" * 200):
                ignoring.ignored(name, directory=False, files=[ignore])
        total = 0
        for name in ("a.zip", "a.tar", "a.tar.gz", "a.gz", "a.zst"):
            errors: list[dict[str, str]] = []
            for _path, content in archives.members(name, io.BytesIO(data), limits, errors):
                total += len(content)
        assert total <= 5 * limits.total, "limits were passed"

    return check


def seeds() -> list[bytes]:
    """Inputs to begin with: examples and negatives of the rules, labelled cases, small archives."""
    import json

    from scanners import ruleset
    from scanners.examples import expand

    found = []
    for rule in ruleset.parse(ruleset.rule_files()):
        found += [expand(text).encode() for text in (*rule.examples, *rule.negatives)]
    for path in sorted((ROOT.parent / "shared" / "detection" / "cases").glob("*.jsonl")):
        found += [json.loads(line)["text"].encode() for line in path.read_text().splitlines()]
    found += [path.read_bytes() for path in sorted((ROOT / "tests" / "scanners" / "fuzzed").glob("*.bin"))]
    return found + list(_archives()) + _hostile()


def _archives() -> Iterator[bytes]:
    import gzip
    import tarfile
    import zipfile

    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a/b.txt", "password = 'Xk3!vQz81'\n")
        file.writestr("c.txt", b"x" * 2000)
    outer = io.BytesIO()
    with tarfile.open(fileobj=outer, mode="w") as tar:
        entry = tarfile.TarInfo("inner.zip")
        entry.size = len(inner.getvalue())
        tar.addfile(entry, io.BytesIO(inner.getvalue()))
    yield inner.getvalue()
    yield outer.getvalue()
    yield gzip.compress(outer.getvalue(), mtime=0)


def _hostile() -> list[bytes]:
    pieces = (b"'", b'"', b"=", b"A", b"ZGF0", b"{", b"[", b"(", b"<", b"\\", b'\\"', b"%25", b"\\u005c", b"password=", b"://",
        b"eyJ", b"-----BEGIN ", b"${", b"{{", b" ", b"\n", b"\x00", b"key: ", b"a:b@", b".", b"-", b"/", b"0")  # fmt: skip
    return [piece * (3000 // len(piece)) for piece in pieces]


class TooSlowError(Exception):
    """An input took longer than the limit."""


@contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise TooSlowError(f"longer than {seconds} s")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def mutated(source: random.Random, corpus: list[bytes]) -> bytes:
    """A new input out of old ones."""
    data = bytearray(source.choice(corpus))
    for _ in range(source.choice((1, 1, 2, 4, 16))):
        at = source.randrange(len(data) + 1)
        act = source.randrange(7)
        if act == 0 and data:
            data[at % len(data)] ^= 1 << source.randrange(8)
        elif act == 1:
            data[at:at] = source.choice(corpus)[: source.choice((8, 64, 4096))]
        elif act == 2:
            del data[at : at + source.choice((1, 8, 200))]
        elif act == 3:
            piece = bytes(data[at : at + source.choice((1, 3, 40))]) or b"\\"
            data[at:at] = piece * source.choice((2, 50, 1000))
        elif act == 4:
            data[at:at] = source.randbytes(source.choice((1, 4, 64)))
        elif act == 5:
            data[at:at] = source.choice(
                (b"'", b'"', b"\\", b"=", b"\n", b"\x00", b"{", b"}", b"%", b"\xff\xfe", b"://")
            )
        else:
            data = data[at:] + data[:at]
        del data[LONGEST:]
    return bytes(data)


def loop(check: Callable[[bytes], None], seconds: int, seed: int, kept: Path) -> int:
    """Mutate until time is up; the exit code."""
    source, corpus = random.Random(seed), seeds()
    ends, runs, total = time.monotonic() + seconds, 0, 0
    pending = list(corpus)
    while time.monotonic() < ends:
        data = pending.pop() if pending else mutated(source, corpus)
        try:
            with _at_most(LIMIT):
                check(data)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what we look for
            path = kept / f"{sha256(data).hexdigest()[:16]}.bin"
            path.write_bytes(data)
            print(f"{type(error).__name__}: {error}: kept as {path} after {runs} inputs")
            return 1
        runs, total = runs + 1, total + len(data)
        if source.random() < 0.02:
            corpus.append(data)
    print(f"{runs} inputs, {total / 1e6:.0f} MB in {seconds} s (seed {seed}): nothing found")
    return 0


def guided(seconds: int, kept: Path, corpus: Path) -> None:
    """Let libFuzzer look for inputs that go new ways; never returns."""
    import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore] # no types, and not everywhere

    with atheris.instrument_imports(include=["scanners"]):
        check = target()
    for data in seeds():
        (corpus / sha256(data).hexdigest()[:16]).write_bytes(data[:LONGEST])
    options = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", f"-timeout={LIMIT}", "-rss_limit_mb=1500"]
    atheris.Setup(
        [sys.argv[0], *options, "-print_final_stats=1", f"-artifact_prefix={kept}{os.sep}", str(corpus)], check
    )
    atheris.Fuzz()


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plain", action="store_true", help="mutate without coverage, even where atheris is installed")
    parser.add_argument("--kept", type=Path, default=Path("fuzz-findings"), help="folder of what was found")
    parser.add_argument("--corpus", type=Path, default=Path("fuzz-corpus"), help="folder of inputs that went new ways")
    given = parser.parse_args()
    given.kept.mkdir(parents=True, exist_ok=True)
    if not given.plain:
        try:
            import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore] # noqa: F401 - is it there?
        except ImportError:
            print("atheris is not installed: mutating without coverage")
        else:
            given.corpus.mkdir(parents=True, exist_ok=True)
            guided(given.seconds, given.kept, given.corpus)
    return loop(target(), given.seconds, given.seed, given.kept)


if __name__ == "__main__":
    sys.exit(main())
