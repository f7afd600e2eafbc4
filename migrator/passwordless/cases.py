"""What the ways of using a secret are asked, and what they answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from migrator.model import Json
from migrator.passwordless.evidence import Evidence, Sight
from migrator.passwordless.pointer import Pointer
from migrator.passwordless.services import Service

CLIENT_ID = "<client id of {identity}>"
"""Stands in proposals for what is known only when the identity is there."""

CLOUDS = {"public": "", "china": "AzureChinaCloud", "usgov": "AzureUSGovernmentCloud"}
"""What scalers and components call a cloud; nothing is the one they take by themselves."""


@dataclass(frozen=True, slots=True)
class Case:
    """One secret of one container."""

    name: str
    """Of the variable that holds it."""
    pointer: Pointer
    service: Service
    evidence: Evidence
    identity: str = ""
    """Name of the user-assigned identity; empty for the system one."""

    @property
    def client_id(self) -> str:
        """Placeholder of the identity's client id; empty for the system identity, which needs none."""
        return CLIENT_ID.format(identity=self.identity) if self.identity else ""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of an app's configuration."""

    action: str
    """`set` or `remove`."""
    name: str
    value: str = ""
    at: str = "env"
    """Where: `env`, `rule` (a scale rule), `dapr` (metadata of a component) or `sign-in`."""
    key: str = ""
    """Within a scale rule: `identity`, `auth`, or the metadata's name."""

    def as_dict(self) -> Json:
        """The object of the plan format."""
        return {"action": self.action, "name": self.name, **({"value": self.value} if self.action == "set" else {})}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one way of using secrets says of a case that is its own."""

    client: str
    """Of the library or host that uses the secret."""
    needs: tuple[str, ...] = ()
    """Rights that this use needs (`services.NEEDS`); empty when it tells nothing of them."""
    holds: tuple[str, ...] = ()
    """Evidence that configuration alone is enough."""
    fails: tuple[str, ...] = ()
    """Evidence against, or what was not shown."""
    changes: tuple[Change, ...] = ()
    at_service: str = ""
    """The service in use, where the secret opens several."""
    warns: tuple[str, ...] = ()
    """What a person must know who follows it."""
    also: tuple[tuple[str, str], ...] = ()
    """`(service id, need)` of other services of the same resource that this use needs, too."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """Parts of the resource that this use is about (`queue`, `container`, ...), where it tells."""
    stays: tuple[str, ...] = ()
    """Why keylift itself leaves the value a secret, though configuration alone is enough for a person who knows more."""

    @property
    def good(self) -> bool:
        """Whether configuration alone is enough."""
        return bool(self.holds) and not self.fails


class Client(Protocol):
    """One way of using secrets; a module of `migrator.passwordless.clients` holds one as `CLIENT`."""

    def judge(self, case: Case) -> Verdict | None:
        """What there is to say of a case; None when it is not this client's."""
        ...


def identity_env(case: Case) -> tuple[Change, ...]:
    """Variables that make a default credential take the managed identity and nothing else."""
    pin = (Change("set", "AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential"),)
    return (*pin, Change("set", "AZURE_CLIENT_ID", case.client_id)) if case.client_id else pin


_SIGNS_IN = re.compile(
    r"__(?:fullyQualifiedNamespace|accountName|(?:blob|queue|table)?ServiceUri|accountEndpoint|credential|clientId|"
    r"managedIdentityClientId|topicEndpointUri)$|^(?:AZURE_CLIENT_ID|AZURE_TOKEN_CREDENTIALS|IDENTITY_ENDPOINT)$"
    r"|^SPRING_CLOUD_AZURE_\w*(?:ENDPOINT|NAMESPACE|ACCOUNTNAME|CREDENTIAL_\w+)$",
    re.IGNORECASE,
)
_KEYED = re.compile(r"(?i)(?:key|password|pwd|secret|signature|accesskey)\s*=")


def signing_in(case: Case) -> tuple[str, ...]:
    """What else of the container signs in with a credential that variables for all of them would move.

    Variables with the name of an identity-based connection, connection strings without a key, and credentials that code
    builds without naming an identity. Nothing in it: the evidence shows that nothing else moves.
    """
    code, found = case.evidence.code, []
    for name, value in sorted(case.evidence.env.items()):
        endpoint = name.lower().startswith("connectionstrings__") and value is not None and not _KEYED.search(value)
        if name != case.name and (_SIGNS_IN.search(name) or (endpoint and "." in str(value))):
            found.append(f"{name} signs in with an identity already")
    sights = [s for key, all_ in code.names.items() if key.startswith("credential:") for s in all_] if code else []
    if sights:
        found.append(f"code signs in elsewhere with a credential that it would move ({shown(sights)})")
    return tuple(found)


def shown(sights: Sequence[object], most: int = 3) -> str:
    """Places in code, in a sentence."""
    return ", ".join(str(sight) for sight in sights[:most]) + (" …" if len(sights) > most else "")


def by_hand(case: Case, *names: str) -> list[str]:
    """What falsifies a use by name: code that reads the variable itself, under its own or one of other names."""
    code = case.evidence.code
    spellings = sorted({case.name.lower(), *(name.lower() for name in names)})
    return [
        f"code reads {case.name} by itself, too ({shown(code.reads[spelling])})"
        for spelling in spellings
        if code is not None and spelling in code.reads
    ]


def calls(case: Case, detector: str, name: str) -> tuple[Sight, ...]:
    """Places where a call that takes a connection by name is given this one; storage has a call for each of its kinds."""
    code, service = case.evidence.code, case.service.id
    kind = f"{detector}-{service.partition('-')[2]}" if service.startswith("storage") else detector
    if detector == "add-azure-client" and service in {"redis", "managed-redis"}:
        kind = f"{detector}-redis"
    return code.names.get(f"{kind}:{name}".lower(), ()) if code else ()
