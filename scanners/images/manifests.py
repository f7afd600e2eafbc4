"""From an index or a manifest to the images meant: platforms chosen, descriptors checked.

OCI image specification (image-index.md, manifest.md, descriptor.md) and Docker's schema 2, which differ in media types.
"""

from __future__ import annotations

import json
import platform as machine
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from scanners.images.errors import PULL_AGAIN, BlobError, ImageError, LimitError
from scanners.images.limits import Limits
from scanners.images.reference import DIGEST

INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
ACCEPTED = (*INDEXES, *MANIFESTS)
ALL = "all"
_MACHINES = {
    "x86_64": "amd64",
    "amd64": "amd64",
    "aarch64": "arm64",
    "arm64": "arm64",
    "armv7l": "arm/v7",
    "armv6l": "arm/v6",
    "i386": "386",
    "i686": "386",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "riscv64": "riscv64",
}


@dataclass(frozen=True, slots=True)
class Blob:
    """Where a blob of an image is, and what is said of it."""

    name: str
    """By which its store knows it: a digest, or a path in an archive."""
    digest: str | None = None
    size: int | None = None
    media_type: str = ""
    urls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Image:
    """One image for one platform."""

    name: str
    platform: str | None
    config: Blob
    layers: tuple[Blob, ...]
    digest: str | None = None
    """Of its manifest."""


Fetch = Callable[[Blob], bytes]
"""Gives a small blob whole, verified."""


def this_machine() -> str:
    """The platform that images are chosen for unless told otherwise: containers are Linux's."""
    return f"linux/{_MACHINES.get(machine.machine().lower(), machine.machine().lower())}"


