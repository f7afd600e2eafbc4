"""Who reads values of apps without any role on a vault: whoever may list their secrets, or sees their env values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache

from migrator.access_report import CAN_LIST, CONSOLE, DEPLOYS, SEES_ENV, WAYS, ValueReader
from migrator.model import App, Json, Part, Vault
from migrator.planning.roles import covers
from migrator.vault_readers import VaultReaders
from scanners.surface import kind_of

_APP, _JOB = "Microsoft.App/containerApps", "Microsoft.App/jobs"
_COMPONENTS = ("Microsoft.App/managedEnvironments/daprComponents", "Microsoft.App/connectedEnvironments/daprComponents")
LISTS = {kind.lower(): (f"{kind}/listSecrets/action",) for kind in (_APP, _JOB, *_COMPONENTS)}
"""By type: gives inline values, and the resolved values of vault references."""
SHOWS = {
    _APP.lower(): (f"{_APP}/read", f"{_APP}/revisions/read"),
    _JOB.lower(): (f"{_JOB}/read", f"{_JOB}/executions/read"),
    **{kind.lower(): (f"{kind}/read",) for kind in _COMPONENTS},
}
"""By type: shows the literal values of env entries, or of a component's metadata."""
_VAULT = "Microsoft.KeyVault/vaults"
_ACTIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    CAN_LIST: LISTS,
    SEES_ENV: SHOWS,
    CONSOLE: {_APP.lower(): (f"{_APP}/getAuthToken/action",)},
    DEPLOYS: {_VAULT.lower(): (f"{_VAULT}/deploy/action",)},
}


def holders_of_values(
    apps: Iterable[App], parts: Iterable[Part], vaults: Iterable[Vault] = ()
) -> Mapping[str, tuple[str, ...]]:
    """Way of reading -> ids of the apps, jobs, components and vaults that hold something that is read so.

    A vault with `enabledForTemplateDeployment` gives its secrets to the deployments of whoever may deploy with it, whatever
    its roles and policies say (learn.microsoft.com/azure/azure-resource-manager/templates/key-vault-parameter).
    """
    known = list(apps)
    components = [part for part in parts if part.kind.endswith("/daprcomponents")]
    return {
        CAN_LIST: (
            *(app.id for app in known if app.secrets or _configured(app)),
            *(part.id for part in components if (part.document.get("properties") or {}).get("secrets")),
        ),
        SEES_ENV: (
            *(app.id for app in known if _literal(app)),
            *(part.id for part in components if (part.document.get("properties") or {}).get("metadata")),
        ),
        CONSOLE: tuple(app.id for app in known if not app.job and (app.secrets or _configured(app) or _literal(app))),
        DEPLOYS: tuple(
            one.id for one in vaults if one.document["properties"].get("enabledForTemplateDeployment") is True
        ),
    }


def value_readers(
    look: VaultReaders,
    values: Mapping[str, Sequence[str]],
    ways: Sequence[str] = WAYS,
    *,
    only: set[str] | None = None,
) -> Iterator[ValueReader]:
    """Everybody whose assignments let them read values, assignment by assignment.

    Args:
        look: The estate.
        values: As `holders_of_values` gives it.
        ways: Which of `WAYS`.
        only: Object ids of the principals asked about.
    """
    effective = look.effective

    @cache
    def given(role: str, way: str) -> Mapping[str, tuple[str, ...]]:
        blocks = effective.roles.get(role)
        held = {
            kind: tuple(
                one for one in actions if blocks is not None and effective.holds(blocks.blocks, one, data=False)
            )
            for kind, actions in _ACTIONS[way].items()
        }
        return held if any(held.values()) else {}

    for assignment in effective.assignments:
        for way in ways:
            actions = given(assignment.role.lower(), way)
            if not actions:
                continue
            # whoever lists the secrets anyway needs no console for them
            easier = given(assignment.role.lower(), CAN_LIST) if way == CONSOLE else {}
            below = [
                (one, actions[kind_of(one)])
                for one in values[way]
                if covers(assignment.scope, one, assignment.within) and not easier.get(kind_of(one))
            ]
            for holder in effective.holders(assignment.principal_id):
                if only is not None and holder not in only:
                    continue
                reached = tuple(
                    one
                    for one, needed in below
                    if any(effective.denial(holder, action, one, data=False) is None for action in needed)
                )
                if reached:
                    grant = effective.grant(assignment, holder)
                    yield ValueReader(holder, look.people[holder].name, way, grant, reached)


def _configured(app: App) -> list[Json]:
    """Secrets that the document names, where listSecrets was not read."""
    properties = app.document.get("properties") or {}
    return list((properties.get("configuration") or {}).get("secrets") or [])


def _literal(app: App) -> bool:
    """Whether a container of the app has an env entry with a literal value."""
    template = (app.document.get("properties") or {}).get("template") or {}
    containers = [*(template.get("containers") or []), *(template.get("initContainers") or [])]
    return any(entry.get("value") and not entry.get("secretRef") for c in containers for entry in c.get("env") or [])
