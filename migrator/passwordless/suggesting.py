"""What one value of one app could end as, use by use, and what values of an estate point at."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from migrator.model import Estate, Json, Resource
from migrator.passwordless import dapr, token_store
from migrator.passwordless.decision import Decision, Outcome, Subject, decide
from migrator.passwordless.evidence import Code, Evidence
from migrator.passwordless.pointer import LONGEST, Pointer, elsewhere, key_of, point
from migrator.passwordless.services import by_host, nameless, services
from migrator.planning.consumers import consumers, rules_with
from migrator.planning.draft import Item
from migrator.planning.identities import SYSTEM, Chosen
from migrator.planning.places import AppView
from scanners.model import Fingerprinter, Secret, reveal

EVERY_APP = ""
"""The key of code that was given for no app in particular."""
_DOUBT = (Outcome.CANNOT, Outcome.VAULT, Outcome.CODE, Outcome.CONFIGURATION)
_HOST = re.compile(r"(?<![a-z0-9-])[a-z0-9][a-z0-9-]*(?:\.[a-z0-9-]+){2,}", re.IGNORECASE)


def pointed_at(estate: Estate) -> tuple[Pointer, ...]:
    """Where values of the estate point, each once: what they name is to be read into `Estate.targets`."""
    found = [pointer for app in estate.workloads for pointer in _pointers(AppView(app)) if pointer.name]
    found += [pointer for part in estate.parts if dapr.is_component(part) for pointer in dapr.pointers(part)]
    return tuple({repr(pointer): pointer for pointer in found}.values())


def keys_alone(estate: Estate) -> tuple[Pointer, ...]:
    """Keys of which only the service is known, by their checksum: which resource they open only the services' keys tell."""
    found = [p for app in estate.workloads for p in _pointers(AppView(app)) if p.kind == "bare-key" and not p.name]
    return tuple({repr(pointer): pointer for pointer in found}.values())


def kinds_of(pointers: Iterable[Pointer]) -> tuple[str, ...]:
    """ARM types of what pointers may point at."""
    return tuple(sorted({kind for pointer in pointers for one in pointer.services for kind in services()[one].types}))


def _pointers(view: AppView) -> Iterable[Pointer]:
    values = [value for _, value in (*view.plain_env(), *view.plain_words())]
    values += [secret.value for secret in view.secrets.values() if secret.value is not None]
    for value in values:
        pointer = point(value)
        if pointer is not None:
            yield pointer
        for host in _hosts(reveal(value)):
            at = by_host(host)
            if at is not None:
                yield Pointer(tuple(one.id for one in at.services), "host", host.lower(), at.name, at.cloud)


def _hosts(text: str) -> list[str]:
    return _HOST.findall(text) if len(text) <= LONGEST else []


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a value, and what was decided about it."""

    decision: Decision
    name: str = ""
    """The variable; empty for a scale rule."""
    container: str = ""
    init: bool = False
    rule: str = ""
    """The scale rule; empty for a variable."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What one value of one app could end as."""

    decision: Decision
    """The most doubtful of the decisions on each use: an identity must do for all of them."""
    uses: tuple[Use, ...] = ()
    """Variables and scale rules that are given the value; empty where something else takes it."""
    evidence: Code | None = None

    def of(self, view: AppView, item: Item) -> Json:
        """The object of the plan format."""
        head = {"app": view.id, "names": item.names, "fingerprint": item.fingerprint}
        return {**head, **self.decision.as_dict()}


def code_of(view: AppView, code: Mapping[str, Code]) -> Code | None:
    """What somebody gave as the code of an app."""
    return code.get(view.name.lower(), code.get(EVERY_APP))


