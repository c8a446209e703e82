"""
Measure the queries of ``sql/queries/`` on a large table: rows and bytes read, and milliseconds.

They run on embedded chDB, on the table of ``sql/node/``. The engine generates the rows: a year of
an application with 5,000 users, a few of them busy, 200,000 resources, JSON bodies in every fifth
row, and random ids. Every row has the columns of a request of the middleware. The table is not
optimized afterwards, and the query condition cache is off, so a repeated query reads as much as the
first one. Times are the best of five with the files in the page cache, and depend on the machine;
the number of rows read hardly does.

``--rows 10000000 --write docs/QUERY_COSTS.md`` writes the table of the documentation.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
import time
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

from _measure import print_table, scratch_directory

from audit_handler.schema import query, statements
from audit_handler.target import Target

TARGET = Target(scheme="chdb", path=":memory:")
DAYS = 365
CHUNK = 100_000
REPEATS = 5
AGENTS, RESOURCES, WRITERS = 5_000, 200_000, 40
HEADERS = ["question", "range", "rows read", "of the table", "MiB read", "ms", "lines"]

FILL = """
INSERT INTO audit_db.audit_logs
(
    event_id, event_time, agent_id, agent_name, agent_role, agent_email, action, resource_type, resource_id, resource_name,
    ip_address, endpoint, http_method, status_code, response_time_ms, request_body, response_body, request_headers,
    old_value, new_value, user_agent, session_id, request_id, error_message, metadata, trace_id, span_id, service_name,
    writer_id, seq, level, logger, message, outcome
)
WITH
    cityHash64(number) AS h,
    toUInt32(pow((cityHash64(number, 1) % 1000000) / 1000000, 3) * {agents:UInt32}) AS agent,
    cityHash64(number, 2) % {resources:UInt32} AS resource,
    number * 7919 % 100 AS dice,
    ['READ', 'READ', 'READ', 'READ', 'UPDATE', 'UPDATE', 'CREATE', 'LIST', 'EXPORT', 'DELETE', 'LOGIN', 'PAY']
        [cityHash64(number, 3) % 12 + 1] AS what,
    ['order', 'invoice', 'user', 'document', 'session'][resource % 5 + 1] AS kind,
    [200, 200, 200, 200, 201, 200, 204, 200, 404, 403, 200, 200, 500, 200, 200, 200, 200, 200, 200, 200]
        [cityHash64(number, 4) % 20 + 1] AS status,
    toDateTime64({start:String}, 6, 'UTC') + toIntervalMicrosecond(number * {step:UInt64} + h % {step:UInt64}) AS at,
    lower(hex(MD5(toString(number)))) AS trace,
    concat('{"id":"', toString(resource), '","status":"paid","total":{"amount":', toString(h % 100000),
           ',"currency":"EUR"},"lines":[{"sku":"sku-', toString(h % 97), '","count":', toString(h % 9), '}]}') AS body
SELECT
    toUUID(concat(substring(leftPad(lower(hex(toUnixTimestamp64Milli(at))), 12, '0') AS ms, 1, 8), '-', substring(ms, 9, 4),
        '-7', substring(trace, 1, 3), '-8', substring(trace, 4, 3), '-', substring(trace, 7, 12))),
    at, concat('u-', toString(agent)), concat('Name ', toString(agent % 977)), ['clerk', 'admin', 'auditor'][agent % 3 + 1],
    concat('u-', toString(agent), '@example.org'), what, kind, concat('r-', toString(resource)),
    concat('The ', kind, ' ', toString(resource)),
    toIPv6(IPv4NumToString(toUInt32(167772160 + agent * 13 % 60000))), concat('/api/v1/', kind, 's/', toString(resource)),
    ['GET', 'POST', 'PUT', 'DELETE'][cityHash64(number, 3) % 4 + 1], status,
    toUInt32(5 + exp(cityHash64(number, 5) % 1000 / 130)),
    if(dice < 20, body, ''), if(dice < 5, body, ''),
    concat('{"accept":"application/json","content-type":"application/json","x-request-id":"', trace, '"}'),
    if(what = 'UPDATE', body, ''), if(what IN ('UPDATE', 'CREATE'), body, ''),
    concat('Mozilla/5.0 (X11; Linux x86_64; rv:', toString(100 + agent % 40), '.0) Gecko/20100101'),
    substring(lower(hex(MD5(concat(toString(agent), toString(toDate(at)))))), 1, 16), trace,
    if(status >= 400, concat('refused with ', toString(status)), ''), '{}', trace, substring(trace, 9, 16),
    ['shop', 'billing', 'crm'][number % 3 + 1], concat('w-', toString(number % {writers:UInt32})),
    intDiv(number, {writers:UInt32}) + 1, 'INFO', 'audit', concat(what, ' ', kind), if(status >= 400, 'failure', 'success')
