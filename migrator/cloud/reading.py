"""Reads an estate: inventory by Resource Graph, documents from the listings, values by listSecrets.

A listing of apps gives each app's full document, so no app is read twice. What one resource refuses becomes an entry
in `Estate.errors` and hides nothing else.
"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from migrator.cloud import account, memberships, surface, surroundings, vaults
from migrator.cloud.clients import APPS_VERSION
from migrator.cloud.inventory import (
    APPS,
    ENVIRONMENTS,
    IDENTITIES,
    REGISTRIES,
    VAULTS,
    Row,
    Subscription,
    subscriptions,
    try_inventory,
)
from migrator.cloud.session import Session
from migrator.errors import CloudError, DeniedError, NotFoundError, UsageError
from migrator.model import App, AppSecret, Estate, Json, Resource, ResourceId, Vault, is_job, same_id
from scanners.model import Secret

Progress = Callable[[str, int, int], None]
"""Told what is being read, how many are done, and how many there are."""

MANY = 50
"""Subscriptions up to which each is listed whatever Graph says, so that its staleness hides no new app."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What to read: empty means all."""

    subscriptions: tuple[str, ...] = ()
    """Ids or names."""
    resource_groups: tuple[str, ...] = ()
    apps: tuple[str, ...] = ()
    """Names or ids of container apps."""


def read_estate(
    session: Session,
    scope: Scope,
    *,
    with_secrets: bool = True,
    with_revisions: bool = False,
    with_auth: bool = False,
    with_access: bool = False,
    vault: str | None = None,
    progress: Progress = lambda _what, _done, _all: None,
    on_app: Callable[[App], None] = lambda _app: None,
) -> Estate:
    """Read what is in scope.

    Args:
        session: The cloud.
        scope: Which part of it.
        with_secrets: Call listSecrets on each app that has secrets (written to the Activity Log by Azure).
        with_revisions: List each app's revisions, to see what old ones still show.
        with_auth: Read each app's authConfigs/current.
        with_access: Read environments, identities, role assignments and definitions, groups that hold some, and locks
            too.
        vault: Name or id of the one vault to read; None reads all in scope, if `with_access`.
        progress: Told how far reading is.
        on_app: Told each app when it was read, from any thread; what it raises ends the reading.

    Raises:
        UsageError: a subscription, app or vault that is named does not exist; near matches are named.
        SignInError: no credential works.
        CloudError: not even the subscriptions could be listed.
    """
    within = subscriptions(session, scope.subscriptions)
    ids = [s.id for s in within]
    rows = try_inventory(session, within)
    errors = _Errors()

    def of(kind: str) -> list[Row] | None:
        return None if rows is None else [row for row in rows if row.kind == kind]

    documents = _app_documents(session, ids, scope.resource_groups, rows, errors)
    jobs = surface.job_documents(session, ids, scope.resource_groups, of, errors.add)
    chosen = _chosen([*documents, *jobs], scope.apps)
    documents = [document for document in chosen if not is_job(str(document["id"]))]
    apps = _read_apps(
        session, documents, errors, progress, on_app, secrets=with_secrets, revisions=with_revisions, auth=with_auth
    )
    with_jobs = surface.read_jobs(
        session,
        [document for document in chosen if is_job(str(document["id"]))],
        errors.add,
        secrets=lambda document: _secrets_of(session, document, errors, listing=with_secrets),
        executions=with_revisions,
    )
    environments = _environments(session, ids, scope, [w.document for w in (*apps, *with_jobs)], of, errors)
    # the scope of named apps is those apps
    parts = (
        ()
        if scope.apps
        else surface.read_parts(
            session,
            ids,
            scope.resource_groups,
            environments,
            documents,
            of,
            errors.add,
            sources=with_auth,
            listing=with_secrets,
        )
    )
    registries = _in_scope(
        # a scan costs no listing where there is no registry; a registry of the last minutes is seen by the next one
        surroundings.read_kind(session, surroundings.REGISTRY, ids, of(REGISTRIES), (), errors.add, trusting=True),
        scope.resource_groups,
        (*apps, *with_jobs),
    )
    target = _target(session, vault, within, of(VAULTS)) if vault else None
    estate = Estate(
        cloud=session.profile.name,
        tenant=within[0].tenant,
        subscriptions=tuple(ids),
        apps=apps,
        jobs=with_jobs,
        parts=parts,
        environments=environments,
        registries=registries,
        vaults=(target,) if target else (),
        errors=errors.ordered(),
    )
    return _with_access(session, estate, of, target, errors) if with_access else estate


