"""What a person chose on the way, in one value-free document: kept in the state folder, so that reopening goes on."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from migrator import api
from migrator.errors import KeyliftError
from migrator.planning.choices import Choices, Ignored
from migrator.planning.options import NAME_TEMPLATE
from migrator.standing import Standing, Thing

SCHEMA = 1
PAGES = ("scope", "scan", "findings", "mapping", "review", "apply", "proof")


@dataclass(slots=True)
class Source:
    """A repository or an image that is scanned beside the estate."""

    kind: str
    """`repo` or `image`."""
    target: str
    history: bool = True
    file: str = ""
    """Where its findings were written; empty before it was scanned."""

    def command(self) -> list[str]:
        """What does the same on the command line."""
        more = ["--history"] if self.kind == "repo" and self.history else []
        return [
            "keylift",
            "scan",
            self.kind,
            self.target,
            *more,
            "--format",
            "json",
            "-o",
            self.file or "FINDINGS.json",
        ]


@dataclass(slots=True)
class Journey:
    """Every choice. Holds ids, names, fingerprints, reasons; never a value."""

    page: str = "scope"
    theme: str = ""
    cloud: str = ""
    auth: str = ""
    picked: list[str] = field(default_factory=list)
    """Ids of apps."""
    everything: bool = True
    """All apps there are, those of tomorrow included: then `picked` does not count."""
    scopes: dict[str, list[str]] = field(default_factory=dict)
    """Saved scopes: name -> ids of apps."""
    sources: list[Source] = field(default_factory=list)
    vault: str = ""
    """Its id."""
    identity: str = "user"
    template: str = NAME_TEMPLATE
    on_conflict: str = ""
    passwordless: str = "suggest"
    identities: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    conflicts: dict[str, str] = field(default_factory=dict)
    keyless: dict[str, str] = field(default_factory=dict)
    """Fingerprint -> `apply` or `suggest`, where that is not as for all."""
    accepted: list[str] = field(default_factory=list)
    ignored: dict[str, dict[str, str]] = field(default_factory=dict)
    """Fingerprint -> `{"verdict", "reason", "until"}`."""
    plan_file: str = ""
    run: str = ""

    # Decisions

    def choices(self) -> Choices:
        """Decisions on single things, as the planner takes them.

        Raises:
            UsageError: one of them cannot be.
        """
        ignored = {mark: Ignored(**entry) for mark, entry in self.ignored.items()}
        return Choices(
            dict(self.identities),
            dict(self.names),
            dict(self.conflicts),
            tuple(sorted(self.accepted)),
            ignored,
            dict(self.keyless),
        )

    def scope(self, standing: Standing | None) -> api.Scope:
        """The picked apps in the fewest words: all, whole subscriptions, groups, or apps by id."""
        if self.everything or standing is None:
            return api.Scope()
        picked = {app.lower() for app in self.picked}
        chosen = [app for app in standing.apps if app.id.lower() in picked]
        if len(chosen) == len(standing.apps):
            return api.Scope()
        subscriptions = tuple(sorted({app.subscription for app in chosen}))
        groups = tuple(sorted({app.group for app in chosen}, key=str.lower))
        if _covered(standing.apps, lambda app: app.subscription in subscriptions) == len(chosen):
            return api.Scope(subscriptions)
        low = {group.lower() for group in groups}
        if _covered(standing.apps, lambda app: app.subscription in subscriptions and app.group.lower() in low) == len(
            chosen
        ):
            return api.Scope(subscriptions, groups)
        return api.Scope(subscriptions, (), tuple(sorted((app.id for app in chosen), key=str.lower)))

    def findings_files(self) -> tuple[Path, ...]:
        """Findings of repositories and images."""
        return tuple(Path(source.file) for source in self.sources if source.file)

    # Commands

    def commands(
        self, standing: Standing | None, *, cloud: str, state: Path, choices: Path, shared: str = ""
    ) -> list[str]:
        """The whole journey as commands to copy; `shared` is the address of a team's state."""
        scope = self.scope(standing)
        told = [
            *(part for one in scope.subscriptions for part in ("--subscription", one)),
            *(part for one in scope.groups for part in ("--resource-group", one)),
            *(part for one in scope.apps for part in ("--app", one)),
        ]
        common = ["--cloud", cloud] if cloud != "public" else []
        kept = ["--state", shared] if shared else ["--state-dir", str(state)]
        common += kept
        found = [shlex.join([*source.command(), *kept]) for source in self.sources if source.file]
        lines = [shlex.join(["keylift", "scan", "azure", *told, *common]), *found]
        plan = self.plan_file or "plan.json"
        if self.vault:
            lines.append(shlex.join([*self.plan_command(told, choices), *common, "-o", plan]))
            lines.append(shlex.join(["keylift", "rehearse", plan, *common]))
            lines.append(shlex.join(["keylift", "apply", plan, *common]))
        if self.run:
            lines.append(shlex.join(["keylift", "verify", self.run, *common]))
            lines.append(shlex.join(["keylift", "rollback", self.run, *common]))
        return lines

    def plan_command(self, scope: list[str], choices: Path) -> list[str]:
        """`keylift plan` with these choices, without the common options."""
        words = ["keylift", "plan", "--vault", self.vault, *scope]
        if self.identity != "user":
            words += ["--identity", self.identity]
        if self.template != NAME_TEMPLATE:
            words += ["--vault-secret-name", self.template]
        if self.on_conflict:
            words += ["--on-conflict", self.on_conflict]
        if self.passwordless != "suggest":
            words += ["--passwordless", self.passwordless]
        if self.choices():
            words += ["--choices", str(choices)]
        for file in self.findings_files():
            words += ["--from", str(file)]
        return words

    # The file

    def save(self, path: Path) -> None:
        """Write it whole or not at all, for the owner's eyes only."""
        write_private(path, json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, path: Path) -> Journey:
        """What was saved; a new journey where nothing was, or nothing that can be read."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            if document.get("schema") != SCHEMA:
                return cls()
            known = {entry.name: document[entry.name] for entry in fields(cls) if entry.name in document}
            known["sources"] = [Source(**source) for source in known.get("sources", ())]
            journey = cls(**known)
            journey.choices()
            for entry in fields(cls):
                if not isinstance(getattr(journey, entry.name), type(getattr(cls(), entry.name))):
                    return cls()
        except (OSError, ValueError, TypeError, KeyError, AttributeError, KeyliftError):
            return cls()
        return journey


def _covered(apps: Iterable[Thing], holds: Any) -> int:
    return sum(1 for app in apps if holds(app))


def write_private(path: Path, text: str) -> None:
    """Write a file 0600, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def decisions(journey: Journey) -> Mapping[str, str]:
    """Fingerprint -> `accepted`, `ignored` or `false`."""
    return {
        **dict.fromkeys(journey.accepted, "accepted"),
        **{mark: entry["verdict"] for mark, entry in journey.ignored.items()},
    }
