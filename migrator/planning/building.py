"""The steps of a plan, in order, with what each waits for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from migrator.model import Json, ResourceId, Step, Vault
from migrator.parts import SIGN_IN
from migrator.passwordless import applying
from migrator.passwordless.rights import Grant
from migrator.planning import names, rewriting, traffic
from migrator.planning.draft import AppDraft, Item
from migrator.planning.identities import SYSTEM, Chosen
from migrator.planning.places import AppView, EnvPlace
from migrator.planning.roles import SECRETS_USER, Held, Need, Roles
from migrator.planning.vaulting import VaultItem
from scanners.model import Fingerprinter

APP_WRITE = "Microsoft.App/containerApps/write"
JOB_WRITE = "Microsoft.App/jobs/write"
DATA_ROLES = {
    "cosmos": "Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments/write",
    "redis": "Microsoft.Cache/redis/accessPolicyAssignments/write",
    "managed-redis": "Microsoft.Cache/redisEnterprise/databases/accessPolicyAssignments/write",
}
"""Role systems of services themselves, and the action that an assignment there needs."""
COSMOS_ROLES = {
    "Cosmos DB Built-in Data Reader": "00000000-0000-0000-0000-000000000001",
    "Cosmos DB Built-in Data Contributor": "00000000-0000-0000-0000-000000000002",
}
"""Definitions that every account has (learn.microsoft.com/azure/cosmos-db/reference-data-plane-security)."""


def write_action(view: AppView) -> str:
    """The action that a PATCH of the app or job needs."""
    return JOB_WRITE if view.job else APP_WRITE


@dataclass(frozen=True, slots=True)
class AppPlan:
    """Everything decided about one app."""

    draft: AppDraft
    identity: Chosen | None
    """None when existing references are enough."""
    vault_items: dict[str, VaultItem]
    """By fingerprint."""
    fingerprint: str
    fingerprinter: Fingerprinter
    parts: Mapping[str, str] = field(default_factory=dict)
    """Fingerprints of the app's parts, so that a stale plan can say what changed."""
    auth: str = ""
    """Of its sign-in settings; empty when it has none."""

    @property
    def view(self) -> AppView:
        return self.draft.view


def labels(views: Iterable[AppView]) -> dict[str, str]:
    """App key -> what its step ids begin with: its name, with group and subscription where names repeat.

    `shared` begins the ids of steps that several apps wait for, so an app of that name is told apart, too.
    """
    known = list(views)
    once = Counter(view.name.lower() for view in known)
    once["shared"] += 1
    kinds = Counter(
        (str(view.parts.subscription).lower(), view.parts.group.lower(), view.name.lower()) for view in known
    )
    twice = Counter((view.parts.group.lower(), view.name.lower()) for view in known)
    found = {}
    for view in known:
        name, group = view.name.lower(), view.parts.group.lower()
        if once[name] == 1:
            found[view.key] = name
        elif twice[group, name] == 1:
            found[view.key] = f"{group}.{name}"
        else:
            found[view.key] = f"{view.parts.subscription.lower()}.{group}.{name}"
        # a job may have the name of an app beside it
        if view.job and kinds[view.parts.subscription.lower(), group, name] > 1:
            found[view.key] = f"job.{found[view.key]}"
    return found


