"""The handler as an application uses it, over HTTP to the real engine."""

from __future__ import annotations

import json
import logging
import logging.config
import logging.handlers
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import audit_handler
from audit_handler import AuditHandler, ConfigurationError, SpoolFull
from audit_handler.schema import WRITTEN_COLUMNS
from tests.support.delivery import AUDIT, MakeHandler
from tests.support.engines import Engine, completeness
from tests.support.hostile import HOSTILE_VALUES
from tests.support.loopback import LoopbackClickHouse


def test_an_audit_becomes_one_row_with_all_it_said(
    engine: Engine, database: str, make_handler: MakeHandler, log: logging.Logger
) -> None:
    handler = make_handler(engine.dsn(database), logger=log.name, service_name="shop")
    said = {
        "action": "CREATE",
        "resource_type": "order",
        "resource_id": "o-17",
        "resource_name": "Bücher",
        "agent_id": "u-3",
        "agent_name": "Ann",
        "agent_role": "clerk",
        "agent_email": "ann@example.org",
        "endpoint": "/api/orders",
        "http_method": "POST",
        "status_code": 201,
        "response_time_ms": 12,
        "user_agent": "curl/8",
        "session_id": "s-1",
        "request_id": "r-1",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "span_id": "b7ad6b7169203331",
        "error_message": "",
        "request_body": '{"total":12}',
    }
    log.info(
        "order %s created",
        17,
        extra={**said, "ip_address": "10.1.2.3", "new_value": {"total": 12}, "shop": "n-1"},
    )
    assert handler.flush()
    (row,) = engine.query(
        "SELECT *, toString(ip_address) AS ip, toString(event_id) AS id, "
        f"event_date = toDate(event_time) AS d FROM {database}.audit_logs"
    )

    assert said == {name: row[name] for name in said}
    assert ("::ffff:10.1.2.3", '{"total":12}', {"shop": "n-1"}) == (
        row["ip"],
        row["new_value"],
        json.loads(row["metadata"]),
    )
    assert ("order 17 created", "INFO", log.name, "shop", "success", 1) == tuple(
        row[name] for name in ("message", "level", "logger", "service_name", "outcome", "seq")
    )
    assert (1, "7") == (row["d"], row["id"][14])


def test_eight_threads_lose_double_and_disorder_nothing(
    engine: Engine, database: str, make_handler: MakeHandler, log: logging.Logger
) -> None:
    handler = make_handler(engine.dsn(database), logger=log.name, batch_size=3_000)

    def work(thread: int) -> None:
        for number in range(2_500):
            log.info(
                "n", extra={"action": "COUNT", "agent_id": f"t{thread}", "resource_id": str(number)}
            )

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert handler.flush(60.0)
    table = f"{database}.audit_logs"
    in_order = engine.query(
        "SELECT agent_id, groupArray(toUInt32(resource_id)) AS numbers "
        f"FROM (SELECT * FROM {table} ORDER BY seq) GROUP BY agent_id"
    )

    assert [{"rows": 20_000, "gaps": 0, "repeats": 0}] == completeness(engine, table)
    assert 8 == len(in_order)
    assert all(list(range(2_500)) == row["numbers"] for row in in_order)


def test_a_column_that_was_added_to_the_table_takes_the_extra_of_its_name(
    engine: Engine, database: str, make_handler: MakeHandler, log: logging.Logger
) -> None:
    first = make_handler(engine.dsn(database), logger=log.name)
    log.info("makes the table", extra=AUDIT)
    assert first.flush()
    first.close()
    log.handlers.clear()
    engine.command(
        f"ALTER TABLE {database}.audit_logs ADD COLUMN tenant UInt32, ADD COLUMN doc String"
    )
    handler = make_handler(engine.dsn(database), logger=log.name)
    log.info("fits", extra={**AUDIT, "tenant": 7, "doc": {"a": 1}})
    log.info("does not fit", extra={**AUDIT, "tenant": "acme"})
    assert handler.flush()
    rows = engine.query(
        f"SELECT tenant, doc, metadata FROM {database}.audit_logs ORDER BY event_time"
    )

    assert [(0, ""), (7, '{"a":1}'), (0, "")] == [(row["tenant"], row["doc"]) for row in rows]
    assert {"tenant": "acme"} == json.loads(rows[2]["metadata"])


