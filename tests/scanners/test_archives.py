from __future__ import annotations

import bz2
import gzip
import io
import struct
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from scanners import archives, tarring
from scanners.archives import Limits, Problem
from scanners.engine import Engine
from scanners.examples import expand
from scanners.model import FileLocation, Fingerprinter
from scanners.sources import files

KEY = expand("%{key:storage:Default0}")
SMALL = Limits(entry=100_000, total=400_000, ratio=50, entries=20)


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return made.getvalue()


def tarred(members: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as file:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            file.addfile(entry, io.BytesIO(content))
    return made.getvalue()


def zstd(content: bytes) -> bytes:
    package = pytest.importorskip("zstandard", reason="zstandard is not installed: zst archives are reported, not read")
    made: bytes = package.ZstdCompressor().compress(content)
    return made


def read(name: str, data: bytes, limits: Limits | None = None) -> tuple[dict[str, bytes], list[Problem]]:
    errors: list[Problem] = []
    return dict(archives.members(name, io.BytesIO(data), limits, errors)), errors


def said(errors: list[Problem]) -> list[tuple[str, str]]:
    assert all(error["hint"] for error in errors)
    return [(error["where"], error["what"]) for error in errors]


FILES = {
    "a.txt": b"first",
    "deep/er/b.txt": b"second " * 1000,
    "\u00fcml\u00e4ut.txt": b"",
    "l" * 150 + "/c.txt": b"third",
}


@pytest.mark.parametrize("ending", ["zip", "jar", "WHL", "nupkg"])
def test_zip_archives(ending: str) -> None:
    assert read(f"x.{ending}", zipped(FILES)) == (
        {f"x.{ending}!/{name}": content for name, content in FILES.items()},
        [],
    )


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT], ids=["pax", "gnu"])
def test_tar_archives(form: int) -> None:
    expected = {f"x.tar!/{name}": content for name, content in FILES.items()}
    assert read("x.tar", tarred(FILES, form)) == (expected, [])
    squeezed = gzip.compress(tarred(FILES, form))
    for name in ("x.tar.gz", "x.tgz"):
        assert set(read(name, squeezed)[0].values()) == set(FILES.values())
    assert set(read("x.tar.zst", zstd(tarred(FILES, form)))[0].values()) == set(FILES.values())


def test_compressed_files() -> None:
    assert read("logs/app.log.gz", gzip.compress(b"line")) == ({"logs/app.log.gz!/app.log": b"line"}, [])
    assert read("app.log.zst", zstd(b"line")) == ({"app.log.zst!/app.log": b"line"}, [])
    twice = gzip.compress(b"one ") + gzip.compress(b"two")
    assert read("x.gz", twice) == ({"x.gz!/x": b"one two"}, [])


def test_depth_two_and_no_more() -> None:
    inner = zipped({"x.txt": b"x"})
    middle = tarred({"in.jar": inner, "y.txt": b"y"})
    found, errors = read("out.tgz", gzip.compress(middle))
    assert found == {"out.tgz!/in.jar!/x.txt": b"x", "out.tgz!/y.txt": b"y"}
    assert not errors
    found, errors = read("more.zip", zipped({"out.tar": middle}))
    assert found == {"more.zip!/out.tar!/y.txt": b"y"}
    assert said(errors) == [("more.zip!/out.tar!/in.jar", "is an archive inside 2 others and was not opened")]


def test_links_are_not_followed() -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as file:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE):
            entry = tarfile.TarInfo("link")
            entry.type, entry.linkname = kind, "/etc/passwd"
            file.addfile(entry)
        last = tarfile.TarInfo("../../etc/evil")
        last.size = 4
        file.addfile(last, io.BytesIO(b"text"))
    assert read("x.tar", made.getvalue()) == ({"x.tar!/../../etc/evil": b"text"}, [])
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    zip_made = io.BytesIO()
    with zipfile.ZipFile(zip_made, "w") as zip_file:
        zip_file.writestr(link, "/etc/passwd")
    assert read("x.zip", zip_made.getvalue()) == ({}, [])


@pytest.mark.parametrize("kind", ["zip", "gz", "tgz", "zst", "nested"])
def test_bombs_are_told_and_not_followed(kind: str) -> None:
    size = 64 * 1024 * 1024
    zeros = bytes(size)
    data = {
        "zip": lambda: zipped({"zeros": zeros, "more.txt": b"more"}),
        "gz": lambda: gzip.compress(zeros),
        "tgz": lambda: gzip.compress(tarred({"zeros": zeros})),
        "zst": lambda: zstd(zeros),
        "nested": lambda: zipped({"inner.zip": zipped({"zeros": zeros}), "after.txt": b"after"}),
    }[kind]()
    name = "bomb.zip" if kind == "nested" else f"bomb.{kind}"
    limits = Limits(entry=size, total=4 * size)
    tracemalloc.start()
    found, errors = read(name, data, limits)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == ({"bomb.zip!/after.txt": b"after"} if kind == "nested" else {})
    (where, what), = said(errors)  # fmt: skip
    assert where == ("bomb.zip!/inner.zip" if kind == "nested" else name)
    assert what == "unpacks to more than 250 times its size, as a bomb does; it was not read on"
    assert peak < 24 * 1024 * 1024


