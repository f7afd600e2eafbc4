"""The one implementation of `migrator.ports.Cloud`: reading and writing put together, each verb one call."""

from __future__ import annotations

from migrator.cloud import (
    activity,
    container_logs,
    data_roles,
    reading,
    registries,
    surface,
    surroundings,
    vaults,
    writing,
)
from migrator.cloud.clients import LOCKS_VERSION
from migrator.cloud.session import Session
from migrator.errors import DeniedError
from migrator.model import AppSecret, DataRole, Json, Lock, Permission, ResourceId, RoleAssignment, VaultSecret, is_job
from migrator.ports import OnOperation
from scanners.model import Secret


class AzureCloud:
    """Azure as steps see it. The meaning of each verb stands in `migrator.ports.Cloud`."""

    def __init__(self, session: Session) -> None:
        """Work through a session; the caller closes it."""
        self._session = session
        self.name = session.profile.name

    def get_app(self, app: str) -> Json:
        return reading.get_app(self._session, app)

    def get_app_secrets(self, app: str) -> tuple[AppSecret, ...]:
        return reading.list_secrets(self._session, app)

    def patch_app(self, app: str, body: Json, on_operation: OnOperation, *, patience: float | None = None) -> Json:
        return writing.patch_app(self._session, app, body, on_operation, patience=patience)

    def get_part(self, part: str) -> Json:
        return reading.get_app(self._session, part)

    def put_part(self, part: str, body: Json, on_operation: OnOperation) -> None:
        writing.put_part(self._session, part, body, on_operation)

    def wait_operation(self, url: str) -> str:
        return writing.wait_operation(self._session, url)

    def list_revisions(self, app: str) -> tuple[Json, ...]:
        if is_job(app):
            return surface.list_executions(self._session, app)
        return reading.list_revisions(self._session, app)

    def get_revision(self, app: str, revision: str) -> Json:
        return writing.get_revision(self._session, app, revision)

    def list_replicas(self, app: str, revision: str) -> tuple[Json, ...]:
        return writing.list_replicas(self._session, app, revision)

    def tail_log(self, app: str, endpoint: str) -> tuple[str, ...]:
        return container_logs.tail(self._session, app, endpoint)

    def revision_action(self, app: str, revision: str, action: str) -> None:
        writing.revision_action(self._session, app, revision, action)

    def get_auth(self, app: str) -> Json | None:
        return None if is_job(app) else reading.get_auth(self._session, app)

    def get_identity(self, identity: str) -> Json | None:
        return writing.get_identity(self._session, identity)

    def put_identity(self, identity: str, location: str, tags: dict[str, str]) -> Json:
        return writing.put_identity(self._session, identity, location, tags)

    def delete_identity(self, identity: str) -> None:
        writing.delete_identity(self._session, identity)

    def list_assignments(
        self, scope: str, principal_id: str | None = None, *, groups: bool = False
    ) -> tuple[RoleAssignment, ...]:
        return writing.list_assignments(self._session, scope, principal_id, groups=groups)

    def last_change(self, resource: str, since: float) -> Json | None:
        return activity.last_change(self._session, resource, since)

    def ahead(self) -> float:
        return self._session.transport.ahead

    def put_assignment(
        self, scope: str, name: str, role: str, principal_id: str, description: str
    ) -> tuple[RoleAssignment, bool]:
        return writing.put_assignment(self._session, scope, name, role, principal_id, description)

    def delete_assignment(self, assignment: str) -> None:
        writing.delete_assignment(self._session, assignment)

    def list_data_roles(self, system: str, resource: str) -> tuple[DataRole, ...]:
        return data_roles.found(self._session, system, resource)

    def data_role_id(self, system: str, resource: str, name: str) -> str:
        return data_roles.named(system, resource, name)

    def put_data_role(self, system: str, role: DataRole, on_operation: OnOperation) -> None:
        data_roles.put(self._session, system, role, on_operation)

    def delete_data_role(self, system: str, assignment: str) -> None:
        data_roles.delete(self._session, system, assignment)

    def get_secret(self, vault_uri: str, name: str, version: str | None = None) -> tuple[Secret, VaultSecret] | None:
        return vaults.get_secret(self._session, vault_uri, name, version)

    def describe_secret(self, vault_uri: str, name: str) -> VaultSecret | None:
        return vaults.describe_secret(self._session, vault_uri, name)

    def list_secret_versions(self, vault_uri: str, name: str) -> tuple[VaultSecret, ...]:
        return vaults.list_secret_versions(self._session, vault_uri, name)

    def set_secret(self, vault_uri: str, name: str, value: Secret, tags: dict[str, str]) -> str:
        return vaults.set_secret(self._session, vault_uri, name, value, tags)

    def update_secret(
        self, vault_uri: str, name: str, version: str, *, enabled: bool, tags: dict[str, str] | None = None
    ) -> None:
        vaults.update_secret(self._session, vault_uri, name, version, enabled=enabled, tags=tags)

    def get_registry(self, registry: str) -> Json:
        return registries.get_registry(self._session, registry)

    def set_registry_admin(self, registry: str, *, enabled: bool) -> Json:
        return registries.set_admin(self._session, registry, enabled=enabled)

    def password_pullers(self, server: str, username: str) -> tuple[str, ...]:
        return registries.password_pullers(self._session, server, username)

    def get_vault(self, vault: str) -> Json:
        return surroundings.VAULT.one(self._session, vault)

    def locks(self, scope: str) -> tuple[Lock, ...]:
        subscription = ResourceId.parse(scope).subscription if scope.count("/") >= 8 else scope.split("/")[2]
        path = "/providers/Microsoft.Authorization/locks"
        doing = f"list the locks at {scope}"
        try:
            # the subscription's listing holds them all; what lies at or above the scope is chosen here
            found = self._session.pages(
                self._session.arm(), f"/subscriptions/{subscription}{path}", doing, api_version=LOCKS_VERSION
            )
        except DeniedError:
            found = self._session.pages(
                self._session.arm(), f"{scope.rstrip('/')}{path}", doing, api_version=LOCKS_VERSION
            )
        locks = map(surroundings.lock_of, found)
        return tuple(
            sorted((lock for lock in locks if surroundings.covers(lock.scope, scope)), key=lambda lock: lock.id)
        )

    def permissions(self, scope: str) -> tuple[Permission, ...]:
        return surroundings.permissions_at(self._session, scope)
