"""
The examples run as their documentation says.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

NEEDED = ("chdb", "httpx", "rich", "starlette", "uvicorn")

pytestmark = pytest.mark.skipif(
    # Looked for, not imported: chdb would break the forks of other tests.
    any(importlib.util.find_spec(name) is None for name in NEEDED),
    reason=f"the demo needs {', '.join(NEEDED)}",
)


def demo(data: Path) -> str:
    script = str(ROOT / "examples" / "demo.py")
    command = [sys.executable, script, "--requests", "40", "--data", str(data)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert 0 == ran.returncode, ran.stdout + ran.stderr
    return ran.stdout


def test_the_demo_audits_every_request_and_adds_to_what_is_there(tmp_path: Path) -> None:
    first, second = demo(tmp_path), demo(tmp_path)

    for output, processes in ((first, 1), (second, 2)):
        counts = re.search(
            r"Complete: (\d+) audits had to be stored in this run, (\d+) are", output
        )
        assert counts is not None
        assert counts[1] == counts[2] != "0"
        assert processes == len(re.findall(r"0 +0 +complete", output))
        for text in (
            "APPROVE",
            "Ada Osei",
            "the carrier does not answer",
            '"iban":"***REDACTED***"',
        ):
            assert text in output
    assert "DE02120300000000202051" not in first + second
