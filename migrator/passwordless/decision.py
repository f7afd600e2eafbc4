"""What becomes of one secret: an identity by configuration alone, by a change of code, a vault reference, or neither.

Pure, and told with the evidence for and against. The order is that of doubt: whatever is not shown ends in a vault
reference, which is always safe.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache

from migrator.model import Json, Resource, ResourceId
from migrator.passwordless import clients
from migrator.passwordless.cases import Case, Change, Client, Verdict, shown
from migrator.passwordless.clients import keda
from migrator.passwordless.code import constructors, language
from migrator.passwordless.evidence import Evidence, Sight
from migrator.passwordless.pointer import Pointer
from migrator.passwordless.rights import Asker, Grant, rights
from migrator.passwordless.services import Service, services


class Outcome(StrEnum):
    """How a secret ends."""

    CONFIGURATION = "configuration"
    """An identity replaces it, and only configuration changes."""
    CODE = "code"
    """An identity replaces it, once code that is named has changed."""
    VAULT = "vault-reference"
    CANNOT = "cannot"
    """The service takes no identity here; the value stays a secret, in the vault."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What one secret of one app ends as, and why."""

    outcome: Outcome
    service: str = ""
    """Title of the service; empty for what is nothing of Azure."""
    resource: str = ""
    """ARM id of what it opens, where that is known."""
    client: str = ""
    holds: tuple[str, ...] = ()
    fails: tuple[str, ...] = ()
    grants: tuple[Grant, ...] = ()
    changes: tuple[Change, ...] = ()
    code: tuple[Json, ...] = ()
    """`{"path", "line", "instead"}` each."""
    before: tuple[Json, ...] = ()
    """Prerequisites, `{"what", "command"}` each: decisions of their own."""
    after: Json = field(default_factory=dict)
    """`{"close", "breaks"}`: what closes key access when nobody uses the key any more, and who else breaks then."""
    scripts: tuple[str, ...] = ()
    """Statements for a database administrator; nothing of keylift runs them."""
    stays: tuple[str, ...] = ()
    """Why keylift itself does not follow it, though configuration alone is enough."""

    service_id: str = ""
    """Of the one service in use, in `services.toml`."""

    @property
    def service_of(self) -> Service:
        """The one service in use.

        Raises:
            KeyError: it is not known.
        """
        return services()[self.service_id]

    def as_dict(self) -> Json:
        """The object of the plan format."""
        return {
            "outcome": str(self.outcome),
            "service": self.service,
            "resource": self.resource,
            "client": self.client,
            "for": list(self.holds),
            "against": list(self.fails),
            "roles": [grant.as_dict() for grant in self.grants],
            "changes": [change.as_dict() for change in self.changes],
            "code": list(self.code),
            "before": list(self.before),
            "after": self.after,
            "scripts": list(self.scripts),
        }


@dataclass(frozen=True, slots=True)
class Subject:
    """One secret of one app, as it is put to `decide`."""

    name: str
    """Of the variable that holds it; of the app secret where no variable does."""
    pointer: Pointer | None
    evidence: Evidence
    others: tuple[str, ...] = ()
    """What else of the app takes it (`volume v`, `sign-in`, `registry s`): such a use keeps it a secret."""
    identity: str = ""
    """Name of the app's user-assigned identity; empty for the system one."""
    principal: str = ""
    """Object id of the identity; empty while it does not exist."""
    key: str = ""
    """Fingerprint of the key inside the value; empty when that is no key."""
    elsewhere: str = ""
    """The host that the value names, where that is none of Azure's own (`pointer.elsewhere`)."""


