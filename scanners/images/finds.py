"""What was found in one layer, without values and without the image: the same layer is part of many images."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scanners.images.whiteouts import Changes
from scanners.model import Confidence, Finding, Fingerprinter, ImageLocation, Location, Match, Severity, preview


@dataclass(frozen=True, slots=True)
class Find:
    """A match at a place in a layer."""

    path: str
    """In the layer, without a slash before it; `archive!/member` inside archives."""
    line: int
    column: int
    rule: str
    title: str
    severity: str
    confidence: str
    fingerprint: str
    preview: str
    verified: str | None
    service: str | None
    detail: str | None
    weak: bool
    status: str = "new"
    shadowed: bool = False
    """The layer itself has the path again later."""

    @property
    def file(self) -> str:
        """The layer's own file, without what is inside of it."""
        return self.path.partition("!")[0]

    @classmethod
    def of(
        cls, match: Match, path: str, line: int, column: int, fingerprinter: Fingerprinter, status: str = "new"
    ) -> Find:
        """A match without its value."""
        return cls(
            path=path,
            line=line,
            column=column,
            rule=match.rule,
            title=match.title,
            severity=str(match.severity),
            confidence=str(match.confidence),
            fingerprint=fingerprinter.of_secret(match.secret),
            preview=preview(match.secret),
            verified=match.verified,
            service=match.service,
            detail=match.detail,
            weak=match.weak,
            status=status,
        )

    def at(self, location: Location) -> Finding:
        """The finding it is in one image."""
        return Finding(
            rule=self.rule,
            title=self.title,
            severity=Severity(self.severity),
            confidence=Confidence(self.confidence),
            location=location,
            fingerprint=self.fingerprint,
            preview=self.preview,
            verified=self.verified,
            service=self.service,
            detail=self.detail,
            weak=self.weak,
            status=self.status,
        )

    def in_image(
        self,
        *,
        image: str,
        platform: str | None,
        layer: str,
        instruction: str,
        deleted_by: str | None,
        replaced_by: str | None,
    ) -> Finding:
        """The finding it is in one image, whose layers decide what became of the file."""
        return self.at(
            ImageLocation(
                image=image,
                platform=platform,
                layer=layer,
                path=f"/{self.path}",
                line=self.line,
                column=self.column,
                instruction=instruction,
                deleted=deleted_by is not None,
                deleted_by=deleted_by,
                replaced_by=replaced_by,
                visible=deleted_by is None and replaced_by is None and not self.shadowed,
            )
        )


@dataclass(slots=True)
class LayerFinds:
    """Everything that one layer gave."""

    digest: str = ""
    """Of the blob as it travels."""
    diff_id: str = ""
    """Of what it unpacks to."""
    packed: int = 0
    """Bytes of the blob."""
    unpacked: int = 0
    entries: int = 0
    files: int = 0
    finds: list[Find] = field(default_factory=list)
    errors: list[dict[str, str]] = field(default_factory=list)
    """`where` is a path in the layer, or nothing for the layer as a whole."""
    changes: Changes = field(default_factory=Changes)
    links: dict[str, list[str]] = field(default_factory=dict)
    """Other names of files in which something was found."""
    whole: bool = True
    """Read to its end: only then it is kept for the next scan."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON, for the cache."""
        return {
            "digest": self.digest,
            "diff_id": self.diff_id,
            "packed": self.packed,
            "unpacked": self.unpacked,
            "entries": self.entries,
            "files": self.files,
            "finds": [{name: getattr(find, name) for name in Find.__slots__} for find in self.finds],
            "errors": self.errors,
            "links": self.links,
            "removed": sorted(self.changes.removed),
            "emptied": sorted(self.changes.emptied),
            "there": b64encode(self.changes.files.tobytes()).decode("ascii"),
            "folders": b64encode(self.changes.folders.tobytes()).decode("ascii"),
        }

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> LayerFinds:
        """The inverse of `to_dict`.

        Raises:
            ValueError: or KeyError or TypeError: something `to_dict` did not write.
        """
        changes = Changes(set(said["removed"]), set(said["emptied"]))
        for name, numbers in (("there", changes.files), ("folders", changes.folders)):
            numbers.frombytes(b64decode(said[name], validate=True))
        return cls(
            digest=str(said["digest"]),
            diff_id=str(said["diff_id"]),
            packed=int(said["packed"]),
            unpacked=int(said["unpacked"]),
            entries=int(said["entries"]),
            files=int(said["files"]),
            finds=[Find(**entry) for entry in said["finds"]],
            errors=[{str(key): str(value) for key, value in entry.items()} for entry in said["errors"]],
            changes=changes,
            links={str(path): [str(name) for name in names] for path, names in said["links"].items()},
        )