def document(data: bytes, what: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        BlobError: it is none.
    """
    try:
        found = json.loads(data)
    except RecursionError:
        raise BlobError(f"{what} cannot be read", why="it is nested too deeply", hint=PULL_AGAIN) from None
    except ValueError:
        raise BlobError(f"{what} cannot be read", why="it is no JSON", hint=PULL_AGAIN) from None
    if not isinstance(found, dict):
        raise BlobError(f"{what} cannot be read", why="it is no JSON object", hint=PULL_AGAIN)
    return found


def descriptor(said: object, what: str) -> Blob:
    """A descriptor.

    Raises:
        BlobError: it has no digest that can be checked.
    """
    entry = said if isinstance(said, dict) else {}
    digest = entry.get("digest")
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise BlobError(f"{what} has no digest that can be checked", why="the manifest is broken", hint=PULL_AGAIN)
    size = entry.get("size")
    urls = entry.get("urls")
    return Blob(
        name=digest,
        digest=digest,
        size=size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None,
        media_type=str(entry.get("mediaType") or ""),
        urls=tuple(str(url) for url in urls) if isinstance(urls, list) else (),
    )


def images(
    name: str,
    data: bytes,
    digest: str | None,
    fetch: Fetch,
    wanted: str | None,
    limits: Limits,
    error: Callable[[str, ImageError], None],
) -> Iterator[Image]:
    """The images that an index or a manifest stands for.

    Args:
        name: what the image is called.
        data: the index or the manifest.
        digest: of it.
        fetch: gives manifests below it.
        wanted: a platform, `all`, or None for this machine's (and if there is only one, for that).
        limits: for how many there may be.
        error: told of manifests that cannot be had.

    Raises:
        ImageError: the document is none of both, or none in it is for the platform.
    """
    left = [limits.manifests]
    said = document(data, "the manifest")
    if not _is_index(said):
        yield manifest(name, said, None, digest, limits)
        return
    entries = list(_entries(said, fetch, left, error, name, set()))
    if not entries:
        raise ImageError(f"{name} holds no image", why="its index names no manifest", hint=PULL_AGAIN)
    chosen = choose(entries, wanted, name)
    for entry, platform in chosen:
        try:
            blob = descriptor(entry, "a manifest of the index")
            below = document(fetch(blob), f"the manifest {blob.digest}")
            yield manifest(name, below, platform, blob.digest, limits)
        except ImageError as problem:
            error(f"{name} ({platform})" if platform else name, problem)


def manifest(name: str, said: dict[str, Any], platform: str | None, digest: str | None, limits: Limits) -> Image:
    """An image from its manifest.

    Raises:
        BlobError: it is no manifest.
    """
    if said.get("schemaVersion") == 1 or "fsLayers" in said:
        raise BlobError(
            f"the manifest of {name} is of the first schema",
            why="registries stopped making them in 2019, and nothing in them can be verified",
            hint="build and push the image again",
        )
    layers = said.get("layers")
    if not isinstance(layers, list) or not isinstance(said.get("config"), dict):
        kind = str(said.get("mediaType") or "unknown")[:100]
        why = f"it has no configuration and layers (media type {kind})"
        raise BlobError(f"the manifest of {name} is of no image", why=why, hint=PULL_AGAIN)
    if len(layers) > limits.layers:
        raise LimitError(
            f"the manifest of {name} names {len(layers)} layers", why=f"{limits.layers} are the most", hint=PULL_AGAIN
        )
    return Image(
        name,
        platform,
        descriptor(said["config"], "the configuration"),
        tuple(descriptor(layer, "a layer") for layer in layers),
        digest,
    )


def _is_index(said: dict[str, Any]) -> bool:
    return said.get("mediaType") in INDEXES or (isinstance(said.get("manifests"), list) and "layers" not in said)


def _entries(
    said: dict[str, Any],
    fetch: Fetch,
    left: list[int],
    error: Callable[[str, ImageError], None],
    name: str,
    above: set[str],
) -> Iterator[tuple[dict[str, Any], str | None]]:
    """Manifests that an index names, itself or through others, with their platforms."""
    listed = said.get("manifests")
    for entry in listed if isinstance(listed, list) else ():
        left[0] -= 1
        if left[0] < 0:
            raise LimitError(f"the index of {name} names too many manifests", why="or itself", hint=PULL_AGAIN)
        if not isinstance(entry, dict) or _attests(entry):
            continue
        if entry.get("mediaType") in INDEXES:
            try:
                blob = descriptor(entry, "an index")
                if blob.name in above or len(above) > 3:
                    continue
                below = document(fetch(blob), "an index")
            except LimitError:
                raise
            except ImageError as problem:
                error(name, problem)
                continue
            yield from _entries(below, fetch, left, error, name, above | {blob.name})
        else:
            yield entry, _platform(entry)


def _attests(entry: dict[str, Any]) -> bool:
    """Whether it is what BuildKit says of an image, and no image."""
    notes = entry.get("annotations")
    return isinstance(notes, dict) and notes.get("vnd.docker.reference.type") == "attestation-manifest"


def _platform(entry: dict[str, Any]) -> str | None:
    said = entry.get("platform")
    if not isinstance(said, dict):
        return None
    parts = [said.get(key) for key in ("os", "architecture", "variant")]
    found = [part for part in parts if isinstance(part, str) and part]
    return "/".join(found) if len(found) >= 2 else None


def choose(
    entries: list[tuple[dict[str, Any], str | None]], wanted: str | None, name: str
) -> list[tuple[dict[str, Any], str | None]]:
    """Entries for a platform.

    Raises:
        ImageError: there is none.
    """
    if wanted == ALL:
        return entries
    asked = wanted or this_machine()
    matching = [entry for entry in entries if entry[1] and fits(entry[1], asked)]
    if matching:
        exact = [entry for entry in matching if entry[1] == asked]
        return [(exact or matching)[0]]
    unknown = [entry for entry in entries if entry[1] is None]
    if unknown:
        return unknown
    if wanted is None and len(entries) == 1:
        return entries
    has = ", ".join(sorted({entry[1] for entry in entries if entry[1]}))
    raise ImageError(
        f"{name} has no image for {asked}",
        why=f"it has: {has}",
        hint="choose one: --platform OS/ARCH, or --platform all",
    )


def fits(has: str, asked: str) -> bool:
    """Whether a platform is the one asked for; a variant that one of both leaves out does not count."""
    one, other = has.lower().split("/"), asked.lower().split("/")
    if len(other) == 1:
        return other[0] in one
    return one[:2] == other[:2] and (len(one) < 3 or len(other) < 3 or one[2] == other[2])
