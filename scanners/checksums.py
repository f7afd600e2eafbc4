"""Offline proof that a key is what it looks like: the checksums that Azure builds into its own keys.

Layouts and seeds: microsoft/security-utilities (MIT), `IdentifiableMetadata.cs` and `IdentifiableSecrets.cs`. A rule names
one of `CHECKS`; a value that verifies is reported as `verified: "checksum"`, one that does not is still reported, with
less confidence, because a mistyped key and an unknown seed look the same.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple
from zlib import crc32

_MASK = 0xFFFFFFFF
_DEFAULT_SEED = "Default0"
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ENTRA_ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ1234567890.-_~"


class Proof(NamedTuple):
    """A value verified."""

    detail: str | None
    """What the value's checksum says of it (a right, a kind); None when it says no more than that it is genuine."""


Check = Callable[[str], Proof | None]


def marvin64(data: bytes, seed: int) -> int:
    """Marvin32's full 64-bit result: the high word in the upper half."""
    low, high = seed & _MASK, seed >> 32
    whole = len(data) & ~3
    for start in range(0, whole, 4):
        low = (low + int.from_bytes(data[start : start + 4], "little")) & _MASK
        low, high = _mix(low, high)
    low = (low + int.from_bytes(data[whole:] + b"\x80", "little")) & _MASK
    low, high = _mix(low, high)
    low, high = _mix(low, high)
    return high << 32 | low


def marvin32(data: bytes, seed: int) -> int:
    """The 32-bit hash: high word XOR low word."""
    result = marvin64(data, seed)
    return result >> 32 ^ result & _MASK


def _mix(low: int, high: int) -> tuple[int, int]:
    high ^= low
    low = (low << 20 | low >> 12) & _MASK
    low = (low + high) & _MASK
    high = (high << 9 | high >> 23) & _MASK
    high ^= low
    low = (low << 27 | low >> 5) & _MASK
    low = (low + high) & _MASK
    high = (high << 19 | high >> 13) & _MASK
    return low, high


def seed_of(name: str) -> int:
    """The seed that an eight-character name stands for."""
    return int.from_bytes(name.encode("ascii"), "big")


def _decoded(text: str) -> bytes | None:
    """Bytes of base64 in either alphabet, with or without padding."""
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (Base64Error, ValueError):
        return None


def _identifiable(signature: str, seeds: Mapping[str, str | None]) -> Check:
    """A check of HIS v1 keys: four characters of signature, then the Marvin32 hash of all bytes before the last four."""

    def check(value: str) -> Proof | None:
        if value.rstrip("=")[-10:-6] != signature or (data := _decoded(value)) is None:
            return None
        told = int.from_bytes(data[-4:], "little")
        for seed, meaning in seeds.items():
            if marvin32(data[:-4], seed_of(seed)) == told:
                return Proof(meaning)
        return None

    return check


def _messaging(signature: str, service: str) -> Check:
    """Service Bus, Event Hubs and Relay share their seeds: the right that the key's policy gives."""
    return _identifiable(
        signature,
        {
            "Manage00": f"{service} key with Manage right",
            "Send0000": f"{service} key with Send right",
            "Listen00": f"{service} key with Listen right",
            "System00": f"{service} system key",
            "Unknown0": f"{service} key, right not told",
        },
    )


CASK_SERVICES: Mapping[str, str] = MappingProxyType(
    {
        "AZAC": "App Configuration key",
        "AZFR": "Fluid Relay key",
        "AZEG": "Event Grid key",
        "AZDO": "Azure DevOps personal access token",
        "AZMR": "Mixed Reality key",
        "AZMP": "Azure Maps key",
        "AZCS": "Communication Services key",
        "ACOG": "Azure AI services key",
        "msql": "Azure SQL key",
    }
)
"""Provider signatures of common annotated keys."""

COGNITIVE_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "AAAA": "Azure AI services key",
        "AAAB": "Azure OpenAI key",
        "AAAE": "Cognitive Services key",
        "AAAF": "Computer Vision key",
        "AAAH": "Content Safety key",
        "AAAK": "Face key",
        "AAAL": "Form Recognizer key",
    }
)
"""What the four reserved characters of an `ACOG` key say."""


def _cask(value: str) -> Proof | None:
    """Common annotated keys, legacy form: Marvin32 of the first 60 bytes, cut to three bytes (long form: four)."""
    text = value.rstrip("=")
    data = _decoded(text)
    if data is None or len(data) not in (63, 64):
        return None
    checksum = marvin32(data[:60], seed_of(_DEFAULT_SEED)).to_bytes(4, "little")
    kept = len(data) - 60
    if data[60:] not in (checksum[:kept], base62_bytes(checksum)[:kept]):
        return None
    provider, reserved = text[76:80], text[72:76]
    if provider == "ACOG":
        return Proof(COGNITIVE_KINDS.get(reserved, CASK_SERVICES["ACOG"]))
    return Proof(CASK_SERVICES.get(provider))


