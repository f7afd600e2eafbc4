"""Values that look like secrets and are published: the same in every copy of a sample, a kit or an emulator."""

from __future__ import annotations

try:
    # What hashlib gives, without loading OpenSSL for it, which takes the hook time.
    from _sha256 import sha256  # type: ignore[import-not-found] # `_sha2` from Python 3.12 on
except ImportError:
    try:
        from _sha2 import sha256  # type: ignore[import-not-found]
    except ImportError:
        from hashlib import sha256

EMULATOR_KEYS = (
    "Eby8vdM02x",  # Azurite's account key
    "C2y6yDjf5/R+",  # the Cosmos DB emulator's
    "I17GKLvcJUoss",  # with which Azurite signs for users
)
"""First characters of keys that ship with emulators: real, and worth nothing to a thief."""

# Keys of Google's own samples and kits that gitleaks, too, lets pass (config/gitleaks.toml, rule gcp-api-key), as the first
# 16 digits of their SHA-256: the values are public, but other scanners need not trip over this file. After them the hash of
# "password" that Laravel's user factory comes with, and in lower case: the ids and secrets that documentation uses (of
# UUIDs, OAuth, one-time passwords, AWS, Stripe, captchas, Dapr's workshop), digests of nothing, Grafana's default key.
_PUBLIC = frozenset(
    """
    2037abcaffb2b777 27a9a42931dff7eb 37f8f09bdf12c2f2 3a8b61d0f636b007 3f370c9dd8225c63 49f777db995e8260
    4c98242dcadc8b29 8731261cb72d8626 a19f89ab3555eac1 a6c814bc555ae62c dc0fcf046c61640c e4a5542bb7fd7b67
    ea9bb1082cf95663 eb540d2b6ee2a0a4
    eeff4d1bcd7b6841
    a3a9e1ed9732cab2 986c0dc956dc822b a64ed54f0b45945b 28b106228dd4bd82 cd372fb85148700f f215faf9d88b7f0a
    07e23ede2756aa3f 9b4d1fe07ab0b901 e5855ff48799c52c 8f400c257611ed5d 5c28b2022dca14af 6316e01c9e1d33de
    70775e630d40625a 414b0f60b0b31da2 5029ac078774af82
    c7aa09cd25da8b6a fc6e109e3927c811 b8597163e9bbf920
    34f894167d82e237 c5e14f1270ccf7e8 13e091b2098dfe55 0f1a4cf6f786a8e9 01eefb2a86129c68
    """.split()  # noqa: SIM905 - a list of digests reads best as a block
)


def published(value: str) -> bool:
    """Whether a value is known to be public."""
    return not _PUBLIC.isdisjoint(sha256(text.encode()).hexdigest()[:16] for text in {value, value.lower()})


def emulator(value: str) -> bool:
    """Whether a value is, or holds, the key of an emulator."""
    return any(key in value for key in EMULATOR_KEYS)
