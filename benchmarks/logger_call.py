"""
What one logger call costs above `logging.NullHandler`, in one process and interleaved rounds.

Beside `AuditHandler` with its spool on disk stand the standard library's `QueueHandler`, which
keeps the record in memory and encodes nothing, and the floor of any durable handler: the record's
attributes encoded by msgspec as they are, and one ``write``.

Modes: *without delivery* nobody takes anything away: `QueueHandler`'s queue is emptied between
the turns, and `AuditHandler`'s server is a closed port, so that its listener only waits. *While
delivering* `AuditHandler` sends to a loopback server, and `QueueHandler` has a `QueueListener` that
hands the records to a `NullHandler`; between turns both are drained, untimed.

The first mode is repeated *beside two threads that compute* without a pause. Everything then takes
three times as long; but a system call gives up the interpreter lock, and may wait two switch
intervals of 5 ms to get it back, which a handler that makes none never does.
"""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from logging.handlers import QueueHandler, QueueListener
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import msgspec
from _measure import (
    SPREAD_HEADERS,
    Spread,
    close_undelivered,
    few_extras,
    full_extras,
    interleaved,
    logger_with,
    loopback,
    other_extras,
    print_table,
    scratch_directory,
)

from audit_handler import AuditHandler

KINDS: Mapping[str, Callable[[int], dict[str, Any]]] = {
    "full record (20 extras, nested bodies)": full_extras,
    "few extras (4)": few_extras,
    "not an audit (4 extras)": other_extras,
}
NULL, FLOOR, QUEUE, AUDIT = "NullHandler", "msgspec + write", "QueueHandler", "AuditHandler"
DISTINCT_RECORDS = 1000  # made before the turns: what an application does to make one is not ours


@dataclass
class Contestant:
    """A logger with one handler, and what is done, untimed, after its turn."""

    handler: logging.Handler
    settle: Callable[[], None] = lambda: None
    per_call: list[int] = field(default_factory=list)
    """Nanoseconds of every timed call."""

    def __post_init__(self) -> None:
        self.logger = logger_with(self.handler)

    def turn(self, extras: list[dict[str, Any]], calls: int) -> float:
        """Return the microseconds of one call, on average over *calls* without a pause."""
        info = self.logger.info
        repeats = calls // len(extras)
        started = time.perf_counter()
        for _ in range(repeats):
            for extra in extras:
                info("order %s: %s", "paid", "by card", extra=extra)
        elapsed = time.perf_counter() - started
        self.settle()
        return elapsed / (repeats * len(extras)) * 1e6

    def timed_turn(self, extras: list[dict[str, Any]], calls: int) -> float:
        """Do as `turn`, and note each call's own time too."""
        info, now, note = self.logger.info, time.perf_counter_ns, self.per_call.append
        repeats = calls // len(extras)
        started = now()
        for _ in range(repeats):
            for extra in extras:
                before = now()
                info("order %s: %s", "paid", "by card", extra=extra)
                note(now() - before)
        elapsed = now() - started
        self.settle()
        return elapsed / (repeats * len(extras)) / 1e3


