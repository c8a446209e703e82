"""The counts of a handler, and the snapshot that shows them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path

from audit_handler.spool import Spool
from audit_handler.status import Counters, RejectedUsage, Status, count_by_user
from tests.support.delivery import AUDIT, MakeHandler, refuse_strangers
from tests.support.doubles import SteppingClock
from tests.support.loopback import LoopbackClickHouse
from tests.support.spools import make_spool, put_numbers


def test_status_counts_what_happened(
    faults: LoopbackClickHouse, database: str, make_handler: MakeHandler, log: logging.Logger
) -> None:
    handler = make_handler(faults.dsn(database), logger=log.name)
    faults.fault("http_status", status=503, times=2)
    for _ in range(5):
        log.info("x", extra=AUDIT)
    assert handler.flush()
    status = handler.status()

    assert (5, 5, 0, 0, 2, "") == (
        status.rows_emitted,
        status.rows_stored,
        status.rows_waiting,
        status.bytes_waiting,
        status.retries,
        status.last_error,
    )


def test_status_and_repr_answer_while_an_append_hangs(
    make_handler: MakeHandler, log: logging.Logger
) -> None:
    """The spool's lock is held across a write, and a status page must not hang with the disk."""
    handler = make_handler("http://127.0.0.1:1", logger=log.name, flush_interval_ms=3_600_000)
    log.info("x", extra=AUDIT)
    pipeline = handler._pipelines.open
    assert pipeline is not None
    answers: list[tuple[int, float]] = []

    def ask() -> None:
        status = handler.status()
        answers.append((status.rows_waiting, status.oldest_waiting_seconds))

    with pipeline.spool.lock:
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join(30)

    assert 1 == answers[0][0]
    assert 0.0 < answers[0][1] < 30.0


def test_status_counts_on_while_the_handler_is_being_closed(
    faults: LoopbackClickHouse, database: str, make_handler: MakeHandler, log: logging.Logger
) -> None:
    handler = make_handler(faults.dsn(database), logger=log.name, retry_max_ms=10_000)
    faults.fault("http_status", status=503, times=1_000_000)
    log.info("x", extra=AUDIT)
    pipeline = handler._pipelines.open
    assert pipeline is not None
    seen: list[tuple[int, int]] = []
    wait = pipeline.spool.flush

    def flush(timeout: float, others: Sequence[Spool] = ()) -> bool:  # noqa: ARG001  # as the real one
        status = handler.status()
        seen.append((status.rows_emitted, status.rows_waiting))
        return wait(0.0)

    pipeline.spool.flush = flush  # type: ignore[method-assign]  # a look at the middle of close
    handler.close(0.0)
    log.handlers.clear()

    assert {(1, 1)} == set(seen)
    assert 1 == handler.status().rows_emitted


def test_status_tells_the_dropped_rows_by_the_kind_of_error(
    make_handler: MakeHandler, log: logging.Logger
) -> None:
    handler = make_handler(
        "http://127.0.0.1:1",
        logger=log.name,
        on_full="drop",
        max_spool_bytes=65_536,
        batch_bytes=65_536,
    )
    for _ in range(20):
        log.info("x", extra={**AUDIT, "request_body": "x" * 8_000})
    status = handler.status()

    assert {"SpoolFull": status.rows_dropped} == status.drops
    assert 20 == status.rows_dropped + status.rows_emitted


def test_every_emitted_row_is_in_one_count_when_rejected_rows_have_no_space(
    faults: LoopbackClickHouse, database: str, make_handler: MakeHandler, log: logging.Logger
) -> None:
    handler = make_handler(
        faults.dsn(database), logger=log.name, batch_size=10, max_rejected_bytes=5_000
    )
    refuse_strangers(faults, handler)
    for number in range(100):
        log.info("x", extra={**AUDIT, "agent_id": "u-1" if number % 5 else "stranger"})
    assert not handler.flush()
    status = handler.status()

    assert {"RejectedFull": status.rows_dropped} == status.drops
    assert (100, 80, 20) == (
        status.rows_emitted,
        status.rows_stored,
        status.rows_rejected + status.rows_dropped,
    )
    assert 0 < status.rows_rejected == status.rows_in_rejected < 20
    assert 0 < status.bytes_in_rejected <= 5_000 == status.max_rejected_bytes
    assert 0.0 <= status.oldest_in_rejected_seconds < 3_600.0


