"""Turns what the Azure libraries raise into this project's errors: what happened, why, the way out, worth a retry or not.

The raised error never carries the library's own as its cause: those hold requests and answers, and with them values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from azure.core.exceptions import (
    AzureError,
    DecodeError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from migrator.errors import CloudError, DeniedError, NotFoundError, ReferenceRefusedError
from scanners.model import REDACTED

TRUNCATED = "AnswerIncomplete"
"""Our code for an answer that broke off or did not parse."""
UNREACHABLE = "ConnectionFailed"
"""Our code for a request that never arrived."""
LOST = "ConnectionLost"
"""Our code for a request whose answer never came: it may have been carried out."""

BUSY = frozenset(
    {
        "ContainerAppOperationInProgress",
        "ContainerAppsJobOperationInProgress",
        "ContainerAppLockConflict",
        "MaintenanceConfigurationLockConflict",
        "ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity",
        "AnotherOperationInProgress",
        "ObjectIsBeingRecovered",
        "ObjectIsBeingDeleted",
        "ObjectIsBeingCreated",
    }
)
"""Conflicts that pass by themselves (FACTS 10.2, 5.2)."""

_ROLES = {
    "microsoft.app/containerapps/": "Container Apps Contributor",
    "microsoft.app/managedenvironments/": "Container Apps ManagedEnvironments Contributor",
    "microsoft.managedidentity/userassignedidentities/assign/": "Managed Identity Operator",
    "microsoft.managedidentity/": "Managed Identity Contributor",
    "microsoft.authorization/roleassignments/": "Role Based Access Control Administrator",
    "microsoft.keyvault/vaults/secrets/": "Key Vault Secrets Officer",
    "microsoft.keyvault/": "Key Vault Reader",
    "microsoft.containerregistry/": "Reader",
}
"""Smallest common built-in role that holds the actions below a prefix; reads need `Reader` only."""

_VAULT = {
    "ForbiddenByRbac": (
        "your account has no role at this vault that allows it",
        'az role assignment create --role "Key Vault Secrets Officer" --assignee YOU --scope VAULT_ID',
    ),
    "AccessDenied": (
        "the vault decides by access policies, and none allows it",
        "az keyvault set-policy --name VAULT --object-id YOUR_OBJECT_ID --secret-permissions get list set",
    ),
    "ForbiddenByFirewall": (
        "the vault's firewall does not let this machine in",
        "run keylift from an allowed network, or let somebody add it: az keyvault network-rule add --name VAULT",
    ),
    "ForbiddenByConnection": (
        "the vault refuses public access and this machine has no private link to it",
        "run keylift from the vault's network: az keyvault show --name VAULT --query properties.publicNetworkAccess",
    ),
    "SecretDisabled": (
        "the secret's newest version is disabled",
        "enable it or choose another name: az keyvault secret set-attributes --vault-name VAULT --name NAME --enabled true",
    ),
    "ObjectIsDeletedButRecoverable": (
        "a soft-deleted secret occupies the name",
        "recover it, purge it or choose another name: az keyvault secret recover --vault-name VAULT --name NAME",
    ),
}
"""Inner code of a vault's refusal -> why, way out. Only the inner code decides (CORRECTIONS, section 5)."""


def translate(error: AzureError, doing: str, values: Iterable[str] = ()) -> CloudError:
    """The project's error for one of the Azure libraries.

    Args:
        error: What was raised.
        doing: What was being done, as the rest of "could not ...".
        values: Strings that must not show up in the message: Azure repeats parts of a body that it refuses.
    """
    if isinstance(error, DecodeError):
        return CloudError(
            f"could not {doing}",
            why="the answer broke off or was no JSON",
            hint="run the command again",
            code=TRUNCATED,
            transient=True,
        )
    if isinstance(error, HttpResponseError) and error.response is not None:
        return of_response(int(error.status_code or 0), _text(error.response), doing, values)
    inner = str(error.inner_exception or error)
    if isinstance(error, ServiceRequestError):
        return CloudError(
            f"could not {doing}",
            why=f"no connection: {_reason(inner)}",
            hint="check the network and the proxy settings (HTTPS_PROXY, NO_PROXY), then run the command again",
            code=UNREACHABLE,
            transient=True,
        )
    if isinstance(error, ServiceResponseError):
        return CloudError(
            f"could not {doing}",
            why="the connection broke before the answer came",
            hint="run the command again",
            code=LOST,
            transient=True,
        )
    return CloudError(
        f"could not {doing}",
        why=f"{type(error).__name__} of the Azure library",
        hint="run the command again with -v",
        transient=False,
    )


