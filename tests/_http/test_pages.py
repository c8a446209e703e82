"""Health and status: what the pages say."""

from __future__ import annotations

import logging
import weakref
from typing import Any

import pytest

from audit_handler import ConfigurationError
from audit_handler._process import registry
from audit_handler.status_pages import PUBLIC, HealthApp, StatusApp
from tests.support.loopback import LoopbackClickHouse
from tests.support.status_pages import AUDIT, NOBODY, MakeHandler, ask


@pytest.fixture(autouse=True)
def _no_other_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_all", weakref.WeakSet())


# Health


def test_a_process_whose_rows_are_delivered_is_live_and_ready(
    faults: LoopbackClickHouse, database: str, make_handler: MakeHandler, log: logging.Logger
) -> None:
    made = make_handler(faults.dsn(database), logger=log.name)
    log.info("x", extra=AUDIT)
    assert made.flush()

    app = HealthApp()
    assert (200, {"live": True}) == ask(app, "/health/live")
    assert (200, {"ready": True, "reasons": []}) == ask(app, "/health/ready/")
    assert (200, {"live": True, "ready": True, "reasons": []}) == ask(app, "/health")


def test_a_full_spool_is_not_ready_and_the_process_is_live(
    make_handler: MakeHandler, log: logging.Logger
) -> None:
    limits = {"max_spool_bytes": 65_536, "batch_bytes": 65_536, "on_full": "drop"}
    made = make_handler(NOBODY, logger=log.name, **limits)
    while made.can_take():
        log.info("x", extra={**AUDIT, "request_body": "x" * 8_000})

    assert (503, {"ready": False, "reasons": ["the spool is full"]}) == ask(HealthApp(), "/ready")
    assert (200, {"live": True}) == ask(HealthApp(), "/live")


def test_rows_that_wait_longer_than_the_bound_are_not_ready(
    make_handler: MakeHandler, log: logging.Logger
) -> None:
    made = make_handler(NOBODY, logger=log.name, flush_interval_ms=3_600_000)
    log.info("x", extra=AUDIT)
    while made.status().oldest_waiting_seconds == 0.0:
        pass  # the clock's next tick
    status, content = ask(HealthApp(max_waiting_seconds=1e-9), "/ready")

    assert (503, False) == (status, content["ready"])
    assert "audit rows have waited 0 s; the bound is 1e-09 s" == content["reasons"][0]
    assert 200 == ask(HealthApp(max_waiting_seconds=None), "/ready")[0]


def test_without_a_handler_nothing_is_ready_to_be_audited(make_handler: MakeHandler) -> None:
    closed = make_handler(NOBODY)
    closed.close(0.0)

    assert (503, ["no AuditHandler is open"]) == (
        ask(HealthApp(), "/ready")[0],
        ask(HealthApp(), "/ready")[1]["reasons"],
    )


def test_a_handler_that_was_given_is_the_one_that_is_asked(
    make_handler: MakeHandler, log: logging.Logger
) -> None:
    limits = {"max_spool_bytes": 65_536, "batch_bytes": 65_536, "on_full": "drop"}
    full = make_handler(NOBODY, logger=log.name, **limits)
    while full.can_take():
        log.info("x", extra={**AUDIT, "request_body": "x" * 8_000})
    empty = make_handler(NOBODY, table="others")

    statuses = [ask(HealthApp(given), "/ready")[0] for given in (full, empty, [empty], None)]
    assert [503, 200, 200, 503] == statuses


def test_a_handler_that_a_late_record_opened_again_counts_again(
    make_handler: MakeHandler, log: logging.Logger
) -> None:
    made = make_handler(NOBODY, logger=log.name)
    made.close(0.0)
    log.info("x", extra=AUDIT)

    assert 200 == ask(HealthApp(), "/ready")[0]


@pytest.mark.parametrize("bound", [0, -1, "5", float("nan")])
def test_a_bound_that_is_none_is_refused(bound: Any) -> None:
    with pytest.raises(ConfigurationError, match="max_waiting_seconds"):
        HealthApp(max_waiting_seconds=bound)


# Status


