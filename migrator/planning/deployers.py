"""Who deploys an app, told by its tags: the next deployment writes the whole app and takes the migration back."""

from __future__ import annotations

import re
from collections.abc import Mapping

from migrator.model import Json
from migrator.planning.places import AppView

_BY_KEY = (
    ("azd-env-name", "azd", "azd provision", "the Bicep files under infra/"),
    ("azd-service-name", "azd", "azd provision", "the Bicep files under infra/"),
    ("aspire-resource-name", "Aspire", "aspire deploy", "the app host (AddAzureKeyVault, GetSecret)"),
    ("aspire-", "Aspire", "aspire deploy", "the app host (AddAzureKeyVault, GetSecret)"),
    ("pulumi:", "Pulumi", "pulumi up", "the program (keyVaultUrl and identity of each secret)"),
    ("hidden-", "an Azure service", "its next change", "the place where it was set up"),
)
"""Beginning of a tag's name, who sets it, what writes the app again, where the change belongs."""

_BY_WORD = (
    (
        "terraform",
        "Terraform",
        "terraform apply",
        "the configuration (key_vault_secret_id and identity of each secret)",
    ),
    ("opentofu", "OpenTofu", "tofu apply", "the configuration (key_vault_secret_id and identity of each secret)"),
    ("pulumi", "Pulumi", "pulumi up", "the program (keyVaultUrl and identity of each secret)"),
    ("bicep", "Bicep", "the next deployment", "the template (keyVaultUrl and identity of each secret)"),
    ("aspire", "Aspire", "aspire deploy", "the app host (AddAzureKeyVault, GetSecret)"),
    ("ansible", "Ansible", "the next play", "the playbook"),
    ("azd", "azd", "azd provision", "the Bicep files under infra/"),
    ("arm", "an ARM template", "the next deployment", "the template (keyVaultUrl and identity of each secret)"),
    ("helm", "Helm", "the next upgrade", "the chart's values"),
    ("crossplane", "Crossplane", "its next reconciliation", "the composition"),
)
_TELLING = re.compile(
    r"(managed|deployed|provisioned|created|owned|built|source|iac)[-_ ]?(by|with|using|from)?|provisioner|deployer"
    r"|deployment[-_ ]?(tool|method)|tool|iac",
    re.IGNORECASE,
)


def notes(view: AppView) -> list[Json]:
    """One note for each deployer that an app's tags name, in order."""
    tags: Mapping[str, str] = view.app.document.get("tags") or {}
    found: dict[str, str] = {}
    for key in sorted(tags, key=str.lower):
        value = str(tags[key])
        hit = _by_key(key) or _by_word(key, value)
        if hit and hit[0] not in found:
            who, again, where = hit
            found[who] = (
                f"{view.name} is deployed by {who} (tag {key}={value}): {again} puts the old values and settings back; "
                f"make the same change in {where} before the next one"
            )
    return [{"app": view.id, "kind": "deployer", "text": found[who]} for who in sorted(found)]


def _by_key(key: str) -> tuple[str, str, str] | None:
    return next((rest for start, rest in _entries(_BY_KEY) if key.lower().startswith(start)), None)


def _entries(table: tuple[tuple[str, str, str, str], ...]) -> list[tuple[str, tuple[str, str, str]]]:
    return [(start, (who, again, where)) for start, who, again, where in table]


def _by_word(key: str, value: str) -> tuple[str, str, str] | None:
    for word, hit in _entries(_BY_WORD):
        pattern = rf"(?<![a-z]){word}(?![a-z])"
        if re.search(pattern, key.lower()) or (_TELLING.fullmatch(key) and re.search(pattern, value.lower())):
            return hit
    return None
