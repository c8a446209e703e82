"""Rows as the spool writes them, and tables to store them in."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from audit_handler._options.dsn import parse_dsn
from audit_handler.clickhouse import ClickHouse
from audit_handler.schema import statements
from audit_handler.target import Target
from tests.support.engines import Engine

Connect = Callable[..., ClickHouse]


def rows(*numbers: int, **fields: Any) -> bytes:
    """Return NDJSON as the spool writes it."""
    lines = []
    for number in numbers:
        row = {
            "writer_id": "w",
            "seq": number,
            "event_time": "2026-11-23 10:00:00.000001",
            "event_id": f"00000000-0000-7000-8000-{number:012d}",
            "action": "TRY",
            **fields,
        }
        lines.append(json.dumps(row, separators=(",", ":")).encode() + b"\n")
    return b"".join(lines)


def target_of(dsn: str, database: str, **fields: Any) -> Target:
    """Return the target that *dsn* names, with another *database* and other *fields*."""
    parsed = {**parse_dsn(dsn), "database": database}
    parsed["client_options"] = {**parsed["client_options"], **fields.pop("client_options", {})}
    return Target(**parsed, **fields)


def create_with_engine(server: Engine, database: str, engine: str) -> str:
    """
    Create *database* with a table that has the columns of today, without defaults, and *engine*.
    Return its name. A table ``store`` with today's layout stands beside it.
    """
    for sql in statements(target_of(server.dsn(), database, table="store")):
        server.command(sql)
    table = f"{database}.audit_logs"
    server.command(
        f"CREATE TABLE {table} ENGINE = {engine} EMPTY AS SELECT * FROM {database}.store"
    )
    return table


def count(server: Engine, database: str) -> int:
    """Return the number of rows in *database*'s table."""
    return int(server.query(f"SELECT count() AS n FROM {database}.audit_logs")[0]["n"])
