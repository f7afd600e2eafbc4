"""What an identity needs, read from the key, from its use and from code: the least of what they tell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from migrator.passwordless.code import read_code
from migrator.passwordless.decision import Decision, Subject, decide
from migrator.passwordless.evidence import Evidence
from migrator.passwordless.pointer import Pointer, point
from migrator.passwordless.rights import Asker, rights
from migrator.passwordless.services import services
from scanners.model import Secret

from .projects import BUS, COSMOS, KEY, STORAGE, TARGETS, judged

SENDER, RECEIVER = "Azure Service Bus Data Sender", "Azure Service Bus Data Receiver"
STORE = f"Endpoint=https://a1.azconfig.io;Id=x;Secret={KEY}"
CS_BUS = "var c = new ServiceBusClient(connectionString);\n"
PY_BLOB = "s = BlobServiceClient.from_connection_string(conn)\n"
JS_COSMOS = "const c = new CosmosClient(connectionString);\n"


def given(decision: Decision) -> list[str]:
    return [grant.role.name for grant in decision.grants]


@pytest.mark.parametrize(
    ("file", "text", "value", "roles", "says"),
    [
        ("B.cs", CS_BUS + 'var s = c.CreateSender("orders");', BUS, [SENDER], "code sends (B.cs:2)"),
        ("B.cs", CS_BUS + "var p = c.CreateProcessor(name);", BUS, [RECEIVER], "code receives (B.cs:2)"),
        ("b.py", "c = ServiceBusClient.from_connection_string(x)\nwith c.get_queue_sender(q) as s: ...\nc.get_subscription_receiver(t, s)", BUS,
         [RECEIVER, SENDER], "code receives (b.py:3)"),
        ("B.java", 'var c = new ServiceBusClientBuilder()\n.connectionString(x)\n.processor()\n.queueName("q")', BUS, [RECEIVER], "B.java:3"),
        ("b.go", "c, err := azservicebus.NewClientFromConnectionString(x, nil)\nr, err := c.NewReceiverForQueue(q, nil)", BUS, [RECEIVER], "b.go:2"),
        ("b.py", f"{PY_BLOB}s.get_blob_client(c, b).download_blob()", STORAGE, ["Storage Blob Data Reader"], "code reads (b.py:2)"),
        ("b.py", f"{PY_BLOB}s.get_blob_client(c, b).download_blob()\nc.upload_blob(x)", STORAGE, ["Storage Blob Data Contributor"], "code writes (b.py:3)"),
        ("b.ts", f"{JS_COSMOS}await c.database(d).container(k).items.query(q).fetchAll()", COSMOS, ["Cosmos DB Built-in Data Reader"], "code reads (b.ts:2)"),
        ("b.ts", f"{JS_COSMOS}await k.items.upsert(x)", COSMOS, ["Cosmos DB Built-in Data Contributor"], "code writes (b.ts:2)"),
        ("B.cs", CS_BUS, BUS, [RECEIVER, SENDER], "a key tells no need"),
        ("c.py", "s = AzureAppConfigurationClient.from_connection_string(x)", STORE, [], "App Configuration Data Owner if the app writes"),
        ("c.py", "s = AzureAppConfigurationClient.from_connection_string(x)\ns.get_configuration_setting(k)", STORE,
         ["App Configuration Data Reader"], "code reads (c.py:2)"),
        # a verb in a file that is about something else is none of the service's
        ("b.py", PY_BLOB, STORAGE, ["Storage Blob Data Contributor"], "a key tells no need"),
    ],
)  # fmt: skip
def test_verbs_in_code(file: str, text: str, value: str, roles: list[str], says: str, tmp_path: Path) -> None:
    decision = judged(tmp_path, {file: text, "other.py": "drive.upload(x)\nmail.get(1)\n"}, "X", value)
    assert given(decision) == roles
    assert any(says in told for told in (*decision.holds, *decision.fails)), decision
    assert not any("Owner" in role for role in given(decision))


def test_code_in_tests_needs_nothing(tmp_path: Path) -> None:
    files = {"B.cs": CS_BUS + "c.CreateSender(q);", "tests/B.cs": "new ServiceBusClient(x).CreateReceiver(q);"}
    assert given(judged(tmp_path, files, "X", BUS)) == [SENDER]


TRIGGER = 'void Run([ServiceBusTrigger("q", Connection = "X")] string m) {}'
ENV: dict[str, str | None] = {"X": None, "FUNCTIONS_WORKER_RUNTIME": "dotnet-isolated"}


@pytest.mark.parametrize(
    ("allowed", "files", "env", "roles"),
    [
        # the key allows less than the code could do: it never did more
        (["Send"], {"B.cs": CS_BUS + "c.CreateSender(q); c.CreateReceiver(q);"}, {"X": None}, [SENDER]),
        # the use does less than the key allows
        (["Listen", "Send"], {"F.cs": TRIGGER}, ENV, [RECEIVER]),
        (["Listen", "Send"], {"B.cs": CS_BUS + "c.CreateSender(q);"}, {"X": None}, [SENDER]),
        # what was seen is not what the key is for: the key's own rights are what is known
        (["Listen"], {"B.cs": CS_BUS + "c.CreateSender(q);"}, {"X": None}, [RECEIVER]),
        # a policy that may all is what one has who did not choose: no owner comes of it
        (["Listen", "Manage", "Send"], {"F.cs": TRIGGER}, ENV, [RECEIVER]),
        (["Listen", "Manage", "Send"], {"B.cs": CS_BUS}, {"X": None}, [RECEIVER, SENDER]),
    ],
)
def test_the_least_of_what_key_and_use_tell(
    allowed: list[str], files: dict[str, str], env: dict[str, str | None], roles: list[str], tmp_path: Path
) -> None:
    for path, text in files.items():
        (tmp_path / path).write_text(text)
    bus = TARGETS[0]
    rule = {"/app": {"rights": allowed, "part": "", "owner": bus.id}}
    target = replace(bus, document={**bus.document, "policies": rule})
    subject = Subject("X", point(Secret(BUS)), Evidence(env, code=read_code(tmp_path)))
    assert given(decide(subject, (target,))) == roles


@pytest.mark.parametrize(
    ("address", "letters", "roles"),
    [
        ("blob", "racwdl", ["Storage Blob Data Contributor"]),
        ("blob", "rwo", ["Storage Blob Data Owner"]),
        ("queue", "raup", ["Storage Queue Data Contributor"]),
        ("queue", "rap", ["Storage Queue Data Reader", "Storage Queue Data Message Processor", "Storage Queue Data Message Sender"]),
        ("table", "rau", ["Storage Table Data Contributor"]),
    ],
)  # fmt: skip
def test_one_role_does_for_what_it_covers(address: str, letters: str, roles: list[str]) -> None:
    pointer = point(Secret(f"https://acme.{address}.core.windows.net/part?sp={letters}&sr=c&sig={KEY}"))
    assert pointer is not None
    asked = rights(pointer, services()[f"storage-{address}"], TARGETS[1], (), Asker("id", ""))
    assert sorted(grant.role.name for grant in asked.grants) == sorted(roles)
    assert all(grant.scope.endswith("/part") for grant in asked.grants), "at the container, queue or table it names"


def test_no_need_that_is_not_known_becomes_an_owner() -> None:
    for service in services().values():
        if service.roles:
            asked = rights(Pointer((service.id,), "account-key"), service, None, (), Asker("id", ""))
            assert asked.doubts, "what is not known is said"
            assert not any("Owner" in grant.role.name or grant.need == "manage" for grant in asked.grants), service.id
