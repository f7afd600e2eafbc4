"""The simulated cloud as something that runs: it listens, keeps its world in a file, and writes profiles to use it by.

One port serves Resource Manager, Entra and the managed-identity endpoints; each vault and each registry has one of its
own, because the SDKs keep challenges per host and port.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import sys
import tempfile
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from migrator.simulator import estate as estates
from migrator.simulator import https, principals
from migrator.simulator.azure import ARM, Azure
from migrator.simulator.clock import Clock
from migrator.simulator.faults import Fault, Faults
from migrator.simulator.kept import Kept
from migrator.simulator.log import RequestLog
from migrator.simulator.providers import entra
from migrator.simulator.switches import Switches
from migrator.simulator.wire import AzureError, DroppedConnectionError, Json, Request, Response
from migrator.simulator.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_ENTRA = re.compile(entra.PATHS, re.IGNORECASE)


class Simulator:
    """One simulated cloud that listens. Use it as a context manager, or call `start` and `stop`, once.

    With a `world` file the cloud is loaded from it if it exists (the estate is then not read again), and saved to it at
    `stop`. In between, what a request changed is written to a log beside it before it is answered, so that a killed
    server loses nothing it acknowledged. Listeners take their old ports again after a restart where they are free;
    where not, the old address stays known as an alias.
    """

    def __init__(
        self,
        estate: Mapping[str, Any] | Path | None = None,
        *,
        world: Path | None = None,
        directory: Path | None = None,
        port: int = 0,
        speed: float = 60.0,
        switches: Mapping[str, Any] | None = None,
        faults: Iterable[dict[str, Any]] = (),
        fault_seed: int = 0,
        request_log: Path | None = None,
        seed: int = 0,
        clock: Clock | None = None,
        listening: bool = True,
    ) -> None:
        """Build the cloud; nothing listens, and the estate is not taken in, before `start`.

        Args:
            estate: an estate document (docs/estate.md), or the file that holds it.
            world: file to load the cloud from and save it to.
            directory: where the profile and the CA go; a temporary one, removed by `stop`, if None.
            port: port of Resource Manager; 0 means the one saved with the world, or a free one.
            speed: virtual seconds a wall second.
            switches: choices by name (`Switches`), which win over those of the estate.
            faults: rules (`Fault`), besides those of the estate; they count anew at each start.
            fault_seed: decides the chances of faults.
            request_log: file that gets one JSON line a request.
            seed: decides every random choice.
            clock: a clock of the caller's own instead of one at `speed`.
            listening: False for a cloud that is asked by `ask` alone: no port is opened and no certificate made, its
                addresses are of this process only.

        Raises:
            ValueError: the estate's file, the world, a switch or a fault is not in its format.
        """
        self._kept = None if world is None else Kept(world)
        self.port = port
        loaded, moment = self._kept.load() if self._kept is not None and self._kept.path.exists() else (None, None)
        self.clock = clock or Clock(speed, None if moment is None else max(moment, time.time()))
        self.azure = Azure(loaded or World(seed), self.clock)
        self._estate = None if loaded else _document(estate)
        self._switches = dict(switches or {})
        Switches.of(self._switches)
        self._faults = Faults(list(faults)).rules
        self._kept_faults: list[Fault] = []
        self.azure.faults.dice.seed(fault_seed)
        self._given_directory = directory
        self._log_file = request_log
        self._log: RequestLog | None = None
        self._filled = False
        self._listening = listening
        self._stack = contextlib.ExitStack()
        self._listeners = https.Listeners(self._answer, self._delay)

    @property
    def world(self) -> World:
        """Everything the cloud holds."""
        return self.azure.world

    @property
    def arm(self) -> str:
        """Origin of Resource Manager and Entra."""
        return self.azure.origins[ARM]

    @property
    def ca_file(self) -> Path:
        """The certificate authority's certificate, PEM; there is none where nothing listens."""
        return self.directory / "ca.pem"

    @property
    def profile_path(self) -> Path:
        """The cloud profile with the operator's credential."""
        return self.directory / "profile.json"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Take the estate in, open every listener and write the profiles.

        Raises:
            ValueError: the estate is not in its format.
            OSError: the port that was asked for is taken.
        """
        with contextlib.ExitStack() as stack:
            self._open(stack)
            self._stack = stack.pop_all()

    def stop(self) -> None:
        """Close every listener, save the world if it has a file, remove what is temporary. Twice is harmless."""
        with self._stack:
            self._stack = contextlib.ExitStack()

    def save(self) -> None:
        """Write the whole world to its file; without one nothing is written."""
        if self._kept is None:
            return
        with self.azure.lock:
            self._kept.save(self._with_rules(), moment=self.clock.now())

    def _with_rules(self) -> World:
        self.world.table("faults")["rules"] = [asdict(rule) for rule in self._kept_faults]
        return self.world

    def profile(self, principal: str = principals.OPERATOR) -> Json:
        """The cloud profile of the operator, or of another principal by client id, object id or resource id.

        Raises:
            KeyError: there is no such principal.
        """
        if principal == principals.OPERATOR:
            entry: Json | None = principals.operator(self.azure)
        elif principal.startswith("/"):
            entry = principals.of_resource(self.azure, principal)
        else:
            entry = principals.by_client(self.azure, principal)
        if entry is None:
            raise KeyError(f"no principal '{principal}' in the simulated tenant")
        return {
            "name": "simulator",
            "resource_manager": self.arm,
            "audience": self.arm,
            "authority": self.arm,
            "vault_suffix": None,
            "registry_suffix": None,
            "ca_file": str(self.ca_file) if self._listening else None,
            "credential": {
                "tenant_id": self.world.tenant,
                "client_id": entry["clientId"],
                "client_secret": entra.client_secret(self.azure),
            },
        }

    # Starting

    def _open(self, stack: contextlib.ExitStack) -> None:
        if self._given_directory is None:
            self.directory = Path(tempfile.mkdtemp(prefix="keylift-simulator-"))
            stack.callback(shutil.rmtree, self.directory, ignore_errors=True)
        else:
            self.directory = self._given_directory.resolve()
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._log_file is not None:
            self._log = stack.enter_context(RequestLog(self._log_file, self.azure))
        stack.callback(self._close)
        self.azure.listen = self._listen
        origin = self._listen(ARM)
        self.azure.origins |= {ARM: origin, entra.PLANE: origin}
        for plane in list(self.world.table("listeners")):
            self.azure.origin(plane)
        self._fill()
        self._write_profiles()
        self.save()
        if self._listening:
            self._listeners.start(https.certificate(self.directory))

    def _close(self) -> None:
        self._listeners.stop()
        self.azure.listen = None
        self._log = None
        if self._filled:  # an estate that was refused half-way is not kept
            self.save()

    def _fill(self) -> None:
        kept = self.world.table("switches")
        if self._estate is not None:
            estates.load(self.azure, self._estate)
            kept |= self.azure.switches.as_dict()
        self.azure.switches = Switches.of({**kept, **self._switches})
        self._kept_faults = [
            *self.azure.faults.rules,
            *(Fault(**rule) for rule in self.world.table("faults").get("rules", [])),
        ]
        self.azure.faults.rules = [*self._kept_faults, *self._faults]
        principals.operator(self.azure)
        entra.client_secret(self.azure)
        self._filled = True

    def _listen(self, plane: str) -> str:
        """Open a plane's port: its old one if it had one and that is free."""
        entry = self.world.table("listeners").setdefault(plane, {"port": 0, "aliases": []})
        if not self._listening:
            # numbers that no real listener has: the SDK keeps challenges by host and port for the whole process
            entry["port"] = entry["port"] or len(self.world.table("listeners"))
            return f"https://{https.HOST}:{entry['port']}"
        asked, old = self.port if plane == ARM else 0, entry["port"]
        try:
            entry["port"] = self._listeners.bind(plane, asked or old)
        except OSError:
            if asked:
                raise
            entry["port"] = self._listeners.bind(plane)
        if old and old != entry["port"]:
            entry["aliases"] = sorted({*entry["aliases"], f"{https.HOST}:{old}"})
        return f"https://{https.HOST}:{entry['port']}"

    def _write_profiles(self) -> None:
        """The operator's profile, and for convenience one for each identity of the start: `profiles/<name>.json`."""
        _write_json(self.profile_path, self.profile())
        folder = self.directory / "profiles"
        folder.mkdir(mode=0o700, exist_ok=True)
        for old in folder.glob("*.json"):
            old.unlink()
        written: set[str] = set()
        for entry in self.world.table("principals").values():
            if entry["kind"] in {"user-assigned", "system"}:
                name = re.sub(r"[^\w.-]", "_", entry["name"]) + (".system" if entry["kind"] == "system" else "")
                if name in written:
                    name = f"{name}.{entry['clientId']}"
                written.add(name)
                _write_json(folder / f"{name}.json", self.profile(entry["clientId"]))

    # Answering, on the thread of the listeners

    def ask(self, request: Request, sleep: Callable[[float], None]) -> Response:
        """Answer a request within this process, by its host; from any thread, several at a time.

        Args:
            request: What a socket would have brought.
            sleep: Lets a delay pass that a fault gives.

        Raises:
            DroppedConnectionError: a fault; the connection would be closed without an answer.
        """
        plane = _plane(self.azure.plane_at(request.host) or ARM, request)
        if (seconds := self._delay(plane, request)) > 0:
            sleep(seconds)
        with self.azure.lock:
            response = self._answer(plane, request)
        if response.delay > 0:
            sleep(response.delay)
        return response

    def _delay(self, plane: str, request: Request) -> float:
        with self.azure.lock:
            return self.azure.faults.delay(_plane(plane, request), request, self.azure.clock.now())

    def _answer(self, plane: str, request: Request) -> Response:
        plane = _plane(plane, request)
        status = 0
        try:
            response = self.azure.handle(plane, request)
            status = response.status
        except DroppedConnectionError:
            raise
        except Exception as error:  # noqa: BLE001 - a defect here must not look like a closed connection
            status = 500
            # without the error's text: it may hold a value
            sys.stderr.write(
                f"simulator: {type(error).__name__} while answering {request.method} {request.path}\n"
                + "".join(traceback.format_tb(error.__traceback__))
            )
            response = AzureError(500, "InternalServerError", "The simulator met a defect of its own.").response()
        finally:
            # a fault may change the world with a request that reads
            if request.method not in {"GET", "HEAD", "OPTIONS"} or self.azure.faults.rules:
                self._keep()
            if self._log is not None:
                self._log.write(plane, request, status)
        return response

    def _keep(self) -> None:
        """Have what a request changed on the disk."""
        if self._kept is not None:
            with self.azure.lock:
                self._kept.note(self._with_rules(), moment=self.clock.now())


def _plane(plane: str, request: Request) -> str:
    """The plane that is meant: Resource Manager and Entra share a port."""
    return entra.PLANE if plane == ARM and _ENTRA.match(request.path) else plane


def _document(estate: Mapping[str, Any] | Path | None) -> Mapping[str, Any] | None:
    if not isinstance(estate, Path):
        return estate
    try:
        document = json.loads(estate.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{estate}: not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ValueError(f"{estate}: an estate is a JSON object")  # noqa: TRY004 - one error type for a bad file
    return document


def _write_json(path: Path, document: Json) -> None:
    https.write_private(path, json.dumps(document, indent=2).encode() + b"\n")