def base62_bytes(checksum: bytes) -> bytes:
    """The checksum written in base 62, filled up with zeros to six characters, and those read as base64."""
    zeros = min(len(checksum) - len(checksum.lstrip(b"\0")), len(checksum) - 1)
    number = int.from_bytes(checksum, "big")
    digits = ""
    while number:
        number, digit = divmod(number, 62)
        digits = _BASE62[digit] + digits
    return b64decode(("0" * zeros + (digits or "0")).ljust(6, "0") + "==")


def _entra(value: str) -> Proof | None:
    """Client secrets with `8Q~`: the first three of six characters that encode the hash; `7Q~` carries none."""
    if value[3:6] != "8Q~":
        return None
    return Proof("Entra application client secret") if value[-3:] == entra_checksum(value[:-3]) else None


def entra_checksum(body: str) -> str:
    """The three characters that end a client secret."""
    number, text = marvin32(body.encode(), seed_of("AadPwd00")), ""
    for _ in range(6):
        number, digit = divmod(number, len(_ENTRA_ALPHABET))
        text = _ENTRA_ALPHABET[digit] + text
    return text[:3]


def _github(value: str) -> Proof | None:
    """Tokens with a four-character prefix: CRC-32 of the random part in base 62 as the last six characters.

    Source: GitHub's engineering blog, "Behind GitHub's new authentication token formats".
    """
    return Proof(None) if len(value) > 10 and value[-6:] == base62_crc(value[4:-6]) else None


def base62_crc(text: str) -> str:
    """CRC-32 of a text as six base-62 characters, as GitHub and npm write it."""
    number, digits = crc32(text.encode()), ""
    while number:
        number, digit = divmod(number, 62)
        digits = _BASE62[digit] + digits
    return digits.rjust(6, "0")


CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "storage": _identifiable("+ASt", {_DEFAULT_SEED: "Storage account access key"}),
        "cosmos": _identifiable(
            "ACDb",
            {
                "MastRW00": "Cosmos DB read-write account key",
                "MastRO00": "Cosmos DB read-only account key",
                "Resour00": "Cosmos DB resource key",
                "SysAll00": "Cosmos DB system key",
                "SystRW00": "Cosmos DB read-write system key",
                "SystRO00": "Cosmos DB read-only system key",
                "Encryp00": "Cosmos DB data encryption key",
            },
        ),
        "batch": _identifiable("+ABa", {"AbAcct00": "Batch account key"}),
        "ml-classic": _identifiable("+AMC", {"Classic0": "Machine Learning classic web service key"}),
        "api-management": _identifiable(
            "APIM",
            {
                "Tenant00": "API Management direct management key",
                "IoTHub00": "API Management subscription key",
                "Gateway0": "API Management gateway key",
                "GitKey00": "API Management repository key",
            },
        ),
        "service-bus": _messaging("+ASb", "Service Bus"),
        "event-hubs": _messaging("+AEh", "Event Hubs"),
        "relay": _messaging("+ARm", "Relay"),
        "iot": _identifiable(
            "AIoT",
            {
                "IoTHub00": "IoT Hub key",
                "DpsKey00": "IoT Device Provisioning Service key",
                "Device00": "IoT device key",
            },
        ),
        "redis": _identifiable("AzCa", {"Access00": "Azure Cache for Redis access key"}),
        # Upstream's AzureEventGridIdentifiableKey names the common seed.
        "event-grid": _identifiable("AZEG", {_DEFAULT_SEED: "Event Grid access key"}),
        "container-registry": _identifiable("+ACR", {"ACRDflt0": "Container Registry admin password"}),
        "search": _identifiable("AzSe", {"Query000": "AI Search query key", "PAdmin00": "AI Search admin key"}),
        "functions": _identifiable(
            "AzFu",
            {
                "Functi00": "Functions function key",
                "Master00": "Functions host master key",
                "System00": "Functions system key",
            },
        ),
        "cask": _cask,
        "entra": _entra,
        "github": _github,
    }
)
"""Every check a rule may name."""


def verify(name: str, value: str) -> Proof | None:
    """What check `name` says of `value`; None when its checksum does not hold.

    Raises:
        KeyError: no such check.
    """
    return CHECKS[name](value)