def test_what_a_column_cannot_hold_does_not_cost_the_row(
    engine: Engine, database: str, make_handler: MakeHandler, log: logging.Logger
) -> None:
    handler = make_handler(engine.dsn(database), logger=log.name)
    wrong = {
        "status_code": 70_000,
        "response_time_ms": -1,
        "ip_address": "n/a",
        "event_time": "9999-12-31",
        "event_id": "no uuid",
        "outcome": "so so",
        "resource_id": "a\ud800b",
    }
    log.info("odd", extra={"action": "TRY", **wrong})
    assert handler.flush()
    (row,) = engine.query(
        "SELECT status_code, response_time_ms, toString(ip_address) AS ip, outcome, metadata, "
        f"toYear(event_time) < 2100 AS sane FROM {database}.audit_logs"
    )

    assert (0, 0, "::", "unknown", 1) == tuple(
        row[n] for n in ("status_code", "response_time_ms", "ip", "outcome", "sane")
    )
    assert {**wrong, "resource_id": "a\\ud800b"} == json.loads(row["metadata"])["_invalid"]


@pytest.mark.once
@pytest.mark.parametrize("column", [*WRITTEN_COLUMNS, "an_extra"])
def test_no_value_makes_a_row_vanish_or_a_call_raise(
    faults: LoopbackClickHouse,
    database: str,
    make_handler: MakeHandler,
    log: logging.Logger,
    column: str,
) -> None:
    """Every hostile value in every column, through the real engine."""
    if column == "message":
        pytest.skip("logging itself refuses an extra of that name")
    handler = make_handler(faults.dsn(database), logger=log.name)
    for value in HOSTILE_VALUES.values():
        log.info("hostile", extra={"action": "TRY", column: value})
    assert handler.flush(60.0)

    assert [{"rows": len(HOSTILE_VALUES), "gaps": 0, "repeats": 0}] == completeness(
        faults, f"{database}.audit_logs"
    )


def test_records_without_an_action_pass_by(
    faults: LoopbackClickHouse, database: str, make_handler: MakeHandler, log: logging.Logger
) -> None:
    handler = make_handler(faults.dsn(database), logger=log.name)
    log.info("plain")
    log.info("empty", extra={"action": None, "resource_id": "x"})

    assert (0, True) == (handler.status().rows_emitted, handler.flush())


def test_capture_all_takes_every_record_but_its_own_and_the_drivers(
    faults: LoopbackClickHouse, database: str, make_handler: MakeHandler
) -> None:
    """
    On the root logger at DEBUG the driver, urllib3 and we ourselves log while a row is delivered.
    """
    root = logging.getLogger()
    level = root.level
    handler = make_handler(faults.dsn(database), capture="all")
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        faults.fault("reset_before")
        logging.getLogger("shop").debug("plain")
        logging.getLogger("shop").info("audit", extra=AUDIT)
        assert handler.flush()
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    rows = faults.query(f"SELECT logger, message FROM {database}.audit_logs ORDER BY seq")

    ours = [row["message"] for row in rows if row["logger"] == "shop"]
    assert ["plain", "audit"] == ours
    assert [] == [
        row for row in rows if row["logger"].startswith(("audit_handler", "clickhouse", "urllib3"))
    ]


def test_a_filter_may_decide_and_may_make_a_record_an_audit(
    faults: LoopbackClickHouse, database: str, make_handler: MakeHandler, log: logging.Logger
) -> None:
    handler = make_handler(faults.dsn(database), logger=log.name)

    def decide(record: logging.LogRecord) -> bool:
        if record.getMessage() == "login":
            record.action = "LOGIN"
        return record.getMessage() != "secret"

    handler.addFilter(decide)
    log.info("login")
    log.info("secret", extra=AUDIT)
    assert handler.flush()

    assert [{"action": "LOGIN"}] == faults.query(f"SELECT action FROM {database}.audit_logs")


