"""What an image on disk shows of the program in it: packages and bindings, and how far that goes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from migrator import proposing
from migrator.errors import UsageError
from migrator.passwordless.decision import Decision, Outcome, Subject, decide
from migrator.passwordless.evidence import Code, Evidence
from migrator.passwordless.pointer import point
from scanners.model import Secret
from tests.images.build import Made, docker_files, jar, oci_files, tar, write_folder, write_tar

from .projects import BUS, SQL, STORAGE, TARGETS

DEPS = json.dumps({"libraries": {"Microsoft.Data.SqlClient/6.0.1": {}, "Azure.Core/1.44.0": {}}}).encode()
STARTER = "BOOT-INF/lib/spring-cloud-azure-starter-storage-blob-5.18.0.jar"
BINDING = json.dumps({"bindings": [{"type": "serviceBusTrigger", "queueName": "q", "connection": "Bus"}]}).encode()
LAYERS = [
    tar(
        {
            "app/shop.deps.json": DEPS,
            "usr/lib/python3.12/site-packages/azure_servicebus-7.13.0.dist-info/METADATA": b"Name: azure-servicebus",
            "old/site-packages/pymssql-2.3.0.dist-info/METADATA": b"x",
            "srv/node_modules/@azure/service-bus/package.json": b'{"name": "@azure/service-bus", "version": "7.9.5"}',
            "opt/app.jar": jar({STARTER: b"x", "BOOT-INF/classes/A.class": b"x"}),
        }
    ),
    tar({"old/.wh.site-packages": b"", "./home/site/wwwroot/f/function.json": BINDING}),
]


@pytest.fixture(params=["docker save", "oci folder"])
def image(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    made = Made(LAYERS)
    if request.param == "docker save":
        return str(write_tar(tmp_path / "shop.tar", docker_files(made)))
    return str(write_folder(tmp_path / "shop", oci_files(made)))


def test_packages_of_an_image(image: str) -> None:
    code = proposing.read_code([f"api={image}"])["api"]
    assert code.packages == {
        "@azure/service-bus": "7.9.5",
        "azure-servicebus": "7.13.0",
        "azure.core": "1.44.0",
        "microsoft.data.sqlclient": "6.0.1",
        "spring-cloud-azure-starter-storage-blob": "5.18.0",
    }, "what a later layer took away is not there"
    assert not code.whole


def of(code: Code, name: str, value: str, **env: str | None) -> Decision:
    return decide(
        Subject(name, point(Secret(value)), Evidence({name: None, **env}, code=code), identity="id-app"), TARGETS
    )


def test_how_far_an_image_goes(image: str, tmp_path: Path) -> None:
    """A driver that takes the string as it is, and a binding, are enough; what code might build by itself is not."""
    code = proposing.read_code([f"api={image}"])["api"]
    assert of(code, "DB", SQL).outcome is Outcome.CONFIGURATION
    bound = of(code, "Bus", BUS, FUNCTIONS_WORKER_RUNTIME="node")
    assert bound.outcome is Outcome.CONFIGURATION
    assert [grant.role.name for grant in bound.grants] == ["Azure Service Bus Data Receiver"]
    name = "SPRING_CLOUD_AZURE_STORAGE_BLOB_CONNECTIONSTRING"
    spring = of(code, name, STORAGE)
    assert spring.outcome is Outcome.VAULT
    assert any("only the packages of its image were read" in text for text in spring.fails)
    assert of(replace(code, whole=True), name, STORAGE).outcome is Outcome.CONFIGURATION
    # with its sources beside it, what the image has counts in full
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "pom.xml").write_text("<artifactId>shop</artifactId>")
    together = proposing.read_code([f"api={image}", f"api={folder}"])["api"]
    assert together.whole
    assert together.packages["spring-cloud-azure-starter-storage-blob"] == "5.18.0"
    assert of(together, name, STORAGE).outcome is Outcome.CONFIGURATION


def test_what_is_no_image_says_so(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"nothing")
    with pytest.raises(UsageError, match="is no image"):
        proposing.read_code([str(tmp_path / "x.tar")])
    with pytest.raises(UsageError, match="there is no such folder"):
        proposing.read_code([str(tmp_path / "away")])
