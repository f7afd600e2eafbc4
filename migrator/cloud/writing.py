"""Changes the cloud, one verb a change. Each is safe to repeat, and says so where that takes care."""

from __future__ import annotations

import re
import uuid
from functools import partial
from typing import Any

from azure.core.rest import HttpResponse

from migrator.cloud import failures, reading, surroundings
from migrator.cloud.clients import APPS_VERSION
from migrator.cloud.session import BUSY_SECONDS, Session
from migrator.errors import CloudError, NotFoundError
from migrator.model import Json, ResourceId, RoleAssignment, same_id
from migrator.ports import WAITING, OnOperation

OPERATION_SECONDS = 1800.0
"""How long an operation is polled. The service's own PT15M is no upper bound: one took over 20 minutes (TRAFFIC 1)."""
PRINCIPAL_SECONDS = 300.0
"""How long a new principal may stay unknown to the role service."""
IDENTITY_SECONDS = 60.0
"""How long a new identity may stay without its principal id."""
_ENDS = {"succeeded": "Succeeded", "failed": "Failed", "canceled": "Canceled", "cancelled": "Canceled"}


# Apps


def patch_app(
    session: Session, app: str, body: Json, on_operation: OnOperation, *, patience: float | None = None
) -> Json:
    """PATCH an app (JSON merge), wait for the operation's end, and read the app as it then stands.

    Args:
        session: The cloud.
        app: ARM id.
        body: The merge document; arrays in it are whole arrays (FACTS 1.5).
        on_operation: Told the operation's URL before it is polled.
        patience: Seconds to wait for another operation's end; None for as long as one may take, 0 to send it once and
            leave every repetition to the caller.

    Raises:
        ReferenceRefusedError: a vault reference did not resolve.
        CloudError: refused, failed, or (transient) still in progress after half an hour.
    """
    name = app.rstrip("/").rsplit("/", 1)[-1]
    doing = f"change the app {name}"
    client = session.apps(ResourceId.parse(app).subscription)
    values = tuple(failures.strings_under_value(body))
    response = session.send(
        client,
        "PATCH",
        app,
        doing,
        api_version=APPS_VERSION,
        body=body,
        values=values,
        patience=BUSY_SECONDS if patience is None else patience,
        # a caller without patience holds its environment's lane: it goes out of it before it tries again
        options={"retry_total": 0} if patience == 0 else None,
    )
    _follow(session, response, doing, values, on_operation, app)
    return reading.get_app(session, app)


def put_and_wait(session: Session, path: str, body: Json, doing: str, version: str, on_operation: OnOperation) -> None:
    """PUT a resource of any provider, and follow its operation to the end if it has one.

    Raises:
        CloudError: refused or failed.
    """
    values = tuple(failures.strings_under_value(body))
    response = session.send(session.arm(), "PUT", path, doing, api_version=version, body=body, values=values)
    _follow(session, response, doing, values, on_operation, path)


def put_part(session: Session, part: str, body: Json, on_operation: OnOperation) -> None:
    """PUT a part of an app or an environment (a Dapr component, sign-in settings), and wait for its end."""
    doing = f"change {ResourceId.parse(part).name}"
    put_and_wait(session, part, body, doing, APPS_VERSION, on_operation)


def delete_and_wait(session: Session, path: str, doing: str, version: str) -> None:
    """DELETE a resource of any provider, and follow its operation to the end if it has one.

    Raises:
        CloudError: refused or failed.
    """
    response = session.send(session.arm(), "DELETE", path, doing, api_version=version)
    _follow(session, response, doing, (), lambda _url: None, path)


