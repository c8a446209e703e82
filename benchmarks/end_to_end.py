"""
Rows a second from the first logger call to the last acknowledgement, over HTTP and on chDB.

`AuditHandler` is compared with common hand-written inserts and with the limit: a bare `raw_insert`
of the same bytes in the same batches. All contestants store the same rows in the same table of
`audit_handler.schema`, each in a process and a database of its own, connected before the clock
starts. Hand-written inserts get rows that are already redacted and typed, so they show the cost of
inserting alone. Afterwards the rows are counted in SQL.

*Delivery alone* is `AuditHandler` with the same batches in its spool, as a killed process leaves
them.

For a caller that never pauses, `AuditHandler` also reports the share of rows that are stored when
the last call returns, and five seconds later.

This process never loads chDB. The processes of the contestants do, and start no others.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from _measure import (
    SPREAD_HEADERS,
    Spread,
    close_undelivered,
    closed_port,
    figure,
    full_extras,
    interleaved,
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
from audit_handler._options.dsn import parse_dsn
from audit_handler.schema import WRITTEN_COLUMNS, statements
from audit_handler.target import Target

LIMIT, AUDIT = "raw_insert, same batches (limit)", "AuditHandler"
PACKED, SINGLE, BATCH_100 = "raw_insert, zstd", "insert, 1 row each", "insert, batches of 100"
BATCH_10000, DELIVERY = "insert, batches of 10,000", "AuditHandler, delivery alone"
GRACE = 5.0  # seconds after the last call in which a flat-out caller's rows should be stored
SLOW_SHARE = {SINGLE: 200, BATCH_100: 20}  # use one of so many rows, or the benchmark takes minutes


def dsn_parts(dsn: str) -> Target:
    return Target(**parse_dsn(dsn))


# One contestant, in a process of its own


@dataclass
class Work:
    """The input of a contestant."""

    dsn: str
    rows: int
    segments: Path
    """Directory of the batches that `AuditHandler` made, one NDJSON file each."""
    scratch: Path

    def batches(self) -> list[bytes]:
        return [path.read_bytes() for path in sorted(self.segments.iterdir())]

    def typed_rows(self) -> list[list[Any]]:
        """Return the rows as the `insert` of the driver expects them."""
        lines = b"".join(self.batches()).splitlines()[: self.rows]
        return [[typed(name, row.get(name)) for name in WRITTEN_COLUMNS] for row in decoded(lines)]


def decoded(lines: list[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        yield json.loads(line)


def typed(name: str, value: Any) -> Any:
    """Return *value* of a row as the type of its column."""
    if name == "event_time":
        return datetime.fromisoformat(value).replace(tzinfo=timezone.utc)
    if name == "event_id":
        return UUID(value)
    if name in ("status_code", "response_time_ms", "seq"):
        return value or 0
    if name == "ip_address":
        return value or "::"
    return json.dumps(value) if isinstance(value, dict | list) else value or ""


def connected(dsn: str) -> Any:
    """Return a client for a hand-written contestant."""
    import clickhouse_connect  # not above: it loads chDB, and the parent process starts others

    target = dsn_parts(dsn)
    if target.is_embedded:
        return clickhouse_connect.get_client(interface="chdb", path=target.path)
    return clickhouse_connect.get_client(host=target.host, port=target.port)


def run_audit(work: Work) -> dict[str, float]:
    """Log the rows without a pause, and flush."""
    handler = AuditHandler(work.dsn, spool_dir=work.scratch / "spool", create_table=True)
    logger = logger_with(handler)
    extras = [full_extras(number) for number in range(work.rows)]

    begun = time.perf_counter()
    logger.info("warm", extra=extras[0])
    is_flushed = handler.flush(120.0)
    connected_after = time.perf_counter() - begun

    started = time.perf_counter()
    for extra in extras:
        logger.info("order %s: %s", "paid", "by card", extra=extra)
    logged = time.perf_counter()
    stored_at_last_call = handler.status().rows_stored - 1
    is_flushed = handler.flush(GRACE) and is_flushed
    stored_in_grace = handler.status().rows_stored - 1
    is_flushed = handler.flush(120.0)
    seconds = time.perf_counter() - started
    status = handler.status()
    handler.close()
    if not is_flushed:
        raise SystemExit(f"not everything was delivered: {status}")
    return {
        "seconds": seconds,
        "logging_seconds": logged - started,
        "connect_seconds": connected_after,
        "at_last_call": stored_at_last_call / work.rows,
        "in_grace": stored_in_grace / work.rows,
        "inserts": status.batches_stored - 1,
        "extra_rows": 1,
    }


def run_delivery(work: Work) -> dict[str, float]:
    """Deliver the rows that another process left in the spool."""
    options: dict[str, Any] = {"create_table": True}
    with closing(AuditHandler(work.dsn, spool_dir=work.scratch / "warm", **options)) as warm:
        # Loads the driver, and creates the table.
        logger_with(warm).info("warm", extra=full_extras(0))
        if not warm.flush(120.0):
            raise SystemExit(f"not everything was delivered: {warm.status()}")
        target = work.scratch / "spool" / warm.settings.target.directory_name
        batches = sorted(work.segments.iterdir())
        writer = target / json.loads(batches[0].read_bytes().split(b"\n", 1)[0])["writer_id"]
        writer.mkdir(mode=0o700, parents=True)
        for path in batches:
            shutil.copy(path, writer / f"{path.stem}.ready")
        started = time.perf_counter()
        with closing(
            AuditHandler(work.dsn, spool_dir=work.scratch / "spool", **options)
        ) as handler:
            wait_until(lambda: handler.status().rows_stored == work.rows, "the last row", 120.0)
            seconds = time.perf_counter() - started
    return {"seconds": seconds, "extra_rows": 1}


def run_raw(work: Work, *, is_packed: bool) -> dict[str, float]:
    """Insert ready-made batches."""
    client, batches = connected(work.dsn), work.batches()
    options: dict[str, Any] = {"fmt": "JSONEachRow"}
    if is_packed:
        from audit_handler.clickhouse._insert import compress

        options["compression"] = "zstd"
    settings = {"async_insert": 0, "input_format_parallel_parsing": 0}
    started = time.perf_counter()
    for batch in batches:
        block = compress(batch) if is_packed else batch
        client.raw_insert(
            "audit_db.audit_logs", WRITTEN_COLUMNS, block, settings=settings, **options
        )
    return {"seconds": time.perf_counter() - started}


def run_insert(work: Work, size: int) -> dict[str, float]:
    """Insert Python rows, *size* at a time."""
    client, rows = connected(work.dsn), work.typed_rows()
    started = time.perf_counter()
    for first in range(0, len(rows), size):
        client.insert("audit_db.audit_logs", rows[first : first + size], list(WRITTEN_COLUMNS))
    return {"seconds": time.perf_counter() - started}


CONTESTANTS: Mapping[str, Callable[[Work], dict[str, float]]] = {
    LIMIT: lambda work: run_raw(work, is_packed=False),
    PACKED: lambda work: run_raw(work, is_packed=True),
    AUDIT: run_audit,
    DELIVERY: run_delivery,
    BATCH_10000: lambda work: run_insert(work, 10_000),
    BATCH_100: lambda work: run_insert(work, 100),
    SINGLE: lambda work: run_insert(work, 1),
}


def count(dsn: str) -> tuple[int, int]:
    """Return the rows of the table and how many distinct ones they are."""
    sql = "SELECT count(), uniqExact(writer_id, seq) FROM audit_db.audit_logs"
    found: tuple[int, int] = connected(dsn).query(sql).result_rows[0]
    return found


def contest(name: str, work: Work) -> None:
    """Run one contestant in this process, count its rows, and print its figures as JSON."""
    if name not in (AUDIT, DELIVERY):
        client = connected(work.dsn)
        for statement in statements(dsn_parts(work.dsn)):
            client.command(statement, use_database=False)
        client.query("SELECT 1")
    measured = CONTESTANTS[name](work)
    expected = work.rows + int(measured.pop("extra_rows", 0))
    rows, distinct = count(work.dsn)
    if (rows, distinct) != (expected, expected):
        raise SystemExit(
            f"{name}: {expected} rows were inserted, {rows} are stored, {distinct} distinct"
        )
    print(json.dumps({**measured, "rows_per_second": work.rows / measured["seconds"]}))


# The benchmark


def run(name: str, work: Work) -> dict[str, float]:
    """Run one contestant in a process of its own, and return its figures."""
    command = [sys.executable, __file__, "--contestant", name, "--dsn", work.dsn]
    command += ["--rows", str(work.rows), "--segments", str(work.segments)]
    command += ["--scratch", str(work.scratch)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)  # noqa: S603  # this file
    if done.returncode:
        sys.exit(f"{name} on {work.dsn} failed:\n{done.stdout}{done.stderr}")
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def make_segments(rows: int, directory: Path) -> Path:
    """Write the rows to the spool of an `AuditHandler` without a server; return its batches."""
    logging.getLogger().addHandler(logging.NullHandler())  # the listener reports the closed port
    handler = AuditHandler(f"http://127.0.0.1:{closed_port()}", spool_dir=directory / "spool")
    logger = logger_with(handler)
    for number in range(rows):
        logger.info("order %s: %s", "paid", "by card", extra=full_extras(number))
    close_undelivered(handler)
    segments = directory / "segments"
    segments.mkdir()
    kept = collect(directory / "spool", segments)
    if kept != rows:
        sys.exit(f"{kept} of {rows} rows are in the spool")
    return segments


def collect(spool: Path, segments: Path) -> int:
    """Move the segments under *spool* to *segments*; return the number of their rows."""
    for path in spool.glob("*/*/*"):
        if path.name != "lock":
            path.replace(segments / f"{path.stem}.ndjson")
    return sum(path.read_bytes().count(b"\n") for path in segments.iterdir())


@contextmanager
def databases(transport: str, directory: Path) -> Iterator[Callable[[], str]]:
    """Yield a function that returns the dsn of an empty database."""
    if transport == "chDB":
        numbers = iter(range(1_000_000))
        yield lambda: f"chdb://{directory / f'chdb-{next(numbers)}'}"
        return
    with loopback() as server:

        def emptied() -> str:
            server.command("DROP DATABASE IF EXISTS audit_db SYNC")
            return server.dsn()

        yield emptied


def compare(transport: str, rows: int, rounds: int, segments: Path) -> None:
    """Measure all contestants over *transport* and print them."""
    details: dict[str, list[dict[str, float]]] = {
        name: []
        for name in CONTESTANTS
        if transport == "HTTP" or name != PACKED  # a call within the process needs no compression
    }

    def turn(name: str, empty_dsn: Callable[[], str], directory: Path) -> float:
        share = max(1, rows // SLOW_SHARE.get(name, 1))
        scratch = directory / f"{transport}-{sum(map(len, details.values()))}"
        measured = run(name, Work(empty_dsn(), share, segments, scratch))
        details[name].append(measured)
        return measured["rows_per_second"]

    with scratch_directory() as directory, databases(transport, directory) as empty_dsn:
        results = interleaved(
            {name: partial(turn, name, empty_dsn, directory) for name in details}, rounds
        )
    table = []
    for name, values in results.items():
        ratios = [
            Spread.of([a / b for a, b in zip(values, results[other], strict=True)]).median
            for other in (LIMIT, SINGLE)
        ]
        table.append([name, *Spread.of(values).cells(0), f"{ratios[0]:.3f}", f"{ratios[1]:,.1f}"])
        if name == AUDIT:
            figure(f"{transport} / limit", ratios[0])
            figure(f"{transport} / single", ratios[1])
        if name == DELIVERY:
            figure(f"{transport} delivery / limit", ratios[0])
    print_table(
        f"{transport}: rows a second, full record",
        ["", *SPREAD_HEADERS, "/ limit", "/ 1 row each"],
        table,
    )
    figure(f"{transport} in grace", 100.0 * min(one["in_grace"] for one in details[AUDIT]))
    print_audit(details[AUDIT], rows)


def print_audit(measured: list[dict[str, float]], rows: int) -> None:
    """Print the figures of AuditHandler that have no counterpart."""
    middle = {name: Spread.of([one[name] for one in measured]).median for name in measured[0]}
    least = min(one["in_grace"] for one in measured)
    print_note(
        f"AuditHandler: {middle['logging_seconds'] / rows * 1e6:.0f} us a call, of the rows "
        f"{middle['at_last_call']:.0%} stored at the last call and {least:.1%} (least of all "
        f"rounds) within {GRACE:.0f} s of it, in {middle['inserts']:.0f} inserts; the first row "
        f"of the process was acknowledged after {middle['connect_seconds']:.2f} s "
        "(load the driver, connect, create the table)."
    )


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rows", type=int, default=20_000, help="rows of one turn")
    options.add_argument("--rounds", type=int, default=3, help="turns of each contestant")
    options.add_argument(
        "--transport", choices=["HTTP", "chDB"], help="use only this one (default: both)"
    )
    for name in ("--contestant", "--dsn", "--segments", "--scratch"):
        options.add_argument(name, help=argparse.SUPPRESS)
    arguments = options.parse_args()
    if arguments.contestant:
        scratch = Path(arguments.scratch)
        work = Work(arguments.dsn, arguments.rows, Path(arguments.segments), scratch)
        contest(arguments.contestant, work)
        return
    with scratch_directory() as directory:
        segments = make_segments(arguments.rows, directory)
        sizes = [path.stat().st_size for path in segments.iterdir()]
        print_note(
            f"{arguments.rounds} rounds of {arguments.rows:,} "
            f"rows of {sum(sizes) // arguments.rows:,} bytes, in {len(sizes)} batches; "
            + "; ".join(
                f"{arguments.rows // share:,} of them by {name!r}"
                for name, share in SLOW_SHARE.items()
            )
        )
        for transport in [arguments.transport] if arguments.transport else ["HTTP", "chDB"]:
            compare(transport, arguments.rows, arguments.rounds, segments)
    write_report(arguments.output)


if __name__ == "__main__":
    main()