def test_what_is_larger_than_the_limits_is_cut_and_told() -> None:
    noise = bytes(range(256)) * 500
    found, errors = read("x.tar", tarred({"a": noise, "b": b"b"}), SMALL)
    assert (len(found["x.tar!/a"]), found["x.tar!/b"]) == (100_000, b"b")
    assert said(errors) == [("x.tar!/a", "is larger than 100000 bytes; what lies behind was left out")]
    many = {f"{number}.bin": noise[:90_000] for number in range(6)}
    found, errors = read("x.zip", zipped(many, zipfile.ZIP_STORED), SMALL)
    assert len(found) == 4
    assert said(errors) == [("x.zip", "holds more than 400000 bytes; the rest was left out")]
    found, errors = read("x.tar", tarred({f"{number}": b"" for number in range(30)}), SMALL)
    assert len(found) == 20
    assert said(errors) == [("x.tar", "holds more than 20 files; the rest was left out")]
    found, errors = read("x.zip", zipped({f"{number}": b"" for number in range(30)}), SMALL)
    assert found == {}
    assert said(errors) == [("x.zip", "its directory is too large")]


def test_limits_hold_over_nested_archives() -> None:
    noise = bytes(range(256)) * 350
    inner = zipped({f"{number}.bin": noise for number in range(3)}, zipfile.ZIP_DEFLATED)
    found, errors = read("x.zip", zipped({f"{number}.zip": inner for number in range(4)}), SMALL)
    assert sum(map(len, found.values())) <= SMALL.total
    assert [what for _, what in said(errors)] == ["holds more than 400000 bytes; the rest was left out"] * 2


def test_a_directory_that_lies_about_its_length_is_counted() -> None:
    """The length decides what the standard library reads; a file count is never asked."""
    data = bytearray(zipped({f"{number}": b"" for number in range(30)}))
    at = data.rfind(b"PK\x05\x06")
    struct.pack_into("<HH", data, at + 8, 1, 1)
    assert said(read("x.zip", bytes(data), SMALL)[1]) == [("x.zip", "its directory is too large")]
    struct.pack_into("<L", data, at + 12, 0xFFFFFFF0)
    assert said(read("x.zip", bytes(data), SMALL)[1]) == [("x.zip", "its directory is too large")]


def test_what_is_damaged_hides_nothing_else() -> None:
    whole = zipped({"a.txt": b"a" * 500, "b.txt": b"b" * 500}, zipfile.ZIP_STORED)
    broken = whole.replace(b"a" * 500, b"a" * 499 + b"x", 1)
    found, errors = read("x.zip", broken)
    assert found == {"x.zip!/a.txt": b"a" * 499 + b"x", "x.zip!/b.txt": b"b" * 500}
    assert said(errors) == [("x.zip!/a.txt", "cannot be read to its end: its checksum does not hold")]
    for name in ("x.zip", "x.tar", "x.gz", "x.tgz"):
        found, errors = read(name, b"this is no archive at all" * 40)
        assert not found
        assert [where for where, _ in said(errors)] == ["x.gz!/x" if name == "x.gz" else name]
    assert said(read("x.tar.gz", gzip.compress(tarred(FILES))[:-30])[1])
    assert [where for where, _ in said(read("x.zip", zipped({"i.zip": b"no"}))[1])] == ["x.zip!/i.zip"]


TEXT = b"".join(b"line %d of a text that does not repeat: %x\n" % (n, n * n * 7919) for n in range(4000))


def test_a_damaged_member_is_read_as_far_as_it_goes() -> None:
    """What was read before the damage is worth looking at, and so are the members around it."""
    data = bytearray(zipped({"a.txt": b"first", "b.txt": TEXT, "c.txt": b"third"}))
    with zipfile.ZipFile(io.BytesIO(bytes(data))) as file:
        member = file.getinfo("b.txt")
    at = member.header_offset + 40 + member.compress_size // 2
    data[at : at + 60] = b"\xff" * 60
    found, errors = read("x.zip", bytes(data))
    assert (found["x.zip!/a.txt"], found["x.zip!/c.txt"]) == (b"first", b"third")
    assert len(found["x.zip!/b.txt"]) > 1000
    (where, what), = said(errors)  # fmt: skip
    assert where == "x.zip!/b.txt"
    assert what.startswith("cannot be read to its end: ")


