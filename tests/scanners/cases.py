"""The labelled cases of the detection material."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared"


def labelled() -> list[dict[str, Any]]:
    folder = SHARED / "detection" / "cases"
    if not folder.is_dir():
        pytest.skip("no detection material beside the repository")
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]
