"""What OpenTelemetry's own SDK reads of the handlers."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from audit_handler import AuditHandler
from audit_handler._delivery import metrics
from audit_handler._process import registry
from tests.support.delivery import refuse_strangers
from tests.support.loopback import LoopbackClickHouse

MakeHandler = Callable[..., AuditHandler]

AUDIT = {"action": "CREATE", "resource_type": "order"}


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryMetricReader]:
    """A reader that sees the handlers of this test alone."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    monkeypatch.setattr(registry, "_all", weakref.WeakSet())
    monkeypatch.setattr(metrics, "_duration", metrics.make_instruments(provider.get_meter("t")))
    yield reader
    provider.shutdown()


Key = tuple[str, str, str]


def points(reader: InMemoryMetricReader) -> dict[Key, Any]:
    """Return the points by name, target's database and error type."""
    data = reader.get_metrics_data()
    assert data is not None
    return {
        (
            metric.name,
            str(attributes["audit.target"]).rpartition(" ")[2],
            str(attributes.get("error.type", "")),
        ): point
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
        for attributes in [point.attributes or {}]
    }


def values(reader: InMemoryMetricReader) -> dict[Key, int]:
    return {
        key: point.value
        for key, point in points(reader).items()
        if key[0] not in ("audit.export.duration", *SPOOL_GAUGES, *REJECTED_GAUGES)
    }


REJECTED_GAUGES = tuple(f"audit.rejected.{name}" for name in ("depth", "size", "capacity", "age"))
SPOOL_GAUGES = ("audit.queue.size", "audit.queue.capacity", "audit.queue.age")


def test_how_full_the_spool_is_and_how_long_its_oldest_row_has_waited(
    faults: LoopbackClickHouse,
    database: str,
    make_handler: MakeHandler,
    log: logging.Logger,
    reader: InMemoryMetricReader,
) -> None:
    handler = make_handler(faults.dsn(database), logger=log.name, max_spool_bytes=100_000_000)
    other = make_handler(faults.dsn(database), max_spool_bytes=100_000_000)
    table = f"{database}.audit_logs"
    with faults.faulted("http_status", status=503, times=1_000_000):
        log.info("x", extra=AUDIT)
        handler.flush(0.2)
        seen = points(reader)
        status, waiting = handler.status(), other.status()
    size, capacity, age = (seen[(name, table, "")].value for name in SPOOL_GAUGES)

    assert (status.bytes_waiting + waiting.bytes_waiting, 200_000_000) == (size, capacity)
    assert 0.0 < age <= status.oldest_waiting_seconds


def test_only_what_clickhouse_acknowledged_is_exported(
    faults: LoopbackClickHouse,
    database: str,
    make_handler: MakeHandler,
    log: logging.Logger,
    reader: InMemoryMetricReader,
) -> None:
    handler = make_handler(faults.dsn(database), logger=log.name)
    table = f"{database}.audit_logs"
    faults.fault("http_status", status=503, times=1_000_000)
    for _ in range(3):
        log.info("x", extra=AUDIT)
    handler.flush(0.2)
    during = values(reader)
    faults.clear_faults()
    assert handler.flush()
    after = values(reader)

    def expected(exported: int, depth: int) -> dict[Key, int]:
        return {
            ("audit.records.emitted", table, ""): 3,
            ("audit.records.exported", table, ""): exported,
            ("audit.records.rejected", table, ""): 0,
            ("audit.records.dropped", table, ""): 0,
            ("audit.queue.depth", table, ""): depth,
        }

    assert (expected(0, 3), expected(3, 0)) == (during, after)


