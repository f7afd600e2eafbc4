"""Feed the readers of untrusted bytes what nobody would write, for as long as asked.

    python benchmarks/fuzz.py --seconds 1200

The checks are those of `tests/scanners/fuzzing.py`: the engine, archives, ignore files, patches, git's lists and objects,
reports of other tools, baselines, configuration. With atheris (`pip install atheris`), coverage leads the way; without it,
real inputs are mutated by a seeded generator. An input that raises, that gives two answers, or that takes longer than the
limit is kept, named by its digest, in the folder of findings, and the exit code is 1; once mended, it goes to
`tests/scanners/fuzzed/` and is run by the tests from then on.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
Check = Callable[[bytes], None]
LIMIT = 20
"""Seconds one input may take. Inputs are short: thousands of times what they need."""
LONGEST = 60_000


def targets(names: list[str]) -> list[tuple[str, Check]]:
    """The checks that were asked for, all of them by default."""
    from scanners.engine import Engine
    from tests.scanners.fuzzing import checks

    every = checks(Engine.load(), Engine.load(plain=True))
    return [(name, every[name]) for name in names or sorted(every)]


def seeds(name: str) -> list[bytes]:
    """Inputs to begin with for one check: what it reads in real life, and what was found before."""
    import json

    from scanners import ruleset
    from scanners.examples import expand
    from tests.scanners.fuzzing import FOUND

    found = [path.read_bytes() for path in sorted((FOUND / name).glob("*.bin"))]
    if name == "engine":
        for rule in ruleset.parse(ruleset.rule_files()):
            found += [expand(text).encode() for text in (*rule.examples, *rule.negatives)]
        for path in sorted((ROOT.parent / "shared" / "detection" / "cases").glob("*.jsonl")):
            found += [json.loads(line)["text"].encode() for line in path.read_text().splitlines()]
        return found + _hostile()
    if name == "imports":
        found += [path.read_bytes() for path in sorted((ROOT / "tests" / "scanners" / "foreign").iterdir())]
    return found + {"archives": list(_archives())}.get(name, []) + _TEXTS.get(name, []) + _hostile()


_TEXTS = {
    "ignoring": [b"*.log\n!keep.log\n/build/**/x\n[a-c]?.txt\n\\#x\n**/tmp/\n"],
    "patch": [b'diff --git "a/\\303\\244" b/x\n--- a/x\n+++ "b/\\303\\244"\n@@ -1,2 +3 @@ f\n-a\n-b\n+c\n\\ No newline\n'],
    "raw": [b"a b.txt\0:100644\0\xff\xfe\n", b"\n:x\0\n\n\0y"],
    "objects": [b"A U Thor <a@b> 1700000000 +0130", b"A <> 99999999999 -9999", b"A <> 1 +2400"],
    "baseline": [b'{"version": "1.5.0", "plugins_used": [], "results": {"a.txt": [{"type": "x", "hashed_secret": "00", "line_number": 1}]}}'],
    "configuration": [b'baseline = "x"\nallow = [{rule = "a", path = "b/*", until = 2030-01-01, reason = "c", fingerprint = "d"}]\n', b"x = " + b"[" * 3000, b"[tool.keylift]\nallow = {}\n"],
}  # fmt: skip


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


def loop(name: str, check: Check, seconds: float, seed: int, kept: Path) -> int:
    """Mutate until time is up; how many inputs were wrong."""
    source, corpus = random.Random(seed), seeds(name)
    ends, runs, total = time.monotonic() + seconds, 0, 0
    pending, wrong = list(corpus), set[str]()
    while time.monotonic() < ends:
        data = pending.pop() if pending else mutated(source, corpus)
        try:
            with _at_most(LIMIT):
                check(data)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what we look for
            # What goes wrong once goes wrong often: one input of a kind is enough.
            last = traceback.extract_tb(error.__traceback__)[-1]
            kind = f"{type(error).__name__} at {last.filename}:{last.lineno}"
            if kind not in wrong:
                wrong.add(kind)
                _keep(kept / name, data)
                print(
                    f"{name}: {kind}: {error}: kept as {sha256(data).hexdigest()[:16]}.bin after {runs} inputs",
                    flush=True,
                )
        runs, total = runs + 1, total + len(data)
        if source.random() < 0.02:
            corpus.append(data)
    print(
        f"{name}: {runs} inputs, {total / 1e6:.1f} MB in {seconds:.0f} s (seed {seed}): {len(wrong)} found", flush=True
    )
    return len(wrong)


def _keep(folder: Path, data: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{sha256(data).hexdigest()[:16]}.bin").write_bytes(data)


def guided(name: str, seconds: float, kept: Path, corpus: Path) -> None:
    """Let libFuzzer look for inputs that go new ways; never returns."""
    import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore] # no types, and not everywhere

    with atheris.instrument_imports(include=["scanners"]):
        ((_, check),) = targets([name])
    for data in seeds(name):
        _keep(corpus, data[:LONGEST])
    kept.mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={seconds:.0f}", f"-max_len={LONGEST}", f"-timeout={LIMIT}", "-rss_limit_mb=1500"]
    atheris.Setup(
        [sys.argv[0], *options, "-print_final_stats=1", f"-artifact_prefix={kept}{os.sep}", str(corpus)], check
    )
    atheris.Fuzz()


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1200, help="for all checks together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--check", action="append", default=[], help="only this one; may be given several times")
    parser.add_argument("--plain", action="store_true", help="mutate without coverage, even where atheris is installed")
    parser.add_argument("--kept", type=Path, default=Path("fuzz-findings"), help="folder of what was found")
    parser.add_argument("--corpus", type=Path, default=Path("fuzz-corpus"), help="folder of inputs that went new ways")
    given = parser.parse_args()
    guide = not given.plain and importlib.util.find_spec("atheris") is not None
    if guide and len(given.check) == 1:
        # Before anything of what is measured is imported.
        guided(given.check[0], given.seconds, given.kept / given.check[0], given.corpus / given.check[0])
    chosen = targets(given.check)
    # The engine is most of what is fuzzed.
    shares = {name: 6 if name == "engine" else 3 if name == "archives" else 1 for name, _ in chosen}
    spare = given.seconds / sum(shares.values())
    wrong = 0
    for name, check in chosen:
        if guide:
            command = [sys.executable, __file__, "--check", name, "--seconds", str(spare * shares[name])]
            command += ["--kept", str(given.kept), "--corpus", str(given.corpus)]
            wrong += subprocess.run(command, check=False).returncode != 0
        else:
            wrong += loop(name, check, spare * shares[name], given.seed, given.kept)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
