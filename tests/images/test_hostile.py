"""Hostile images: what each gets, and that everything else in the image is judged all the same.

One row of the table is one input. Every image has a second layer with a secret in it, which must be found whatever the
first one does, and unless the row says otherwise a secret behind the hostile part in the first layer, too.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from scanners.engine import Engine
from scanners.images.errors import ImageError
from scanners.images.limits import DEFAULT, MIB, Limits
from scanners.model import Fingerprinter, Report, Secret
from scanners.sources import image
from tests.images import build, planted

BEHIND, BESIDE = planted.password(), planted.password()
SMALL = replace(
    DEFAULT,
    ratio_from=4 * MIB,
    entries=2000,
    nested=2 * MIB,
    nested_ratio_from=MIB,
    nested_unpacked=8 * MIB,
    nested_entries=500,
    header=64 * 1024,
)
"""The same limits in small, so that the table is quick."""


def entry(name: str, body: bytes = b"", **fields: object) -> bytes:
    """A member by hand: whatever `tarfile` would not write."""
    info = tarfile.TarInfo(name)
    info.size = len(body)
    for key, value in fields.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape") + body + bytes(-len(body) % 512)


def raw(
    name: bytes, *, size: bytes = b"00000000000", kind: bytes = b"0", body: bytes = b"", link: bytes = b""
) -> bytes:
    """A header byte by byte, with a checksum that holds."""
    header = bytearray(512)
    header[0 : len(name)] = name
    header[100:108] = b"0000644\0"
    header[124 : 124 + len(size)] = size
    header[156:157] = kind
    header[157 : 157 + len(link)] = link
    header[257:265] = b"ustar\x0000"
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return bytes(header) + body + bytes(-len(body) % 512)


def pax(records: dict[str, str], kind: bytes = b"x") -> bytes:
    body = b""
    for key, value in records.items():
        text = f" {key}={value}\n".encode()
        length = len(text) + 1
        while len(str(length)) + len(text) != length:
            length = len(str(length)) + len(text)
        body += str(length).encode() + text
    return raw(b"PaxHeader", size=f"{len(body):011o}".encode(), kind=kind, body=body)


def secret(value: str, name: str = "etc/behind.conf") -> bytes:
    return entry(name, f"db_password = {value}\n".encode())


def archive(*members: bytes) -> bytes:
    return b"".join(members) + secret(BEHIND) + bytes(1024)


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, body in files.items():
            made.writestr(name, body)
    return out.getvalue()


def nested(depth: int) -> bytes:
    body = zipped({"a.conf": f"db_password = {BEHIND}\n".encode()})
    for _ in range(depth - 1):
        body = zipped({"inner.zip": body})
    return body


def encrypted_zip() -> bytes:
    body = bytearray(zipped({"a.txt": b"x" * 50}))
    body[6] |= 1
    body[body.index(b"PK\x01\x02") + 8] |= 1
    return bytes(body)


@dataclass(frozen=True)
class Case:
    """One hostile layer."""

    layer: Callable[[], bytes]
    says: str | None = None
    """Part of an error that must be there; None: there is nothing to complain of."""
    behind: bool = True
    """Whether the secret after the hostile part is found."""
    pack: build.Compress = build.gzipped
    at: str | None = None
    """The path that the secret is reported at."""


CASES = {
    "a path that climbs out": Case(lambda: archive(entry("../../../root/.ssh/x", b"x")), "lead out of the image"),
    "a secret at a path that climbs out": Case(
        lambda: secret(BEHIND, "app/../../../etc/behind.conf") + bytes(1024),
        "lead out of the image",
        at="/etc/behind.conf",
    ),
    "an absolute path": Case(lambda: secret(BEHIND, "/etc/behind.conf") + bytes(1024), at="/etc/behind.conf"),
    "a path with a NUL and control characters": Case(
        lambda: archive(raw(b"a\0b\n\x1b[31m"), entry("x\n\x1b[2Jy", b"1"))
    ),
    "a symbolic link to itself": Case(lambda: archive(entry("loop", type=tarfile.SYMTYPE, linkname="loop"))),
    "a symbolic link out of the image": Case(
        lambda: archive(
            entry("out", type=tarfile.SYMTYPE, linkname="../../../../etc/shadow"), entry("out/passwd", b"x")
        )
    ),
    "hard links in a ring": Case(
        lambda: archive(entry("a", type=tarfile.LNKTYPE, linkname="b"), entry("b", type=tarfile.LNKTYPE, linkname="a"))
    ),
    "a hard link that claims a size": Case(lambda: archive(raw(b"link", size=b"77777777777", kind=b"1", link=b"a"))),
    "device nodes and a pipe": Case(
        lambda: archive(
            entry("dev/sda", type=tarfile.BLKTYPE, devmajor=8),
            entry("dev/mem", type=tarfile.CHRTYPE, devmajor=1),
            entry("pipe", type=tarfile.FIFOTYPE),
        )
    ),
    "an unknown type": Case(lambda: archive(raw(b"odd", kind=b"Z", size=b"00000000004", body=b"abcd"))),
    "a file of 100 GB that is not there": Case(
        lambda: raw(b"huge", size=b"\x80" + (100 * 1024**3).to_bytes(11, "big"), body=b"x" * 600),
        "bytes are missing",
        behind=False,
    ),
    "a size that is negative": Case(lambda: archive(raw(b"neg", size=b"\xff" * 12)), "no number"),
    "a size that is no number": Case(lambda: archive(raw(b"odd", size=b"12monkeys00")), "no number"),
    "a size beyond all measure": Case(lambda: archive(raw(b"big", size=b"\x80" + b"\xff" * 11)), "no number"),
    "an old GNU sparse file": Case(
        lambda: archive(raw(b"sparse", kind=b"S", size=b"00000001000", body=b"s" * 512)),
    ),
    "a pax sparse file of a terabyte": Case(
        lambda: archive(
            pax(
                {
                    "GNU.sparse.major": "1",
                    "GNU.sparse.minor": "0",
                    "GNU.sparse.realsize": str(1 << 40),
                    "GNU.sparse.name": "s",
                }
            ),
            entry("GNUSparseFile.0/s", b"1\n0\n4\n".ljust(512, b"\0") + b"abcd"),
        )
    ),
    "a pax path": Case(
        lambda: pax({"path": "etc/behind.conf"}) + secret(BEHIND, "x") + bytes(1024), at="/etc/behind.conf"
    ),
    "a pax size that is no number": Case(lambda: archive(pax({"size": "-5"}), entry("a", b"x")), "no number"),
    "a pax header that lies about its length": Case(
        lambda: archive(raw(b"p", kind=b"x", size=b"00000000012", body=b"999 path=x"), entry("a", b"x")),
        "header is damaged",
    ),
    "a pax header larger than any": Case(
        lambda: archive(raw(b"p", kind=b"x", size=f"{100_000:011o}".encode(), body=b"x" * 100_000)), "was passed over"
    ),
    "a global header for everything": Case(lambda: archive(pax({"comment": "x" * 1000}, b"g"))),
    "a GNU long name": Case(
        lambda: (
            raw(b"././@LongLink", kind=b"L", size=b"00000000021", body=b"etc/behind.conf\0x")
            + secret(BEHIND, "x")
            + bytes(1024)
        ),
        at="/etc/behind.conf",
    ),
    "a name of a megabyte": Case(lambda: archive(pax({"path": "n" * 60_000}), entry("a", b"x")), "was cut"),
    "a damaged header": Case(
        lambda: archive(entry("a", b"x"), b"garbage" * 80 + bytes(512 - 560 % 512)), "header of the archive is damaged"
    ),
    "an end before the end": Case(lambda: archive(entry("a", b"x"), bytes(1024))),
    "no end at all": Case(lambda: archive(entry("a", b"x"))[:-1024]),
    "an empty layer": Case(lambda: b"", behind=False),
    "nothing but zeros": Case(lambda: bytes(10240), behind=False),
    "no tar": Case(lambda: b"%PDF-1.7 " * 100, "no tar archive", behind=False),
    "the same path twice": Case(lambda: archive(entry("a", b"1"), entry("a", b"2"))),
    "too many entries": Case(
        lambda: archive(*(entry(f"f{n}") for n in range(2100))), "more than 2000 entries", behind=False
    ),
    "a whiteout of everything": Case(
        lambda: archive(entry(".wh..wh..opq"), entry(".wh."), entry(".wh..."), entry("a/.wh..wh.aufs"))
    ),
    "a gzip bomb": Case(
        lambda: entry("zeros", bytes(16 * MIB)) + secret(BEHIND) + bytes(1024), "times its size", behind=False
    ),
    "a zstd bomb": Case(
        lambda: entry("zeros", bytes(16 * MIB)) + secret(BEHIND) + bytes(1024),
        "times its size",
        behind=False,
        pack=build.zstandard,
    ),
    "gzip that is cut short": Case(archive, "ends too early", pack=lambda data: build.gzipped(data)[:-12]),
    "gzip that is damaged": Case(
        lambda: archive(entry("a", bytes(range(256)) * 64)),
        "damaged gzip",
        behind=False,
        pack=lambda data: build.gzipped(data)[:200] + b"\xff" * 40 + build.gzipped(data)[240:],
    ),
    "gzip with something behind it": Case(archive, pack=lambda data: build.gzipped(data) + b"trailing rubbish"),
    "gzip in many members": Case(
        archive, pack=lambda data: b"".join(gzip.compress(data[at : at + 100]) for at in range(0, len(data), 100))
    ),
    "zstd that is damaged": Case(
        lambda: archive(entry("a", bytes(range(256)) * 64)),
        "is damaged",
        behind=False,
        pack=lambda data: build.zstandard(data)[:60] + b"\xff" * 40,
    ),
    "bytes that only look compressed": Case(
        archive, "damaged gzip", behind=False, pack=lambda _: b"\x1f\x8b" + b"\xff" * 100
    ),
    "a zip bomb": Case(lambda: archive(entry("bomb.zip", zipped({"zeros": bytes(9 * MIB)}))), "decompression bomb"),
    "zips in zips, too deep": Case(lambda: archive(entry("deep.zip", nested(6)))),
    "a zip of many entries": Case(
        lambda: archive(entry("many.jar", zipped({f"f{n}": b"" for n in range(600)}))), "too many entries"
    ),
    "a zip that is larger than is held": Case(
        lambda: archive(entry("large.zip", zipped({"a": zlib.compress(bytes(100)) * 10}) + bytes(3 * MIB))),
        "without unpacking",
    ),
    "a zip that is damaged": Case(
        lambda: archive(entry("bad.jar", b"PK\x03\x04" + b"\xff" * 300)), "archive is damaged"
    ),
    "a zip that is encrypted": Case(lambda: archive(entry("locked.zip", encrypted_zip())), "is encrypted"),
    "a zip whose names climb out": Case(lambda: archive(entry("slip.zip", zipped({"../../etc/passwd": b"x"})))),
    "a tar in a layer that is cut": Case(
        lambda: archive(entry("cut.tar", entry("a", b"x" * 5000)[:1024])), "bytes are missing"
    ),
    "JSON settings that never end": Case(lambda: archive(entry("app/appsettings.json", b"[" * 100_000))),
}


def scan(tmp_path: Path, case: Case, engine: Engine, fingerprinter: Fingerprinter, limits: Limits = SMALL) -> Report:
    layer = case.layer()
    made = build.Made([layer, build.tar({"etc/beside.conf": f"db_password = {BESIDE}\n".encode()})])
    blobs, descriptor = made.blobs()
    packed = build.gzipped(layer)
    hostile = case.pack(layer)
    if hostile != packed:
        text = json.dumps(json.loads(blobs[descriptor["digest"]])).replace(
            build.digest(packed), build.digest(hostile), 1
        )
        manifest = json.loads(text)
        manifest["layers"][0]["size"] = len(hostile)
        data = json.dumps(manifest).encode()
        blobs |= {build.digest(hostile): hostile, build.digest(data): data}
        descriptor = {**descriptor, "digest": build.digest(data), "size": len(data)}
    path = build.write_folder(tmp_path / "image", build.layout_files(blobs, [descriptor]))
    return image.scan([str(path)], engine=engine, fingerprinter=fingerprinter, limits=limits)


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_layer(name: str, tmp_path: Path, engine: Engine, fingerprinter: Fingerprinter) -> None:
    case = CASES[name]
    before = sorted(tmp_path.rglob("*"))
    report = scan(tmp_path, case, engine, fingerprinter)
    found = {finding.fingerprint: finding for finding in report.findings}
    assert fingerprinter.of(BESIDE) in found
    assert (fingerprinter.of(BEHIND) in found) is case.behind
    if case.at:
        assert found[fingerprinter.of(BEHIND)].location.as_dict()["path"] == case.at
    told = [error["what"] for error in report.errors]
    if case.says is None:
        assert told == []
    else:
        assert any(case.says in what for what in told), told
    assert not before
    assert {path.name for path in tmp_path.iterdir()} == {"image"}


def test_a_bomb_is_not_held(tmp_path: Path, engine: Engine, fingerprinter: Fingerprinter) -> None:
    case = Case(lambda: entry("zeros", bytes(100 * MIB)) + bytes(1024))
    made = build.Made([case.layer()])
    path = build.write_folder(tmp_path / "image", build.oci_files(made))
    del made
    engine.scan_value("warm", Secret(planted.LIVE))
    tracemalloc.start()
    image.scan([str(path)], engine=engine, fingerprinter=fingerprinter)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40 * MIB


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "no image"),
        ({"index.json": b"{"}, "no JSON"),
        ({"index.json": b'{"manifests": 5}', "oci-layout": b"{}"}, None),
        ({"manifest.json": b"[{}]"}, None),
        ({"manifest.json": b'[{"Config": "../../../etc/passwd", "Layers": ["../../../etc/shadow"]}]'}, None),
        ({"manifest.json": b'[{"Config": "c.json", "Layers": ["/etc/passwd"]}]', "c.json": b"[]"}, None),
        ({"index.json": b'{"manifests": [{"digest": "sha256:' + b"0" * 64 + b'"}]}'}, "is missing"),
    ],
)
@pytest.mark.parametrize("form", ["folder", "tar"])
def test_broken_archives(
    files: dict[str, bytes], says: str | None, form: str, tmp_path: Path, engine: Engine, fingerprinter: Fingerprinter
) -> None:
    folder = tmp_path / "image"
    folder.mkdir()
    path = (
        build.write_folder(folder, files)
        if form == "folder"
        else build.write_tar(tmp_path / "image.tar", {"x": b"", **files})
    )
    if says is None:
        report = image.scan([str(path)], engine=engine, fingerprinter=fingerprinter)
        assert not report.findings
        assert "root:" not in repr(report)
        return
    with pytest.raises(ImageError) as refused:
        image.scan([str(path)], engine=engine, fingerprinter=fingerprinter)
    assert says in f"{refused.value.what} {refused.value.why}"


def test_a_blob_that_is_a_link_out(tmp_path: Path, engine: Engine, fingerprinter: Fingerprinter) -> None:
    """A layout's blob may be a link to a file of the host: its digest tells, and a device is not read at all."""
    files = build.oci_files(planted.image())
    folder = build.write_folder(tmp_path / "image", files)
    name = next(name for name, data in files.items() if name.startswith("blobs/") and data[:2] == b"\x1f\x8b")
    (folder / name).unlink()
    (folder / name).symlink_to("/dev/zero")
    report = image.scan([str(folder)], engine=engine, fingerprinter=fingerprinter)
    assert any("no regular file" in error["what"] for error in report.errors)
