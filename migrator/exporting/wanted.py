"""What a plan wants to be there, without the order of its steps: what code that describes resources can be made of."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from migrator.errors import UsageError
from migrator.kinds import kind_of
from migrator.model import Json, Plan, ResourceId, Step, is_job, same_id
from migrator.swapping import swap_lines
from migrator.textswitch import lines as text_lines

SYSTEM = "system"


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
    pinned: bool
    """Whether traffic stays on the revision that serves now until the new one is proven."""
    shift_from: str
    """Revision whose traffic moves afterwards; empty where none does."""
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
    known = {"vault-secret", "identity-create", "identity-attach", "role-assignment", "app-switch", "app-prove"}
    known.add("traffic-shift")
    left = [
        f"{step.id}: {text}"
        for step in plan.steps
        if step.kind not in known or step.change.get("data")
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


def _identities(steps: Iterable[Step]) -> tuple[Identity, ...]:
    steps = tuple(steps)
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


def _assignments(steps: Iterable[Step]) -> tuple[Assignment, ...]:
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


def _secrets(steps: Iterable[Step]) -> tuple[VaultSecret, ...]:
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


def _apps(steps: Iterable[Step]) -> tuple[Change, ...]:
    steps = tuple(steps)
    found = []
    for switch in steps:
        if switch.kind != "app-switch":
            continue
        own = [step for step in steps if same_id(step.app, switch.app)]
        shift = next((step.change.get("from") or "" for step in own if step.kind == "traffic-shift"), "")
        found.append(
            Change(
                ResourceId.parse(switch.target),
                is_job(switch.target),
                tuple(step.change["identity"] for step in own if step.kind == "identity-attach"),
                tuple(switch.change["secrets"]),
                tuple(switch.change["env"]),
                tuple(switch.change["registries"]),
                bool(switch.change.get("traffic")),
                shift,
                switch.change["revision"] != "none" and not is_job(switch.target),
            )
        )
    return tuple(found)


def one_line(text: str) -> str:
    """Text for a comment: nothing in it ends the line or is acted on by a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


class Symbols:
    """Names in the code for resources: one each, made of its name, whatever that is made of."""

    def __init__(self) -> None:
        """None yet."""
        self._given: dict[str, str] = {}

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
            taken = {given.lower() for given in self._given.values()}
            name, number = base, 2
            while name.lower() in taken:
                name, number = f"{base}_{number}", number + 1
            self._given[key] = name
        return self._given[key]