def of_response(status: int, text: str, doing: str, values: Iterable[str] = ()) -> CloudError:
    """The project's error for an answer with an error status."""
    code, message, inner, extra = _parts(text)
    message = scrub(message, values)
    outer, code = code, inner or code or str(status)
    what = f"could not {doing}"
    if status == 401:
        return DeniedError(
            what,
            why=message or "Azure does not accept the token",
            hint="sign in again: az login",
            code=code,
            status=401,
        )
    if code in BUSY or outer in BUSY:
        return CloudError(
            what,
            why=message or "another operation is in progress",
            hint="wait until it has ended, then run the command again",
            code=code,
            status=status,
            transient=True,
        )
    if code in _VAULT:
        why, hint = _VAULT[code]
        kind = CloudError if status == 409 else DeniedError
        return kind(what, why=why, hint=hint, code=code, status=status)
    if status == 404:
        return NotFoundError(
            what,
            why=message or "it is not there",
            hint="check the name and the subscription: az resource list --name NAME",
            code=code,
            status=404,
        )
    if status == 403 or code in {"ScopeLocked", "RequestDisallowedByPolicy", "DenyAssignmentAuthorizationFailed"}:
        return _denied(status, code, message, what, extra)
    if status == 400 and _reference(code, message):
        return ReferenceRefusedError(
            what,
            why=message,
            hint="check that the identity may read the secret: keylift access --app NAME",
            code=code,
            status=status,
            transient=True,
        )
    if status == 429:
        return CloudError(
            what,
            why="Azure is throttling: " + (message or "too many requests"),
            hint="wait a minute, then run the command again",
            code=code,
            status=429,
            transient=True,
        )
    if status in {408, 412} or status >= 500:
        return CloudError(
            what,
            why=message or f"Azure answered {status}",
            hint="run the command again; if it stays so: https://azure.status.microsoft",
            code=code,
            status=status,
            transient=True,
        )
    if code == "PrincipalNotFound":
        return CloudError(
            what,
            why="the new identity is not yet known to the role service",
            hint="wait a minute, then run the command again",
            code=code,
            status=status,
            transient=True,
        )
    if code == "MissingSubscriptionRegistration":
        found = re.search(r"namespace '([\w.]+)'", message)
        return CloudError(
            what,
            why=message,
            hint=f"register the provider: az provider register --namespace {found[1] if found else 'NAMESPACE'}",
            code=code,
            status=status,
        )
    return CloudError(
        what,
        why=f"{code}: {message}" if message else f"Azure answered {status} {code}",
        hint="mend what the message names, then run the command again",
        code=code,
        status=status,
    )


def foreign_vault(doing: str) -> DeniedError:
    """The project's error for a vault that asks for tokens of another domain than its own: none is given."""
    return DeniedError(
        f"could not {doing}",
        why="the vault asks for a token of another service than its address belongs to",
        hint="check which cloud is meant: --cloud public|china|usgov|PROFILE.json",
        code="ForeignChallenge",
    )


def of_operation(document: dict[str, Any], doing: str, values: Iterable[str] = ()) -> CloudError:
    """The project's error for an operation that ended badly; a failed status carries `error` (seen, not recorded)."""
    error = document.get("error") or (document.get("properties") or {}).get("error") or {}
    code = str(error.get("code") or document.get("status") or "OperationFailed")
    message = scrub(str(error.get("message") or ""), values)
    if _reference(code, message):
        return ReferenceRefusedError(
            f"could not {doing}",
            why=message,
            hint="check that the identity may read the secret: keylift access --app NAME",
            code=code,
            transient=True,
        )
    return CloudError(
        f"could not {doing}",
        why=f"the operation ended as {document.get('status', 'Failed')}" + (f": {code}: {message}" if message else ""),
        hint="look at the app's system log: az containerapp logs show --name NAME --resource-group GROUP --type system",
        code=code,
    )


def strings_under_value(body: Any) -> Iterator[str]:
    """Every text that a body carries under a key `value`, at any depth: what Azure must not repeat to the screen."""
    if isinstance(body, dict):
        for key, child in body.items():
            if key == "value" and isinstance(child, str):
                yield child
            else:
                yield from strings_under_value(child)
    elif isinstance(body, list):
        for child in body:
            yield from strings_under_value(child)


