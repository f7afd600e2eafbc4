"""Values that look like secrets and are published: the same in every copy of a sample, a kit or an emulator."""

from __future__ import annotations

from hashlib import sha256

EMULATOR_KEYS = (
    "Eby8vdM02x",  # Azurite's account key
    "C2y6yDjf5/R+",  # the Cosmos DB emulator's
    "I17GKLvcJUoss",  # with which Azurite signs for users
)
"""First characters of keys that ship with emulators: real, and worth nothing to a thief."""

# Keys of Google's own samples and kits that gitleaks, too, lets pass (config/gitleaks.toml, rule gcp-api-key), as the first
# 16 digits of their SHA-256: the values are public, but other scanners need not trip over this file. The last line is the
# hash of "password" that Laravel's user factory comes with.
_PUBLIC = frozenset(
    """
    2037abcaffb2b777 27a9a42931dff7eb 37f8f09bdf12c2f2 3a8b61d0f636b007 3f370c9dd8225c63 49f777db995e8260
    4c98242dcadc8b29 8731261cb72d8626 a19f89ab3555eac1 a6c814bc555ae62c dc0fcf046c61640c e4a5542bb7fd7b67
    ea9bb1082cf95663 eb540d2b6ee2a0a4
    eeff4d1bcd7b6841
    """.split()  # noqa: SIM905 - a list of digests reads best as a block
)


def published(value: str) -> bool:
    """Whether a value is known to be public."""
    return sha256(value.encode()).hexdigest()[:16] in _PUBLIC


def emulator(value: str) -> bool:
    """Whether a value is, or holds, the key of an emulator."""
    return any(key in value for key in EMULATOR_KEYS)