def _target(session: Session, vault: str, within: Sequence[Subscription], rows: list[Row] | None) -> Vault:
    """The vault of `--vault`; the scope of a scan does not bind it, so a name is looked for everywhere in the end."""
    try:
        return vaults.find_vault(session, vault, within=within, rows=rows)
    except UsageError:
        return vaults.find_vault(session, vault)


def _with_access(
    session: Session, estate: Estate, of: Callable[[str], list[Row] | None], target: Vault | None, errors: _Errors
) -> Estate:
    ids = estate.subscriptions
    documents = [app.document for app in estate.workloads]
    documents += [environment.document for environment in estate.environments]
    many = len(ids) > MANY
    attached = [key for document in documents for key in attached_identities(document)]
    identities = surroundings.read_kind(
        session, surroundings.IDENTITY, ids, of(IDENTITIES), attached, errors.add, trusting=many
    )
    found: tuple[Vault, ...]
    if target is None:
        read = surroundings.read_kind(session, surroundings.VAULT, ids, of(VAULTS), (), errors.add, trusting=many)
        found = tuple(Vault(resource.id, resource.document) for resource in read)
    else:
        found = (target,)
    # assignments at a vault of another subscription are listed there
    around = sorted({*ids, *(ResourceId.parse(v.id).subscription.lower() for v in found)})
    assignments = surroundings.read_assignments(session, around, errors.add)
    denials = surroundings.read_denials(session, around, errors.add)
    whole = replace(estate, identities=identities, vaults=found)
    operator = account.account(session).object_id.lower()
    groups, denials = memberships.read(session, around, whole.principals, assignments, denials, operator, errors.add)
    return replace(
        whole,
        assignments=assignments,
        groups=groups,
        operator=operator,
        roles=surroundings.read_roles(session, around, assignments, errors.add),
        denials=denials,
        locks=surroundings.read_locks(session, around, errors.add),
        errors=errors.ordered(),
    )


# Apps


def _environments(
    session: Session,
    ids: Sequence[str],
    scope: Scope,
    documents: Sequence[Json],
    of: Callable[[str], list[Row] | None],
    errors: _Errors,
) -> tuple[Resource, ...]:
    """The environments in scope: all of the subscriptions, or those of the named groups, and what the apps run in."""
    homes = {home.lower() for home in map(environment_of, documents) if home}
    read = surroundings.read_kind(
        session,
        surroundings.ENVIRONMENT,
        ids,
        of(ENVIRONMENTS),
        sorted(homes),
        errors.add,
        trusting=True,
    )
    groups = {group.lower() for group in scope.resource_groups}
    return tuple(
        environment
        for environment in read
        if environment.id.lower() in homes
        or (not scope.apps and (not groups or ResourceId.parse(environment.id).group.lower() in groups))
    )


def _app_documents(
    session: Session, ids: Sequence[str], groups: Sequence[str], rows: list[Row] | None, errors: _Errors
) -> list[Json]:
    """Documents of all apps in scope, in order of ids, each once."""
    apps = None if rows is None else [row for row in rows if row.kind == APPS]
    places: list[tuple[str, str | None]]
    if groups:
        places = [(s, g) for s in ids for g in groups]
        if apps is not None and len(places) > MANY:
            there = {(row.subscription, row.group.lower()) for row in apps}
            places = [(s, g) for s, g in places if (s, str(g).lower()) in there]
    else:
        chosen = ids if apps is None or len(ids) <= MANY else sorted({row.subscription for row in apps})
        places = [(s, None) for s in chosen]
    found: dict[str, Json] = {}
    for documents in session.map(lambda place: _listing(session, *place, apps, errors), places):
        for document in documents:
            found[str(document["id"]).lower()] = document
    return [found[key] for key in sorted(found)]