def test_records_come_through_a_queue_handler_in_front(
    faults: LoopbackClickHouse, database: str, make_handler: MakeHandler, log: logging.Logger
) -> None:
    handler = make_handler(faults.dsn(database))
    front: queue.SimpleQueue[Any] = queue.SimpleQueue()
    log.addHandler(logging.handlers.QueueHandler(front))
    log.setLevel(logging.INFO)
    listener = logging.handlers.QueueListener(front, handler)
    listener.start()
    try:
        raise ValueError("no such order")
    except ValueError:
        log.exception("failed", extra=AUDIT)
    listener.stop()
    assert handler.flush()
    (row,) = faults.query(f"SELECT message FROM {database}.audit_logs")

    # The stdlib's QueueHandler formats the stack into the message before it passes a record on.
    assert row["message"].startswith("failed\nTraceback")
    assert row["message"].endswith("ValueError: no such order")


# How it is configured


def dict_config(dsn: str, spool: Path, **handler: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {
            "audit": {
                **handler,
                "dsn": dsn,
                "spool_dir": str(spool),
                "create_table": True,
                "flush_interval_ms": 10,
            }
        },
        "loggers": {
            "shop.configured": {"level": "INFO", "handlers": ["audit"], "propagate": False}
        },
    }


@pytest.fixture
def configured() -> Iterator[Callable[[], AuditHandler]]:
    """
    Return the handler that a configuration has put on ``shop.configured``; take it away at the end.
    """
    logger = logging.getLogger("shop.configured")

    def get() -> AuditHandler:
        (handler,) = logger.handlers
        assert isinstance(handler, AuditHandler)
        return handler

    yield get
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


def assert_it_works(handler: AuditHandler, server: LoopbackClickHouse, database: str) -> None:
    logging.getLogger("shop.configured").info("x", extra=AUDIT)
    assert handler.flush()
    assert [{"n": 1}] == server.query(f"SELECT count() AS n FROM {database}.audit_logs")


@pytest.mark.parametrize("key", ["class", "()"])
@pytest.mark.parametrize("load", [json.loads, yaml.safe_load], ids=["json", "yaml"])
def test_dict_config_makes_it(
    faults: LoopbackClickHouse, database: str, tmp_path: Path, configured: Any, key: str, load: Any
) -> None:
    config = dict_config(faults.dsn(database), tmp_path, **{key: "audit_handler.AuditHandler"})
    logging.config.dictConfig(load(json.dumps(config)))

    assert_it_works(configured(), faults, database)


def test_file_config_makes_it(
    faults: LoopbackClickHouse, database: str, tmp_path: Path, configured: Any
) -> None:
    ini = tmp_path / "logging.ini"
    ini.write_text(
        f"""
[loggers]
keys=root,shop
[handlers]
keys=audit
[formatters]
keys=
[logger_root]
handlers=
[logger_shop]
qualname=shop.configured
level=INFO
propagate=0
handlers=audit
[handler_audit]
class=audit_handler.AuditHandler
args=()
kwargs={{"dsn": "{faults.dsn(database)}", "spool_dir": "{tmp_path}/spool", "create_table": True}}
"""
    )
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        logging.config.fileConfig(ini, disable_existing_loggers=False)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)

    assert_it_works(configured(), faults, database)


def test_a_later_dict_config_that_closes_it_costs_nothing(
    faults: LoopbackClickHouse, database: str, tmp_path: Path, configured: Any
) -> None:
    """
    dictConfig closes every handler there is, also one that stays attached to a logger it does not
    mention.
    """
    config = dict_config(faults.dsn(database), tmp_path, **{"class": "audit_handler.AuditHandler"})
    logging.config.dictConfig(config)
    handler = configured()
    log = logging.getLogger("shop.configured")
    log.info("before", extra=AUDIT)
    logging.config.dictConfig(
        {"version": 1, "incremental": False, "disable_existing_loggers": False}
    )
    log.info("after", extra=AUDIT)

    assert handler is configured()
    assert handler.flush()
    faults.wait_for_request(match=rf"INSERT INTO `{database}`", count=2)
    rows = faults.query(f"SELECT message FROM {database}.audit_logs ORDER BY event_time")
    assert ["before", "after"] == [row["message"] for row in rows]