def test_each_insert_attempt_is_timed_and_a_failed_one_says_why(
    faults: LoopbackClickHouse,
    database: str,
    make_handler: MakeHandler,
    log: logging.Logger,
    reader: InMemoryMetricReader,
) -> None:
    handler = make_handler(faults.dsn(database), logger=log.name)
    log.info("x", extra=AUDIT)
    assert handler.flush()
    faults.fault("http_status", status=503, times=2)
    log.info("x", extra=AUDIT)
    assert handler.flush()

    table = f"{database}.audit_logs"
    durations = {
        key[1:]: (point.count, point.sum > 0.0, point.explicit_bounds[0])
        for key, point in points(reader).items()
        if key[:2] == ("audit.export.duration", table)
    }
    assert {(table, ""): (2, True, 0.005), (table, "TransientError"): (2, True, 0.005)} == durations


def test_dropped_and_rejected_rows_are_counted_apart(
    faults: LoopbackClickHouse,
    database: str,
    make_handler: MakeHandler,
    log: logging.Logger,
    reader: InMemoryMetricReader,
) -> None:
    limits = {"max_spool_bytes": 65_536, "batch_bytes": 65_536, "on_full": "drop"}
    handler = make_handler(faults.dsn(database), logger=log.name, **limits)
    faults.fault("http_status", status=503, times=1_000_000)
    for _ in range(20):
        log.info("x", extra={**AUDIT, "request_body": "x" * 8_000})
    dropped = handler.status().rows_dropped
    metrics = values(reader)
    faults.clear_faults()

    table = f"{database}.audit_logs"
    assert 0 < dropped < 20
    assert (20, dropped, 0) == (
        metrics["audit.records.emitted", table, ""],
        metrics["audit.records.dropped", table, "SpoolFull"],
        metrics["audit.records.rejected", table, ""],
    )


def test_rejected_rows_without_space_are_dropped_and_emitted_once(
    faults: LoopbackClickHouse,
    database: str,
    make_handler: MakeHandler,
    log: logging.Logger,
    reader: InMemoryMetricReader,
) -> None:
    """Two handlers of one target share ``rejected/``: its gauges are not added up."""
    handler = make_handler(
        faults.dsn(database), logger=log.name, batch_size=10, max_rejected_bytes=5_000
    )
    make_handler(faults.dsn(database), max_rejected_bytes=5_000)
    refuse_strangers(faults, handler)
    for number in range(100):
        log.info("x", extra={**AUDIT, "agent_id": "u-1" if number % 5 else "stranger"})
    handler.flush()
    metrics, seen, status = values(reader), points(reader), handler.status()
    depth, size, capacity, age = (
        seen[(name, f"{database}.audit_logs", "")].value for name in REJECTED_GAUGES
    )

    assert (100, 80, status.rows_rejected, 20 - status.rows_rejected) == tuple(
        metrics[f"audit.records.{name}", f"{database}.audit_logs", error]
        for name, error in (
            ("emitted", ""),
            ("exported", ""),
            ("rejected", ""),
            ("dropped", "RejectedFull"),
        )
    )
    assert (status.rows_in_rejected, status.bytes_in_rejected, 5_000) == (depth, size, capacity)
    assert 0 <= age <= handler.status().oldest_in_rejected_seconds


def test_handlers_of_one_target_are_one_number_and_of_two_targets_two(
    faults: LoopbackClickHouse,
    database: str,
    make_handler: MakeHandler,
    log: logging.Logger,
    reader: InMemoryMetricReader,
) -> None:
    for name in (database, database, f"{database}_2"):
        make_handler(faults.dsn(name), logger=log.name)
    log.info("x", extra=AUDIT)

    emitted = {key[1]: n for key, n in values(reader).items() if key[0] == "audit.records.emitted"}
    assert {f"{database}.audit_logs": 2, f"{database}_2.audit_logs": 1} == emitted


def test_no_attribute_shows_a_credential(
    make_handler: MakeHandler, log: logging.Logger, reader: InMemoryMetricReader
) -> None:
    handler = make_handler("http://app:hunter2@127.0.0.1:1/audit_db", logger=log.name)
    log.info("x", extra=AUDIT)
    handler.flush(0.5)

    shown = str(reader.get_metrics_data())
    assert "http://127.0.0.1:1 table audit_db.audit_logs" in shown
    assert "hunter2" not in shown


