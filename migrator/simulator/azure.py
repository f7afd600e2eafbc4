"""The simulated cloud: finds the provider for a request, checks token, version, right and lock, and answers.

`Azure.handle` is the whole of it: a plain function from request to response, deterministic for a seed and a clock.
Providers register routes and events; a new provider is one file in `providers/` with a `register(azure)` function.
"""

from __future__ import annotations

import importlib
import pkgutil
import random
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from urllib.parse import urlsplit

from migrator.simulator import headers, providers, rbac, refusals, throttling
from migrator.simulator.clock import Clock
from migrator.simulator.faults import Faults
from migrator.simulator.switches import Switches
from migrator.simulator.wire import AzureError, Json, Request, Response
from migrator.simulator.world import World

Handler = Callable[["Call"], Response]
Event = Callable[["Azure", float, dict[str, Any]], None]
Loader = Callable[["Azure", Json], None]

ARM = "arm"
"""The plane of Resource Manager; the others are named by their provider (`entra`, `vault:<id>`, `registry:<id>`)."""

PUBLIC_SUFFIX = {"vault": "vault.azure.net", "registry": "azurecr.io"}
SUFFIXES = {
    "vault": {"vault.azure.net", "vault.azure.cn", "vault.usgovcloudapi.net"},
    "registry": {"azurecr.io", "azurecr.cn", "azurecr.us"},
}
"""Host suffixes of vaults and registries in the public, China and US Government clouds."""

MATCHED = 20_000
"""Paths whose routes are remembered."""

_PARAMETER = re.compile(r"\{(\w+)(:path)?\}")


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of one plane."""

    plane: str
    method: str
    pattern: re.Pattern[str]
    handler: Handler
    action: str | None
    """The action checked at `scope`, e.g. `Microsoft.App/containerApps/read`; None: any signed-in caller may."""
    scope: str | None
    """Template of the scope the action is checked at; None: the request's own path."""
    versions: frozenset[str]
    """Accepted api-versions; empty: the operation takes none."""
    write: bool
    """Whether a ReadOnly lock stops it (any write, and POST actions as list* do)."""
    public: bool
    """Needs no token."""
    template: str = ""
    """The path as it was registered."""
    fallback: bool = False
    """Answers only where no other route's path matches."""
    facts: Callable[[Request], dict[str, str]] | None = None
    """What conditions of role assignments may ask about the request, by attribute name in lower case."""


@dataclass(slots=True)
class Call:
    """One request on its way through a provider."""

    azure: Azure
    request: Request
    route: Route
    params: dict[str, str]
    principal: str
    """Object id of the caller; empty on public routes."""
    plane: str = ARM
    """The plane as asked, with what stands behind its colon: `vault:<lower-case id>`."""

    @property
    def world(self) -> World:
        return self.azure.world

    @property
    def now(self) -> float:
        return self.azure.clock.now()

    @property
    def version(self) -> str:
        """The request's api-version."""
        return self.request.query.get("api-version", "")

    def authorize(self, action: str, scope: str, *, data: bool = False) -> None:
        """Raise 403 `AuthorizationFailed` unless the caller has `action` at `scope`."""
        rbac.require(self.azure, self.principal, action, scope, data=data)

    def allowed(self, action: str, scope: str, *, data: bool = False) -> bool:
        """Whether the caller has `action` (a data action if `data`) at `scope`, now."""
        return rbac.allowed(self.azure, self.principal, action, scope, data=data)


