"""Estate, findings and options in, a plan out. Pure: no clock, no network, no environment.

The same estate and options give the same bytes, whatever order things come in. What may move is decided in
`migrator.planning.draft`, where it goes in `vaulting`, `identities`, `roles` and `registries`, how in `building`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from migrator.about import tool
from migrator.errors import UsageError
from migrator.fingerprints import app_fingerprint, app_parts
from migrator.foreseen import foreseen
from migrator.model import Estate, Json, Plan, Vault, canonical, same_id
from migrator.passwordless import applying
from migrator.passwordless.suggesting import code_of, judge
from migrator.passwordless.telling import suggestions
from migrator.planning import consumers, deployers, permissions, rest_risk, skips, vaulting
from migrator.planning.building import AppPlan, Builder, labels
from migrator.planning.denials import Denials
from migrator.planning.draft import AppDraft, Drafting
from migrator.planning.identities import Chosen
from migrator.planning.options import Options
from migrator.planning.part_steps import of_components
from migrator.planning.places import AppView
from migrator.planning.roles import Roles
from migrator.planning.vaulting import VaultItem
from migrator.reachable import reachable
from scanners.model import Finding, Fingerprinter

__all__ = ["Options", "Slot", "plan", "slots", "wanted"]


def wanted(
    estate: Estate, findings: Sequence[Finding], options: Options, fingerprinter: Fingerprinter
) -> tuple[str, ...]:
    """Names of vault secrets whose state `plan` needs: read them into the estate's vault first.

    Raises:
        UsageError: the vault is not in the estate.
    """
    drafting = _drafted(estate, findings, options, fingerprinter)
    return vaulting.looked_up(_arranged(drafting, options))


def plan(estate: Estate, findings: Sequence[Finding], options: Options, fingerprinter: Fingerprinter) -> Plan:
    """What to do about `findings`.

    Args:
        estate: What was read; the vault with the secrets that `wanted` names. Their order does not matter.
        findings: Of a scan of that estate, and of files or repositories, which become rest risk. Every finding ends in
            a step or in `skipped`.
        options: The user's decisions.
        fingerprinter: Whose key the plan is bound to; the estate fingerprint names it.

    Raises:
        UsageError: the vault is not in the estate.
    """
    drafting = _drafted(estate, findings, options, fingerprinter)
    vault = drafting.vault
    chosen = _Chosen(drafting, options)
    items = _undenied(drafting, _resolved(drafting, options), chosen)
    plans = _app_plans(drafting, items, chosen)
    called = labels(drafting.views.values())
    builder = Builder(vault, Roles(estate), called)
    steps = builder.steps(plans)
    components = of_components(estate, called, fingerprinter, options)
    notes = [*drafting.notes, *builder.notes, *_notes(plans, estate, vault), *components.notes]
    needed = permissions.needed(plans, estate, vault, components.steps)
    return Plan(
        tool=tool(),
        cloud=estate.cloud,
        scope={key: sorted(values, key=str.lower) for key, values in sorted(options.scope.items())},
        options=options.as_dict(vault.id),
        estate={
            "fingerprint": _estate_fingerprint(estate, vault, plans, fingerprinter),
            "key": fingerprinter.key_id,
            "access": [entry.as_dict() for entry in reachable(estate, foreseen(estate, (*steps, *components.steps)))],
        },
        steps=(*steps, *components.steps),
        skipped=tuple(entry for entry in drafting.skipped if not components.take(entry["finding"])),
        rest_risk=(*rest_risk.entries(plans, set(findings), fingerprinter), *components.risks),
        operator={"permissions": needed},
        notes=tuple(_ordered(notes)),
        passwordless=suggestions(plans, estate, options, fingerprinter),
    )


@dataclass(frozen=True, slots=True)
class Slot:
    """Where one value would go, for a person who chooses."""

    default: str
    """The vault secret's name by the template: what `Choices.names` goes by."""
    name: str
    """The name it gets."""
    action: str
    """`create`, `adopt` or `new-version`; empty when it cannot go there."""
    fingerprint: str
    apps: tuple[str, ...]
    """Ids of the apps that use it."""
    called: tuple[str, ...]
    """What they call it."""
    conflict: str = ""
    """The name that is taken: what `Choices.on_conflict` goes by. Empty where there is no conflict."""
    reason: str = ""
    """Why it cannot go there, as things are chosen."""
    hint: str = ""


def slots(
    estate: Estate, findings: Sequence[Finding], options: Options, fingerprinter: Fingerprinter
) -> tuple[Slot, ...]:
    """What `plan` decides about names and conflicts in the vault, for the same arguments.

    Raises:
        UsageError: the vault is not in the estate.
    """
    drafting = _drafted(estate, findings, options, fingerprinter)
    held = {secret.name.lower(): secret for secret in drafting.vault.secrets}
    denials, identities = Denials(estate), _Chosen(drafting, options)
    found = []
    for one in _arranged(drafting, options):
        wanted_name = one.name
        why = vaulting.resolve(one, held, drafting.vault, options)
        taken = why is not None or one.action == "new-version" or one.name != wanted_name
        denied = [denials.reading(identities.of(item.view), drafting.vault, one.name) for item in one.items]
        why = why or (denied[0] if all(denied) else None)
        apps = tuple(sorted({item.view.id for item in one.items}, key=str.lower))
        called = tuple(sorted({name for item in one.items for name in item.names}))
        found.append(
            Slot(
                one.default,
                one.name,
                one.action,
                one.fingerprint,
                apps,
                called,
                wanted_name if taken and one.action != "adopt" else "",
                why.reason if why else "",
                why.hint if why else "",
            )
        )
    return tuple(found)


