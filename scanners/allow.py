"""What people allow: comments beside a value, entries of the configuration with a reason, and the baseline.

Comments are those of detect-secrets (`pragma: allowlist secret`, the older `whitelist`, and on the line before
`pragma: allowlist nextline secret`, in the comment syntax of the file) and gitleaks (`gitleaks:allow` anywhere on the
line). Entries are in `[tool.keylift]` of pyproject.toml or in keylift.toml:

    allow = [{ rule = "generic-password", path = "tests/**", until = 2026-12-31, reason = "made-up values of the tests" }]

The hook calls this for every commit, so nothing heavy is imported, and what is slow is done only for a value in question.
"""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from scanners.model import Secret, reveal
from scanners.positions import surroundings

if TYPE_CHECKING:
    from scanners.baseline import Baseline
    from scanners.ignoring import IgnoreFile
    from scanners.model import Finding, Match

KEYS = ("rule", "path", "fingerprint", "until", "reason")
BASELINE = ".secrets.baseline"
"""The name by which a baseline is found without being named."""
_SCHEME = "keylift1"
_COST = {"n": 2**14, "r": 8, "p": 1, "dklen": 20, "maxmem": 64 * 1024 * 1024}
"""scrypt's: 16 MiB and some 50 ms a guess. What `keylift1` means never changes; another cost gets another name."""
_FINGERPRINT = re.compile(r"keylift1\$[0-9a-f]{16}\$[0-9a-f]{40}")


