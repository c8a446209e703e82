"""Rows for the queries of ``sql/queries/``, and their results."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

from audit_handler.clickhouse import ClickHouse
from audit_handler.schema import query
from audit_handler.target import Target

NOW = datetime.now(timezone.utc)


TODAY = NOW.strftime("%Y-%m-%d %H:%M:%S.%f")


ARGUMENTS: dict[str, Any] = {
    "since": (NOW - timedelta(days=1)).strftime("%Y-%m-%d %H:%M:%S"),
    "until": (NOW + timedelta(days=1)).strftime("%Y-%m-%d %H:%M:%S"),
    "limit": 100,
    "agent_id": "u-3",
    "resource_type": "order",
    "resource_id": "o-3",
    "request_id": "r-3",
    "threshold_ms": 1,
    "actions": ["READ"],
    "timezone": "UTC",
    "opens": 0,
    "closes": 0,
}


def rows(*numbers: int, **fields: Any) -> bytes:
    """Return NDJSON as the spool writes it."""
    return b"".join(
        json.dumps(
            {
                "writer_id": "w",
                "seq": number,
                "event_time": TODAY,
                "event_id": f"00000000-0000-7000-8000-{number:012d}",
                "action": "READ",
                "agent_id": f"u-{number}",
                "resource_type": "order",
                "resource_id": f"o-{number}",
                "request_id": f"r-{number}",
                "response_time_ms": number,
                "outcome": "failure" if number % 2 else "success",
                **fields,
            },
            separators=(",", ":"),
        ).encode()
        + b"\n"
        for number in numbers
    )


def record(number: int) -> logging.LogRecord:
    return logging.makeLogRecord({"action": "READ", "agent_id": f"u-{number}", "msg": "read"})


def ask(clickhouse: ClickHouse, name: str, target: Target, table: str = "") -> list[dict[str, Any]]:
    """Run the query *name* on *target*'s table, or on *table*."""
    sql = query(name, replace(target, table=table or target.table))
    return clickhouse.query(sql, {key: ARGUMENTS[key] for key in re.findall(r"\{(\w+):", sql)})
