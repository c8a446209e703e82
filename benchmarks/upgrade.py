"""
Upgrade a large table of the layout of 2025 while a handler writes to it, and count the rows.

The older table has ``--rows`` rows of 18 months. One thread logs through a real `AuditHandler` over
HTTP to a loopback server, and waits for the acknowledgement after every 500 rows. It starts before
the upgrade and stops after it. Then every older row is compared with its copy (by the sum of hashes
of all columns), every logged row is counted, and the upgrade is run once more.
"""

from __future__ import annotations

import argparse
import logging
import sys
import threading
import time
from typing import Any

from _measure import loopback, print_table, scratch_directory

from audit_handler import AuditHandler
from audit_handler._options.dsn import parse_dsn
from audit_handler.clickhouse import ClickHouse
from audit_handler.schema.upgrade import Month, upgrade
from audit_handler.target import Target

DAYS = 540
CONTENT = (
    "event_time, agent_id, agent_name, agent_role, agent_email, action, resource_type, "
    "resource_id, resource_name, toString(ip_address), endpoint, http_method, status_code, "
    "response_time_ms, request_body, response_body, request_headers, response_headers, old_value, "
    "new_value, user_agent, session_id, request_id, error_message, metadata"
)
OLDER = CONTENT.replace("event_time", "toDateTime64(event_time, 6, 'UTC')").replace(
    "toString(ip_address)", "toString(toIPv6(toString(ip_address)))"
)


class Writer(threading.Thread):
    """Log rows with the action WRITE through *handler* until `stop`; `logged` counts them."""

    def __init__(self, handler: AuditHandler) -> None:
        super().__init__()
        self._handler = handler
        self._log = logging.getLogger("benchmark.upgrade")
        self._log.setLevel(logging.INFO)
        self._log.propagate = False
        self._log.addHandler(handler)
        self._stopping = threading.Event()
        self.logged = 0

    def run(self) -> None:
        while not self._stopping.is_set():
            self._log.info("x", extra={"action": "WRITE", "resource_id": f"w-{self.logged}"})
            self.logged += 1
            if self.logged % 500 == 0:
                self._handler.flush(60.0)

    def stop(self) -> None:
        self._stopping.set()
        self.join()


def run(server: Any, rows: int, spool: Any) -> list[list[str]]:
    from tests.support.older import create_older_table, fill_older_table

    target = Target(**parse_dsn(server.dsn()))
    create_older_table(server, "audit_db")
    fill_older_table(server, "audit_db", rows, days=DAYS)
    handler = AuditHandler(server.dsn(), spool_dir=spool, create_table=False, flush_interval_ms=100)
    clickhouse = ClickHouse(target, create_table=False, async_insert=False)
    writer = Writer(handler)
    writer.start()
    server.wait_for_request(count=5)
    before, start = writer.logged, time.perf_counter()
    done = upgrade(clickhouse, target, on_month=show)
    seconds, during = time.perf_counter() - start, writer.logged - before
    handler.flush(60.0)
    writer.stop()
    flushed = handler.close(60.0)
    again = upgrade(clickhouse, target)
    clickhouse.close()
    table, copies = "audit_db.audit_logs", "startsWith(writer_id, 'before_upgrade/')"
    ((older,),) = (r.values() for r in server.query(hashes(OLDER, f"{table}_before_upgrade", "1")))
    ((copied,),) = (r.values() for r in server.query(hashes(CONTENT, table, copies)))
    (logged,) = server.query(
        "SELECT count() AS n, uniqExact(resource_id) AS ids, "
        "countIf(startsWith(writer_id, 'before_upgrade/')) AS copies "
        "FROM audit_db.audit_logs WHERE action = 'WRITE'"
    )
    (total,) = server.query("SELECT count() AS n FROM audit_db.audit_logs")
    return [
        ["rows in the older table", f"{rows:,}"],
        ["months", f"{len(done.months)}"],
        ["seconds of the upgrade", f"{seconds:.1f}"],
        ["rows logged during the upgrade", f"{during:,}"],
        ["rows logged in total", f"{writer.logged:,}"],
        ["of these stored in the older table first", f"{logged['copies']:,}"],
        ["logged rows lost", f"{writer.logged - logged['ids']:,}"],
        ["logged rows doubled", f"{logged['n'] - logged['ids']:,}"],
        ["older rows lost or doubled", f"{rows + writer.logged - total['n']:,}"],
        ["copies equal to their originals", "yes" if older == copied else "NO"],
        ["all acknowledged", "yes" if flushed else "NO"],
        ["months that a second run copies", f"{again.copied_months}"],
    ]


def hashes(columns: str, table: str, condition: str) -> str:
    return (
        f"SELECT (count(), sum(cityHash64({columns}))) AS same "  # noqa: S608  # our own words
        f"FROM {table} WHERE {condition}"
    )


def show(month: Month, left: int) -> None:
    print(f"  {month.month}: {month.copied:,} rows, {left} months left", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the older table")
    given = parser.parse_args()
    with loopback() as server, scratch_directory() as spool:
        table = run(server, given.rows, spool)
    print_table("Upgrade under a handler that writes", ["", ""], table)


if __name__ == "__main__":
    main()