def test_the_trail_reports_rejected_rows_that_had_no_space(
    faults: LoopbackClickHouse, database: str, make_handler: MakeHandler, log: logging.Logger
) -> None:
    handler = make_handler(faults.dsn(database), logger=log.name, max_rejected_bytes=0)
    refuse_strangers(faults, handler)
    for _ in range(3):
        log.info("x", extra={**AUDIT, "agent_id": "stranger"})
    handler.flush()
    log.info("x", extra=AUDIT)
    handler.flush()

    (told,) = faults.query(
        "SELECT JSONExtractInt(metadata, 'rows_dropped') AS n, error_message "
        f"FROM {database}.audit_logs WHERE action = 'AUDIT_DROPPED'"
    )
    assert 3 == told["n"]
    assert "max_rejected_bytes=0" in told["error_message"]


def test_what_an_earlier_process_left_in_rejected_is_counted(
    faults: LoopbackClickHouse, database: str, make_handler: MakeHandler, log: logging.Logger
) -> None:
    first = make_handler(faults.dsn(database), logger=log.name)
    refuse_strangers(faults, first)
    log.info("x", extra={**AUDIT, "agent_id": "stranger"})
    first.close()
    log.handlers.clear()
    second = make_handler(faults.dsn(database), logger=log.name)
    log.info("x", extra=AUDIT)
    assert second.flush()

    status = second.status()
    assert (1, 0) == (status.rows_in_rejected, status.rows_rejected)


def test_a_row_that_was_rejected_dropped_or_lost_is_missing() -> None:
    assert not Counters(rows_stored=1, rows_adopted=1, retries=1).has_missing_rows()
    assert Counters(rows_rejected=1).has_missing_rows()
    assert Counters(rows_dropped=1).has_missing_rows()
    assert Counters(rows_lost=1).has_missing_rows()


def test_a_status_sums_up_its_spools(tmp_path: Path) -> None:
    clock = SteppingClock()
    full = make_spool(tmp_path / "a", clock=clock, max_bytes=100)
    other = make_spool(tmp_path / "b", clock=clock)
    put_numbers(full, 1, 1)
    clock.now += 5.0
    put_numbers(other, 1, 2)
    kept = RejectedUsage(rows=2, bytes=90, since=47.0)
    counters = Counters(drops={"SpoolFull": 1}, rows_dropped=1, in_rejected=kept)
    status = Status.of(
        counters,
        [full, other],
        target="t",
        rows_emitted=3,
        max_spool_bytes=200,
        max_rejected_bytes=100,
        now=50.0,
    )
    counters.drops["SpoolFull"] = 2

    assert (3, True, 5.0) == (status.rows_waiting, status.is_full, status.oldest_waiting_seconds)
    assert (2, 90, 100, 3.0) == (
        status.rows_in_rejected,
        status.bytes_in_rejected,
        status.max_rejected_bytes,
        status.oldest_in_rejected_seconds,
    )
    assert full.waiting_bytes + other.waiting_bytes == status.bytes_waiting
    assert ("t", 3, 200, 1, {"SpoolFull": 1}) == (
        status.target,
        status.rows_emitted,
        status.max_spool_bytes,
        status.rows_dropped,
        status.drops,
    )
    for spool in (full, other):
        spool.close()


def test_a_status_keeps_the_columns_that_were_skipped_when_it_was_made() -> None:
    counters = Counters(skipped_columns={"due": 3})
    status = Status.of(
        counters,
        [],
        target="t",
        rows_emitted=3,
        max_spool_bytes=200,
        max_rejected_bytes=100,
        now=50.0,
    )
    counters.skipped_columns = {"due": 4}

    assert {"due": 3} == status.skipped_columns


def test_rows_are_counted_by_user_up_to_the_first_that_was_not_read() -> None:
    lines = [b'{"agent_id":"u-1"}', b'{"seq":2}', b'{"agent_id":"u-1"}', b'{"agent_id":"u']

    assert ({"u-1": 2, "": 1}, True) == count_by_user(lines)
    assert ({"u-1": 1}, False) == count_by_user([lines[0], None])
