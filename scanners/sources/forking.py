"""Work shared with copies of this process: nothing is imported, compiled or read again, and most memory is shared.

Only where a process may be copied: threads do not survive it, so what the caller's threads hold stays locked for ever in
the copy (the wizard has threads). Elsewhere a caller has to start processes anew.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, NoReturn, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST = 16_000
"""Numbers of four bytes that fit into a pipe before anybody reads it."""


def possible() -> bool:
    """Whether this process can be copied safely."""
    return sys.platform == "linux" and threading.active_count() == 1


class Aside(Generic[Result]):
    """Something a copy of this process works out while this one goes on."""

    def __init__(self, work: Callable[[], Result]) -> None:
        """Begin.

        Args:
            work: its result is pickled, so it must hold no values.
        """
        self._work = work
        self._answer, mine = os.pipe()
        self._child = os.fork()
        if self._child == 0:
            _end_with(work, mine)
        os.close(mine)

    def done_within(self, seconds: float) -> bool:
        """Whether the copy is done, or begins to tell, within so many seconds."""
        import select

        return bool(select.select([self._answer], [], [], seconds)[0])

    def result(self) -> Result:
        """What it worked out; worked out here when the copy ended early."""
        try:
            found: list[Result] = _answer(self._answer, list)
        finally:
            os.close(self._answer)
            os.waitpid(self._child, 0)
        return found[0] if found else self._work()


def each(
    work: Callable[[Item], Result], items: Sequence[Item], workers: int, taken: Callable[[int], None] | None = None
) -> list[Result]:
    """What `work` makes of each item, in their order, made by this process and copies of it.

    A copy that ends early (killed, out of memory) hides nothing: what it took along is done again here.

    Args:
        work: its results are pickled, so they must hold no values.
        items: taken one by one by whoever is free.
        workers: processes, this one included.
        taken: told in this process which item it takes; nearly all before it are done.
    """
    if len(items) > _MOST:
        raise ValueError(f"{len(items)} items are more than a pipe holds")
    # Everybody takes the next number out of one pipe: reads of a pipe do not overlap.
    numbers, feed = os.pipe()
    os.write(feed, b"".join(number.to_bytes(4, "big") for number in range(len(items))))
    os.close(feed)
    copies: dict[int, int] = {}
    # What is there stays in pages that nobody writes to, so that copies share them.
    gc.freeze()
    try:
        for _ in range(workers - 1):
            answer, mine = os.pipe()
            child = os.fork()
            if child == 0:
                _run(work, items, numbers, mine)
            os.close(mine)
            copies[child] = answer
        done = _share(work, items, numbers, taken)
        for child in list(copies):
            done.update(_answer(copies[child], dict))
            os.close(copies.pop(child))
            os.waitpid(child, 0)
    finally:
        gc.unfreeze()
        os.close(numbers)
        for child, answer in copies.items():
            os.close(answer)
            os.kill(child, 9)
            os.waitpid(child, 0)
    return [done[number] if number in done else work(item) for number, item in enumerate(items)]


def _share(
    work: Callable[[Item], Result], items: Sequence[Item], numbers: int, taken: Callable[[int], None] | None = None
) -> dict[int, Result]:
    done = {}
    while number := os.read(numbers, 4):
        at = int.from_bytes(number, "big")
        if taken is not None:
            taken(at)
        done[at] = work(items[at])
    return done


def _run(work: Callable[[Any], Any], items: Sequence[Any], numbers: int, answer: int) -> None:
    """The life of a copy."""
    _end_with(lambda: _share(work, items, numbers), answer, wrapped=False)


def _end_with(work: Callable[[], Any], answer: int, *, wrapped: bool = True) -> NoReturn:
    """Tell what a copy worked out, and end it, whatever happens: what the process was doing is not its business."""
    code = 1
    try:
        import pickle

        found = work()
        data = pickle.dumps([found] if wrapped else found, pickle.HIGHEST_PROTOCOL)
        with os.fdopen(answer, "wb") as file:
            file.write(data)
        code = 0
    finally:
        os._exit(code)


def _answer(pipe: int, empty: Callable[[], Any]) -> Any:
    """What a copy told; `empty` when it ended before."""
    import pickle

    parts = []
    while part := os.read(pipe, 1 << 16):
        parts.append(part)
    try:
        return pickle.loads(b"".join(parts))  # noqa: S301 - written by a copy of this process, into a pipe
    except (EOFError, pickle.UnpicklingError):
        return empty()
