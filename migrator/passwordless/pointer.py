"""From a value to what it opens: which service, which resource, which part of it, and which rights.

A `Pointer` holds no secret: host, names and rights only. What the host does not say (subscription, group) is asked of
Azure; what nobody says stays unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qs, unquote, urlsplit

from migrator.passwordless.services import by_host, nameless
from scanners.checksums import CHECKS
from scanners.model import Secret, reveal

LONGEST = 8192
"""Characters; what is longer is no connection string, URL or key."""
_URL = re.compile(r"(?:jdbc:)?([a-z][a-z0-9+.\-]*)://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Pointer:
    """What a secret points at."""

    services: tuple[str, ...]
    """Ids of `services.toml`; several where one host suffix serves them all."""
    kind: str
    """`account-key`, `policy-key`, `device-key`, `sas`, `user-delegation-sas`, `login`, `kafka` or `bare-key`."""
    host: str = ""
    name: str = ""
    """Of the resource; empty when the value does not say."""
    cloud: str = ""
    """`public`, `china`, `usgov`; empty when the value does not say."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """Parts of the resource the value is for: `container`, `queue`, `topic`, `hub`, `database`, ..."""
    policy: str = ""
    """Name of a shared access policy; of a signature, of the stored one that it goes by."""
    user: str = ""
    rights: frozenset[str] = frozenset()
    """Needs that the value's own rights cover; empty when it tells nothing (a full key is not a need)."""
    told_by: str = ""
    """How the rights are known."""


def point(value: Secret) -> Pointer | None:
    """What a value opens in Azure; None when that is nothing of Azure, or nothing this module knows."""
    text = reveal(value).strip().strip("\"'")
    if len(text) > LONGEST:
        return None
    for reader in (_url, _redis, _kafka, _pairs, _bare):
        found = reader(text)
        if found is not None:
            return found
    return None


def key_of(value: Secret) -> Secret | None:
    """The key inside a value, to be compared with the service's own; None for what is no key (a login, a SAS)."""
    text = reveal(value).strip().strip("\"'")
    url = _URL.match(text)
    if url is not None and url[1].lower() in {"redis", "rediss"}:
        return Secret(unquote(urlsplit(text).password or ""))
    if text.partition(",")[2] and by_host(text.partition(",")[0]) is not None:
        return next((Secret(part[9:]) for part in text.split(",") if part.lower().startswith("password=")), None)
    keys = _split(text)
    named = next(
        (keys[key] for key in ("accountkey", "sharedaccesskey", "accesskey", "secret", "key") if keys.get(key)), ""
    )
    if named:
        return Secret(named)
    return None if url is not None or ";" in text else value


# Connection strings


def _pairs(text: str) -> Pointer | None:
    keys = {} if "\n" in text else _split(text)
    for known, reader in _READERS:
        if known <= keys.keys():
            return reader(keys)
    return None


def _split(text: str) -> dict[str, str]:
    """`Key One=value;...` by keys in lower case, without blanks and underscores."""
    pairs = (part.partition("=") for part in text.split(";"))
    return {
        re.sub(r"[\s_]", "", key).lower(): raw.strip().strip("\"'{}")
        for key, equals, raw in pairs
        if equals and key.strip()
    }


def elsewhere(value: Secret) -> str:
    """The host that a key of an Azure service names, if it is none of Azure's own: a custom domain, a private address.

    Empty for any other value: what is not written as Azure's services write it says nothing of Azure.
    """
    text = reveal(value).strip().strip("\"'")
    keys = _split(text) if len(text) <= LONGEST and "\n" not in text else {}
    for known, address in (
        ({"endpoint", "sharedaccesskey"}, "endpoint"),
        ({"endpoint", "accesskey"}, "endpoint"),
        ({"endpoint", "id", "secret"}, "endpoint"),
        ({"accountendpoint", "accountkey"}, "accountendpoint"),
        *(
            ({f"{kind}endpoint", "sharedaccesssignature"}, f"{kind}endpoint")
            for kind in ("blob", "queue", "table", "file")
        ),
    ):
        if known <= keys.keys():
            host = _host(keys[address])
            return host if host and by_host(host) is None else ""
    # an address with a signature of storage's, whatever domain it is under
    signed = text.lower().startswith("https://") and {"sv", "sig"} <= parse_qs(text.partition("?")[2]).keys()
    host = _host(text.partition("?")[0]) if signed else ""
    return host if host and by_host(host) is None else ""