def test_the_status_tells_all_that_the_handler_knows(
    faults: LoopbackClickHouse, database: str, make_handler: MakeHandler, log: logging.Logger
) -> None:
    made = make_handler(faults.dsn(database), logger=log.name)
    faults.fault("http_status", status=503, times=1)
    log.info("x", extra=AUDIT)
    assert made.flush()
    status, content = ask(StatusApp(authorize=PUBLIC))

    (told,) = content["handlers"]
    assert 200 == status
    assert {
        "target": str(made.settings.target),
        "rows_emitted": 1,
        "rows_dropped": 0,
        "drops": {},
        "rows_adopted": 0,
        "rows_stored": 1,
        "rows_rejected": 0,
        "rows_in_rejected": 0,
        "bytes_in_rejected": 0,
        "max_rejected_bytes": 256 * 1024**2,
        "oldest_in_rejected_seconds": 0.0,
        "rows_lost": 0,
        "rows_waiting": 0,
        "bytes_waiting": 0,
        "max_spool_bytes": 1024**3,
        "spool_usage": 0.0,
        "is_full": False,
        "oldest_waiting_seconds": 0.0,
        "batches_stored": 1,
        "retries": 1,
        "skipped_columns": {},
        "success_rate": 0.5,
        "last_error": "",
        "obstacles": [],
    } == told


def test_an_outage_shows_without_secrets(make_handler: MakeHandler, log: logging.Logger) -> None:
    made = make_handler(NOBODY, logger=log.name)
    log.info("x", extra=AUDIT)
    made.flush(0.5)
    (told,) = ask(StatusApp(authorize=PUBLIC))[1]["handlers"]

    assert "TransientError" in told["last_error"]
    assert (1, True, 0.0) == (told["rows_waiting"], told["spool_usage"] > 0, told["success_rate"])
    assert "hunter2" not in str(told)


def test_what_an_error_says_is_redacted_as_rows_are(make_handler: MakeHandler) -> None:
    made = make_handler(NOBODY, redact_keys=["pin"])
    made._counters.last_error = "cannot parse pin=4711"
    (told,) = ask(StatusApp(authorize=PUBLIC))[1]["handlers"]

    assert "cannot parse pin=***REDACTED***" == told["last_error"]


@pytest.mark.parametrize("spool_dir", ["disk", "memory"])
def test_the_waiting_rows_are_counted_by_user_when_that_is_asked_for(
    make_handler: MakeHandler, log: logging.Logger, spool_dir: str
) -> None:
    options = {"spool_dir": "memory"} if spool_dir == "memory" else {}
    made = make_handler(NOBODY, logger=log.name, batch_size=2, **options)
    for user in ("u-1", "u-2", "u-1", None, "u-1"):
        log.info("x", extra={**AUDIT, "agent_id": user})
    (told,) = ask(StatusApp(authorize=PUBLIC, by_user=True))[1]["handlers"]

    assert ({"u-1": 3, "": 1, "u-2": 1}, True) == (
        told["waiting_by_user"],
        told["waiting_by_user_is_complete"],
    )
    assert 5 == made.status().rows_waiting


def test_rows_of_a_dead_process_are_counted_by_user_too(
    make_handler: MakeHandler, log: logging.Logger
) -> None:
    first = make_handler(NOBODY, logger=log.name)
    log.info("x", extra={**AUDIT, "agent_id": "u-1"})
    first.close(0.0)
    pipeline = first._pipelines.open
    log.handlers.clear()
    second = make_handler(NOBODY, logger=log.name)
    while not second.status().rows_adopted:
        pass  # the listener looks at once, and the test's time limit ends this

    assert pipeline is None
    assert ({"u-1": 1}, True) == second.waiting_by_user()


def test_what_is_read_for_the_counts_is_bounded(
    make_handler: MakeHandler, log: logging.Logger
) -> None:
    made = make_handler(NOBODY, logger=log.name, batch_size=2, flush_interval_ms=60_000)
    for _ in range(6):
        log.info("x", extra={**AUDIT, "agent_id": "u-1"})

    assert ({"u-1": 2}, False) == made.waiting_by_user(max_bytes=1)


def test_of_many_users_a_hundred_are_listed(make_handler: MakeHandler, log: logging.Logger) -> None:
    make_handler(NOBODY, logger=log.name)
    for number in range(150):
        log.info("x", extra={**AUDIT, "agent_id": f"u-{number % 120}"})
    (told,) = ask(StatusApp(authorize=PUBLIC, by_user=True))[1]["handlers"]

    assert (100, False, 2) == (
        len(told["waiting_by_user"]),
        told["waiting_by_user_is_complete"],
        told["waiting_by_user"]["u-0"],
    )