def _listing(
    session: Session, subscription: str, group: str | None, apps: list[Row] | None, errors: _Errors
) -> list[Json]:
    """The apps of a subscription or group; without the right to list there, each that the inventory shows by itself."""
    where = f"/subscriptions/{subscription}" + (f"/resourceGroups/{group}" if group else "")
    try:
        return session.pages(
            session.apps(subscription),
            f"{where}/providers/Microsoft.App/containerApps",
            f"list the container apps of {where}",
            api_version=APPS_VERSION,
        )
    except NotFoundError as error:
        if group is None:
            errors.add(where, error)
        return []  # a group of that name is in another subscription
    except DeniedError as error:
        shown = [
            row
            for row in apps or ()
            if row.subscription == subscription and (group is None or row.group.lower() == group.lower())
        ]
        if apps is None:
            errors.add(where, error)
        if group is None and len({row.group.lower() for row in shown}) < len(shown):
            # rights usually end at a group: fewer calls than one for each app
            names = {row.group.lower(): row.group for row in shown}
            return [d for name in sorted(names.values()) for d in _listing(session, subscription, name, apps, errors)]
        return [document for row in shown if (document := _one(session, row, errors)) is not None]
    except CloudError as error:
        errors.add(where, error)
        return []


def _one(session: Session, row: Row, errors: _Errors) -> Json | None:
    try:
        return session.get(session.apps(row.subscription), row.id, f"read the app {row.name}", api_version=APPS_VERSION)
    except NotFoundError:
        return None  # the inventory is minutes behind
    except CloudError as error:
        errors.add(row.id, error)
        return None


def _chosen(documents: list[Json], names: Sequence[str]) -> list[Json]:
    """Those of the named apps; all if none is named."""
    if not names:
        return documents
    wanted: dict[str, Json] = {}
    for name in names:
        matches = [d for d in documents if same_id(d["id"], name) or str(d["name"]).lower() == name.lower()]
        if not matches:
            known = sorted({str(d["name"]) for d in documents})
            near = difflib.get_close_matches(name.rsplit("/", 1)[-1], known, n=3, cutoff=0.5)
            raise UsageError(
                f"--app {name}: there is no such container app in scope",
                why="in scope: "
                + (", ".join(known[:20]) + (" …" if len(known) > 20 else "") if known else "no app at all"),
                hint=f"did you mean {' or '.join(near)}?" if near else "az containerapp list --output table",
            )
        wanted.update((str(d["id"]).lower(), d) for d in matches)
    return [wanted[key] for key in sorted(wanted)]


def _read_apps(
    session: Session,
    documents: list[Json],
    errors: _Errors,
    progress: Progress,
    on_app: Callable[[App], None],
    *,
    secrets: bool,
    revisions: bool,
    auth: bool,
) -> tuple[App, ...]:
    def read(document: Json) -> App:
        app = str(document["id"])
        found, complete = _secrets_of(session, document, errors, listing=secrets)
        kept: tuple[Json, ...] = ()
        if revisions:
            try:
                latest = str((document.get("properties") or {}).get("latestRevisionName") or "")
                kept = tuple(r for r in list_revisions(session, app) if str(r.get("name")) != latest)
            except CloudError as error:
                errors.add(app, error)
        config: Json | None = None
        if auth:
            try:
                config = get_auth(session, app)
            except CloudError as error:
                errors.add(app, error)
        whole = App(app, document, found, complete, kept, config)
        on_app(whole)
        return whole

    total = len(documents)
    if total:
        progress("apps", 0, total)
    return tuple(session.map(read, documents, done=lambda number: progress("apps", number, total)))


def _secrets_of(
    session: Session, document: Json, errors: _Errors, *, listing: bool
) -> tuple[tuple[AppSecret, ...], bool]:
    """The secrets of an app or job, and whether all is known of them that there is."""
    found = named_secrets(document)
    if found and listing:
        try:
            return list_secrets(session, str(document["id"])), True
        except CloudError as error:
            errors.add(str(document["id"]), error)
    return found, not found


