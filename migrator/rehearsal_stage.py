"""The private simulator of a rehearsal, the plan as it reads there, and what is compared before and after.

The estate's values are tokens there, equal where the values are equal. So the plan's fingerprints are exchanged for those
of the tokens; the fingerprints of whole apps are taken anew, after those of the real ones were found to be the planned.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from migrator import private
from migrator.appwrite import REPLAN
from migrator.cloud.cloud import AzureCloud
from migrator.errors import DeniedError, StaleError
from migrator.executor import Executor
from migrator.fingerprints import app_fingerprint, app_parts, changed_parts
from migrator.journal import Journal
from migrator.model import AppSecret, Estate, Json, Plan, ResourceId, settled
from migrator.ports import Event
from migrator.simulator import vault_store
from migrator.simulator.clock import Clock
from migrator.simulator.server import Simulator
from migrator.snapshot import Tokens, estate_document
from migrator.steps.registry_admin_off import registry_fingerprint
from migrator.textswitch import words_of
from migrator.wording import edited
from scanners.model import Fingerprinter, reveal

_APP = "/microsoft.app/containerapps/"
_REGISTRY = "/microsoft.containerregistry/registries/"


class Driven:
    """The simulator's clock as a client's: it stands, and moves when somebody waits."""

    def __init__(self, clock: Clock) -> None:
        """Drive `clock`."""
        self._clock = clock
        self._lock = threading.Lock()

    def now(self) -> float:
        """Seconds since the epoch, virtual."""
        return self._clock.now()

    def sleep(self, seconds: float) -> None:
        """Let virtual seconds pass."""
        with self._lock:
            self._clock.advance(seconds)


class Source:
    """The estate without values, and what the plan's fingerprints become in it."""

    def __init__(self, plan: Plan, estate: Estate, fingerprinter: Fingerprinter) -> None:
        """Take a fresh reading of the estate: whole, with the plan's vault secrets.

        Raises:
            StaleError: an app or registry is not the one the plan was made from.
        """
        self.plan = plan
        self.fingerprinter = fingerprinter
        self._estate = estate
        self._check()
        tokens = Tokens(fingerprinter)
        self.words = dict(self._words(tokens))
        self.document = estate_document(estate, fingerprinter, tokens, revisions=True)
        self.document = _renamed(self.document, {v.uri: f"https://{v.name}.vault.azure.net" for v in estate.vaults})
        self.document["needs"] = list(self._needs(tokens.known))
        self.document["resources"] += list(self._services())
        self.marks = {fingerprinter.of(value): fingerprinter.of(token) for value, token in tokens.known.items()}
        # a vault secret whose value no app has is a token of its fingerprint
        self.marks |= {value: fingerprinter.of(token) for value, token in tokens.known.items() if value[:3] == "f1:"}

    def _words(self, tokens: Tokens) -> Iterator[tuple[tuple[str, str], list[Json]]]:
        """Words of command lines that the plan edits: a token for each part, so that they can be edited here, too.

        Yields:
            App and path of each, and its edits as they read here.
        """
        for step in self.plan.steps:
            app = self._estate.app(step.target) if step.kind == "app-switch" else None
            for wanted in step.change.get("commands", ()) if app is not None else ():
                words = words_of(app.document, wanted) if app is not None else None
                text = str(words[wanted["word"]]) if words is not None else ""
                here, at, edits = "", 0, []
                for edit in wanted["edits"]:
                    here += tokens.of(text[at : edit["start"]])
                    at = int(edit["end"])
                    value = tokens.of(text[edit["start"] : at])
                    edits.append({**edit, "start": len(here), "end": len(here) + len(value)})
                    here += value
                here += tokens.of(text[at:])
                tokens.known[text] = here
                tokens.known[edited(text, wanted["edits"])] = edited(here, edits)
                yield (step.target.lower(), str(wanted["path"])), edits

    def _check(self) -> None:
        expects: dict[str, str] = {}
        for step in self.plan.steps:
            expects |= step.expects
        registries = {registry.id.lower(): registry for registry in self._estate.registries}
        apps = {step.app.lower() for step in self.plan.steps if step.app}
        for key in sorted({*apps, *(key for key in expects if not key.startswith("#"))}):
            name = ResourceId.parse(key).name
            if _REGISTRY in key:
                found = registries.get(key)
                if found is None or expects[key] != registry_fingerprint(found.document, self.fingerprinter):
                    raise StaleError(f"the registry {name} changed since the plan was made", hint=REPLAN)
                continue
            app = self._estate.app(key)
            if app is None:
                raise StaleError(f"the app {name} is gone", why="the estate was read anew", hint=REPLAN)
            if key in expects and expects[key] != app_fingerprint(app.document, app.secrets, self.fingerprinter):
                own = {k: v for step in self.plan.steps if step.app.lower() == key for k, v in step.expects.items()}
                parts = changed_parts(own, app.document, app.secrets, self.fingerprinter)
                raise StaleError(
                    f"{name} changed since the plan was made",
                    why=f"changed: {', '.join(parts[:8])}" if parts else "the estate was read anew",
                    hint=REPLAN,
                )

    def _services(self) -> Iterable[Json]:
        """The services whose keys identities replace, as far as roles are assigned there."""
        there = {str(entry["id"]).lower() for entry in self.document["resources"]}
        for step in self.plan.steps:
            if not step.change.get("data"):
                continue
            # the resource itself: a queue or a container is a part of it
            resource = "/".join(step.target.split("/")[:9])
            if resource.lower() not in there:
                there.add(resource.lower())
                # a cache whose sign-in by token is off is nothing that a plan assigns on
                properties = {"redisConfiguration": {"aad-enabled": "true"}} if step.kind == "data-role" else {}
                yield {"id": resource, "location": "westeurope", "properties": properties}

    def _needs(self, known: Mapping[str, str]) -> Iterable[Json]:
        """Every moved variable must reach the container with the value it has now, or its replica fails."""
        for step in self.plan.steps:
            app = self._estate.app(step.target) if step.kind == "app-switch" else None
            if app is None:
                continue
            template = (app.document.get("properties") or {}).get("template") or {}
            containers = [*(template.get("containers") or []), *(template.get("initContainers") or [])]
            seen = Counter(str(e.get("name")) for container in containers for e in container.get("env") or [])
            names = {str(env["env"]) for env in step.change["env"] if not env["init"]}
            # of a name that occurs twice nobody can say here which value is meant
            yield from ({"app": app.id, "env": name} for name in sorted(names) if seen[name] == 1)
            for wanted in step.change.get("commands", ()):
                words = words_of(app.document, wanted)
                if words is not None and str(words[wanted["word"]]) in known:
                    yield {"app": app.id, "argument": known[str(words[wanted["word"]])]}


