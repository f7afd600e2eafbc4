"""Feed the image scanner what no builder would write: layers, archives, manifests, configurations, answers of registries.

    python benchmarks/fuzz_images.py --seconds 1200

An input is one byte that names what it is, and the bytes themselves. With atheris (`pip install atheris`) coverage leads
the way; without it, sound inputs are mutated by a seeded generator. What raises anything but an error made for people,
gives two answers, passes a limit or takes too long ends the run with exit code 1 and is kept, named by its digest; what
is kept goes into `tests/images/fuzzed/` and is run by the tests from then on.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
LIMIT = 20
"""Seconds one input may take. Inputs are short: thousands of times what they need."""
LONGEST = 64_000

LAYER, PACKED, MANIFEST, CONFIG, ANSWER, WHITEOUTS, NESTED, ARCHIVE, DOCKER, REFERENCE = range(10)


def target() -> Callable[[bytes], None]:
    """One check of everything that reads an image; raises when something is wrong."""
    from scanners.engine import Engine
    from scanners.images import config as configs
    from scanners.images import manifests, reference, whiteouts
    from scanners.images.errors import ImageError
    from scanners.images.finds import LayerFinds
    from scanners.images.judging import Judge
    from scanners.images.layers import LayerScanner
    from scanners.images.limits import DEFAULT, MIB
    from scanners.model import Fingerprinter

    limits = replace(
        DEFAULT,
        layer=8 * MIB,
        ratio_from=MIB,
        entries=500,
        header=32 * 1024,
        nested=MIB,
        nested_unpacked=4 * MIB,
        nested_ratio_from=MIB // 2,
        nested_entries=200,
        errors=20,
    )
    engine, key = Engine.load(), Fingerprinter(bytes(32))
    layers = LayerScanner(Judge(lambda: engine, key, limits, None), limits=limits)

    def layer(data: bytes) -> LayerFinds:
        found = layers.scan(nullcontext(io.BytesIO(data)))
        assert found.packed <= len(data), "more read than there is"
        assert found.unpacked <= limits.layer + (1 << 20), "the limit of a layer was passed"
        assert len(found.errors) <= limits.errors + 3, "the limit of errors was passed"
        for find in found.finds:
            assert find.line > 0, "a line before the first"
            assert find.column > 0, "a column before the first"
            assert not find.file.startswith(("/", "../")), "a path that leads out of the image"
        again = LayerFinds.from_dict(json.loads(json.dumps(found.to_dict())))
        assert again.finds == found.finds, "the cache gives something else"
        assert again.changes == found.changes, "the cache gives other changes"
        return found

    def fates(data: bytes) -> None:
        # Several layers, cut by a mark; fates must be told of any path over any layers.
        found = [layer(part) for part in data.split(b"\xfe\xfd\xfc")[:6]]
        changes = [one.changes for one in found]
        for number, one in enumerate(found):
            paths = {find.file for find in one.finds} | set(list(one.changes.removed)[:20])
            for path in paths:
                fate = whiteouts.fate(path, number, changes)
                assert fate.visible == (fate.deleted_by is None and fate.replaced_by is None)
                for by in (fate.deleted_by, fate.replaced_by):
                    assert by is None or number < by < len(found), "deleted by a layer below"

    def manifest(data: bytes) -> None:
        for platform in (None, "all", "linux/arm64/v8"):
            found = list(
                manifests.images("i", data, None, lambda _: data, platform, replace(limits, manifests=50), _ignore)
            )
            assert len(found) <= 50

    def config(data: bytes) -> None:
        read = configs.read(data)
        judged = configs.judge(read, "i", read.platform, engine, key)
        assert len(read.layer_steps()) <= len(read.steps)
        for shown in judged.instructions.values():
            assert len(shown) <= 200, "an instruction is shown at length"
        _ = read.root, read.user

    def answer(data: bytes) -> None:
        with registry(data) as store:
            for one in store.images(None, _ignore):
                for blob in (one.config, *one.layers[:3]):
                    with store.open(blob) as reader:
                        while reader.read(65536):
                            pass

    def archive(data: bytes) -> None:
        def passed(reader: Any, _name: str) -> LayerFinds:
            return layers.scan(nullcontext(reader))

        from scanners.images.archive import Layout, Streamed

        stream = Layout("-", Streamed(iter((data,)), limits, _nothing, passed), limits)
        for one in stream.images("all", _ignore):
            stream.small(one.config, limits.config)

    def docker(data: bytes) -> None:
        from tests.images import build

        files = {"manifest.json": data, "c.json": b"{}", "l.tar": bytes(1024)}
        archive(build.tar(files))

    def scanned(data: bytes) -> None:
        """A file in a layer: an archive, or a file of credentials, by what its first byte says."""
        from tests.images import build

        names = ("a.jar", "app/.npmrc", "app/.env", "root/.docker/config.json", "root/.kube/config", "nuget.config",
            "appsettings.json", ".netrc", ".pypirc", "root/.azure/msal_token_cache.json", "a.tar.gz", "usr/share/doc/a.gz")  # fmt: skip
        name = names[data[0] % len(names)] if data else names[0]
        layer(build.tar({name: data[1:]}))

    checks: dict[int, Callable[[bytes], Any]] = {
        LAYER: layer,
        PACKED: layer,
        MANIFEST: manifest,
        CONFIG: config,
        ANSWER: answer,
        WHITEOUTS: fates,
        NESTED: scanned,
        ARCHIVE: archive,
        DOCKER: docker,
        REFERENCE: lambda data: str(reference.parse(data.decode("utf-8", "replace"))),
    }

    def check(data: bytes) -> None:
        if not data:
            return
        try:
            checks[data[0] % len(checks)](data[1:])
        except ImageError as error:
            entry = error.entry("i")
            assert entry["what"], "an error without words"
            assert entry["hint"], "an error without a way out"
            assert all(isinstance(text, str) for text in entry.values())

    return check


def _ignore(_where: str, _error: Exception) -> None:
    return


def _nothing(_what: str) -> None:
    return


@contextmanager
def registry(data: bytes) -> Iterator[Any]:
    """A registry whose answers are what the input says, one behind the other: status, headers, body."""
    from scanners.images.limits import DEFAULT
    from scanners.images.reference import parse
    from scanners.images.registry import Access, Registry
    from scanners.model import Secret

    answers = data.split(b"\xfe\xfd\xfc")
    served = iter(answers * 3)

    class Spoken:
        """The wire, without a socket: urllib3 parses what a server would have sent."""

        def request(self, _method: str, _url: str, **_options: Any) -> Any:
            import http.client

            import urllib3

            raw = next(served, None)
            if raw is None:
                raise urllib3.exceptions.ProtocolError("no more answers")
            parsed = http.client.HTTPResponse(_Socket(raw))  # type: ignore[arg-type] # what it uses of a socket
            try:
                parsed.begin()
            except (http.client.HTTPException, ValueError, OSError) as error:
                # What urllib3 does with an answer that is none.
                raise urllib3.exceptions.ProtocolError("broken", error) from None
            return urllib3.HTTPResponse(
                body=parsed,  # as its own connections do
                headers=dict(parsed.headers.items()),
                status=parsed.status,
                original_response=parsed,
                preload_content=False,
                decode_content=False,
            )

        def clear(self) -> None:
            return

    from scanners.images.auth import Login

    access = Access(credentials=lambda _server: Login("a", Secret("b")), sleep=lambda _: None)
    store = Registry(parse("127.0.0.1:1/a/b:1"), access, DEFAULT)
    store._pool = Spoken()  # type: ignore[assignment] # noqa: SLF001 - the wire is what is spoilt
    yield store


class _Socket:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def seeds() -> list[bytes]:
    """Sound inputs of every kind, the rows of the table of hostile ones, and what was kept."""
    from tests.images import build, planted, test_hostile

    made = planted.image()
    blobs, entry = made.blobs()
    mark = b"\xfe\xfd\xfc"
    found = [bytes((LAYER,)) + layer for layer in made.layers]
    for pack in (build.gzipped, build.zstandard):
        found += [bytes((PACKED,)) + pack(layer) for layer in made.layers]
    for case in test_hostile.CASES.values():
        layer = case.layer()
        if len(layer) < LONGEST:
            found.append(bytes((LAYER,)) + layer)
        packed = case.pack(layer)
        if len(packed) < LONGEST:
            found.append(bytes((PACKED,)) + packed)
    found.append(bytes((MANIFEST,)) + blobs[entry["digest"]])
    found.append(bytes((MANIFEST,)) + build.index([{**entry, "platform": {"os": "linux", "architecture": "arm64"}}]))
    found.append(bytes((CONFIG,)) + made.config_bytes())
    told = b'HTTP/1.1 401 no\r\nWWW-Authenticate: Bearer realm="https://a.b/t",service="s",scope="x"\r\n\r\n'
    token = b'HTTP/1.1 200 ok\r\nContent-Length: 31\r\n\r\n{"token": "abc", "expires_in":9}'
    whole = b"HTTP/1.1 200 ok\r\nContent-Type: %s\r\n\r\n" % build.OCI_MANIFEST.encode() + blobs[entry["digest"]]
    late = b"HTTP/1.1 429 slow\r\nRetry-After: 3\r\n\r\n"
    blob = b"HTTP/1.1 200 ok\r\nContent-Length: 99\r\n\r\n" + made.config_bytes()[:50]
    part = b"HTTP/1.1 206 ok\r\nContent-Range: bytes 50-99/100\r\n\r\n" + made.config_bytes()[50:]
    chunked = b"HTTP/1.1 200 ok\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"
    found += [
        bytes((ANSWER,)) + mark.join(answers)
        for answers in (
            [told, token, whole, blob, part],
            [whole, late, blob, part, chunked],
            [b"HTTP/1.1 307 x\r\nLocation: https://127.0.0.1:1/y\r\n\r\n", whole],
        )
    ]
    found.append(bytes((WHITEOUTS,)) + mark.join(made.layers))
    for number in range(12):
        for body in (build.jar({"a.properties": b"password=x"}), b'{"a": {"b": "c"}}', b"a=b\npassword c\n",
            build.gzipped(made.layers[1]), build.jar({"b.jar": build.jar({"c": b"d"})}), b'<add key="p" value="q"/>'):  # fmt: skip
            found.append(bytes((NESTED, number)) + body)
    for files in (build.docker_files(made), build.oci_files(made), build.multi_files([made])):
        found.append(bytes((ARCHIVE,)) + build.tar(files))
    found.append(bytes((DOCKER,)) + b'[{"Config": "c.json", "RepoTags": ["a:1"], "Layers": ["l.tar"]}]')
    found += [bytes((REFERENCE,)) + name for name in (b"a/b:1", b"host:5000/a/b@sha256:" + b"0" * 64, b"[::1]:5/a")]
    found += [path.read_bytes() for path in sorted((ROOT / "tests" / "images" / "fuzzed").glob("*.bin"))]
    return found


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
    """A new input out of an old one; half of the headers that were touched get a checksum that holds."""
    kind = source.randrange(10)
    same = [data for data in corpus if data[0] == kind] if source.random() < 0.5 else corpus
    data = bytearray(source.choice(same or corpus))
    for _ in range(source.choice((1, 1, 2, 4, 16))):
        at = source.randrange(1, len(data) + 1)
        act = source.randrange(8)
        if act == 0 and at < len(data):
            data[at] ^= 1 << source.randrange(8)
        elif act == 1:
            data[at:at] = source.choice(corpus)[1 : source.choice((8, 64, 513, 4096))]
        elif act == 2:
            del data[at : at + source.choice((1, 8, 200, 512))]
        elif act == 3:
            data[at:at] = (bytes(data[at : at + source.choice((1, 3, 40, 512))]) or b"\\") * source.choice((2, 50))
        elif act == 4:
            data[at:at] = source.randbytes(source.choice((1, 4, 64)))
        elif act == 5:
            data[at : at + 12] = source.choice(
                (b"77777777777\0", b"\x80" + b"\xff" * 11, b"\xff" * 12, b"-0000000001\0", b"0" * 12, bytes(12))
            )
        elif act == 6:
            data[at:at] = source.choice(
                (
                    b"../",
                    b".wh.",
                    b".wh..wh..opq",
                    b"\0",
                    b"/",
                    b"!",
                    b'"',
                    b"[",
                    b"{",
                    b"\xff",
                    b"-1",
                    b"1e999",
                    b"null",
                )
            )
        elif len(data) > 513 and data[0] in {LAYER, WHITEOUTS}:
            block = 1 + 512 * source.randrange((len(data) - 1) // 512)
            header = data[block : block + 512]
            header[148:156] = b" " * 8
            data[block + 148 : block + 156] = f"{sum(header) & 0o777777:06o}\0 ".encode()
        del data[LONGEST:]
    return bytes(data)


def loop(check: Callable[[bytes], None], seconds: int, seed: int, kept: Path) -> int:
    """Mutate until so much processor time was used; the exit code."""
    source, corpus = random.Random(seed), seeds()
    runs, total, kinds = 0, 0, [0] * 10
    pending = list(corpus)
    code = 0
    while time.process_time() < seconds:
        data = pending.pop() if pending else mutated(source, corpus)
        try:
            with _at_most(LIMIT * 10):
                check(data)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what we look for
            path = kept / f"{sha256(data).hexdigest()[:16]}.bin"
            path.write_bytes(data)
            print(f"{type(error).__name__}: {error}: kept as {path} after {runs} inputs", flush=True)
            code = 1
        runs, total = runs + 1, total + len(data)
        kinds[data[0] % 10] += 1
        if source.random() < 0.01 and len(corpus) < 3000:
            corpus.append(data)
    found = "nothing found" if code == 0 else "see above"
    print(f"{runs} inputs {kinds}, {total / 1e6:.0f} MB in {seconds} s of one core (seed {seed}): {found}")
    return code


def guided(seconds: int, kept: Path, corpus: Path) -> None:
    """Let libFuzzer look for inputs that go new ways; never returns."""
    import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore] # no types, and not everywhere

    with atheris.instrument_imports(include=["scanners.images", "scanners.sources"]):
        check = target()
    for data in seeds():
        (corpus / sha256(data).hexdigest()[:16]).write_bytes(data[:LONGEST])
    options = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", f"-timeout={LIMIT * 10}", "-rss_limit_mb=1500"]
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