def _follow(
    session: Session,
    response: HttpResponse,
    doing: str,
    values: tuple[str, ...],
    on_operation: OnOperation,
    resource: str,
) -> None:
    """Follow what an accepted change of a resource started, if anything, to its end.

    Raises:
        CloudError: it failed.
    """
    url = _operation_url(response)
    if url is None:
        return
    on_operation(url)
    look = f"az resource show --ids {resource} --query properties.provisioningState"
    state, document = _poll(session, url, doing, _first_wait(response), look)
    if state != "Succeeded":
        raise failures.of_operation({**document, "status": document.get("status") or state}, doing, values)


def wait_operation(session: Session, url: str) -> str:
    """Poll an operation to its end: `Succeeded`, `Failed` or `Canceled`.

    Raises:
        NotFoundError: Azure no longer knows it.
        CloudError: (transient) still in progress after half an hour.
    """
    return _poll(session, url, "follow the operation", None, f"az rest --method get --url '{url}'")[0]


def _operation_url(response: HttpResponse) -> str | None:
    """Where an accepted write is followed: Azure-AsyncOperation, else Location; both occur, or one (TRAFFIC 1)."""
    return response.headers.get("Azure-AsyncOperation") or response.headers.get("Location")


def _first_wait(response: HttpResponse) -> float | None:
    text = response.headers.get("Retry-After")
    try:
        return min(60.0, max(0.0, float(text))) if text is not None else None
    except ValueError:
        return None


def _poll(session: Session, url: str, doing: str, wait: float | None, look: str) -> tuple[str, Json]:
    """Follow an operation; its end and the last document. `look` is the command that shows how it ends.

    Two forms: a status document (200, `status`), or `Location` (202 with perhaps a new Location, then 200 with the
    resource or 204). Retry-After is obeyed; without one, or with 0, waits grow from 50 ms to 5 s.
    """
    deadline = session.clock.now() + OPERATION_SECONDS
    own = 0.05
    WAITING.get()("Azure to carry it out")
    while True:
        pause = wait or own
        session.clock.sleep(pause)
        own = min(5.0, own * 1.6)
        response, document = session.call(doing, partial(_fetch, session, session.url(url)))
        wait = _first_wait(response)
        if response.status_code == 202:
            url = response.headers.get("Location") or url
        else:
            state = _state(response, document)
            if state is not None:
                return state, document
        if session.clock.now() > deadline:
            raise CloudError(
                f"could not {doing}",
                why=f"Azure still says it is in progress after {OPERATION_SECONDS / 60:.0f} minutes",
                hint=f"see how it ends: {look}; then: keylift resume latest",
                code="OperationInProgress",
                transient=True,
            )


def _fetch(session: Session, url: str) -> tuple[HttpResponse, Json]:
    response = session.once(session.arm(), "GET", url)
    # parsed here, inside the call, so that an answer which broke off is asked for again
    document = response.json() if response.text() else {}
    return response, document if isinstance(document, dict) else {}


def _state(response: HttpResponse, document: Json) -> str | None:
    """The end an answer tells of, None while in progress. A resource has no `status` of its own, a status document has."""
    if response.status_code == 204:
        return "Succeeded"
    told = document.get("status") or (document.get("properties") or {}).get("provisioningState") or "Succeeded"
    return _ENDS.get(str(told).lower())


def get_revision(session: Session, app: str, revision: str) -> Json:
    """One revision of an app."""
    client = session.apps(ResourceId.parse(app).subscription)
    return session.get(client, f"{app}/revisions/{revision}", f"read the revision {revision}", api_version=APPS_VERSION)


def list_replicas(session: Session, app: str, revision: str) -> tuple[Json, ...]:
    """The replicas of one revision."""
    client = session.apps(ResourceId.parse(app).subscription)
    path = f"{app}/revisions/{revision}/replicas"
    return tuple(session.pages(client, path, f"list the replicas of {revision}", api_version=APPS_VERSION))


def revision_action(session: Session, app: str, revision: str, action: str) -> None:
    """Restart, activate or deactivate a revision; synchronous, and the same when done twice (TRAFFIC 6)."""
    client = session.apps(ResourceId.parse(app).subscription)
    path = f"{app}/revisions/{revision}/{action}"
    session.send(client, "POST", path, f"{action} the revision {revision}", api_version=APPS_VERSION)


