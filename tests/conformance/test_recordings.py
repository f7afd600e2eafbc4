"""Recorded interactions of Key Vault, its data plane, registries and roles give the same shapes, statuses and headers.

Every recorded session (one cassette) is replayed in order in a cloud of its own, on the recorded clock. What a session
presupposes (it began before the part that was kept) is planted from the session's own answers. Nothing is compared by
value but what a reader decides by (`recorded.SAME`), as ids, times and secrets are the recording's own.
"""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from migrator.simulator import principals, rbac, vault_store
from migrator.simulator.azure import Azure
from migrator.simulator.clock import Clock
from migrator.simulator.providers import registries, vaults
from migrator.simulator.wire import Request, Response
from migrator.simulator.world import World

from .recorded import SHARED, Interaction, compare, interaction, recordings

FOLDERS = ("microsoft.authorization", "microsoft.keyvault", "vault-dataplane", "microsoft.containerregistry")
UNSUPPORTED = {
    r"vault\.azure\.net/(keys|certificates|storage)": "keys, certificates and storage accounts of a vault",
    r"/secrets/([^/]+/backup|restore)": "backup: the blob would be worth nothing elsewhere",
    r"/registries/[^/]+/(webhooks|replications|builds?|buildTasks|runs)\b": "children of a registry",
    r"/registries/[^/]+/(listBuildSourceUploadUrl|getBuildSourceUploadUrl|scheduleRun|queueBuild)": "image builds",
    r"/registries/[^/]+/listUsages": "usages of a registry",
    r"Microsoft\.(KeyVault/operations|Authorization/providerOperations)": "lists of a provider's operations",
    r"Microsoft\.ContainerRegistry/.*api-version=201[78]": "registry versions before 2019",
}
"""What is not simulated, by a pattern of the URL."""
APART = {
    "vault-dataplane/0205": "vaults without soft delete, which can no longer be made",
    "microsoft.containerregistry/0103": "an answer of 2019 that later ones at the same version contradict (policies)",
}

COUNTED = {
    "matched": 103,
    "children of a registry": 69,
    "registry versions before 2019": 14,
    "keys, certificates and storage accounts of a vault": 12,
    "image builds": 8,
    "backup: the blob would be worth nothing elsewhere": 4,
    "lists of a provider's operations": 3,
    "usages of a registry": 2,
    **dict.fromkeys(APART.values(), 1),
}


@lru_cache
def _sessions() -> dict[str, list[Interaction]]:
    sessions: dict[str, list[Interaction]] = {}
    for folder in FOLDERS:
        for path in sorted((SHARED / "azure" / "recordings" / folder).glob("*.json")):
            one = interaction(path)
            sessions.setdefault(f"{folder}: {one.source}", []).append(one)
    return {name: sorted(found, key=lambda one: one.position) for name, found in sessions.items()}


def _unsupported(one: Interaction) -> str | None:
    if one.status == 401:
        return None
    apart = APART.get(f"{one.folder}/{one.number}")
    return apart or next((why for pattern, why in UNSUPPORTED.items() if re.search(pattern, one.url)), None)