def test_without_a_dsn_the_error_shows_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLICKHOUSE_URL", raising=False)

    with pytest.raises(ConfigurationError, match=r"dsn=.*CLICKHOUSE_URL.*chdb:///"):
        AuditHandler()


def test_logging_does_not_know_a_handler_that_could_not_be_made() -> None:
    """At the end of the process it would flush it, and print that it has no spool."""
    with pytest.raises(ConfigurationError) as failed:
        AuditHandler("chdb://memory", batch_size=-1)
    known = [reference() for reference in logging._handlerList]  # type: ignore[attr-defined]
    unmade = [
        handler
        for handler in known
        if isinstance(handler, AuditHandler) and not hasattr(handler, "settings")
    ]

    assert failed.tb is not None  # which holds it
    assert [] == unmade


# Flush, close, status


def test_flush_and_close_say_false_while_clickhouse_is_away(
    make_handler: MakeHandler, log: logging.Logger
) -> None:
    handler = make_handler("http://127.0.0.1:1/audit_db", logger=log.name)
    log.info("x", extra=AUDIT)

    assert not handler.flush(0.05)
    assert 1 == handler.status().rows_waiting
    assert not handler.close(0.05)


def test_close_returns_at_its_deadline_while_clickhouse_hangs(
    faults: LoopbackClickHouse, database: str, make_handler: MakeHandler, log: logging.Logger
) -> None:
    handler = make_handler(faults.dsn(database), logger=log.name)
    faults.fault("hang", times=-1)
    log.info("x", extra=AUDIT)
    faults.wait_for_request(phase="received")

    assert not handler.close(0.05)
    faults.clear_faults()  # or its thread would wait for the request


def test_rows_that_a_close_left_are_delivered_by_the_next_handler(
    faults: LoopbackClickHouse, database: str, make_handler: MakeHandler, log: logging.Logger
) -> None:
    first = make_handler(faults.dsn(database), logger=log.name)
    faults.fault("http_status", status=503, times=-1)
    for _ in range(3):
        log.info("x", extra=AUDIT)
    pipeline = first._pipelines.open
    assert pipeline is not None
    assert not first.close(0.2)
    # Its thread may still be in a request; it gives the rows up as it ends.
    pipeline.listener.stop()
    log.handlers.clear()
    faults.clear_faults()
    second = make_handler(faults.dsn(database), logger=log.name)
    log.info("x", extra=AUDIT)
    assert second.flush()

    assert second.status().rows_adopted == 3
    assert [{"n": 4}] == faults.query(f"SELECT count() AS n FROM {database}.audit_logs")


