"""The page of the surface, made of its rows: `docs/surface.md`."""

from __future__ import annotations

from pathlib import Path

from scanners.surface import ROWS, Does

PAGE = Path(__file__).parent / "surface.md"
_SPELLING = {
    "containerapps": "containerApps",
    "managedenvironments": "managedEnvironments",
    "connectedenvironments": "connectedEnvironments",
    "daprcomponents": "daprComponents",
    "javacomponents": "javaComponents",
    "dotnetcomponents": "dotNetComponents",
    "sessionpools": "sessionPools",
    "sandboxgroups": "sandboxGroups",
}
_DOES = {
    Does.MIGRATES: "**migrates**",
    Does.REPORTS: "reports, with the limit",
    Does.NAMES: "names it; Azure never shows the value",
    Does.UNTOLD: "cannot know: Azure shows neither the value nor that there is one",
    Does.NOTHING: "nothing to find",
}
_INTRO = """\
# Where values lie

Every place of Container Apps (api-version 2026-07-01) in which a value can lie, and what keylift does about it. `scan
azure` looks at all of them; a plan migrates the first kind and lists the others under `skipped`, with the limit and the
command that gets further. The numbers are those of the rows in `scanners/surface.py`, of which this page is made by
`python -m docs.regenerate`.

* **migrates**: a plan has steps for it: done, proven, undone.
* **reports**: the value is found, and the platform has no form of this place with a reference.
* **names**: Azure keeps a value there and never shows it: that one is held is found (`aca-unseen-secret`), not which one.
* **cannot know**: Azure shows neither the value nor whether there is one; look where it was set.

Old revisions and executions are read with `scan azure --revisions` and for every plan; source controls for every plan and
with `--save-estate`, because they cost a call for each app. With `--app` only the named apps and jobs are looked at.

"""


def page() -> str:
    """The whole page."""
    lines = ["| # | resource | path | keylift | why, and what else |", "|---|---|---|---|---|"]
    for row in sorted(ROWS, key=lambda row: row.number):
        kinds = ", ".join(_spelled(kind) for kind in row.kinds)
        lines.append(f"| {row.number} | {kinds} | `{row.path}` | {_DOES[row.does]} | {row.limit} |")
    return _INTRO + "\n".join(lines) + "\n"


def _spelled(kind: str) -> str:
    return "/".join(_SPELLING.get(part, part) for part in kind.split("/")[1:])


def write() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
