"""Registries that break off, throttle, fail, redirect and lie."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from scanners.engine import Engine
from scanners.images.auth import DockerConfig, Login
from scanners.images.errors import ImageError
from scanners.images.registry import Access
from scanners.model import Fingerprinter, Report, Secret
from scanners.sources import image
from tests.images import build, planted
from tests.images.servers import Answer, Asked, Served
from tests.images.test_forms import check

Serve = Callable[..., Served]


@dataclass
class Fake:
    """A registry with one image, whose answers can be spoilt."""

    made: build.Made
    spoil: Callable[[Asked, Answer], Answer | None] = lambda _asked, _answer: None
    ranges: bool = True
    waits: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.blobs, entry = self.made.blobs()
        self.manifest = self.blobs[entry["digest"]]

    def __call__(self, asked: Asked) -> Answer:
        if "/manifests/" in asked.path:
            answer = Answer(200, self.manifest, {"Content-Type": build.OCI_MANIFEST})
        else:
            answer = self._blob(asked)
        return self.spoil(asked, answer) or answer

    def _blob(self, asked: Asked) -> Answer:
        data = self.blobs.get(asked.path.rpartition("/")[2])
        if data is None:
            return Answer(404, json.dumps({"errors": [{"code": "BLOB_UNKNOWN", "message": "unknown blob"}]}).encode())
        wanted = asked.headers.get("range")
        if wanted and self.ranges:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(data):
                return Answer(416)
            return Answer(206, data[start:], {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"})
        return Answer(200, data)

    def scan(self, served: Served, engine: Engine, fingerprinter: Fingerprinter, **options: object) -> Report:
        access = Access(docker=DockerConfig(Path("/nonexistent")), sleep=self.waits.append, **options)  # type: ignore[arg-type] # of the tests
        return image.scan(
            [f"{served.server}/shop:1"], engine=engine, fingerprinter=fingerprinter, access=lambda: access
        )


@pytest.fixture
def fake() -> Fake:
    return Fake(planted.image())


def once(status: int, headers: dict[str, str]) -> Callable[[Asked, Answer], Answer | None]:
    """Refuse the first request for every address."""
    seen: set[str] = set()

    def spoil(asked: Asked, _answer: Answer) -> Answer | None:
        if asked.path in seen:
            return None
        seen.add(asked.path)
        return Answer(status, b"", headers)

    return spoil


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_a_registry_that_fails_once(
    status: int, fake: Fake, serve: Serve, engine: Engine, fingerprinter: Fingerprinter
) -> None:
    fake.spoil = once(status, {})
    check(fake.scan(serve(fake), engine, fingerprinter))
    assert fake.waits
    assert all(0 < wait <= 15 for wait in fake.waits)


def test_throttling_waits_as_long_as_it_says(
    fake: Fake, serve: Serve, engine: Engine, fingerprinter: Fingerprinter
) -> None:
    fake.spoil = once(429, {"Retry-After": "7"})
    check(fake.scan(serve(fake), engine, fingerprinter))
    assert set(fake.waits) == {7.0}


def test_throttling_without_end(fake: Fake, serve: Serve, engine: Engine, fingerprinter: Fingerprinter) -> None:
    fake.spoil = lambda _asked, _answer: Answer(429, b"", {"Retry-After": "1"})
    with pytest.raises(ImageError, match="throttling"):
        fake.scan(serve(fake), engine, fingerprinter)
    assert len(fake.waits) == 5


@pytest.mark.parametrize("ranges", [True, False])
def test_pulls_that_break_off_go_on(
    ranges: bool, fake: Fake, serve: Serve, engine: Engine, fingerprinter: Fingerprinter
) -> None:
    fake.ranges = ranges
    cut: set[str] = set()

    def spoil(asked: Asked, answer: Answer) -> Answer | None:
        if "/blobs/" in asked.path and asked.path not in cut and len(answer.body) > 100:
            cut.add(asked.path)
            return Answer(answer.status, answer.body, answer.headers, cut=len(answer.body) // 2)
        return None

    fake.spoil = spoil
    served = serve(fake)
    check(fake.scan(served, engine, fingerprinter))
    assert any("range" in asked.headers for asked in served.asked)


def test_a_pull_that_always_breaks_off_is_an_error(
    fake: Fake, serve: Serve, engine: Engine, fingerprinter: Fingerprinter
) -> None:
    _, entry = fake.made.blobs()
    layer = json.loads(fake.blobs[entry["digest"]])["layers"][1]["digest"]

    def spoil(asked: Asked, answer: Answer) -> Answer | None:
        return Answer(200, answer.body, cut=64) if asked.path.endswith(layer) else None

    fake.spoil, fake.ranges = spoil, False
    report = fake.scan(serve(fake), engine, fingerprinter)
    (error,) = [error for error in report.errors if "cannot be pulled whole" in error["what"]]
    assert layer in error["where"]
    assert {finding.location.as_dict().get("config") for finding in report.findings} == {
        "Env.DB_PASSWORD",
        "History[2]",
    }


def test_other_bytes_than_named(fake: Fake, serve: Serve, engine: Engine, fingerprinter: Fingerprinter) -> None:
    value = planted.password()
    other = build.gzipped(build.tar({"etc/evil.conf": f"db_password = {value}\n".encode()}))
    _, entry = fake.made.blobs()
    layers = json.loads(fake.blobs[entry["digest"]])["layers"]
    layers[0]["size"] = len(other)
    fake.blobs[layers[0]["digest"]] = other
    manifest = {**json.loads(fake.blobs[entry["digest"]]), "layers": layers}
    fake.manifest = json.dumps(manifest).encode()
    report = fake.scan(serve(fake), engine, fingerprinter)
    assert any("not what the manifest names" in error["what"] for error in report.errors)
    assert fingerprinter.of(value) in {finding.fingerprint for finding in report.findings}, "what came was judged too"
    assert fingerprinter.of(planted.LIVE) in {finding.fingerprint for finding in report.findings}


def test_a_missing_blob_costs_its_layer_only(
    fake: Fake, serve: Serve, engine: Engine, fingerprinter: Fingerprinter
) -> None:
    _, entry = fake.made.blobs()
    base = json.loads(fake.blobs[entry["digest"]])["layers"][0]["digest"]
    del fake.blobs[base]
    report = fake.scan(serve(fake), engine, fingerprinter)
    assert [error for error in report.errors if base in error["where"] and "BLOB_UNKNOWN" in error["what"]]
    assert len(report.findings) == 5


def test_a_login_stays_with_its_host(fake: Fake, serve: Serve, engine: Engine, fingerprinter: Fingerprinter) -> None:
    store = Served(fake._blob)
    with store:

        def spoil(asked: Asked, _answer: Answer) -> Answer | None:
            if "authorization" not in asked.headers:
                return Answer(401, b"", {"WWW-Authenticate": 'Basic realm="tests"'})
            if "/blobs/" in asked.path:
                return Answer(307, b"", {"Location": f"http://{store.server}{asked.path}?signature=abc"})
            return None

        fake.spoil = spoil
        login = Login("reader", Secret("let-me-in-7"))
        check(fake.scan(serve(fake), engine, fingerprinter, credentials=lambda _server: login))
        assert store.asked
        assert not any("authorization" in asked.headers for asked in store.asked)


def test_an_encrypted_registry_does_not_lead_to_an_open_one(
    fake: Fake,
    serve: Serve,
    authority: tuple[object, Path],
    engine: Engine,
    fingerprinter: Fingerprinter,
) -> None:
    fake.spoil = lambda _asked, _answer: Answer(307, b"", {"Location": "http://127.0.0.1:1/elsewhere"})
    with pytest.raises(ImageError) as refused:
        fake.scan(serve(fake, tls=True), engine, fingerprinter, ca_file=authority[1])
    assert "not encrypted" in refused.value.why


def test_a_foreign_token_server_gets_no_identity_token(
    fake: Fake, serve: Serve, engine: Engine, fingerprinter: Fingerprinter
) -> None:
    fake.spoil = lambda _asked, _answer: Answer(
        401, b"", {"WWW-Authenticate": 'Bearer realm="https://tokens.evil.example/t",service="x"'}
    )
    login = Login(identity_token=Secret("refresh-me"))
    with pytest.raises(ImageError) as refused:
        fake.scan(serve(fake), engine, fingerprinter, credentials=lambda _server: login)
    assert "not its own" in refused.value.why


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "no JSON"),
        (b"[]", "no JSON object"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"schemaVersion": 1, "fsLayers": []}', "first schema"),
        (b'{"schemaVersion": 2, "config": {}, "layers": "x"}', "of no image"),
        (b'{"schemaVersion": 2, "config": {"digest": "md5:1"}, "layers": []}', "no digest"),
        (b'{"schemaVersion": 2, "manifests": []}', "no image"),
        (b" " * (5 * 1024 * 1024), "larger than"),
    ],
)
def test_broken_manifests(
    body: bytes, said: str, fake: Fake, serve: Serve, engine: Engine, fingerprinter: Fingerprinter
) -> None:
    fake.manifest = body
    with pytest.raises(ImageError) as refused:
        fake.scan(serve(fake), engine, fingerprinter)
    assert said in f"{refused.value.what} {refused.value.why}"


def test_an_index_that_names_itself(fake: Fake, serve: Serve, engine: Engine, fingerprinter: Fingerprinter) -> None:
    entry = {"mediaType": build.OCI_INDEX, "digest": "sha256:" + "1" * 64, "size": 10}
    fake.manifest = build.index([entry] * 600)
    with pytest.raises(ImageError) as refused:
        fake.scan(serve(fake), engine, fingerprinter)
    assert "too many manifests" in refused.value.what
