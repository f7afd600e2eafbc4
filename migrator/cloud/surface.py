"""Reads what of Microsoft.App is no app: jobs with their executions, environments and what lies below them, pools.

A listing gives full documents, so that nothing is read twice; a subscription in which the inventory shows none of a kind
is not listed. What is refused becomes an entry of the estate's errors and hides nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from migrator.cloud import surroundings
from migrator.cloud.clients import APPS_VERSION
from migrator.cloud.inventory import CONNECTED, JOBS, POOLS, Row
from migrator.cloud.session import Session
from migrator.errors import CloudError, NotFoundError
from migrator.model import App, AppSecret, Json, Part, Resource, ResourceId
from scanners.model import Secret

OnError = surroundings.OnError
Of = Callable[[str], list[Row] | None]
"""The inventory's rows of a kind; None where Graph did not answer."""

JOB = surroundings.Documents("Microsoft.App/jobs", APPS_VERSION, Session.apps, "jobs")
POOL = surroundings.Documents("Microsoft.App/sessionPools", APPS_VERSION, Session.apps, "session pools")
CONNECTED_ENVIRONMENT = surroundings.Documents(
    "Microsoft.App/connectedEnvironments", APPS_VERSION, Session.apps, "connected environments"
)

BELOW = ("daprComponents", "storages", "certificates", "javaComponents", "dotNetComponents")
BELOW_CONNECTED = ("daprComponents", "storages", "certificates")
"""What an environment can hold that can hold a value; managed certificates have none."""


def job_documents(session: Session, ids: Sequence[str], groups: Sequence[str], of: Of, on_error: OnError) -> list[Json]:
    """All jobs in some subscriptions, and in some groups if any are named, in order of ids."""
    found = surroundings.read_kind(session, JOB, ids, of(JOBS), (), on_error, trusting=True)
    chosen = {group.lower() for group in groups}
    return [job.document for job in found if not chosen or ResourceId.parse(job.id).group.lower() in chosen]


def read_jobs(
    session: Session,
    documents: Sequence[Json],
    on_error: OnError,
    *,
    secrets: Callable[[Json], tuple[tuple[AppSecret, ...], bool]],
    executions: bool,
) -> tuple[App, ...]:
    """Jobs with their secrets and, if asked, their executions.

    Args:
        session: The session.
        documents: The jobs' documents.
        on_error: Told what could not be read.
        secrets: Reads the secrets of a document, as for apps: what was found, and whether it is complete.
        executions: Read the history: executions show the values they ran with.
    """

    def read(document: Json) -> App:
        job = str(document["id"])
        found, complete = secrets(document)
        kept: tuple[Json, ...] = ()
        if executions:
            try:
                kept = list_executions(session, job)
            except CloudError as error:
                on_error(job, error)
        return App(job, document, found, complete, kept)

    return tuple(session.map(read, documents))


def list_executions(session: Session, job: str) -> tuple[Json, ...]:
    """All executions of a job that Azure still knows, newest first."""
    return tuple(
        session.pages(
            session.apps(ResourceId.parse(job).subscription),
            f"{job}/executions",
            f"list the executions of the job {ResourceId.parse(job).name}",
            api_version=APPS_VERSION,
        )
    )


def read_parts(
    session: Session,
    ids: Sequence[str],
    groups: Sequence[str],
    environments: Iterable[Resource],
    apps: Sequence[Json],
    of: Of,
    on_error: OnError,
    *,
    sources: bool,
    listing: bool,
) -> tuple[Part, ...]:
    """Everything else of Microsoft.App that can hold a value, in order of ids.

    Args:
        session: The session.
        ids: Subscriptions in scope.
        groups: Resource groups in scope; empty means all.
        environments: Managed environments in scope, as read.
        apps: Documents of the apps in scope.
        of: The inventory.
        on_error: Told what could not be read.
        sources: Read each app's source controls too (a call for each app).
        listing: Call listSecrets on Dapr components that have secrets (written to the Activity Log by Azure).
    """
    chosen = {group.lower() for group in groups}

    def within(resource: Resource) -> bool:
        return not chosen or ResourceId.parse(resource.id).group.lower() in chosen

    found = [Part(environment.id, environment.document) for environment in environments]
    connected = [
        resource
        for resource in surroundings.read_kind(
            session, CONNECTED_ENVIRONMENT, ids, of(CONNECTED), (), on_error, trusting=True
        )
        if within(resource)
    ]
    pools = surroundings.read_kind(session, POOL, ids, of(POOLS), (), on_error, trusting=True)
    found += [Part(resource.id, resource.document) for resource in (*connected, *filter(within, pools))]
    paths = [f"{part.id}/{kind}" for part in found if _managed(part.id) for kind in BELOW]
    paths += [f"{resource.id}/{kind}" for resource in connected for kind in BELOW_CONNECTED]
    if sources:
        paths += [f"{app['id']}/sourcecontrols" for app in apps]

    def below(path: str) -> list[Part]:
        try:
            documents = session.pages(
                session.apps(ResourceId.parse(path.rpartition("/")[0]).subscription),
                path,
                f"list {path}",
                api_version=APPS_VERSION,
            )
        except NotFoundError:
            return []  # gone meanwhile, or a kind that this cloud does not have
        except CloudError as error:
            on_error(path, error)
            return []
        return [_part(session, document, on_error, listing=listing) for document in documents]

    for parts in session.map(below, paths):
        found += parts
    return tuple(sorted(found, key=lambda part: part.id.lower()))


def _managed(resource: str) -> bool:
    return ResourceId.parse(resource).kind.lower() == "managedenvironments"


def _part(session: Session, document: Json, on_error: OnError, *, listing: bool) -> Part:
    part = Part(str(document["id"]), document)
    named = (document.get("properties") or {}).get("secrets")
    if not listing or not named or not part.kind.endswith("/daprcomponents"):
        return part
    try:
        return Part(part.id, document, list_component_secrets(session, part.id))
    except CloudError as error:
        on_error(part.id, error)
        return part


def list_component_secrets(session: Session, component: str) -> tuple[AppSecret, ...]:
    """POST listSecrets of a Dapr component: names and values; there is no form with a vault reference."""
    answer = session.ask(
        session.apps(ResourceId.parse(component).subscription),
        "POST",
        f"{component}/listSecrets",
        f"list the secrets of the Dapr component {ResourceId.parse(component).name}",
        api_version=APPS_VERSION,
    )
    return tuple(
        AppSecret(str(entry["name"]), Secret(str(entry["value"])) if entry.get("value") is not None else None)
        for entry in answer.get("value") or []
    )
