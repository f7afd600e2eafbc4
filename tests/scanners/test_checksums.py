from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanners import checksums
from scanners.checksums import CHECKS, marvin32, marvin64, verify
from scanners.examples import expand

SEED = 0x004FB61A001BDBCC


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([], 0x30ED35C100CD3C7D),
        ([175], 0x48E73FC77D75DDC1),
        ([231, 15], 0xB5F6E1FC485DBFF8),
        ([55, 244, 149], 0xF0B07C789B8CF7E8),
        ([171, 66, 126, 168, 209, 15, 199], 0xE11847E4F0678C41),
    ],
)
def test_marvin_vectors(data: list[int], expected: int) -> None:
    assert marvin64(bytes(data), SEED) == expected
    assert marvin32(bytes(data), SEED) == expected >> 32 ^ expected & 0xFFFFFFFF


def test_published_texts_verify() -> None:
    storage = verify("storage", "a" * 76 + "+ASt5mnCaw==")
    assert storage is not None
    assert storage.detail == "Storage account access key"
    # microsoft/security-utilities, SEC101/156: a made-up secret of one repeated character.
    assert verify("entra", "zzz8Q~zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzblP") is not None


@pytest.mark.parametrize(
    ("shape", "check", "detail"),
    [
        ("key:storage:Default0", "storage", "Storage account access key"),
        ("key:cosmos:MastRW00", "cosmos", "Cosmos DB read-write account key"),
        ("key:cosmos:MastRO00", "cosmos", "Cosmos DB read-only account key"),
        ("key:batch:AbAcct00", "batch", "Batch account key"),
        ("key:ml-classic:Classic0", "ml-classic", "Machine Learning classic web service key"),
        ("key:api-management:GitKey00", "api-management", "API Management repository key"),
        ("key:service-bus:Send0000", "service-bus", "Service Bus key with Send right"),
        ("key:event-hubs:Listen00", "event-hubs", "Event Hubs key with Listen right"),
        ("key:relay:Manage00", "relay", "Relay key with Manage right"),
        ("key:iot:Device00", "iot", "IoT device key"),
        ("key:iot:DpsKey00", "iot", "IoT Device Provisioning Service key"),
        ("key:redis:Access00", "redis", "Azure Cache for Redis access key"),
        ("key:event-grid:Default0", "event-grid", "Event Grid access key"),
        ("key:container-registry:ACRDflt0", "container-registry", "Container Registry admin password"),
        ("key:search:Query000", "search", "AI Search query key"),
        ("key:search:PAdmin00", "search", "AI Search admin key"),
        ("key:functions:Master00", "functions", "Functions host master key"),
        ("cask:AZAC:AAAA", "cask", "App Configuration key"),
        ("cask:ACOG:AAAB", "cask", "Azure OpenAI key"),
        ("cask:ACOG:AAAL:long", "cask", "Form Recognizer key"),
        ("cask:AZDO:AAAA:long", "cask", "Azure DevOps personal access token"),
        ("entra", "entra", "Entra application client secret"),
    ],
)
def test_the_seed_tells_the_meaning_and_one_character_breaks_it(shape: str, check: str, detail: str) -> None:
    key = expand(f"%{{{shape}}}")
    proof = verify(check, key)
    assert proof is not None
    assert proof.detail == detail
    for at in (0, len(key) // 2, 20):
        changed = key[:at] + ("x" if key[at] != "x" else "y") + key[at + 1 :]
        assert verify(check, changed) is None


def test_padding_of_functions_keys_is_optional() -> None:
    key = expand("%{key:functions:Functi00}")
    assert verify("functions", key.rstrip("=")) == verify("functions", key)


def test_a_github_token_carries_its_crc() -> None:
    token = expand("%{github:ghp:30}")
    assert len(token) == 40
    assert verify("github", token) is not None
    assert verify("github", token[:-1] + ("0" if token[-1] != "0" else "1")) is None


@given(st.sampled_from(sorted(CHECKS)), st.text(max_size=100))
def test_no_text_breaks_a_check(check: str, text: str) -> None:
    assert verify(check, text) is None or isinstance(text, str)


def test_an_unknown_check_is_an_error() -> None:
    with pytest.raises(KeyError):
        checksums.verify("nothing", "x")
