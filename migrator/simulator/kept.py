"""A world in a file: the whole of it as it was once, and a log of what changed since, entry by entry.

Before a write is answered, what it changed is in the log and on the disk; so a killed simulator loses nothing that it
answered for, however large its world is. Writing all of it each time would cost ten times as much with a thousand apps.
"""

from __future__ import annotations

import json
import marshal
import os
import secrets
from pathlib import Path
from typing import Any

from migrator.simulator.world import World

LEAST = 1_000_000
"""Bytes that the log may always have; beyond, it is at most as long as the world."""


class Kept:
    """The files of one world; one process writes them."""

    def __init__(self, path: Path) -> None:
        """Name the file of the world; its log lies beside it."""
        self.path = path
        self.log = path.with_name(path.name + ".log")
        self._seen: dict[str, dict[str, bytes]] = {}
        """Every entry of every table, as it is in the files."""
        self._random: Any = None
        self._mark = ""
        self._size = 0

    def load(self) -> tuple[World, float]:
        """The world, and the virtual moment of its last change.

        Raises:
            ValueError: the file is no world of this schema.
        """
        world, moment, mark = World.load_marked(self.path)
        if mark and self.log.exists():
            for line in self.log.read_bytes().split(b"\n"):
                try:
                    change = json.loads(line)
                except ValueError:
                    break  # torn, or the end: what was being written was not answered
                if change["mark"] != mark:
                    break  # of an older world: the process died between writing a new one and emptying the log
                for table, entries in change["set"].items():
                    world.table(table).update(entries)
                for table, names in change["gone"].items():
                    for name in names:
                        world.table(table).pop(name, None)
                if change["random"] is not None:
                    version, inner, gauss = change["random"]
                    world.random.setstate((version, tuple(inner), gauss))
                moment = float(change["moment"])
        return world, moment

    def save(self, world: World, *, moment: float) -> None:
        """Write all of it, and begin a new log."""
        self._mark = secrets.token_hex(8)
        world.save(self.path, moment=moment, mark=self._mark)
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.close(descriptor)
        self._seen = {table: {k: _bytes(v) for k, v in entries.items()} for table, entries in world.tables.items()}
        self._random = world.random.getstate()
        self._size = 0

    def note(self, world: World, *, moment: float) -> None:
        """Have what changed since the last time on the disk."""
        changed, gone = self._changes(world)
        state = world.random.getstate()
        if not changed and not gone and state == self._random:
            return
        version, inner, gauss = state
        line = json.dumps(
            {
                "mark": self._mark,
                "moment": moment,
                "random": None if state == self._random else [version, list(inner), gauss],
                "set": changed,
                "gone": gone,
            }
        ).encode()
        if self._size + len(line) > max(LEAST, self.path.stat().st_size):
            self.save(world, moment=moment)
            return
        with self.log.open("ab") as stream:
            stream.write(line + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        self._size += len(line)
        self._random = state

    def _changes(self, world: World) -> tuple[dict[str, dict[str, Any]], dict[str, list[str]]]:
        changed: dict[str, dict[str, Any]] = {}
        gone: dict[str, list[str]] = {}
        for table, entries in world.tables.items():
            seen = self._seen.setdefault(table, {})
            for name, entry in entries.items():
                now = _bytes(entry)
                if seen.get(name) != now:
                    seen[name] = now
                    changed.setdefault(table, {})[name] = entry
            if len(seen) > len(entries):
                gone[table] = [name for name in seen if name not in entries]
                for name in gone[table]:
                    del seen[name]
        return changed, gone


def _bytes(entry: Any) -> bytes:
    # three times as fast as JSON; version 2 says the same of the same content, later ones mark what is shared
    return marshal.dumps(entry, 2)
