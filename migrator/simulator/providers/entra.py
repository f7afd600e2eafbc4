"""Microsoft Entra: discovery, client-credential tokens, and the managed-identity endpoints of VMs and Container Apps.

Token answers and errors as documented in learn.microsoft.com/entra/identity-platform (v2-oauth2-client-creds-grant-flow,
reference-error-codes) and learn.microsoft.com/azure/container-apps/managed-identity (REST endpoint reference).

Tables: `credential` ({"secret": str}: one client secret for every principal, made for the run), `tokens` (token ->
{"principal", "audience", "resource", "expires": virtual moment}), `identity-headers` (X-IDENTITY-HEADER -> ARM id).
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from migrator.simulator import memberships, principals
from migrator.simulator.wire import AzureError, Json, Request, Response

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure, Call

PLANE = "entra"

PATHS = (
    r"/[^/]+/(oauth2|v2\.0|\.well-known|discovery)(/|$)"
    r"|/metadata/identity/|/msi/token/?$"
)
"""Which paths of the shared origin are Entra's and not Resource Manager's (matched at the start, without case)."""

MANAGEMENT_HOSTS = {
    "management.azure.com",
    "management.core.windows.net",
    "management.chinacloudapi.cn",
    "management.core.chinacloudapi.cn",
    "management.usgovcloudapi.net",
    "management.core.usgovcloudapi.net",
}
VAULT_HOSTS = {"vault.azure.net", "vault.azure.cn", "vault.usgovcloudapi.net"}
REGISTRY_HOSTS = {"containerregistry.azure.net", "containerregistry.azure.cn", "containerregistry.azure.us"}


def register(azure: Azure) -> None:
    """Add the operations of the sign-in plane; none of them needs a token."""

    def add(method: str, template: str, handler: Any) -> None:
        azure.route(PLANE, method, template, handler, public=True, write=False)

    add("GET", "/common/discovery/instance", _instance)
    for prefix in ("/{tenant}/v2.0", "/{tenant}"):
        add("GET", f"{prefix}/.well-known/openid-configuration", _configuration)
    add("GET", "/{tenant}/discovery/v2.0/keys", _keys)
    add("GET", "/{tenant}/discovery/keys", _keys)
    add("POST", "/{tenant}/oauth2/v2.0/token", _token)
    add("POST", "/{tenant}/oauth2/token", _token)
    add("GET", "/metadata/identity/oauth2/token", _imds)
    add("GET", "/msi/token", _container_apps)


def client_secret(azure: Azure) -> str:
    """The secret that signs in every principal of the estate by its client id; made on first use."""
    table = azure.world.table("credential")
    if "secret" not in table:
        table["secret"] = secrets.token_urlsafe(32)
    return str(table["secret"])


def identity_header(azure: Azure, resource: str) -> str:
    """What the app `resource` sends as `X-IDENTITY-HEADER` (the IDENTITY_HEADER of its containers)."""
    table = azure.world.table("identity-headers")
    for header, known in table.items():
        if known == resource.lower():
            return str(header)
    header = secrets.token_hex(16)
    table[header] = resource.lower()
    return header


def audience_of(azure: Azure, resource: str) -> str:
    """Which plane a token for `resource` opens: `management`, `vault`, `registry` or `other`."""
    host = urlsplit(resource if "//" in resource else f"https://{resource}").netloc.lower()
    own = {urlsplit(azure.origins[plane]).netloc for plane in ("arm", PLANE) if plane in azure.origins}
    if host in MANAGEMENT_HOSTS | own:
        return "management"
    plane = azure.plane_at(host) or ""
    if host in VAULT_HOSTS or plane.startswith("vault:"):
        return "vault"
    if host in REGISTRY_HOSTS or plane.startswith("registry:"):
        return "registry"
    return "other"


def issue(azure: Azure, principal: Json, resource: str) -> tuple[str, float]:
    """A new access token and the wall seconds it is good for.

    The token looks like a JWT, because az and the SDKs read its claims; its signature is a random number, so that it
    cannot be guessed. Its times are the wall's, since the clients that read them have ordinary clocks.
    """
    world, now = azure.world, azure.clock.now()
    lifetime = azure.switches.token_lifetime
    seconds = azure.clock.to_wall(lifetime)
    started = int(time.time())
    claims = {
        "aud": resource,
        "iss": f"https://sts.windows.net/{world.tenant}/",
        "iat": started,
        "nbf": started,
        "exp": started + max(1, int(seconds)),
        "appid": principal["clientId"],
        "appidacr": "1",
        "idp": f"https://sts.windows.net/{world.tenant}/",
        "idtyp": "app",
        "oid": principal["id"],
        "sub": principal["id"],
        "tid": world.tenant,
        "ver": "1.0",
        **({"xms_mirid": principal["resource"]} if principal["resource"] else {}),
    }
    parts = [json.dumps(part, separators=(",", ":")).encode() for part in ({"typ": "JWT", "alg": "RS256"}, claims)]
    token = ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (*parts, secrets.token_bytes(32)))
    table = world.table("tokens")
    for old in [known for known, entry in table.items() if entry["expires"] <= now]:
        del table[old]
    table[token] = {
        "principal": principal["id"],
        "audience": audience_of(azure, resource),
        "resource": resource,
        "expires": now + lifetime,
    }
    return token, seconds


# Discovery


def _instance(call: Call) -> Response:
    asked = urlsplit(call.request.query.get("authorization_endpoint", ""))
    tenant = unquote(asked.path).strip("/").partition("/")[0] or "common"
    host = call.request.host
    return Response(
        200,
        {
            "tenant_discovery_endpoint": f"{call.request.origin}/{tenant}/v2.0/.well-known/openid-configuration",
            "api-version": call.version or "1.1",
            "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
        },
    )


def _configuration(call: Call) -> Response:
    tenant = _tenant(call)
    base = f"{call.request.origin}/{tenant}"
    version = "/v2.0" if "/v2.0/" in call.request.path.lower() else ""
    return Response(
        200,
        {
            "token_endpoint": f"{base}/oauth2{version}/token",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            "jwks_uri": f"{base}/discovery{version}/keys",
            "response_modes_supported": ["query", "fragment", "form_post"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "issuer": f"{base}{version}",
            "authorization_endpoint": f"{base}/oauth2{version}/authorize",
            "device_authorization_endpoint": f"{base}/oauth2{version}/devicecode",
            "end_session_endpoint": f"{base}/oauth2{version}/logout",
            "tenant_region_scope": "EU",
            "cloud_instance_name": call.request.host,
        },
    )


def _keys(_call: Call) -> Response:
    # tokens here carry no verifiable signature: who checks one asks the plane that it is for
    return Response(200, {"keys": []})


# Client credentials


def _token(call: Call) -> Response:
    tenant = _tenant(call)
    form = call.request.form()
    grant = _field(call, form, "grant_type")
    if grant != "client_credentials":
        raise refusal(
            call,
            400,
            "unsupported_grant_type",
            70003,
            f"The app requested an unsupported grant type '{grant}'.",
        )
    client, secret = _credentials(call, form)
    principal = principals.by_client(call.azure, client)
    if principal is None or principal["clientId"] != client.lower() or principal["kind"] == memberships.KIND:
        raise refusal(
            call,
            400,
            "unauthorized_client",
            700016,
            f"Application with identifier '{client}' was not found in the directory '{tenant}'. This can happen if the "
            "application has not been installed by the administrator of the tenant or consented to by any user in the "
            "tenant. You may have sent your authentication request to the wrong tenant.",
        )
    if not hmac.compare_digest(secret.encode(), client_secret(call.azure).encode()):
        raise refusal(
            call,
            401,
            "invalid_client",
            7000215,
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, "
            f"not the client secret ID, for a secret added to app '{client}'.",
        )
    second = "/v2.0/" in call.request.path.lower()
    resource = _resource_of_scope(call, form) if second else _field(call, form, "resource")
    token, seconds = issue(call.azure, principal, resource)
    answer: Json = {"token_type": "Bearer", "expires_in": max(1, int(seconds)), "access_token": token}
    answer["ext_expires_in"] = answer["expires_in"]
    if not second:  # v1 writes numbers as strings
        started = int(time.time())
        answer |= {
            "expires_in": str(answer["expires_in"]),
            "ext_expires_in": str(answer["expires_in"]),
            "expires_on": str(started + int(answer["expires_in"])),
            "not_before": str(started),
            "resource": resource,
        }
    return Response(200, answer, {"cache-control": "no-store, no-cache", "pragma": "no-cache"})


def _tenant(call: Call) -> str:
    tenant = call.params["tenant"]
    if tenant.lower() not in {call.world.tenant, "common", "organizations"}:
        raise refusal(
            call,
            400,
            "invalid_tenant" if call.request.method == "GET" else "invalid_request",
            90002,
            f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the "
            "correct cloud. Check with your subscription administrator, this may happen if there are no active "
            "subscriptions for the tenant.",
        )
    return tenant


def _field(call: Call, form: dict[str, str], name: str) -> str:
    if not form.get(name):
        raise refusal(
            call,
            400,
            "invalid_request",
            900144,
            f"The request body must contain the following parameter: '{name}'.",
        )
    return form[name]


def _credentials(call: Call, form: dict[str, str]) -> tuple[str, str]:
    scheme, _, encoded = call.request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            client, _, secret = base64.b64decode(encoded).decode().partition(":")
        except ValueError:
            client, secret = "", ""
        return unquote(client), unquote(secret)
    client = _field(call, form, "client_id")
    if form.get("client_assertion"):
        raise refusal(
            call,
            401,
            "invalid_client",
            700213,
            "No matching federated identity record found for presented assertion subject. Please check your federated "
            "identity credential Subject, Audience and Issuer against the presented assertion.",
        )
    if not form.get("client_secret"):
        raise refusal(
            call,
            401,
            "invalid_client",
            7000216,
            "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.",
        )
    return client, form["client_secret"]


def _resource_of_scope(call: Call, form: dict[str, str]) -> str:
    scopes = [s for s in _field(call, form, "scope").split() if s not in {"openid", "profile", "offline_access"}]
    if len(scopes) != 1 or not scopes[0].endswith("/.default"):
        raise refusal(
            call,
            400,
            "invalid_scope",
            1002012,
            f"The provided value for scope {form['scope']} is not valid. Client credential flows must have a scope "
            "value with /.default suffixed to the resource identifier (application ID URI).",
        )
    return scopes[0].removesuffix("/.default")


def refusal(call: Call, status: int, error: str, code: int, message: str) -> EntraError:
    """An error of the sign-in endpoint, with its AADSTS code."""
    world, stamp = call.world, time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
    trace = world.guid("trace", str(call.now))
    correlation = call.request.headers.get("client-request-id") or trace
    return EntraError(
        status,
        error,
        {
            "error": error,
            "error_description": f"AADSTS{code}: {message} Trace ID: {trace} Correlation ID: {correlation} "
            f"Timestamp: {stamp}",
            "error_codes": [code],
            "timestamp": stamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"{call.request.origin}/error?code={code}",
        },
    )


class EntraError(AzureError):
    """A refusal in the form of RFC 6749, section 5.2, which is not the form of Resource Manager."""

    def __init__(self, status: int, code: str, body: Json) -> None:
        """Keep the whole body."""
        super().__init__(status, code, str(body.get("error_description", "")))
        self.body = body

    def response(self) -> Response:
        """The body as it stands."""
        return Response(self.status, self.body, dict(self.headers))


# Managed identities


def _imds(call: Call) -> Response:
    """The endpoint of virtual machines. Whose machine is asking is not known here, so the identity must be named."""
    if call.request.headers.get("metadata", "").lower() != "true":
        raise _imds_error("invalid_request", "Required metadata header not specified")
    resource = call.request.query.get("resource")
    if not resource:
        raise _imds_error("invalid_request", "Required query variable 'resource' is missing")
    principal = _named(call.azure, call.request)
    if principal is None:
        raise _imds_error("invalid_request", "Identity not found")
    if principal is _UNNAMED:
        raise _imds_error(
            "invalid_request",
            "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the "
            "token request",
        )
    token, seconds = issue(call.azure, principal, resource)
    started = int(time.time())
    return Response(
        200,
        {
            "access_token": token,
            "client_id": principal["clientId"],
            "expires_in": str(max(1, int(seconds))),
            "expires_on": str(started + max(1, int(seconds))),
            "ext_expires_in": str(max(1, int(seconds))),
            "not_before": str(started),
            "resource": resource,
            "token_type": "Bearer",
        },
    )


def _imds_error(error: str, description: str) -> EntraError:
    return EntraError(400, error, {"error": error, "error_description": description})


def _container_apps(call: Call) -> Response:
    """The endpoint in a container of Container Apps: only identities of the app that is asking (ACA#442)."""
    azure, query = call.azure, call.request.query
    app = azure.world.table("identity-headers").get(call.request.headers.get("x-identity-header", ""))
    document = azure.world.resources.get(app) if app else None
    if document is None:
        raise EntraError(
            401,
            "Unauthorized",
            {"statusCode": 401, "message": "The X-IDENTITY-HEADER is missing or wrong.", "correlationId": ""},
        )
    resource = query.get("resource")
    if not resource or query.get("api-version") != "2019-08-01":
        raise _app_error("Bad request: 'resource' and api-version 2019-08-01 are required.")
    principal = _named(azure, call.request)
    if principal is _UNNAMED:
        # none named is the system identity, never the only user-assigned one
        principal = principals.of_resource(azure, str(app))
        if principal is None:
            raise _app_error("Unable to load the proper Managed Identity.")
    attached = {key.lower() for key in ((document.get("identity") or {}).get("userAssignedIdentities") or {})}
    if principal is None or principal["resource"].lower() not in attached | {str(app)}:
        raise _app_error(
            "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId."
        )
    token, seconds = issue(azure, principal, resource)
    return Response(
        200,
        {
            "access_token": token,
            "expires_on": str(int(time.time()) + max(1, int(seconds))),
            "resource": resource,
            "token_type": "Bearer",
            "client_id": principal["clientId"],
        },
    )


def _app_error(message: str) -> EntraError:
    return EntraError(400, "BadRequest", {"statusCode": 400, "message": message, "correlationId": ""})


_UNNAMED: Json = {}


def _named(azure: Azure, request: Request) -> Json | None:
    """The managed identity that the query names; `_UNNAMED` if it names none, None if that one is not there."""
    query = request.query
    resource = query.get("mi_res_id") or query.get("msi_res_id")
    named = query.get("client_id") or query.get("object_id") or query.get("principal_id")
    if not resource and not named:
        return _UNNAMED
    found = principals.of_resource(azure, resource) if resource else principals.by_client(azure, named or "")
    return found if found and found["kind"] in {"user-assigned", "system"} else None
