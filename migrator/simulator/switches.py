"""Where the sources leave Azure's behaviour open, the simulator can give either answer."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(slots=True)
class Switches:
    """One field for each open question, and the timings of the platform, all virtual seconds."""

    identity_map: str = "merge"
    """PATCH of an app's `userAssignedIdentities`: `merge` (null removes, as recorded for environments) or `replace`
    (the sent map is the whole map, a null value is refused with 400)."""
    duplicate_env: str = "stuck"
    """Two env entries of one name: `last-wins` (the documentation) or `stuck` (ACA#1273)."""
    wildcard_covers_parent: bool = True
    """Whether `containerApps/*/write` covers `containerApps/write` (users disagree)."""
    put_without_identity: str = "removes"
    """A PUT whose body has no `identity` key: `removes` or `keeps`."""
    secret_ref_display: str = "plain"  # noqa: S105 - a word for a way to show names
    """Names of secretRefs shown in revisions: `plain` or `prefixed` (`capp-<app>`, ACA#1705)."""
    identity_keys: str = "kept"
    """Ids in an app's identity map, as answers spell them: `kept` as stored, or `recased` (FACTS, section 1.9)."""
    graph_env_values: bool = True
    """Whether Resource Graph rows hold env values."""
    readonly_lock_blocks_list_secrets: bool = True
    """Whether a ReadOnly lock stops listSecrets (read for listKeys only)."""
    resolve_on_write: bool = True
    """Whether a write resolves vault references before it is accepted."""
    patch_location_only_2023: bool = False
    """PATCH of an app answers with `Location` only, as in 2023 traffic."""
    graph_staleness: float = 0.0
    """How many seconds Resource Graph lags behind."""
    app_operation: float = 8.0
    """How long an app write takes after it was accepted (recorded median 13, p90 16)."""
    replica_start: float = 5.0
    """How long a replica takes to start."""
    job_execution: float = 20.0
    """How long an execution of a job runs."""
    environment_operation: float = 60.0
    """How long an environment write takes (recorded median 194)."""
    principal_replication: tuple[float, float] = (2.0, 15.0)
    """How long a new principal stays unknown to the role service."""
    principal_type_helps: bool = True
    """Whether a claimed `principalType` lets a principal pass that is not replicated yet."""
    role_propagation: tuple[float, float] = (10.0, 84.0)
    """How long a new role assignment takes to be honoured (measured 10 to 84; 14 min 44 s seen)."""
    role_revocation: tuple[float, float] = (1.0, 21.0)
    """How long a removed assignment still works (measured: 21 at most)."""
    secret_refresh: float = 1800.0
    """The common cycle in which apps fetch vault references again."""
    vault_registration: float = 5.0
    """How long a new vault stays in `RegisteringDns`."""
    secret_deletion: float = 10.0
    """How long deleting, recovering or purging a vault secret takes (recorded 25 to delete, 10 to recover, 2019)."""
    role_assignment_exists_id: bool = False
    """Whether `RoleAssignmentExists` names the id of the other assignment (captured 2026-06; not in traffic 0039)."""
    role_assignment_limit: int = 4000
    """Role assignments that a subscription may have (role-based-access-control limits)."""
    directory_readable: bool = True
    """Whether callers may look up principals in Microsoft Graph (an Entra matter, by default granted to people only)."""
    token_lifetime: float = 86400.0
    """How long a token is good for."""
    page_size: int = 50
    """Items a page in listings of Microsoft.App."""

    @classmethod
    def of(cls, values: dict[str, Any]) -> Switches:
        """Switches with some set by name.

        Raises:
            ValueError: a name is unknown.
        """
        known = {item.name for item in fields(cls)}
        for name in values:
            if name not in known:
                raise ValueError(f"unknown switch '{name}'; known: {', '.join(sorted(known))}")
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**given)

    def as_dict(self) -> dict[str, Any]:
        """All switches, for saving."""
        return asdict(self)
