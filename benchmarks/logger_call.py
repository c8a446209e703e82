"""
The cost of one logger call above `logging.NullHandler`, in one process and interleaved rounds.

`AuditHandler`, with its spool on disk, is compared with the standard library's `QueueHandler`,
which keeps the record in memory and encodes nothing; with the floor of any durable handler, the
attributes of the record encoded by orjson and one ``write``; with a common hand-written handler;
and with the OpenTelemetry SDK, python-logstash-async and watchtower, without a receiver.

*Without delivery*, the queue of `QueueHandler` is emptied between the turns, and the server of
`AuditHandler` is a closed port, so its listener only waits. *While delivering*, `AuditHandler`
sends to a loopback server, and `QueueHandler` has a `QueueListener` that encodes the records and
inserts them into the same server by ``raw_insert``, in batches of the same size. Both are drained
between turns, untimed.

The first mode is repeated *beside two threads that compute* without a pause. Everything then takes
three times as long. A system call also releases the interpreter lock, and may wait for it for two
switch intervals of 5 ms; a handler without system calls does not.
"""

from __future__ import annotations

import json
import logging
import os
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

import orjson
from _measure import (
    SPREAD_HEADERS,
    Spread,
    clean_extras,
    close_undelivered,
    closed_port,
    few_extras,
    figure,
    full_extras,
    interleaved,
    logger_with,
    loopback,
    other_extras,
    parser,
    print_note,
    print_table,
    scratch_directory,
    wait_until,
    write_report,
)

from audit_handler import AuditHandler, bound

KINDS: Mapping[str, Callable[[int], dict[str, Any]]] = {
    "full record (20 extras, nested bodies)": full_extras,
    "full record, without secrets": clean_extras,
    "few extras (4)": few_extras,
    "not an audit (4 extras)": other_extras,
}
# The values that a middleware binds for a request.
BOUND = {name: full_extras(1)[name] for name in list(full_extras(1))[8:14]} | {"agent_id": "u-1"}
NULL, FLOOR, QUEUE, AUDIT = "NullHandler", "encode + write", "QueueHandler", "AuditHandler"
OTEL, LOGSTASH, WATCHTOWER = "OpenTelemetry SDK, batches", "python-logstash-async", "watchtower"
NAIVE, BUSY = "batch in memory", "QueueHandler, busy listener"
# The message after which `InsertingHandler` inserts its last batch, and reports that it is idle.
LAST = object()
# Created before the turns: the cost of creating the extras belongs to the application.
DISTINCT_RECORDS = 1000