# Identities


def get_identity(session: Session, identity: str) -> Json | None:
    """A user-assigned identity, or None."""
    try:
        return surroundings.IDENTITY.one(session, identity)
    except NotFoundError:
        return None


def put_identity(session: Session, identity: str, location: str, tags: dict[str, str]) -> Json:
    """Make a user-assigned identity, and wait until Azure tells its principal id.

    Raises:
        CloudError: refused, or (transient) still without a principal id after a minute.
    """
    parts = ResourceId.parse(identity)
    client = session.identities(parts.subscription)
    document: Json = session.call(
        f"make the identity {parts.name}",
        lambda: client.user_assigned_identities.create_or_update(
            parts.group, parts.name, {"location": location, "tags": tags}, cls=surroundings.raw
        ),
    )
    deadline = session.clock.now() + IDENTITY_SECONDS
    wait = 0.1
    if not (document.get("properties") or {}).get("principalId"):
        WAITING.get()("Azure to tell the new identity's principal id")
    while not (document.get("properties") or {}).get("principalId"):
        if session.clock.now() > deadline:
            raise CloudError(
                f"could not make the identity {parts.name}",
                why="Azure has not told its principal id within a minute",
                hint=f"see whether it has one by now: az identity show --ids {identity} --query principalId; "
                "then run the command again",
                code="NoPrincipal",
                transient=True,
            )
        session.clock.sleep(wait)
        wait = min(5.0, wait * 2)
        document = get_identity(session, identity) or document
    return document


def delete_identity(session: Session, identity: str) -> None:
    """Delete a user-assigned identity; one that is gone is a success."""
    parts = ResourceId.parse(identity)
    client = session.identities(parts.subscription)
    try:
        session.call(
            f"delete the identity {parts.name}",
            lambda: client.user_assigned_identities.delete(parts.group, parts.name),
        )
    except NotFoundError:
        return


# Role assignments


def list_assignments(
    session: Session, scope: str, principal_id: str | None = None, *, groups: bool = False
) -> tuple[RoleAssignment, ...]:
    """Role assignments at and above a scope, of one principal if given; in order of ids.

    The filters of principals also give what lies below, so that is taken out here (CORRECTIONS 4.4). With `groups`, what
    is assigned to a group that the principal is in, through other groups too, is among them: `assignedTo`.
    """
    client = session.authorization(_subscription(scope))
    query = "atScope()"
    if principal_id:
        query = f"assignedTo('{principal_id}')" if groups else f"principalId eq '{principal_id}'"
    models = session.call(
        f"list the role assignments at {scope}",
        lambda: list(client.role_assignments.list_for_scope(scope.strip("/"), filter=query)),
    )
    found = {a.id.lower(): a for a in map(surroundings.assignment_of, models) if surroundings.covers(a.scope, scope)}
    return tuple(found[key] for key in sorted(found))