class Replay:
    """One session in a cloud of its own."""

    def __init__(self, session: list[Interaction]) -> None:
        self.session = session
        self.azure = Azure(World(), Clock(speed=0.0, start=session[0].moment - 60))
        self.operator = principals.operator(self.azure)["id"]
        # recorded name in a URL -> ours: versions, operations
        self.names: dict[str, str] = {}
        self.next_link = ""
        deletion = max((self._took(one) for one in session), default=0.0)
        self.azure.switches.secret_deletion = deletion or 10.0

    def _took(self, one: Interaction) -> float:
        """How long a deletion or recovery was still under way, after the request that began it."""
        begun = [o.moment for o in self.session if o.method in {"DELETE", "POST"} and o.moment <= one.moment]
        waiting = one.method == "GET" and one.status in {202, 404}
        return one.moment - begun[-1] + 1 if waiting and begun else 0.0

    def run(self) -> dict[str, list[str]]:
        """Differences by interaction."""
        return {one.name: self._one(one) for one in self.session if _unsupported(one) is None}

    def _one(self, one: Interaction) -> list[str]:
        azure = self.azure
        azure.clock.advance(max(0.0, one.moment - azure.clock.now()))
        self._seed(one)
        response = self._ask(one)
        if isinstance(response.body, dict):
            self.next_link = response.body.get("nextLink") or self.next_link
            self._learn(one.answer, response.body)
        if "location" in one.headers:
            self.names[_last(one.headers["location"])] = _last(response.headers["Location"])
        return compare(one, response.status, response.headers, response.body)

    def _learn(self, recorded: Any, given: Any) -> None:
        if isinstance(recorded, dict) and isinstance(recorded.get("id"), str) and isinstance(given.get("id"), str):
            self.names[_last(recorded["id"])] = _last(given["id"])

    def _ask(self, one: Interaction) -> Response:
        url = one.url
        for recorded, ours in self.names.items():
            url = url.replace(f"/{recorded}", f"/{ours}")
        url = re.sub(r"(?<=\$skiptoken=).*", lambda _: self.next_link.rpartition("$skiptoken=")[2], url)
        plane, audience = "arm", "management"
        if ".vault.azure.net" in url:
            plane, audience = f"vault:{self._vault(url)['id']}".lower(), "vault"
        self.azure.world.table("tokens")[audience] = {
            "principal": self.operator,
            "audience": audience,
            "resource": audience,
            "expires": self.azure.clock.now() + 3600,
        }
        headers = {"Content-Type": "application/json"}
        if one.status != 401:
            headers["Authorization"] = f"Bearer {audience}"
        request = Request.of(one.method, url, headers)
        # a token may hold `;` and `,`, so that parse_qsl of the whole is not asked to guess
        request.query = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
        if one.body == "mock_body":
            body: Any = {"properties": one.answer["properties"]}
        else:
            body = one.body
        request.body = b"" if body is None else json.dumps(body).encode()
        return self.azure.handle(plane, request)

    # What a session presupposes

    def _seed(self, one: Interaction) -> None:
        if ".vault.azure.net" in one.url:
            self._seed_secret(one)
            return
        for path in re.findall(
            r"/subscriptions/[^/\"]+/resourceGroups/[^/\"?]+", f"{one.url} {one.answer}", re.IGNORECASE
        ):
            self._group(path.replace("'", ""))
        found = re.search(r"/subscriptions/([^/?]+)", one.url)
        if found:
            self._subscription(found[1])
        path = unquote(urlsplit(one.url).path)
        if "microsoft.keyvault" in path.lower():
            self._seed_vault(one, path)
        elif "microsoft.containerregistry" in path.lower():
            self._seed_registry(one, path)
        elif one.method != "DELETE":
            self._seed_role(one)

    def _subscription(self, identifier: str) -> None:
        table = self.azure.world.table("subscriptions")
        if identifier.lower() not in table:
            tenant = self.azure.world.tenant
            table[identifier.lower()] = {"id": identifier, "displayName": identifier, "tenantId": tenant}
            self._grant("Owner", f"/subscriptions/{identifier}")

    def _group(self, path: str) -> None:
        self._subscription(path.split("/")[2])
        name = path.rpartition("/")[2]
        entry = {"id": path, "name": name, "location": "eastus", "tags": {}}
        self.azure.world.table("groups").setdefault(path.lower(), entry)

    def _grant(self, role: str, scope: str) -> None:
        rbac.assign(self.azure, principal=self.operator, role=role, scope=scope, settled=True)

    def _seed_vault(self, one: Interaction, path: str) -> None:
        azure = self.azure
        name = (re.search(r"/vaults/([^/]+)", path) or [path, ""])[1]
        if path.endswith("/purge"):
            subscription = path.split("/")[2]
            self._grant("Key Vault Purge Operator", f"/subscriptions/{subscription}")
        if "operationResults" in path and _last(path) not in self.names:
            ends = [o.moment for o in self.session if "operationResults" in o.url and o.status == 200]
            self.azure.world.table("vault-operations").setdefault(
                _last(path), {"begun": one.moment - 5, "until": min(ends, default=one.moment)}
            )
        elif one.method == "GET" and path.endswith("/deletedVaults"):
            for entry in one.answer["value"]:
                properties = entry["properties"]
                document = {**entry, "id": properties["vaultId"], "location": properties["location"], "tags": {}}
                document["properties"] = {"enablePurgeProtection": properties.get("purgeProtectionEnabled", False)}
                azure.world.table("deleted-vaults")[entry["name"].lower()] = {
                    "document": document,
                    "deleted": one.moment,
                    "purges": one.moment + 1e7,
                }
        elif one.method == "GET" and path.endswith("/vaults"):
            for document in one.answer["value"]:
                if vaults.find(azure, document["id"]) is None:
                    vaults.load(azure, document)
        elif one.method == "GET" and name and vaults.find(azure, path) is None:
            vaults.load(azure, one.answer)
        elif path.endswith("/accessPolicies/add") and vaults.find(azure, name) is None:
            # the vault as the session shows it afterwards, without the policy that is about to be added
            after = next(o.answer for o in self.session if o.position > one.position and o.method == "GET")
            document = copy.deepcopy(after)
            del document["properties"]["accessPolicies"][-1]
            vaults.load(azure, document)
        elif path.endswith("/checkNameAvailability") and not one.answer["nameAvailable"]:
            group = f"/subscriptions/{path.split('/')[2]}/resourceGroups/elsewhere"
            vaults.load(azure, {"id": f"{group}/providers/{vaults.KIND}/{one.body['name']}"})

    def _seed_registry(self, one: Interaction, path: str) -> None:
        azure = self.azure
        if one.status == 409:
            other = re.sub(r"/resourceGroups/[^/]+", "/resourceGroups/elsewhere", path)
            registries.load(azure, {"id": other})
        elif one.method == "GET" and path.endswith("/registries"):
            for document in one.answer["value"]:
                if registries.find(azure, document["id"]) is None:
                    registries.load(azure, document)
        elif one.method == "DELETE" and registries.find(azure, path) is None:
            registries.load(azure, {"id": path})

    def _seed_role(self, one: Interaction) -> None:
        listed = one.answer.get("value") if "value" in one.answer else [one.answer]
        for entry in listed or []:
            properties = entry.get("properties") or {}
            role = str(properties.get("roleDefinitionId") or "").rpartition("/")[2].lower()
            if role and rbac.definition(self.azure, role) is None:
                self.azure.world.table("role-definitions")[role] = {
                    "id": role,
                    "roleName": role,
                    "description": "",
                    "permissions": [{"actions": [], "notActions": [], "dataActions": [], "notDataActions": []}],
                    "assignableScopes": ["/"],
                }
            principal = properties.get("principalId")
            if principal and principal not in self.azure.world.table("principals"):
                principals.create(self.azure, kind="other", name=principal, principal=principal, settled=True)
            if principal and one.method == "GET" and entry["id"].lower() not in self.azure.world.table("assignments"):
                rbac.assign(
                    self.azure,
                    principal=principal,
                    role=role,
                    scope=properties["scope"],
                    name=entry["name"],
                    principal_type=properties["principalType"],
                    settled=True,
                    createdBy=properties["createdBy"],
                    updatedBy=properties["updatedBy"],
                )

    def _vault(self, url: str) -> Any:
        host = urlsplit(url).netloc.partition(".")[0]
        found = vaults.find(self.azure, host)
        if found is None:
            group = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/recorded"
            self._group(group)
            key = f"{group}/providers/{vaults.KIND}/{host}"
            vaults.load(self.azure, {"id": key, "location": "westus"})
            self._grant("Key Vault Administrator", key)
            found = vaults.find(self.azure, host)
        return found

    def _seed_secret(self, one: Interaction) -> None:
        vault = self._vault(one.url)
        parts = unquote(urlsplit(one.url).path).strip("/").split("/")
        if one.status >= 400 or one.method == "PUT":
            return
        if one.answer is None:  # a purge
            self._plant(vault, parts[1], {}, deleted=True)
        elif "value" in one.answer and isinstance(one.answer["value"], list):
            for entry in one.answer["value"]:
                self._plant(vault, *_named(entry), entry, deleted=parts[0] == "deletedsecrets")
        else:
            began = any(o.moment <= one.moment and o.position < one.position for o in self.session)
            deleted = parts[0] == "deletedsecrets"
            if not (began and vault_store.settled(self.azure, vault, parts[1])):
                self._plant(vault, *_named(one.answer), one.answer, deleted=deleted)

    def _plant(self, vault: Any, name: str, *rest: Any, deleted: bool) -> None:
        version, entry = rest if len(rest) == 2 else ("", rest[0])
        if version in self.names or (vault_store.settled(self.azure, vault, name) and not version):
            return
        vault_store.plant(self.azure, vault["id"], name, entry.get("value") or "value", deleted=deleted)
        made = vault_store.table_of(self.azure, vault)[name.lower()]["versions"][-1]
        if version:
            made["version"] = version
        given = entry.get("attributes") or {}
        made |= {key: given[key] for key in ("enabled", "nbf", "exp") if key in given}
        made |= {key: entry[key] for key in ("contentType", "tags") if key in entry}


def _named(entry: Any) -> tuple[str, str]:
    parts = urlsplit(entry["id"]).path.strip("/").split("/")
    return parts[1], parts[2] if len(parts) > 2 else ""


def _last(path: str) -> str:
    return urlsplit(path).path.rstrip("/").rpartition("/")[2]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "session" in metafunc.fixturenames:
        metafunc.parametrize("session", list(_sessions()) or [""])


def test_a_session_is_answered_as_recorded(session: str) -> None:
    recordings()
    wrong = {name: found for name, found in Replay(_sessions()[session]).run().items() if found}
    assert not wrong, "\n".join(f"{name}: {line}" for name, found in wrong.items() for line in found)


def test_what_is_compared_is_counted() -> None:
    recordings()
    everything = [one for session in _sessions().values() for one in session]
    counted = Counter(_unsupported(one) or "matched" for one in everything)
    print(f"{counted['matched']} of {len(everything)} recorded interactions are replayed; not simulated:")  # noqa: T201
    for why in sorted(counted.keys() - {"matched"}):
        print(f"  {counted[why]:3} {why}")  # noqa: T201
    assert dict(counted) == COUNTED
