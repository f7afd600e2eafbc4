"""The official clients against the simulated cloud without a socket: a transport that calls it as a function."""

from __future__ import annotations

import io
import re
from typing import Any

import requests
from azure.core.pipeline.transport import RequestsTransport
from azure.keyvault.secrets._shared import http_challenge_cache
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from migrator.cloud.profiles import ClientSecret, CloudProfile
from migrator.model import Json
from migrator.simulator import estate as estates
from migrator.simulator import principals
from migrator.simulator.azure import ARM, Azure
from migrator.simulator.clock import Clock
from migrator.simulator.providers import entra
from migrator.simulator.wire import DroppedConnectionError, Request
from migrator.simulator.world import World
from scanners.model import Secret

ORIGIN = "https://127.0.0.1:1"


class Inside(HTTPAdapter):
    """Hands requests to `Azure.handle`."""

    def __init__(self, azure: Azure) -> None:
        super().__init__()
        self.azure = azure
        self.asked: list[str] = []

    def send(self, request: requests.PreparedRequest, *_arguments: Any, **_options: Any) -> requests.Response:
        body = request.body if isinstance(request.body, bytes) else str(request.body or "").encode()
        headers = {name: str(value) for name, value in request.headers.items()}
        wire = Request.of(str(request.method), str(request.url), headers, body)
        plane = self.azure.plane_at(wire.host) or (
            entra.PLANE if re.match(entra.PATHS, wire.path, re.IGNORECASE) else ARM
        )
        self.asked.append(f"{wire.method} {wire.path}")
        try:
            answer = self.azure.handle(plane, wire)
        except DroppedConnectionError as error:
            raise requests.ConnectionError("the connection was dropped") from error
        content = answer.encoded()
        told = {"Content-Type": "application/json", **answer.headers, "Content-Length": str(len(content))}
        raw = HTTPResponse(io.BytesIO(content), told, answer.status, preload_content=False)
        return self.build_response(request, raw)


def inside(document: Json, clock: Clock) -> tuple[Inside, CloudProfile, RequestsTransport]:
    """The cloud of an estate, the profile to reach it with, and the transport that does."""
    http_challenge_cache.clear()  # the library keeps challenges for the whole process
    azure = Azure(World(7), clock)
    azure.origins |= {ARM: ORIGIN, entra.PLANE: ORIGIN}
    estates.load(azure, document)
    operator = principals.operator(azure)
    credential = ClientSecret(azure.world.tenant, operator["clientId"], Secret(entra.client_secret(azure)))
    profile = CloudProfile("inside", ORIGIN, ORIGIN, ORIGIN, credential=credential)
    adapter = Inside(azure)
    session = requests.Session()
    session.trust_env = False
    session.mount("https://", adapter)
    return adapter, profile, RequestsTransport(session=session)