def test_a_zip_that_points_to_nothing_hides_nothing_else() -> None:
    data = bytearray(zipped({"a.txt": b"first", "b.txt": b"second"}, zipfile.ZIP_STORED))
    struct.pack_into("<L", data, data.find(b"PK\x01\x02") + 42, 3)
    found, errors = read("x.zip", bytes(data))
    assert found == {"x.zip!/b.txt": b"second"}
    assert said(errors) == [("x.zip!/a.txt", "cannot be read: its directory points to something else")]


def test_a_member_called_otherwise_in_its_own_header_is_read() -> None:
    data = bytearray(zipped({"a.txt": b"first"}))
    data[30:35] = b"z.zip"
    assert read("x.zip", bytes(data)) == ({"x.zip!/a.txt": b"first"}, [])


@pytest.mark.parametrize("kind", ["gz", "tgz"])
def test_what_ends_too_early_is_read_as_far_as_it_goes(kind: str) -> None:
    whole = gzip.compress(tarred({"a.txt": b"first", "b.txt": TEXT}) if kind == "tgz" else TEXT, mtime=0)
    found, errors = read(f"x.{kind}", whole[: len(whole) * 3 // 4])
    cut = found["x.tgz!/b.txt" if kind == "tgz" else "x.gz!/x"]
    assert len(TEXT) // 2 < len(cut) < len(TEXT)
    assert TEXT.startswith(cut)
    assert len(said(errors)) == 1
    if kind == "tgz":
        assert found["x.tgz!/a.txt"] == b"first"


def test_a_tar_is_read_on_behind_a_damaged_header() -> None:
    data = bytearray(tarred({"a.txt": b"first", "b.txt": b"b" * 2000, "c.txt": b"third"}))
    data[1024:1030] = b"\xff" * 6
    found, errors = read("x.tar", bytes(data))
    assert found == {"x.tar!/a.txt": b"first", "x.tar!/c.txt": b"third"}
    assert said(errors) == [("x.tar", "is damaged: a header is damaged; what belongs to it was left out")]


def test_a_file_without_a_name_is_a_file() -> None:
    """The standard library's `is_dir` raises IndexError for it."""
    made = bytearray(zipped({"a": b"first", "b": b"second"}, zipfile.ZIP_STORED))
    at = made.find(b"PK\x01\x02")
    struct.pack_into("<HH", made, at + 28, 0, 1)
    found, errors = read("x.zip", bytes(made))
    assert b"second" in found.values()
    assert [where for where, _ in said(errors)] in ([], ["x.zip!/"])


def test_zips_that_cannot_be_read_say_so() -> None:
    found, errors = read("x.zip", zipped({"a.txt": b"a", "b.txt": b"b"}, zipfile.ZIP_BZIP2))
    assert not found
    assert {what for _, what in said(errors)} == {"is compressed in a way that is not read"}
    data = bytearray(zipped({"a.txt": b"a"}, zipfile.ZIP_STORED))
    data[data.find(b"PK\x01\x02") + 8] |= 1
    assert said(read("x.zip", bytes(data))[1]) == [("x.zip!/a.txt", "is encrypted")]


def test_headers_of_a_tar_are_bounded() -> None:
    header = bytearray(tarred({"x": b""})[:512])
    header[156:157] = b"x"
    header[124:136] = b"%011o\x00" % (1 << 30)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\x00 " % sum(header)
    _, errors = read("x.tar.gz", gzip.compress(bytes(header) + bytes(1 << 20)))
    assert said(errors) == [("x.tar.gz", "cannot be opened: an extended header is larger than a megabyte")]
    with pytest.raises(tarring.TarError):
        list(tarring.entries(io.BytesIO(b"\x01" * 512)))
    with pytest.raises(tarring.TarError):
        list(tarring.entries(io.BytesIO(bytes(header)[:300])))


def test_other_endings_are_no_archives() -> None:
    assert not archives.is_archive("x.txt")
    assert not archives.is_archive("zip")
    assert not archives.is_archive("x.zip/readme")
    assert read("x.bz2", bz2.compress(b"x")) == ({}, [])


def test_a_tree_with_archives(tmp_path: Path, engine: Engine, fingerprinter: Fingerprinter) -> None:
    nested = zipped({"config/app.env": f"A=1\nKEY={KEY}\n".encode(), "logo.png": KEY.encode()})
    (tmp_path / "app.jar").write_bytes(zipped({"lib/in.jar": nested, "plain.txt": b"nothing"}))
    (tmp_path / "broken.whl").write_bytes(b"PK\x03\x04 no more")
    report = files.scan([tmp_path], engine=engine, fingerprinter=fingerprinter)
    (finding,) = report.findings
    assert isinstance(finding.location, FileLocation)
    assert finding.location.path == f"{tmp_path.as_posix()}/app.jar!/lib/in.jar!/config/app.env"
    assert (finding.location.line, finding.location.column) == (2, 5)
    assert [Path(error["where"]).name for error in report.errors] == ["broken.whl"]
    assert files.scan([tmp_path], engine=engine, fingerprinter=fingerprinter, workers=2).findings == [finding]
