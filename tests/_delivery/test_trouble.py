"""What the log says of failed deliveries."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.support.delivery import NO_TABLE, REFUSED, Bench
from tests.support.spools import put_numbers


def test_one_line_is_logged_for_each_change_of_state(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path, REFUSED, REFUSED, REFUSED, NO_TABLE, NO_TABLE, None)
    put_numbers(bench.spool, 1, 3)
    with caplog.at_level(logging.INFO):
        bench.deliver()
    levels = [(r.levelname, r.getMessage()) for r in caplog.records if r.name.startswith("audit_h")]

    assert ["WARNING", "ERROR", "INFO"] == [level for level, _ in levels]
    assert "connection refused" in levels[0][1]
    assert "audit-handler init" in levels[1][1]
    assert "accepts rows again" in levels[2][1]
