"""Container registries as far as a contract touches them: the admin user, and who still pulls with a password."""

from __future__ import annotations

from migrator.cloud import surroundings
from migrator.cloud.clients import APPS_VERSION, REGISTRIES_VERSION
from migrator.cloud.inventory import subscriptions
from migrator.cloud.session import Session
from migrator.errors import CloudError
from migrator.model import Json, ResourceId


def get_registry(session: Session, registry: str) -> Json:
    """A registry's document.

    Raises:
        NotFoundError: it is gone.
    """
    return surroundings.REGISTRY.one(session, registry)


def set_admin(session: Session, registry: str, *, enabled: bool) -> Json:
    """Turn the admin user on or off, and read the registry as it then stands; the same when done twice."""
    parts = ResourceId.parse(registry)
    session.send(
        session.registries(parts.subscription),
        "PATCH",
        registry,
        f"turn the admin user of the registry {parts.name} {'on' if enabled else 'off'}",
        api_version=REGISTRIES_VERSION,
        body={"properties": {"adminUserEnabled": enabled}},
    )
    return get_registry(session, registry)


def password_pullers(session: Session, server: str, username: str) -> tuple[str, ...]:
    """Ids of apps and jobs, of every subscription that can be seen, that pull from `server` with a password.

    An entry counts when its user is `username` or is not named.

    Raises:
        CloudError: a subscription could not be listed: then nobody knows.
    """
    wanted = _host(server)
    found: set[str] = set()
    for subscription in subscriptions(session):
        client = session.apps(subscription.id)
        for kind, plural in (("containerApps", "container apps"), ("jobs", "jobs")):
            path = f"/subscriptions/{subscription.id}/providers/Microsoft.App/{kind}"
            doing = f"list the {plural} of subscription {subscription.id}"
            try:
                listed = session.pages(client, path, doing, api_version=APPS_VERSION)
            except CloudError as error:
                if error.code == "MissingSubscriptionRegistration":
                    continue  # a subscription in which nobody uses the provider has none
                raise
            found |= {str(document["id"]) for document in listed if _pulls(document, wanted, username)}
    return tuple(sorted(found, key=str.lower))


def _pulls(document: Json, server: str, username: str) -> bool:
    entries = ((document.get("properties") or {}).get("configuration") or {}).get("registries") or []
    return any(
        _host(str(entry.get("server") or "")) == server
        and bool(entry.get("passwordSecretRef"))
        and str(entry.get("username") or username).lower() == username.lower()
        for entry in entries
    )


def _host(server: str) -> str:
    return server.lower().removeprefix("https://").rstrip("/").removesuffix(":443")
