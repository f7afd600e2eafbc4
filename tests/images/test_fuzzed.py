"""What fuzzing found: each input once raised, hung or passed a limit (benchmarks/fuzz_images.py)."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks import fuzz_images

KEPT = sorted((Path(__file__).parent / "fuzzed").glob("*.bin"))


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_what_was_found_once(path: Path) -> None:
    fuzz_images.target()(path.read_bytes())


def test_new_inputs() -> None:
    """A few hundred mutations, always the same ones: the harness itself works, and the checks hold."""
    source, corpus, check = random.Random(11), fuzz_images.seeds(), fuzz_images.target()
    for _ in range(300):
        check(fuzz_images.mutated(source, corpus))
