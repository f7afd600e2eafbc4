"""The nouns of scanning: a value that redacts itself, where it lies, and what was found there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol

from scanners.matches import (
    REDACTED,
    Confidence,
    Match,
    Origin,
    Secret,
    Severity,
    length_class,
    preview,
    reveal,
)

__all__ = (
    "REDACTED",
    "AzureLocation",
    "CommitLocation",
    "Confidence",
    "Document",
    "FileLocation",
    "Finding",
    "Fingerprinter",
    "ImageLocation",
    "Location",
    "Match",
    "Origin",
    "Report",
    "Secret",
    "Severity",
    "length_class",
    "preview",
    "reveal",
)


@dataclass(frozen=True, slots=True)
class Fingerprinter:
    """Keyed digests of values and documents: equality without disclosure, meaningless without the key."""

    key: bytes
    """At least 32 random bytes, kept 0600 in the state folder."""

    @property
    def key_id(self) -> str:
        """Names the key without telling it, so that a plan can say which state folder it belongs to."""
        return self._digest(b"keylift key id")[:12]

    def of(self, value: str | bytes) -> str:
        """The fingerprint of a value: `f1:` and 32 hex digits of HMAC-SHA256."""
        data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
        return "f1:" + self._digest(data)[:32]

    def of_secret(self, secret: Secret) -> str:
        """The fingerprint of a secret's value."""
        return self.of(reveal(secret))

    def _digest(self, data: bytes) -> str:
        # The hook has no use for it, and importing it loads OpenSSL.
        from hmac import digest

        return digest(self.key, data, "sha256").hex()


class Location(Protocol):
    """Where bytes lie. `as_dict` gives the `location` object of the findings format, `kind` first."""

    kind: ClassVar[str]

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        ...

    def sort_key(self) -> tuple[Any, ...]:
        """Orders findings the same way every time."""
        ...


@dataclass(frozen=True, slots=True)
class AzureLocation:
    """A property of a live resource."""

    resource: str
    """ARM id as Azure gave it."""
    path: str
    """JSON path, e.g. `properties.template.containers[0].env[2].value`."""
    name: str
    """What people call the place: the env variable, the secret, the registry server."""
    kind: ClassVar[str] = "azure"

    def as_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "resource": self.resource, "path": self.path, "name": self.name}

    def sort_key(self) -> tuple[Any, ...]:
        return (self.kind, self.resource.lower(), self.path, self.name)


@dataclass(frozen=True, slots=True)
class FileLocation:
    """A place in a file. Lines and columns count from one."""

    path: str
    line: int
    column: int
    kind: ClassVar[str] = "file"

    def as_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "path": self.path, "line": self.line, "column": self.column}

    def sort_key(self) -> tuple[Any, ...]:
        return (self.kind, self.path, self.line, self.column)


@dataclass(frozen=True, slots=True)
class CommitLocation:
    """A place in a repository's history: in a version of a file, in a commit's message or in a tag."""

    path: str
    """Of the file as the commit had it, or what it is instead of a file (`commit message`)."""
    line: int
    column: int
    commit: str | None
    """The first commit that brought it in; None when no commit leads there."""
    author_date: str | None
    """ISO 8601, with the author's offset."""
    at_head: bool
    """Whether a version that holds it is part of HEAD."""
    kind: ClassVar[str] = "commit"

    def as_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "path": self.path,
            "line": self.line,
            "column": self.column,
            "commit": self.commit,
            "author_date": self.author_date,
            "at_head": self.at_head,
        }

    def sort_key(self) -> tuple[Any, ...]:
        return (self.kind, self.path, self.line, self.column, self.commit or "")


@dataclass(frozen=True, slots=True)
class ImageLocation:
    """A place in a container image: in a file of one of its layers, or in its configuration."""

    image: str
    """The reference or the file, as it was named; of several images in one archive, which one."""
    platform: str | None = None
    """`linux/amd64`; None when the image does not say."""
    layer: str | None = None
    """Digest of the layer's blob; None for the configuration."""
    path: str | None = None
    """In the layer, from its root; `/app/lib.jar!/application.properties` inside an archive."""
    line: int = 1
    column: int = 1
    config: str | None = None
    """The key in the configuration: `Env.DB_PASSWORD`, `Labels.<name>`, `Cmd`, `History[3]`."""
    instruction: str = ""
    """What made the layer, as the history tells it, values blanked out."""
    deleted: bool = False
    """A later layer deletes the file: a container does not show it, the image still holds it."""
    deleted_by: str | None = None
    """Digest of that layer."""
    replaced_by: str | None = None
    """Digest of the layer that has something else at the path."""
    visible: bool = True
    """Whether the running app can see it."""
    kind: ClassVar[str] = "image"

    def as_dict(self) -> dict[str, Any]:
        head: dict[str, Any] = {"kind": self.kind, "image": self.image, "platform": self.platform}
        if self.config is not None:
            return {**head, "config": self.config, "instruction": self.instruction, "visible": self.visible}
        return {
            **head,
            "layer": self.layer,
            "path": self.path,
            "line": self.line,
            "column": self.column,
            "instruction": self.instruction,
            "deleted": self.deleted,
            "deleted_by": self.deleted_by,
            "replaced_by": self.replaced_by,
            "visible": self.visible,
        }

    def sort_key(self) -> tuple[Any, ...]:
        where = (self.path or "", self.line, self.column, self.layer or "")
        return (self.kind, self.image, self.platform or "", self.config or "", *where)


@dataclass(frozen=True, slots=True)
class Document:
    """Bytes to scan and where they came from."""

    data: bytes
    location: Location
    """Of the document as a whole; a source turns an offset in `data` into the location of a finding."""
    name: str | None = None
    """The name the bytes go by where they lie (an env variable, a secret, a file name); rules may judge by it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that matched at a location. Holds no value."""

    rule: str
    title: str
    severity: Severity
    confidence: Confidence
    location: Location
    fingerprint: str
    preview: str
    """At most four characters of a value of at least sixteen, and its length class."""
    verified: str | None = None
    service: str | None = None
    detail: str | None = None
    weak: bool = False
    status: str = "new"
    """`new`, `known` (in a baseline) or `allowed`."""
    origin: Origin = Origin.VENDOR
    """For `scanners.places`; no part of the findings format."""

    def made_weak(self) -> Finding:
        """The same, of a value that is worth nothing to a thief."""
        return replace(self, weak=True, severity=self.severity.weakened)

    def as_dict(self) -> dict[str, Any]:
        """The object of the findings format."""
        return {
            "rule": self.rule,
            "title": self.title,
            "severity": str(self.severity),
            "confidence": str(self.confidence),
            "verified": self.verified,
            "service": self.service,
            "detail": self.detail,
            "location": self.location.as_dict(),
            "fingerprint": self.fingerprint,
            "preview": self.preview,
            "weak": self.weak,
            "status": self.status,
        }


@dataclass(slots=True)
class Report:
    """What one scan found, could not read, and looked at."""

    findings: list[Finding] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    """`{"where", "what", "hint"}` each."""
    scanned: dict[str, int] = field(default_factory=dict)
    """Counts by kind of thing looked at (apps, values, bytes)."""
    notes: list[dict[str, str]] = field(default_factory=list)
    """`{"where", "what"}` each: worth knowing, and no finding."""

    def ordered(self) -> Iterator[Finding]:
        """Findings in their one order: by place, then by rule."""
        return iter(sorted(self.findings, key=lambda f: (f.location.sort_key(), f.rule, f.fingerprint)))
