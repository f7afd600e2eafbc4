"""`.secrets.baseline`, byte by byte as detect-secrets 1.5 writes it: what was there before and is not to be told again.

Its format keeps a SHA-1 of each value, which is why such a file of weak passwords is better not published; nothing else
here makes one. A new baseline names our plugin (`scanners.plugins`), so that detect-secrets' own `scan` and hook find the
same. In a baseline that detect-secrets made, settings and entries of its plugins are left as they are: only its plugins
can say that what they found is gone. Reading needs the standard library only: the hook does it for every commit.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha1
from pathlib import Path
from typing import Any

from scanners.model import Confidence, FileLocation, Finding, Fingerprinter, Report, Secret, reveal

VERSION = "1.5.0"
"""The version of detect-secrets whose format this is."""
OUR_TYPE = "Secret found by keylift"
OUR_PLUGIN = "KeyliftDetector"
NAMED_TYPE = "Secret Keyword"
"""Its type for secrets that it knows by their names: ours, where our plugin is not among those of the baseline."""


class BaselineError(ValueError):
    """A baseline that cannot be used. `hint` is the way out."""

    def __init__(self, what: str, *, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


@dataclass(slots=True)
class Baseline:
    """One baseline file."""

    path: Path
    document: dict[str, Any]
    """The file's JSON, keys in their order."""
    slim: bool = False
    """Written without line numbers and date (`detect-secrets scan --slim`), which keeps it from churning."""
    _known: dict[str, frozenset[str]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self._known = {
            _shown(name): frozenset(str(entry["hashed_secret"]) for entry in entries)
            for name, entries in self.document["results"].items()
        }

    @property
    def root(self) -> Path:
        """The folder that its paths are relative to: the repository's, or the file's own outside of one."""
        folder = self.path.parent
        return next((above for above in (folder, *folder.parents) if (above / ".git").exists()), folder)

    def known(self, path: str, secret: Secret) -> bool:
        """Whether a value of a file is in the baseline.

        Args:
            path: absolute, or relative to `root`.
            secret: the value.
        """
        hashes = self._known.get(self.name_of(path))
        return hashes is not None and digest(secret) in hashes

    def name_of(self, path: str) -> str:
        """A file as the baseline names it."""
        below = os.path.join(self.root, "")  # noqa: PTH118 - with the separator at its end
        return _shown(path.removeprefix(below))

    def text(self) -> str:
        """The file's text."""
        return json.dumps(self.document, indent=2) + "\n"


@dataclass(frozen=True, slots=True)
class Seen:
    """A find of one scan, as a baseline keeps it."""

    path: str
    """Absolute, or relative to the baseline's root."""
    line: int
    hashed: str
    """`digest` of the value."""


def digest(secret: Secret) -> str:
    """What the format keeps of a value: its SHA-1. For baselines only."""
    return sha1(reveal(secret).encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def read(path: Path) -> Baseline:
    """Read a baseline of any version of the format.

    Raises:
        BaselineError: it cannot be read, or it is no baseline.
    """
    again = f"restore it from git, or make a new one: keylift-baseline --baseline {path}"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BaselineError(f"{path} cannot be read: {error.strerror}", hint="check its permissions") from error
    except (ValueError, RecursionError) as error:
        raise BaselineError(f"{path} is no baseline: it is not JSON", hint=again) from error
    if not _sound(document):
        raise BaselineError(
            f"{path} is no baseline: version and results are not as detect-secrets has them", hint=again
        )
    if "filters_used" not in document:
        try:
            document = _upgraded(document)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise BaselineError(f"{path} is no baseline: detect-secrets cannot upgrade it", hint=again) from error
    return Baseline(_absolute(path), document, slim="generated_at" not in document)


def known(baseline: Baseline, path: str, secret: Secret) -> bool:
    """Whether a value of a file is in the baseline; see `Baseline.known`."""
    return baseline.known(path, secret)


def prune(baseline: Baseline, seen: Iterable[Seen], scanned: Collection[str], removed: Collection[str] = ()) -> bool:
    """Bring a baseline up to date with a scan that found nothing new: lines that moved, values and files that are gone.

    Only files that were scanned or removed are touched, and of the entries there only ours: that a value which another
    plugin found is gone, only that plugin can say; where it is found too, its line follows.

    Args:
        baseline: changed in place.
        seen: what the scan found, known values included.
        scanned: files whose whole content was scanned.
        removed: files that are no more.

    Returns:
        Whether anything changed. The caller writes it then (`write`), and the hook ends with 3.
    """
    before = baseline.document["results"]
    lines: dict[str, dict[str, int]] = {}
    for find in sorted(seen, key=lambda find: -find.line):
        # Where a value stands more than once, the first line counts.
        lines.setdefault(baseline.name_of(find.path), {})[find.hashed] = find.line
    looked = {baseline.name_of(path) for path in scanned}
    gone = {baseline.name_of(path) for path in removed}
    after: dict[str, Any] = {}
    for name, entries in before.items():
        if _shown(name) in gone:
            continue
        kept = entries
        if _shown(name) in looked:
            kept = _moved(entries, lines.get(_shown(name), {}))
        if kept:
            after[name] = kept
    return _replace(baseline, after)


def update(
    path: Path, report: Report, scanned: Collection[str] | None = None, *, exists: Collection[str] | None = None
) -> bool:
    """Create a baseline, or bring one up to date with a whole scan: what is new comes in, what is gone goes.

    Labels of an audit, entries of detect-secrets' plugins, its settings and its way of writing are kept. Nothing is
    written when nothing changed, so that two runs do not differ by a date.

    Args:
        path: the file.
        report: findings made with `Hashing`, and so holding what the format wants. Those of low confidence, weak and
            allowed ones are left out: they fail no commit.
        scanned: files whose own entries are replaced; by default all that the baseline names.
        exists: files that are there; entries of others go. By default the disk is asked.

    Returns:
        Whether the file was written.

    Raises:
        BaselineError: the file is there and is no baseline, or cannot be written.
    """
    baseline = read(path) if path.exists() else Baseline(_absolute(path), _empty(path))
    seen = [
        Seen(str(_absolute(Path(finding.location.path))), finding.location.line, finding.fingerprint)
        for finding in report.findings
        if isinstance(finding.location, FileLocation) and counts(finding)
    ]
    names = set(baseline.document["results"])
    if exists is None:
        there = {name for name in names if (baseline.root / name).exists()}
    else:
        there = {baseline.name_of(one) for one in exists}
    new = not path.exists()
    changed = prune(baseline, seen, names if scanned is None else scanned, [n for n in names if _shown(n) not in there])
    changed |= _add(baseline, seen)
    if changed or new:
        write(baseline)
    return changed or new


def audit(path: Path) -> None:
    """Label entries by hand, in the dialogue of detect-secrets.

    `detect-secrets audit` of 1.5.0 itself knows no plugin that is not its own, and adds all of those to the baseline it
    saves: it takes the plugins before it reads which ones the baseline has. The dialogue behind it does neither.

    Raises:
        BaselineError: it is no baseline.
    """
    read(path)
    from detect_secrets.audit import audit as upstream

    upstream.audit_baseline(str(path))


def counts(finding: Finding) -> bool:
    """Whether a finding fails a commit, and so belongs into a baseline."""
    return finding.status != "allowed" and finding.confidence is not Confidence.LOW and not finding.weak


def write(baseline: Baseline) -> None:
    """Put a baseline in the place of its file, whole or not at all.

    Raises:
        BaselineError: it cannot be written.
    """
    if not baseline.slim:
        baseline.document["generated_at"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    import tempfile

    path = baseline.path
    temporary = ""
    try:
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(baseline.text())
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except OSError as error:
        if temporary:
            with suppress(OSError):
                Path(temporary).unlink()
        raise BaselineError(f"{path} cannot be written: {error.strerror}", hint="check its permissions") from error


@dataclass(frozen=True, slots=True)
class Hashing(Fingerprinter):
    """Has a source give findings whose fingerprint is the digest of the format. They go into `update`, nowhere else."""

    key: bytes = b""

    def of(self, _value: str | bytes) -> str:
        """Not for documents."""
        raise TypeError("a baseline keeps digests of secrets only")

    def of_secret(self, secret: Secret) -> str:
        """The digest that the format keeps."""
        return digest(secret)


def _add(baseline: Baseline, seen: Iterable[Seen]) -> bool:
    after = {name: list(entries) for name, entries in baseline.document["results"].items()}
    names = {_shown(name): name for name in after}
    kind, added = OUR_TYPE if _has_plugin(baseline) else NAMED_TYPE, False
    for find in seen:
        shown = baseline.name_of(find.path)
        name = names.get(shown, shown)
        entries = after.setdefault(name, [])
        if any(entry["hashed_secret"] == find.hashed for entry in entries):
            continue
        added = True
        entry = {"type": kind, "filename": name, "hashed_secret": find.hashed, "is_verified": False}
        entries.append(entry if baseline.slim else {**entry, "line_number": find.line})
    return added and _replace(baseline, after)


def _moved(entries: Iterable[Mapping[str, Any]], lines: Mapping[str, int]) -> list[dict[str, Any]]:
    kept = []
    for entry in entries:
        line = lines.get(entry["hashed_secret"])
        if line is None and entry["type"] == OUR_TYPE:
            continue
        moved = dict(entry)
        if line is not None and moved.get("line_number"):
            moved["line_number"] = line
        kept.append(moved)
    return kept


def _replace(baseline: Baseline, results: Mapping[str, list[dict[str, Any]]]) -> bool:
    """Put results in upstream's order; a line that did not change stays as it was written."""
    ordered = {
        name: sorted(entries, key=lambda e: (e.get("line_number", 0), e["hashed_secret"], e["type"]))
        if any("line_number" in entry for entry in entries)
        else list(entries)
        for name, entries in sorted(results.items())
    }
    if ordered == baseline.document["results"]:
        return False
    baseline.document["results"] = ordered
    baseline.__post_init__()
    return True


def _has_plugin(baseline: Baseline) -> bool:
    """Whether our plugin is among those of the baseline; a path of another machine that is not here becomes ours."""
    for plugin in baseline.document["plugins_used"]:
        if plugin["name"] == OUR_PLUGIN:
            if not Path(str(plugin.get("path", "")).removeprefix("file://")).exists():
                plugin["path"] = plugin_path()
            return True
    return False


def plugin_path() -> str:
    """Where detect-secrets finds our plugin, as `detect-secrets scan -p` writes it."""
    return f"file://{Path(__file__).resolve().with_name('plugins.py')}"


def _empty(path: Path) -> dict[str, Any]:
    """A baseline without entries. Our plugin judges for itself, so only what is asked for by comment is left out."""
    filters = "detect_secrets.filters"
    return {
        "version": VERSION,
        "plugins_used": [{"name": OUR_PLUGIN, "path": plugin_path()}],
        "filters_used": [
            {"path": f"{filters}.allowlist.is_line_allowlisted"},
            {"path": f"{filters}.common.is_baseline_file", "filename": path.name},
            # detect-secrets adds it to all it writes; our plugin verifies nothing online.
            {"path": f"{filters}.common.is_ignored_due_to_verification_policies", "min_level": 2},
        ],
        "results": {},
    }


def _sound(document: Any) -> bool:
    return (
        isinstance(document, dict)
        and isinstance(document.get("version"), str)
        and isinstance(document.get("plugins_used"), list)
        and all(isinstance(plugin, dict) and "name" in plugin for plugin in document["plugins_used"])
        and isinstance(document.get("results"), dict)
        and all(
            isinstance(entries, list) and all(isinstance(entry, dict) and _sound_entry(entry) for entry in entries)
            for entries in document["results"].values()
        )
    )


def _sound_entry(entry: Mapping[str, Any]) -> bool:
    told = isinstance(entry.get("type"), str) and isinstance(entry.get("hashed_secret"), str)
    return told and isinstance(entry.get("line_number", 0), int)


def _upgraded(document: dict[str, Any]) -> dict[str, Any]:
    """A baseline from before 1.0, brought to today's form by detect-secrets itself."""
    from detect_secrets.core import baseline as upstream

    upgraded: dict[str, Any] = upstream.upgrade(document)
    results = upgraded.pop("results")
    date = upgraded.pop("generated_at", None)
    return {**upgraded, "results": results} | ({"generated_at": date} if date else {})


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - `..` goes, links stay


def _shown(path: str) -> str:
    return path.replace("\\", "/").removeprefix("./")