def _storage(keys: Mapping[str, str]) -> Pointer | None:
    name = keys["accountname"].lower()
    if name == "devstoreaccount1":
        return None
    table = by_host(_host(keys.get("tableendpoint", "")))
    if table is not None and table.services[0].id == "cosmos-table":
        return Pointer(("cosmos-table",), "account-key", _host(keys["tableendpoint"]), table.name, table.cloud)
    suffix = keys.get("endpointsuffix", "core.windows.net").lower()
    at = by_host(f"{name}.blob.{suffix}")
    parts = {part: keys[key] for key, part in (("containername", "container"), ("queuename", "queue")) if keys.get(key)}
    return Pointer(("storage",), "account-key", f"{name}.blob.{suffix}", name, at.cloud if at else "", parts)


def _storage_sas(keys: Mapping[str, str]) -> Pointer | None:
    endpoints = [keys[key] for key in keys if key.endswith("endpoint")]
    found = _sas(endpoints[0] if endpoints else "", keys["sharedaccesssignature"])
    signed = parse_qs(keys["sharedaccesssignature"].lstrip("?")).get("ss", [""])[0]
    if found is None or len(endpoints) < 2 or len(signed) < 2:
        return found
    # of an account, and for several of its services: which one is in use decides what the letters mean
    reads = found.rights if found.rights == {"read"} else frozenset[str]()
    return replace(
        found, services=("storage",), host=f"{found.name}.blob.{found.host.partition('.')[2].partition('.')[2]}", parts={},
        rights=reads, told_by=found.told_by if reads else "",
    )  # fmt: skip


def _bus(keys: Mapping[str, str]) -> Pointer | None:
    host = _host(keys["endpoint"])
    at = by_host(host)
    if at is None:
        return None
    entity = keys.get("entitypath", "")
    parts = {"entity": entity} if entity else {}
    parts |= {"group": keys["consumergroup"]} if keys.get("consumergroup") else {}
    found = Pointer(
        tuple(service.id for service in at.services), "policy-key", host, at.name, at.cloud, parts,
        policy=keys["sharedaccesskeyname"],
    )  # fmt: skip
    shared = {check: service for check, service in _CHECKS.items() if service in found.services}
    return _by_checksum(found, keys["sharedaccesskey"], shared)


def _of_host(keys: Mapping[str, str]) -> Pointer | None:
    """`Endpoint=https://...` with a key: the host says which service."""
    host = _host(keys["endpoint"])
    at = by_host(host)
    if at is None:
        shared = nameless(host)
        return Pointer((shared.id,), "account-key", host) if shared else None
    parts = {part: keys[part] for part in ("hub", "deployment") if keys.get(part)}
    return Pointer(tuple(service.id for service in at.services), "account-key", host, at.name, at.cloud, parts)


def _cosmos(keys: Mapping[str, str]) -> Pointer | None:
    found = _of_host({"endpoint": keys["accountendpoint"]})
    if found is None or found.services != ("cosmos",):
        return None
    if keys.get("database"):
        collection = {"collection": keys["container"]} if keys.get("container") else {}
        found = replace(found, parts={"database": keys["database"], **collection})
    return _by_checksum(found, keys["accountkey"], {"cosmos": "cosmos"})


def _iot(keys: Mapping[str, str]) -> Pointer | None:
    at = by_host(keys["hostname"])
    if at is None:
        return None
    if "deviceid" in keys:
        return Pointer(("iot-hub",), "device-key", keys["hostname"].lower(), at.name, at.cloud)
    return Pointer(
        ("iot-hub",), "policy-key", keys["hostname"].lower(), at.name, at.cloud, policy=keys["sharedaccesskeyname"]
    )