def put_assignment(
    session: Session, scope: str, name: str, role: str, principal_id: str, description: str
) -> tuple[RoleAssignment, bool]:
    """Assign a role; True if the assignment is this caller's, False if somebody else's was there.

    One with the same name and description is this caller's, made by a call whose answer was lost. A name that another
    principal holds (an identity that was deleted and made again) gives way to a fresh one.

    Args:
        session: The cloud.
        scope: Where.
        name: GUID of the assignment.
        role: GUID of the role definition.
        principal_id: Object id of the identity.
        description: Goes into the assignment; names the run that made it.

    Raises:
        DeniedError: the operator may not assign it.
        CloudError: anything else; transient if the principal stays unknown.
    """
    subscription = _subscription(scope)
    client = session.authorization(subscription)
    body = {
        "properties": {
            "roleDefinitionId": f"/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions/{role}",
            "principalId": principal_id,
            # without it, a principal that is not yet replicated is refused for much longer (FACTS 3.6)
            "principalType": "ServicePrincipal",
            "description": description,
        }
    }
    deadline = session.clock.now() + PRINCIPAL_SECONDS
    wait, renamed = 0.5, 0
    while True:
        try:
            action = partial(client.role_assignments.create, scope.strip("/"), name, _content(body), content_type=_JSON)
            made = session.call(f"assign the role {role} at {scope}", action)
        except CloudError as error:
            failure = error
        else:
            return surroundings.assignment_of(made), True
        if failure.code == "RoleAssignmentExists":
            existing = _existing(session, scope, role, principal_id, failure.why)
            if existing is None:
                raise failure
            assignment, said = existing
            same = assignment.id.rstrip("/").rsplit("/", 1)[-1].lower() == name.lower() and said == description
            return assignment, same
        if failure.code == "RoleAssignmentUpdateNotPermitted" and renamed < 3:
            name, renamed = session.fresh_guid(), renamed + 1
            continue
        if failure.code != "PrincipalNotFound":
            raise failure
        if session.clock.now() + wait > deadline:
            failure.why += f", {PRINCIPAL_SECONDS / 60:.0f} minutes after it was made"
            failure.hint = (
                f"see whether the directory has it: az ad sp show --id {principal_id}; then run the command again"
            )
            raise failure
        WAITING.get()("the role service to know the new identity")
        session.clock.sleep(wait * session.dice.uniform(0.5, 1.0))
        wait = min(10.0, wait * 2)


_JSON = "application/json"


def _content(body: Json) -> Any:
    """A body as the bytes stream that the SDK sends as it stands; its model would leave nothing else through."""
    import io
    import json

    return io.BytesIO(json.dumps(body).encode())


def _existing(
    session: Session, scope: str, role: str, principal_id: str, message: str
) -> tuple[RoleAssignment, str] | None:
    """The assignment of a triple that is there already, and its description.

    The message may end in its id, 32 digits without dashes, or name none (TRAFFIC 7); then it is looked for.
    """
    client = session.authorization(_subscription(scope))

    def fits(model: Any) -> bool:
        found = surroundings.assignment_of(model)
        return found.role == role.lower() and found.principal_id == principal_id.lower() and same_id(found.scope, scope)

    named = re.search(r"\b([0-9a-f]{32})\b", message, re.IGNORECASE)
    models: list[Any] = []
    if named:
        guid = str(uuid.UUID(named[1]))
        try:
            models = [
                session.call(
                    f"read the role assignment {guid}", lambda: client.role_assignments.get(scope.strip("/"), guid)
                )
            ]
        except CloudError:
            models = []
    if not any(map(fits, models)):
        models = session.call(
            f"list the role assignments at {scope}",
            lambda: list(
                client.role_assignments.list_for_scope(scope.strip("/"), filter=f"principalId eq '{principal_id}'")
            ),
        )
    match = next((model for model in models if fits(model)), None)
    return (surroundings.assignment_of(match), str(match.description or "")) if match is not None else None


def delete_assignment(session: Session, assignment: str) -> None:
    """Delete a role assignment; one that is gone is a success (204 or 404)."""
    client = session.authorization(_subscription(assignment))
    try:
        session.call(
            f"delete the role assignment {assignment.rsplit('/', 1)[-1]}",
            lambda: client.role_assignments.delete_by_id(assignment.strip("/")),
        )
    except NotFoundError:
        return


def _subscription(scope: str) -> str:
    found = re.match(r"/subscriptions/([^/]+)", scope, re.IGNORECASE)
    if found is None:
        raise CloudError(
            f"will not work on the scope {scope}",
            why="it is above all subscriptions, and keylift never assigns above a resource",
            hint="name the resource itself",
            code="ScopeTooWide",
        )
    return found[1]
