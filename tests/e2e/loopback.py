"""A shell user's view of the simulator: start it as a process, run keylift as a process, ask Azure as anybody."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

API = "2025-07-01"
ARM_SCOPE = "https://management.azure.com/.default"
VAULT_SCOPE = "https://vault.azure.net/.default"


@dataclass
class Answer:
    status: int
    body: Any
    text: str


class Azure:
    """Plain HTTPS against the simulator, as any principal of the estate."""

    def __init__(self, profile: Path) -> None:
        self.profile_path = profile
        self.profile = json.loads(profile.read_text())
        self.tls = ssl.create_default_context(cafile=self.profile["ca_file"])
        self._tokens: dict[tuple[str, str], str] = {}

    def token(self, scope: str = ARM_SCOPE, client: str | None = None) -> str:
        credential = self.profile["credential"]
        client = client or credential["client_id"]
        if (scope, client) not in self._tokens:
            form = {
                "grant_type": "client_credentials",
                "client_id": client,
                "client_secret": credential["client_secret"],
                "scope": scope,
            }
            answer = self.raw(
                "POST",
                f"{self.profile['authority'].rstrip('/')}/{credential['tenant_id']}/oauth2/v2.0/token",
                urllib.parse.urlencode(form).encode(),
                {"Content-Type": "application/x-www-form-urlencoded"},
            )
            assert answer.status == 200, answer.text
            self._tokens[scope, client] = answer.body["access_token"]
        return self._tokens[scope, client]

    def raw(self, method: str, url: str, data: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
        try:
            with urllib.request.urlopen(request, context=self.tls, timeout=60) as stream:
                status, text = stream.status, stream.read().decode()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode()
            error.close()
        return Answer(status, json.loads(text) if text else None, text)

    def arm(self, method: str, path: str, body: Any = None, *, version: str = API, client: str | None = None) -> Answer:
        sign = "&" if "?" in path else "?"
        return self.raw(
            method,
            f"{self.profile['resource_manager'].rstrip('/')}{path}{sign}api-version={version}",
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Bearer {self.token(client=client)}", "Content-Type": "application/json"},
        )

    def app(self, app: str) -> Any:
        answer = self.arm("GET", app)
        assert answer.status == 200, answer.text
        return answer.body

    def secrets(self, app: str) -> dict[str, Any]:
        answer = self.arm("POST", f"{app}/listSecrets", {})
        assert answer.status == 200, answer.text
        return {entry["name"]: entry for entry in answer.body["value"]}

    def vault_get(self, url: str, client: str | None = None) -> Answer:
        return self.raw(
            "GET", f"{url}?api-version=7.4", None, {"Authorization": f"Bearer {self.token(VAULT_SCOPE, client)}"}
        )


@contextmanager
def simulator(folder: Path, estate: dict[str, Any], *options: str) -> Iterator[Azure]:
    """`keylift simulator` as a process of its own."""
    file = folder / "estate.json"
    file.write_text(json.dumps(estate))
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "migrator",
            "simulator",
            "--estate",
            str(file),
            "--state-dir",
            str(folder / "sim"),
            *options,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.stderr.read() if process.stderr else ""
        yield Azure(Path(json.loads(line)["profile"]))
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


@dataclass
class Shell:
    """Runs keylift as a user does, and keeps everything it printed."""

    folder: Path
    profile: Path
    printed: str = ""

    def keylift(self, *arguments: str, expect: int | None = 0, cloud: bool = True) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "migrator", *arguments, "--state-dir", str(self.folder / "state")]
        if cloud:
            command += ["--cloud", str(self.profile)]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=self.folder,
            timeout=300,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "COLUMNS": "140", "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        self.printed += done.stdout + done.stderr
        if expect is not None:
            assert done.returncode == expect, f"{arguments} -> {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done
