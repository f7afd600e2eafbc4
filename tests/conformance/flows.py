"""Recorded flows as they are read, and reports of how their replays came out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

Json = dict[str, Any]


@dataclass(slots=True)
class Step:
    """One recorded interaction."""

    number: int
    method: str
    url: str
    status: int
    moment: float
    request: Any
    response: Any
    headers: dict[str, str]
    source: str

    @property
    def path(self) -> str:
        return self.url.split("?")[0].removeprefix("https://management.azure.com").rstrip("/")

    @property
    def key(self) -> str:
        return self.path.lower()

    @property
    def operation(self) -> str | None:
        """The guid of the operation that this interaction polls."""
        match = re.search(r"/(?:\w+)Operation(?:Statuses|Results)/([^/]+)$", self.path, re.IGNORECASE)
        return match[1] if match else None

    @property
    def started(self) -> str | None:
        """The guid of the operation that this interaction starts."""
        for name in ("azure-asyncoperation", "location"):
            match = re.search(r"/\w+Operation(?:Statuses|Results)/([^/?]+)", self.headers.get(name, ""), re.IGNORECASE)
            if match:
                return match[1]
        return None


@dataclass(slots=True)
class Outcome:
    """How one interaction came out."""

    step: Step
    mismatches: list[str]
    simulated: bool = True

    @property
    def matched(self) -> bool:
        return not self.mismatches


@dataclass(slots=True)
class Report:
    """How one flow came out."""

    name: str
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def counted(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.simulated]

    @property
    def matched(self) -> int:
        return sum(1 for outcome in self.counted if outcome.matched)

    def lines(self) -> Iterator[str]:
        apart = len(self.outcomes) - len(self.counted)
        yield f"{self.name}: {self.matched}/{len(self.counted)}" + (
            f", {apart} of kinds not simulated" if apart else ""
        )
        for outcome in self.counted:
            if not outcome.matched:
                step = outcome.step
                yield f"   {step.number} {step.method} {step.status} {step.path[-90:]}"
                for mismatch in outcome.mismatches[:12]:
                    yield f"      {mismatch}"


def read(path: Path) -> list[Step]:
    """The interactions of a flow file."""
    return [_step(number, entry) for number, entry in enumerate(json.loads(path.read_text(encoding="utf-8")))]


def collected(folder: Path) -> list[Step]:
    """The interactions of a folder that has one in each file, in their order in time."""
    entries = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    steps = [_step(number, entry) for number, entry in enumerate(entries)]
    return sorted(steps, key=lambda step: (step.source, step.moment, step.number))


def _step(number: int, entry: Json) -> Step:
    source = entry["source"]
    return Step(
        number,
        entry["method"],
        entry["url"],
        entry["status"],
        parsedate_to_datetime(entry["recorded"]).timestamp(),
        entry["request_body"],
        entry["response_body"],
        {name.lower(): value for name, value in entry["response_headers"].items()},
        f"{source['repo']} {source['path']}" if isinstance(source, dict) else f"{source} {entry['source_file']}",
    )
