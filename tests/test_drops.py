"""Dropped rows: counted, logged once, and reported in the trail."""

from __future__ import annotations

import logging

import pytest

from audit_handler import (
    SpoolUnsynced,
)
from tests.support.delivery import AUDIT, MakeHandler, stored_messages
from tests.support.loopback import LoopbackClickHouse


def test_drop_counts_and_says_so_once(
    make_handler: MakeHandler, log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    handler = make_handler(
        "http://127.0.0.1:1",
        logger=log.name,
        on_full="drop",
        batch_bytes=65_536,
        max_spool_bytes=65_536,
    )
    for _ in range(200):
        log.info("x", extra={**AUDIT, "new_value": "y" * 1_000})
    status = handler.status()
    said = [record for record in caplog.records if "was dropped" in record.getMessage()]

    assert 200 == status.rows_emitted + status.rows_dropped
    assert status.rows_dropped > 100
    assert 1 == len(said)


def test_what_was_dropped_is_told_in_the_trail_itself(
    faults: LoopbackClickHouse, database: str, make_handler: MakeHandler, log: logging.Logger
) -> None:
    handler = make_handler(
        faults.dsn(database),
        logger=log.name,
        on_full="drop",
        batch_bytes=65_536,
        max_spool_bytes=65_536,
    )
    faults.fault("http_status", status=503, times=-1)
    for _ in range(100):
        log.info("x", extra={**AUDIT, "new_value": "y" * 2_000})
    faults.clear_faults()
    handler.flush()
    dropped = handler.status().rows_dropped
    log.info("x", extra=AUDIT)
    handler.flush()
    told = faults.query(
        "SELECT outcome, JSONExtractInt(metadata, 'rows_dropped') AS n, error_message "
        f"FROM {database}.audit_logs WHERE action = 'AUDIT_DROPPED'"
    )

    assert dropped > 0
    assert [("failure", dropped)] == [(row["outcome"], row["n"]) for row in told]
    assert "max_spool_bytes=65,536" in told[0]["error_message"]


@pytest.mark.parametrize("on_full", ["raise", "drop"])
def test_a_row_that_is_not_synced_is_no_dropped_one(
    on_full: str,
    faults: LoopbackClickHouse,
    database: str,
    make_handler: MakeHandler,
    log: logging.Logger,
    caplog: pytest.LogCaptureFixture,
) -> None:
    handler = make_handler(
        faults.dsn(database),
        logger=log.name,
        on_full=on_full,
        fsync="always",
        flush_interval_ms=3_600_000,
    )
    log.info("a", extra=AUDIT)
    pipeline = handler._pipelines.open
    assert pipeline is not None
    real, files = pipeline.spool.files.sync, pipeline.spool.files

    def fails(handle: int) -> None:  # noqa: ARG001  # named as the one it replaces
        files.sync = real  # type: ignore[method-assign]  # only the first one fails
        raise OSError(5, "Input/output error")

    files.sync = fails  # type: ignore[method-assign]  # as a disk that fails
    raised = []
    try:
        log.info("b", extra=AUDIT)
    except SpoolUnsynced as exc:
        raised.append(exc)

    assert handler.flush()
    assert (on_full == "raise") == bool(raised)
    assert 1 == caplog.text.count("cannot be synced")
    assert 0 == handler.status().rows_dropped
    assert ["a", "b"] == stored_messages(faults, database)
