"""One emulator and one sign-in for the tests of a process; a container of its own for each test."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from migrator.cloud.blob_ledger import BlobLedger
from migrator.cloud.blobs import BlobFolder
from migrator.cloud.profiles import load_profile
from migrator.cloud.session import Session
from migrator.shared import SharedState
from migrator.simulator.server import Simulator

from . import azurite
from .azurite import ACCOUNT, Azurite

NUMBERS = itertools.count(1)


def both(profile: Path, storage: Azurite, folder: Path) -> Path:
    """A copy of a simulator's profile that trusts the emulator's certificate, too."""
    document = json.loads(profile.read_text())
    certificates = folder / "both.pem"
    certificates.write_bytes(Path(document["ca_file"]).read_bytes() + storage.ca.read_bytes())
    made = folder / "profile.json"
    made.write_text(json.dumps({**document, "ca_file": str(certificates)}))
    made.chmod(0o600)
    return made


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with azurite.running(tmp_path_factory.mktemp("azurite")) as made:
        yield made


@pytest.fixture(scope="session")
def profile(storage: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of a simulator that is there to sign in to."""
    folder = tmp_path_factory.mktemp("entra")
    with Simulator({"schema": 1, "subscriptions": [], "resources": []}, directory=folder / "simulator") as simulator:
        yield both(Path(simulator.profile_path), storage, folder)


class Team:
    """A container, and machines that work with it."""

    def __init__(self, storage: Azurite, profile: Path, stack: ExitStack) -> None:
        self.storage = storage
        self.profile = profile
        self.stack = stack
        name = f"team-{os.getpid()}-{next(NUMBERS)}"
        self.state = SharedState.parse(f"azblob://127.0.0.1:{storage.port}/{ACCOUNT}/{name}/keylift/shop")
        self.container = self.session().container(f"https://127.0.0.1:{storage.port}/{ACCOUNT}", name)
        self.container.create_container()

    def session(self) -> Session:
        return self.stack.enter_context(Session(load_profile(str(self.profile)), seed=1))

    def folder(self) -> BlobFolder:
        return BlobFolder(self.session(), self.state)

    def ledger(self, **options: Any) -> BlobLedger:
        """Another machine's."""
        made = BlobLedger(self.folder(), user="operator", **options)
        self.stack.callback(made.close)
        return made

    def blobs(self) -> dict[str, bytes]:
        return {blob.name: self.container.download_blob(blob.name).readall() for blob in self.container.list_blobs()}


@pytest.fixture
def team(storage: Azurite, profile: Path) -> Iterator[Team]:
    with ExitStack() as stack:
        yield Team(storage, profile, stack)
