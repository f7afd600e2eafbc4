"""Api-versions of Microsoft.App and the headers that its answers carry."""

from __future__ import annotations

from typing import Any

from migrator.simulator.wire import Response

VERSIONS = (
    "2022-03-01",
    "2022-06-01-preview",
    "2022-10-01",
    "2022-11-01-preview",
    "2023-04-01-preview",
    "2023-05-01",
    "2023-05-02-preview",
    "2023-08-01-preview",
    "2023-11-02-preview",
    "2024-02-02-preview",
    "2024-03-01",
    "2024-08-02-preview",
    "2024-10-02-preview",
    "2025-01-01",
    "2025-02-02-preview",
    "2025-07-01",
    "2025-10-02-preview",
    "2026-01-01",
    "2026-03-02-preview",
    "2026-07-01",
)
"""As `api-supported-versions` named them in April 2026, and the one that the newest SDK asks for."""

NEWEST_PREVIEW = "2026-03-02-preview"
"""Shows every field that this simulator knows."""


def since(version: str, stable: str, preview: str) -> bool:
    """Whether a thing exists in `version` that came with `stable` (empty: never) and in previews with `preview`."""
    day = version[:10]
    if "-preview" in version:
        return day >= (min(preview, stable) if preview and stable else preview or stable)
    return bool(stable) and day >= stable


def answer(status: int, body: Any = None, **headers: str) -> Response:
    """An answer of the provider itself, with the headers that tell it from one of Resource Manager's own.

    Header names are written with `_` for `-`.
    """
    return Response(
        status,
        body,
        {
            "api-supported-versions": ", ".join(VERSIONS),
            "x-powered-by": "ASP.NET",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        },
    )


PROVIDER = {"api-supported-versions": ", ".join(VERSIONS), "x-powered-by": "ASP.NET"}
"""Headers of a refusal by the provider itself (traffic, section 8)."""
