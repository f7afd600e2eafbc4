"""What a name says about its value: a password, a token, a key, or an id, a path, a reference to a secret."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from scanners.lazy import lazily
from scanners.words import INNOCENT_KEYS, INNOCENT_TAILS, INNOCENT_TOKENS, NOISE


class Kind(StrEnum):
    """What a value under a name is supposed to be."""

    PASSWORD = "password"  # noqa: S105 - the word itself
    SECRET = "secret"  # noqa: S105 - the word itself
    TOKEN = "token"  # noqa: S105 - the word itself
    KEY = "key"
    CONNECTION = "connection"
    INGESTION = "ingestion"
    """An Application Insights instrumentation key: an id by use, a key by name."""
    OTHER = "other"


class Name(NamedTuple):
    """A name, judged."""

    kind: Kind
    certain: bool
    """The last word says it. Otherwise a word before it does, and the value must speak for itself."""
    words: tuple[str, ...]


_WORD = lazily(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

KINDS = {
    **dict.fromkeys(
        ("password", "passwd", "pwd", "pass", "passphrase", "passcode", "passwort", "psw", "pw"), Kind.PASSWORD
    ),
    **dict.fromkeys(("secret", "secrets", "credential", "credentials", "creds", "pepper", "salt"), Kind.SECRET),
    **dict.fromkeys(
        ("token", "tokens", "jwt", "pat", "bearer", "sas", "auth", "authorization", "apitoken"), Kind.TOKEN
    ),
    **dict.fromkeys(("key", "keys", "apikey"), Kind.KEY),
    **dict.fromkeys(("dsn", "connstr", "connectionstring", "connectionstrings"), Kind.CONNECTION),
}
"""Words that say what a value is; triggers are made of them (`scanners.triggers`)."""

# Words written together, longest first: `dbpassword`, `clientsecret`, `instrumentationkey`.
_GLUED = (
    ("connectionstrings", ("connection", "strings")),
    ("connectionstring", ("connection", "string")),
    ("instrumentationkey", ("instrumentation", "key")),
    ("subscriptionkey", ("subscription", "key")),
    ("encryptionkey", ("encryption", "key")),
    ("authorization", ("authorization",)),
    ("privatekey", ("private", "key")),
    ("accountkey", ("account", "key")),
    ("signingkey", ("signing", "key")),
    ("masterkey", ("master", "key")),
    ("publickey", ("public", "key")),
    ("accesskey", ("access", "key")),
    ("sharedkey", ("shared", "key")),
    ("passphrase", ("passphrase",)),
    ("secretkey", ("secret", "key")),
    ("password", ("password",)),
    ("authkey", ("auth", "key")),
    ("connstr", ("connstr",)),
    ("passwd", ("passwd",)),
    ("secret", ("secret",)),
    ("apikey", ("api", "key")),
    ("token", ("token",)),
    ("pwd", ("pwd",)),
)


_ASKED = frozenset({"has", "is", "show", "hide", "should", "can", "forgot"})
"""First words of names whose value is yes, no or a label."""
_DIGESTS = frozenset(
    {"checksum", "digest", "sha256", "fingerprint", "thumbprint", "hashed", "hash", "encrypted", "sealed", "cipher"}
)
_DONE = frozenset({"change", "reset", "update"})
"""What is done with a password: the value says how that is called, or what colour it has."""
_PUBLIC_PREFIXES = ("next_public_", "vite_public_", "expo_public_", "nuxt_public_", "gatsby_", "public_")


def words_of(name: str) -> tuple[str, ...]:
    """The lower-case words of a name in any case style: `ConnectionStrings__Db` -> connection, strings, db."""
    return tuple(part for word in _WORD.findall(name) for part in _parts(word.lower()))


@lru_cache(maxsize=4096)
def _parts(low: str) -> tuple[str, ...]:
    """One word, or several that are written together. Words repeat, so the answers are kept."""
    for glued, parts in _GLUED:
        if low.endswith(glued):
            return parts if low == glued else (low[: -len(glued)], *parts)
    return (low,)


@lru_cache(maxsize=4096)
def judge_name(name: str) -> Name:
    """What a name says. Names repeat in an estate and in a tree, so the answers are kept."""
    words = words_of(name)
    bare = list(words)
    while len(bare) > 1 and (bare[-1] in NOISE or bare[-1].isdigit()):
        bare.pop()
    if not bare:
        return Name(Kind.OTHER, certain=False, words=words)
    if not _DIGESTS.isdisjoint(bare[:-1]):
        return Name(Kind.OTHER, certain=False, words=words)
    if len(bare) > 1 and (bare[0] in _ASKED or (bare[0] in _DONE and KINDS.get(bare[-1]) is Kind.PASSWORD)):
        return Name(Kind.OTHER, certain=False, words=words)
    last, before = bare[-1], bare[-2] if len(bare) > 1 else ""
    if "connection" in bare and ({"string", "strings", "str"} & set(words)):
        return Name(Kind.CONNECTION, certain=True, words=words)
    if name.lower().startswith(_PUBLIC_PREFIXES) and last not in ("password", "passwd", "pwd"):
        return Name(Kind.OTHER, certain=False, words=words)
    kind = KINDS.get(last, Kind.OTHER)
    if kind is Kind.KEY:
        if before == "instrumentation":
            return Name(Kind.INGESTION, certain=True, words=words)
        if before in INNOCENT_KEYS or "public" in bare:
            return Name(Kind.OTHER, certain=False, words=words)
        return Name(Kind.SECRET if before == "secret" else Kind.KEY, certain=bool(before), words=words)
    if last in ("token", "tokens") and (before in INNOCENT_TOKENS or "publickeytoken" in name.lower()):
        return Name(Kind.OTHER, certain=False, words=words)
    if kind is Kind.PASSWORD and last in ("pass", "pw") and before in ("by", "multi", "first", "one", "single"):
        return Name(Kind.OTHER, certain=False, words=words)
    if kind is not Kind.OTHER:
        # A salt alone stands beside the hash that it was made for, in the open.
        return Name(kind, certain=bare != ["salt"], words=words)
    if last in INNOCENT_TAILS:
        return Name(Kind.OTHER, certain=False, words=words)
    for at in range(len(bare) - 2, -1, -1):
        earlier = KINDS.get(bare[at], Kind.OTHER)
        if earlier is Kind.KEY and (at == 0 or bare[at - 1] in INNOCENT_KEYS):
            continue
        if earlier is not Kind.OTHER and bare[at] not in ("auth", "pass", "salt"):
            return Name(earlier, certain=False, words=words)
    return Name(Kind.OTHER, certain=False, words=words)
