"""Images made by hand: layers as tars, a configuration, and the forms in which tools write them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tar(files: Mapping[str, bytes | str | None], *, links: Mapping[str, str] | None = None) -> bytes:
    """A tar: bytes are a file, None a folder, a text a symbolic link; `links` are hard ones."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            if content is None:
                entry.type = tarfile.DIRTYPE
                archive.addfile(entry)
            elif isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                archive.addfile(entry)
            else:
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.LNKTYPE, target
            archive.addfile(entry)
    return out.getvalue()


def jar(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def gzipped(data: bytes) -> bytes:
    return gzip.compress(data, 6, mtime=0)


def zstandard(data: bytes) -> bytes:
    from backports import zstd

    return zstd.compress(data)


def plain(data: bytes) -> bytes:
    return data


Compress = Callable[[bytes], bytes]


@dataclass
class Made:
    """An image: layers unpacked, and what its configuration says."""

    layers: list[bytes]
    env: list[str] = field(default_factory=list)
    history: list[dict[str, Any]] | None = None
    config: dict[str, Any] = field(default_factory=dict)
    architecture: str = "amd64"

    def config_bytes(self) -> bytes:
        return json.dumps(
            {
                "architecture": self.architecture,
                "os": "linux",
                "config": {"Env": ["PATH=/usr/bin", *self.env], "Cmd": ["/app/run"], "User": "app", **self.config},
                "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in self.layers]},
                "history": self.history
                or [{"created_by": f"COPY {at} / # buildkit"} for at in range(len(self.layers))],
            }
        ).encode()

    def blobs(self, compress: Compress = gzipped) -> tuple[dict[str, bytes], dict[str, Any]]:
        """All blobs by digest, and the descriptor of the manifest."""
        packed = [compress(layer) for layer in self.layers]
        suffix = "+gzip" if compress is gzipped else "+zstd" if compress is zstandard else ""
        config = self.config_bytes()
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": {"mediaType": OCI_CONFIG, "digest": digest(config), "size": len(config)},
                "layers": [
                    {"mediaType": OCI_LAYER + suffix, "digest": digest(layer), "size": len(layer)} for layer in packed
                ],
            }
        ).encode()
        blobs = {digest(data): data for data in [*packed, config, manifest]}
        return blobs, {"mediaType": OCI_MANIFEST, "digest": digest(manifest), "size": len(manifest)}


def index(entries: Iterable[dict[str, Any]]) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(entries)}).encode()


def layout_files(blobs: Mapping[str, bytes], entries: Iterable[dict[str, Any]]) -> dict[str, bytes]:
    """The files of an OCI layout."""
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": index(entries)}
    return files | {f"blobs/{name.replace(':', '/')}": data for name, data in blobs.items()}


def oci_files(image: Made, compress: Compress = gzipped) -> dict[str, bytes]:
    blobs, entry = image.blobs(compress)
    return layout_files(blobs, [entry])


def multi_files(images: Iterable[Made], compress: Compress = gzipped) -> dict[str, bytes]:
    """An OCI layout whose index names an index of platforms."""
    blobs: dict[str, bytes] = {}
    entries = []
    for image in images:
        own, entry = image.blobs(compress)
        blobs |= own
        entries.append({**entry, "platform": {"os": "linux", "architecture": image.architecture}})
    inner = index(entries)
    blobs[digest(inner)] = inner
    return layout_files(blobs, [{"mediaType": OCI_INDEX, "digest": digest(inner), "size": len(inner)}])


def docker_files(image: Made, tag: str = "shop:1") -> dict[str, bytes]:
    """What `docker save` wrote until version 24."""
    config = image.config_bytes()
    name = digest(config).partition(":")[2] + ".json"
    files: dict[str, bytes] = {}
    paths = []
    for number, layer in enumerate(image.layers):
        path = f"{number:064x}/layer.tar"
        files |= {f"{number:064x}/VERSION": b"1.0", f"{number:064x}/json": b'{"id":"x"}', path: layer}
        paths.append(path)
    manifest = [{"Config": name, "RepoTags": [tag], "Layers": paths}]
    return files | {name: config, "manifest.json": json.dumps(manifest).encode()}


def write_folder(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def write_tar(path: Path, files: Mapping[str, bytes]) -> Path:
    path.write_bytes(tar(files))
    return path
