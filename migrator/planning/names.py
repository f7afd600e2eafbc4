"""Names of vault secrets, app secrets and identities: derived, legal, unique. The originals go into tags."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable

VAULT_NAME_LIMIT = 127
"""Of `0-9a-zA-Z-` (learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates)."""
APP_SECRET_LIMIT = 63
"""The shorter of the limits that Azure's error texts of different years name (container-apps-deploy-action#116)."""
IDENTITY_LIMIT = 128


def digest(*parts: str, length: int = 6) -> str:
    """A short mark that tells names apart. Takes names and ids, never a value."""
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:length]


def shortened(name: str, limit: int) -> str:
    """`name`, or its beginning and a mark of the whole where it is too long."""
    if len(name) <= limit:
        return name
    return f"{name[: limit - 9].rstrip('-')}-{digest(name, length=8)}"


def vault_secret(template: str, *, app: str, name: str, group: str) -> str:
    """The vault secret's name by a template: lower case, everything but letters and digits becomes a dash."""
    plain = template.format(app=app, name=name, group=group)
    return shortened(_dashed(plain) or f"secret-{digest(plain)}", VAULT_NAME_LIMIT)


def app_secret(env: str, taken: Collection[str]) -> str:
    """The app secret's name for an env variable; a mark is added when another secret has the name."""
    name = shortened(_dashed(env) or f"env-{digest(env)}", APP_SECRET_LIMIT)
    if name not in taken:
        return name
    for length in range(4, 33):
        marked = f"{name[: APP_SECRET_LIMIT - length - 1].rstrip('-')}-{digest(env, length=length)}"
        if marked not in taken:
            return marked
    raise AssertionError("sixteen bytes of a digest are taken")


def identity(app: str, app_id: str, taken: Collection[str]) -> str:
    """The identity's name for an app; a mark is added when somebody else's identity has the name."""
    name = f"id-{app}"
    if name.lower() not in taken:
        return name
    for length in range(6, 33):
        marked = f"{name[: IDENTITY_LIMIT - length - 1]}-{digest(app_id.lower(), length=length)}"
        if marked.lower() not in taken:
            return marked
    raise AssertionError("sixteen bytes of a digest are taken")


def common(names: Iterable[str]) -> str:
    """One name for several: the most frequent, of those the shortest, of those the first."""
    plain = [_dashed(name) or name for name in names]
    return min(set(plain), key=lambda name: (-plain.count(name), len(name), name))


def _dashed(text: str) -> str:
    return re.sub(r"[^0-9a-z]+", "-", text.lower()).strip("-")
