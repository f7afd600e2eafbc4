"""Vaults: finding one, and its data plane (secrets, their versions, what is soft-deleted)."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from migrator.cloud import failures, surroundings
from migrator.cloud.inventory import VAULTS, Row, Subscription, inventory, subscriptions
from migrator.cloud.session import Session
from migrator.errors import CloudError, DeniedError, NotFoundError, UsageError
from migrator.model import ResourceId, Vault, VaultSecret
from migrator.ports import WAITING
from scanners.model import Fingerprinter, Secret, reveal

if TYPE_CHECKING:
    from azure.keyvault.secrets import DeletedSecret, SecretProperties

OURS = "keylift"
"""Tags whose key is this, or begins with it and a dash, are keylift's."""
FEW = 10
"""Secrets up to which each is asked for by name; above, the vault's listing tells first which exist."""
DENIED = frozenset({"ForbiddenByRbac", "AccessDenied"})


def find_vault(
    session: Session,
    vault: str,
    *,
    within: Sequence[Subscription] | None = None,
    rows: Sequence[Row] | None = None,
) -> Vault:
    """The vault of a name or an ARM id; a name is looked for in the subscriptions of `within`, by default in all.

    Args:
        session: The cloud.
        vault: Name or id.
        within: Where to look.
        rows: The inventory's vaults, if they were read already.

    Raises:
        UsageError: there is none of that name, or several; near matches are named.
        CloudError: it could not be read.
    """
    if vault.startswith("/"):
        try:
            parts = ResourceId.parse(vault)
        except ValueError:
            parts = None
        if parts is None or parts.kind.lower() != "vaults":
            raise UsageError(
                f"--vault {vault}: not the id of a vault", hint="give its name or its id: az keyvault list"
            )
        return _vault(session, vault)
    chosen = subscriptions(session) if within is None else list(within)
    known = rows
    if known is None:
        try:
            known = inventory(session, chosen, (VAULTS,))
        except CloudError:
            known = ()
    names = {row.id.lower(): row.id for row in known}
    if not any(_named(identifier, vault) for identifier in names.values()):
        # made a minute ago, perhaps: the inventory is stale, listings are not
        for listed in session.map(lambda s: _listed(session, s.id), chosen):
            names.update((identifier.lower(), identifier) for identifier in listed)
    matches = [identifier for _, identifier in sorted(names.items()) if _named(identifier, vault)]
    if not matches:
        known_names = sorted({ResourceId.parse(identifier).name for identifier in names.values()})
        near = difflib.get_close_matches(vault, known_names, n=3, cutoff=0.5)
        raise UsageError(
            f"--vault {vault}: there is no such vault in the subscriptions in scope",
            why="there are: " + (", ".join(known_names[:20]) or "none"),
            hint=f"did you mean {' or '.join(near)}?"
            if near
            else "make one: az keyvault create --enable-rbac-authorization",
        )
    return _vault(session, matches[0])


def _named(identifier: str, name: str) -> bool:
    return identifier.rstrip("/").rsplit("/", 1)[-1].lower() == name.lower()


def _listed(session: Session, subscription: str) -> list[str]:
    try:
        return [str(document["id"]) for document in surroundings.VAULT.listing(session, subscription)]
    except CloudError:
        return []


def _vault(session: Session, identifier: str) -> Vault:
    document = surroundings.VAULT.one(session, identifier)
    return Vault(str(document["id"]), document)


# The data plane


def read_vault_secrets(session: Session, vault: Vault, names: Sequence[str], fingerprinter: Fingerprinter) -> Vault:
    """The vault with what is known of the named secrets; a name that is free has no entry.

    Values are read where the operator may, to know whether the vault holds the same one already; only their
    fingerprints are kept.

    Raises:
        DeniedError: the operator may neither read nor list the vault's secrets, or its network forbids it.
        CloudError: the vault does not answer.
    """
    wanted = sorted({name.lower(): name for name in names}.values(), key=str.lower)
    live: set[str] | None = None
    deleted: set[str] | None = None
    if len(wanted) > FEW:
        try:
            live = {(p.name or "").lower() for p in _list(session, vault.uri)}
            deleted = {(d.name or "").lower() for d in _list_deleted(session, vault.uri)}
        except DeniedError as error:
            if error.code not in DENIED:
                raise

    def one(name: str) -> VaultSecret | None:
        if live is not None and name.lower() not in live:
            if deleted is not None:
                return VaultSecret(name, enabled=False, deleted=True) if name.lower() in deleted else None
            return _deleted(session, vault.uri, name)
        try:
            answer = get_secret(session, vault.uri, name)
        except DeniedError as error:
            if error.code not in {*DENIED, "SecretDisabled"}:
                raise
            return describe_secret(session, vault.uri, name)
        if answer is None:
            return _deleted(session, vault.uri, name)
        value, properties = answer
        return replace(properties, fingerprint=fingerprinter.of_secret(value))

    found = tuple(entry for entry in session.map(one, wanted) if entry is not None)
    return replace(vault, secrets=found)


def get_secret(
    session: Session, vault_uri: str, name: str, version: str | None = None
) -> tuple[Secret, VaultSecret] | None:
    """A secret's value and properties, or None when there is none.

    Raises:
        DeniedError: no right, a firewall, or (code `SecretDisabled`) the version is disabled.
        CloudError: anything else.
    """
    client = session.secrets(vault_uri)
    try:
        bundle = session.call(
            f"read the vault secret {_where(vault_uri, name)}", lambda: client.get_secret(name, version)
        )
    except NotFoundError:
        return None
    return Secret(bundle.value or ""), _described(bundle.properties)


