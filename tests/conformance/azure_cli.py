"""The Azure command line, which nobody here wrote, pointed at a simulated cloud."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from migrator.simulator.server import Simulator

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / ".venv-az" / "bin" / "az"


def _foreign(name: str) -> bool:
    # without bytecode on disk each command compiles a hundred thousand lines: 3 s instead of 1
    return name.lower().endswith("_proxy") or name == "PYTHONDONTWRITEBYTECODE" or name.startswith("AZURE_")


class Az:
    """azure-cli with a configuration folder of its own, signed in to a simulator as a principal."""

    def __init__(self, simulator: Simulator, folder: Path, principal: str = "operator") -> None:
        """Register the simulator as a cloud, make it the active one, and sign in."""
        self.simulator = simulator
        self._environment = {
            **{name: value for name, value in os.environ.items() if not _foreign(name)},
            "AZURE_CONFIG_DIR": str(folder / "azure"),
            "AZURE_EXTENSION_DIR": str(folder / "extensions"),
            "REQUESTS_CA_BUNDLE": str(simulator.ca_file),
            "AZURE_CORE_COLLECT_TELEMETRY": "no",
            "AZURE_CORE_INSTANCE_DISCOVERY": "no",  # the authority is nobody's but the simulator's
            "AZURE_CORE_NO_COLOR": "yes",
            "AZURE_CORE_ONLY_SHOW_ERRORS": "yes",
            "AZURE_CORE_OUTPUT": "json",
            "AZURE_CORE_DISABLE_PROGRESS_BAR": "yes",
            "AZURE_EXTENSION_USE_DYNAMIC_INSTALL": "no",
        }
        profile = simulator.profile(principal)
        credential = profile["credential"]
        self("cloud", "register", "--name", "simulator", "--endpoint-resource-manager", profile["resource_manager"])
        self("cloud", "set", "--name", "simulator")
        secret = credential["client_secret"]
        signed = ("--service-principal", "-u", credential["client_id"], f"-p={secret}")
        self.account = self("login", *signed, "--tenant", credential["tenant_id"])

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One command, whatever it ends with."""
        return subprocess.run(
            [str(PROGRAM), *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def script(self, path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """A shell script that calls az, whatever it ends with."""
        return subprocess.run(
            ["bash", str(path)],
            env={**self._environment, "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}", **environment},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def __call__(self, *arguments: str) -> Any:
        """What a command prints, read as JSON; None if it prints nothing. Fails the test if the command fails."""
        ended = self.run(*arguments)
        assert ended.returncode == 0, f"az {' '.join(arguments[:4])} ... ended with {ended.returncode}:\n{ended.stderr}"
        return json.loads(ended.stdout) if ended.stdout.strip() else None

    def refused(self, *arguments: str) -> str:
        """What a command that must fail says."""
        ended = self.run(*arguments)
        assert ended.returncode != 0, f"az {' '.join(arguments[:4])} ... should have failed"
        assert "Traceback" not in ended.stderr, ended.stderr
        return ended.stderr

    def use_vault(self, address: str) -> str:
        """Let `--vault-name` reach a vault that has a port of its own; the result is the name to give.

        az makes a vault's address of the name and the cloud's suffix, so the port becomes the suffix.
        """
        host, _, port = address.removeprefix("https://").rstrip("/").partition(":")
        self("cloud", "update", "--name", "simulator", "--suffix-keyvault-dns", f":{port}")
        return host
