"""An insert names the columns that the table has: today's, the user's own, and those of 2025."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from audit_handler import AuditHandler
from audit_handler.clickhouse import ClickHouse
from audit_handler.errors import DataError, SetupError
from audit_handler.schema import OLDER_COLUMNS, WRITTEN_COLUMNS
from audit_handler.schema.upgrade import upgrade
from tests.support.loopback import LoopbackClickHouse
from tests.support.older import create_older_table
from tests.support.tables import Connect, count, rows, target_of

pytestmark = pytest.mark.once

MakeHandler = Callable[..., AuditHandler]

LACKING = (
    "event_id, trace_id, span_id, service_name, writer_id, seq, level, logger, message, outcome"
)


@pytest.fixture
def older(faults: LoopbackClickHouse, database: str) -> str:
    create_older_table(faults, database)
    faults.forget_requests()
    return f"{database}.audit_logs"


def test_the_older_layout_is_todays_without_the_newer_columns(
    faults: LoopbackClickHouse, older: str
) -> None:
    described = [row["name"] for row in faults.query(f"DESCRIBE TABLE {older}")]

    assert set(described) - {"event_date"} == set(OLDER_COLUMNS)
    assert LACKING.split(", ") == [name for name in WRITTEN_COLUMNS if name not in described]


def test_a_row_is_stored_without_the_columns_that_the_table_lacks(
    faults: LoopbackClickHouse, database: str, older: str, make_handler: MakeHandler
) -> None:
    handler = make_handler(faults.dsn(database), logger=database, create_table=False)
    log = logging.getLogger(database)
    extra = {"action": "PAY", "resource_id": "o-1", "ip_address": "10.1.2.3", "status_code": 402}
    log.info("paid", extra={**extra, "order": 7})

    assert handler.flush(30.0)
    assert [
        {
            "action": "PAY",
            "resource_id": "o-1",
            "ip_address": "10.1.2.3",
            "status_code": 402,
            "metadata": '{"order":7}',
        }
    ] == faults.query(f"SELECT action, resource_id, ip_address, status_code, metadata FROM {older}")


def test_lacking_columns_are_reported_once(
    faults: LoopbackClickHouse,
    database: str,
    connect: Connect,
    older: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    clickhouse = connect(faults.dsn(database), create_table=False)
    for number in range(1, 4):
        clickhouse.insert(rows(number), token=f"t{number}")
    lines = [r.getMessage() for r in caplog.records if r.name == "audit_handler.clickhouse"]
    (warning,) = (line for line in lines if "layout" in line)

    assert f"table {older} has the layout of 2025: {LACKING} are not stored" in warning
    assert "audit-handler init" in warning


@pytest.mark.usefixtures("older")
def test_rows_cannot_be_looked_up_until_the_older_table_is_upgraded(
    faults: LoopbackClickHouse, database: str, connect: Connect
) -> None:
    clickhouse = connect(faults.dsn(database), create_table=False)
    clickhouse.insert(rows(1), token="t")
    before = (clickhouse.can_look_up, clickhouse.stored("w", 1, 2, rows(1, 2)))
    upgrade(clickhouse, target_of(faults.dsn(database), database))
    clickhouse.insert(rows(2), token="u")

    assert (False, None) == before
    assert (True, {2}) == (clickhouse.can_look_up, clickhouse.stored("w", 1, 2, rows(1, 2)))


def test_a_deduplication_window_keeps_a_retry_from_doubling_rows(
    faults: LoopbackClickHouse, database: str, connect: Connect, older: str
) -> None:
    clickhouse = connect(faults.dsn(database), create_table=False)
    faults.command(f"ALTER TABLE {older} MODIFY SETTING non_replicated_deduplication_window = 100")
    for _ in range(3):
        clickhouse.insert(rows(1, 2), token="w:1-2")

    assert [{"n": 2}] == faults.query(f"SELECT count() AS n FROM {older}")


def test_an_address_that_the_older_column_cannot_hold_is_kept_with_the_reason(
    faults: LoopbackClickHouse,
    database: str,
    older: str,
    make_handler: MakeHandler,
    tmp_path: Path,
) -> None:
    """Its address column is IPv4. The row is kept, and `audit-handler replay` offers it again."""
    handler = make_handler(faults.dsn(database), logger=database, create_table=False)
    log = logging.getLogger(database)
    for number, address in enumerate(["10.0.0.1", "2001:db8::1", "10.0.0.2"]):
        log.info("x", extra={"action": "A", "resource_id": str(number), "ip_address": address})
    handler.flush(30.0)
    (rejected,) = (tmp_path / "spool").rglob("*.ndjson")

    assert ["0", "2"] == [
        row["resource_id"] for row in faults.query(f"SELECT resource_id FROM {older} ORDER BY 1")
    ]
    assert '"2001:db8::1"' in rejected.read_text()


def test_a_table_that_lacks_some_of_the_newer_columns_only_is_no_older_table(
    faults: LoopbackClickHouse, database: str, connect: Connect, older: str
) -> None:
    """An operator dropped or forgot them, and their values would be lost silently."""
    faults.command(f"ALTER TABLE {older} ADD COLUMN writer_id String, ADD COLUMN seq UInt64")
    clickhouse = connect(faults.dsn(database), create_table=False)

    with pytest.raises(SetupError, match="lacks the columns event_id, trace_id"):
        clickhouse.insert(rows(1), token="t")


def test_a_column_that_was_added_to_the_older_table_stores_the_extra_of_its_name(
    faults: LoopbackClickHouse, database: str, connect: Connect, older: str
) -> None:
    faults.command(f"ALTER TABLE {older} ADD COLUMN tenant String")
    clickhouse = connect(faults.dsn(database), create_table=False)
    clickhouse.insert(rows(1, tenant="acme"), token="t")

    assert [{"tenant": "acme"}] == faults.query(f"SELECT tenant FROM {older}")


def test_a_row_that_an_added_column_rejects_fits_the_standard_ones(
    faults: LoopbackClickHouse, database: str, connect: Connect
) -> None:
    connect(faults.dsn(database)).insert(rows(1), token="first")
    faults.command(f"ALTER TABLE {database}.audit_logs ADD COLUMN tenant UInt8")
    clickhouse = connect(faults.dsn(database))
    with pytest.raises(DataError) as caught:
        clickhouse.insert(rows(2, tenant="acme"), token="t")
    clickhouse.insert(rows(2, tenant="acme"), token="t", without=caught.value.added)

    assert ("tenant",) == caught.value.added
    assert 2 == count(faults, database)


def test_a_missing_column_is_named_and_used_once_it_is_there(
    ready: ClickHouse, faults: LoopbackClickHouse, database: str
) -> None:
    """
    ClickHouse skips a key without a column, so a dropped column would lose its field silently.
    """
    faults.command(f"ALTER TABLE {database}.audit_logs DROP COLUMN user_agent")
    for _ in range(2):
        with pytest.raises(SetupError):
            ready.insert(rows(2), token="t")
    with pytest.raises(SetupError, match="lacks the columns user_agent"):
        ready.insert(rows(2), token="t")
    faults.command(f"ALTER TABLE {database}.audit_logs ADD COLUMN user_agent String")
    ready.insert(rows(2, user_agent="curl"), token="t")

    assert [{"n": 1}] == faults.query(
        f"SELECT count() AS n FROM {database}.audit_logs WHERE user_agent = 'curl'"
    )


def test_a_column_that_clickhouse_computes_is_not_named(
    faults: LoopbackClickHouse, database: str, ready: ClickHouse
) -> None:
    faults.command(
        f"ALTER TABLE {database}.audit_logs ADD COLUMN day_name String MATERIALIZED 'x', "
        "ADD COLUMN who String ALIAS agent_id"
    )
    ready.close()
    ready.insert(rows(2), token="t")

    assert 2 == count(faults, database)


@pytest.mark.usefixtures("ready")
def test_a_user_who_may_not_describe_the_table_inserts_the_standard_columns(
    faults: LoopbackClickHouse, connect: Connect, database: str
) -> None:
    faults.command(f"ALTER TABLE {database}.audit_logs ADD COLUMN tenant String")
    faults.deny(r"^\s*DESCRIBE")
    try:
        connect(faults.dsn(database)).insert(rows(2, tenant="acme"), token="t")
    finally:
        faults.deny()

    assert [{"tenant": ""}] == faults.query(
        f"SELECT tenant FROM {database}.audit_logs WHERE seq = 2"
    )


def test_a_table_that_is_upgraded_column_by_column_gets_whole_rows_in_the_end(
    faults: LoopbackClickHouse, database: str, connect: Connect, older: str
) -> None:
    """After an attempt during the upgrade, rows were stored without writer_id and seq."""
    clickhouse = connect(faults.dsn(database), create_table=False)
    clickhouse.insert(rows(1), token="t1")
    faults.command(f"ALTER TABLE {older} ADD COLUMN writer_id String, ADD COLUMN seq UInt64")
    with pytest.raises(SetupError, match="lacks the columns event_id"):
        clickhouse.insert(rows(2), token="t2")
    texts = [name for name in LACKING.split(", ") if name not in ("event_id", "writer_id", "seq")]
    added = ", ".join(f"ADD COLUMN {name} String" for name in texts)
    faults.command(f"ALTER TABLE {older} ADD COLUMN event_id UUID, {added}")
    clickhouse.insert(rows(2), token="t2")

    assert [{"writer_id": ""}, {"writer_id": "w"}] == faults.query(
        f"SELECT writer_id FROM {older} ORDER BY seq"
    )


def test_a_server_that_does_not_know_the_question_about_grants_gets_every_column(
    faults: LoopbackClickHouse, database: str, ready: ClickHouse
) -> None:
    faults.command(f"ALTER TABLE {database}.audit_logs ADD COLUMN tenant String")
    faults.fault("error", match="^CHECK GRANT", code=62, text="Syntax error")
    ready.close()
    ready.insert(rows(2, tenant="acme"), token="t")

    assert [{"tenant": "acme"}] == faults.query(
        f"SELECT tenant FROM {database}.audit_logs WHERE seq = 2"
    )
    assert 1 == len(faults.requests("^CHECK GRANT"))