@dataclass
class Contestant:
    """A logger with one handler, and a function that is called, untimed, after its turn."""

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

    def threaded_turn(self, extras: list[dict[str, Any]], calls: int, threads: int) -> float:
        """Run `turn` in *threads* threads that share the calls."""
        barrier = threading.Barrier(threads + 1)
        settle, self.settle = self.settle, lambda: None

        def work() -> None:
            barrier.wait()
            self.turn(extras[: calls // threads], calls // threads)

        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        barrier.wait()
        started = time.perf_counter()
        for worker in workers:
            worker.join()
        elapsed = time.perf_counter() - started
        self.settle = settle
        self.settle()
        return elapsed / calls * 1e6

    def timed_turn(self, extras: list[dict[str, Any]], calls: int) -> float:
        """Run `turn`, and record the time of each call too."""
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
    """The minimum of a durable handler: the whole record as JSON, and one write."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def emit(self, record: logging.LogRecord) -> None:
        os.write(self._file, orjson.dumps({**record.__dict__, "args": None}) + b"\n")

    def close(self) -> None:
        os.close(self._file)
        super().close()


@contextmanager
def without_delivery(*, with_peers: bool = False) -> Iterator[dict[str, Contestant]]:
    """Yield the contestants of the first mode."""
    with scratch_directory() as directory, ExitStack() as stack:
        queue: SimpleQueue[logging.LogRecord] = SimpleQueue()
        audit = AuditHandler(
            f"http://127.0.0.1:{closed_port()}",
            spool_dir=directory,
            # The attempt below fails; the next one comes after the end of the benchmark.
            retry_min_ms=60_000,
            retry_max_ms=3_600_000,
            flush_interval_ms=3_600_000,
            max_spool_bytes=64 << 30,
        )
        stack.callback(close_undelivered, audit)
        # Without a handler, the reports of the listener and the driver would be printed.
        logging.getLogger().addHandler(logging.NullHandler())
        contestants = {
            NULL: Contestant(logging.NullHandler()),
            FLOOR: Contestant(FloorHandler(directory / "floor.ndjson")),
            QUEUE: Contestant(QueueHandler(queue), settle=lambda: emptied(queue)),
            AUDIT: Contestant(audit),
            **(peers(stack) if with_peers else {}),
        }
        # The listener loads the driver here, and not during the first calls.
        contestants[AUDIT].logger.info("warm", extra=few_extras(0))
        audit.flush(0.0)
        wait_until(lambda: audit.status().retries > 0, "the attempt on a closed port")
        yield contestants


def peers(stack: ExitStack) -> dict[str, Contestant]:
    """Return the contestants of other libraries, which *stack* closes."""
    import _peers  # not above: against.py needs none of them

    made = {
        NAIVE: (_peers.NaiveBatchHandler(), lambda: None),
        OTEL: _peers.opentelemetry(),
        LOGSTASH: _peers.logstash(),
        WATCHTOWER: _peers.watchtower(full_extras(0)),
    }
    for handler, _ in made.values():
        stack.callback(handler.close)
    return {name: Contestant(handler, settle) for name, (handler, settle) in made.items()}


class InsertingHandler(logging.Handler):
    """The handler of a `QueueListener`: encode, collect and insert records."""

    def __init__(self, dsn: str, batch_size: int) -> None:
        import clickhouse_connect

        super().__init__()
        self._batch: list[bytes] = []
        self._client = clickhouse_connect.get_client(dsn=dsn)
        self._client.command(
            "CREATE TABLE IF NOT EXISTS default.queued (row String) ENGINE = MergeTree ORDER BY ()"
        )
        self._batch_size = batch_size
        self.is_idle = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg is LAST:
            self.flush()
            self.is_idle.set()
            return
        self._batch.append(orjson.dumps({"row": json.dumps(record.__dict__, default=str)}))
        if len(self._batch) >= self._batch_size:
            self.flush()

    def flush(self) -> None:
        if self._batch:
            self._client.raw_insert(
                "default.queued", ["row"], b"\n".join(self._batch), fmt="JSONEachRow"
            )
            self._batch = []


@contextmanager
def while_delivering(batch_size: int) -> Iterator[dict[str, Contestant]]:
    """Yield the contestants of the second mode."""
    with scratch_directory() as directory, loopback() as server, ExitStack() as stack:
        queue: SimpleQueue[logging.LogRecord] = SimpleQueue()
        inserting = InsertingHandler(server.dsn("default"), batch_size)
        listener = QueueListener(queue, inserting)
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
            BUSY: Contestant(QueueHandler(queue), settle=lambda: stored(queue, inserting)),
            AUDIT: Contestant(audit, settle=drained),
        }
        contestants[AUDIT].logger.info("warm", extra=few_extras(0))
        drained()
        yield contestants
        status = audit.status()
        found = server.query("SELECT count() AS n FROM audit_db.audit_logs")[0]["n"]
        if found != status.rows_emitted:
            sys.exit(f"{status.rows_emitted} rows were logged, {found} are stored")
        print_note(
            f"{found:,} rows logged, {found:,} stored, in {status.batches_stored} inserts "
            f"of at most {batch_size:,} rows."
        )


@contextmanager
def computing_threads(number: int) -> Iterator[None]:
    """Keep *number* threads busy in the interpreter during a ``with`` block."""
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


def stored(queue: SimpleQueue[logging.LogRecord], inserting: InsertingHandler) -> None:
    """Wait until *inserting* has inserted all records of *queue*, before the next turn."""
    inserting.is_idle.clear()
    queue.put(logging.makeLogRecord({"msg": LAST}))
    if not inserting.is_idle.wait(60.0):
        sys.exit("waited 60 s for the QueueListener")


def emptied(queue: SimpleQueue[logging.LogRecord]) -> None:
    """Empty *queue*."""
    while not queue.empty():
        queue.get()


def measured(
    contestants: Mapping[str, Contestant],
    make: Callable[[int], dict[str, Any]],
    calls: int,
    rounds: int,
    *,
    each: bool = False,
    threads: int = 1,
) -> dict[str, list[float]]:
    """
    Return the microseconds of a call by contestant and round; *each* also records every call.

    With several *threads* this is the time of all calls, divided by their number.
    """
    extras = [make(number) for number in range(min(DISTINCT_RECORDS, calls))]

    def turn_of(contestant: Contestant) -> Callable[[], float]:
        if threads > 1:
            return lambda: contestant.threaded_turn(extras, calls, threads)
        turn = contestant.timed_turn if each else contestant.turn
        return lambda: turn(extras, calls)

    return interleaved({name: turn_of(one) for name, one in contestants.items()}, rounds)


def print_costs(title: str, results: Mapping[str, list[float]], key: str = "") -> None:
    """
    Print the cost of each contestant above NullHandler, compared within the rounds.

    With *key* the ratios of AuditHandler are kept as figures.
    """
    base = results[NULL]
    above = {
        name: [value - null for value, null in zip(values, base, strict=True)]
        for name, values in results.items()
        if name != NULL
    }
    medians = {name: Spread.of(values).median for name, values in above.items()}
    rows = [[NULL + " (whole call)", *Spread.of(base).cells(2), ""]]
    for name, values in above.items():
        # A ratio of medians: the difference of a single round can be near zero.
        ratio = medians[AUDIT] / medians[name]
        rows.append([f"{name} above it", *Spread.of(values).cells(2), f"{ratio:.2f}"])
        if key and name in (QUEUE, OTEL):
            figure(f"{key} / {name}", ratio)
    if key:
        figure(f"{key} above NullHandler", medians[AUDIT])
    print_table(f"{title}: microseconds a call", ["", *SPREAD_HEADERS, "AuditHandler / it"], rows)


def print_tails(title: str, contestants: Mapping[str, Contestant], key: str = "") -> None:
    """Print the percentiles of single calls; with *key*, keep p99.9 in milliseconds as figures."""
    rows = []
    for name, contestant in contestants.items():
        ordered = sorted(contestant.per_call)
        shares = [ordered[int(len(ordered) * share)] / 1e3 for share in (0.5, 0.99, 0.999)]
        slow = sum(1 for nanoseconds in ordered if nanoseconds > 1_000_000)
        rows.append(
            [name, *(f"{value:,.1f}" for value in (*shares, ordered[-1] / 1e3)), f"{slow:,}"]
        )
        if key:
            figure(f"{key} {name}", shares[2] / 1e3)
        contestant.per_call.clear()
    print_table(
        f"{title}: microseconds of single calls, whole, all {len(ordered):,}",
        ["", "p50", "p99", "p99.9", "max", "over 1 ms"],
        rows,
    )


def main() -> None:
    options = parser(__doc__)
    options.add_argument(
        "--rounds", type=int, default=50, help="turns without delivery, for each kind"
    )
    options.add_argument("--calls", type=int, default=500, help="calls in one of these turns")
    options.add_argument(
        "--busy-calls", type=int, default=2_000, help="calls in a turn beside computing threads"
    )
    options.add_argument("--delivery-rounds", type=int, default=5, help="turns while delivering")
    options.add_argument(
        "--rows", type=int, default=16_000, help="calls in one of the turns while delivering"
    )
    options.add_argument(
        "--batch-size", type=int, default=2_000, help="rows of an insert while delivering"
    )
    arguments = options.parse_args()
    calls, rounds = arguments.calls, arguments.rounds

    print_note(
        f"Without delivery: {rounds} rounds of {calls:,} calls, one thread if none are named, "
        "without a pause."
    )
    with without_delivery(with_peers=True) as contestants:
        few = {name: one for name, one in contestants.items() if name != WATCHTOWER}
        for title, make in KINDS.items():
            # watchtower gets a list of attributes, and expects them in every record.
            among = contestants if make is full_extras else few
            print_costs(title, measured(among, make, calls, rounds), key=title.partition(" (")[0])
        ours = {name: contestants[name] for name in (NULL, FLOOR, QUEUE, AUDIT, OTEL)}
        with bound(**BOUND):
            for title, make in (("few extras", few_extras), ("full record", full_extras)):
                print_costs(f"{title}, with 7 bound", measured(ours, make, calls, rounds))
        title = "full record, 4 threads"
        results = measured(ours, full_extras, 4 * calls, rounds // 2, threads=4)
        print_costs(title, results, key="4 threads")
        busy_rounds = 5
        print_note(
            f"{busy_rounds} rounds of {arguments.busy_calls:,} calls, beside two threads that "
            "compute."
        )
        with computing_threads(2):
            title = "full record, beside two computing threads"
            results = measured(ours, full_extras, arguments.busy_calls, busy_rounds)
            print_costs(title, results, key="beside two")
    print_note(f"While delivering: {arguments.delivery_rounds} rounds of {arguments.rows:,} calls.")
    with while_delivering(arguments.batch_size) as contestants:
        for title, make in (("full record", full_extras), ("few extras", few_extras)):
            rows, times = arguments.rows, arguments.delivery_rounds
            results = measured(contestants, make, rows, times, each=True)
            print_costs(f"{title}, while delivering", results)
            key = "p99.9" if make is full_extras else ""
            print_tails(f"{title}, while delivering", contestants, key)
    write_report(arguments.output)


if __name__ == "__main__":
    main()