def _insights(_: Mapping[str, str]) -> Pointer | None:
    return Pointer(("application-insights",), "account-key")


def _database(keys: Mapping[str, str]) -> Pointer | None:
    server = next((keys[key] for key in ("server", "datasource", "host", "address", "addr") if keys.get(key)), "")
    at = by_host(re.sub(r"^tcp:", "", server.strip(), flags=re.IGNORECASE).partition(",")[0])
    if at is None:
        return None
    database = next((keys[key] for key in ("initialcatalog", "database", "dbname") if keys.get(key)), "")
    user = next((keys[key] for key in ("userid", "uid", "user", "username") if keys.get(key)), "")
    host = re.sub(r"^tcp:", "", server.strip(), flags=re.IGNORECASE).partition(",")[0].partition(":")[0].lower()
    return Pointer(
        tuple(service.id for service in at.services), "login", host, at.name, at.cloud,
        {"database": database} if database else {}, user=user,
    )  # fmt: skip


_READERS: tuple[tuple[frozenset[str], Callable[[Mapping[str, str]], Pointer | None]], ...] = (
    (frozenset({"accountname", "accountkey"}), _storage),
    (frozenset({"accountendpoint", "accountkey"}), _cosmos),
    (frozenset({"sharedaccesssignature"}), _storage_sas),
    (frozenset({"hostname", "sharedaccesskeyname", "sharedaccesskey"}), _iot),
    (frozenset({"hostname", "deviceid", "sharedaccesskey"}), _iot),
    (frozenset({"endpoint", "sharedaccesskeyname", "sharedaccesskey"}), _bus),
    (frozenset({"instrumentationkey"}), _insights),
    (frozenset({"endpoint", "accesskey"}), _of_host),
    (frozenset({"endpoint", "id", "secret"}), _of_host),
    (frozenset({"endpoint", "key"}), _of_host),
    (frozenset({"password"}), _database),
    (frozenset({"pwd"}), _database),
)
"""Keys a connection string has, in lower case without blanks, and who reads it; the first that fits wins."""


def _host(address: str) -> str:
    """The host of a URL, lower case; empty when the text is no URL."""
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""


# URLs


def _url(text: str) -> Pointer | None:
    match = _URL.match(text)
    if match is None:
        return None
    address = text.removeprefix("jdbc:")
    try:
        parts = urlsplit(address)
        host, user = (parts.hostname or "").lower(), unquote(parts.username or "")
    except ValueError:
        return None
    scheme = match[1].lower()
    if scheme in {"http", "https"}:
        return _sas(f"{parts.scheme}://{parts.netloc}{parts.path}", parts.query) if "sig=" in parts.query else None
    if scheme == "sqlserver":  # jdbc:sqlserver://host:1433;database=d;user=u;password=p
        rest = {k.lower(): v for k, v in (p.split("=", 1) for p in address.split(";")[1:] if "=" in p)}
        host = address.split("//", 1)[1].partition(";")[0].partition(":")[0].lower()
        user, database = rest.get("user", ""), rest.get("database") or rest.get("databasename") or ""
    else:
        database = parts.path.strip("/").partition("?")[0]
    at = by_host(host)
    if at is None:
        return None
    kind = "account-key" if at.services[0].id in {"redis", "managed-redis", "cosmos-mongo"} else "login"
    return Pointer(
        tuple(service.id for service in at.services), kind, host, at.name, at.cloud,
        {"database": database} if database and kind == "login" else {}, user=user if kind == "login" else "",
    )  # fmt: skip


def _redis(text: str) -> Pointer | None:
    """`host:6380,password=...,ssl=True`, as StackExchange.Redis takes it."""
    host, comma, rest = text.partition(",")
    at = by_host(host)
    if not comma or at is None or "password=" not in rest.lower():
        return None
    return Pointer(tuple(s.id for s in at.services), "account-key", host.partition(":")[0].lower(), at.name, at.cloud)


_JAAS = re.compile(
    r"""username=["']\$ConnectionString["'].{0,200}?password=["'](Endpoint=sb://[^"']+)["']""", re.DOTALL
)