def test_an_exporter_that_raises_does_not_fail_the_insert(
    faults: LoopbackClickHouse,
    database: str,
    make_handler: MakeHandler,
    log: logging.Logger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metrics, "_duration", object())
    handler = make_handler(faults.dsn(database), logger=log.name)
    log.info("x", extra=AUDIT)

    assert handler.flush()
    assert 0 == handler.status().retries


# In a program of its own: the provider is global, and can be set once.

PROGRAM = """
import json, logging, os, sys
from audit_handler import AuditHandler

log = logging.getLogger("shop")
log.setLevel("INFO")

def audit(handler, flush=True):
    log.info("x", extra={"action": "CREATE"})
    if flush:
        assert handler.flush(30)

def provide():
    from opentelemetry import metrics
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    reader = InMemoryMetricReader()
    metrics.set_meter_provider(MeterProvider([reader]))
    return reader

def read(reader):
    data = reader.get_metrics_data()
    metrics = data.resource_metrics[0].scope_metrics[0].metrics if data else []
    return {m.name: getattr(m.data.data_points[0], "value", None) for m in metrics}

def handler():
    made = AuditHandler(sys.argv[1], create_table=True, spool_dir=sys.argv[2], retry_min_ms=1)
    log.addHandler(made)
    return made
"""


def run(program: str, dsn: str, spool: Path) -> Any:
    command = [sys.executable, "-W", "error::UserWarning", "-c", PROGRAM + program, dsn, str(spool)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert 0 == ran.returncode, ran.stderr
    assert "Traceback" not in ran.stderr
    assert "WARNING" not in ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def test_a_provider_that_is_set_after_the_first_audits_sees_all_counts(
    faults: LoopbackClickHouse, database: str, tmp_path: Path
) -> None:
    program = """
one = handler()
audit(one)
reader = provide()
audit(one)
print(json.dumps(read(reader)))
"""
    seen = run(program, faults.dsn(database), tmp_path)

    assert (2, 2, 0) == (
        seen["audit.records.emitted"],
        seen["audit.records.exported"],
        seen["audit.queue.depth"],
    )


def test_the_api_before_the_handler_and_the_provider_after_it(
    faults: LoopbackClickHouse, database: str, tmp_path: Path
) -> None:
    """The instruments are then the API's stand-ins, which the provider makes real."""
    program = """
import opentelemetry.metrics
one = handler()
audit(one)
reader = provide()
audit(one)
seen = read(reader)
print(json.dumps([seen["audit.records.exported"], "audit.export.duration" in seen]))
"""
    assert [2, True] == run(program, faults.dsn(database), tmp_path)


def test_without_opentelemetry_nothing_of_it_is_imported(
    faults: LoopbackClickHouse, database: str, tmp_path: Path
) -> None:
    program = """
one = handler()
audit(one)
print(json.dumps("opentelemetry.metrics" in sys.modules))
"""
    assert run(program, faults.dsn(database), tmp_path) is False


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a forked child needs fork")
def test_a_forked_child_counts_its_own(
    faults: LoopbackClickHouse, database: str, tmp_path: Path
) -> None:
    program = """
reader = provide()
one = handler()
audit(one), audit(one)
out, into = os.pipe()
if not os.fork():
    audit(one)
    os.write(into, json.dumps(read(reader)).encode())
    one.close(30)
    os._exit(0)
os.wait()
child = json.loads(os.read(out, 10_000))
audit(one)
names = ["audit.records.emitted", "audit.records.exported"]
print(json.dumps([[seen[name] for name in names] for seen in (child, read(reader))]))
"""
    assert [[1, 1], [3, 3]] == run(program, faults.dsn(database), tmp_path)