def decide(subject: Subject, targets: Sequence[Resource] = ()) -> Decision:
    """What becomes of a secret.

    Args:
        subject: The secret, and what is known of its use.
        targets: Resources that secrets of the estate may point at, as Resource Graph shows them.
    """
    pointer = subject.pointer
    if pointer is None and subject.elsewhere:
        hidden = (
            f"unresolved: {subject.elsewhere} is no host of Azure's own, so that a custom domain or a private address hides "
            "which resource it is; with the resource's own host in the value it can be told"
        )
        return Decision(Outcome.VAULT, fails=(hidden,))
    if pointer is None:
        rule = subject.evidence.rule
        kind = keda.read(rule)[0] if rule is not None else ""
        told = keda.untaken(kind) if kind in keda.UNTRIED else "nothing of Azure is known to take this value"
        return Decision(Outcome.VAULT, fails=(told,))
    known = [services()[one] for one in pointer.services]
    target = target_of(pointer, known, targets)
    compared = [one for one in targets if "keys" in one.document and any(_is(one, service) for service in known)]
    if target is None and not pointer.name and subject.key:
        target = next((one for one in compared if subject.key in one.document["keys"]), None)
        pointer = _found(pointer, target, known) if target is not None else pointer
    service = next((one for one in known if target is not None and _is(target, one)), known[0])
    pointer = _with_policy(pointer, target)
    base = Decision(
        Outcome.VAULT, title_of(known, target), target.id if target else "",
        after={"close": service.close, "breaks": service.breaks} if service.close else {},
    )  # fmt: skip
    if service.cannot:
        return replace(base, outcome=Outcome.CANNOT, fails=(service.cannot,))
    if pointer.kind in NEVER:
        return replace(base, fails=(NEVER[pointer.kind],))
    if pointer.kind == "user-delegation-sas":
        return replace(base, fails=("the signature is of Entra already and ends within seven days",))
    if len(known) > 1 and target is None:
        titles = ", ".join(one.title for one in known)
        return replace(base, fails=(f"{pointer.host} may be any of {titles}: {_unresolved(pointer)}",))
    if target is None and service.id != "application-insights":
        none = not pointer.name and subject.key and compared
        other = f"unresolved: it is no key of the {len(compared)} resources of {service.title} that were read and may be asked"
        return replace(base, fails=(other if none else _unresolved(pointer),))
    if target is not None and "keys" in target.document and subject.key:
        if f"{pointer.parts.get('entity', '')}/{pointer.policy}".lower() in target.document.get("gone", ()):
            return replace(base, fails=(f"{target.name} has no shared access policy {pointer.policy} any more",))
        listed = target.document["keys"]
        if subject.key not in listed:
            return replace(base, fails=(f"it is no key of {target.name} as the service lists them now",))
        base = replace(base, holds=(f"it is {listed[subject.key]} of {target.name}, compared in memory",))
        if subject.key in target.document["reading"]:
            pointer = replace(pointer, rights=frozenset({"read"}), told_by=f"{listed[subject.key]} only reads")
    if subject.others:
        return replace(base, fails=tuple(f"{one} takes the key itself" for one in subject.others))
    return _of_use(subject, pointer, service, target, base)


def _of_use(subject: Subject, pointer: Pointer, service: Service, target: Resource | None, base: Decision) -> Decision:
    case = Case(subject.name, pointer, service, subject.evidence, subject.identity)
    verdicts = [(one, found) for one in _narrowed(case) for client in _clients() if (found := client.judge(one))]
    code = subject.evidence.code
    if code is not None and not code.whole:
        verdicts = [(one, _from_image(found)) for one, found in verdicts]
    good = list({found.at_service or one.service.id: (one, found) for one, found in verdicts if found.good}.values())
    built = _built(subject.evidence, service)
    if built:
        against = (f"code builds the client from the secret ({shown(built)})",)
        edits = tuple({"path": sight.path, "line": sight.line, "instead": _instead(sight, pointer)} for sight in built)
        told = replace(base, outcome=Outcome.CODE, client="code", code=edits, fails=against + _mints(subject.evidence))
        kinds = {one for sight in built for one in constructors()[sight.what].services} & set(service.choices)
        used = services()[kinds.pop()] if len(kinds) == 1 else service
        return _with_rights(told, subject, pointer, used, target, ())
    if len(good) > 1:
        titles = ", ".join(dict.fromkeys(one.service.title for one, _ in good))
        return replace(base, fails=(f"it is used for {titles}: one key for several uses stays",))
    if good:
        ((one, verdict),) = good
        used = services()[verdict.at_service] if verdict.at_service else one.service
        missing = _not_ready(used, target)
        moved = replace(
            base, outcome=Outcome.CONFIGURATION, client=verdict.client, holds=(*base.holds, *verdict.holds), changes=verdict.changes,
            fails=(*verdict.warns, *_mints(subject.evidence)), before=missing,
            stays=(*verdict.stays, *_mints(subject.evidence)), service_id=used.id,
        )  # fmt: skip
        # what the value itself names is narrower than what its use names, or the same
        pointed = replace(one.pointer, parts={**verdict.parts, **one.pointer.parts})
        told = _with_rights(moved, subject, pointed, used, target, verdict.needs)
        for other, need in verdict.also:
            bare = replace(one.pointer, parts={}, rights=frozenset(), told_by="")
            more = rights(bare, services()[other], target, (need,), Asker(subject.identity, subject.principal))
            told = replace(told, grants=(*told.grants, *more.grants))
        return told
    if verdicts:
        holds = tuple(text for _, found in verdicts for text in found.holds)
        fails = tuple(text for _, found in verdicts for text in found.fails)
        return replace(base, client=verdicts[0][1].client, holds=(*base.holds, *holds), fails=fails)
    if service.code:
        told = replace(base, outcome=Outcome.CODE, fails=(service.code,), before=_not_ready(service, target))
        return _with_rights(told, subject, pointer, service, target, ())
    unknown = "nothing shows which client uses it" if subject.evidence.code else (
        "nobody gave the app's code, so nothing shows which client uses it: keylift plan --code FOLDER"
    )  # fmt: skip
    return replace(base, fails=(unknown, *([service.alone] if service.alone else [])))


