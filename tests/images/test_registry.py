"""Pulling from Debian's docker-registry: TLS by a private authority, every way to sign in, platforms, digests."""

from __future__ import annotations

import base64
import json
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from scanners.engine import Engine
from scanners.images.auth import DockerConfig, Login
from scanners.images.errors import ImageError
from scanners.images.registry import Access
from scanners.model import Fingerprinter, Report, Secret
from scanners.sources import image
from tests.images import build, planted
from tests.images.conftest import Registry, Start, push, tool
from tests.images.servers import TokenServer
from tests.images.test_forms import check, places


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    return build.write_folder(tmp_path / "layout", build.oci_files(planted.image()))


def nobody() -> DockerConfig:
    return DockerConfig(Path("/nonexistent/config.json"))


def pull(target: str, where: Registry, engine: Engine, fingerprinter: Fingerprinter, **options: object) -> Report:
    access = Access(ca_file=where.ca_file, docker=options.pop("docker", nobody()), **options)  # type: ignore[arg-type] # of the tests
    return image.scan([target], engine=engine, fingerprinter=fingerprinter, access=lambda: access)


def test_over_tls(registry: Start, layout: Path, engine: Engine, fingerprinter: Fingerprinter) -> None:
    where = registry()
    target = push(layout, where, "team/shop:1")
    report = pull(target, where, engine, fingerprinter)
    check(report)
    assert {finding.location.as_dict()["image"] for finding in report.findings} == {target}
    with pytest.raises(ImageError) as refused:
        image.scan(
            [target],
            engine=engine,
            fingerprinter=fingerprinter,
            access=lambda: Access(docker=nobody(), sleep=lambda _: None),
        )
    assert "--ca-file" in refused.value.hint


def test_by_digest_and_by_platform(
    registry: Start, tmp_path: Path, engine: Engine, fingerprinter: Fingerprinter
) -> None:
    where = registry()
    two = build.multi_files([planted.image("amd64"), planted.image("arm64")])
    target = push(build.write_folder(tmp_path / "two", two), where, "team/shop:2")
    access = Access(ca_file=where.ca_file, docker=nobody())
    arm = image.scan(
        [target], engine=engine, fingerprinter=fingerprinter, access=lambda: access, platform="linux/arm64"
    )
    check(arm)
    assert {finding.location.as_dict()["platform"] for finding in arm.findings} == {"linux/arm64"}
    every = image.scan([target], engine=engine, fingerprinter=fingerprinter, access=lambda: access, platform="all")
    assert {name: len(found) for name, found in places(every).items()} == dict.fromkeys(planted.PLACES, 2)
    with pytest.raises(ImageError, match="no image for windows/amd64"):
        image.scan(
            [target], engine=engine, fingerprinter=fingerprinter, access=lambda: access, platform="windows/amd64"
        )
    _, entry = planted.image("amd64").blobs()
    by_digest = f"{where.server}/team/shop@{entry['digest']}"
    check(pull(by_digest, where, engine, fingerprinter))
    with pytest.raises(ImageError, match="has no manifest"):
        pull(f"{where.server}/team/shop@sha256:{'0' * 64}", where, engine, fingerprinter)


def test_without_tls_on_this_machine(
    registry: Start, layout: Path, engine: Engine, fingerprinter: Fingerprinter
) -> None:
    where = registry(tls=False)
    target = push(layout, where, "shop:1")
    check(pull(target, where, engine, fingerprinter))


def test_without_tls_elsewhere_needs_the_flag(
    registry: Start, layout: Path, monkeypatch: pytest.MonkeyPatch, engine: Engine, fingerprinter: Fingerprinter
) -> None:
    where = registry(tls=False)
    push(layout, where, "shop:1")
    port = where.server.rpartition(":")[2]
    names = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *more: names("127.0.0.1" if host == "registry.test" else host, *more)
    )
    monkeypatch.setenv("NO_PROXY", "registry.test")
    where.log.write_bytes(b"")
    target = f"registry.test:{port}/shop:1"
    with pytest.raises(ImageError) as refused:
        pull(target, where, engine, fingerprinter, sleep=lambda _: None)
    assert "--plain-http" in refused.value.hint
    assert "GET /v2/shop" not in where.log.read_text()
    check(pull(target, where, engine, fingerprinter, plain_http=True))


def htpasswd(folder: Path, user: str, password: str) -> Path:
    done = subprocess.run([tool("htpasswd"), "-niB", user], input=password, capture_output=True, text=True, check=True)
    path = folder / "htpasswd"
    path.write_text(done.stdout)
    return path


