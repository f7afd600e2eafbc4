"""One report and one plan with something of everything, awkward texts included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from migrator import planner
from migrator.model import Estate, Lock, Permission, Plan
from migrator.planning.options import Options
from scanners.model import (
    AzureLocation,
    Confidence,
    FileLocation,
    Finding,
    Report,
    Secret,
    Severity,
    preview,
)
from tests.planner import estates
from tests.planner.estates import OTHER, PASSWORD, TOKEN, Spec

CANARIES = (PASSWORD, TOKEN, OTHER)
TOOL = {"name": "keylift", "version": "9.9.9"}
NASTY = "x\x1b[31m|`<b>\u202e@team"
"""A name that would colour a terminal, break a table, be markup, turn text around, call somebody."""


@dataclass(frozen=True)
class CommitLocation:
    path: str
    line: int
    column: int
    commit: str
    kind: ClassVar[str] = "commit"

    def as_dict(self) -> dict[str, Any]:
        return {
            "kind": "commit",
            "path": self.path,
            "line": self.line,
            "column": self.column,
            "commit": self.commit,
            "author_date": "2026-01-02T03:04:05Z",
        }

    def sort_key(self) -> tuple[Any, ...]:
        return ("commit", self.path, self.line, self.column)


@dataclass(frozen=True)
class ImageLocation:
    image: str
    layer: str
    path: str
    kind: ClassVar[str] = "image"

    def as_dict(self) -> dict[str, Any]:
        return {"kind": "image", "image": self.image, "layer": self.layer, "path": self.path, "deleted": True}

    def sort_key(self) -> tuple[Any, ...]:
        return ("image", self.image, self.layer, self.path)


def finding(location: Any, value: str, severity: Severity = Severity.HIGH, **more: Any) -> Finding:
    known: dict[str, Any] = {
        "rule": "generic-password",
        "title": "Password in a setting",
        "confidence": Confidence.HIGH,
        "fingerprint": estates.KEY.of(value),
        "preview": preview(Secret(value)),
        **more,
    }
    return Finding(severity=severity, location=location, **known)


def report() -> Report:
    app = estates.app_id("orders")
    env = "properties.template.containers[0].env[{}].value"
    storage = {"rule": "azure-storage-key", "title": "Azure Storage account key", "verified": "checksum"}
    return Report(
        findings=[
            finding(AzureLocation(app, env.format(1), NASTY), OTHER, Severity.MEDIUM, confidence=Confidence.MEDIUM),
            finding(AzureLocation(app, env.format(0), "STORAGE"), TOKEN, Severity.CRITICAL, **storage),
            finding(FileLocation("deploy\\app settings.json", 12, 7), PASSWORD),
            finding(FileLocation("deploy\\app settings.json", 40, 7), OTHER, status="allowed"),
            finding(CommitLocation("=cmd.py", 3, 1, "0a1b2c3d"), PASSWORD, Severity.LOW, weak=True, detail="emulator"),
            finding(ImageLocation("acr.io/orders:1", "sha256:ab", "/app/.env"), TOKEN, status="known"),
        ],
        errors=[{"where": estates.app_id("web"), "what": f"no right to list {NASTY}", "hint": "ask for it"}],
        scanned={"apps": 2, "values": 17},
    )


def estate() -> tuple[Estate, list[Finding]]:
    orders = Spec(
        "orders",
        env={"DB_PASSWORD": PASSWORD, "EMPTY": "", "TOKEN": TOKEN},
        inline={"acr-password": OTHER},
        registries=[estates.entry()],
        mode="Multiple",
        tags={"azd-env-name": "prod"},
    )
    web = Spec("web", inline={"api-token": TOKEN}, identity=estates.with_identities("a"))
    closed = Spec("closed", env={"X": PASSWORD}, document={"managedBy": f"/subscriptions/{NASTY}"})
    whole = estates.estate(
        orders,
        web,
        closed,
        vaults=(estates.vault(estates.held("orders-db-password", PASSWORD)),),
        registries=(estates.registry(),),
        identities=(estates.identity("a", "p-a"),),
        assignments=(estates.assignment("w", estates.VAULT_ID, estates.SECRETS_USER, "p-a"),),
        locks=(Lock(f"{estates.VAULT_ID}/locks/l", estates.VAULT_ID, "CanNotDelete"),),
        permissions=(
            Permission(f"/subscriptions/{estates.SUBSCRIPTION}", ("Microsoft.App/*",)),
            Permission(estates.VAULT_ID, ("*/read",)),
        ),
    )
    return whole, [f for spec in (orders, web, closed) for f in spec.findings()]


def plan() -> Plan:
    whole, found = estate()
    made = planner.plan(whole, found, Options("kv-shop"), estates.KEY)
    return Plan(**{**{name: getattr(made, name) for name in made.__dataclass_fields__}, "tool": TOOL})
