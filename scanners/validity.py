"""Whether a value has the inner form that its kind must have: what a pattern cannot see."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from types import MappingProxyType

from scanners.lazy import lazily
from scanners.shapes import identifier


def _json_web_token(value: str) -> bool:
    """Header and payload are JSON objects, and the header names an algorithm or a type (RFC 7519, section 5)."""
    parts = value.split(".")
    header, payload = _object(parts[0]), _object(parts[1])
    if header is None or payload is None or not {"alg", "typ", "enc"} & header.keys():
        return False
    if len(parts) < 3 and header.get("alg", "none") != "none":
        return False  # its signature is cut off
    if payload.get("sub") == "1234567890" and payload.get("name") == "John Doe":
        return False  # the sample of jwt.io
    # What Supabase gives every browser: a name for nobody in particular.
    return not (payload.get("iss") == "supabase" and payload.get("role") == "anon")


def _object(part: str) -> dict[str, object] | None:
    try:
        found = json.loads(urlsafe_b64decode(part.replace("/", "_") + "=" * (-len(part) % 4)))
    except (ValueError, Base64Error, RecursionError):
        return None
    return found if isinstance(found, dict) else None


_BCRYPT = lazily(r"\$2[abxy]\$\d\d\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]")


def _password_hash(value: str) -> bool:
    """A bcrypt hash holds 128 bits of salt and 184 of hash: the last characters of both leave bits unused, which are zero."""
    return not value.startswith("$2") or _BCRYPT.fullmatch(value) is not None


def _made_by_chance(value: str) -> bool:
    """No words written together, as names in code are: `s.OAS3ComponentWrapFactory`."""
    return _TOGETHER.fullmatch(value.rpartition(".")[2]) is None


_TOGETHER = lazily(r"(?:[A-Z]{1,4}|[a-z]+)?\d?(?:[A-Z][a-z]{2,}\d?){2,}[A-Z]?")


def _no_name(value: str) -> bool:
    """It is not called what it is, as types and variables are: `OrdersClientSecretSource`."""
    return not identifier(value)


VALID: Mapping[str, Callable[[str], bool]] = MappingProxyType(
    {"jwt": _json_web_token, "crypt": _password_hash, "chance": _made_by_chance, "name": _no_name}
)
"""Every check a rule may name as its `shape`."""
