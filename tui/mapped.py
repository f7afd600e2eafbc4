"""A proposed plan as rows to choose from: vault secrets, identities, and where no key is needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.text import Text

from migrator.model import Json, Plan, ResourceId
from migrator.planner import Slot
from tui import changes
from tui.widgets.rows import Cell, Row
from tui.wording import clean, count, joined

SECRETS, READERS, KEYLESS = "#secrets", "#identities", "#passwordless"

OUTCOMES: Mapping[str, tuple[Cell, str]] = {
    "configuration": (
        [("○ by settings: e", "note")],
        "An identity can take its place by settings alone; no code changes.",
    ),
    "code": ([("~ with code", "warn")], "An identity can take its place once the code named below has changed."),
    "vault-reference": ([("→ vault", "")], "It moves into the vault; nothing shows that an identity would do."),
    "cannot": ([("– stays a key", "dim")], "The service takes no identity here: it stays a secret, in the vault."),
}
"""Outcome of `migrator.passwordless.decision` -> what the row says, what it means."""

BY_HAND: Cell = [("~ by hand", "warn")]
GOES: Cell = [("✓ goes keyless", "good")]


def secret_rows(slots: Iterable[Slot], names: Mapping[str, str]) -> Iterable[Row]:
    """Vault secrets; `names` are those somebody chose."""
    found = list(slots)
    yield Row(SECRETS, ([("Vault secrets", "strong")], "", "", count(len(found), "secret")))
    for slot in found:
        words: Cell
        if not slot.action:
            words = [("✗ conflict: x", "bad") if slot.conflict else ("– stays", "dim")]
        elif slot.action == "adopt":
            words = [("= is there", "good")]
        elif slot.action == "new-version":
            words = [("~ new version", "warn")]
        else:
            words = [("+ new", "good")]
        name: Cell = [(clean(slot.name), "strong" if slot.default in names else "")]
        apps = [ResourceId.parse(app).name for app in slot.apps]
        yield Row(
            f"s:{slot.default}",
            (name, clean(joined(slot.called)), clean(joined(apps)), words),
            parent=SECRETS,
            find="conflict" if not slot.action else slot.action,
            data=slot,
        )


def identity_rows(plan: Plan, identities: Mapping[str, str]) -> Iterable[Row]:
    """Apps with the identity that reads for them; `identities` are those somebody chose."""
    switches = [step for step in plan.steps if step.kind == "app-switch"]
    attached = {step.app: str(step.change["identity"]) for step in plan.steps if step.kind == "identity-attach"}
    created = {step.target.lower() for step in plan.steps if step.kind == "identity-create"}
    yield Row(READERS, ([("Identities", "strong")], "", "", count(len(switches), "app")))
    for step in switches:
        refs = [str(entry["identity"]) for entry in (*step.change["secrets"], *step.change["registries"])]
        ref = refs[0] if refs else attached.get(step.app, "")
        name = "the system identity" if ref == "system" else ref.rsplit("/", 1)[-1]
        words: Cell = [("+ new", "good")] if ref.lower() in created else [("= is there", "good")]
        if ref == "system":
            words = [("~ system", "warn")]
        app = ResourceId.parse(step.app).name
        chosen = step.app.lower() in identities
        yield Row(
            f"i:{step.app.lower()}",
            ([(clean(app), "strong" if chosen else "")], clean(name), "", words),
            parent=READERS,
            data=step.app,
        )


def able(entry: Json) -> bool:
    """Whether keylift replaces a key by an identity, or would if somebody chose so."""
    return bool(entry["replaced"] or (entry["outcome"] == "configuration" and not entry["stays"]))


def keyless_rows(plan: Plan, chosen: Mapping[str, str]) -> Iterable[Row]:
    """What each secret could end as, most hopeful first, where a service is known that it opens; `chosen` as somebody did."""
    order = list(OUTCOMES)
    found = [entry for entry in plan.passwordless if entry["service"] or entry["outcome"] == "configuration"]
    found.sort(key=lambda entry: (order.index(entry["outcome"]), not able(entry)))
    if found:
        gone, could = sum(entry["replaced"] for entry in found), sum(map(able, found))
        yield Row(KEYLESS, ([("Without a key", "strong")], "", "", f"{gone} of {could} go" if could else "none could"))
    for entry in found:
        app = ResourceId.parse(str(entry["app"])).name
        words, _ = OUTCOMES[entry["outcome"]]
        if entry["outcome"] == "configuration":
            words = GOES if entry["replaced"] else words if able(entry) else BY_HAND
        name: Cell = [(clean(joined(entry["names"])), "strong" if entry["fingerprint"] in chosen else "")]
        yield Row(
            f"k:{entry['app']}:{entry['fingerprint']}:{joined(entry['names'])}".lower(),
            (name, clean(entry["service"]), clean(app), words),
            parent=KEYLESS,
            find=f"passwordless keyless {entry['outcome']} {entry['client']}",
            data=entry,
        )


def why_not(entry: Json) -> str:
    """Why keylift takes no identity in the place of a key, whatever is chosen."""
    told: str = entry["stays"] or (entry["against"][0] if entry["against"] else OUTCOMES[entry["outcome"]][1])
    return clean(told)


def about(data: Any) -> Text:
    """Everything on one row: what happens to a secret, an app, or a key that an identity could replace."""
    text = Text()
    if isinstance(data, Slot):
        text.append(data.name, style="bold")
        text.append(f"  for {clean(joined(data.called))} of {joined(ResourceId.parse(a).name for a in data.apps)}\n")
        if data.reason:
            text.append(clean(data.reason) + "\n")
            text.append(clean(data.hint), style="dim")
        elif data.action == "adopt":
            text.append("The vault holds this very value already: it is used, and rollback leaves it.")
        elif data.action == "new-version":
            text.append("The value becomes the newest version of a secret that is there.")
        else:
            text.append("A new secret; rollback disables it and deletes nothing.")
    elif isinstance(data, str):
        text.append(ResourceId.parse(data).name, style="bold")
        text.append("  e chooses another identity for this app alone.")
    elif isinstance(data, dict):
        _keyless(text, data)
    return text


def _keyless(text: Text, entry: Json) -> None:
    text.append(clean(joined(entry["names"])), style="bold")
    client = f" by {entry['client']}" if entry["client"] else ""
    text.append(f"  opens {clean(entry['service'])}{clean(client)}\n")
    told = (
        "The identity takes its place, and the key leaves the app."
        if entry["replaced"]
        else OUTCOMES[entry["outcome"]][1]
    )
    text.append(f"{told}{'  e chooses.' if able(entry) else ''}\n")
    for line in changes.evidence(entry):
        word, _, rest = line.partition(": ")
        text.append(f"{word:<9}", style="dim")
        text.append(rest + "\n")
