"""Who is signed in, as the token for Resource Manager tells it. The token itself goes nowhere."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

from migrator.cloud.session import Session
from migrator.model import Json

CLIENTS = {
    "04b07795-8ddb-461a-bbee-02f9e1bf7b46": "Azure CLI",
    "1950a258-227b-4e31-a9cf-717495945fc2": "Azure PowerShell",
    "aebc6443-996d-45c2-90f0-388ff96faa56": "Visual Studio Code",
}
"""Public client ids of Microsoft's own tools (learn.microsoft.com/troubleshoot/entra/entra-id/governance/
verify-first-party-apps-sign-in)."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whoever is signed in."""

    name: str
    """User principal name, or the application's client id."""
    kind: str
    """`user`, `service principal` or `managed identity`."""
    how: str
    """What signed in, as far as the token tells."""
    tenant: str
    object_id: str


def account(session: Session) -> Account:
    """The account of a session.

    Raises:
        SignInError: no credential works.
    """
    claims = _claims(session.tokens.get_token_info(session.profile.scope).token)
    app = str(claims.get("appid") or claims.get("azp") or "")
    user = str(claims.get("upn") or claims.get("unique_name") or claims.get("preferred_username") or "")
    managed = bool(claims.get("xms_mirid"))
    kind = "user" if user else "managed identity" if managed else "service principal"
    how = CLIENTS.get(app.lower(), "managed identity" if managed else "client secret or certificate")
    if user and app.lower() not in CLIENTS:
        how = f"application {app}" if app else "not told by the token"
    return Account(user or app or "unknown", kind, how, str(claims.get("tid") or ""), str(claims.get("oid") or ""))


def _claims(token: str) -> Json:
    """The claims of a token in JWT form; none for an opaque one."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        found = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
