"""An estate as a file that may be shown around: every value replaced by a token. The simulator reads it back.

A token tells two things of the value it stands for: which other places hold the same one, and its length class. Tokens
are made with the state folder's key, so that nobody else can try out guesses.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from migrator.model import App, Denial, Estate, Json, Part, Rights
from scanners.model import Fingerprinter, reveal
from scanners.sources import surface

SCHEMA = 1

_LENGTHS = ((8, 7), (16, 12), (32, 24), (64, 48), (128, 96), (256, 192), (1024, 640))
"""Bound of each length class (`scanners.model.length_class`) and the length of its tokens."""
_LONGEST = 1500
_SWEPT = 8
"""Shortest value that is also replaced inside other texts; shorter ones occur in words by chance."""
_WORD = re.compile(r"(?=[^\s]*\d)(?=[^\s]*[A-Za-z])[A-Za-z0-9+/=_.~-]{8,}")
"""A word of letters and digits, as long as values are."""
_STRUCTURE = ("id", "name", "type", "location", "vaultUri", "loginServer", "server", "environmentId", "scope")
"""Keys whose texts hold a document together: a value that occurs in one (a region, an app's name) is no secret there."""


class Tokens:
    """Replaces values by tokens, equal ones by equal ones."""

    def __init__(self, fingerprinter: Fingerprinter) -> None:
        """Use the key of `fingerprinter`."""
        self._key = hmac.new(fingerprinter.key, b"keylift snapshot", hashlib.sha256).digest()
        self.known: dict[str, str] = {}
        """Value -> token, of all values met so far."""

    def of(self, value: str) -> str:
        """The token of a value; an empty value stays empty, because empty ones behave in their own way."""
        if not value:
            return value
        if value not in self.known:
            length = next((tokens for bound, tokens in _LENGTHS if len(value) < bound), _LONGEST)
            text = hmac.new(self._key, value.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
            # a letter first, and no digest characters alone: neither a number nor a checksum of anything
            self.known[value] = ("t" + text * (length // len(text) + 1))[:length]
        return self.known[value]


def estate_document(
    estate: Estate, fingerprinter: Fingerprinter, tokens: Tokens | None = None, *, revisions: bool = False
) -> Json:
    """The estate in the form of docs/estate.md, without any value.

    Replaced are the values of app secrets, of env entries, of probe headers and of scale rules' metadata, commands and
    arguments, and what vault references resolve to; those that could be secrets also wherever else they occur.

    Args:
        estate: As read; with access and a vault read too, the document can be rehearsed on.
        fingerprinter: Whose key makes the tokens.
        tokens: Filled, for a caller that needs to know which value became which token.
        revisions: Take old revisions in, as far as they were read.
    """
    tokens = tokens or Tokens(fingerprinter)
    apps = [_app(app, tokens) for app in estate.workloads]
    if revisions:
        apps += [_revision(app, revision, tokens) for app in estate.workloads for revision in app.revisions]
    apps += [_part(part, tokens) for part in estate.parts]
    shown = {part.id.lower() for part in estate.parts}
    others = [
        *(
            resource.document
            for resource in (*estate.environments, *estate.identities, *estate.registries)
            if resource.id.lower() not in shown
        ),
        *(vault.document for vault in estate.vaults),
        *(app.auth for app in estate.apps if app.auth is not None),
    ]
    document: Json = {
        "schema": SCHEMA,
        "subscriptions": list(estate.subscriptions),
        "resources": [*(json.loads(json.dumps(other)) for other in others), *apps],
        "vaultSecrets": list(_vault_secrets(estate, tokens, fingerprinter)),
        "managementGroups": list(_management_groups(estate)),
        "groups": list(_groups(estate)),
        "roleDefinitions": [
            {
                "id": role.id,
                "roleName": role.name,
                "permissions": _blocks(role.blocks),
            }
            for role in estate.roles
        ],
        "denyAssignments": [
            {
                "name": denial.id.rsplit("/", 1)[-1],
                "scope": denial.scope,
                "denyAssignmentName": denial.name,
                "permissions": _blocks(denial.blocks),
                # those whom it reaches through a group that is not known are named beside it
                "principals": [_denied(denial, one) for one in sorted(denial.principals)],
                "excludePrincipals": [_denied(denial, one) for one in sorted(denial.spared)],
                "doNotApplyToChildScopes": not denial.below,
                **({"condition": denial.condition, "conditionVersion": "2.0"} if denial.condition else {}),
            }
            for denial in estate.denials
        ],
        "roleAssignments": list(_assignments(estate)),
        "locks": [
            {"id": lock.id, "name": lock.id.rsplit("/", 1)[-1], "level": lock.level, "scope": lock.scope}
            for lock in estate.locks
        ],
    }
    structure = "\n".join(_structure(document))
    values = [v for v in tokens.known if len(v) >= _SWEPT and not v.isalpha() and v not in structure]
    swept: Json = _sweep(document, sorted(values, key=len, reverse=True), tokens)
    return swept


def _blocks(blocks: Iterable[Rights]) -> list[Json]:
    return [
        {
            "actions": list(block.actions),
            "notActions": list(block.not_actions),
            "dataActions": list(block.data_actions),
            "notDataActions": list(block.not_data_actions),
        }
        for block in blocks
    ]


def _app(app: App, tokens: Tokens) -> Json:
    document: Json = json.loads(json.dumps(app.document))
    properties = document.setdefault("properties", {})
    configuration = properties.get("configuration")
    if isinstance(configuration, dict) and configuration.get("secrets"):
        configuration["secrets"] = [
            {"name": secret.name, "keyVaultUrl": secret.key_vault_url, "identity": secret.identity}
            if secret.key_vault_url
            # a value that could not be read becomes a token of its own, so that the app can still be loaded
            else {
                "name": secret.name,
                "value": tokens.of(reveal(secret.value) if secret.value is not None else f"{app.id}/{secret.name}"),
            }
            for secret in app.secrets
        ]
    _template(properties.get("template") or {}, tokens)
    _tags(document, tokens)
    event = (configuration or {}).get("eventTriggerConfig") or {}
    for rule in (event.get("scale") or {}).get("rules") or []:
        if isinstance(rule.get("metadata"), dict):
            rule["metadata"] = {k: _text(v, tokens, numbers=True) for k, v in rule["metadata"].items()}
    return document


def _part(part: Part, tokens: Tokens) -> Json:
    """A part with every value in a place of the surface replaced, those of its list action included."""
    document: Json = json.loads(json.dumps(part.document))
    values = {secret.name: secret.value for secret in part.secrets}
    for secret in (document.get("properties") or {}).get("secrets") or []:
        value = values.get(str(secret.get("name")))
        # one that could not be read becomes a token of its own, so that the component can still be loaded
        secret["value"] = tokens.of(reveal(value) if value is not None else f"{part.id}/{secret.get('name')}")
    for spot in surface.spots(part.document):
        if not spot.path.startswith("tags."):
            _put(document, spot.path, _text(spot.value, tokens, numbers=True))
    _tags(document, tokens)
    return document


def _put(document: Json, path: str, value: Any) -> None:
    *parents, last = re.findall(r"[^.\[\]]+|\[\d+\]", path)
    node: Any = document
    for step in parents:
        node = node[int(step[1:-1])] if step.startswith("[") else node[step]
    node[int(last[1:-1]) if last.startswith("[") else last] = value


def _revision(app: App, revision: Json, tokens: Tokens) -> Json:
    document: Json = json.loads(json.dumps(revision))
    document["id"] = f"{app.id}/{'executions' if app.job else 'revisions'}/{revision['name']}"
    document["type"] = "Microsoft.App/jobs/executions" if app.job else "Microsoft.App/containerApps/revisions"
    _template((document.get("properties") or {}).get("template") or {}, tokens)
    return document


def _template(template: Json, tokens: Tokens) -> None:
    for key in ("containers", "initContainers"):
        for container in template.get(key) or []:
            _container(container, tokens)
    for rule in (template.get("scale") or {}).get("rules") or []:
        for part in rule.values():
            metadata = part.get("metadata") if isinstance(part, dict) else None
            if isinstance(metadata, dict):
                part["metadata"] = {k: _text(v, tokens, numbers=True) for k, v in metadata.items()}


def _tags(document: Json, tokens: Tokens) -> None:
    """People put anything into tags: words that could be values go, and what else is written there stays readable."""
    for name, value in (document.get("tags") or {}).items():
        document["tags"][name] = _WORD.sub(lambda match: tokens.of(match[0]), str(value))


def _container(container: Json, tokens: Tokens) -> None:
    login, at, address = str(container.get("image") or "").rpartition("@")
    if at and "/" not in login:  # `user:password@server/name`, and not `name@sha256:…`
        user, _, password = login.partition(":")
        container["image"] = f"{user}:{tokens.of(password)}@{address}"
    for entry in container.get("env") or []:
        if entry.get("value") is not None:
            entry["value"] = tokens.of(str(entry["value"]))
    for key in ("command", "args"):
        if container.get(key):
            container[key] = [_text(word, tokens) for word in container[key]]
    for probe in container.get("probes") or []:
        for header in (probe.get("httpGet") or {}).get("httpHeaders") or []:
            if header.get("value") is not None:
                header["value"] = tokens.of(str(header["value"]))


def _text(value: Any, tokens: Tokens, *, numbers: bool = False) -> Any:
    """The token of a text; a scaler's thresholds are numbers in texts and have to stay such."""
    if not isinstance(value, str) or (numbers and value.isdigit() and len(value) < 6):
        return value
    return tokens.of(value)


def _vault_secrets(estate: Estate, tokens: Tokens, fingerprinter: Fingerprinter) -> Iterator[Json]:
    """What the apps' references resolve to, once for each vault secret; and what else is known of the vaults."""
    hosts = {urlsplit(vault.uri).netloc.lower(): vault for vault in estate.vaults}
    # a simulated vault answers to the name it would have in Azure too
    names = {vault.name.lower(): vault for vault in estate.vaults}
    done: set[tuple[str, str]] = set()
    for app in estate.workloads:
        for secret in app.secrets:
            parts = urlsplit(secret.key_vault_url or "")
            segments = parts.path.strip("/").split("/")
            vault = hosts.get(parts.netloc.lower()) or names.get(parts.netloc.lower().split(".")[0])
            if vault is None or secret.value is None or len(segments) < 2:
                continue
            key = (vault.id.lower(), segments[1].lower())
            if key not in done:
                done.add(key)
                yield {"vault": vault.name, "name": segments[1], "value": tokens.of(reveal(secret.value))}
    marks = {fingerprinter.of(value): token for value, token in tokens.known.items()}
    for vault in estate.vaults:
        for known in vault.secrets:
            if (vault.id.lower(), known.name.lower()) not in done:
                # its value was never kept: its fingerprint stands for it, unless an app has the same one
                mark = known.fingerprint or f"{vault.id}/{known.name}"
                value = marks.get(mark) or tokens.of(mark)
                entry: Json = {"vault": vault.name, "name": known.name, "value": value, "tags": dict(known.tags)}
                yield {**entry, "deleted": True} if known.deleted else {**entry, "enabled": known.enabled}


def _denied(denial: Denial, principal: str) -> Json:
    return {"id": principal, "type": "Group" if principal in denial.groups else "ServicePrincipal"}


def _management_groups(estate: Estate) -> Iterator[Json]:
    """Management groups at which something is assigned or denied, with the subscriptions that were seen below them."""
    below: dict[str, set[str]] = {}
    given = [(one.scope.rstrip("/"), one.within) for one in estate.assignments]
    for scope, within in (*given, *((one.scope.rstrip("/"), one.within) for one in estate.denials)):
        if "/managementgroups/" in scope.lower():
            below.setdefault(scope.rpartition("/")[2], set()).update(within)
    for name in sorted(below):
        yield {"name": name, "subscriptions": sorted(below[name])}


def _groups(estate: Estate) -> Iterator[Json]:
    """Groups that are named, with those of their members that are identities of the estate."""
    owners, known = _owners(estate), {group.id: group for group in estate.groups}
    named = {a.principal_id for a in estate.assignments if a.principal_type.lower() == "group"}
    named |= {one for denial in estate.denials for one in denial.groups}
    for group in sorted({*known, *named}):
        members = sorted(known[group].members) if group in known else []
        yield {"id": group, "members": [owners.get(member, member) for member in members]}


def _assignments(estate: Estate) -> Iterator[Json]:
    """Role assignments, their principals named by the resource that has them, else by object id."""
    owners = _owners(estate)
    known = {role.id for role in estate.roles}
    for assignment in estate.assignments:
        if assignment.role not in known:
            continue  # a role that could not be read says nothing to the simulator
        entry: Json = {
            "principal": owners.get(assignment.principal_id, assignment.principal_id),
            "principalType": assignment.principal_type,
            "role": assignment.role,
            "scope": assignment.scope,
            "name": assignment.id.rstrip("/").rsplit("/", 1)[-1],
        }
        if assignment.condition:
            entry |= {"condition": assignment.condition, "conditionVersion": "2.0"}
        yield entry


def _owners(estate: Estate) -> dict[str, str]:
    """Object id -> ARM id of the identity, or of the app whose system identity it is."""
    owners: dict[str, str] = {}
    for identity in estate.identities:
        principal = (identity.document.get("properties") or {}).get("principalId")
        if principal:
            owners[str(principal).lower()] = identity.id
    for app in estate.workloads:
        principal = (app.document.get("identity") or {}).get("principalId")
        if principal:
            owners[str(principal).lower()] = app.id
    return owners


def _structure(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, child in node.items():
            if key in _STRUCTURE and isinstance(child, str):
                yield child
            else:
                yield from _structure(child)
    elif isinstance(node, list):
        for child in node:
            yield from _structure(child)


def _sweep(node: Any, values: list[str], tokens: Tokens) -> Any:
    """The document with every one of the values replaced wherever it occurs in a text."""
    if isinstance(node, dict):
        return {key: _sweep(child, values, tokens) for key, child in node.items()}
    if isinstance(node, list):
        return [_sweep(child, values, tokens) for child in node]
    if isinstance(node, str):
        for value in values:
            if value in node:
                node = node.replace(value, tokens.known[value])
    return node
