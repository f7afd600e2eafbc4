"""Documents of container registries as Azure fills them in and shows them, and passwords in the registry's format.

Shapes: recordings of 2020 (2019-05-01) and February 2026 (2023-07-01); types 2023-07-01 to 2025-11-01.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from migrator.simulator.clock import iso
from migrator.simulator.plain import copied
from migrator.simulator.wire import Json

if TYPE_CHECKING:
    from migrator.simulator.world import World

ABAC = "AbacRepositoryPermissions"
LEGACY = "LegacyRegistryPermissions"
_SINCE = {
    "anonymousPullEnabled": ("2023-07-01", ""),
    "roleAssignmentMode": ("2025-11-01", "2024-11-01-preview 2025-03-01-preview 2025-05-01-preview"),
    "networkRuleBypassAllowedForTasks": ("2025-11-01", "2025-05-01-preview"),
}
"""Properties that older api-versions do not show: the first stable version with it, and the previews.

The types of 2023-07-01 lack anonymousPullEnabled, but answers at that version carry it (recorded February 2026).
"""


def sku_of(sku: Json) -> Json:
    """A sku with its tier."""
    return {"name": sku["name"], "tier": sku.get("tier") or sku["name"]}


def fresh(name: str, sku: Json, moment: float) -> Json:
    """The properties of a new registry (recorded February 2026)."""
    properties: Json = {
        "loginServer": f"{name.lower()}.azurecr.io",
        "creationDate": iso(moment),
        "provisioningState": "Succeeded",
        "adminUserEnabled": False,
        "policies": {
            "quarantinePolicy": {"status": "disabled"},
            "trustPolicy": {"type": "Notary", "status": "disabled"},
            "retentionPolicy": {"days": 7, "lastUpdatedTime": iso(moment, zone="+00:00"), "status": "disabled"},
            "exportPolicy": {"status": "enabled"},
            "azureADAuthenticationAsArmPolicy": {"status": "enabled"},
        },
        "encryption": {"status": "disabled"},
        "dataEndpointEnabled": False,
        "dataEndpointHostNames": [],
        "privateEndpointConnections": [],
        "publicNetworkAccess": "Enabled",
        "networkRuleBypassOptions": "AzureServices",
        "zoneRedundancy": "Disabled",
        "anonymousPullEnabled": False,
        "roleAssignmentMode": LEGACY,
        "networkRuleBypassAllowedForTasks": False,
    }
    if sku["name"] == "Premium":
        properties["networkRuleSet"] = {"defaultAction": "Allow", "ipRules": []}
    return properties


def merged(before: Json, change: Json) -> Json:
    """`before` with what `change` says, objects merged."""
    result = dict(before)
    for name, value in change.items():
        old = result.get(name)
        result[name] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def render(registry: Json, version: str) -> Json:
    """A registry as GET shows it at an api-version; older ones show less."""
    document: Json = {key: registry[key] for key in ("sku", "type", "id", "name", "location", "tags")}
    if "identity" in registry:
        document["identity"] = registry["identity"]
    properties: Json = copied(registry["properties"])
    for name, (stable, previews) in _SINCE.items():
        if version < stable and version not in previews.split():
            properties.pop(name, None)
    if version >= "2021-09-01":
        document["systemData"] = registry["systemData"]
    else:
        shown = ("loginServer", "creationDate", "provisioningState", "adminUserEnabled", "policies")
        properties["networkRuleSet"] = {"defaultAction": "Allow", "virtualNetworkRules": [], "ipRules": []} | (
            properties.get("networkRuleSet") or {}
        )
        properties = {name: properties[name] for name in (*shown[:4], "networkRuleSet", shown[4])}
        for newer in ("exportPolicy", "azureADAuthenticationAsArmPolicy"):
            properties["policies"].pop(newer, None)
    document["properties"] = properties
    return document


def password(world: World) -> str:
    """An admin password: 42 random characters, the signature `+ACR`, and six that carry a checksum (formats: SEC101/176).

    The checksum is Marvin32 of everything before it, so scanners that verify keys offline find these real.
    """
    head = base64.b64encode(world.random.randbytes(33)).decode()[:42] + "+ACR"
    body = base64.b64decode(head + "AAAAAA")[:35]
    return base64.b64encode(body + _marvin(b"ACRDflt0", body).to_bytes(4, "little")).decode()


def _marvin(seed: bytes, data: bytes) -> int:
    """Marvin32, both halves folded into 32 bits; `seed` is read as one big-endian number."""
    low, high = int.from_bytes(seed[4:], "big"), int.from_bytes(seed[:4], "big")
    whole = len(data) // 4 * 4
    words = [int.from_bytes(data[i : i + 4], "little") for i in range(0, whole, 4)]
    words.append(int.from_bytes(data[whole:] + b"\x80", "little"))
    for word in (*words, 0):
        low = (low + word) & 0xFFFFFFFF
        low, high = _mix(low, high)
    return low ^ high


def _mix(low: int, high: int) -> tuple[int, int]:
    high ^= low
    low = (_rotated(low, 20) + high) & 0xFFFFFFFF
    high = _rotated(high, 9) ^ low
    low = (_rotated(low, 27) + high) & 0xFFFFFFFF
    return low, _rotated(high, 19)


def _rotated(word: int, bits: int) -> int:
    return (word << bits | word >> (32 - bits)) & 0xFFFFFFFF
