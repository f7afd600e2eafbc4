"""An image's configuration: what is in it besides the files, and what made each layer.

Format: OCI image specification, config.md; Docker's is the same but for Healthcheck and a few keys. Builders write what
they did into `history`: `/bin/sh -c #(nop) ENV A=b` (docker build), `ENV A=b` and `RUN |1 TOKEN=... /bin/sh -c ...`
(BuildKit: the build arguments that a RUN could see, with their values).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from scanners.engine import Engine
from scanners.images.errors import PULL_AGAIN, BlobError
from scanners.model import Document, Finding, Fingerprinter, ImageLocation, Match, Secret, preview

_NOP = re.compile(r"^/bin/sh -c #\(nop\)\s*")
_ARGS = re.compile(r"^(?:RUN )?\|(\d{1,3}) ")
_NAME = re.compile(r"(?:^| )([A-Za-z_][A-Za-z0-9_]*)=")
_SHELL = re.compile(r" (?=(?:/\S*/|)(?:sh|bash|ash|dash|zsh|cmd|pwsh|powershell)(?:\.exe)? (?:-\w+|/\w|-Command)\b)")
_BEFORE = re.compile(r"(?:RUN )?/bin/(?:ba|a|da)?sh -\w*c ")
_PAIRS = re.compile(r"([A-Za-z_][\w.]*)=(\"(?:[^\"\\]|\\.)*\"|'[^']*'|(?:[^\s\\]|\\.)*)")
_LONGEST = 200
_BLANK = "<secret>"
_HEALTH = ("Healthcheck", "HealthCheck")


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of the history."""

    number: int
    text: str
    empty: bool
    """It made no layer."""
    comment: str = ""
    """What a person said of it (docker commit)."""


@dataclass(slots=True)
class Config:
    """A configuration, read but not believed."""

    document: dict[str, Any]
    diff_ids: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    @property
    def platform(self) -> str | None:
        """`linux/amd64`, or with a variant `linux/arm/v7`."""
        said = [self.document.get(key) for key in ("os", "architecture", "variant")]
        parts = [part for part in said if isinstance(part, str) and part]
        return "/".join(parts) if len(parts) >= 2 else None

    @property
    def user(self) -> str:
        """Who the processes run as, as the configuration says it."""
        return str(self.settings.get("User") or "")

    @property
    def root(self) -> bool:
        """Whether they run as root unless told otherwise."""
        return self.user.partition(":")[0] in {"", "root", "0"}

    @property
    def settings(self) -> dict[str, Any]:
        """How containers are run."""
        found = self.document.get("config")
        return found if isinstance(found, dict) else {}

    def layer_steps(self) -> list[Step]:
        """The steps that made layers, in the layers' order."""
        return [step for step in self.steps if not step.empty]


