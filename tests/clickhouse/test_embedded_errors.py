"""Errors of the embedded engine, which each Python version shows in its own way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import environment_with

CUTS_A_CHARACTER = """
import sys
from pathlib import Path
from audit_handler.clickhouse import ClickHouse
from audit_handler.errors import DeliveryError
from audit_handler.target import Target

target = Target(scheme="chdb", path=sys.argv[1])
clickhouse = ClickHouse(target, create_table=True, async_insert=False)
clickhouse.insert(b"", token="s")
clickhouse.command("ALTER TABLE audit_db.audit_logs ADD COLUMN due Date")
clickhouse.close()
row = '{"writer_id":"w","seq":1,"event_time":"2026-11-27 10:00:00.000000","due":"12-%s"}'
line = (row % ("\u00e9" * 12) + chr(10)).encode()
path = Path(sys.argv[1] + ".ndjson") if sys.argv[2] == "file" else None
if path:
    path.write_bytes(line)
try:
    clickhouse.insert(line, token="t", path=path)
except DeliveryError as exc:
    print(type(exc).__name__, exc.code, exc.added)
"""


@pytest.mark.parametrize("source", ["file", "memory"])
def test_a_value_that_chdb_cuts_inside_a_character_is_rejected(tmp_path: Path, source: str) -> None:
    """The text of its error is no UTF-8 then."""
    told = subprocess.run(
        [sys.executable, "-c", CUTS_A_CHARACTER, f"{tmp_path}/db", source],
        env=environment_with({}),
        stdout=subprocess.PIPE,
        text=True,
        timeout=100,
    ).stdout

    assert "DataError 38 ('due',)\n" == told
