"""Rules state their examples as shapes, so that no key, live or dead, stands in a rule file; here shapes become text.

`%{alnum:36}` is 36 letters and digits, `%{hex:32}`, `%{HEX:32}`, `%{lower:20}`, `%{upper:16}`, `%{digits:10}`,
`%{base64:86}`, `%{base64url:43}`, `%{base32:52}`, `%{word:12}` (a password: letters, digits and a sign) and `%{guid}` are
what they say. `%{key:NAME:SEED}` is an Azure key that verifies under a seed, `%{cask:AZAC:AAAA}` a common annotated key,
`%{entra}` a client secret, `%{jwt}` a token, `%{github:ghp:30}` a token with its checksum; `%{bad:...}` is the same with a character changed. The same
text gives the same expansion everywhere.
"""

from __future__ import annotations

import random
import re
import string
from base64 import b64decode, b64encode, urlsafe_b64encode

from scanners.checksums import base62_bytes, base62_crc, entra_checksum, marvin32, seed_of

_SHAPE = re.compile(r"%\{([^}]*)\}")
_ALPHABETS = {
    "alnum": string.ascii_letters + string.digits,
    "alpha": string.ascii_letters,
    "lower": string.ascii_lowercase + string.digits,
    "upper": string.ascii_uppercase + string.digits,
    "letters": string.ascii_lowercase,
    "LETTERS": string.ascii_uppercase,
    "digits": string.digits,
    "hex": "0123456789abcdef",
    "HEX": "0123456789ABCDEF",
    "base64": string.ascii_letters + string.digits + "+/",
    "base64url": string.ascii_letters + string.digits + "-_",
    "base32": "abcdefghijklmnopqrstuvwxyz234567",
    "BASE32": "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
}
_KEYS = {
    # check -> signature, bytes, written in the url-safe alphabet
    "storage": ("+ASt", 64, False),
    "cosmos": ("ACDb", 64, False),
    "batch": ("+ABa", 64, False),
    "ml-classic": ("+AMC", 64, False),
    "api-management": ("APIM", 64, False),
    "service-bus": ("+ASb", 32, False),
    "event-hubs": ("+AEh", 32, False),
    "relay": ("+ARm", 32, False),
    "iot": ("AIoT", 32, False),
    "redis": ("AzCa", 32, False),
    "event-grid": ("AZEG", 32, False),
    "container-registry": ("+ACR", 39, False),
    "search": ("AzSe", 39, False),
    "functions": ("AzFu", 40, True),
}


def expand(text: str) -> str:
    """A rule's example with every shape filled in."""
    # Seeded by the text: the same example is the same text in every run, and nothing here has to be unpredictable.
    source = random.Random(text)  # noqa: S311
    return _SHAPE.sub(lambda found: _filled(found[1], source), text)


def _filled(shape: str, source: random.Random) -> str:
    kind, *parts = shape.split(":")
    if kind in _ALPHABETS:
        return "".join(source.choices(_ALPHABETS[kind], k=int(parts[0])))
    if kind == "word":
        length = int(parts[0])
        body = "".join(source.choices(_ALPHABETS["alnum"], k=length - 4))
        return f"{body[:3]}!{body[3:]}7kQ"
    if kind == "guid":
        digits = "".join(source.choices(_ALPHABETS["hex"], k=32))
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"
    if kind == "key":
        return _key(parts[0], parts[1], source)
    if kind == "cask":
        return cask_key(
            parts[0], parts[1], "".join(source.choices(_ALPHABETS["alnum"], k=52)), long_form="long" in parts
        )
    if kind == "entra":
        return entra_secret("".join(source.choices(_ALPHABETS["alnum"], k=34)))
    if kind == "github":
        body = "".join(source.choices(_ALPHABETS["alnum"], k=int(parts[1])))
        return f"{parts[0]}_{body}{base62_crc(body)}"
    if kind == "base64of":
        return b64encode(":".join(parts).encode()).decode()
    if kind == "jwt":
        return _jwt(source)
    if kind == "bad":
        whole = _filled(":".join(parts), source)
        return ("A" if whole[1] != "A" else "B").join((whole[:1], whole[2:]))
    raise ValueError(f"no such shape: {shape}")


def _jwt(source: random.Random) -> str:
    subject = "".join(source.choices(_ALPHABETS["lower"], k=12))
    parts = ('{"alg":"HS256","typ":"JWT"}', f'{{"sub":"{subject}","iss":"https://contoso.net"}}')
    signature = "".join(source.choices(_ALPHABETS["base64url"], k=43))
    return ".".join([*(urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts), signature])


def _key(check: str, seed: str, source: random.Random) -> str:
    signature, size, url_safe = _KEYS[check]
    alphabet = _ALPHABETS["alnum"]
    while True:
        key = identifiable_key(signature, seed, size, "".join(source.choices(alphabet, k=size * 2)))
        # AI Search takes letters and digits only; upstream, too, tries until the checksum has no other character.
        if check != "search" or key.isalnum():
            return key.replace("+", "-").replace("/", "_") if url_safe else key


def identifiable_key(signature: str, seed: str, size: int, fill: str) -> str:
    """A key of `size` bytes that starts with characters of `fill` and verifies under `seed`."""
    body = -(-size * 8 // 6) - 10
    text = (fill * body)[:body] + signature + "A" * 6
    # The six checksum characters hold the last 32 bits and what the byte before them has left over.
    kept = b64decode(text.ljust(-(-len(text) // 4) * 4, "="))[: size - 4]
    return b64encode(kept + marvin32(kept, seed_of(seed)).to_bytes(4, "little")).decode()


def cask_key(signature: str, reserved: str, fill: str, *, long_form: bool = False) -> str:
    """A common annotated key of 2025 that verifies; the long form has four more characters."""
    text = (fill * 52)[:52] + "JQQJ99" + "BD" + "A" * 12 + reserved + signature
    encoded = b64encode(base62_bytes(marvin32(b64decode(text), seed_of("Default0")).to_bytes(4, "little"))).decode()
    return text + (encoded if long_form else encoded[:4])


def entra_secret(fill: str) -> str:
    """A client secret of the `8Q~` kind that verifies, of 34 given characters."""
    body = f"{fill[:3]}8Q~{fill[3:34]}"
    return body + entra_checksum(body)