@dataclass(slots=True)
class Builder:
    """Collects steps; one that several apps need is made once and belongs to none."""

    vault: Vault
    roles: Roles
    labels: dict[str, str]
    notes: list[Json] = field(default_factory=list)
    _shared: dict[str, Step] = field(default_factory=dict)
    _own: list[Step] = field(default_factory=list)
    _users: dict[tuple[str, ...], set[str]] = field(default_factory=dict)
    """Vault secret, or identity, role and scope of a right -> keys of the apps that need it."""

    def steps(self, plans: Iterable[AppPlan]) -> tuple[Step, ...]:
        """All steps, shared ones first, then app by app."""
        ordered = sorted(plans, key=lambda plan: plan.view.key)
        for plan in ordered:
            for key in self._keys(plan):
                self._users.setdefault(key, set()).add(plan.view.key)
        for plan in ordered:
            self._app(plan)
        shared = sorted(self._shared.values(), key=lambda step: (step.kind != "vault-secret", step.id))
        return (*shared, *self._own)

    def _keys(self, plan: AppPlan) -> list[tuple[str, ...]]:
        keys: list[tuple[str, ...]] = []
        for one in plan.vault_items.values():
            scope = self._scope(one)
            keys.append(("vault-secret", scope.lower()))
            keys.append(self._triple(plan, SECRETS_USER.role, scope))
        keys += [self._triple(plan, switch.need.role, switch.registry.id) for switch in plan.draft.switches]
        keys += [self._triple(plan, need.role, scope) for need, scope in _data_needs(plan)]
        keys += [self._triple(plan, grant.role.name, grant.scope + grant.within) for _, grant in own_roles(plan)]
        return keys

    def _scope(self, one: VaultItem) -> str:
        return f"{self.vault.id}/secrets/{one.name}"

    def _triple(self, plan: AppPlan, role: str, scope: str) -> tuple[str, ...]:
        ref = plan.identity.ref.lower() if plan.identity else ""
        return ("right", ref if ref != SYSTEM else f"{SYSTEM} of {plan.view.key}", role, scope.lower())

    def _app(self, plan: AppPlan) -> None:
        label = self.labels[plan.view.key]
        before: list[str] = []
        exists: tuple[str, ...] = ()
        """After these the identity has a principal that a role can be given to."""
        chosen = plan.identity
        if chosen and chosen.create is not None:
            exists = (self._add(self._create(plan, label, chosen)),)
        if chosen and chosen.attach:
            before.append(self._add(self._attach(plan, label, chosen, exists)))
            if chosen.ref == SYSTEM:
                exists = (before[0],)
        for one in sorted(plan.vault_items.values(), key=lambda one: one.name):
            written = self._add(self._vault_secret(plan, label, one))
            before += [written, self._assign(plan, label, SECRETS_USER, self._scope(one), one.name, (*exists, written))]
        for switch in plan.draft.switches:
            before.append(
                self._assign(plan, label, switch.need, switch.registry.id, switch.place.server.lower(), exists)
            )
        given: list[str] = []
        new = False
        for need, scope in _data_needs(plan):
            what = f"{need.name.replace(' ', '-').lower()}/{_within(scope)}"
            given.append(self._assign(plan, label, need, scope, what, exists))
            new = new or not self.roles.held(chosen.principal if chosen else None, need, scope)
        for system, grant in own_roles(plan):
            given.append(self._data_role(plan, label, system, grant, exists))
            new = True
        if new:
            given.append(self._add(self._wait(plan, label, tuple(given))))
        before += given
        ready = tuple(dict.fromkeys(before))
        if plan.vault_items or plan.draft.items or plan.draft.switches or any(one.in_app for one in plan.draft.swaps):
            self._switch(plan, label, ready)
        for one_ in plan.draft.swaps:
            if one_.store is not None:
                self._own += _token_store(plan, label, one_.store, ready)

    def _add(self, step: Step) -> str:
        if step.app:
            self._own.append(step)
            return step.id
        known = self._shared.get(step.id)
        self._shared[step.id] = (
            replace(known, after=tuple(dict.fromkeys((*known.after, *step.after)))) if known else step
        )
        return step.id

    def _create(self, plan: AppPlan, label: str, chosen: Chosen) -> Step:
        view = plan.view
        return Step(
            id=f"{label}/identity-create",
            kind="identity-create",
            target=chosen.ref,
            app=view.id,
            change=dict(chosen.create or {}),
            undo={"delete": True},
            why=f"{view.name} has no user-assigned identity to read its secrets with; one of its own lets it read "
            "these and nothing else",
            permission="Microsoft.ManagedIdentity/userAssignedIdentities/write",
        )

    def _attach(self, plan: AppPlan, label: str, chosen: Chosen, after: tuple[str, ...]) -> Step:
        view = plan.view
        what = "its system identity" if chosen.ref == SYSTEM else f"identity {chosen.name}"
        return Step(
            id=f"{label}/identity-attach",
            kind="identity-attach",
            target=view.id,
            app=view.id,
            change={"identity": chosen.ref},
            undo={"detach": True},
            why=f"{view.name} can use {what} only when it is attached; this makes no revision and no restart",
            permission=write_action(view),
            after=after,
            expects={view.key: plan.fingerprint, **plan.parts},
        )

    def _vault_secret(self, plan: AppPlan, label: str, one: VaultItem) -> Step:
        scope = self._scope(one)
        shared = len(self._users["vault-secret", scope.lower()]) > 1 and one.shared
        count = sum(len(item.places) + len(item.secrets) for item in one.items)
        places = f"{count} places" if count > 1 else "one place"
        if one.action == "adopt":
            why = f"the vault holds this value already; {places} will read it there"
        elif one.action == "new-version":
            why = f"the vault has the name with {'another' if 'restore' in one.undo else 'a disabled'} value; this "
            why += f"becomes its newest version, for {places}"
        else:
            why = f"the value moves into the vault, from {places}"
        return Step(
            id=f"shared/vault-secret/{one.name}" if shared else f"{label}/vault-secret/{one.name}",
            kind="vault-secret",
            target=scope,
            app="" if shared else plan.view.id,
            change={
                "vault_uri": self.vault.uri,
                "vault": self.vault.id,
                "name": one.name,
                "fingerprint": one.fingerprint,
                "tags": one.tags(),
                "action": one.action,
                "source": _source(one.items[0]),
            },
            undo=dict(one.undo),
            why=why,
            permission="Microsoft.KeyVault/vaults/secrets/"
            + ("getSecret/action" if one.action == "adopt" else "setSecret/action"),
        )

    def _assign(self, plan: AppPlan, label: str, need: Need, scope: str, what: str, after: tuple[str, ...]) -> str:
        view, chosen = plan.view, plan.identity
        if chosen is None:
            raise AssertionError(f"{view.name} needs a role and has no identity")
        held = self.roles.held(chosen.principal, need, scope)
        who = _who(view, chosen)
        if held:
            why = f"{who} has this access already"
            self._wider(plan, need, scope, who, held)
        elif not need.right:
            why = f"{who} must be able to do with {what.rpartition('/')[2]} what the key let the app do, and no more"
        elif need is SECRETS_USER:
            why = f"{who} must be able to read this one secret, and no other"
        else:
            why = f"{who} must be able to pull from {what}, or the next replica cannot start"
        step = Step(
            id=what,
            kind="role-assignment",
            target=scope,
            app=view.id,
            change={
                "role": need.role,
                "role_name": need.name,
                "scope": scope,
                "identity": chosen.ref,
                "principal_id": chosen.principal,
                "existing": held.adopted.id if held else None,
                **({} if need.right else {"data": True}),
            },
            undo={} if held else {"delete": True},
            why=why,
            permission="Microsoft.Authorization/roleAssignments/" + ("read" if held else "write"),
            after=after,
        )
        return self._give(step, chosen, label, self._triple(plan, need.role, scope))

    def _data_role(self, plan: AppPlan, label: str, system: str, grant: Grant, after: tuple[str, ...]) -> str:
        view, chosen = plan.view, plan.identity
        if chosen is None:
            raise AssertionError(f"{view.name} needs a role and has no identity")
        name = ResourceId.parse(grant.scope).name
        step = Step(
            id=f"{grant.role.name.replace(' ', '-').lower()}/{(name + grant.within.replace('/', '.')).lower()}",
            kind="data-role",
            target=grant.scope,
            app=view.id,
            change=own_role(system, grant) | {"identity": chosen.ref, "principal_id": chosen.principal},
            undo={"delete": True},
            why=f"{_who(view, chosen)} must be able to do with {name} what the key let the app do; no role of Azure gives "
            "that",
            permission=DATA_ROLES[system],
            after=after,
        )
        return self._give(step, chosen, label, self._triple(plan, grant.role.name, grant.scope + grant.within))

    def _give(self, step: Step, chosen: Chosen, label: str, triple: tuple[str, ...]) -> str:
        """Add a right, whose step has yet to get the beginning of its id.

        It belongs to none of several apps that need it: taken back with the first, it would be missing for the others.
        """
        shared = len(self._users[triple]) > 1
        stem = f"shared/{step.kind}/{chosen.name}" if shared else f"{label}/{step.kind}"
        step = replace(step, id=f"{stem}/{step.id}", app="" if shared else step.app)
        same = self._shared.get(step.id)
        if same and same.change != step.change:  # equal identity names in two groups
            step = replace(step, id=f"{step.id}/{names.digest(chosen.ref.lower())}")
        return self._add(step)

    def _wait(self, plan: AppPlan, label: str, after: tuple[str, ...]) -> Step:
        return Step(
            id=f"{label}/access-wait",
            kind="access-wait",
            target=plan.view.id,
            app=plan.view.id,
            change={"seconds": applying.SETTLE},
            undo={},
            why="nothing but the app shows that a service honours a new role, and the app would be without its key by then",
            permission="",
            after=after,
        )

    def _wider(self, plan: AppPlan, need: Need, scope: str, who: str, held: Held) -> None:
        for assignment, role in held.wider:
            principal = assignment.principal_id
            self.notes.append(
                {
                    "app": plan.view.id,
                    "kind": "wider-access",
                    "text": f"{who} has {role} at {assignment.scope} (assignment {assignment.id}), which is wider than "
                    f"{need.name} at {scope}; when nothing else needs it: az role assignment create --role "
                    f"'{need.name}' --assignee-object-id {principal} --assignee-principal-type ServicePrincipal "
                    f"--scope {scope} && az role assignment delete --ids {assignment.id}",
                }
            )

    def _switch(self, plan: AppPlan, label: str, before: tuple[str, ...]) -> None:
        view, chosen = plan.view, plan.identity
        secrets = _secrets(plan, self.vault)
        env = _env(plan)
        texts = rewriting.of_app(view, plan.draft.items, plan.fingerprinter)
        registries = _registries(plan)
        inside = [one for one in plan.draft.swaps if one.in_app]
        swaps = applying.together(inside, chosen) if inside and chosen else None
        # a job has no revisions: its next execution uses what it is then
        revision = "none" if view.job else "template" if env or swaps or texts else "suffix" if registries else "none"
        moves = traffic.of(view) if revision != "none" else traffic.Traffic()
        self.notes += [{"app": view.id, "kind": "traffic", "text": text} for text in moves.notes]
        switch = Step(
            id=f"{label}/app-switch",
            kind="app-switch",
            target=view.id,
            app=view.id,
            change={
                "secrets": secrets,
                "env": env,
                "registries": registries,
                "revision": revision,
                "traffic": moves.pin,
                **({"swaps": swaps} if swaps else {}),
                **texts,
            },
            undo={"restore": True},
            why=_why(secrets, env, texts, registries, len(inside), "job" if view.job else revision),
            permission=write_action(view),
            after=before,
            # the parts stand once, with the first step that writes the app
            expects={view.key: plan.fingerprint, **({} if chosen and chosen.attach else plan.parts)},
        )
        prove = Step(
            id=f"{label}/app-prove",
            kind="app-prove",
            target=view.id,
            app=view.id,
            change={
                "revision": revision,
                "env": sorted({str(entry["env"]) for entry in (*env, *texts.get("added", ()))}),
                "references": sorted(
                    {
                        *(str(secret["name"]) for secret in secrets),
                        *(str(e["secret"]) for e in (*env, *texts.get("rules", ()), *texts.get("added", ()))),
                    }
                ),
            },
            undo={},
            why="that Azure accepted the change proves nothing; an execution that succeeds does"
            if view.job
            else "that Azure accepted the change proves nothing; a running replica does",
            permission="Microsoft.App/jobs/executions/read"
            if view.job
            else "Microsoft.App/containerApps/revisions/read",
            after=(switch.id,),
        )
        self._own += [switch, prove]
        if moves.shift is not None:
            self._own.append(
                Step(
                    id=f"{label}/traffic-shift",
                    kind="traffic-shift",
                    target=view.id,
                    app=view.id,
                    change=moves.shift,
                    undo={"restore": True},
                    why="the new revision is proven, so it takes the traffic of the one it replaces",
                    permission=APP_WRITE,
                    after=(prove.id,),
                )
            )