def _kafka(text: str) -> Pointer | None:
    """The JAAS configuration of a Kafka client on Event Hubs, whose password is a whole connection string."""
    match = _JAAS.search(text)
    inner = _pairs(match[1]) if match is not None else None
    return replace(inner, services=("event-hubs",), kind="kafka") if inner is not None else None


_LETTERS = {
    "storage-blob": {"r": "read", "l": "read", **dict.fromkeys("wdacxty", "write"), "o": "manage", "p": "manage"},
    "storage-queue": {"r": "read", "a": "send", "p": "receive", "u": "write", "d": "write", "w": "write"},
    "storage-table": {"r": "read", "a": "write", "u": "write", "d": "write"},
}
"""Permission letters of a SAS by service (learn.microsoft.com/rest/api/storageservices/create-service-sas); that a
letter stands for a need is this project's reading."""


def _sas(address: str, query: str) -> Pointer | None:
    host = _host(address)
    at = by_host(host)
    if at is None or not at.services[0].id.startswith("storage"):
        return None
    parts, fields = urlsplit(address), parse_qs(query.lstrip("?"))
    service = at.services[0].id
    letters = fields.get("sp", [""])[0]
    needs = {_LETTERS.get(service, {}).get(letter, "") for letter in letters} - {""}
    if "write" in needs and "read" in needs:
        needs.discard("read")  # a contributor reads, too
    path = parts.path.strip("/").split("/")[0]
    part = {"storage-blob": "container", "storage-queue": "queue", "storage-table": "table"}.get(service)
    named = {part: path} if part and path and path != "$root" else {}
    kind = "user-delegation-sas" if "skoid" in fields else "sas"
    told = f"the signature's permissions {letters}" if needs else ""
    stored = fields.get("si", [""])[0]
    return Pointer((service,), kind, host, at.name, at.cloud, named, stored, rights=frozenset(needs), told_by=told)


# Keys alone

_CHECKS = {
    "storage": "storage",
    "cosmos": "cosmos",
    "service-bus": "service-bus",
    "event-hubs": "event-hubs",
    "relay": "relay",
    "redis": "redis",
    "search": "search",
    "event-grid": "event-grid",
    "iot": "iot-hub",
    "container-registry": "container-registry",
}
"""Checks of `scanners.checksums` that name one service -> its id here."""
_CASK = {
    "App Configuration key": "app-configuration",
    "Event Grid key": "event-grid",
    "Communication Services key": "communication",
    "Azure OpenAI key": "openai",
    "Azure AI services key": "ai-services",
    "Cognitive Services key": "ai-services",
}
"""What the check `cask` says -> ids here."""
_MEANINGS = (
    ("Send right", "send"),
    ("Listen right", "receive"),
    ("read-only", "read"),
    ("read-write", "write"),
    ("query key", "read"),
    ("admin key", "write"),
)
"""What a checksum says of a key -> the need it covers. Manage is no need: it is what a policy has when nobody chose."""


def _bare(text: str) -> Pointer | None:
    if not 30 < len(text) < 130 or " " in text:
        return None
    return _by_checksum(Pointer((), "bare-key"), text, _CHECKS)


def _by_checksum(pointer: Pointer, key: str, checks: Mapping[str, str]) -> Pointer | None:
    """What a key's own checksum adds: its service, and which right it was made with. None when there is no service."""
    for check, service in checks.items():
        proof = CHECKS[check](key)
        if proof is not None:
            return _with_meaning(replace(pointer, services=(service,)), proof.detail or "")
    proof = CHECKS["cask"](key)
    if proof is not None and proof.detail in _CASK and not pointer.services:
        return replace(pointer, services=(_CASK[proof.detail],))
    return pointer if pointer.services else None


def _with_meaning(pointer: Pointer, meaning: str) -> Pointer:
    rights = frozenset(need for words, need in _MEANINGS if words in meaning)
    if not rights:
        return pointer
    return replace(pointer, rights=rights, told_by=f"the key's own checksum: {meaning}")