def judge(
    item: Item, chosen: Chosen | None, targets: Iterable[Resource], code: Code | None, fingerprinter: Fingerprinter
) -> Ruling:
    """What one value could end as, use by use.

    Args:
        item: The value, with its places.
        chosen: The app's identity.
        targets: Resources that secrets of the estate may point at.
        code: What the app's code shows.
        fingerprinter: That of the keys in the targets' documents.
    """
    names = {place.name for place in item.secrets}
    uses = [
        (Use(_NOTHING, name, str(container.get("name") or ""), init), name, evidence_of(item.view, container, code))
        for name, init, container in _uses(item)
    ]
    uses += [
        (Use(_NOTHING, rule=name), f"scale rule {name}", Evidence(rule=rule))
        for name, rule in rules_with(item.view, names)
    ]
    uses += [
        (Use(_NOTHING, rule=place.rule), f"scale rule {place.rule}", Evidence(rule=place.body)) for place in item.rules
    ]
    others = tuple(
        f"{use.kind} {use.name}"
        for use in consumers(item.view)
        if use.kind not in {"env", "scale rule"} and use.secret in names
    ) + tuple(f"{place.part} of {place.container}" for place in item.words)
    identity = chosen.name if chosen is not None and chosen.ref != SYSTEM else ""
    principal = (chosen.principal if chosen is not None else "") or ""
    value = _value(item)
    alone = [use.kind for use in consumers(item.view) if use.secret in names] == ["sign-in"]
    if not uses and alone and token_store.takes(item.view, names):
        reference = chosen.ref if chosen is not None else ""
        return Ruling(token_store.decide(value, identity, reference, principal, targets), evidence=code)
    inner = key_of(value) if value is not None else None
    key = fingerprinter.of_secret(inner) if inner is not None else ""
    other_host = elsewhere(value) if value is not None else ""
    told: list[Use] = []
    for use, name, evidence in uses or [(Use(_NOTHING), item.names[0], evidence_of(item.view, {}, code))]:
        pointer = point(value) if value is not None else None
        if pointer is None or not pointer.name:
            pointer = beside(name, pointer, evidence)
        subject = Subject(name, pointer, evidence, others, identity, principal, key, other_host)
        told.append(replace(use, decision=decide(subject, tuple(targets))))
    decisions = [use.decision for use in told]
    worst = min(decisions, key=lambda decision: _DOUBT.index(decision.outcome))
    if len(uses) > 1 and worst.outcome is Outcome.CONFIGURATION:
        worst = replace(
            worst,
            client=", ".join(dict.fromkeys(decision.client for decision in decisions)),
            holds=tuple(dict.fromkeys(text for decision in decisions for text in decision.holds)),
            fails=tuple(dict.fromkeys(text for decision in decisions for text in decision.fails)),
            grants=tuple(dict.fromkeys(grant for decision in decisions for grant in decision.grants)),
            changes=tuple(dict.fromkeys(change for decision in decisions for change in decision.changes)),
            stays=tuple(dict.fromkeys(text for decision in decisions for text in decision.stays)),
        )
    return Ruling(worst, tuple(told) if uses else (), code)


_NOTHING = Decision(Outcome.VAULT)


def _value(item: Item) -> Secret | None:
    values = [place.value for place in item.secrets] + [place.value for place in item.places]
    return values[0] if values else None


def _uses(item: Item) -> list[tuple[str, bool, Json]]:
    """`(variable, init, container)` of each env entry that holds the value or refers to its app secret."""
    mine = {(place.init, place.index, place.name) for place in item.env}
    names = {place.name for place in item.secrets}
    return [
        (str(entry.get("name")), init, container)
        for init, index, container in item.view.containers()
        for entry in container.get("env") or []
        if (init, index, entry.get("name")) in mine or entry.get("secretRef") in names
    ]


def evidence_of(view: AppView, container: Json, code: Code | None = None) -> Evidence:
    """What a container's variables, and the app's code, show."""
    env = {
        str(entry.get("name")): entry.get("value") if not entry.get("secretRef") else None
        for entry in container.get("env") or []
    }
    return Evidence(env, "functionapp" in str(view.app.document.get("kind") or "").lower(), code)


def _stem(name: str) -> str:
    """What variables of one connection begin with."""
    return "PG" if re.fullmatch(r"PG[A-Z]{4,12}", name) else re.split(r"[_:.]", name)[0]


def beside(name: str, pointer: Pointer | None, evidence: Evidence) -> Pointer | None:
    """A key alone opens what the variables beside it name: `X_KEY` beside `X_ENDPOINT`, if that is one Azure host."""
    hosts: dict[str, Pointer] = {}
    for other, value in evidence.env.items():
        if value is None or other == name or _stem(other) != _stem(name):
            continue
        for host in _hosts(value):
            at, shared = by_host(host), nameless(host)
            if shared is not None and pointer is None:
                hosts[host.lower()] = Pointer((shared.id,), "bare-key", host.lower())
            if at is not None:
                ids = tuple(one.id for one in at.services)
                known = pointer.services if pointer is not None else ids
                if set(known) & set(ids) or "storage" in known:
                    hosts[host.lower()] = Pointer(ids, "bare-key", host.lower(), at.name, at.cloud)
    if len(hosts) != 1:
        return pointer
    (found,) = hosts.values()
    return replace(found, rights=pointer.rights, told_by=pointer.told_by) if pointer is not None else found