class Stage:
    """One simulated estate, with everything that carries a plan out on it. A context manager."""

    def __init__(self, source: Source, *, workers: int, propagation: float, proof: float) -> None:
        """Prepare; nothing runs yet."""
        self.source = source
        self._workers = workers
        self._propagation = propagation
        self._proof = proof
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            folder = Path(tempfile.mkdtemp(prefix="keylift-rehearsal-", dir=_memory()))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            clock = Clock(speed=0.0, start=time.time())
            document = self.source.document
            self.simulator = stack.enter_context(
                Simulator(document, directory=folder / "cloud", clock=clock, listening=False)
            )
            self.clock = Driven(clock)
            self.cloud = AzureCloud(stack.enter_context(private.session(self.simulator, self.clock, seed=1)))
            self.journal = stack.enter_context(Journal.open(folder / "keylift.db"))
            self.plan = self._plan()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def executor(self, on_event: Callable[[Event], None], *, cloud: Any = None, workers: int | None = None) -> Executor:
        """Carries plans out here; with one worker everything has its order."""
        return Executor(
            cloud or self.cloud,
            self.journal,
            self.clock,
            self.source.fingerprinter,
            on_event,
            workers=workers or self._workers,
            propagation=self._propagation,
            proof=self._proof,
        )

    def _plan(self) -> Plan:
        """The plan as it reads here."""
        fingerprinter, plan = self.source.fingerprinter, self.source.plan
        marks: dict[str, str] = dict(self.source.marks)
        uris = {
            str(step.change["vault_uri"]): str(
                self.cloud.get_vault(step.change["vault"])["properties"]["vaultUri"]
            ).rstrip("/")
            for step in plan.steps
            if step.kind == "vault-secret"
        }
        steps = []
        apps: dict[str, tuple[str, dict[str, str]]] = {}
        for step in plan.steps:
            expects: dict[str, str] = {}
            for key in step.expects:
                if _REGISTRY in key:
                    expects[key] = registry_fingerprint(self.cloud.get_registry(key), fingerprinter)
                elif not key.startswith("#"):
                    if key not in apps:
                        document, secrets = self.cloud.get_app(key), self.cloud.get_app_secrets(key)
                        apps[key] = (
                            app_fingerprint(document, secrets, fingerprinter),
                            app_parts(document, secrets, fingerprinter),
                        )
                    expects[key] = apps[key][0]
            if any(key.startswith("#") for key in step.expects):
                expects |= apps[step.app.lower()][1]
            change = _exchanged(self._edits(step.target, _renamed(step.change, uris)), marks)
            if step.kind == "part-switch":
                # the component's values are tokens here
                document, secrets = self.cloud.get_part(step.target), self._secrets(step.target)
                change["fingerprint"] = app_fingerprint(document, secrets, fingerprinter)
            steps.append(replace(step, change=change, expects=expects))
        return replace(plan, cloud=self.cloud.name, steps=tuple(steps))

    def _edits(self, target: str, change: Json) -> Json:
        """A change whose edits stand where they do here."""
        words = self.source.words
        if "commands" in change:
            here = [{**w, "edits": words[target.lower(), w["path"]]} for w in change["commands"]]
            change = {**change, "commands": here}
        source = change.get("source") or {}
        if source.get("kind") == "word":
            edits = words[source["app"].lower(), source["path"]]
            mine = [edit for edit in edits if edit["fingerprint"] == change["fingerprint"]]
            change = {**change, "source": {**source, "start": mine[0]["start"], "end": mine[0]["end"]}}
        return change

    def _secrets(self, app: str) -> tuple[AppSecret, ...]:
        """An app's secrets; none where nobody may list them, behind a ReadOnly lock: then nobody may write them either."""
        try:
            return self.cloud.get_app_secrets(app)
        except DeniedError:
            return ()

    def world(self, without: Mapping[str, set[str]] | None = None) -> Json:
        """All that a rollback must bring back, in a form that compares.

        Args:
            without: Lower-case app id -> names of secrets that cannot come back.
        """
        azure, gone = self.simulator.azure, without or {}
        azure.settle()
        apps: Json = {}
        for key in sorted(key for key in azure.world.resources if _APP in key):
            document = settled(self.cloud.get_app(key))
            configuration = document["properties"]["configuration"]
            entries = [e for e in configuration.get("secrets") or [] if e["name"] not in gone.get(key, ())]
            configuration["secrets"] = entries or None
            apps[key] = document
            apps[f"{key}#secrets"] = {
                secret.name: [secret.key_vault_url, reveal(secret.value) if secret.value else None]
                for secret in self._secrets(key)
                if secret.name not in gone.get(key, ())
            }
        vaults = azure.world.of_type("Microsoft.KeyVault/vaults")
        newest = {
            f"{vault['id']}/{name}".lower(): item["versions"][-1]
            for vault in vaults
            for name, item in vault_store.live(azure, vault).items()
        }
        return {
            "apps": apps,
            "there": sorted(
                {*azure.world.resources, *azure.world.table("assignments"), *azure.world.table("data-roles")}
            ),
            "parts": {
                step.target.lower(): [
                    settled(self.cloud.get_part(step.target))["properties"],
                    {
                        secret.name: reveal(secret.value) if secret.value else None
                        for secret in self._secrets(step.target)
                    },
                ]
                for step in self.source.plan.steps
                if step.kind == "part-switch"
            },
            "vault": {key: version["value"] for key, version in newest.items() if version["enabled"]},
            "registries": {
                key: bool(document["properties"].get("adminUserEnabled"))
                for key, document in azure.world.resources.items()
                if _REGISTRY in key and "properties" in document
            },
            "revisions": {
                step.id: bool(self.cloud.get_revision(step.app, step.change["revision"])["properties"]["active"])
                for step in self.plan.steps
                if step.kind == "revision-deactivate"
            },
        }


def _memory() -> str | None:
    """A folder in memory where there is one: nothing here outlives the process, so nothing needs to reach a disk."""
    shared = Path("/dev/shm")  # noqa: S108 - the folder made in it is of this user alone
    return str(shared) if shared.is_dir() and os.access(shared, os.W_OK) else None


def _renamed(node: Any, prefixes: Mapping[str, str]) -> Any:
    """A document in which texts that begin with one thing begin with another."""
    if isinstance(node, dict):
        return {key: _renamed(item, prefixes) for key, item in node.items()}
    if isinstance(node, list):
        return [_renamed(item, prefixes) for item in node]
    if isinstance(node, str):
        for old, new in prefixes.items():
            if node == old or node.startswith(f"{old}/"):
                return new + node[len(old) :]
    return node


def _exchanged(node: Any, texts: Mapping[str, str]) -> Any:
    """A document in which whole texts are exchanged."""
    if isinstance(node, dict):
        return {key: _exchanged(item, texts) for key, item in node.items()}
    if isinstance(node, list):
        return [_exchanged(item, texts) for item in node]
    return texts.get(node, node) if isinstance(node, str) else node
