from __future__ import annotations

import json
from typing import Any

import pytest
from azure.core.exceptions import DecodeError, ServiceRequestError, ServiceResponseError

from migrator.cloud import failures
from migrator.errors import CloudError, DeniedError, NotFoundError, ReferenceRefusedError


def body(code: str, message: str = "", **more: Any) -> str:
    return json.dumps({"error": {"code": code, "message": message, **more}})


def vault(inner: str) -> str:
    return body(
        "Forbidden" if inner != "ObjectIsDeletedButRecoverable" else "Conflict", "m", innererror={"code": inner}
    )


REFERENCE = (
    "The following field(s) are either invalid or missing. Field 'configuration.secrets' is invalid with details: "
    '\'Invalid value: "db": Unable to get value using Managed identity system for secret db. Error: unable to fetch '
    "secret 'db' using Managed identity 'system'';."
)


@pytest.mark.parametrize(
    ("status", "text", "kind", "code", "transient"),
    [
        (404, body("ResourceNotFound"), NotFoundError, "ResourceNotFound", False),
        (404, body("SecretNotFound"), NotFoundError, "SecretNotFound", False),
        (403, body("AuthorizationFailed"), DeniedError, "AuthorizationFailed", False),
        (401, body("ExpiredAuthenticationToken"), DeniedError, "ExpiredAuthenticationToken", False),
        (409, body("ScopeLocked"), DeniedError, "ScopeLocked", False),
        (403, body("RequestDisallowedByPolicy"), DeniedError, "RequestDisallowedByPolicy", False),
        (409, body("ContainerAppOperationInProgress"), CloudError, "ContainerAppOperationInProgress", True),
        (
            409,
            body("Conflict", innererror={"code": "ObjectIsBeingRecovered"}),
            CloudError,
            "ObjectIsBeingRecovered",
            True,
        ),
        (409, vault("ObjectIsDeletedButRecoverable"), CloudError, "ObjectIsDeletedButRecoverable", False),
        (403, vault("ForbiddenByRbac"), DeniedError, "ForbiddenByRbac", False),
        (403, vault("ForbiddenByFirewall"), DeniedError, "ForbiddenByFirewall", False),
        (403, vault("SecretDisabled"), DeniedError, "SecretDisabled", False),
        (400, body("InvalidParameterValueInContainerTemplate", REFERENCE), ReferenceRefusedError, None, True),
        (400, body("InvalidParameterValueInContainerTemplate", "Field 'image' is invalid"), CloudError, None, False),
        (400, body("PrincipalNotFound"), CloudError, "PrincipalNotFound", True),
        (400, body("ContainerAppSecretInvalid"), CloudError, "ContainerAppSecretInvalid", False),
        (429, body("429"), CloudError, "429", True),
        (412, "", CloudError, "412", True),
        (503, "<html>", CloudError, "503", True),
        (400, json.dumps({"code": "Bare", "message": "as in 2022"}), CloudError, "Bare", False),
        (400, "[]", CloudError, "400", False),
    ],
)
def test_answers_become_our_errors(status: int, text: str, kind: type, code: str | None, transient: bool) -> None:
    error = failures.of_response(status, text, "do it")
    assert type(error) is kind
    assert code is None or error.code == code
    assert error.transient is transient
    assert error.status == status
    assert error.what == "could not do it"
    assert error.hint


def test_a_missing_right_names_role_and_scope() -> None:
    text = body(
        "AuthorizationFailed",
        "The client 'c' with object id 'o' does not have authorization to perform action "
        "'Microsoft.App/containerApps/listSecrets/action' over scope '/subscriptions/s/resourceGroups/g/providers/"
        "Microsoft.App/containerApps/a' or the scope is invalid.",
    )
    hint = failures.of_response(403, text, "list").hint
    assert '--role "Container Apps Contributor"' in hint
    assert hint.endswith("--scope /subscriptions/s/resourceGroups/g/providers/Microsoft.App/containerApps/a")


def test_of_a_linked_refusal_the_second_right_is_named() -> None:
    text = body(
        "LinkedAuthorizationFailed",
        "The client 'c' has permission to perform action 'Microsoft.App/containerApps/write' on scope '/a'; however, it "
        "does not have permission to perform action 'Microsoft.ManagedIdentity/userAssignedIdentities/assign/action' on "
        "the linked scope(s) '/subscriptions/s/id' or the linked scope(s) are invalid.",
    )
    hint = failures.of_response(403, text, "change").hint
    assert "Managed Identity Operator" in hint
    assert hint.endswith("/subscriptions/s/id")


def test_a_lock_and_a_policy_are_named() -> None:
    locked = "The scope '/x' cannot perform write operation because following scope(s) are locked: '/subscriptions/s/resourceGroups/g'."
    assert "--resource-group g" in failures.of_response(409, body("ScopeLocked", locked), "x").hint
    policy = 'Resource \'a\' was disallowed by policy. Policy identifiers: \'[{"policyAssignment":{"id":"/subscriptions/s/providers/Microsoft.Authorization/policyAssignments/no-plain"}}]\'.'
    assert (
        "policyAssignments/no-plain" in failures.of_response(403, body("RequestDisallowedByPolicy", policy), "x").hint
    )


def test_an_unregistered_provider_is_never_registered_but_named() -> None:
    text = body(
        "MissingSubscriptionRegistration",
        "The subscription is not registered to use namespace 'Microsoft.App'. See https://aka.ms/rps-not-found",
    )
    assert "--namespace Microsoft.App" in failures.of_response(409, text, "x").hint


def test_values_that_azure_repeats_are_taken_out() -> None:
    sent = {
        "properties": {"template": {"containers": [{"env": [{"name": "A", "value": 'pa"ss\\word'}]}]}, "value": "other"}
    }
    values = list(failures.strings_under_value(sent))
    assert values == ['pa"ss\\word', "other"]
    text = body("Bad", f"Invalid value {json.dumps(values[0])} and {values[0]} near other")
    why = failures.of_response(400, text, "x", values).why
    assert "ss" not in why.replace("<secret>", "")
    assert "other" not in why


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DecodeError("x"), failures.TRUNCATED),
        (ServiceRequestError("Failed to resolve 'kv.vault.azure.net'"), failures.UNREACHABLE),
        (ServiceResponseError("reset"), failures.LOST),
    ],
)
def test_broken_connections_are_passing(error: Any, code: str) -> None:
    ours = failures.translate(error, "read")
    assert ours.code == code
    assert ours.transient


def test_a_failed_operation_tells_why() -> None:
    document = {"status": "Failed", "error": {"code": "ContainerAppOperationError", "message": "Failed to provision x"}}
    error = failures.of_operation(document, "change the app")
    assert error.code == "ContainerAppOperationError"
    assert "Failed to provision x" in error.why
    refused = {"status": "Failed", "error": {"code": "ContainerAppOperationError", "message": REFERENCE}}
    assert isinstance(failures.of_operation(refused, "change"), ReferenceRefusedError)