def named_secrets(document: Json) -> tuple[AppSecret, ...]:
    """An app's secrets as far as its document tells: names, and references where shown; no values."""
    entries = ((document.get("properties") or {}).get("configuration") or {}).get("secrets") or []
    return tuple(_secret(entry) for entry in entries)


def _secret(entry: Json) -> AppSecret:
    value = entry.get("value")
    return AppSecret(
        name=str(entry["name"]),
        value=Secret(str(value)) if value is not None else None,
        # "" counts as absent (TRAFFIC, section 4)
        key_vault_url=entry.get("keyVaultUrl") or None,
        identity=entry.get("identity") or None,
    )


def get_app(session: Session, app: str) -> Json:
    """GET an app."""
    subscription = ResourceId.parse(app).subscription
    return session.get(session.apps(subscription), app, f"read the app {_name(app)}", api_version=APPS_VERSION)


def list_secrets(session: Session, app: str) -> tuple[AppSecret, ...]:
    """POST listSecrets: inline values, and for references the values they resolve to (CORRECTIONS, section 1.4)."""
    answer = session.ask(
        session.apps(ResourceId.parse(app).subscription),
        "POST",
        f"{app}/listSecrets",
        f"list the secrets of the app {_name(app)}",
        api_version=APPS_VERSION,
    )
    return tuple(_secret(entry) for entry in answer.get("value") or [])


def list_revisions(session: Session, app: str) -> tuple[Json, ...]:
    """All kept revisions of an app, inactive ones included, in the order Azure gives."""
    return tuple(
        session.pages(
            session.apps(ResourceId.parse(app).subscription),
            f"{app}/revisions",
            f"list the revisions of the app {_name(app)}",
            api_version=APPS_VERSION,
        )
    )


def get_auth(session: Session, app: str) -> Json | None:
    """An app's authConfigs/current, or None."""
    try:
        return session.get(
            session.apps(ResourceId.parse(app).subscription),
            f"{app}/authConfigs/current",
            f"read the sign-in settings of the app {_name(app)}",
            api_version=APPS_VERSION,
        )
    except NotFoundError as error:
        if error.code == "ResourceNotFound" and "authconfigs" not in error.why.lower():
            raise  # the app itself is gone
        return None


def environment_of(document: Json) -> str | None:
    """Id of the environment an app runs in; older documents say managedEnvironmentId only."""
    properties = document.get("properties") or {}
    found = properties.get("environmentId") or properties.get("managedEnvironmentId")
    return str(found) if found else None


def attached_identities(document: Json) -> list[str]:
    """Ids of the user-assigned identities an app carries."""
    return list(((document.get("identity") or {}).get("userAssignedIdentities")) or {})


def _in_scope(registries: tuple[Resource, ...], groups: Sequence[str], apps: Sequence[App]) -> tuple[Resource, ...]:
    """Registries of the named groups, and those the apps pull from; all without named groups."""
    if not groups:
        return registries
    chosen = {group.lower() for group in groups}
    servers = {
        str(entry.get("server") or "").lower()
        for app in apps
        for entry in ((app.document.get("properties") or {}).get("configuration") or {}).get("registries") or []
    }
    return tuple(
        registry
        for registry in registries
        if ResourceId.parse(registry.id).group.lower() in chosen
        or str((registry.document.get("properties") or {}).get("loginServer") or "").lower() in servers
    )


def _name(resource: str) -> str:
    return resource.rstrip("/").rsplit("/", 1)[-1]


class _Errors:
    """What could not be read, gathered from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[Json] = []

    def add(self, where: str, error: CloudError) -> None:
        what = f"{error.what}: {error.why}" if error.why else error.what
        with self._lock:
            self._entries.append({"where": where, "what": what, "hint": error.hint})

    def ordered(self) -> tuple[Json, ...]:
        """All entries, always in the same order, each once."""
        unique: dict[tuple[Any, ...], Json] = {(e["where"].lower(), e["what"]): e for e in self._entries}
        return tuple(unique[key] for key in sorted(unique))