def _source(item: Item) -> Json:
    """Where the value is read at the moment it is written into the vault."""
    if item.secrets:
        return {"app": item.view.id, "kind": "secret", "name": item.secrets[0].name}
    if item.env:
        return _of_env(item)
    if item.rules:
        rule = item.rules[0]
        return {
            "app": item.view.id,
            "kind": "rule",
            "path": rule.path,
            "rule": rule.rule,
            "of": rule.kind,
            "key": rule.key,
        }
    word = item.words[0]
    return {
        "app": item.view.id,
        "kind": "word",
        "path": word.path,
        "container": word.container,
        "init": word.init,
        "part": word.part,
        "word": word.word,
        "start": word.spans[0].start,
        "end": word.spans[0].end,
    }


def _of_env(item: Item) -> Json:
    place: EnvPlace = item.env[0]
    return {
        "app": item.view.id,
        "kind": "env",
        "path": place.path,
        "container": place.container,
        "init": place.init,
        "env": place.name,
    }


def _secrets(plan: AppPlan, vault: Vault) -> list[Json]:
    found = []
    for item in plan.draft.items:
        one = plan.vault_items.get(item.fingerprint)
        if one is None or plan.identity is None:
            continue
        named = [(place.name, "inline") for place in item.secrets]
        if not item.secrets:
            named.append((item.app_secret, "new"))
        found += [
            {
                "name": name,
                "key_vault_url": f"{vault.uri}/secrets/{one.name}",
                "identity": plan.identity.ref,
                "was": was,
                "fingerprint": item.fingerprint,
            }
            for name, was in named
        ]
    return sorted(found, key=lambda entry: str(entry["name"]))


