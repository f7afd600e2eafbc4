"""Everything the simulated cloud holds, as plain JSON: it can be written to a file and read back whole.

A provider keeps its things in `world.table("its-name")`. ARM documents live in `world.resources`, keyed by their id in
lower case (ids are compared without case), in the provider's own inner form, secret values included.
"""

from __future__ import annotations

import json
import os
import random
import uuid
from pathlib import Path
from typing import Any

from migrator.simulator.wire import Json

SCHEMA = 1


class World:
    """The state of one simulated cloud."""

    def __init__(self, seed: int = 0) -> None:
        """An empty cloud; `seed` decides every random choice in it."""
        self.seed = seed
        self.random = random.Random(seed)  # noqa: S311 - reproducible choices are the point
        self.tables: dict[str, dict[str, Any]] = {}

    def table(self, name: str) -> dict[str, Any]:
        """The named table, made on first use. Keys are strings, values are JSON."""
        return self.tables.setdefault(name, {})

    @property
    def resources(self) -> dict[str, Any]:
        """ARM documents by lower-case id."""
        return self.table("resources")

    @property
    def tenant(self) -> str:
        """The one tenant's id."""
        table = self.table("tenant")
        if "id" not in table:
            table["id"] = self.guid("tenant")
        return str(table["id"])

    def guid(self, *parts: str) -> str:
        """A GUID that depends on the seed and `parts` only: the same world gives the same ids."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, "|".join((str(self.seed), *parts))))

    def fresh_guid(self) -> str:
        """A new GUID from the world's random numbers."""
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def of_type(self, kind: str, under: str = "") -> list[Json]:
        """Documents of an ARM type (any case), in order of their ids, below the scope `under`."""
        wanted, scope = kind.lower(), under.lower().rstrip("/")
        return [
            document
            for key, document in sorted(self.resources.items())
            if str(document.get("type", "")).lower() == wanted and (not scope or key.startswith(scope + "/"))
        ]

    # Events that time brings: (due, number, event, arguments). A list, because it is saved with the world.

    def schedule(self, due: float, event: str, **arguments: Any) -> None:
        """Have `event` happen at virtual time `due`; the provider that registered its name carries it out."""
        agenda = self.table("agenda")
        number = agenda.get("next", 0)
        agenda["next"] = number + 1
        agenda.setdefault("entries", []).append([due, number, event, arguments])

    def due(self, now: float) -> tuple[float, str, dict[str, Any]] | None:
        """Take the earliest event that is due, or None."""
        entries: list[Any] = self.table("agenda").setdefault("entries", [])
        if not entries:
            return None
        first = min(entries, key=lambda entry: (entry[0], entry[1]))
        if first[0] > now:
            return None
        entries.remove(first)
        return float(first[0]), str(first[2]), dict(first[3])

    def save(self, path: Path, *, moment: float, mark: str = "") -> None:
        """Write the world, readable by its owner only (it holds values), replacing the file in one step.

        Args:
            path: The file.
            moment: The virtual time.
            mark: Tells which log belongs to the file (`migrator.simulator.kept`).
        """
        version, inner, gauss = self.random.getstate()
        document = {
            "schema": SCHEMA,
            "seed": self.seed,
            "random": [version, list(inner), gauss],
            "moment": moment,
            "mark": mark,
            "tables": self.tables,
        }
        temporary = path.with_name(path.name + ".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(json.dumps(document))  # not json.dump, which writes bit by bit and takes ten times as long
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> tuple[World, float]:
        """Read a saved world and the virtual moment it was saved at.

        Raises:
            ValueError: the file is no world of this schema.
        """
        world, moment, _ = cls.load_marked(path)
        return world, moment

    @classmethod
    def load_marked(cls, path: Path) -> tuple[World, float, str]:
        """Likewise, with the mark of its log.

        Raises:
            ValueError: the file is no world of this schema.
        """
        document = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict) or document.get("schema") != SCHEMA:
            raise ValueError(f"{path} is no saved world of schema {SCHEMA}")
        world = cls(int(document["seed"]))
        version, inner, gauss = document["random"]
        world.random.setstate((version, tuple(inner), gauss))
        world.tables = document["tables"]
        return world, float(document["moment"]), str(document.get("mark") or "")