def docker_config(folder: Path, said: dict[str, object]) -> DockerConfig:
    folder.mkdir(exist_ok=True)
    path = folder / "config.json"
    path.write_text(json.dumps(said))
    return DockerConfig(path, {"PATH": f"{folder}:/usr/bin:/bin"})


def test_basic(registry: Start, layout: Path, tmp_path: Path, engine: Engine, fingerprinter: Fingerprinter) -> None:
    file = htpasswd(tmp_path, "reader", "let-me-in-7")
    where = registry(auth=f"htpasswd:\n  realm: tests\n  path: {file}")
    target = push(layout, where, "shop:1", login="reader:let-me-in-7")
    with pytest.raises(ImageError) as refused:
        pull(target, where, engine, fingerprinter)
    assert "docker login" in refused.value.hint
    coded = base64.b64encode(b"reader:let-me-in-7").decode()
    docker = docker_config(tmp_path / "docker", {"auths": {where.server: {"auth": coded}}})
    check(pull(target, where, engine, fingerprinter, docker=docker))
    wrong = Login("reader", Secret("wrong-password"))
    with pytest.raises(ImageError) as refused:
        pull(target, where, engine, fingerprinter, credentials=lambda _: wrong)
    assert "wrong-password" not in f"{refused.value.what} {refused.value.why} {refused.value.hint}"


def test_a_credential_helper(
    registry: Start, layout: Path, tmp_path: Path, engine: Engine, fingerprinter: Fingerprinter
) -> None:
    file = htpasswd(tmp_path, "reader", "let-me-in-7")
    where = registry(auth=f"htpasswd:\n  realm: tests\n  path: {file}")
    target = push(layout, where, "shop:1", login="reader:let-me-in-7")
    docker = docker_config(tmp_path / "docker", {"credHelpers": {where.server: "tests"}})
    helper = tmp_path / "docker" / "docker-credential-tests"
    helper.write_text(
        '#!/bin/sh\nread server\n[ "$1" = get ] || exit 1\n'
        'printf \'{"ServerURL":"%s","Username":"reader","Secret":"let-me-in-7"}\' "$server"\n'
    )
    helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
    check(pull(target, where, engine, fingerprinter, docker=docker))
    docker = docker_config(tmp_path / "docker", {"credsStore": "tests"})
    check(pull(target, where, engine, fingerprinter, docker=docker))


def test_tokens(
    registry: Start,
    layout: Path,
    tmp_path: Path,
    token_server: TokenServer,
    engine: Engine,
    fingerprinter: Fingerprinter,
) -> None:
    where = registry(auth=token_server.auth)
    target = push(layout, where, "team/shop:1", login="reader:let-me-in-7")
    with pytest.raises(ImageError):
        pull(target, where, engine, fingerprinter)
    coded = base64.b64encode(b"reader:let-me-in-7").decode()
    docker = docker_config(tmp_path / "docker", {"auths": {f"https://{where.server}": {"auth": coded}}})
    check(pull(target, where, engine, fingerprinter, docker=docker))
    docker = docker_config(tmp_path / "docker", {"auths": {where.server: {"identitytoken": token_server.refresh}}})
    token_server.asked.clear()
    check(pull(target, where, engine, fingerprinter, docker=docker))
    assert [asked.method for asked in token_server.asked] == ["POST"]
    assert token_server.refresh not in str([asked.path for asked in token_server.asked])


def test_ten_images_on_one_base(registry: Start, tmp_path: Path, engine: Engine, fingerprinter: Fingerprinter) -> None:
    where = registry()
    base = build.tar({"etc/base.conf": b"db_password = " + planted.password().encode()})
    blob = build.digest(build.gzipped(base))
    targets = []
    for number in range(10):
        made = build.Made([base, build.tar({f"app/{number}": b"x" * 2000})])
        folder = build.write_folder(tmp_path / f"image-{number}", build.oci_files(made))
        targets.append(push(folder, where, f"team/app-{number}:1"))
    where.log.write_bytes(b"")
    access = Access(ca_file=where.ca_file, docker=nobody())
    report = image.scan(
        targets, engine=engine, fingerprinter=fingerprinter, access=lambda: access, cache_dir=tmp_path / "cache"
    )
    assert not report.errors
    assert report.scanned["layers"] == 11
    assert len(report.findings) == 10
    assert where.log.read_text().count('"GET /v2/team/app-') >= 20
    assert sum(1 for line in where.log.read_text().splitlines() if f"blobs/{blob}" in line and '"GET' in line) == 1