def _env(plan: AppPlan) -> list[Json]:
    pairs = [(place, item) for item in plan.draft.items for place in item.env]
    pairs.sort(key=lambda pair: (pair[0].init, pair[0].index, pair[0].entry))
    return [
        {
            "container": place.container,
            "init": place.init,
            "index": place.index,
            "entry": place.entry,
            "env": place.name,
            "secret": item.app_secret,
            "path": place.path,
            "fingerprint": item.fingerprint,
        }
        for place, item in pairs
    ]


def _registries(plan: AppPlan) -> list[Json]:
    ref = plan.identity.ref if plan.identity else ""
    return [
        {
            "server": switch.place.server,
            "index": switch.place.index,
            "identity": ref,
            "was": {"username": switch.place.username, "secret": switch.place.secret},
        }
        for switch in plan.draft.switches
    ]


def _data_needs(plan: AppPlan) -> list[tuple[Need, str]]:
    """Roles on other services, by scope, that the app's identity needs in the place of keys."""
    found = {
        (grant.scope.lower(), grant.role.id): (Need(grant.role.id, grant.role.name, "", data=True), grant.scope)
        for one in plan.draft.swaps
        for grant in one.grants
        if grant.role.id
    }
    return [found[key] for key in sorted(found)]


def _token_store(plan: AppPlan, label: str, store: Json, after: tuple[str, ...]) -> list[Step]:
    view, identity = plan.view, plan.identity.ref if plan.identity else ""
    target = f"{view.id}/authConfigs/current"
    switch = Step(
        id=f"{label}/part-switch",
        kind="part-switch",
        target=target,
        app=view.id,
        change={
            "form": SIGN_IN,
            "drop": store["drop"],
            "put": store["put"],
            "secrets": store["secrets"],
            "identity": identity,
            "fingerprint": plan.auth,
            "loaders": [],
            "lane": view.environment,
        },
        undo={"restore": True},
        why="the token store can sign in with the app's identity, and its SAS URL never ends by itself",
        permission="Microsoft.App/containerApps/authConfigs/write",
        after=after,
    )
    prove = Step(
        id=f"{label}/part-prove",
        kind="part-prove",
        target=target,
        app=view.id,
        change={"form": SIGN_IN, "loaders": []},
        undo={},
        why="only a sign-in without a session cookie writes to the store",
        permission="Microsoft.App/containerApps/authConfigs/read",
        after=(switch.id,),
    )
    return [switch, prove]