FROM numbers({first:UInt64}, {count:UInt64})
"""  # noqa: E501  # SQL reads better in long lines; it has no placeholders of Python


class Cost(NamedTuple):
    rows_read: int
    bytes_read: int
    seconds: float
    lines: int


class Database:
    """chDB in one directory."""

    def __init__(self, path: Path) -> None:
        import chdb

        self._connection = chdb.connect(str(path))

    def run(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Any:
        # JSONCompactEachRow prints one line per row.
        return self._connection.query(sql, "JSONCompactEachRow", params=dict(parameters or {}))

    def number(self, sql: str) -> int:
        return int(self.run(sql).bytes().decode().strip(' []"\n'))

    def close(self) -> None:
        self._connection.close()


def fill(database: Database, rows: int, end: datetime) -> None:
    """Generate *rows* rows of the year before *end*, ordered by time."""
    for sql in statements(TARGET):
        database.run(sql)
    parameters = {
        "start": (end - timedelta(days=DAYS)).strftime("%Y-%m-%d %H:%M:%S"),
        "step": DAYS * 86_400 * 1_000_000 // rows,
        "agents": AGENTS,
        "resources": RESOURCES,
        "writers": WRITERS,
    }
    for first in range(0, rows, CHUNK):
        count = min(CHUNK, rows - first)
        database.run(FILL, {**parameters, "first": first, "count": count})
        print(f"\r  {first + count:,} rows", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def questions(end: datetime) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the range of each query in words, and the arguments for its parameters."""

    def back(days: int) -> dict[str, Any]:
        since = end - timedelta(days=days)
        return {"since": since.strftime("%F %T"), "until": end.strftime("%F %T"), "limit": 100}

    return {
        "by_user": ("30 days", {**back(30), "agent_id": "u-700"}),
        "by_resource": (
            "a year",
            {**back(DAYS), "resource_type": "order", "resource_id": "r-77775"},
        ),
        "by_request": (
            "all time",
            {"request_id": "68b3c1a1ffb1ea0e0b5dcfda9ab2f1a8", "limit": 100},
        ),
        "failed_operations": ("a day", back(1)),
        "activity_by_day": ("90 days", back(90)),
        "top_users": ("7 days", back(7)),
        "completeness": ("7 days", back(7)),
        "slow_requests": ("a day", {**back(1), "threshold_ms": 1_000}),
        "who_read_what": (
            "7 days",
            {**back(7), "actions": "['READ','EXPORT']", "resource_type": "document"},
        ),
        "logins_outside_hours": (
            "7 days",
            {
                **back(7),
                "actions": "['LOGIN']",
                "timezone": "Europe/Paris",
                "opens": 8,
                "closes": 18,
            },
        ),
    }


def cost(database: Database, sql: str, arguments: Mapping[str, Any]) -> Cost:
    """Run *sql* several times; return the rows and bytes that it read, and the shortest time."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        answer = database.run(f"{sql}\nSETTINGS use_query_condition_cache = 0", arguments)
        times.append(time.perf_counter() - start)
    lines = answer.bytes().count(b"\n")
    return Cost(answer.storage_rows_read(), answer.storage_bytes_read(), min(times), lines)


def measure(database: Database, rows: int, end: datetime) -> list[list[str]]:
    known = database.run("SELECT request_id FROM audit_db.audit_logs LIMIT 1 OFFSET 54321")
    request_id = known.bytes().decode().strip(' []"\n')
    table = []
    for name, (reach, arguments) in questions(end).items():
        sql = query(name, TARGET)
        names = set(re.findall(r"\{(\w+):", sql))
        given = {key: value for key, value in arguments.items() if key in names}
        if "request_id" in given:
            given["request_id"] = request_id
        found = cost(database, sql, given)
        table.append(
            [
                name,
                reach,
                f"{found.rows_read:,}",
                f"{found.rows_read / rows:.2%}",
                f"{found.bytes_read / 2**20:,.1f}",
                f"{found.seconds * 1e3:,.0f}",
                f"{found.lines:,}",
            ]
        )
    return table


def size(database: Database, rows: int) -> str:
    active = "FROM system.parts WHERE database = 'audit_db' AND table = 'audit_logs' AND active"
    stored = database.number(f"SELECT sum(bytes_on_disk) {active}")
    raw = database.number(f"SELECT sum(data_uncompressed_bytes) {active}")
    parts = database.number(f"SELECT count() {active}")
    return (
        f"{rows:,} rows in {parts} parts, {stored / rows:.1f} bytes a row on disk with all "
        f"indexes, {raw / rows:.0f} uncompressed"
    )


def document(summary: str, table: list[list[str]], version: str) -> str:
    """Return the page of the documentation."""
    head = f"""# What the questions cost

Made by `python benchmarks/queries.py --rows 10000000 --write docs/QUERY_COSTS.md`, which describes
the rows. {summary}.
Engine {version} (chDB), {os.cpu_count()} CPUs ({platform.machine()}).
Times are the best of five, from the page cache, and depend on the machine; rows read hardly do.

"""
    lines = [HEADERS, ["---", "---", *["---:"] * (len(HEADERS) - 2)], *table]
    return head + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the table")
    parser.add_argument("--write", type=Path, help="write the result as Markdown to this file")
    given = parser.parse_args()
    end = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    with scratch_directory() as directory:
        database = Database(directory / "clickhouse")
        fill(database, given.rows, end)
        summary = size(database, given.rows)
        table = measure(database, given.rows, end)
        version = database.run("SELECT version()").bytes().decode().strip(' []"\n')
        database.close()
    print_table(summary, HEADERS, table)
    if given.write:
        given.write.write_text(document(summary, table, version))


if __name__ == "__main__":
    main()
