"""What values say of themselves, and that nothing of a value is in what is said."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.passwordless.pointer import elsewhere, point
from migrator.passwordless.rights import Asker, rights
from migrator.passwordless.services import NEEDS, by_host, services
from scanners.model import Secret

SECRET = "Q0FOQVJZMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI="


@pytest.mark.parametrize(
    ("value", "service", "name", "parts"),
    [
        (f"AccountName=acme;AccountKey={SECRET}", "storage", "acme", {}),
        (f"AccountName=acme;AccountKey={SECRET};EndpointSuffix=core.chinacloudapi.cn", "storage", "acme", {}),
        (f"Endpoint=sb://n.servicebus.windows.net/;SharedAccessKeyName=a;SharedAccessKey={SECRET};EntityPath=q",
         "service-bus", "n", {"entity": "q"}),
        (f"AccountEndpoint=https://c.documents.azure.com:443/;AccountKey={SECRET};Database=d", "cosmos", "c", {"database": "d"}),
        (f"Server=tcp:s.database.windows.net,1433;Initial Catalog=d;User ID=u;Password={SECRET}", "sql", "s", {"database": "d"}),
        (f"jdbc:sqlserver://s.database.windows.net:1433;database=d;user=u@s;password={SECRET};", "sql", "s", {"database": "d"}),
        (f"Host=p.postgres.database.azure.com;Username=u;Password={SECRET};Database=d", "postgresql", "p", {"database": "d"}),
        (f"mysql://u:{SECRET}@m.mysql.database.azure.com/d", "mysql", "m", {"database": "d"}),
        (f"r.redis.cache.windows.net:6380,password={SECRET},ssl=True,abortConnect=False", "redis", "r", {}),
        (f"rediss://:{SECRET}@r.redis.cache.windows.net:6380/0", "redis", "r", {}),
        (f"rediss://:{SECRET}@r.westeurope.redis.azure.net:10000", "managed-redis", "r", {}),
        (f"Endpoint=https://a.azconfig.io;Id=x;Secret={SECRET}", "app-configuration", "a", {}),
        (f"Endpoint=https://s.service.signalr.net;AccessKey={SECRET};Version=1.0;", "signalr", "s", {}),
        (f"HostName=h.azure-devices.net;SharedAccessKeyName=service;SharedAccessKey={SECRET}", "iot-hub", "h", {}),
        (f"endpoint=https://c.communication.azure.com/;accesskey={SECRET}", "communication", "c", {}),
        (f"https://acme.blob.core.windows.net/up?sp=rl&sr=c&sig={SECRET}", "storage-blob", "acme", {"container": "up"}),
        (f"https://acme-secondary.queue.core.windows.net/q?sp=p&sig={SECRET}", "storage-queue", "acme", {"queue": "q"}),
        (f"InstrumentationKey={SECRET};IngestionEndpoint=https://x/", "application-insights", "", {}),
    ],
)  # fmt: skip
def test_what_a_value_opens(value: str, service: str, name: str, parts: dict[str, str]) -> None:
    found = point(Secret(value))
    assert found is not None
    assert (found.services[0], found.name, dict(found.parts)) == (service, name, parts)
    assert SECRET not in repr(dataclasses.asdict(found))


@pytest.mark.parametrize(
    ("letters", "needs"), [("r", {"read"}), ("rl", {"read"}), ("rcwd", {"write"}), ("a", {"write"}), ("", set())]
)
def test_rights_of_a_signature(letters: str, needs: set[str]) -> None:
    found = point(Secret(f"https://acme.blob.core.windows.net/up?sp={letters}&sr=c&sig=x"))
    assert found is not None
    assert found.rights == needs


@pytest.mark.parametrize(
    ("signed", "service", "rights"),
    [
        ("ss=bq&srt=sco&sp=rwdl", "storage", set()),
        ("ss=bq&srt=sco&sp=rl", "storage", {"read"}),
        ("ss=b&srt=sco&sp=rwdl", "storage-blob", {"write"}),
    ],
)
def test_a_signature_for_several_services_says_which_only_where_it_is_for_one(
    signed: str, service: str, rights: set[str]
) -> None:
    ends = (
        "BlobEndpoint=https://acme.blob.core.chinacloudapi.cn/;QueueEndpoint=https://acme.queue.core.chinacloudapi.cn/"
    )
    found = point(Secret(f"{ends};SharedAccessSignature=sv=2024-11-04&{signed}&sig={SECRET}"))
    assert found is not None
    assert (found.services[0], found.name, found.cloud, set(found.rights)) == (service, "acme", "china", rights)
    assert found.host == "acme.blob.core.chinacloudapi.cn"


def test_a_signature_by_a_stored_policy_names_it() -> None:
    found = point(Secret(f"https://acme.blob.core.windows.net/up?sv=1&sr=c&si=uploads&sig={SECRET}"))
    assert found is not None
    assert (found.policy, set(found.rights)) == ("uploads", set())
    asked = rights(found, services()["storage-blob"], None, (), Asker("id", ""))
    assert any("the stored policy uploads" in doubt for doubt in asked.doubts)


@pytest.mark.parametrize(
    "value",
    [
        "", "Password=x", "postgres://u:p@db.internal/x", "https://example.com/?sig=1", "Endpoint=sb://[x;SharedAccessKeyName=a;SharedAccessKey=b",
        "AccountName=devstoreaccount1;AccountKey=x",
        "a=b\nc=d", "https://acme.blob.core.windows.net.evil.example/c?sig=x", "redis://[::1", "jdbc:sqlserver://",
    ],
)  # fmt: skip
def test_what_is_nothing_of_azure(value: str) -> None:
    assert point(Secret(value)) is None


@pytest.mark.parametrize(
    ("value", "host"),
    [
        ("Endpoint=sb://bus.contoso.com/;SharedAccessKeyName=a;SharedAccessKey=b", "bus.contoso.com"),
        ("Endpoint=sb://10.0.0.4/;SharedAccessKeyName=a;SharedAccessKey=b", "10.0.0.4"),
        ("AccountEndpoint=https://data.contoso.com:443/;AccountKey=b", "data.contoso.com"),
        ("Endpoint=https://live.contoso.com;AccessKey=b;Version=1.0;", "live.contoso.com"),
        ("Endpoint=sb://ns1.servicebus.windows.net/;SharedAccessKeyName=a;SharedAccessKey=b", ""),
        ("BlobEndpoint=https://files.contoso.com/;SharedAccessSignature=sv=1&sp=r&sig=x", "files.contoso.com"),
        ("https://files.contoso.com/c/b?sv=2024-11-04&sr=b&sp=r&sig=x", "files.contoso.com"),
        ("https://acme.blob.core.windows.net/c/b?sv=2024-11-04&sr=b&sp=r&sig=x", ""),
        ("https://example.com/?sig=1", ""),
        ("Server=sql.corp.internal;Password=b", ""),
        ("Endpoint=sb://[x;SharedAccessKey=b", ""),
    ],
)
def test_a_host_that_hides_the_resource(value: str, host: str) -> None:
    assert elsewhere(Secret(value)) == host


TEXT = st.text(alphabet=st.characters(codec="utf-8", exclude_characters=";={}'\"\n"), min_size=12, max_size=40)


@given(secret=st.from_regex(r"[A-Za-z0-9+/]{24,60}={0,2}", fullmatch=True), template=st.sampled_from([
    "AccountName=acme;AccountKey={}", "Endpoint=sb://n.servicebus.windows.net/;SharedAccessKeyName=a;SharedAccessKey={}",
    "Server=s.database.windows.net;User ID=u;Password={};Database=d", "r.redis.cache.windows.net:6380,password={}",
    "https://acme.blob.core.windows.net/c?sp=r&sig={}", "Endpoint=https://s.service.signalr.net;AccessKey={}",
]))  # fmt: skip
def test_nothing_of_the_secret_is_in_the_pointer(secret: str, template: str) -> None:
    found = point(Secret(template.format(secret)))
    assert found is None or secret not in repr(dataclasses.asdict(found))


@given(
    st.one_of(
        st.text(max_size=200), TEXT.map(lambda text: f"Endpoint=sb://{text};SharedAccessKeyName=a;SharedAccessKey=b")
    )
)
def test_no_text_is_too_odd(text: str) -> None:
    point(Secret(text))


def test_the_table_is_whole() -> None:
    for service in services().values():
        assert service.types
        assert set(service.roles) <= set(NEEDS)
        assert set(service.choices) <= set(services())
        assert service.system != "arm" or all(len(role.id) == 36 for role in service.roles.values())
        for suffixes in service.hosts.values():
            for suffix in suffixes:
                at = by_host(f"name.{suffix}")
                assert at is not None
                assert service in at.services
        # an owner's role and roles that list the keys are nothing to propose without being asked
        assert not any(
            "Owner" in role.name for need, role in service.roles.items() if need in {"read", "send", "receive"}
        )