@lru_cache(maxsize=1)
def _clients() -> tuple[Client, ...]:
    names = sorted(info.name for info in pkgutil.iter_modules(clients.__path__))
    return tuple(importlib.import_module(f"{clients.__name__}.{name}").CLIENT for name in names)


_BY_PACKAGES = ("Azure Functions", "KEDA", "Microsoft.Data.SqlClient", "SignalR")
"""Clients of which an image tells enough: the package itself, or the binding, takes the string."""


def _from_image(found: Verdict) -> Verdict:
    if not found.good or found.client.startswith(_BY_PACKAGES):
        return found
    unseen = (
        "only the packages of its image were read: code may build the client by itself (keylift plan --code FOLDER)"
    )
    return replace(found, fails=(*found.fails, unseen))


def _narrowed(case: Case) -> list[Case]:
    """The case, and for a key of several services one for each of them, with the host of that service."""
    found = [case]
    for choice in case.service.choices:
        kind = choice.partition("-")[2]
        pointer = replace(case.pointer, host=case.pointer.host.replace(".blob.", f".{kind}."))
        found.append(replace(case, service=services()[choice], pointer=pointer))
    return found


def target_of(pointer: Pointer, known: Sequence[Service], targets: Sequence[Resource]) -> Resource | None:
    """The one resource of that name and type whose own endpoint is the secret's host."""
    named = [t for t in targets if pointer.name in _names(t) and any(_is(t, one) for one in known)]
    same = [target for target in named if _serves(target, known, pointer.host)]
    return same[0] if len(same) == 1 else None


def _found(pointer: Pointer, target: Resource, known: Sequence[Service]) -> Pointer:
    """The pointer of a key that names nothing, with the resource whose key it is."""
    properties = target.document.get("properties") or {}
    own = [str(_at(properties, path) or "") for one in known if _is(target, one) for path in one.endpoints]
    hosts = [_host_of(address) for address in own if address]
    return replace(pointer, name=min(_names(target)), host=hosts[0] if hosts else "")


def _host_of(address: str) -> str:
    return address.lower().split("//")[-1].split("/")[0].split(":")[0]


def _names(target: Resource) -> set[str]:
    """What stands before the suffix of a resource's own hosts: its name, or the domain that an AI account was given."""
    domain = str((target.document.get("properties") or {}).get("customSubDomainName") or "")
    return {domain.lower() or target.name.lower()}


def _is(target: Resource, service: Service) -> bool:
    parsed = ResourceId.parse(target.id)
    return f"{parsed.namespace}/{parsed.kind}".lower() in {kind.lower() for kind in service.types}


def _serves(target: Resource, known: Sequence[Service], host: str) -> bool:
    """Whether a resource says that host is its own; one that shows no endpoint is believed by its name."""
    properties = target.document.get("properties") or {}
    own = {str(_at(properties, path) or "") for one in known if _is(target, one) for path in one.endpoints} - {""}
    host = host.replace(".privatelink.", ".")  # what a private endpoint is called beside the resource's own name
    # the readable copy of a storage account in the other region, which it does not always name
    host = re.sub(r"^([a-z0-9]+)-secondary(?=\.(?:blob|queue|table|file|dfs|web)\.)", r"\1", host)
    return not own or any(host == _host_of(address) for address in own)


def _at(document: object, path: str) -> object:
    for part in path.split("."):
        document = document.get(part) if isinstance(document, dict) else None
    return document


def title_of(known: Sequence[Service], target: Resource | None) -> str:
    """What the service is called; empty while several may be meant."""
    if target is not None:
        return next(one.title for one in known if _is(target, one))
    return known[0].title if len(known) == 1 else ""


