"""Files whose path says that they hold credentials: what general rules cannot know of them.

Package managers and cloud tools write passwords under names, in places and in codings of their own. Each reader gives
named values with where they lie; the engine judges them as it judges the values of a running app.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from scanners.engine import Engine
from scanners.model import Confidence, Match, Secret, Severity


class Value(NamedTuple):
    """A value that a file gives a name."""

    name: str
    value: str
    start: int
    """Bytes; of the value as it stands in the file, which may be an encoded form of it."""
    end: int
    certain: bool
    """The format itself says that it is a credential."""
    title: str


Reader = Callable[[bytes], Iterator[Value]]
RULE = "credential-file"
"""The rule of values that a file's format alone makes secrets."""
_LEAST = 4


def reader_of(path: str) -> Reader | None:
    """What reads a file, by its path; None for an ordinary one."""
    low = path.lower()
    name = low.rpartition("/")[2].rpartition("!")[2]
    for pattern, reader in _BY_NAME:
        if fnmatchcase(name, pattern):
            return reader
    for ending, reader in _BY_PATH:
        if fnmatchcase(low, ending):
            return reader
    return None


def with_more(matches: Sequence[Match], values: Iterator[Value], engine: Engine) -> list[Match]:
    """The rules' matches, and values that no match touches and that are secrets under their names."""
    found = list(matches)
    for value in values:
        if any(match.start < value.end and value.start < match.end for match in found):
            continue
        if len(value.value) < _LEAST or _VARIABLE.search(value.value):
            continue
        secret = Secret(value.value)
        match = engine.scan_value(value.name, secret)
        if match is not None:
            found.append(match._replace(start=value.start, end=value.end))
        elif value.certain and not _PLACEHOLDER.fullmatch(value.value):
            found.append(
                Match(
                    rule=RULE,
                    title=value.title,
                    severity=Severity.HIGH,
                    confidence=Confidence.MEDIUM,
                    secret=secret,
                    start=value.start,
                    end=value.end,
                )
            )
    return sorted(found, key=lambda match: (match.start, match.end))


_VARIABLE = re.compile(r"\$\{|%\w+%|\{\{|^\$\w+$|^<[^<>]*>$")
_PLACEHOLDER = re.compile(r"(?i)\*+|x+|\.+|-+|(?:your|my|change|example|dummy|todo|none|null|redacted)[\w -]*")


def _netrc(data: bytes) -> Iterator[Value]:
    for found in re.finditer(rb"(?:^|\s)password\s+(\S+)", data):
        yield _value("password", found, "Password in a .netrc", certain=True)


def _pypirc(data: bytes) -> Iterator[Value]:
    for found in re.finditer(rb"(?mi)^[ \t]*password[ \t]*[:=][ \t]*(\S+)[ \t]*$", data):
        yield _value("password", found, "Password of a package index", certain=True)


def _npmrc(data: bytes) -> Iterator[Value]:
    for found in re.finditer(rb"(?m)^[^#;\n]*?(_authToken|_auth|_password)[ \t]*=[ \t]*\"?([^\s\"]+)", data):
        text = found[2].decode("utf-8", "replace")
        name = found[1].decode("ascii")
        if name != "_authToken":
            text = _decoded(text)
        yield Value("password", text, found.start(2), found.end(2), True, "Credential of a package registry")


def _docker(data: bytes) -> Iterator[Value]:
    for found in re.finditer(rb"\"(auth|identitytoken|registrytoken|password)\"\s*:\s*\"([^\"\\\s]+)\"", data):
        text = found[2].decode("utf-8", "replace")
        if found[1] == b"auth":
            text = _decoded(text)
        yield Value("password", text, found.start(2), found.end(2), True, "Password of a container registry")


def _kube(data: bytes) -> Iterator[Value]:
    names = rb"token|password|client-key-data|access-token|refresh-token|id-token|client-secret"
    for found in re.finditer(rb"(?m)[\"']?\b(" + names + rb")[\"']?\s*:\s*[\"']?([^\s\"',]+)", data):
        text = found[2].decode("utf-8", "replace")
        name = found[1].decode("ascii")
        yield Value(name, text, found.start(2), found.end(2), True, "Credential of a Kubernetes cluster")


