"""What an image on disk shows of a program: its packages, and the bindings of Functions. Which client is built, it does not.

Layers are read as they stream by, with the limits of image scans; nothing is unpacked to disk, and nothing runs.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from migrator.errors import UsageError
from migrator.passwordless.code import declared, seen
from migrator.passwordless.evidence import Code, Sight
from scanners.images.archive import Layout, open_local
from scanners.images.errors import ImageError
from scanners.images.finds import LayerFinds
from scanners.images.limits import DEFAULT
from scanners.images.streams import Counting, Reader, unpacked
from scanners.images.tar import FILE, Buffer, TarError, TarReader

_PYTHON = re.compile(r"(?:^|/)([A-Za-z0-9][\w.]*)-(\d[\w.!+]*)\.(?:dist|egg)-info(?:/|$)")
_JAR = re.compile(r"(?:^|/)([A-Za-z][\w.-]*?)-(\d[\w.+-]*)\.jar$")
_JSON = re.compile(
    r"\.deps\.json$|(?:^|/)node_modules/(?:@[^/]+/)?[^/]+/package\.json$|(?:^|/)(?:function|host)\.json$"
)
_MANIFEST = re.compile(r"(?:^|/)node_modules/((?:@[^/]+/)?[^/]+)/package\.json$")
_VERSION = re.compile(r'"version"\s*:\s*"([^"]+)"')
_GONE, _EMPTIED = ".wh.", ".wh..wh..opq"
"""How a layer says that a file of those below is gone, or a whole folder (OCI image layer specification)."""
_SMALL, _LARGE = 8 << 20, 256 << 20
"""Bytes of a manifest, and of a jar with all others in it, that are held at a time."""


def is_image(path: Path) -> bool:
    """Whether somebody means an image on disk, not a folder of code: an archive, or an OCI layout."""
    return path.is_file() or (path / "oci-layout").is_file()


def read_image(target: str) -> Code:
    """What the image in a `docker save` or OCI archive, or in an OCI layout folder, shows; a file of a later layer counts.

    Raises:
        UsageError: there is none, or it cannot be read.
    """
    packages: dict[str, str] = {}
    names: dict[str, list[Sight]] = {}
    try:
        layout = open_local(target, DEFAULT, lambda _text: None, _streamed)
        try:
            found: dict[str, tuple[int, list[tuple[str, str]], str]] = {}
            for layer, path, data in _files(layout):
                folder, _, name = path.rpartition("/")
                if name == _EMPTIED or name.startswith(_GONE):
                    gone = folder if name == _EMPTIED else f"{folder}/{name.removeprefix(_GONE)}".strip("/")
                    found = {
                        one: told
                        for one, told in found.items()
                        if told[0] == layer or not f"{one}/".startswith(f"{gone}/")
                    }
                    continue
                bindings = data.decode("utf-8", "replace") if name == "function.json" else ""
                found[path] = (layer, [*_packages(path, data)], bindings)
            for path, (_, declared_there, bindings) in found.items():
                packages.update(declared_there)
                for kind, what, called, sight in seen(path, bindings):
                    if kind == "names":
                        names.setdefault(f"{what}:{called}".lower(), []).append(sight)
        finally:
            layout.close()
    except (ImageError, TarError) as error:
        hint = getattr(error, "hint", "") or f"save it anew: docker save -o {target} IMAGE"
        raise UsageError(f"--code {target}: {error}", why=getattr(error, "why", ""), hint=hint) from None
    told = {key: tuple(sorted(sights)) for key, sights in sorted(names.items())}
    return Code(dict(sorted(packages.items())), names=told, whole=False)


def _streamed(_reader: Reader, name: str) -> LayerFinds:
    raise ImageError(f"{name} is compressed as a whole", why="its layers are read one by one", hint="unpack it: gunzip")


def _files(layout: Layout) -> Iterator[tuple[int, str, bytes]]:
    """Number of the layer, path and bytes of files that tell packages; with no bytes, paths that tell them alone, and that something is gone."""
    for image in layout.images(None, lambda _name, _error: None)[:1]:
        for layer, blob in enumerate(image.layers):
            with layout.open(blob) as opened:
                counted = Counting(opened)
                chunks = unpacked(counted, DEFAULT, lambda counted=counted: counted.size)  # type: ignore[misc]
                reader = TarReader(Buffer(chunks), DEFAULT, lambda _text: None)
                for entry in reader.entries():
                    if entry.kind != FILE:
                        continue
                    path = entry.path.removeprefix("./")
                    most = _SMALL if _JSON.search(path) else _LARGE if path.endswith(".jar") else 0
                    if most >= entry.size > 0:
                        yield layer, path, _whole(reader, entry.size)
                    elif _PYTHON.search(path) or path.rpartition("/")[2].startswith(_GONE):
                        yield layer, path, b""


def _whole(reader: TarReader, size: int) -> bytes:
    pieces = []
    while size > 0 and (piece := reader.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _packages(path: str, data: bytes) -> Iterator[tuple[str, str]]:
    python = _PYTHON.search(path)
    if python:
        yield python[1].lower().replace("_", "-"), python[2]
    elif path.endswith(".jar"):
        yield from _jars(path, data)
    elif module := _MANIFEST.search(path):
        version = _VERSION.search(data.decode("utf-8", "replace"))
        yield module[1].lower(), version[1] if version else ""
    else:
        yield from declared(path, data.decode("utf-8", "replace"))


def _jars(path: str, data: bytes) -> Iterator[tuple[str, str]]:
    """A jar, and those that lie in it, by their names."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            inside = archive.namelist()[: DEFAULT.nested_entries]
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        inside = []
    for name in (path, *inside):
        found = _JAR.search(name)
        if found:
            yield found[1].lower(), found[2]
