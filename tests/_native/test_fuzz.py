"""C keeps its memory in order: a short run of ``make fuzz``, with the compiler's sanitizers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests._native.fuzz import run_sanitized
from tests.support.native import needs_extension


@needs_extension
@pytest.mark.timeout(110)
def test_random_records_break_neither_bounds_nor_rows(tmp_path: Path) -> None:
    try:
        done = run_sanitized(tmp_path, "--seconds=12", "--seed=1")
    except RuntimeError as exc:
        pytest.skip(str(exc))

    assert (0, "") == (done.returncode, done.stderr)
    counts = json.loads(done.stdout)
    assert counts["compared"] > 100
    assert counts["rows of C"] > 100
