from __future__ import annotations

from migrator.cloud import reading
from migrator.cloud.cloud import AzureCloud
from migrator.cloud.reading import Scope
from migrator.cloud.session import Session
from migrator.model import Estate
from migrator.simulator.clock import Clock
from migrator.simulator.faults import Fault
from scanners.model import Secret

from .inprocess import inside
from .world import Driven, app, app_id, estate, vault


def story(seed: int) -> tuple[list[str], list[float], Estate]:
    """A reading with faults and two writes, on a clock that only waits move."""
    document = estate(vault(), *(app(f"app-{n}", secrets={"db": f"value-{n}"}) for n in range(5)))
    clock = Clock(speed=0.0, start=2_000_000_000.0)
    adapter, profile, transport = inside(document, clock)
    adapter.azure.faults.rules += [
        Fault(path="listSecrets", status=503, times=2),
        Fault(path="revisions", drop="before"),
    ]
    driven = Driven(clock)
    with Session(profile, clock=driven, transport_factory=lambda: transport, in_flight=1, seed=seed) as session:
        found = reading.read_estate(session, Scope(), with_revisions=True, with_access=True, vault="kv-shop")
        cloud = AzureCloud(session)
        cloud.set_secret(found.vaults[0].uri, "db", Secret("new-value"), {})
        body = {"properties": {"template": {"containers": [{"name": "main", "image": "nginx:2"}]}}}
        cloud.patch_app(app_id("app-1"), body, lambda _url: None)
    return adapter.asked, driven.slept, found


def test_the_same_seed_tells_the_same_story() -> None:
    first, second, other = story(1), story(1), story(2)
    assert first == second
    assert first[1] != other[1], "another seed, other waits"
    assert len(first[2].apps) == 5
    assert not first[2].errors