def _unresolved(pointer: Pointer) -> str:
    if not pointer.name and pointer.host:
        return (
            f"unresolved: {pointer.host} is the host of many resources; a token is taken under a resource's own domain only, "
            "or with a name that the key alone does not tell"
        )
    if not pointer.name:
        return (
            "unresolved: the value does not say which resource it opens; an address beside it would tell "
            "(X_ENDPOINT beside X_KEY), and so do the keys that services list: keylift plan --compare-keys"
        )
    return (
        f"unresolved: no resource named {pointer.name} that serves {pointer.host} is in the subscriptions that were read; it may "
        "be in another subscription (--subscription), or in another tenant, which this sign-in does not see"
    )


NEVER = {
    "kafka": "a Kafka client signs in with the connection string as its password; without it the client must speak OAUTHBEARER",
    "device-key": "a device signs in with a key or a certificate of its own, and with no identity of Azure's",
}
"""Kinds of values that nothing of Azure's identities stands in for, and why."""
_RIGHTS = {
    "Listen": "receive",
    "Send": "send",
    "RegistryRead": "read",
    "RegistryWrite": "manage",
    "ServiceConnect": "write",
}
"""What a shared access policy allows -> the need it covers. Manage is what a policy has when nobody chose; of an IoT hub,
DeviceConnect is what devices do."""


def _with_policy(pointer: Pointer, target: Resource | None) -> Pointer:
    """The pointer with what the policy it names allows, and what its entity is, as the namespace itself says."""
    policies = (target.document.get("policies") or {}) if target is not None else {}
    entity = pointer.parts.get("entity", "")
    rule = policies.get(f"{entity}/{pointer.policy}".lower())
    if rule is None:
        return pointer
    parts = {rule["part"]: entity} if rule["part"] else pointer.parts
    if "Manage" in rule["rights"] or {"RegistryWrite", "ServiceConnect", "DeviceConnect"} <= {*rule["rights"]}:
        return replace(pointer, parts=parts)
    rights = frozenset(_RIGHTS[right] for right in rule["rights"] if right in _RIGHTS)
    told = f"the policy {pointer.policy} allows {' and '.join(sorted(rule['rights']))}"
    return replace(pointer, parts=parts, rights=rights, told_by=told)


def _not_ready(service: Service, target: Resource | None) -> tuple[Json, ...]:
    missing = service.lacking(target.document) if target is not None else None
    if missing is None or target is None:
        return ()
    parsed = ResourceId.parse(target.id)
    return ({"what": missing[0], "command": missing[1].format(name=parsed.name, group=parsed.group)},)


def _built(evidence: Evidence, service: Service) -> list[Sight]:
    """Places in code that build a client of the service from a secret."""
    code = evidence.code
    if code is None:
        return []
    kinds = {service.id, *service.choices}
    return [sight for sight in code.constructors if kinds & set(constructors()[sight.what].services)]


def _instead(sight: Sight, pointer: Pointer) -> str:
    text = constructors()[sight.what].instead.get(language(sight.path), "a client with DefaultAzureCredential")
    return text.replace("{host}", pointer.host).replace("{name}", pointer.name)


def _mints(evidence: Evidence) -> tuple[str, ...]:
    signs = evidence.code.mints if evidence.code else ()
    return (f"code signs SAS with the key ({shown(signs)}): that needs a user delegation key",) if signs else ()


def _with_rights(
    decision: Decision,
    subject: Subject,
    pointer: Pointer,
    service: Service,
    target: Resource | None,
    told: Sequence[str],
) -> Decision:
    code = subject.evidence.code
    # what a use tells of itself is whole; code may do more in places that no detector knows, so it is asked second
    does = code.does({service.id}) if code is not None and not told and service.roles else {}
    asked = rights(pointer, service, target, told or [*does], Asker(subject.identity, subject.principal))
    seen = tuple(f"code {_DOES[need]} ({shown(does[need])})" for need in sorted(does))
    more = (
        ("of verbs in code only those that were seen count: a library may do more of its own accord",) if does else ()
    )
    return replace(
        decision,
        grants=asked.grants,
        scripts=asked.scripts,
        holds=(*decision.holds, *asked.holds, *seen),
        fails=(*decision.fails, *asked.doubts, *more),
    )


_DOES = {"read": "reads", "write": "writes", "send": "sends", "receive": "receives", "manage": "makes and deletes"}
