"""The same image in every form: everything planted in it is found, at the right place."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scanners.engine import Engine
from scanners.model import Finding, Fingerprinter, Report
from scanners.sources import image
from tests.images import build, planted

KEY = Fingerprinter(bytes(32))


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load()


def places(report: Report) -> dict[str, list[Finding]]:
    names = {KEY.of(value): name for name, value in planted.PLACES.items()}
    found: dict[str, list[Finding]] = {}
    for finding in report.findings:
        found.setdefault(names.get(finding.fingerprint, "other"), []).append(finding)
    return found


def check(report: Report) -> None:
    found = places(report)
    assert set(found) == set(planted.PLACES), report
    where = {name: [finding.location.as_dict() for finding in findings] for name, findings in found.items()}
    (live,), (deleted,), (env,), (argument,), (jar,) = (where[name] for name in planted.PLACES)
    assert (live["path"], live["line"], live["visible"]) == ("/app/settings.ini", 3, True)
    assert (deleted["path"], deleted["deleted"], deleted["visible"]) == ("/app/build/deploy.env", True, False)
    assert deleted["deleted_by"].startswith("sha256:")
    assert deleted["deleted_by"] != deleted["layer"]
    assert (env["config"], env["visible"]) == ("Env.DB_PASSWORD", True)
    assert (argument["config"], argument["visible"]) == ("History[2]", False)
    assert jar["path"] == "/app/shop.jar!/application.properties"
    assert live["instruction"] == "RUN make install"
    assert not report.errors
    shown = repr(report)
    assert not any(value in shown for value in planted.PLACES.values())


Write = Callable[[Path, dict[str, bytes]], Path]


def as_folder(path: Path, files: dict[str, bytes]) -> Path:
    return build.write_folder(path / "image", files)


def as_tar(path: Path, files: dict[str, bytes]) -> Path:
    return build.write_tar(path / "image.tar", files)


def as_tar_gz(path: Path, files: dict[str, bytes]) -> Path:
    target = path / "image.tar.gz"
    target.write_bytes(build.gzipped(build.tar(files)))
    return target


@pytest.mark.parametrize("compress", [build.gzipped, build.zstandard, build.plain])
@pytest.mark.parametrize("write", [as_folder, as_tar, as_tar_gz])
def test_an_oci_layout(tmp_path: Path, engine: Engine, write: Write, compress: build.Compress) -> None:
    path = write(tmp_path, build.oci_files(planted.image(), compress))
    check(image.scan([str(path)], engine=engine, fingerprinter=KEY))


@pytest.mark.parametrize("write", [as_tar, as_tar_gz])
def test_docker_save(tmp_path: Path, engine: Engine, write: Write) -> None:
    path = write(tmp_path, build.docker_files(planted.image()))
    check(image.scan([str(path)], engine=engine, fingerprinter=KEY))


@pytest.mark.parametrize("files", [build.docker_files, build.oci_files])
def test_standard_input(engine: Engine, monkeypatch: pytest.MonkeyPatch, files: Any) -> None:
    made = build.tar(files(planted.image()))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(made)))
    check(image.scan(["-"], engine=engine, fingerprinter=KEY))


@pytest.mark.parametrize("write", [as_folder, as_tar])
def test_platforms(tmp_path: Path, engine: Engine, write: Write) -> None:
    path = write(tmp_path, build.multi_files([planted.image("amd64"), planted.image("arm64")]))
    check(image.scan([str(path)], engine=engine, fingerprinter=KEY, platform="linux/arm64"))
    every = image.scan([str(path)], engine=engine, fingerprinter=KEY, platform="all")
    assert every.scanned["images"] == 2
    assert every.scanned["layers"] == 3, "layers that platforms share are judged once"
    found = places(every)
    assert {name: len(findings) for name, findings in found.items()} == dict.fromkeys(planted.PLACES, 2)


def test_a_second_scan_judges_nothing_again(tmp_path: Path, engine: Engine) -> None:
    path = as_tar(tmp_path, build.oci_files(planted.image()))
    cache = tmp_path / "cache"
    first = image.scan([str(path)], engine=engine, fingerprinter=KEY, cache_dir=cache)
    second = image.scan([str(path)], engine=engine, fingerprinter=KEY, cache_dir=cache)
    assert first.findings == second.findings
    assert (first.scanned["known layers"], second.scanned["known layers"]) == (0, 3)
    kept = b"".join(file.read_bytes() for file in cache.rglob("*") if file.is_file())
    assert kept
    assert not any(value.encode() in kept for value in planted.PLACES.values())
    assert {file.stat().st_mode & 0o777 for file in cache.rglob("*") if file.is_file()} == {0o600}
    other = image.scan([str(path)], engine=engine, fingerprinter=Fingerprinter(bytes(31) + b"x"), cache_dir=cache)
    assert other.scanned["known layers"] == 0, "finds of another key are not ours"


def test_a_changed_file_is_not_taken_for_the_known_one(tmp_path: Path, engine: Engine) -> None:
    made = planted.image()
    files = build.oci_files(made, build.plain)
    path = as_tar(tmp_path, files)
    cache = tmp_path / "cache"
    image.scan([str(path)], engine=engine, fingerprinter=KEY, cache_dir=cache)
    name = next(name for name, data in files.items() if planted.LIVE.encode() in data)
    value = planted.password()
    files[name] = files[name].replace(planted.LIVE.encode(), value.encode())
    again = image.scan([str(as_tar(tmp_path, files))], engine=engine, fingerprinter=KEY, cache_dir=cache)
    assert KEY.of(value) in {finding.fingerprint for finding in again.findings}
    assert any("digest" in error["what"] for error in again.errors)