def test_nothing_of_ours_shows_the_password(
    make_handler: MakeHandler, log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    handler = make_handler("http://app:hunter2@127.0.0.1:1/audit_db", logger=log.name)
    with caplog.at_level(logging.DEBUG, "audit_handler"):
        log.info("x", extra=AUDIT)
        handler.flush(0.05)
        handler.close(1.0)
    ours = [record for record in caplog.records if record.name.startswith("audit_handler")]
    shown = (
        repr(handler)
        + repr(handler.settings)
        + repr(handler.status())
        + str([r.getMessage() for r in ours])
    )

    assert ours
    assert "127.0.0.1" in shown
    assert "hunter2" not in shown


# A full spool


def test_raise_fails_the_logger_call(make_handler: MakeHandler, log: logging.Logger) -> None:
    make_handler(
        "http://127.0.0.1:1",
        logger=log.name,
        on_full="raise",
        batch_bytes=65_536,
        max_spool_bytes=65_536,
    )
    for _ in range(20):
        log.info("fits", extra={**AUDIT, "new_value": "y" * 1_000})

    with pytest.raises(SpoolFull, match="max_spool_bytes"):
        log.info("does not fit", extra={**AUDIT, "new_value": "y" * 60_000})


def test_block_waits_no_longer_than_its_bound(
    make_handler: MakeHandler, log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    handler = make_handler(
        "http://127.0.0.1:1",
        logger=log.name,
        on_full="block",
        block_timeout=0.02,
        batch_bytes=65_536,
        max_spool_bytes=65_536,
    )
    for _ in range(40):
        log.info("x", extra={**AUDIT, "new_value": "y" * 2_000})
    status = handler.status()

    assert 40 == status.rows_emitted + status.rows_dropped
    assert status.rows_dropped >= 10
    assert [record for record in caplog.records if "max_spool_bytes" in record.getMessage()]


def test_a_logger_call_that_waits_for_room_holds_up_no_other(
    faults: LoopbackClickHouse, database: str, make_handler: MakeHandler, log: logging.Logger
) -> None:
    """Neither calls of another handler, nor other records, nor the questions of an operator."""
    full = make_handler(
        faults.dsn(f"{database}_full"),
        logger=f"{log.name}.full",
        on_full="block",
        block_timeout=3_600,
        batch_bytes=65_536,
        max_spool_bytes=65_536,
    )
    free = make_handler(faults.dsn(database), logger=f"{log.name}.free")
    faults.fault("http_status", match=f"{database}_full", status=503, times=-1)
    returned = []

    def fill() -> None:
        for number in range(60):
            logging.getLogger(f"{log.name}.full").info("x", extra={**AUDIT, "n": "y" * 2_000})
            returned.append(number)

    threads = [threading.Thread(target=fill) for _ in range(2)]
    for thread in threads:
        thread.start()
    while full.can_take():
        threading.Event().wait(0.001)
    for _ in range(100):
        logging.getLogger(f"{log.name}.free").info("x", extra=AUDIT)
        logging.getLogger(f"{log.name}.full").info("no audit")
    is_free = free.flush()
    waiting = full.status().rows_waiting
    calls_that_wait = 120 - len(returned)
    faults.clear_faults()
    for thread in threads:
        thread.join()
    is_delivered = full.flush()

    assert is_free
    assert 0 < waiting < 60
    assert calls_that_wait >= 60
    assert is_delivered
    assert [{"rows": 100, "gaps": 0, "repeats": 0}] == completeness(
        faults, f"{database}.audit_logs"
    )
    assert [{"rows": 120, "gaps": 0, "repeats": 0}] == completeness(
        faults, f"{database}_full.audit_logs"
    )


def test_whether_a_row_could_be_taken_can_be_asked(
    make_handler: MakeHandler, log: logging.Logger
) -> None:
    handler = make_handler(
        "http://127.0.0.1:1",
        logger=log.name,
        on_full="raise",
        batch_bytes=65_536,
        max_spool_bytes=65_536,
    )
    before = handler.can_take()
    for _ in range(40):
        log.info("x", extra={**AUDIT, "new_value": "y" * 1_000})

    assert (True, False) == (before, handler.can_take())


def test_a_spool_in_memory_delivers_too(
    faults: LoopbackClickHouse,
    database: str,
    make_handler: MakeHandler,
    log: logging.Logger,
    tmp_path: Path,
) -> None:
    handler = make_handler(faults.dsn(database), logger=log.name, spool_dir="memory")
    for _ in range(10):
        log.info("x", extra=AUDIT)
    assert handler.flush()

    assert [{"rows": 10, "gaps": 0, "repeats": 0}] == completeness(faults, f"{database}.audit_logs")
    assert not (tmp_path / "spool").exists()


def test_every_public_name_is_documented() -> None:
    undocumented = [
        name for name in audit_handler.__all__ if not getattr(audit_handler, name).__doc__
    ]

    assert [] == [name for name in undocumented if name != "current"]
