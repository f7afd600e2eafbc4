"""Copies of this process that share its work: bytes go to them through shared memory, what they make comes back.

As in `scanners.sources.forking`, nothing is imported, compiled or read again, and most memory is shared; but here the work
is not known beforehand, it streams by. Reading, verifying and unpacking stay in this process, in as many threads as it has.
"""

from __future__ import annotations

import gc
import marshal
import mmap
import os
import pickle
import select
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

SLOT = 4 * 1024 * 1024 + 64 * 1024
"""Bytes that can be handed over at once: a piece of a document and more."""
_ABOUT = 256 * 1024
"""Bytes beside them, for what is said of them, and then for the answer."""
_FULL = 1024 * 1024
"""Bytes from which on nothing more is waited for."""
_MOST = 512
_WORDS = 32 * 1024
"""Characters of texts in one batch, and in one item: they fit beside it, whatever their coding."""
_WAIT = 1.0
"""Seconds after which it is looked whether the copies still live."""

Item = tuple[tuple[Any, ...], bytes]
"""What is said of bytes (texts and numbers), and the bytes."""
Work = Callable[[Sequence[Item]], Sequence[Any]]
"""Makes something of each item. It is pickled on its way back, so it must hold no values."""


@dataclass(slots=True)
class _Batch:
    """What lies in one slot."""

    to: Batches
    first: int
    about: list[tuple[tuple[Any, ...], int]] = field(default_factory=list)
    """What is said of each item, and how many bytes it has."""
    used: int = 0
    words: int = 0


class Copies:
    """Processes at work on what is handed to them. Safe in many threads; ask `forking.possible` before making one."""

    def __init__(self, work: Work, count: int, ready: Callable[[], Any]) -> None:
        """Make `count` copies of this process.

        Args:
            work: what they do.
            count: how many there are.
            ready: brings in what `work` needs. Copies call it first, while this process reads what there is to do.
        """
        self._work = work
        self._ready = ready
        # One at work in each copy, one that waits for it, and one to fill.
        self._slots = count + 2
        self._memory = mmap.mmap(-1, self._slots * (SLOT + _ABOUT))
        self._free = list(range(self._slots))
        self._busy: dict[int, _Batch] = {}
        self._changed = threading.Condition()
        self._alone = False
        self._here = threading.Lock()
        self._asked, self._ask = socket.socketpair()
        self._answers, answer = os.pipe()
        self._children: list[int] = []
        gc.freeze()
        try:
            for _ in range(count):
                child = os.fork()
                if child == 0:
                    self._serve(answer)
                self._children.append(child)
        finally:
            gc.unfreeze()
            os.close(answer)
        self._collector = threading.Thread(target=self._collect, name="copies", daemon=True)
        self._collector.start()

    def close(self) -> None:
        """End the copies."""
        with self._changed:
            self._ask.close()
            self._asked.close()
            self._changed.notify_all()
        for child in self._children:
            with suppress(ProcessLookupError):
                os.kill(child, 9)
        self._collector.join()
        self._reap()
        os.close(self._answers)
        self._memory.close()

    # In a copy

    def _serve(self, answer: int) -> None:
        """The life of a copy. It ends here, whatever happens: what the process was doing is not its business."""
        code = 1
        try:
            self._ask.close()
            os.close(self._answers)
            self._ready()
            while number := self._asked.recv(4):
                slot = int.from_bytes(number, "big")
                about = marshal.loads(self._beside(slot))  # noqa: S302 - written by the process this is a copy of
                made = pickle.dumps(self._made(slot, about), pickle.HIGHEST_PROTOCOL)
                self._say(slot, made)
                os.write(answer, number)
            code = 0
        finally:
            os._exit(code)

    def _made(self, slot: int, about: Sequence[tuple[tuple[Any, ...], int]]) -> list[tuple[int, Any]]:
        """What the work made of the items in a slot, where it made anything."""
        at = slot * (SLOT + _ABOUT)
        items = []
        for said, size in about:
            items.append((said, self._memory[at : at + size]))
            at += size
        return [(number, made) for number, made in enumerate(self._work(items)) if made]

    def _say(self, slot: int, data: bytes) -> None:
        """Put something beside a slot; what is too long is left to the other side."""
        start = slot * (SLOT + _ABOUT) + SLOT
        if len(data) > _ABOUT - 4:
            data = b""
        self._memory[start : start + 4] = len(data).to_bytes(4, "big")
        self._memory[start + 4 : start + 4 + len(data)] = data

    def _beside(self, slot: int) -> bytes:
        start = slot * (SLOT + _ABOUT) + SLOT
        size = int.from_bytes(self._memory[start : start + 4], "big")
        return self._memory[start + 4 : start + 4 + size]

    # In the process itself

    def slot(self) -> int | None:
        """A slot that nobody uses."""
        with self._changed:
            self._open()
            return self._free.pop() if self._free and not self._alone else None

    def _open(self) -> None:
        if self._ask.fileno() < 0:
            raise RuntimeError("the copies were ended")

    def put(self, slot: int, at: int, data: bytes) -> None:
        """Put bytes into a slot."""
        start = slot * (SLOT + _ABOUT) + at
        self._memory[start : start + len(data)] = data

    def submit(self, slot: int, batch: _Batch) -> None:
        """Hand a slot over."""
        with self._changed:
            self._busy[slot] = batch
            alone = self._alone
            if not alone:
                self._say(slot, marshal.dumps(batch.about))
                self._ask.sendall(slot.to_bytes(4, "big"))
        if alone:
            self._do(slot)

    def wait(self, batches: Batches) -> None:
        """Until everything of somebody is done. Whoever waits takes over what no copy has begun."""
        while True:
            with self._changed:
                if not any(batch.to is batches for batch in self._busy.values()):
                    return
                self._open()
                slot = self._not_begun()
                if slot is None:
                    self._changed.wait()
                    continue
            self._do(slot)

    def _not_begun(self) -> int | None:
        try:
            return int.from_bytes(self._asked.recv(4, socket.MSG_DONTWAIT), "big")
        except BlockingIOError:
            return None

    def _collect(self) -> None:
        """Take answers until there are no copies any more."""
        while True:
            ready, _, _ = select.select([self._answers], [], [], _WAIT)
            if ready:
                data = os.read(self._answers, 4 * self._slots)
                if not data:
                    break
                for at in range(0, len(data), 4):
                    self._take(int.from_bytes(data[at : at + 4], "big"))
            elif self._one_died():
                break
        self._take_over()

    def _one_died(self) -> bool:
        for child in self._children:
            if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                return True
        return False

    def _take(self, slot: int) -> None:
        data = self._beside(slot)
        if not data:
            self._do(slot)
            return
        self._done(slot, pickle.loads(data))  # noqa: S301 - written by a copy of this process, into its memory

    def _take_over(self) -> None:
        """A copy ended early (killed, out of memory), or this is the end: what is left is done here."""
        with self._changed:
            self._alone = True
            left = list(self._busy) if self._ask.fileno() >= 0 else []
        for child in self._children:
            with suppress(ProcessLookupError):
                os.kill(child, 9)
        for slot in left:
            self._do(slot)

    def _do(self, slot: int) -> None:
        with self._changed:
            batch = self._busy.get(slot)
        if batch is None:
            return
        try:
            with self._here:
                made = self._made(slot, batch.about)
        except Exception as error:  # noqa: BLE001 - it is raised where the work was asked for
            batch.to.failed = error
            made = []
        self._done(slot, made)

    def _done(self, slot: int, made: Sequence[tuple[int, Any]]) -> None:
        with self._changed:
            batch = self._busy.pop(slot, None)
            if batch is not None:
                batch.to.made += [(batch.first + number, one) for number, one in made]
                self._free.append(slot)
            self._changed.notify_all()

    def _reap(self) -> None:
        for child in self._children:
            with suppress(ChildProcessError):
                os.waitpid(child, 0)
        self._children = []