def describe_secret(session: Session, vault_uri: str, name: str) -> VaultSecret | None:
    """Properties of the newest version without its value, soft-deleted secrets included; None when the name is free.

    There is no call for one secret's properties alone, so the versions are listed. Their times count whole seconds;
    when two share the newest, the one without version in the path decides, if it may be read.
    """
    versions = _versions(session, vault_uri, name)
    if not versions:
        return _deleted(session, vault_uri, name)
    newest = max(_created(version) for version in versions)
    candidates = [version for version in versions if _created(version) == newest]
    if len(candidates) > 1:
        try:
            answer = get_secret(session, vault_uri, name)
        except DeniedError:
            answer = None
        if answer is not None:
            return answer[1]
        candidates.sort(key=lambda version: (version.enabled is not False, version.version or ""))
    return _described(candidates[0])


def list_secret_versions(session: Session, vault_uri: str, name: str) -> tuple[VaultSecret, ...]:
    """Properties of every version of a secret, without values, in no order; none when there is no such secret."""
    return tuple(_described(version) for version in _versions(session, vault_uri, name))


def _versions(session: Session, vault_uri: str, name: str) -> list[SecretProperties]:
    client = session.secrets(vault_uri)
    try:
        return session.call(
            f"list the versions of the vault secret {_where(vault_uri, name)}",
            lambda: list(client.list_properties_of_secret_versions(name)),
        )
    except NotFoundError:
        return []


def _deleted(session: Session, vault_uri: str, name: str) -> VaultSecret | None:
    """The soft-deleted secret that occupies a name, or None; also None when the operator may not look."""
    client = session.secrets(vault_uri)
    try:
        entry = session.call(
            f"look for a soft-deleted vault secret {_where(vault_uri, name)}", lambda: client.get_deleted_secret(name)
        )
    except NotFoundError:
        return None
    except DeniedError as error:
        if error.code not in DENIED:
            raise
        return None  # a write will say so: 409 ObjectIsDeletedButRecoverable
    return replace(_described(entry.properties), deleted=True)


def set_secret(session: Session, vault_uri: str, name: str, value: Secret, tags: dict[str, str]) -> str:
    """Write a new version; its id (the last segment of the secret's id).

    A write is not repeated blindly, because each makes a version: when its answer was lost, the newest version is
    looked at first.

    Raises:
        DeniedError: no right or a firewall.
        CloudError: code `ObjectIsDeletedButRecoverable` when a soft-deleted secret occupies the name.
    """
    client = session.secrets(vault_uri)
    doing = f"write the vault secret {_where(vault_uri, name)}"
    failure: CloudError | None = None
    for attempt in range(4):
        if attempt:
            version = _written(session, vault_uri, name, value, tags)
            if version is not None:
                return version
            WAITING.get()("the vault to answer again")
            session.clock.sleep(0.5 * 2**attempt * session.dice.uniform(0.5, 1.0))
        try:
            # throttled requests were not carried out: those the pipeline may repeat
            bundle = session.call(
                doing,
                lambda: client.set_secret(name, reveal(value), tags=tags, retry_on_methods=frozenset(), retry_read=0),
                values=[reveal(value)],
                # no patience: when a name that is being recovered is there again, it holds somebody's secret
                patience=0.0,
                repeat=False,
            )
        except CloudError as error:
            if not (error.code in _UNCERTAIN or error.status >= 500 or error.status == 429):
                raise
            failure = error
        else:
            return bundle.properties.version or ""
    raise failure or CloudError(f"could not {doing}", hint="run the command again", transient=True)


_UNCERTAIN = frozenset({failures.LOST, failures.TRUNCATED, failures.UNREACHABLE})


def _written(session: Session, vault_uri: str, name: str, value: Secret, tags: dict[str, str]) -> str | None:
    """The newest version if it is the one that was to be written."""
    try:
        found = get_secret(session, vault_uri, name)
    except DeniedError:
        return None  # one version too many is harmless; not to write it is not
    if found is None or found[0] != value or found[1].tags != tags:
        return None
    return found[1].version


def update_secret(
    session: Session, vault_uri: str, name: str, version: str, *, enabled: bool, tags: dict[str, str] | None
) -> None:
    """Enable or disable one version, and replace its tags if given."""
    client = session.secrets(vault_uri)
    session.call(
        f"change the vault secret {_where(vault_uri, name)}",
        lambda: client.update_secret_properties(name, version, enabled=enabled, tags=tags),
    )


def _list(session: Session, vault_uri: str) -> list[SecretProperties]:
    client = session.secrets(vault_uri)
    return session.call(f"list the secrets of {vault_uri}", lambda: list(client.list_properties_of_secrets()))


def _list_deleted(session: Session, vault_uri: str) -> list[DeletedSecret]:
    client = session.secrets(vault_uri)
    return session.call(f"list the deleted secrets of {vault_uri}", lambda: list(client.list_deleted_secrets()))


def _created(version: SecretProperties) -> float:
    return version.created_on.timestamp() if version.created_on else 0.0


def _described(properties: SecretProperties) -> VaultSecret:
    tags = dict(properties.tags or {})
    return VaultSecret(
        name=properties.name or "",
        enabled=properties.enabled is not False,
        version=properties.version,
        ours=any(key == OURS or key.startswith(OURS + "-") for key in tags),
        tags=tags,
        created=_created(properties),
    )


def _where(vault_uri: str, name: str) -> str:
    return f"{name} in {vault_uri}"
