"""What must stay lazy stays lazy: the real thing in a subprocess, and a look at `sys.modules`."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    "azure",
    "textual",
    "rich",
    "requests",
    "msal",
    "hyperscan",
    "jinja2",
    "starlette",
    "uvicorn",
    "detect_secrets",
}

PROBE = """
import json, sys
try:
    {action}
except SystemExit:
    pass
print(json.dumps(sorted({{name.split(".")[0] for name in sys.modules}})), file=sys.stderr)
"""


def modules_after(action: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(action=action)], capture_output=True, text=True, timeout=60, check=False
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    "action",
    [
        "from migrator.cli import main; main(['--help'])",
        "from migrator.cli import main; main(['scan', 'azure', '--help'])",
        "from migrator.cli import main; main(['apply', '--help'])",
        "from migrator.cli import main; main(['simulator', '--help'])",
    ],
)
def test_help_imports_nothing_heavy(action: str) -> None:
    assert not modules_after(action) & HEAVY


def test_the_probe_would_see_a_heavy_import() -> None:
    assert "rich" in modules_after("import rich.console")
