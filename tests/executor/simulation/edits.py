"""What somebody else does to the estate while keylift is at work: ordinary requests of another owner."""

from __future__ import annotations

import copy
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from migrator.cloud.clients import (
    APPS_VERSION,
    AUTHORIZATION_VERSION,
    LOCKS_VERSION,
    VAULTS_VERSION,
)
from migrator.model import Json, Plan, ResourceId, is_job
from migrator.simulator import vault_store
from migrator.steps.identity_create import RUN_TAG

from ..world import GROUP, SUB, VAULT
from .facts import Facts, Key, facts
from .inside import Inside

IDENTITIES_VERSION = "2024-11-30"
READ_ONLY = ("ephemeralStorage",)


@dataclass(slots=True)
class Others:
    """What somebody else did so far."""

    inside: Inside
    plan: Plan
    originals: dict[str, Json]
    """App name -> its GET answer before everything: what a pipeline would deploy again."""
    theirs: Facts = field(default_factory=dict)
    """What they wrote last, by fact; None: they took it away."""
    locks: list[str] = field(default_factory=list)
    closed: bool = False
    gone: set[str] = field(default_factory=set)
    """Names of apps that they deleted."""
    done: list[str] = field(default_factory=list)

    def act(self, name: str, dice: random.Random) -> bool:
        """Do one thing, if the cloud lets them; whether it did."""
        before = facts(self.inside)
        if not EDITS[name](self, dice):
            return False
        after = facts(self.inside)
        for key in {*before, *after}:
            if before.get(key) != after.get(key):
                self.theirs[key] = after.get(key)
        self.done.append(name)
        return True

    def relent(self) -> None:
        """Take back what keeps anybody from working: locks and the closed firewall."""
        for lock in self.locks:
            self.inside.request("DELETE", lock, LOCKS_VERSION)
        self.locks.clear()
        if self.closed:
            self._firewall("Allow")
            self.closed = False

    def recover(self) -> None:
        """Bring the vault secrets back that somebody deleted, and with them what others had written."""
        for vault, items in self.inside.azure.world.table("vault-secrets").items():
            for name, item in items.items():
                if item["state"] != "deleted":
                    continue
                item.update(state="active", deleted=None, purges=None)
                newest = item["versions"][-1]
                if newest["enabled"] and RUN_TAG not in (newest.get("tags") or {}):
                    self.theirs["vault", vault, name] = newest["value"]

    # Where

    def id_of(self, name: str) -> str:
        """The id of an app or a job of the plan."""
        return str(self.originals[name]["id"])

    def app(self, dice: random.Random) -> str:
        return dice.choice(sorted(self.originals))

    def live(self, name: str) -> Json | None:
        answer = self.inside.request("GET", self.id_of(name), APPS_VERSION)
        return copy.deepcopy(answer.body) if answer.status == 200 else None

    def deploy(self, name: str, body: Json) -> bool:
        return self.inside.request("PATCH", self.id_of(name), APPS_VERSION, body).status in {200, 202}

    def template(self, name: str, containers: list[Json]) -> bool:
        for container in containers:
            for key in READ_ONLY:
                (container.get("resources") or {}).pop(key, None)
        template: Json = {"containers": containers}
        if not is_job(self.id_of(name)):
            template["revisionSuffix"] = None
        return self.deploy(name, {"properties": {"template": template}})

    def _firewall(self, action: str) -> bool:
        body = {"properties": {"networkAcls": {"defaultAction": action, "bypass": "None"}}}
        return self.inside.request("PATCH", VAULT, VAULTS_VERSION, body).status in {200, 202}

    # What

    def tag(self, dice: random.Random) -> bool:
        return self.deploy(self.app(dice), {"tags": {"team": "shop", "touched": str(dice.randint(1, 99))}})

    def env(self, dice: random.Random) -> bool:
        name = self.app(dice)
        live = self.live(name)
        if live is None:
            return False
        containers = live["properties"]["template"]["containers"]
        containers[0]["env"].append({"name": f"NEW_{dice.randint(1, 99)}", "value": "of-the-deployment"})
        return self.template(name, containers)

    def image(self, dice: random.Random) -> bool:
        name = self.app(dice)
        live = self.live(name)
        if live is None:
            return False
        containers = live["properties"]["template"]["containers"]
        containers[0]["args"] = [f"--build={dice.randint(1, 99)}"]
        return self.template(name, containers)

    def plaintext(self, dice: random.Random) -> bool:
        """A pipeline deploys the template it knows."""
        name = self.app(dice)
        containers = copy.deepcopy(self.originals[name]["properties"]["template"]["containers"])
        containers[0]["args"] = [f"--build={dice.randint(1, 99)}"]
        return self.template(name, containers)

    def value(self, dice: random.Random) -> bool:
        """A pipeline deploys another value of a variable that the plan moves."""
        name = self.app(dice)
        moved = [
            env["env"]
            for step in self.plan.steps
            if step.kind == "app-switch" and ResourceId.parse(step.target).name == name
            for env in step.change["env"]
            if not env["init"]
        ]
        if not moved:
            return False
        containers = copy.deepcopy(self.originals[name]["properties"]["template"]["containers"])
        for entry in containers[0]["env"]:
            if entry["name"] == moved[0]:
                entry["value"] = f"rotated-{dice.randint(1, 99)}"
        return self.template(name, containers)

    def inline(self, dice: random.Random) -> bool:
        """Somebody sets an inline secret anew."""
        name = self.app(dice)
        answer = self.inside.request("POST", f"{self.id_of(name)}/listSecrets", APPS_VERSION)
        listed = answer.body.get("value") if answer.status == 200 and isinstance(answer.body, dict) else None
        plain = [secret for secret in listed or [] if not secret.get("keyVaultUrl") and secret.get("value")]
        if not plain:
            return False
        chosen = dice.choice(plain)["name"]
        sent = [
            {"name": s["name"], "keyVaultUrl": s["keyVaultUrl"], "identity": s["identity"]}
            if s.get("keyVaultUrl")
            else {"name": s["name"], "value": f"rotated-{dice.randint(1, 99)}" if s["name"] == chosen else s["value"]}
            for s in listed or []
        ]
        return self.deploy(name, {"properties": {"configuration": {"secrets": sent}}})

    def delete_app(self, dice: random.Random) -> bool:
        name = self.app(dice)
        done = self.inside.request("DELETE", self.id_of(name), APPS_VERSION).status in {200, 202}
        self.gone |= {name} if done else set()
        return done

    def role(self, dice: random.Random) -> bool:
        """Somebody takes a role away that the run gave."""
        scopes = {s.change["scope"].lower() for s in self.plan.steps if s.kind == "role-assignment"}
        found = [
            key
            for key, entry in sorted(self.inside.azure.world.table("assignments").items())
            if entry["scope"].lower() in scopes
        ]
        if not found:
            return False
        return self.inside.request("DELETE", dice.choice(found), AUTHORIZATION_VERSION).status in {200, 204}

    def make_identity(self, dice: random.Random) -> bool:
        """Somebody makes an identity under a name that the plan uses."""
        found = [s for s in self.plan.steps if s.kind == "identity-create"]
        if not found:
            return False
        step = dice.choice(found)
        if step.target.lower() in self.inside.azure.world.resources:
            return False
        body = {"location": step.change["location"], "tags": {"owner": "somebody"}}
        return self.inside.request("PUT", step.target, IDENTITIES_VERSION, body).status in {200, 201}

    def give_role(self, dice: random.Random) -> bool:
        """Somebody gives a role that the plan gives."""
        found = [s for s in self.plan.steps if s.kind == "role-assignment" and s.change["identity"] != "system"]
        if not found:
            return False
        step = dice.choice(found)
        identity = self.inside.azure.world.resources.get(step.change["identity"].lower())
        if identity is None:
            return False
        scope = step.change["scope"]
        role = f"/subscriptions/{SUB}/providers/Microsoft.Authorization/roleDefinitions/{step.change['role']}"
        path = f"{scope}/providers/Microsoft.Authorization/roleAssignments/{uuid.UUID(int=dice.getrandbits(128))}"
        who = {"principalId": identity["properties"]["principalId"], "principalType": "ServicePrincipal"}
        body = {"properties": {"roleDefinitionId": role, **who}}
        return self.inside.request("PUT", path, AUTHORIZATION_VERSION, body).status == 201

    def start_job(self, dice: random.Random) -> bool:
        """Somebody, or an event, starts an execution."""
        jobs = sorted(name for name in self.originals if is_job(self.id_of(name)))
        if not jobs:
            return False
        return self.inside.request("POST", f"{self.id_of(dice.choice(jobs))}/start", APPS_VERSION).status in {200, 202}

    def _secret(self, dice: random.Random) -> tuple[str, str] | None:
        found = [
            (s.change["vault"].lower(), s.change["name"].lower()) for s in self.plan.steps if s.kind == "vault-secret"
        ]
        return dice.choice(found) if found else None

    def version(self, dice: random.Random) -> bool:
        """Somebody writes another value under a name that the plan uses."""
        found = self._secret(dice)
        if found is None:
            return False
        vault_store.plant(self.inside.azure, found[0], found[1], f"theirs-{dice.randint(1, 99)}")
        return True

    def _item(self, dice: random.Random) -> Json | None:
        found = self._secret(dice)
        if found is None:
            return None
        item: Json | None = self.inside.azure.world.table("vault-secrets").get(found[0], {}).get(found[1])
        return item

    def disable(self, dice: random.Random) -> bool:
        item = self._item(dice)
        if not item or not item["versions"]:
            return False
        item["versions"][-1]["enabled"] = False
        return True

    def delete_secret(self, dice: random.Random) -> bool:
        item = self._item(dice)
        if not item or item["state"] != "active":
            return False
        now = self.inside.azure.clock.now()
        item.update(state="deleted", deleted=now, purges=now + 90 * 86400.0)
        return True

    def firewall(self, _dice: random.Random) -> bool:
        self.closed = self._firewall("Deny") or self.closed
        return self.closed

    def lock(self, dice: random.Random) -> bool:
        where = dice.choice([GROUP, VAULT, *(self.id_of(name) for name in sorted(self.originals))])
        level = dice.choice(["ReadOnly", "CanNotDelete"])
        path = f"{where}/providers/Microsoft.Authorization/locks/theirs-{len(self.locks)}"
        done = self.inside.request("PUT", path, LOCKS_VERSION, {"properties": {"level": level}}).status in {200, 201}
        if done:
            self.locks.append(path)
        return done

    def delete_identity(self, dice: random.Random) -> bool:
        found = [s.target for s in self.plan.steps if s.kind == "identity-create"]
        if not found:
            return False
        return self.inside.request("DELETE", dice.choice(found), IDENTITIES_VERSION).status == 200


EDITS: dict[str, Callable[[Others, random.Random], bool]] = {
    "tag": Others.tag,
    "env": Others.env,
    "image": Others.image,
    "plaintext": Others.plaintext,
    "value": Others.value,
    "inline": Others.inline,
    "delete-app": Others.delete_app,
    "role": Others.role,
    "version": Others.version,
    "disable": Others.disable,
    "delete-secret": Others.delete_secret,
    "firewall": Others.firewall,
    "lock": Others.lock,
    "delete-identity": Others.delete_identity,
    "make-identity": Others.make_identity,
    "give-role": Others.give_role,
    "start-job": Others.start_job,
}

__all__ = ["EDITS", "Key", "Others"]