class AllowError(ValueError):
    """An entry that cannot be used. `hint` is the way out."""

    def __init__(self, what: str, *, hint: str) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the configuration. What it names must all hold; it names at least one of rule, path, fingerprint."""

    reason: str
    source: str
    """The file and the number of the entry, for messages."""
    rule: str = ""
    path: str = ""
    """A pattern as in `.gitignore`, relative to the folder of the configuration; for a resource its id."""
    fingerprint: str = ""
    until: date | None = None
    """The last day on which the entry counts."""

    def named(self) -> str:
        """The entry in a few words."""
        parts = [f"{key} {value}" for key in ("rule", "path", "fingerprint") if (value := getattr(self, key))]
        return f"{self.source} ({', '.join(parts)})"


@dataclass(slots=True)
class Allow:
    """Says of every find whether it is new, known or allowed. Can be sent to other processes."""

    start: Path
    """The folder that relative paths are relative to."""
    root: Path
    """The folder of the configuration, that patterns are relative to."""
    entries: tuple[Entry, ...] = ()
    expired: tuple[Entry, ...] = ()
    """Entries whose day has passed; they count no more."""
    baseline: Baseline | None = None
    _new_salt: str = field(default_factory=lambda: os.urandom(8).hex(), repr=False)
    _globs: dict[str, IgnoreFile] = field(default_factory=dict, repr=False)
    _digests: dict[tuple[str, Secret], str] = field(default_factory=dict, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process makes its own digests: values do not travel.
        return Allow, (self.start, self.root, self.entries, self.expired, self.baseline, self._new_salt)

    def status(self, rule: str, path: str, line_text: str, previous_line: str, secret: Secret) -> str:
        """`allowed` by a comment or an entry, `known` by the baseline, or `new`.

        Args:
            rule: the rule's id.
            path: the file, relative to the folder this was loaded for, or absolute; or the id of a resource.
            line_text: the line of the value, or the lines if it spans several; `surroundings` gives it.
            previous_line: the line before, or nothing.
            secret: the value.
        """
        if commented(path, line_text, previous_line) or self.entry(rule, path, secret) is not None:
            return "allowed"
        if self.baseline is not None and self.baseline.known(self.absolute(path), secret):
            return "known"
        return "new"

    def judged(self, finding: Finding, match: Match, path: str, data: bytes) -> Finding:
        """A finding with its status.

        Args:
            finding: what `match` became.
            match: with offsets in `data`.
            path: as `status` takes it.
            data: the document, or a piece of it with the lines around the match.
        """
        line, previous = surroundings(data, match.start, match.end)
        status = self.status(match.rule, path, line, previous, match.secret)
        return finding if status == "new" else replace(finding, status=status)

    def entry(self, rule: str, path: str, secret: Secret) -> Entry | None:
        """The first entry of the configuration that allows it."""
        if not self.entries:
            return None
        shown = self._relative(path)
        return next((entry for entry in self.entries if self._matches(entry, rule, shown, secret)), None)

    @property
    def notices(self) -> list[str]:
        """What a person should be told: entries that count no more."""
        return [f"{entry.named()} ran out on {entry.until} and allows nothing any more" for entry in self.expired]

    def suggestion(self, rule: str, path: str, secret: Secret) -> str:
        """An entry that allows this value and no other, to be pasted; its reason is left to be written."""
        values = {
            "rule": rule,
            "path": self._relative(path),
            "fingerprint": fingerprint(secret, self._salt()),
            "reason": "...",
        }
        return "{ " + ", ".join(f"{key} = {_quoted(value)}" for key, value in values.items()) + " }"

    def absolute(self, path: str) -> str:
        """Where a path is, without a look at the disk."""
        return os.path.normpath(os.path.join(self.start, path))  # noqa: PTH118 - pathlib keeps `..`, and is slow here

    def _matches(self, entry: Entry, rule: str, shown: str, secret: Secret) -> bool:
        if entry.rule and entry.rule != rule:
            return False
        if entry.path and not self._covers(entry.path, shown):
            return False
        if not entry.fingerprint:
            return True
        # The slow part comes last: one digest for a value and a salt, and all entries of a project share a salt.
        salt = entry.fingerprint.split("$")[1]
        digest = self._digests.get((salt, secret))
        if digest is None:
            digest = self._digests[salt, secret] = fingerprint(secret, salt)
        return hmac.compare_digest(digest, entry.fingerprint)

    def _covers(self, pattern: str, shown: str) -> bool:
        from scanners import ignoring

        glob = self._globs.get(pattern)
        if glob is None:
            glob = self._globs[pattern] = _glob(pattern)
        parts = shown.split("/")
        return any(
            ignoring.ignored("/".join(parts[:end]), directory=end < len(parts), files=(glob,))
            for end in range(1, len(parts) + 1)
        )

    def _relative(self, path: str) -> str:
        whole = self.absolute(path)
        below = os.path.join(self.root, "")  # noqa: PTH118 - with the separator at its end
        return whole.removeprefix(below).replace(os.sep, "/").lstrip("/")

    def _salt(self) -> str:
        used = (entry.fingerprint.split("$")[1] for entry in (*self.entries, *self.expired) if entry.fingerprint)
        return next(used, self._new_salt)


def fingerprint(secret: Secret, salt: str) -> str:
    """A digest of a value that is equal on every machine and slow to guess: `keylift1$<salt>$<scrypt>`.

    Args:
        secret: the value.
        salt: 16 hex digits; one for a project, so that a value is digested once however many entries there are.
    """
    from hashlib import scrypt

    value = reveal(secret).encode("utf-8", "surrogatepass")
    return f"{_SCHEME}${salt}${scrypt(value, salt=bytes.fromhex(salt), **_COST).hex()}"


# Comments


def commented(path: str, line_text: str, previous_line: str) -> bool:
    """Whether a comment on the line, or on the one before, allows what stands there."""
    if "gitleaks:allow" in line_text:
        return True
    yaml = path.endswith(".yaml")
    if "pragma:" in line_text and any(_pragma(line, yaml=yaml) for line in line_text.split("\n")):
        return True
    return "pragma:" in previous_line and _pragma(previous_line, yaml=yaml, nextline=True)


# What detect-secrets 1.5 looks for (filters/allowlist.py), written so that its time is linear in the length of a line.
_WORD = r"pragma: ?(?:allow|white)list[ -]secret"
_NEXT = r"pragma: ?allowlist[ -]nextline[ -]secret"
_OPEN = r"(?:#|//|'|--)[ \t]*"
_YAML = r"#[ \t]*"


def _pragma(line: str, *, yaml: bool, nextline: bool = False) -> bool:
    """Whether a line holds a pragma; one for the next line may have nothing before it. `.yaml` knows only `#`."""
    begin, word = ("^", _NEXT) if nextline else ("", _WORD)
    text = line.rstrip("\r\n")
    if re.search(f"{begin}{_YAML if yaml else _OPEN}{word}", text):
        return True
    if yaml:
        return False
    text = text.rstrip(" \t")
    for opening, closing in ((r"/\*[ \t]*", "*/"), (r"<!--[# \t]*", "-->")):
        found = re.search(f"{begin}{opening}{word}", text)
        if found and text.endswith(closing) and len(text) - len(closing) >= found.end():
            return True
    return False


# Configuration


def load(start: Path, *, today: date | None = None, baseline: Path | None = None) -> Allow:
    """What is allowed for files below `start`: the nearest configuration at or above it, and the baseline.

    The baseline is the one given, else `KEYLIFT_BASELINE`, else the configuration's, else `.secrets.baseline` at or above
    `start` inside the same repository. One that is named and not there knows nothing: the first run writes it.

    Raises:
        AllowError: an entry or the baseline cannot be used.
    """
    start = Path(os.path.abspath(start))  # noqa: PTH100 - `..` goes, links stay
    source, settings = _settings(start)
    root = source.parent if source else start
    day = today or datetime.now().astimezone().date()
    entries = tuple(_entries(settings.get("allow", []), source)) if source else ()
    chosen = baseline or _baseline_path(settings, root, start)
    known = None
    if chosen is not None and chosen.is_file():
        from scanners import baseline as baselines

        try:
            known = baselines.read(chosen)
        except baselines.BaselineError as error:
            raise AllowError(str(error), hint=error.hint) from error
    return Allow(
        start=start,
        root=root,
        entries=tuple(entry for entry in entries if entry.until is None or day <= entry.until),
        expired=tuple(entry for entry in entries if entry.until is not None and entry.until < day),
        baseline=known,
    )


def _baseline_path(settings: Mapping[str, Any], root: Path, start: Path) -> Path | None:
    named = os.environ.get("KEYLIFT_BASELINE")
    if named:
        return start / named
    if settings.get("baseline"):
        return root / str(settings["baseline"])
    for folder in (start, *start.parents):
        if (folder / BASELINE).is_file():
            return folder / BASELINE
        if (folder / ".git").exists():
            break
    return None


def _settings(start: Path) -> tuple[Path | None, Mapping[str, Any]]:
    """The nearest configuration file that speaks of keylift, and what it says. Other keys than ours are not judged here."""
    for folder in (start, *start.parents):
        for path, section in ((folder / "keylift.toml", ()), (folder / "pyproject.toml", ("tool", "keylift"))):
            try:
                text = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                continue
            if section and "keylift" not in text:
                continue
            import tomllib

            try:
                found: Any = tomllib.loads(text)
            except (tomllib.TOMLDecodeError, RecursionError) as error:
                raise AllowError(f"{path} is not valid TOML: {error}", hint=f"mend the file: {path}") from error
            for part in section:
                found = found.get(part) if isinstance(found, dict) else None
            if isinstance(found, dict):
                return path, found
    return None, {}


def _entries(listed: Any, source: Path | None) -> Iterator[Entry]:
    if not isinstance(listed, list):
        raise AllowError(f"{source}: allow is no list", hint='write allow = [{ path = "...", reason = "..." }]')
    for number, given in enumerate(listed, 1):
        yield _entry(given, f"{source}, allow entry {number}")


def _entry(given: Any, source: str) -> Entry:
    if not isinstance(given, dict):
        raise AllowError(f"{source} is no table", hint='write { path = "...", reason = "..." }')
    for key in given:
        if key not in KEYS:
            _unknown(source, str(key))
    until = given.get("until")
    if isinstance(until, datetime):
        until = until.date()
    if until is not None and not isinstance(until, date):
        raise AllowError(f"{source}: until is no date", hint="write a day without quotes: until = 2026-12-31")
    texts = {key: given.get(key, "") for key in KEYS if key != "until"}
    for key, value in texts.items():
        if not isinstance(value, str):
            raise AllowError(f"{source}: {key} is no text", hint=f'write {key} = "..."')
    if not texts["reason"].strip():
        raise AllowError(f"{source} has no reason", hint='say why it is allowed: reason = "..."')
    if not (texts["rule"] or texts["path"] or texts["fingerprint"]):
        raise AllowError(f"{source} would allow everything", hint="name a rule, a path or a fingerprint")
    if texts["path"]:
        try:
            _glob(texts["path"])
        except AllowError as error:
            raise AllowError(f"{source}: {error.what}", hint=error.hint) from error
    if texts["fingerprint"] and not _FINGERPRINT.fullmatch(texts["fingerprint"]):
        raise AllowError(
            f"{source}: fingerprint is not one that is equal on every machine",
            hint="those begin with keylift1$ and the hook shows them; f1: is the fingerprint of one state folder",
        )
    return Entry(source=source, until=until, **texts)


def _unknown(source: str, key: str) -> NoReturn:
    import difflib

    near = difflib.get_close_matches(key, KEYS, n=1, cutoff=0.4)
    raise AllowError(
        f"{source}: unknown key {key!r}; known keys: {', '.join(KEYS)}",
        hint=f"did you mean {near[0]!r}?" if near else "remove it",
    )


def _glob(pattern: str) -> IgnoreFile:
    from scanners import ignoring

    found = None if pattern.startswith("!") or "\n" in pattern else ignoring.parse(pattern)
    if found is None:
        raise AllowError(f"{pattern!r} is no path pattern", hint='write it as in .gitignore: path = "tests/**"')
    return found


def _quoted(text: str) -> str:
    """A basic string of TOML."""
    import json

    # JSON's escapes are TOML's; characters outside the basic plane stand as themselves.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
