"""Which vault secret takes each value: merged, named, and compared with what the vault holds under the name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from migrator.model import Estate, Json, Vault, VaultSecret
from migrator.planning import names
from migrator.planning.draft import Item
from migrator.planning.options import Options
from migrator.planning.places import AppView
from migrator.planning.skip import Skip
from scanners.model import Fingerprinter

SHARED = "shared"
MERGED_FROM = 12
"""Characters. Shorter values are equal by chance or by habit, so apps keep one each."""
_PLACES_LIMIT = 11
"""Tags of places: a vault secret holds 15 tags, keylift's own included."""
_TAG_LIMIT = 512


@dataclass(slots=True)
class VaultItem:
    """One value, the vault secret that takes it, and what will be done there."""

    items: list[Item]
    name: str
    """The name by the template or by choice, made unique in the plan."""
    default: str = ""
    """The name by the template, made unique in the plan."""
    candidates: tuple[str, ...] = ()
    """Names under which an equal value is adopted, in order: where references point already, then `name`."""
    action: str = ""
    """`create`, `adopt` or `new-version`."""
    undo: Json = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        return self.items[0].fingerprint

    @property
    def shared(self) -> bool:
        """Whether several apps use it."""
        return len(self.items) > 1

    def renamed(self) -> str:
        """The name when another value sits under the first one: always the same for the same value."""
        mark = self.fingerprint.partition(":")[2][:6]
        return names.shortened(f"{self.name}-{mark}", names.VAULT_NAME_LIMIT)

    def tags(self) -> dict[str, str]:
        """What makes the names reversible: the app, what it calls the value, and every place."""
        apps = sorted({item.view.name for item in self.items})
        called = sorted({name for item in self.items for name in item.names})
        places = sorted(
            f"{item.view.parts.group}/{item.view.name}/{kind}/{place}"
            for item in self.items
            for kind, place in (
                *(("env", f"{place.container}/{place.name}") for place in item.env),
                *(("rule", f"{place.rule}/{place.key}") for place in item.rules),
                *((place.part, f"{place.container}/{place.word}") for place in item.words),
                *(("secret", place.name) for place in item.secrets),
            )
        )
        tags = {"keylift": "1", "keylift-app": ",".join(apps), "keylift-name": ",".join(called)}
        for number, place in enumerate(places[:_PLACES_LIMIT], start=1):
            tags[f"keylift-place-{number}"] = place
        if len(places) > _PLACES_LIMIT:
            tags[f"keylift-place-{_PLACES_LIMIT}"] = f"and {len(places) - _PLACES_LIMIT + 1} more"
        return {key: value[:_TAG_LIMIT] for key, value in tags.items()}


def arrange(
    items: Iterable[Item], estate: Estate, vault: Vault, options: Options, fp: Fingerprinter
) -> list[VaultItem]:
    """Merge equal values and name each vault secret; the order of `items` does not matter."""
    merged: dict[tuple[str, str], list[Item]] = {}
    for item in items:
        if item.reference is None:
            scope = "" if item.length >= MERGED_FROM else item.view.key
            merged.setdefault((item.fingerprint, scope), []).append(item)
    found = [VaultItem(sorted(group, key=lambda item: item.view.key), "") for group in merged.values()]
    found.sort(key=lambda one: ([item.view.key for item in one.items], one.items[0].names, one.fingerprint))
    pointed = _pointed(estate, vault, fp)
    taken: set[str] = set()
    for one in found:
        one.default = _unique(_named(one, options.vault_secret_name), one, taken)
        chosen = options.choices.names.get(one.default)
        one.name = one.default if chosen is None else _unique(chosen, one, taken)
        taken.add(one.name)
    for one in found:
        apps = {item.view.key for item in one.items}
        known = {
            name for name, app in pointed.get(one.fingerprint, ()) if app in apps or one.items[0].length >= MERGED_FROM
        }
        one.candidates = (*sorted(known - taken), one.name)
        if options.conflict_of(one.name) == "rename":
            one.candidates += (one.renamed(),)
    return found


def _named(one: VaultItem, template: str) -> str:
    if not one.shared:
        item = one.items[0]
        return names.vault_secret(template, app=item.view.name, name=item.names[0], group=item.view.parts.group)
    called = names.common(name for item in one.items for name in item.names)
    groups = {item.view.parts.group.lower() for item in one.items}
    group = groups.pop() if len(groups) == 1 else SHARED
    return names.vault_secret(template, app=SHARED, name=called, group=group)


