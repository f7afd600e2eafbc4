"""What a person decides about single apps, secrets and findings, where the options speak of all: a value-free document.

The wizard writes it, `keylift plan --choices FILE` reads it; the same choices give the same plan.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date
from typing import Any

from migrator.errors import MADE_ELSEWHERE, UsageError
from migrator.model import Json

SCHEMA = 1
IGNORED, FALSE = "ignored", "false"
VERDICTS = (IGNORED, FALSE)
CONFLICTS = ("skip", "new-version", "rename")
KEYLESS = ("suggest", "apply")
VAULT_NAME = re.compile(r"[0-9a-zA-Z-]{1,127}")
"""What Key Vault takes as the name of a secret (learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates)."""
_KEYS = {"schema", "key", "identity", "names", "on_conflict", "passwordless", "accept", "ignore"}


@dataclass(frozen=True, slots=True)
class Ignored:
    """A secret that stays where it is, because somebody said so."""

    verdict: str
    """`ignored`: it is real and stays; `false`: it is no secret."""
    reason: str
    until: str = ""
    """The last day on which this counts, `2026-12-31`; empty for ever."""

    def counts(self, today: date) -> bool:
        """Whether the day has not passed."""
        return not self.until or date.fromisoformat(self.until) >= today

    def told(self) -> str:
        """For the plan."""
        what = "it is no secret" if self.verdict == FALSE else "it stays"
        return f"{what}{f' until {self.until}' if self.until else ''}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Choices:
    """Decisions on single things. Fingerprints are those of findings, under the state folder's key."""

    identity: Mapping[str, str] = field(default_factory=dict)
    """App id, lower case -> `user`, `system` or the id of a user-assigned identity."""
    names: Mapping[str, str] = field(default_factory=dict)
    """The vault secret's name by the template -> the one it gets instead."""
    on_conflict: Mapping[str, str] = field(default_factory=dict)
    """Vault secret name -> `skip`, `new-version` or `rename`."""
    accept: tuple[str, ...] = ()
    """Fingerprints that move even where the finding is of low confidence."""
    ignore: Mapping[str, Ignored] = field(default_factory=dict)
    """Fingerprint -> why it stays."""
    passwordless: Mapping[str, str] = field(default_factory=dict)
    """Fingerprint -> `apply`: an identity takes its place where configuration alone is enough; `suggest`: it moves into the
    vault all the same."""

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            UsageError: a name that no vault takes, an unknown word, a date that is none, an ignored secret without reason.
        """
        for name in self.names.values():
            if not VAULT_NAME.fullmatch(name):
                raise UsageError(
                    f"choices: no vault takes the name {name!r}", hint="use 1 to 127 letters, digits and dashes"
                )
        for name, way in self.on_conflict.items():
            if way not in CONFLICTS:
                raise UsageError(f"choices: on_conflict {way!r} of {name}", hint=f"use {', '.join(CONFLICTS)}")
        for mark, way in self.passwordless.items():
            if way not in KEYLESS:
                raise UsageError(f"choices: passwordless {way!r} of {mark}", hint=f"use {' or '.join(KEYLESS)}")
        for mark, entry in self.ignore.items():
            if entry.verdict not in VERDICTS:
                raise UsageError(f"choices: verdict {entry.verdict!r} of {mark}", hint=f"use {' or '.join(VERDICTS)}")
            if not entry.reason.strip():
                raise UsageError(f"choices: {mark} is ignored without a reason", hint="say why, for whoever asks later")
            try:
                entry.counts(date.min)
            except ValueError as error:
                raise UsageError(
                    f"choices: {entry.until!r} is no day", why=str(error), hint="write it as 2026-12-31"
                ) from None

    def __bool__(self) -> bool:
        return any(getattr(self, entry.name) for entry in fields(self))

    def on(self, today: date) -> Choices:
        """Without what has run out."""
        return replace(self, ignore={mark: entry for mark, entry in self.ignore.items() if entry.counts(today)})

    def as_dict(self) -> Json:
        """The JSON form, in one order; empty parts are left out."""
        document: Json = {}
        for key in ("identity", "names", "on_conflict", "passwordless"):
            if part := getattr(self, key):
                document[key] = dict(sorted(part.items()))
        if self.accept:
            document["accept"] = sorted(set(self.accept))
        if self.ignore:
            document["ignore"] = [
                {"fingerprint": mark, "verdict": entry.verdict, "reason": entry.reason, "until": entry.until}
                for mark, entry in sorted(self.ignore.items())
            ]
        return document

    def to_json(self, key: str) -> str:
        """The file; `key` is the id of the fingerprint key it belongs to."""
        return json.dumps({"schema": SCHEMA, "key": key, **self.as_dict()}, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, *, key: str, source: str) -> Choices:
        """Read a file.

        Raises:
            UsageError: it is no choices file, is of another state folder, or asks for what cannot be.
        """
        hint = "the wizard writes them: keylift wizard; docs/wizard.md has the format"
        try:
            document = json.loads(text)
        except ValueError as error:
            raise UsageError(f"{source} is not JSON", why=str(error), hint=hint) from None
        if not isinstance(document, dict) or document.get("schema") != SCHEMA:
            raise UsageError(f"{source} holds no choices of schema {SCHEMA}", hint=hint)
        unknown = sorted(set(document) - _KEYS)
        if unknown:
            raise UsageError(f"{source} has the key {unknown[0]!r}, which keylift does not know", hint=hint)
        marked = any(document.get(key) for key in ("accept", "ignore", "passwordless"))
        if marked and document.get("key") != key:
            raise UsageError(
                f"{source} was made with another fingerprint key",
                why="its fingerprints mean nothing here",
                hint=MADE_ELSEWHERE,
            )
        try:
            return cls(
                {str(app).lower(): str(wish) for app, wish in _mapping(document, "identity").items()},
                {str(name): str(wish) for name, wish in _mapping(document, "names").items()},
                {str(name): str(way) for name, way in _mapping(document, "on_conflict").items()},
                tuple(str(mark) for mark in document.get("accept") or ()),
                {
                    str(entry["fingerprint"]): Ignored(
                        str(entry["verdict"]), str(entry["reason"]), str(entry.get("until") or "")
                    )
                    for entry in document.get("ignore") or ()
                },
                {str(mark): str(way) for mark, way in _mapping(document, "passwordless").items()},
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{source} is misshapen", why=f"{type(error).__name__}: {error}", hint=hint) from None


def _mapping(document: Json, key: str) -> Mapping[Any, Any]:
    found = document.get(key, {})
    if not isinstance(found, dict):
        raise TypeError(f"{key} is no object")
    return found
