"""Keys that carry a checksum, all kinds: named, verified, told apart from the same key with one character changed."""

from __future__ import annotations

import pytest

from scanners.engine import Engine
from scanners.examples import expand
from scanners.model import Confidence

_RIGHTS = {"Manage00": "Manage", "Send0000": "Send", "Listen00": "Listen", "System00": "system", "Unknown0": "not told"}
SEEDED = {
    "storage": ("azure-storage-key", {"Default0": "Storage account access key"}),
    "cosmos": (
        "azure-cosmos-key",
        {
            "MastRW00": "read-write",
            "MastRO00": "read-only",
            "Resour00": "resource",
            "SysAll00": "system",
            "SystRW00": "read-write system",
            "SystRO00": "read-only system",
            "Encryp00": "encryption",
        },
    ),
    "batch": ("azure-batch-key", {"AbAcct00": "Batch"}),
    "ml-classic": ("azure-ml-classic-key", {"Classic0": "classic web service"}),
    "api-management": (
        "azure-api-management-key",
        {
            "Tenant00": "direct management",
            "IoTHub00": "subscription",
            "Gateway0": "gateway",
            "GitKey00": "repository",
        },
    ),
    "service-bus": ("azure-service-bus-key", _RIGHTS),
    "event-hubs": ("azure-event-hubs-key", _RIGHTS),
    "relay": ("azure-relay-key", _RIGHTS),
    "iot": ("azure-iot-key", {"IoTHub00": "Hub", "DpsKey00": "Provisioning", "Device00": "device"}),
    "redis": ("azure-redis-key", {"Access00": "Redis"}),
    "event-grid": ("azure-event-grid-key", {"Default0": "Event Grid"}),
    "container-registry": ("azure-container-registry-password", {"ACRDflt0": "Container Registry"}),
    "search": ("azure-search-key", {"Query000": "query", "PAdmin00": "admin"}),
    "functions": ("azure-functions-key", {"Functi00": "function key", "Master00": "master", "System00": "system"}),
}
ANNOTATED = {
    "AZAC": ("azure-app-configuration-key", "App Configuration"),
    "AZFR": ("azure-fluid-relay-key", "Fluid Relay"),
    "AZEG": ("azure-event-grid-annotated-key", "Event Grid"),
    "AZDO": ("azure-devops-annotated-pat", "personal access token"),
    "AZMR": ("azure-mixed-reality-key", "Mixed Reality"),
    "AZMP": ("azure-maps-key", "Maps"),
    "AZCS": ("azure-communication-services-key", "Communication Services"),
    "msql": ("azure-sql-annotated-key", "SQL"),
}
COGNITIVE = {
    "AAAA": ("azure-ai-services-key", "AI services"),
    "AAAB": ("azure-openai-key", "OpenAI"),
    "AAAE": ("azure-cognitive-services-key", "Cognitive Services"),
    "AAAF": ("azure-computer-vision-key", "Computer Vision"),
    "AAAH": ("azure-content-safety-key", "Content Safety"),
    "AAAK": ("azure-face-key", "Face"),
    "AAAL": ("azure-form-recognizer-key", "Form Recognizer"),
    "AAAo": ("azure-ai-key", "AI services"),
}
KINDS = [
    *((f"key:{check}:{seed}", rule, said) for check, (rule, seeds) in SEEDED.items() for seed, said in seeds.items()),
    *((f"cask:{name}:AAAA{form}", *told) for name, told in ANNOTATED.items() for form in ("", ":long")),
    *((f"cask:ACOG:{reserved}{form}", *told) for reserved, told in COGNITIVE.items() for form in ("", ":long")),
    ("entra", "azure-entra-client-secret", "client secret"),
]


@pytest.mark.parametrize(("shape", "rule", "said"), KINDS, ids=[shape for shape, *_ in KINDS])
def test_a_key_is_verified_and_one_character_changed_is_not(shape: str, rule: str, said: str, engine: Engine) -> None:
    key = expand(f"%{{{shape}}}")
    (found,) = engine.matches(f"value: {key}\n".encode())
    assert (found.rule, found.verified, found.confidence) == (rule, "checksum", Confidence.HIGH)
    assert said in (found.detail or "")
    # The part that is random, from its first character on: the signature has to stay for the kind to be known.
    for at in (0, 1, 7, 15, 25, 30):
        if shape == "entra" and 2 < at < 6:
            continue
        changed = key[:at] + ("B" if key[at] != "B" else "C") + key[at + 1 :]
        (other,) = engine.matches(f"value: {changed}\n".encode())
        assert (other.rule, other.verified) == (rule, None)
        assert other.confidence in (Confidence.MEDIUM, Confidence.LOW)
        assert other.detail is None


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        (
            "DefaultEndpointsProtocol=https;AccountName=a;AccountKey={};EndpointSuffix=core.windows.net",
            "key:storage:Default0",
        ),
        ("AccountEndpoint=https://a.documents.azure.com:443/;AccountKey={};", "key:cosmos:MastRO00"),
        (
            "Endpoint=sb://a.servicebus.windows.net/;SharedAccessKeyName=s;SharedAccessKey={}",
            "key:service-bus:Send0000",
        ),
        ("HostName=a.azure-devices.net;SharedAccessKeyName=s;SharedAccessKey={}", "key:iot:IoTHub00"),
        ("a.redis.cache.windows.net:6380,password={},ssl=True", "key:redis:Access00"),
        ("https://a.azurewebsites.net/api/orders?code={}", "key:functions:Functi00"),
        ("Endpoint=https://a.azconfig.io;Id=x;Secret={}", "cask:AZAC:AAAA"),
        ("endpoint=https://a.communication.azure.com/;accesskey={}", "cask:AZCS:AAAA"),
    ],
)
def test_a_key_in_a_connection_string_is_verified_too(text: str, shape: str, engine: Engine) -> None:
    (found,) = engine.matches(text.format(expand(f"%{{{shape}}}")).encode())
    assert (found.verified, found.confidence) == ("checksum", Confidence.HIGH)
    (other,) = engine.matches(text.format(expand(f"%{{bad:{shape}}}")).encode())
    assert other.verified is None
    assert other.confidence is not Confidence.HIGH
