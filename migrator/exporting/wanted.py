"""What a plan wants to be there, without the order of its steps: what code that describes resources can be made of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from migrator.errors import UsageError
from migrator.kinds import kind_of
from migrator.model import Json, Plan, ResourceId, Step, is_job
from migrator.swapping import swap_lines
from migrator.textswitch import lines as text_lines

SYSTEM = "system"
SAID = frozenset(
    {
        "vault-secret",
        "identity-create",
        "identity-attach",
        "role-assignment",
        "app-switch",
        "app-prove",
        "traffic-shift",
    }
)
"""Kinds of steps that are read here; what others do is told in words."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A user-assigned identity that the plan makes or uses."""

    id: ResourceId
    made: bool
    """By the plan; else it is there."""
    location: str = ""
    tags: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Assignment:
    """A role that an identity is given."""

    scope: ResourceId
    role: str
    """GUID of the definition."""
    role_name: str
    identity: str
    """ARM id, or `system` for the app's own."""
    app: str


@dataclass(frozen=True, slots=True)
class VaultSecret:
    """A value that goes into a vault, and where it lies today."""

    vault: ResourceId
    name: str
    tags: Json
    source: Json
    """As in the step: `app`, `kind` (`env` or `secret`), and what that kind is told by."""


@dataclass(frozen=True, slots=True)
class Change:
    """What one app or job becomes."""

    id: ResourceId
    job: bool
    identities: tuple[str, ...]
    """Attached by the plan: ARM ids, or `system`."""
    secrets: tuple[Json, ...]
    """`{"name", "key_vault_url", "identity"}` each."""
    env: tuple[Json, ...]
    """`{"container", "init", "env", "secret"}` each."""
    registries: tuple[Json, ...]
    """`{"server", "identity"}` each."""
    held: bool
    """Whether traffic follows the latest revision, and stays on the one that serves now until the new one is proven."""
    shift_from: str
    """Revision that traffic names, and whose share goes to the new one once that is proven; empty where none does."""
    proven: bool
    """Whether a new revision has to run."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """All of a plan."""

    plan: str
    identities: tuple[Identity, ...]
    assignments: tuple[Assignment, ...]
    """Those the plan makes; what is held already is nobody's to declare here."""
    secrets: tuple[VaultSecret, ...]
    apps: tuple[Change, ...]
    left: tuple[str, ...]
    """What the plan does besides, in words."""


def wanted(plan: Plan) -> Wanted:
    """Read a plan as what shall be there.

    Raises:
        UsageError: it is a contract plan.
    """
    if plan.finalizes:
        raise UsageError(
            "a plan of finalize cannot be exported",
            why="it takes away what code that describes resources has no word for",
            hint="carry it out: keylift apply PLAN; export the plan that it came from",
        )
    left = [
        f"{step.id}: {text}"
        for step in plan.steps
        if step.kind not in SAID or step.change.get("data")
        for _, text in kind_of(step).describe(step)
    ]
    left += [
        f"{step.id}: {text}"
        for step in plan.steps
        if step.kind == "app-switch"
        for _, text in (*swap_lines(step.change.get("swaps") or {}), *text_lines(step.change))
    ]
    return Wanted(
        plan.id, _identities(plan.steps), _assignments(plan.steps), _secrets(plan.steps), _apps(plan.steps), tuple(left)
    )


def _identities(steps: Sequence[Step]) -> tuple[Identity, ...]:
    found: dict[str, Identity] = {}
    for step in steps:
        if step.kind == "identity-create":
            found[step.target.lower()] = Identity(
                ResourceId.parse(step.target), True, step.change["location"], step.change["tags"]
            )
    named = [step.change["identity"] for step in steps if step.kind in {"identity-attach", "role-assignment"}]
    for step in steps:
        if step.kind == "app-switch":
            named += [entry["identity"] for entry in (*step.change["secrets"], *step.change["registries"])]
    for identity in named:
        if identity != SYSTEM:
            found.setdefault(identity.lower(), Identity(ResourceId.parse(identity), False))
    return tuple(found.values())


def _assignments(steps: Sequence[Step]) -> tuple[Assignment, ...]:
    return tuple(
        Assignment(
            ResourceId.parse(step.change["scope"]),
            step.change["role"],
            step.change["role_name"],
            step.change["identity"],
            step.app,
        )
        for step in steps
        # rights on other services stand beside the changes that need them, which have no word here
        if step.kind == "role-assignment" and not step.change["existing"] and not step.change.get("data")
    )


def _secrets(steps: Sequence[Step]) -> tuple[VaultSecret, ...]:
    return tuple(
        VaultSecret(
            ResourceId.parse(step.change["vault"]),
            step.change["name"],
            step.change.get("tags") or {},
            step.change["source"],
        )
        for step in steps
        if step.kind == "vault-secret" and step.change["action"] != "adopt"
    )


def _apps(steps: Sequence[Step]) -> tuple[Change, ...]:
    attached: dict[str, list[str]] = {}
    shifts: dict[str, str] = {}
    for step in steps:
        if step.kind == "identity-attach":
            attached.setdefault(step.app.lower(), []).append(step.change["identity"])
        elif step.kind == "traffic-shift":
            shifts[step.app.lower()] = step.change.get("from") or ""
    return tuple(
        Change(
            ResourceId.parse(step.target),
            is_job(step.target),
            tuple(attached.get(step.app.lower(), ())),
            tuple(step.change["secrets"]),
            tuple(step.change["env"]),
            tuple(step.change["registries"]),
            bool(step.change.get("traffic")),
            shifts.get(step.app.lower(), ""),
            step.change["revision"] != "none" and not is_job(step.target),
        )
        for step in steps
        if step.kind == "app-switch"
    )


def one_line(text: str) -> str:
    """Text for a comment: nothing in it ends the line or is acted on by a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


class Symbols:
    """Names in the code for resources: one each, made of its name, whatever that is made of."""

    def __init__(self) -> None:
        """None yet."""
        self._given: dict[str, str] = {}
        self._taken: set[str] = set()

    def of(self, key: str, text: str) -> str:
        """The symbol of a resource.

        Args:
            key: tells resources apart; compared without case.
            text: what the symbol is made of.
        """
        key = key.lower()
        if key not in self._given:
            base = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_") or "it"
            base = f"_{base}" if base[0].isdigit() else base
            name, number = base, 2
            while name.lower() in self._taken:
                name, number = f"{base}_{number}", number + 1
            self._given[key] = name
            self._taken.add(name.lower())
        return self._given[key]
