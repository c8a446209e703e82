"""
A server that is down while a million rows are logged: cost of a call, memory, disk, catching up.

One process with one `AuditHandler` logs to a loopback server, which is killed and started again. At
each power of ten of waiting rows, 500 calls and `AuditHandler.status` are measured. The resident
memory is that of the process, and includes the benchmark. "idle" is after the first delivery, when
everything is loaded.
"""

from __future__ import annotations

import os
import resource
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from _measure import (
    few_extras,
    figure,
    full_extras,
    logger_with,
    loopback,
    parser,
    print_note,
    print_table,
    scratch_directory,
    wait_until,
    write_report,
)

from audit_handler import AuditHandler

PROBE = 500
PAGE = resource.getpagesize()


def resident_mib() -> float:
    """Return the memory of the process, from /proc if it exists, else the highest so far."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 2**20
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def decades(rows: int) -> Iterator[int]:
    """Yield the powers of ten from 1,000 up to *rows*, and *rows*."""
    step = 1_000
    while step < rows:
        yield step
        step *= 10
    yield rows


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rows", type=int, default=1_000_000, help="waiting rows at the end")
    arguments = options.parse_args()
    extras = [few_extras(number) for number in range(PROBE)]
    with scratch_directory() as directory, loopback() as server:
        handler = AuditHandler(
            server.dsn(),
            spool_dir=directory / "spool",
            create_table=True,
            max_spool_bytes=1 << 40,
            retry_max_ms=1_000,
        )
        logger = logger_with(handler)
        call = logger.info

        def log(count: int) -> float:
            """Log *count* events; return the seconds of one call, the median of blocks of 100."""
            blocks = []
            for first in range(0, count, 100):
                began = time.perf_counter()
                for number in range(min(100, count - first)):
                    call("order %s: %s", "paid", "by card", extra=extras[number])
                blocks.append((time.perf_counter() - began) / min(100, count - first))
            return statistics.median(blocks)

        log(10_000)
        if not handler.flush(60.0):
            raise SystemExit(f"the first rows were not delivered: {handler.status()}")
        idle = resident_mib()
        server.kill()
        call("the insert of this one fails", extra=extras[0])
        handler.flush(0.0)
        wait_until(lambda: handler.status().retries > 0, "the first retry")
        table, costs = [], []
        for rows in decades(arguments.rows):
            log(max(0, rows - PROBE - handler.status().rows_waiting))
            costs.append(log(PROBE) * 1e6)
            began = time.perf_counter()
            status = handler.status()
            looked = time.perf_counter() - began
            table.append(
                [
                    f"{status.rows_waiting:,}",
                    f"{costs[-1]:.1f}",
                    f"{looked * 1e6:.0f}",
                    f"{resident_mib() - idle:.1f}",
                    f"{status.bytes_waiting / status.rows_waiting:.0f}",
                ]
            )
        figure("memory of waiting rows", resident_mib() - idle)
        figure("growth of a call", costs[-1] / costs[0])
        print_table(
            f"Rows that wait (4 extras); idle is {idle:.0f} MiB",
            ["waiting", "us a call", "us of status()", "MiB above idle", "bytes a row"],
            table,
        )
        server.restart()
        waiting = handler.status().rows_waiting
        began = time.perf_counter()
        if not handler.flush(3_600.0):
            raise SystemExit(f"not everything was delivered: {handler.status()}")
        seconds = time.perf_counter() - began
        began = time.perf_counter()
        log(100_000)
        handler.flush(600.0)
        normal = 100_000 / (time.perf_counter() - began)
        print_note(
            f"When the server is back, {waiting:,} rows are stored in {seconds:.1f} s: "
            f"{waiting / seconds:,.0f} rows a second. Without an outage, the same process logs and "
            f"delivers {normal:,.0f} rows a second. Memory is then "
            f"{resident_mib() - idle:.1f} MiB above idle."
        )
        figure("catching up", waiting / seconds / normal)
        handler.close()
        # Full records with different values, in a table of their own.
        handler = AuditHandler(
            server.dsn("bytes_db"), spool_dir=directory / "full", create_table=True
        )
        logger = logger_with(handler)
        for number in range(100_000):
            logger.info("order %s: %s", "paid", "by card", extra=full_extras(number))
        if not handler.flush(600.0):
            raise SystemExit(f"not everything was delivered: {handler.status()}")
        handler.close()
        server.command("OPTIMIZE TABLE bytes_db.audit_logs FINAL")
        (parts,) = server.query(
            "SELECT sum(bytes_on_disk) / sum(rows) AS bytes FROM system.parts "
            "WHERE database = 'bytes_db' AND table = 'audit_logs' AND active"
        )
        print_note(
            f"A full record (20 extras, nested bodies) takes {float(parts['bytes']):,.1f} bytes in "
            "ClickHouse, measured on 100,000 merged rows."
        )
    write_report(arguments.output)


if __name__ == "__main__":
    os.umask(0o077)
    main()
