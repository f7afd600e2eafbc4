"""Why a value stays where it is: the platform's limit of each row of the surface, with the command that gets further."""

from __future__ import annotations

from shlex import quote

from migrator.planning.skip import Skip
from scanners.model import AzureLocation, Finding
from scanners.surface import Does, Row, kind_of, row_at

_HINTS = {
    6: "az containerapp job execution list --ids {parent} -o table shows what is kept; rotate the value",
    8: "az containerapp show --ids {id} --query properties.template.containers[].probes, then change it with --yaml FILE",
    9: "az containerapp update --ids {id} --scale-rule-name RULE with the metadata that shall stay",
    12: "az containerapp env dapr-component show --ids {id}, then set it with secretStoreComponent",
    13: "az containerapp env dapr-component show --ids {id}, then set it with secretRef in place of the value",
    14: "az containerapp connected-env dapr-component show --ids {id}",
    15: "az containerapp env update --ids {id} --logs-destination azure-monitor, with diagnostic settings for the workspace",
    21: "az resource show --ids {id} --query properties.customDomainConfiguration",
    22: "az containerapp env certificate list, then upload it anew with --akv-url and --akv-identity",
    23: "az rest --method put --url {id}?api-version=2026-07-01 with properties.azureFile.accountKeyVaultProperties",
    24: "az containerapp github-action show, then set it up anew with --login-with-github and OIDC",
    25: "az containerapp github-action show, then set it up anew with a federated credential",
    26: "revoke the token where it was made (GitHub, Settings, Developer settings)",
    33: "az tag list --resource-id {id}, or az containerapp show for the image's address",
}
"""By row, where a command is better than looking at the resource."""
_LOOK = "az resource show --ids {id}"

_CODES = (
    ("executions", "old-execution"),
    ("revisions", "old-revision"),
    ("daprcomponents", "dapr-component"),
    ("storages", "environment-storage"),
    ("certificates", "environment-certificate"),
    ("javacomponents", "environment-component"),
    ("dotnetcomponents", "environment-component"),
    ("sourcecontrols", "source-control"),
    ("sessionpools", "session-pool"),
    ("managedenvironments", "environment"),
    ("connectedenvironments", "environment"),
)


def of(finding: Finding) -> Skip | None:
    """The limit of the place that a finding lies in; None where a plan can migrate it, or where no row is about it."""
    place = finding.location
    if not isinstance(place, AzureLocation):
        return None
    row = row_at(place.resource, place.path)
    if row is None or row.does not in {Does.REPORTS, Does.NAMES}:
        return None
    return Skip(_code(place.resource), row.limit, _hint(row, place.resource))


def _code(resource: str) -> str:
    kind = kind_of(resource).rpartition("/")[2]
    return next((code for name, code in _CODES if name == kind), "unsupported-place")


def _hint(row: Row, resource: str) -> str:
    # `parent` of `…/revisions/x` is the app; of anything else it is not named in a hint
    parent, _, name = resource.rstrip("/").rpartition("/")
    return _HINTS.get(row.number, _LOOK).format(
        id=quote(resource), parent=quote(parent.rpartition("/")[0]), name=quote(name)
    )