def _nuget(data: bytes) -> Iterator[Value]:
    pattern = rb"(?i)<add\s[^<>]*?key\s*=\s*[\"']([^\"'<>]+)[\"'][^<>]*?value\s*=\s*[\"']([^\"'<>]+)[\"']"
    for found in re.finditer(pattern, data):
        key = found[1].lower()
        if b"password" in key:
            yield _value("password", found, "Password of a package feed", certain=True, group=2)
        else:
            before = data[: found.start()].lower()
            if before.rfind(b"<apikeys") > before.rfind(b"</apikeys"):
                yield _value("ApiKey", found, "Key of a package feed", certain=True, group=2)


def _azure(data: bytes) -> Iterator[Value]:
    names = (
        rb"secret|client_secret|accessToken|refreshToken|access_token|refresh_token|clientSecret|password|certificate"
    )
    for found in re.finditer(rb"\"(" + names + rb")\"\s*:\s*\"([^\"\\\s]{8,})\"", data):
        name = found[1].decode("ascii")
        text = found[2].decode("utf-8", "replace")
        yield Value(name, text, found.start(2), found.end(2), True, "Credential kept by an Azure tool")


def _env(data: bytes) -> Iterator[Value]:
    pattern = rb"(?m)^[ \t]*(?:export[ \t]+)?([A-Za-z_][\w.-]*)[ \t]*=[ \t]*(?:\"([^\"\n]*)\"|'([^'\n]*)'|([^\s#\"'][^\n#]*?))[ \t\r]*(?:#[^\n]*)?$"
    for found in re.finditer(pattern, data):
        group = next((number for number in (2, 3, 4) if found.start(number) != -1), 0)
        if group and found[group]:
            yield _value(found[1].decode("utf-8", "replace"), found, "", group=group)


def _settings(data: bytes) -> Iterator[Value]:
    """Every text of a JSON file under the path that leads to it; positions are those of its first appearance."""
    text = data.decode("utf-8-sig", "replace")
    # .NET reads these files with comments and with commas at the end of lists.
    bare = re.sub(r'("(?:[^"\\\n]|\\.)*")|//[^\n]*|/\*.*?\*/', lambda m: m[1] or "", text, flags=re.DOTALL)
    bare = re.sub(r'("(?:[^"\\\n]|\\.)*")|,(?=\s*[}\]])', lambda m: m[1] or "", bare)
    try:
        document = json.loads(bare)
    except (ValueError, RecursionError):
        return
    for name, value in _leaves(document):
        quoted = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
        at = data.find(quoted)
        if at == -1:
            quoted = json.dumps(value).encode()
            at = data.find(quoted)
        start = at + 1 if at != -1 else 0
        end = at + len(quoted) - 1 if at != -1 else 0
        yield Value(name, value, start, end, False, "")


def _leaves(document: Any) -> Iterator[tuple[str, str]]:
    stack: list[tuple[str, Any]] = [("", document)]
    while stack:
        name, value = stack.pop()
        if isinstance(value, dict):
            stack += [(f"{name}__{key}" if name else str(key), one) for key, one in value.items()]
        elif isinstance(value, list):
            stack += [(name, one) for one in value]
        elif isinstance(value, str) and value:
            yield name, value


def _value(name: str, found: re.Match[bytes], title: str, *, certain: bool = False, group: int = 1) -> Value:
    text = found[group].decode("utf-8", "replace")
    return Value(name, text, found.start(group), found.end(group), certain, title)


def _decoded(text: str) -> str:
    """What Docker and npm put into base64: a password, or a name and a password."""
    try:
        plain = base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode("utf-8")
    except (ValueError, binascii.Error):
        return text
    return plain.partition(":")[2] or plain


_BY_NAME: tuple[tuple[str, Reader], ...] = (
    (".netrc", _netrc),
    ("_netrc", _netrc),
    (".pypirc", _pypirc),
    (".npmrc", _npmrc),
    (".dockercfg", _docker),
    ("nuget.config", _nuget),
    ("appsettings*.json", _settings),
    ("local.settings.json", _settings),
    (".env", _env),
    (".env.*", _env),
    ("*.env", _env),
    ("kubeconfig", _kube),
)
_BY_PATH: tuple[tuple[str, Reader], ...] = (
    ("*.docker/config.json", _docker),
    ("*kaniko/*config.json", _docker),
    ("*containers/auth.json", _docker),
    ("*.kube/config", _kube),
    ("*.azure/*", _azure),
)