def _drafted(estate: Estate, findings: Sequence[Finding], options: Options, fingerprinter: Fingerprinter) -> Drafting:
    drafting = Drafting(estate, _vault(estate, options.vault), fingerprinter, options.choices)
    drafting.run(findings)
    denials = Denials(estate)
    for app in drafting.apps:
        _swap(app, drafting, options, denials)
    return drafting


def _swap(app: AppDraft, drafting: Drafting, options: Options, denials: Denials) -> None:
    """Take the values that an identity replaces out of those that go into the vault."""
    view, targets = app.view, drafting.estate.targets
    asked = [item for item in app.items if options.replaces(item.fingerprint)]
    if not asked:
        return
    chosen = drafting.identities.choose(view, options.identity_of(view.id))
    code = code_of(view, options.code)
    rulings = {item.fingerprint: judge(item, chosen, targets, code, drafting.fingerprinter) for item in asked}
    app.swaps, app.stays = applying.of_app(asked, rulings, chosen, denials.of_grant)
    gone = {one.item.fingerprint for one in app.swaps}
    for item in asked:
        mark = item.fingerprint
        if mark not in gone and mark in options.choices.passwordless:
            app.stays.setdefault(mark, applying.doubt(rulings[mark].decision))
        if mark in app.stays:
            names = ", ".join(item.names)
            drafting.note(view, "passwordless", f"{names} stays a secret, in the vault: {app.stays[mark]}")
    for one in app.swaps:
        names = ", ".join(one.item.names)
        for doubt in one.decision.fails:
            drafting.note(view, "passwordless", f"{names} gives way to the identity; know that {doubt}")
    app.items = [item for item in app.items if item.fingerprint not in gone]


def _vault(estate: Estate, wish: str) -> Vault:
    for vault in estate.vaults:
        if same_id(vault.id, wish) or vault.name.lower() == wish.lower():
            return vault
    known = sorted(vault.name for vault in estate.vaults)
    raise UsageError(
        f"there is no vault {wish} among what you may read",
        why=f"there is {', '.join(known)}" if known else "no vault was found",
        hint="az keyvault list -o table shows vaults; --vault takes a name or an id, and --subscription its subscription",
    )


def _arranged(drafting: Drafting, options: Options) -> list[VaultItem]:
    items = [item for app in drafting.apps for item in app.items]
    return vaulting.arrange(items, drafting.estate, drafting.vault, options, drafting.fingerprinter)


def _resolved(drafting: Drafting, options: Options) -> list[VaultItem]:
    """Values that have a place in the vault; the others are skipped and leave their apps."""
    held = {secret.name.lower(): secret for secret in drafting.vault.secrets}
    found = []
    gone: set[tuple[str, str]] = set()
    for one in _arranged(drafting, options):
        why = vaulting.resolve(one, held, drafting.vault, options)
        if why is None:
            found.append(one)
            continue
        for item in one.items:
            drafting.skip_item(item, why)
            gone.add((item.view.key, item.fingerprint))
    for app in drafting.apps:
        app.items = [item for item in app.items if (item.view.key, item.fingerprint) not in gone]
    return found


class _Chosen:
    """The identity of each app, chosen once: of two that are to be made, neither gets the other's name."""

    def __init__(self, drafting: Drafting, options: Options) -> None:
        self._identities = drafting.identities
        self._options = options

    def of(self, view: AppView) -> Chosen:
        return self._identities.choose(view, self._options.identity_of(view.id))


def _undenied(drafting: Drafting, items: Sequence[VaultItem], chosen: _Chosen) -> list[VaultItem]:
    """What no deny assignment would keep its app's identity from; the rest is skipped and leaves its app."""
    if not drafting.estate.denials:
        return list(items)
    denials = Denials(drafting.estate)
    gone: set[tuple[str, str]] = set()
    for one in items:
        for item in one.items:
            why = denials.reading(chosen.of(item.view), drafting.vault, one.name)
            if why is not None:
                drafting.skip_item(item, why)
                gone.add((item.view.key, item.fingerprint))
        one.items = [item for item in one.items if (item.view.key, item.fingerprint) not in gone]
    for app in drafting.apps:
        app.items = [item for item in app.items if (item.view.key, item.fingerprint) not in gone]
        for switch in [*app.switches]:
            why = denials.using(chosen.of(app.view), switch.need, switch.registry.id)
            if why is not None:
                app.switches.remove(switch)
                drafting.skip_registry(app.view, switch.place, why)
    return [one for one in items if one.items]


