"""Proves the steps of a contract again: what was taken away is still away."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from migrator.errors import NotFoundError
from migrator.model import Json, ResourceId, Step
from migrator.ports import Cloud
from migrator.veil import section

Found = tuple[str, str, bool, str]
"""Name of the check, its subject, whether it is good, and a text."""


def found(step: Step, cloud: Cloud, document: Json) -> Iterator[Found]:
    """Look at one step of a contract.

    Args:
        step: Of a kind that only contracts have; others give nothing.
        cloud: Where.
        document: The step's app as it stands.

    Raises:
        CloudError: Azure does not answer.
    """
    looks: dict[str, Callable[[Step, Cloud, Json], Found]] = {
        "secret-remove": _secrets,
        "revision-deactivate": _revision,
        "registry-admin-off": _registry,
    }
    if step.kind in looks:
        yield looks[step.kind](step, cloud, document)


def _secrets(step: Step, _cloud: Cloud, document: Json) -> Found:
    shown = {str(entry.get("name")) for entry in section(document, "properties", "configuration", "secrets") or []}
    names = [str(secret["name"]) for secret in step.change["secrets"]]
    back = [name for name in names if name in shown]
    text = f"{', '.join(back)} came back" if back else "removed"
    return "inline-secret", ", ".join(names), not back, text


def _revision(step: Step, cloud: Cloud, _document: Json) -> Found:
    name = str(step.change["revision"])
    try:
        revision = cloud.get_revision(step.app, name)
    except NotFoundError:
        return "old-revision", name, True, "not listed any more"
    if section(revision, "properties", "active"):
        return "old-revision", name, False, "it is active again, and shows values in plain text"
    return "old-revision", name, True, "inactive; a listing still shows it, and its values with it"


def _registry(step: Step, cloud: Cloud, _document: Json) -> Found:
    name = ResourceId.parse(step.target).name
    try:
        registry = cloud.get_registry(step.target)
    except NotFoundError:
        return "registry-admin", name, True, "the registry is gone"
    on = bool(section(registry, "properties", "adminUserEnabled"))
    return "registry-admin", name, not on, "the admin user is on again" if on else "the admin user is off"