def scrub(message: str, values: Iterable[str]) -> str:
    """The message without the values, longest first, so that no part of one is left."""
    for value in sorted({v for v in values if len(v) >= 4}, key=len, reverse=True):
        for form in (value, json.dumps(value)[1:-1]):
            message = message.replace(form, REDACTED)
    return message


def _text(response: Any) -> str:
    try:
        return str(response.text())
    except Exception:  # noqa: BLE001 - a body that cannot be read says nothing, whatever the reason
        return ""


def _parts(text: str) -> tuple[str, str, str, dict[str, Any]]:
    """Code, message, inner code and the error object of a body: `{"error": {...}}`, or bare as in 2022 (TRAFFIC 8)."""
    try:
        document = json.loads(text)
    except ValueError:
        return "", "", "", {}
    node = document.get("error", document) if isinstance(document, dict) else {}
    if isinstance(node, str):  # Entra's and some gateways' form
        return node, str(document.get("error_description", "")), "", {}
    if not isinstance(node, dict):
        return "", "", "", {}
    inner = node.get("innererror") or {}
    return (
        str(node.get("code") or ""),
        str(node.get("message") or ""),
        str(inner.get("code") or "") if isinstance(inner, dict) else "",
        node,
    )


def _reference(code: str, message: str) -> bool:
    """Whether an error says that a vault reference did not resolve; other template errors share the code."""
    low = message.lower()
    return code in {"InvalidParameterValueInContainerTemplate", "ContainerAppOperationError", "OperationFailed"} and (
        "unable to get value using managed identity" in low or "unable to fetch secret" in low
    )


def _denied(status: int, code: str, message: str, what: str, extra: dict[str, Any]) -> DeniedError:
    hint = "ask an owner of the resource for the right"
    if code == "ScopeLocked":
        found = re.search(r"locked: '([^']+)'", message)
        scope = found[1] if found else "SCOPE"
        hint = f"let somebody lift the lock, then run the command again: az lock list --resource {scope}"
        if scope.count("/") <= 4:
            hint = "let somebody lift the lock, then run the command again: az lock list" + (
                f" --resource-group {scope.split('/')[4]}" if scope.count("/") == 4 else ""
            )
    elif code == "RequestDisallowedByPolicy":
        hint = "ask who owns the policy for an exemption: " + ", ".join(
            _policies(message, extra) or ["az policy assignment list"]
        )
    elif code == "DenyAssignmentAuthorizationFailed":
        hint = "a deny assignment (a deployment stack or a managed application) forbids it: change it there"
    else:
        # of a linked refusal the second action is the missing one
        actions = re.findall(r"perform action '([^']+)'", message)
        scopes = re.findall(r"scope(?:\(s\))? '([^']+)'", message)
        if actions and scopes:
            role = role_for(actions[-1])
            hint = f'az role assignment create --role "{role}" --assignee YOU --scope {scopes[-1]}'
        elif code == "Forbidden":
            hint = _VAULT["ForbiddenByRbac"][1]
    return DeniedError(what, why=message or f"Azure answered {status} {code}", hint=hint, code=code, status=status)


def role_for(action: str) -> str:
    """The smallest common built-in role that holds an action."""
    low = action.lower()
    if low.endswith("/read"):
        return "Reader"
    return next((role for prefix, role in _ROLES.items() if low.startswith(prefix)), "Contributor")


def _policies(message: str, extra: dict[str, Any]) -> list[str]:
    """Ids of the policy assignments that forbade a request; they stand in the message, in `additionalInfo`, or both."""
    text = message + json.dumps(extra.get("additionalInfo") or [])
    found = re.findall(r"/[\w/.-]+?/policyAssignments/[\w.-]+", text, re.IGNORECASE)
    return sorted(set(found))


def _reason(text: str) -> str:
    """A connection's failure in few words: the libraries nest several into one long line."""
    low = text.lower()
    if "name or service not known" in low or "failed to resolve" in low or "nodename nor servname" in low:
        found = re.search(r"host='([^']+)'", text)
        return f"the name {found[1] if found else 'of the host'} does not resolve"
    if "certificate verify failed" in low:
        return "the server's certificate is not trusted"
    if "connection refused" in low:
        return "connection refused"
    if "timed out" in low:
        return "timed out"
    return text.rsplit("(", 1)[0].strip()[:200] or "unknown"
