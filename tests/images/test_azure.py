"""Images in Azure's registries: the token exchange, the admin password, rights, and the images an estate runs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from migrator import api
from migrator.demo_estate import LOCATION, SUBSCRIPTION
from migrator.errors import KeyliftError
from migrator.output.formats import render_findings
from migrator.simulator.server import Simulator
from migrator.state import StateFolder
from tests.images import build, planted
from tests.images.conftest import tool

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-shop"
REGISTRY = f"{GROUP}/providers/Microsoft.ContainerRegistry/registries/crshop"
PASSWORD = planted.password(52)


def estate(**more: Any) -> dict[str, Any]:
    return {
        "schema": 1,
        "subscriptions": [SUBSCRIPTION],
        "resources": [
            {
                "id": f"{GROUP}/providers/Microsoft.App/managedEnvironments/cae",
                "name": "cae",
                "type": "Microsoft.App/managedEnvironments",
                "location": LOCATION,
                "properties": {},
            },
            {
                "id": REGISTRY,
                "name": "crshop",
                "type": "Microsoft.ContainerRegistry/registries",
                "location": LOCATION,
                "sku": {"name": "Basic"},
                "properties": {
                    "adminUserEnabled": True,
                    "credentials": {"password": PASSWORD, "password2": PASSWORD[::-1]},
                },
            },
        ],
        **more,
    }


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    return build.write_folder(tmp_path / "layout", build.oci_files(planted.image()))


def pushed(layout: Path, simulator: Simulator) -> str:
    """Push with skopeo, which nobody here wrote, as the admin user."""
    server = simulator.azure.origin(f"registry:{REGISTRY}").removeprefix("https://")
    command = [tool("skopeo"), "--insecure-policy", "copy", "-q", "--dest-tls-verify=false", "--preserve-digests"]
    command += ["--dest-creds", f"crshop:{PASSWORD}", f"oci:{layout}", f"docker://{server}/team/shop:1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return f"{server}/team/shop:1"


def place(simulator: Simulator, tmp_path: Path, profile: Path | None = None) -> api.Workplace:
    return api.Workplace(cloud=str(profile or simulator.profile_path), state=StateFolder(tmp_path / "state"))


@pytest.fixture(autouse=True)
def _no_docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "no-docker"))


def runs_in_an_app(running: Simulator, target: str) -> None:
    """An app that pulls with the admin password, and whose env holds a value that the image has too."""
    from migrator.simulator import estate as estates

    server = target.partition("/")[0]
    app = {
        "id": f"{GROUP}/providers/Microsoft.App/containerApps/shop",
        "name": "shop",
        "type": "Microsoft.App/containerApps",
        "location": LOCATION,
        "properties": {
            "environmentId": f"{GROUP}/providers/Microsoft.App/managedEnvironments/cae",
            "configuration": {
                "secrets": [{"name": "pull", "value": PASSWORD}],
                "registries": [{"server": server, "username": "crshop", "passwordSecretRef": "pull"}],
            },
            "template": {
                "containers": [
                    {"name": "shop", "image": target, "env": [{"name": "DATABASE_PASSWORD", "value": planted.LIVE}]}
                ]
            },
        },
    }
    with running.azure.lock:
        estates.load(running.azure, {"schema": 1, "subscriptions": [SUBSCRIPTION], "resources": [app]})


def test_by_token_exchange(simulator: Callable[..., Simulator], layout: Path, tmp_path: Path) -> None:
    running = simulator(estate(), request_log=tmp_path / "log")
    target = pushed(layout, running)
    at = place(running, tmp_path)
    report = api.scan_image(at, [target])
    of = at.state.fingerprinter().of
    assert {finding.fingerprint for finding in report.findings} >= {of(value) for value in planted.PLACES.values()}
    assert not report.errors
    log = (tmp_path / "log").read_text()
    assert "/oauth2/exchange" in log
    assert not any(value in log for value in (*planted.PLACES.values(), PASSWORD))


def test_without_the_right_to_pull(simulator: Callable[..., Simulator], layout: Path, tmp_path: Path) -> None:
    reader = {"operator": {"roles": [{"role": "Key Vault Reader", "scope": f"/subscriptions/{SUBSCRIPTION}"}]}}
    running = simulator(estate(**reader))
    target = pushed(layout, running)
    with pytest.raises(KeyliftError) as refused:
        api.scan_image(place(running, tmp_path), [target])
    assert "does not give the manifest" in refused.value.what


def test_the_images_of_an_estate(simulator: Callable[..., Simulator], layout: Path, tmp_path: Path) -> None:
    """The app's own password is used, and one value in the app's env and in the image is one secret with two places."""
    running = simulator(
        estate(
            operator={
                "roles": [
                    {"role": "Reader", "scope": f"/subscriptions/{SUBSCRIPTION}"},
                    {"role": "Container Apps Contributor", "scope": f"/subscriptions/{SUBSCRIPTION}"},
                ]
            }
        )
    )
    target = pushed(layout, running)
    runs_in_an_app(running, target)
    at = place(running, tmp_path)
    result = api.scan_azure(at, api.Scope(), images=True)
    of = at.state.fingerprinter().of
    kinds = {finding.location.kind for finding in result.report.findings if finding.fingerprint == of(planted.LIVE)}
    assert kinds == {"azure", "image"}, result.report.errors
    (held,) = [f for f in result.report.findings if f.fingerprint == of(planted.LIVE) and f.location.kind == "image"]
    assert held.detail == "also DATABASE_PASSWORD of shop"
    assert {"where": target, "what": "runs in shop"} in result.report.notes
    assert result.report.scanned["images"] == 1


def test_a_plan_names_the_layer_and_says_what_to_do(
    simulator: Callable[..., Simulator], layout: Path, tmp_path: Path
) -> None:
    made = estate()
    vault = {
        "id": f"{GROUP}/providers/Microsoft.KeyVault/vaults/kv-shop",
        "name": "kv-shop",
        "type": "Microsoft.KeyVault/vaults",
        "location": LOCATION,
        "properties": {"enableRbacAuthorization": True},
    }
    made["resources"].append(vault)
    running = simulator(made)
    target = pushed(layout, running)
    runs_in_an_app(running, target)
    at = place(running, tmp_path)
    report = api.scan_azure(at, api.Scope(), images=True).report
    assert not report.errors
    found = tmp_path / "found.json"
    found.write_text(render_findings("json", report))
    plan = api.make_plan(at, api.Scope(), vault="kv-shop", found=[found])
    (held,) = [entry for entry in plan.rest_risk if str(entry["where"]).startswith("image ")]
    layer = build.digest(build.gzipped(planted.image().layers[1]))
    assert held["where"] == f"image {target}, layer {layer}, /app/settings.ini"
    assert held["until"] == "the image is rebuilt without it, and the value is rotated"
    assert planted.LIVE not in plan.to_json() + found.read_text()
