"""Dropped rows: counted, logged once, and reported in the trail."""

from __future__ import annotations

import logging

import pytest

from audit_handler import SpoolFull, SpoolUnavailable, SpoolUnsynced
from audit_handler._drops import DropReport, Drops
from audit_handler.errors import RejectedFull
from audit_handler.status import Counters
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


def test_rejected_rows_without_space_are_counted_as_many_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    counters = Counters()
    report = DropReport(counters, lambda: 5.0)
    report.note(SpoolFull("no space"))
    for _ in range(2):
        report.note(RejectedFull("raise max_rejected_bytes", rows=40))

    assert (81, {"SpoolFull": 1, "RejectedFull": 80}) == (counters.rows_dropped, counters.drops)
    assert report.pending is not None
    assert 81 == report.pending.rows
    assert [
        "An audit row was dropped, and later rows may be too: no space",
        "40 audit rows were dropped, and later rows may be too: raise max_rejected_bytes",
    ] == [record.getMessage() for record in caplog.records]


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


def test_the_report_sums_up_the_drops_and_names_the_first_reason() -> None:
    counters, times, reported = (
        Counters(),
        iter([1_700_000_000.0, 1_700_000_060.0]),
        list[logging.LogRecord](),
    )
    drops = DropReport(counters, lambda: next(times))
    drops.note(SpoolFull("first"))
    drops.note(SpoolUnavailable("second"))
    drops.report(lambda record, _timeout: reported.append(record))
    (record,) = reported
    fields = vars(record)

    assert (2, {"SpoolFull": 1, "SpoolUnavailable": 1}) == (counters.rows_dropped, counters.drops)
    assert ("AUDIT_DROPPED", "2 audit rows were dropped", "first") == (
        fields["action"],
        record.getMessage(),
        fields["error_message"],
    )
    assert {
        "rows_dropped": 2,
        "first_dropped": "2023-11-14T22:13:20+00:00",
        "last_dropped": "2023-11-14T22:14:20+00:00",
    } == fields["metadata"]
    assert drops.pending is None


def test_a_report_that_is_not_accepted_is_repeated_with_later_drops() -> None:
    drops, reported = DropReport(Counters(), lambda: 0.0), list[logging.LogRecord]()

    def refuse(_record: logging.LogRecord, _timeout: float) -> None:
        raise SpoolFull("still full")

    drops.note(SpoolFull("full"))
    drops.report(refuse)
    drops.note(SpoolFull("full again"))
    drops.report(lambda record, _timeout: reported.append(record))
    drops.report(lambda record, _timeout: reported.append(record))

    assert ["2 audit rows were dropped"] == [record.getMessage() for record in reported]


def test_a_report_that_a_signal_handler_cuts_off_is_repeated() -> None:
    """The drops were in the log, and never in the trail."""
    drops, reported = DropReport(Counters(), lambda: 0.0), list[logging.LogRecord]()

    def interrupted(_record: logging.LogRecord, _timeout: float) -> None:
        raise SystemExit

    drops.note(SpoolFull("full"))
    with pytest.raises(SystemExit):
        drops.report(interrupted)
    drops.report(lambda record, _timeout: reported.append(record))

    assert ["1 audit rows were dropped"] == [record.getMessage() for record in reported]


def test_a_row_that_is_dropped_on_top_of_a_drop_is_counted_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The interrupted call wrote the count over the one that a signal handler had just noted."""
    counters = Counters()
    drops = DropReport(counters, lambda: 0.0)
    real = Drops.__add__

    def interrupted(self: Drops, later: Drops) -> Drops:
        monkeypatch.undo()
        drops.note(SpoolFull("on top"))
        return real(self, later)

    drops.note(SpoolFull("full"))
    monkeypatch.setattr(Drops, "__add__", interrupted)
    drops.note(SpoolFull("full"))
    pending = drops.pending

    assert (3, {"SpoolFull": 3}) == (counters.rows_dropped, counters.drops)
    assert pending is not None
    assert 3 == pending.rows


def test_a_report_that_is_accepted_and_not_synced_is_not_repeated() -> None:
    drops = DropReport(Counters(), lambda: 0.0)

    def put(_record: logging.LogRecord, _timeout: float) -> None:
        raise SpoolUnsynced("row 2 cannot be synced")

    drops.note(SpoolFull("full"))
    drops.report(put)

    assert drops.pending is None


def test_rows_that_are_not_synced_are_logged_once_and_not_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    counters = Counters()
    drops = DropReport(counters, lambda: 0.0)
    for _ in range(3):
        drops.note(SpoolUnsynced("row 2 cannot be synced"))

    assert 1 == caplog.text.count("row 2 cannot be synced")
    assert (0, None) == (counters.rows_dropped, drops.pending)
