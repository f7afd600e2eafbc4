"""Kubernetes Secrets in manifests: the base64 of their `data`, decoded, under the names it goes by.

Only here does a short base64 text mean what it decodes to, because `kind: Secret` says so. Manifests are read as text,
not parsed: templates of Helm and Kustomize are no YAML, and what is broken elsewhere in a file must not hide a Secret.
"""

from __future__ import annotations

import re
from binascii import Error, a2b_base64
from collections.abc import Iterator
from typing import NamedTuple

from scanners.lazy import lazily

_KIND = lazily(rb"kind[\"']?[ \t]*:[ \t\r\n]*[\"']?Secret\b")
_DOCUMENT_ENDS = lazily(rb"^(?:---|\x00)", re.MULTILINE)
_YAML_DATA = lazily(rb"^([ \t]*)data:[ \t]*(?:#[^\n]*)?\r?$", re.MULTILINE)
_YAML_LINE = lazily(rb"([ \t]*)(?:([\w.\"'/-]+):[ \t]*(?:!!binary[ \t]+)?[\"']?([^\s\"'#]*)[\"']?)?[^\n]*(?:\n|\Z)")
_JSON_DATA = lazily(rb"\"data\"\s*:\s*\{([^{}]*)\}")
_JSON_PAIR = lazily(rb"\"([\w.-]+)\"\s*:\s*\"([A-Za-z0-9+/=]*)\"")
_BASE64 = lazily(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


class Value(NamedTuple):
    """A value of a Secret."""

    start: int
    """Where its base64 begins."""
    end: int
    text: bytes
    """What it says, after its name where a name can stand before it."""
    prefix: int
    """Bytes of `text` before the value."""
    size: int
    """Bytes of the value."""


def secret_data(data: bytes) -> Iterator[Value]:
    """Each value of the `data` of a Secret, decoded."""
    if b"Secret" not in data:
        return
    done = 0
    for kind in _KIND.finditer(data):
        if kind.start() < done:
            continue
        start, done = _document(data, done, kind.end())
        yield from _yaml(data, start, done)
        yield from _json(data, start, done)


def _document(data: bytes, after: int, at: int) -> tuple[int, int]:
    """The YAML document around an offset, or what of it lies after what was looked at before."""
    marks = (data.rfind(b"\n---", after, at), data.rfind(b"\n\x00", after, at))
    end = _DOCUMENT_ENDS.search(data, at)
    return max(after, *marks), end.start() if end else len(data)


def _yaml(data: bytes, start: int, end: int) -> Iterator[Value]:
    at = start
    while (opened := _YAML_DATA.search(data, at, end)) is not None:
        indent = len(opened[1])
        at = min(end, opened.end() + 1)
        while at < end and (line := _YAML_LINE.match(data, at, end)) is not None:
            if line[0].strip() and len(line[1]) <= indent and not line[0].lstrip().startswith(b"#"):
                break
            at = max(line.end(), at + 1)
            if line[2]:
                yield from _decoded(line[2].strip(b"\"'"), line[3], line.start(3))


def _json(data: bytes, start: int, end: int) -> Iterator[Value]:
    for block in _JSON_DATA.finditer(data, start, end):
        for pair in _JSON_PAIR.finditer(data, block.start(1), block.end(1)):
            yield from _decoded(pair[1], pair[2], pair.start(2))


def _decoded(name: bytes, coded: bytes, at: int) -> Iterator[Value]:
    if len(coded) < 4 or _BASE64.fullmatch(coded) is None:
        return
    try:
        value = a2b_base64(coded).decode()
    except (Error, UnicodeDecodeError):
        return
    text = value.rstrip("\r\n")
    size = len(text.encode())
    if not text or "\x00" in text:
        return
    # Written so that the rules read it as what it is: one value under a name, or a file of its own.
    prefix = 0
    for quote in "\"'":
        if not set(text) & {quote, "\n", "\\"}:
            before = f"{name.decode('ascii', 'replace')} = {quote}"
            text, prefix = f"{before}{text}{quote}", len(before)
            break
    yield Value(at, at + len(coded), text.encode(), prefix, size)
