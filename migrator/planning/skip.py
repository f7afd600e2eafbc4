"""One reason why something is left as it is."""

from __future__ import annotations

from dataclasses import dataclass

from migrator.model import Json
from scanners.model import Finding


@dataclass(frozen=True, slots=True)
class Skip:
    """Why something is left as it is."""

    code: str
    reason: str
    hint: str

    def of(self, finding: Finding) -> Json:
        """The entry of the plan's `skipped`."""
        place = finding.location.as_dict()
        return self._entry({"rule": finding.rule, "location": place, "fingerprint": finding.fingerprint})

    def of_resource(self, resource: str) -> Json:
        """The entry for a resource in which nothing could be looked for."""
        return self._entry({"resource": resource})

    def _entry(self, finding: Json) -> Json:
        return {"finding": finding, "code": self.code, "reason": self.reason, "hint": self.hint}
