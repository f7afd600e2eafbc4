"""KEYLIFT_NO_SKIP=1 turns every skip into a failure, so that continuous integration never passes on nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

SKIPPING = {
    "test_call.py": "import pytest\ndef test_one():\n    pytest.skip('no shared folder')\n",
    "test_mark.py": "import pytest\n@pytest.mark.skip(reason='later')\ndef test_one():\n    pass\n",
    "test_module.py": "import pytest\npytest.importorskip('no_such_module')\ndef test_one():\n    pass\n",
    "test_expected.py": "import pytest\n@pytest.mark.xfail\ndef test_one():\n    assert False\n",
}


@pytest.mark.parametrize(("forbid", "told"), [("1", "1 failed, 1 xfailed, 2 errors"), ("", "3 skipped, 1 xfailed")])
def test_skips_fail_where_they_are_forbidden(tmp_path: Path, forbid: str, told: str) -> None:
    for name, text in SKIPPING.items():
        (tmp_path / name).write_text(text)
    options = ["-p", "tests.conftest", "-q", "--import-mode=importlib", "--continue-on-collection-errors"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "KEYLIFT_NO_SKIP": forbid, "PYTEST_ADDOPTS": "", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert told in done.stdout
    assert done.returncode == (1 if forbid else 0)
    assert ("no shared folder" in done.stdout) == bool(forbid)
