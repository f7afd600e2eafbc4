"""The data plane of container registries: the token exchange and the OCI distribution API, to pull and to push.

Tables: `registry-tokens` (token -> {"registry", "kind": `refresh` | `access`, "principal" | "user", "access", "expires"}),
`registry-content` (lower-case registry id -> {"blobs": {digest: base64}, "manifests": {repository: {digest: media type}},
"tags": {repository: {tag: digest}}}). Uploads under way lie in memory only.

Flow: Azure/acr, docs/AAD-OAuth.md and docs/Token-BasicAuth.md (CORRECTIONS, section 9); the API is the OCI distribution
specification 1.1 as far as clients use it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
from typing import TYPE_CHECKING, Any

from migrator.simulator import rbac
from migrator.simulator import registry_shapes as shapes
from migrator.simulator.providers import registries
from migrator.simulator.wire import AzureError, Json, Response

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure, Call

PLANE = "registry"
PUSH = "Microsoft.ContainerRegistry/registries/push/write"
WRITE = "Microsoft.ContainerRegistry/registries/repositories/content/write"
ACCESS_SECONDS, REFRESH_SECONDS = 75 * 60.0, 3 * 3600.0
"""How long tokens are good for (docs/AAD-OAuth.md)."""
_SCOPE = re.compile(r"repository:([a-z0-9][a-z0-9._/-]*):([a-z_,*]+)")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MANIFEST_LIMIT = 4 * 1024 * 1024


def register(azure: Azure) -> None:
    """Add the operations; what they need is checked here, because it is not a token of Entra."""
    uploads: dict[str, bytearray] = {}

    def add(method: str, template: str, handler: Any) -> None:
        azure.route(PLANE, method, template, handler, public=True, write=False)

    add("POST", "/oauth2/exchange", _exchange)
    add("POST", "/oauth2/token", _token)
    add("GET", "/oauth2/token", _token)
    add("GET", "/v2", _base)
    for method in ("GET", "HEAD"):
        add(method, "/v2/{repository:path}/manifests/{reference}", _get_manifest)
        add(method, "/v2/{repository:path}/blobs/{digest}", _get_blob)
    add("PUT", "/v2/{repository:path}/manifests/{reference}", _put_manifest)
    add("GET", "/v2/{repository:path}/tags/list", _tags)
    add("POST", "/v2/{repository:path}/blobs/uploads", lambda call: _begin(call, uploads))
    add("PATCH", "/v2/{repository:path}/blobs/uploads/{upload}", lambda call: _more(call, uploads))
    add("PUT", "/v2/{repository:path}/blobs/uploads/{upload}", lambda call: _finish(call, uploads))


class _RegistryError(AzureError):
    """A refusal in the form of the distribution specification."""

    def response(self) -> Response:
        body = {"errors": [{"code": self.code, "message": self.message, **self.extra}]}
        return Response(self.status, body, dict(self.headers))


def _registry(call: Call) -> Json:
    found = registries.find(call.azure, call.plane.partition(":")[2])
    if found is None:
        raise _RegistryError(404, "NAME_UNKNOWN", "the registry is gone")
    return found


def _content(call: Call, registry: Json) -> Json:
    table = call.world.table("registry-content")
    found: Json = table.setdefault(str(registry["id"]).lower(), {"blobs": {}, "manifests": {}, "tags": {}})
    return found


# Tokens


def _exchange(call: Call) -> Response:
    """A token of Entra for a refresh token of the registry."""
    registry, form = _registry(call), call.request.form()
    if form.get("grant_type") != "access_token":
        raise _RegistryError(400, "UNSUPPORTED", "grant_type has to be access_token here")
    issued = call.world.table("tokens").get(form.get("access_token", ""))
    by_arm = (registry["properties"].get("policies") or {}).get("azureADAuthenticationAsArmPolicy") or {}
    taken = {"registry"} if str(by_arm.get("status") or "enabled").lower() == "disabled" else {"registry", "management"}
    if issued is None or issued["expires"] <= call.now or issued["audience"] not in taken:
        raise _RegistryError(401, "UNAUTHORIZED", "authentication required", detail=None)
    if form.get("service") not in _services(call, registry):
        raise _RegistryError(400, "UNSUPPORTED", "service is not this registry")
    entry = {"kind": "refresh", "principal": issued["principal"]}
    return Response(200, {"refresh_token": _issue(call, registry, entry, REFRESH_SECONDS)})


def _token(call: Call) -> Response:
    """An access token for scopes: by a refresh token, or for a user with a password."""
    registry = _registry(call)
    form = call.request.form() if call.request.method == "POST" else dict(call.request.query)
    if form.get("service") not in _services(call, registry):
        raise _RegistryError(400, "UNSUPPORTED", "service is not this registry")
    if call.request.method == "POST" and form.get("grant_type") == "refresh_token":
        known = _known(call, registry, form.get("refresh_token", ""), "refresh")
        who = {"principal": known["principal"]} if known else None
    elif call.request.method == "POST" and form.get("grant_type") == "password":
        who = _user(call, registry, form.get("username", ""), form.get("password", ""))
    else:
        who = _basic(call, registry)
    if who is None:
        raise _RegistryError(401, "UNAUTHORIZED", "authentication required", detail=None)
    granted = []
    for repository, actions in _SCOPE.findall(form.get("scope", "")):
        allowed = [action for action in actions.split(",") if _may(call, registry, who, repository, action)]
        if allowed:
            granted.append([repository, allowed])
    token = _issue(call, registry, {"kind": "access", **who, "access": granted}, ACCESS_SECONDS)
    return Response(200, {"access_token": token})


def _services(call: Call, registry: Json) -> set[str]:
    return {call.request.host, str(registry["properties"]["loginServer"]).lower()}


def _issue(call: Call, registry: Json, entry: Json, seconds: float) -> str:
    """A token that looks like a JWT, because clients read its end; unguessable by its signature."""
    import time

    table, now = call.world.table("registry-tokens"), call.now
    for old in [known for known, kept in table.items() if kept["expires"] <= now]:
        del table[old]
    wall = int(time.time())
    claims = {"iss": "Azure Container Registry", "aud": call.request.host, "iat": wall, "nbf": wall}
    claims |= {"exp": wall + max(60, int(call.azure.clock.to_wall(seconds))), "grant_type": entry["kind"]}
    parts = [json.dumps(part).encode() for part in ({"typ": "JWT", "alg": "RS256"}, claims)]
    token = ".".join(_coded(part) for part in (*parts, secrets.token_bytes(32)))
    table[token] = {**entry, "registry": str(registry["id"]).lower(), "expires": now + seconds}
    return token


def _coded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _known(call: Call, registry: Json, token: str, kind: str) -> Json | None:
    found: Json | None = call.world.table("registry-tokens").get(token)
    if found is None or found["kind"] != kind or found["expires"] <= call.now:
        return None
    return found if found["registry"] == str(registry["id"]).lower() else None


def _user(call: Call, registry: Json, name: str, password: str) -> Json | None:
    """The admin user, a token of the registry, or the all-zero name with a refresh token."""
    if name == "00000000-0000-0000-0000-000000000000":
        known = _known(call, registry, password, "refresh")
        return {"principal": known["principal"]} if known else None
    refused = registries.may_pull(
        call.azure, str(registry["properties"]["loginServer"]), username=name, password=password
    )
    anonymous = registry["properties"].get("anonymousPullEnabled")
    return {"user": name} if name and refused is None and not anonymous else None


def _basic(call: Call, registry: Json) -> Json | None:
    scheme, _, coded = call.request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return {"user": ""} if registry["properties"].get("anonymousPullEnabled") else None
    try:
        name, _, password = base64.b64decode(coded, validate=True).decode().partition(":")
    except (ValueError, binascii.Error):
        return None
    return _user(call, registry, name, password)


def _may(call: Call, registry: Json, who: Json, repository: str, action: str) -> bool:
    if "user" in who:
        return bool(who["user"]) or action == "pull"
    scope = str(registry["id"])
    if action not in {"pull", "push"}:
        return False
    if registry["properties"].get("roleAssignmentMode") == shapes.ABAC:
        facts = {"microsoft.containerregistry/registries/repositories:name": repository}
        data = registries.READ if action == "pull" else WRITE
        return rbac.allowed(call.azure, who["principal"], data, scope, data=True, facts=facts)
    return rbac.allowed(call.azure, who["principal"], registries.PULL if action == "pull" else PUSH, scope)


def _require(call: Call, action: str) -> tuple[Json, str]:
    """The registry and the repository asked for, once the caller may do it.

    Raises:
        AzureError: 401 with the challenge.
    """
    registry, repository = _registry(call), call.params["repository"].lower()
    scheme, _, token = call.request.headers.get("authorization", "").partition(" ")
    allowed = False
    if scheme.lower() == "bearer":
        known = _known(call, registry, token.strip(), "access")
        allowed = known is not None and any(name == repository and action in may for name, may in known["access"])
    elif scheme.lower() == "basic":
        who = _basic(call, registry)
        allowed = who is not None and _may(call, registry, who, repository, action)
    if not allowed:
        scope = f"repository:{repository}:{action if action == 'pull' else 'pull,push'}"
        raise _challenge(call, scope, invalid=bool(token))
    return registry, repository


def _challenge(call: Call, scope: str, *, invalid: bool) -> AzureError:
    value = f'Bearer realm="{call.request.origin}/oauth2/token",service="{call.request.host}"'
    value += f',scope="{scope}"' if scope else ""
    value += ',error="invalid_token"' if invalid else ""
    message = "authentication required, visit https://aka.ms/acr/authorization for more information."
    return _RegistryError(401, "UNAUTHORIZED", message, headers={"Www-Authenticate": value}, detail=None)


# Pulling


def _base(call: Call) -> Response:
    registry = _registry(call)
    scheme, _, token = call.request.headers.get("authorization", "").partition(" ")
    known = _known(call, registry, token.strip(), "access") if scheme.lower() == "bearer" else _basic(call, registry)
    if known is None or not scheme:
        raise _challenge(call, "", invalid=bool(token))
    return Response(200, {}, {"Docker-Distribution-Api-Version": "registry/2.0"})


def _get_manifest(call: Call) -> Response:
    registry, repository = _require(call, "pull")
    content, reference = _content(call, registry), call.params["reference"]
    digest = content["tags"].get(repository, {}).get(reference, reference)
    kind = content["manifests"].get(repository, {}).get(digest)
    if kind is None:
        text = f'manifest tagged by "{reference}" is not found'
        raise _RegistryError(404, "MANIFEST_UNKNOWN", text, detail={"Name": repository})
    data = base64.b64decode(content["blobs"][digest])
    return Response(200, data, {"content-type": kind, "Docker-Content-Digest": digest})


def _get_blob(call: Call) -> Response:
    registry, _ = _require(call, "pull")
    digest = call.params["digest"].lower()
    stored = _content(call, registry)["blobs"].get(digest)
    if stored is None:
        raise _RegistryError(404, "BLOB_UNKNOWN", "blob unknown to registry", detail=digest)
    data = base64.b64decode(stored)
    headers = {"content-type": "application/octet-stream", "Docker-Content-Digest": digest, "Accept-Ranges": "bytes"}
    begin = re.fullmatch(r"bytes=(\d+)-", call.request.headers.get("range", ""))
    if begin is None:
        return Response(200, data, headers)
    start = int(begin[1])
    if start >= len(data):
        return Response(416, None, {"Content-Range": f"bytes */{len(data)}"})
    return Response(206, data[start:], {**headers, "Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"})


def _tags(call: Call) -> Response:
    registry, repository = _require(call, "pull")
    tags = _content(call, registry)["tags"].get(repository)
    if tags is None:
        raise _RegistryError(404, "NAME_UNKNOWN", "repository name not known to registry", detail={"name": repository})
    return Response(200, {"name": repository, "tags": sorted(tags)})


# Pushing


def _begin(call: Call, uploads: dict[str, bytearray]) -> Response:
    _, repository = _require(call, "push")
    name = secrets.token_hex(16)
    uploads[name] = bytearray()
    return Response(202, None, _where(repository, name, 0))


def _where(repository: str, upload: str, size: int) -> dict[str, str]:
    return {
        "Location": f"/v2/{repository}/blobs/uploads/{upload}",
        "Docker-Upload-UUID": upload,
        "Range": f"0-{max(0, size - 1)}",
    }


def _upload(call: Call, uploads: dict[str, bytearray]) -> bytearray:
    found = uploads.get(call.params["upload"])
    if found is None:
        raise _RegistryError(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
    return found


def _more(call: Call, uploads: dict[str, bytearray]) -> Response:
    _, repository = _require(call, "push")
    held = _upload(call, uploads)
    held += call.request.body
    return Response(202, None, _where(repository, call.params["upload"], len(held)))


def _finish(call: Call, uploads: dict[str, bytearray]) -> Response:
    registry, repository = _require(call, "push")
    held = _upload(call, uploads)
    held += call.request.body
    told = call.request.query.get("digest", "")
    data = bytes(uploads.pop(call.params["upload"]))
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    if not _DIGEST.fullmatch(told) or not hmac.compare_digest(told, digest):
        raise _RegistryError(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
    _content(call, registry)["blobs"][digest] = base64.b64encode(data).decode()
    return Response(201, None, {"Location": f"/v2/{repository}/blobs/{digest}", "Docker-Content-Digest": digest})


def _put_manifest(call: Call) -> Response:
    registry, repository = _require(call, "push")
    content, reference, data = _content(call, registry), call.params["reference"], call.request.body
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    try:
        said = json.loads(data) if len(data) <= _MANIFEST_LIMIT else None
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise _RegistryError(400, "MANIFEST_INVALID", "manifest invalid")
    if ":" in reference and reference != digest:
        raise _RegistryError(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
    named = [said.get("config"), *(said.get("layers") or []), *(said.get("manifests") or [])]
    for entry in named:
        wanted = entry.get("digest") if isinstance(entry, dict) else None
        if wanted is not None and wanted not in content["blobs"]:
            raise _RegistryError(
                400, "MANIFEST_BLOB_UNKNOWN", "manifest references a blob unknown to the registry", detail=wanted
            )
    kind = call.request.headers.get("content-type") or str(said.get("mediaType") or "")
    content["blobs"][digest] = base64.b64encode(data).decode()
    content["manifests"].setdefault(repository, {})[digest] = kind
    if ":" not in reference:
        content["tags"].setdefault(repository, {})[reference] = digest
    return Response(201, None, {"Location": f"/v2/{repository}/manifests/{digest}", "Docker-Content-Digest": digest})