def _unique(name: str, one: VaultItem, taken: set[str]) -> str:
    """Two names can become one (`A_B` and `A-B`, equal app names in two groups): the later gets a mark."""
    if name not in taken:
        return name
    ids = [part for item in one.items for part in (item.view.key, *item.names)]
    for length in range(6, 33):
        marked = names.shortened(f"{name}-{names.digest(*ids, length=length)}", names.VAULT_NAME_LIMIT)
        if marked not in taken:
            return marked
    raise AssertionError("sixteen bytes of a digest are taken")


def _pointed(estate: Estate, vault: Vault, fp: Fingerprinter) -> dict[str, list[tuple[str, str]]]:
    """Values that apps read from this vault already: fingerprint -> (vault secret, app)."""
    host = urlsplit(vault.uri).netloc.lower()
    found: dict[str, list[tuple[str, str]]] = {}
    for app in estate.workloads:
        for secret in app.secrets:
            if secret.key_vault_url and secret.value:
                url = urlsplit(secret.key_vault_url.lower())
                path = url.path.strip("/").split("/")
                if url.netloc == host and len(path) >= 2 and path[0] == "secrets":
                    found.setdefault(fp.of_secret(secret.value), []).append((path[1], AppView(app).key))
    return found


def resolve(one: VaultItem, held: Mapping[str, VaultSecret], vault: Vault, options: Options) -> Skip | None:
    """Decide what happens in the vault, and set `name`, `action` and `undo`; or say why nothing can.

    Args:
        one: The value and its candidates.
        held: What the vault holds, by lower-case name.
        vault: The vault.
        options: `on_conflict` decides about other values.
    """
    for candidate in one.candidates:
        state = held.get(candidate.lower())
        if state and not state.deleted and state.enabled and state.fingerprint == one.fingerprint:
            one.name, one.action, one.undo = state.name, "adopt", {}
            return None
    state = held.get(one.name.lower())
    if state is None:
        one.action, one.undo = "create", {"disable": True}
        return None
    if state.ours and not state.enabled and not state.deleted:
        one.action, one.undo = "new-version", {"disable": True}
        return None
    way = options.conflict_of(one.name)
    if way == "rename":
        other = one.renamed()
        if other.lower() not in held:
            one.name, one.action, one.undo = other, "create", {"disable": True}
            return None
        state = held[other.lower()]
        if state.ours and not state.enabled and not state.deleted:
            one.name, one.action, one.undo = other, "new-version", {"disable": True}
            return None
    elif way == "new-version" and not state.deleted and (state.fingerprint or not state.enabled):
        one.action, one.undo = "new-version", {"restore": True} if state.enabled else {"disable": True}
        return None
    return _conflict(state, vault)


def _conflict(state: VaultSecret, vault: Vault) -> Skip:
    at = f"--vault-name {vault.name} -n {state.name}"
    again = "or plan again with --on-conflict rename"
    if state.deleted:
        return Skip(
            "vault-deleted",
            f"{state.name} is soft-deleted in vault {vault.name}, which keeps the name occupied; recovering it brings "
            "back somebody's old versions, so a person decides",
            f"az keyvault secret recover {at}, or az keyvault secret purge {at} (final, and refused under purge "
            f"protection), {again}",
        )
    if not state.enabled:
        return Skip(
            "vault-disabled",
            f"vault {vault.name} has a secret {state.name} that somebody else made and disabled",
            f"az keyvault secret show {at} --query tags says whose it is; plan again with --on-conflict new-version "
            "to put the value there as a new version, or with --on-conflict rename",
        )
    if state.fingerprint is None:
        return Skip(
            "vault-unreadable",
            f"vault {vault.name} has a secret {state.name} that you may not read, so whether it is the same value "
            "cannot be told",
            "get Key Vault Secrets Officer on the vault (az role assignment create --role 'Key Vault Secrets Officer' "
            f"--assignee YOU --scope {vault.id}), {again}",
        )
    return Skip(
        "vault-conflict",
        f"vault {vault.name} has a secret {state.name} with another value",
        "plan again with --on-conflict new-version (what reads that secret today then gets this value; rollback puts "
        "the older value back) or with --on-conflict rename",
    )


def looked_up(items: Sequence[VaultItem]) -> tuple[str, ...]:
    """Names whose state in the vault must be known before `resolve`."""
    return tuple(sorted({name for one in items for name in one.candidates}))