def _app_plans(drafting: Drafting, items: Sequence[VaultItem], identities: _Chosen) -> list[AppPlan]:
    mine: dict[str, dict[str, VaultItem]] = {}
    for one in items:
        for item in one.items:
            mine.setdefault(item.view.key, {})[item.fingerprint] = one
    plans = []
    for app in drafting.apps:
        if not app.every and not app.switches:
            continue
        view, taken = app.view, mine.get(app.view.key, {})
        chosen = identities.of(view) if taken or app.switches or app.swaps else None
        fingerprint = app_fingerprint(view.app.document, view.app.secrets, drafting.fingerprinter)
        parts = app_parts(view.app.document, view.app.secrets, drafting.fingerprinter)
        auth = app_fingerprint(view.app.auth, (), drafting.fingerprinter) if view.app.auth else ""
        plans.append(AppPlan(app, chosen, taken, fingerprint, drafting.fingerprinter, parts, auth))
    return plans


def _notes(plans: Iterable[AppPlan], estate: Estate, vault: Vault) -> list[Json]:
    found: list[Json] = []
    some = False
    for plan in plans:
        some = some or bool(plan.vault_items)
        view = plan.view
        found += deployers.notes(view)
        found += plan.identity.notes if plan.identity else ()
        found += _consumers(plan)
        unproven = rest_risk.unproven(view)
        found += [unproven] if unproven else []
        lock = skips.covering(estate.locks, view.id, "CanNotDelete")
        if lock and plan.identity and plan.identity.create is not None:
            found.append(
                {
                    "app": view.id,
                    "kind": "lock",
                    "text": f"a CanNotDelete lock at {lock[0].scope} lets the plan be applied, but a rollback cannot "
                    f"delete identity {plan.identity.name}; it stays, without any role of the run",
                }
            )
        for switch in plan.draft.switches:
            found += _lock_note(estate, switch.registry.id, view.id)
        for scope in sorted({grant.scope for one in plan.draft.swaps for grant in one.grants}):
            found += _lock_note(estate, scope, view.id)
    found += [
        {
            "app": "",
            "kind": "unread",
            "text": f"{error.get('where')} could not be read: {error.get('what')}; {error.get('hint') or ''}".rstrip(
                "; "
            ),
        }
        for error in estate.errors
    ]
    return found + (_lock_note(estate, vault.id, "") if some else [])


def _lock_note(estate: Estate, scope: str, app: str) -> list[Json]:
    held = skips.covering(estate.locks, scope, "CanNotDelete")
    return [
        {
            "app": app,
            "kind": "lock",
            "text": f"a CanNotDelete lock at {lock.scope} lets roles be assigned, but a rollback cannot remove them; "
            f"lift it before a rollback: az lock delete --ids {lock.id}",
        }
        for lock in held[:1]
    ]


def _consumers(plan: AppPlan) -> list[Json]:
    """What else goes by the names of the secrets that become references."""
    names = {place.name for item in plan.draft.items for place in item.secrets}
    return [
        {
            "app": plan.view.id,
            "kind": "consumer",
            "text": f"{use.kind} {use.name} uses secret {use.secret}; the name and the value stay, so it needs no "
            "change" + (", but try a sign-in without a session cookie afterwards" if use.kind == "sign-in" else ""),
        }
        for use in consumers.consumers(plan.view)
        if use.secret in names and use.kind in {"volume", "scale rule", "sign-in"}
    ]


def _ordered(notes: Iterable[Json]) -> list[Json]:
    unique = {(str(note["app"]).lower(), note["kind"], note["text"]): note for note in notes}
    return [unique[key] for key in sorted(unique)]


def _estate_fingerprint(estate: Estate, vault: Vault, plans: Sequence[AppPlan], fingerprinter: Fingerprinter) -> str:
    """Of all that the steps depend on; what Azure moves by itself (states, times, addresses) is left out."""
    principals = {plan.identity.principal for plan in plans if plan.identity and plan.identity.principal}
    registries = {switch.registry.id.lower() for plan in plans for switch in plan.draft.switches}
    services = {one.decision.resource.lower() for plan in plans for one in plan.draft.swaps}
    document: Json = {
        "tenant": estate.tenant,
        "apps": {plan.view.key: plan.fingerprint for plan in plans},
        "vault": [vault.id.lower(), vault.uri, vault.document["properties"].get("networkAcls")],
        "secrets": sorted([s.name.lower(), s.enabled, s.deleted, s.fingerprint or ""] for s in vault.secrets),
        "assignments": sorted(
            [a.id.lower(), a.scope.lower(), a.role, a.principal_id]
            for a in estate.assignments
            if a.principal_id in principals
        ),
        "registries": sorted(
            [registry.id.lower(), str((registry.document.get("properties") or {}).get("roleAssignmentMode"))]
            for registry in estate.registries
            if registry.id.lower() in registries
        ),
        "locks": sorted([lock.id.lower(), lock.scope.lower(), lock.level] for lock in estate.locks),
    }
    if services:
        document["services"] = sorted(services)
    return fingerprinter.of(canonical(document))
