"""What a rule found in some bytes, and the value itself, which redacts itself.

The hook reads this for a commit that holds a secret, so nothing here imports much: `dataclasses` alone, with what it imports,
takes as long as judging does.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple, NoReturn

REDACTED = "<secret>"


class Secret:
    """A value in memory that shows itself to nobody: text forms are redacted, serialisation is refused.

    Two secrets compare equal by value, in constant time. `reveal` is the one way out.
    """

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        """Keep `value`."""
        self.__value = value

    def __repr__(self) -> str:
        return REDACTED

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return REDACTED

    def __len__(self) -> int:
        """Length in characters: what a preview's length class and the vault's limit are decided by."""
        return len(self.__value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        from hmac import compare_digest

        return compare_digest(self.__value.encode(), other.__value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self.__value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is never pickled")

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, _memo: dict[int, Any]) -> Secret:
        return self


def reveal(secret: Secret) -> str:
    """The value itself. The only function that gives it; callers hand it to TLS or to a digest, nowhere else."""
    value: str = secret._Secret__value  # type: ignore[attr-defined] # noqa: SLF001 - the one door
    return value


class Severity(StrEnum):
    """How bad it is if the value is real."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def weakened(self) -> Severity:
        """What is left of it when the value is weak."""
        return Severity.MEDIUM if self in (Severity.CRITICAL, Severity.HIGH) else Severity.LOW


class Confidence(StrEnum):
    """How sure the rule is that the value is real."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Origin(StrEnum):
    """Who made a value; of what a vendor did not make, the place where it lies says what it is worth."""

    VENDOR = "vendor"
    """In a form of the vendor's, which tells it wherever it lies."""
    GENERATED = "generated"
    """Made by a machine to be hard to guess, in no form of its own."""
    CHOSEN = "chosen"
    """Made up by a person."""


class Match(NamedTuple):
    """A rule's hit in one document: what and where in the bytes, the value kept in memory only."""

    rule: str
    title: str
    severity: Severity
    confidence: Confidence
    secret: Secret
    start: int
    """Byte offset of the value in the document."""
    end: int
    verified: str | None = None
    """`checksum` when the value's own checksum proves its kind."""
    service: str | None = None
    detail: str | None = None
    """What the value says of itself (a Send key, a read-only key); never part of the value."""
    weak: bool = False
    """An emulator's, a unit test's or localhost's: real, but worth nothing to a thief."""
    origin: Origin = Origin.VENDOR

    def made_weak(self) -> Match:
        """The same, of a value that is worth nothing to a thief."""
        return self._replace(weak=True, severity=self.severity.weakened)


def length_class(length: int) -> str:
    """A value's length as a coarse class, which tells no more than a reader needs."""
    for bound in (8, 16, 32, 64, 128, 256, 1024):
        if length < bound:
            return f"<{bound}"
    return ">=1024"


def preview(secret: Secret) -> str:
    """How a value is shown: up to four leading characters if it has at least sixteen, and its length class."""
    value = reveal(secret)
    shown = value[:4] if len(value) >= 16 and value[:4].isprintable() else ""
    return f"{shown}… ({length_class(len(value))} chars)"
