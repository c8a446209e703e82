"""
Rows a second with ``fsync="always"`` from 1, 4 and 16 threads, against one sync for each call.

*One sync a call* appends the same line to a file under a lock, and syncs it before it releases the
lock. TMPDIR selects the disk of both.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import orjson
from _measure import (
    SPREAD_HEADERS,
    Spread,
    close_undelivered,
    closed_port,
    few_extras,
    figure,
    interleaved,
    logger_with,
    parser,
    print_table,
    scratch_directory,
    write_report,
)

from audit_handler import AuditHandler

ONE, GROUP = "one sync a call", "AuditHandler, fsync=always"


def rate(call: Callable[[int], None], threads: int, calls: int) -> float:
    """Return the calls a second of *threads* threads that make *calls* calls each."""
    barrier = threading.Barrier(threads + 1)

    def work() -> None:
        barrier.wait()
        for number in range(calls):
            call(number)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    barrier.wait()
    began = time.perf_counter()
    for worker in workers:
        worker.join()
    return threads * calls / (time.perf_counter() - began)


def synced_file(path: Path) -> Callable[[int], None]:
    """Return a function that appends a row to *path* and syncs it."""
    file, lock = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), threading.Lock()
    sync = getattr(os, "fdatasync", os.fsync)

    def call(number: int) -> None:
        line = orjson.dumps(few_extras(number)) + b"\n"
        with lock:
            os.write(file, line)
            sync(file)

    return call


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--calls", type=int, default=200, help="calls of each thread in a turn")
    options.add_argument("--rounds", type=int, default=5)
    arguments = options.parse_args()
    with scratch_directory() as directory:
        handler = AuditHandler(
            f"http://127.0.0.1:{closed_port()}",
            spool_dir=directory / "spool",
            fsync="always",
            retry_min_ms=60_000,
            retry_max_ms=3_600_000,
            flush_interval_ms=3_600_000,
        )
        log = logger_with(handler).info
        calls = {
            ONE: synced_file(directory / "one"),
            GROUP: lambda number: log("x", extra=few_extras(number)),
        }
        log("warm", extra=few_extras(0))
        rows = []
        for threads in (1, 4, 16):
            results = interleaved(
                {
                    name: partial(rate, call, threads, arguments.calls)
                    for name, call in calls.items()
                },
                arguments.rounds,
            )
            for name, values in results.items():
                ratios = [a / b for a, b in zip(values, results[ONE], strict=True)]
                ratio = Spread.of(ratios).median
                rows.append(
                    [f"{name}, {threads} threads", *Spread.of(values).cells(0), f"{ratio:.2f}"]
                )
                if name == GROUP:
                    figure(f"group commit, {threads} threads", ratio)
        print_table("Calls a second", ["", *SPREAD_HEADERS, "/ one sync a call"], rows)
        close_undelivered(handler)
    write_report(arguments.output)


if __name__ == "__main__":
    main()