@dataclass(slots=True)
class Azure:
    """One simulated cloud."""

    world: World
    clock: Clock
    switches: Switches = field(default_factory=Switches)
    faults: Faults = field(default_factory=Faults)
    origins: dict[str, str] = field(default_factory=dict)
    """Where planes listen: `arm` and `entra` -> origin, `vault:<lower-case id>` -> origin, `registry:<id>` -> origin."""
    listen: Callable[[str], str] | None = None
    """Opens a listener for a plane that is new (a vault just made) and gives its origin; None: nothing listens."""
    routes: list[Route] = field(default_factory=list)
    events: dict[str, Event] = field(default_factory=dict)
    loaders: dict[str, Loader] = field(default_factory=dict)
    before_write: list[Callable[[Azure, Request], None]] = field(default_factory=list)
    """Told of every PUT, PATCH and DELETE to Resource Manager that is about to be carried out."""
    after_write: list[Callable[[Call, Response], None]] = field(default_factory=list)
    """Told of every request to Resource Manager but a GET that was carried out."""
    lock: threading.RLock = field(default_factory=threading.RLock)
    _matched: dict[tuple[str, str, bool], list[tuple[Route, dict[str, str]]]] = field(default_factory=dict)
    """Routes that match a path, found before: clients ask for the same resources again and again."""
    trace: random.Random = field(default_factory=random.Random)
    """Numbers for request ids; apart from the world's own, so that reading the cloud changes no later choice."""

    def __post_init__(self) -> None:
        self.trace.seed(self.world.seed)
        for module in sorted(info.name for info in pkgutil.iter_modules(providers.__path__)):
            importlib.import_module(f"{providers.__name__}.{module}").register(self)

    def route(
        self,
        plane: str,
        method: str,
        template: str,
        handler: Handler,
        *,
        versions: Sequence[str] = (),
        action: str | None = None,
        scope: str | None = None,
        write: bool | None = None,
        public: bool = False,
        fallback: bool = False,
        facts: Callable[[Request], dict[str, str]] | None = None,
    ) -> None:
        """Add an operation. `{name}` matches one path segment, `{name:path}` any number; paths match without case."""
        expression, last = "", 0
        for match in _PARAMETER.finditer(template):
            expression += re.escape(template[last : match.start()])
            expression += f"(?P<{match[1]}>{'.*' if match[2] else '[^/]+'})"
            last = match.end()
        expression += re.escape(template[last:])
        self._matched.clear()
        self.routes.append(
            Route(
                plane,
                method,
                re.compile(expression.rstrip("/") + "/?", re.IGNORECASE),
                handler,
                action,
                scope,
                frozenset(versions),
                method in {"PUT", "PATCH", "POST"} if write is None else write,
                public,
                template,
                fallback,
                facts,
            )
        )

    def on(self, event: str, handler: Event) -> None:
        """Register what happens when a scheduled `event` falls due."""
        self.events[event] = handler

    def loader(self, kind: str, load: Loader) -> None:
        """Register how a document of an ARM type (e.g. `Microsoft.App/containerApps`) of an estate file is taken in.

        A document of a type without a loader is stored as it stands.
        """
        self.loaders[kind.lower()] = load

    def origin(self, plane: str) -> str:
        """The origin of a plane (`vault:<id>`), which is opened on first use; an Azure-like one if nothing listens."""
        plane = plane.lower()
        if plane not in self.origins:
            name = plane.rpartition("/")[2]
            kind = plane.partition(":")[0]
            self.origins[plane] = (
                self.listen(plane) if self.listen else f"https://{name}.{PUBLIC_SUFFIX.get(kind, 'azure.example')}"
            )
        return self.origins[plane]

    def plane_at(self, host: str) -> str | None:
        """The vault or registry that a host name (or a URL) stands for, without case.

        Known are where it listens now, where it listened before a restart, and `<name>.vault.azure.net`,
        `<name>.azurecr.io` and their sovereign forms, so that references of captured estates still resolve.
        """
        host = (urlsplit(host).netloc if "://" in host else host.partition("/")[0]).lower()
        host = re.sub(r"^localhost:", "127.0.0.1:", host)
        for plane, origin in self.origins.items():
            if ":" in plane and urlsplit(origin).netloc == host:
                return plane
        for plane, entry in self.world.table("listeners").items():
            if host in entry["aliases"] and ":" in plane:
                return plane
        name, _, suffix = host.partition(".")
        kind = next((kind for kind, known in SUFFIXES.items() if suffix in known), None)
        if kind is None:
            return None
        return next((p for p in self.origins if p.startswith(f"{kind}:") and p.endswith(f"/{name}")), None)

    def settle(self) -> None:
        """Let everything happen that is due by now, in order."""
        now = self.clock.now()
        while (entry := self.world.due(now)) is not None:
            due, event, arguments = entry
            self.events[event](self, due, arguments)

    def handle(self, plane: str, request: Request) -> Response:
        """Answer one request of `plane`. Never raises for a bad request; faults may raise DroppedConnectionError."""
        with self.lock:
            self.settle()
            try:
                if plane == ARM:
                    throttling.draw(self, request)
                fault = self.faults.before(self, plane, request)
                response = fault or self._answer(plane, request)
            except AzureError as error:
                response = error.response()
            if plane == ARM:
                headers.dress(self, request, response)
            # Azure's clock, which need not be the caller's
            response.headers.setdefault("Date", formatdate(self.clock.now(), usegmt=True))
            return self.faults.after(self, plane, request, response)

    def _answer(self, plane: str, request: Request) -> Response:
        # `vault:<id>` is one of many planes of a kind: its routes are registered once, under the kind
        kind = plane.partition(":")[0]
        found = self._matching(kind, request.path, fallback=False)
        for route, params in found or self._matching(kind, request.path, fallback=True):
            if route.method == request.method:
                return self._dispatch(route, params, request, plane)
        if plane == ARM:
            rbac.authenticate(self, plane, request)
            refusals.refuse(self, request, known_path=bool(found))
        if found:
            raise AzureError(405, "MethodNotAllowed", f"The HTTP method '{request.method}' is not supported.")
        raise AzureError(404, "NotFound", f"No operation answers to {request.method} {request.path}.")

    def _matching(self, kind: str, path: str, *, fallback: bool) -> list[tuple[Route, dict[str, str]]]:
        known = self._matched.get((kind, path, fallback))
        if known is None:
            if len(self._matched) >= MATCHED:
                self._matched.clear()
            known = self._matched[kind, path, fallback] = [
                (route, match.groupdict())
                for route in self.routes
                if route.plane == kind and route.fallback is fallback and (match := route.pattern.fullmatch(path))
            ]
        return [(route, dict(params)) for route, params in known]

    def _dispatch(self, route: Route, params: dict[str, str], request: Request, plane: str) -> Response:
        principal = "" if route.public else rbac.authenticate(self, route.plane, request)
        if route.versions:
            refusals.check_version(self, request, route)
        if route.plane == ARM:
            refusals.check_subscription(self, request)
        call = Call(self, request, route, params, principal, plane)
        if route.action is not None:
            scope = request.path if route.scope is None else route.scope.format(**params)
            facts = route.facts(request) if route.facts else None
            rbac.require(self, principal, route.action, scope, facts=facts)
        if route.plane == ARM:
            refusals.check_group(self, request)
        if route.plane == ARM and (route.write or request.method == "DELETE"):
            rbac.check_locks(self, request.path, deleting=request.method == "DELETE")
        if route.plane == ARM and request.method in {"PUT", "PATCH", "DELETE"}:
            for watch in self.before_write:
                watch(self, request)
        response = route.handler(call)
        if route.plane == ARM and request.method != "GET":
            for told in self.after_write:
                told(call, response)
        return response


GATEWAY = refusals.GATEWAY
"""Header of errors that ARM gives itself, before any provider is asked (traffic, section 8)."""


def not_found(kind: str, name: str, group: str) -> AzureError:
    """ARM's own 404 for a resource that is not there."""
    return AzureError(
        404,
        "ResourceNotFound",
        f"The Resource '{kind}/{name}' under resource group '{group}' was not found. For more details please go to "
        "https://aka.ms/ARMResourceNotFoundFix",
        headers=GATEWAY,
    )


def page(call: Call, items: Sequence[Json], *, size: int) -> Json:
    """One page of a listing: `{"value": [...], "nextLink": ...}`; the position travels in `$skiptoken`."""
    start = int(call.request.query.get("$skiptoken") or call.request.query.get("$skipToken") or 0)
    answer: Json = {"value": list(items[start : start + size])}
    if start + size < len(items):
        kept = "&".join(f"{k}={v}" for k, v in call.request.query.items() if k.lower() != "$skiptoken")
        answer["nextLink"] = f"{call.request.origin}{call.request.path}?{kept}&$skiptoken={start + size}"
    return answer