def read(data: bytes) -> Config:
    """A configuration from its bytes.

    Raises:
        BlobError: it is no JSON object.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BlobError("the image's configuration cannot be read", why=_why(error), hint=PULL_AGAIN) from None
    if not isinstance(document, dict):
        raise BlobError("the image's configuration cannot be read", why="it is no JSON object", hint=PULL_AGAIN)
    rootfs = document.get("rootfs")
    listed = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    diff_ids = [str(one) for one in listed if isinstance(one, str)] if isinstance(listed, list) else []
    history = document.get("history")
    steps = []
    for number, entry in enumerate(history if isinstance(history, list) else []):
        if isinstance(entry, dict):
            text, comment = (str(entry.get(key) or "") for key in ("created_by", "comment"))
            steps.append(Step(number, text, entry.get("empty_layer") is True, comment))
    return Config(document, diff_ids, steps)


def _why(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else "it is no JSON"


@dataclass(slots=True)
class Judged:
    """What a configuration gave."""

    findings: list[Finding] = field(default_factory=list)
    instructions: dict[int, str] = field(default_factory=dict)
    """What each step of the history did, by its number, without values."""


def judge(config: Config, image: str, platform: str | None, engine: Engine, fingerprinter: Fingerprinter) -> Judged:
    """Everything in a configuration that is a secret, and its history fit to be shown."""
    judged = Judged()
    values: dict[str, Secret] = {}

    def take(key: str, match: Match, *, visible: bool, instruction: str = "") -> None:
        values.setdefault(fingerprinter.of_secret(match.secret), match.secret)
        place = ImageLocation(image, platform, config=key, instruction=instruction, visible=visible)
        judged.findings.append(_finding(match, place, fingerprinter))

    for key, match in _settings(config.settings, engine):
        take(key, match, visible=True)
    live = set(values)
    told: list[tuple[Step, list[Match]]] = []
    for step in config.steps:
        matches = [*_step(step.text, engine), *(_text(step.comment, engine) if step.comment else ())]
        for match in matches:
            values.setdefault(fingerprinter.of_secret(match.secret), match.secret)
        told.append((step, matches))
    for step, matches in told:
        shown = judged.instructions[step.number] = _shown(step.text, list(values.values()))
        for match in matches:
            # An ENV that is still in force was reported where it is in force.
            if fingerprinter.of_secret(match.secret) not in live:
                take(f"History[{step.number}]", match, visible=False, instruction=shown)
    judged.findings = list(dict.fromkeys(judged.findings))
    return judged


def _finding(match: Match, place: ImageLocation, fingerprinter: Fingerprinter) -> Finding:
    return Finding(
        rule=match.rule,
        title=match.title,
        severity=match.severity,
        confidence=match.confidence,
        location=place,
        fingerprint=fingerprinter.of_secret(match.secret),
        preview=preview(match.secret),
        verified=match.verified,
        service=match.service,
        detail=match.detail,
        weak=match.weak,
    )


def _settings(settings: dict[str, Any], engine: Engine) -> Iterator[tuple[str, Match]]:
    for entry in _list(settings.get("Env")):
        name, equals, value = str(entry).partition("=")
        match = engine.scan_value(name, Secret(value)) if equals and value else None
        if match is not None:
            yield f"Env.{name}", match
    labels = settings.get("Labels")
    for name, value in labels.items() if isinstance(labels, dict) else ():
        match = (
            engine.scan_value(str(name).rpartition(".")[2], Secret(value)) if isinstance(value, str) and value else None
        )
        if match is not None:
            yield f"Labels.{name}", match
    for key in ("Entrypoint", "Cmd", "Shell", "OnBuild"):
        for match in _words([str(word) for word in _list(settings.get(key))], engine):
            yield key, match
    for key in _HEALTH:
        check = settings.get(key)
        if isinstance(check, dict):
            for match in _words([str(word) for word in _list(check.get("Test"))], engine):
                yield "Healthcheck", match


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else [value] if isinstance(value, str) else ()


def _words(words: Sequence[str], engine: Engine) -> Iterator[Match]:
    """A command: its text, and what its options are set to."""
    if not words:
        return
    found = list(_text(" ".join(words), engine))
    yield from found
    seen = set()
    for at, word in enumerate(words):
        name, equals, value = word.partition("=")
        if not equals and name.startswith("-") and at + 1 < len(words) and not words[at + 1].startswith("-"):
            value = words[at + 1]
        name = name.lstrip("-/")
        if value and re.fullmatch(r"[A-Za-z_][\w.-]*", name) and value not in seen:
            seen.add(value)
            match = engine.scan_value(name, Secret(value))
            # What its text told already is not another secret under its name.
            if match is not None and not any(_within(one.secret, match.secret) for one in found):
                yield match


def _text(text: str, engine: Engine) -> Iterator[Match]:
    data = text.encode("utf-8", "surrogatepass")
    yield from engine.scan(Document(data, ImageLocation("")))


def _step(text: str, engine: Engine) -> Iterator[Match]:
    """Secrets of one entry of the history."""
    arguments, rest = arguments_of(_NOP.sub("", text))
    found: dict[Secret, Match] = {}
    for name, value in arguments:
        match = engine.scan_value(name, Secret(value))
        if match is not None:
            found.setdefault(match.secret, match)
    word, _, tail = rest.partition(" ")
    if word.upper() in {"ENV", "ARG", "LABEL"}:
        for name, value in _pairs(tail):
            match = engine.scan_value(name, Secret(value))
            if match is not None:
                found.setdefault(match.secret, match)
    for match in _text(rest, engine):
        # The same value inside of a longer one that was found by its name is not another secret.
        if not any(_within(match.secret, other) for other in found):
            found[match.secret] = match
    yield from found.values()


def _within(one: Secret, other: Secret) -> bool:
    from scanners.model import reveal

    return reveal(one) in reveal(other)


def arguments_of(text: str) -> tuple[list[tuple[str, str]], str]:
    """Build arguments that BuildKit and docker build put before a command, and the command."""
    head = _ARGS.match(text)
    if head is None:
        return [], text
    count = int(head[1])
    rest = text[head.end() :]
    shell = None
    for shell in _SHELL.finditer(rest):
        before = rest[: shell.start()]
        if len(_NAME.findall(before)) >= count:
            break
    command = rest[shell.end() :] if shell else ""
    said = rest[: shell.start()] if shell else rest
    starts = list(_NAME.finditer(said))[:count]
    found = []
    for at, start in enumerate(starts):
        end = starts[at + 1].start() if at + 1 < len(starts) else len(said)
        found.append((start[1], said[start.end() : end].strip()))
    return found, command if shell else " ".join(said.split()[count:])


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    pairs = list(_PAIRS.finditer(text))
    if pairs and pairs[0].start() == 0:
        for pair in pairs:
            value = pair[2]
            quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'"
            yield pair[1], value[1:-1] if quoted else re.sub(r"\\(.)", r"\1", value)
        if len(pairs) == 1 and "=" in text:
            # History has the parsed form, without quotes: the value is everything to the end.
            name, _, value = text.partition("=")
            if value != pairs[0][2]:
                yield name, value
        return
    name, _, value = text.partition(" ")
    if value:
        yield name, value


def _shown(text: str, values: Sequence[Secret]) -> str:
    """An instruction without the values that were found, without build arguments, and not too long."""
    from scanners.model import reveal

    arguments, command = arguments_of(_NOP.sub("", text))
    shell = _BEFORE.match(command)
    if arguments or shell:
        command = f"RUN {command[shell.end() :] if shell else command}"
    word, _, tail = command.partition(" ")
    if word.upper() in {"ENV", "ARG"}:
        # Whatever was judged: a value that nobody knows to be a secret may be one.
        names = [name for name, _ in _pairs(tail)] or [tail]
        command = f"{word} " + " ".join(
            f"{name}=…" if "=" in tail or " " in tail else name for name in dict.fromkeys(names)
        )
    for value in sorted((reveal(secret) for secret in values), key=len, reverse=True):
        if len(value) >= 4:
            command = command.replace(value, _BLANK)
    command = " ".join(command.removesuffix("# buildkit").split())
    command = re.sub(r"\s*# buildkit\b.*$", "", command)
    return command if len(command) <= _LONGEST else command[: _LONGEST - 1] + "…"


def with_name(finding: Finding, image: str) -> Finding:
    """The same finding of an image by another name."""
    place = finding.location
    return replace(finding, location=replace(place, image=image)) if isinstance(place, ImageLocation) else finding