def own_roles(plan: AppPlan) -> list[tuple[str, Grant]]:
    """Roles in services' own systems that the app's identity needs, each once: the service and the right."""
    found = {
        (grant.scope.lower(), grant.within, grant.role.name): (one.decision.service_id, grant)
        for one in plan.draft.swaps
        for grant in one.grants
        if not grant.role.id
    }
    return [found[key] for key in sorted(found)]


def own_role(system: str, grant: Grant) -> Json:
    """What a `data-role` step changes, but for who gets the role."""
    return {
        "system": system,
        "role": COSMOS_ROLES.get(grant.role.name, grant.role.name),
        "role_name": grant.role.name,
        "scope": grant.scope + grant.within,
        # Managed Redis takes letters and digits only
        "plain": system == "managed-redis",
        "existing": None,
        "data": True,
    }


def _who(view: AppView, chosen: Chosen) -> str:
    return f"{view.name}'s system identity" if chosen.ref == SYSTEM else chosen.name


def _within(scope: str) -> str:
    """A resource and the part of it, for people and step ids: `ns1.orders`."""
    parts = scope.rstrip("/").split("/")
    return ".".join(name for kind, name in zip(parts[7::2], parts[8::2], strict=False) if name != "default").lower()


def _why(secrets: list[Json], env: list[Json], texts: Json, registries: list[Json], swaps: int, revision: str) -> str:
    inline = sum(1 for entry in secrets if entry["was"] == "inline")
    told = [
        (
            inline,
            "inline secret becomes a reference under its name",
            "inline secrets become references, names unchanged",
        ),
        (len(env), "plaintext env value becomes a secret reference", "plaintext env values become secret references"),
        (swaps, "key gives way to the identity", "keys give way to the identity"),
        (
            len(texts.get("rules", ())),
            "key of a scale rule is given by auth",
            "keys of scale rules are given by auth",
        ),
        (
            len(texts.get("commands", ())),
            "script in a command reads a variable",
            "scripts in commands read variables",
        ),
        (len(registries), "registry is pulled from with the identity", "registries are pulled from with the identity"),
    ]
    parts = [f"{number} {one if number == 1 else many}" for number, one, many in told if number]
    effect = {
        "template": "one new revision",
        "suffix": "one new revision, so that a fresh replica pulls with the identity now and not at the next scaling",
        "none": "no new revision and no restart, because the values stay equal",
        "job": "the next execution uses it",
    }[revision]
    return f"{', '.join(parts)}, in one change: {effect}"