class Batches:
    """What one thread hands to copies, many small things at a time."""

    def __init__(self, copies: Copies) -> None:
        self._copies = copies
        self._slot: int | None = None
        self._batch = _Batch(self, 0)
        self._number = 0
        self.made: list[tuple[int, Any]] = []
        """What was made so far, with the numbers that `add` gave."""
        self.failed: Exception | None = None

    def add(self, about: tuple[Any, ...], words: int, data: bytes) -> int | None:
        """Hand over bytes, at most `SLOT`; the number that the answer will have, or None when nobody is free.

        Args:
            about: texts and numbers.
            words: how many characters `about` has.
            data: the bytes.
        """
        batch = self._batch
        if self._slot is not None and (batch.used + len(data) > SLOT or batch.words + words > _WORDS):
            self._submit()
            batch = self._batch
        if self._slot is None:
            self._slot = self._copies.slot()
        if self._slot is None:
            return None
        self._copies.put(self._slot, batch.used, data)
        batch.about.append((about, len(data)))
        batch.used += len(data)
        batch.words += words
        number = self._number
        self._number += 1
        if batch.used >= _FULL or len(batch.about) >= _MOST:
            self._submit()
        return number

    def finish(self) -> None:
        """Wait for everything.

        Raises:
            Exception: what the work raised.
        """
        self._submit()
        self._copies.wait(self)
        if self.failed is not None:
            raise self.failed

    def _submit(self) -> None:
        slot, batch = self._slot, self._batch
        self._slot, self._batch = None, _Batch(self, self._number)
        if slot is not None:
            self._copies.submit(slot, batch)