class FloorHandler(logging.Handler):
    """The least that is durable: everything of the record as JSON, and one write."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._encode = msgspec.json.Encoder().encode

    def emit(self, record: logging.LogRecord) -> None:
        os.write(self._file, self._encode({**record.__dict__, "args": None}) + b"\n")

    def close(self) -> None:
        os.close(self._file)
        super().close()


@contextmanager
def without_delivery() -> Iterator[dict[str, Contestant]]:
    """Give the contestants of the first mode."""
    with scratch_directory() as directory, ExitStack() as stack:
        queue: SimpleQueue[logging.LogRecord] = SimpleQueue()
        audit = AuditHandler(
            f"http://127.0.0.1:{closed_port()}",
            spool_dir=directory,
            # The one attempt below fails; the next ones stay away for the rest of the benchmark.
            retry_min_ms=60_000,
            retry_max_ms=3_600_000,
            flush_interval_ms=3_600_000,
            max_spool_bytes=64 << 30,
        )
        stack.callback(close_undelivered, audit)
        # Listener and driver report the closed port, and would print it without a handler.
        logging.getLogger().addHandler(logging.NullHandler())
        contestants = {
            NULL: Contestant(logging.NullHandler()),
            FLOOR: Contestant(FloorHandler(directory / "floor.ndjson")),
            QUEUE: Contestant(QueueHandler(queue), settle=lambda: emptied(queue)),
            AUDIT: Contestant(audit),
        }
        # Loads the driver in the listener, which would cost the first calls their time.
        contestants[AUDIT].logger.info("warm", extra=few_extras(0))
        audit.flush(0.0)
        wait_until(lambda: audit.status().retries > 0, "the attempt on a closed port")
        yield contestants


@contextmanager
def while_delivering(batch_size: int) -> Iterator[dict[str, Contestant]]:
    """Give the contestants of the second mode."""
    with scratch_directory() as directory, loopback() as server, ExitStack() as stack:
        queue: SimpleQueue[logging.LogRecord] = SimpleQueue()
        listener = QueueListener(queue, logging.NullHandler())
        listener.start()
        stack.callback(listener.stop)
        audit = AuditHandler(
            server.dsn(), spool_dir=directory, create_table=True, batch_size=batch_size
        )
        stack.callback(audit.close)

        def drained() -> None:
            if not audit.flush(60.0):
                sys.exit(f"AuditHandler did not deliver: {audit.status()}")

        contestants = {
            NULL: Contestant(logging.NullHandler()),
            QUEUE: Contestant(
                QueueHandler(queue), settle=lambda: wait_until(queue.empty, "the queue")
            ),
            AUDIT: Contestant(audit, settle=drained),
        }
        contestants[AUDIT].logger.info("warm", extra=few_extras(0))
        drained()
        yield contestants
        status = audit.status()
        found = server.query("SELECT count() AS n FROM audit_db.audit_logs")[0]["n"]
        if found != status.rows_emitted:
            sys.exit(f"{status.rows_emitted} rows were logged, {found} are stored")
        print(
            f"\n  {found:,} rows logged, {found:,} stored, in {status.batches_stored} inserts "
            f"of at most {batch_size:,} rows"
        )


@contextmanager
def computing_threads(number: int) -> Iterator[None]:
    """Keep threads busy in the interpreter for the length of a ``with`` block."""
    is_over = threading.Event()

    def compute() -> None:
        turns = 0
        while not is_over.is_set():
            turns += 1

    threads = [threading.Thread(target=compute, daemon=True) for _ in range(number)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def closed_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def emptied(queue: SimpleQueue[logging.LogRecord]) -> None:
    """Take everything out of *queue*."""
    while not queue.empty():
        queue.get()


def wait_until(is_done: Callable[[], bool], what: str) -> None:
    """Wait for something that another thread does; a minute is ample for any of it."""
    deadline = time.monotonic() + 60.0
    while not is_done():
        if time.monotonic() > deadline:
            sys.exit(f"waited a minute for {what}")
        time.sleep(0.005)


def measured(
    contestants: Mapping[str, Contestant],
    make: Callable[[int], dict[str, Any]],
    calls: int,
    rounds: int,
    *,
    each: bool = False,
) -> dict[str, list[float]]:
    """Return the microseconds of a call by contestant and round; *each* also notes every call."""
    extras = [make(number) for number in range(min(DISTINCT_RECORDS, calls))]

    def turn_of(contestant: Contestant) -> Callable[[], float]:
        turn = contestant.timed_turn if each else contestant.turn
        return lambda: turn(extras, calls)

    return interleaved({name: turn_of(one) for name, one in contestants.items()}, rounds)


def print_costs(title: str, results: Mapping[str, list[float]]) -> None:
    """Print what each contestant costs above NullHandler, compared within the rounds."""
    base = results[NULL]
    above = {
        name: [value - null for value, null in zip(values, base, strict=True)]
        for name, values in results.items()
    }
    rows = [[NULL + " (whole call)", *Spread.of(base).cells(2), ""]]
    for name, values in above.items():
        if name != NULL:
            ratios = [
                value / queue for value, queue in zip(values, above[QUEUE], strict=True) if queue
            ]
            rows.append(
                [f"{name} above it", *Spread.of(values).cells(2), f"{Spread.of(ratios).median:.2f}"]
            )
    print_table(f"{title}: microseconds a call", ["", *SPREAD_HEADERS, "/ QueueHandler"], rows)


def print_tails(title: str, contestants: Mapping[str, Contestant]) -> None:
    """Print the percentiles of single calls."""
    rows = []
    for name, contestant in contestants.items():
        ordered = sorted(contestant.per_call)
        shares = [ordered[int(len(ordered) * share)] / 1e3 for share in (0.5, 0.99, 0.999)]
        slow = sum(1 for nanoseconds in ordered if nanoseconds > 1_000_000)
        rows.append(
            [name, *(f"{value:,.1f}" for value in (*shares, ordered[-1] / 1e3)), f"{slow:,}"]
        )
        contestant.per_call.clear()
    print_table(
        f"{title}: microseconds of single calls, whole, all {len(ordered):,}",
        ["", "p50", "p99", "p99.9", "max", "over 1 ms"],
        rows,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50, help="turns without delivery, each kind")
    parser.add_argument("--calls", type=int, default=500, help="calls in one of these turns")
    parser.add_argument(
        "--busy-calls", type=int, default=2_000, help="calls in a turn beside computing threads"
    )
    parser.add_argument("--delivery-rounds", type=int, default=5, help="turns while delivering")
    parser.add_argument(
        "--rows", type=int, default=16_000, help="calls in one of the turns while delivering"
    )
    parser.add_argument(
        "--batch-size", type=int, default=2_000, help="rows of an insert while delivering"
    )
    arguments = parser.parse_args()

    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores; one thread, without a pause")
    print(f"{arguments.rounds} rounds of {arguments.calls:,} calls, without delivery")
    with without_delivery() as contestants:
        for title, make in KINDS.items():
            calls = arguments.calls
            print_costs(title, measured(contestants, make, calls, arguments.rounds))
        busy_calls, busy_rounds = arguments.busy_calls, 5
        print(f"\n{busy_rounds} rounds of {busy_calls:,} calls, beside two threads that compute")
        with computing_threads(2):
            for title, make in list(KINDS.items())[:1]:
                print_costs(title, measured(contestants, make, busy_calls, busy_rounds))
    print(f"\n{arguments.delivery_rounds} rounds of {arguments.rows:,} calls, while delivering")
    with while_delivering(arguments.batch_size) as contestants:
        # A record that is no audit sends nothing on its way, so there is nothing new to see.
        for title, make in list(KINDS.items())[:2]:
            results = measured(
                contestants, make, arguments.rows, arguments.delivery_rounds, each=True
            )
            print_costs(title, results)
            print_tails(title, contestants)


if __name__ == "__main__":
    main()
