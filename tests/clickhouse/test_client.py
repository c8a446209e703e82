"""One table: insert with a token, look rows up, and use a table that was created later."""

from __future__ import annotations

import pytest

from audit_handler.clickhouse import ClickHouse
from audit_handler.errors import SetupError
from audit_handler.schema import statements
from tests.support.engines import Engine
from tests.support.loopback import LoopbackClickHouse
from tests.support.tables import Connect, count, rows, target_of

pytestmark = pytest.mark.once


def test_names_other_than_the_usual_ones_work(
    faults: LoopbackClickHouse, connect: Connect, database: str
) -> None:
    clickhouse = connect(faults.dsn(database), table="trail")
    clickhouse.insert(rows(1), token="t")

    assert [{"n": 1}] == faults.query(f"SELECT count() AS n FROM {database}.trail")


def test_the_same_token_stores_nothing_again(
    engine: Engine, connect: Connect, database: str
) -> None:
    clickhouse = connect(engine.dsn(database))
    for _ in range(3):
        clickhouse.insert(rows(1, 2), token="w:1-2")

    assert 2 == count(engine, database)


def test_stored_rows_can_be_looked_up(engine: Engine, connect: Connect, database: str) -> None:
    clickhouse = connect(engine.dsn(database))
    clickhouse.insert(rows(1, 2, 5), token="t")

    assert {2, 5} == clickhouse.stored("w", 2, 9, rows(*range(2, 10)))
    assert set() == clickhouse.stored("w2", 1, 9, rows(*range(1, 10)))


def test_rows_are_found_in_a_table_that_counts_days_in_another_zone(
    engine: Engine, connect: Connect, database: str
) -> None:
    clickhouse = connect(engine.dsn(database))
    clickhouse.create_table()
    for zone, hour in (("Asia/Tokyo", "20"), ("America/Los_Angeles", "04")):
        engine.command(
            f"ALTER TABLE {database}.audit_logs DROP CONSTRAINT IF EXISTS date_matches_time, "
            f"MODIFY COLUMN event_date DEFAULT toDate(event_time, '{zone}')"
        )
        lines = rows(int(hour), event_time=f"2026-11-23 {hour}:00:00.000000")
        clickhouse.insert(lines, token=zone)

        assert {int(hour)} == clickhouse.stored("w", int(hour), int(hour), lines)


def test_a_missing_table_is_named_with_the_command_and_used_once_it_is_there(
    faults: LoopbackClickHouse, connect: Connect, database: str
) -> None:
    clickhouse = connect(faults.dsn("default"), create_table=False)
    faults.command(f"CREATE DATABASE {database}")
    with pytest.raises(SetupError, match="audit-handler init"):
        clickhouse.insert(rows(1), token="t")
    for statement in statements(target_of(faults.dsn(), database)):
        faults.command(statement)
    clickhouse.insert(rows(1), token="t")

    assert 1 == count(faults, database)


def test_without_the_right_to_select_nothing_is_looked_up(
    ready: ClickHouse, faults: LoopbackClickHouse
) -> None:
    faults.deny(r"^\s*SELECT seq")
    try:
        assert ready.stored("w", 1, 1, rows(1)) is None
        assert not ready.can_look_up
    finally:
        faults.deny()

    assert ready.stored("w", 1, 1, rows(1)) is not None
    assert ready.can_look_up


def test_a_table_is_described_once_and_again_after_close(
    ready: ClickHouse, faults: LoopbackClickHouse
) -> None:
    ready.insert(rows(2), token="t2")
    described_while_open = len(faults.requests(match="^DESCRIBE"))
    ready.close()
    ready.insert(rows(3), token="t3")

    assert 0 == described_while_open
    assert 1 == len(faults.requests(match="^DESCRIBE"))


@pytest.mark.parametrize(
    "change",
    [
        "MODIFY COLUMN event_date DEFAULT today()",
        "MODIFY COLUMN event_date DEFAULT toStartOfMonth(event_time)",
        "MODIFY COLUMN event_date REMOVE DEFAULT",
    ],
)
def test_rows_are_found_in_a_table_that_has_other_days(
    engine: Engine, connect: Connect, database: str, change: str
) -> None:
    clickhouse = connect(engine.dsn(database))
    clickhouse.create_table()
    engine.command(f"ALTER TABLE {database}.audit_logs DROP CONSTRAINT date_matches_time, {change}")
    lines = rows(1, 2, event_time="2025-03-23 10:00:00.000000")
    clickhouse.insert(lines, token="t")

    assert {1, 2} == clickhouse.stored("w", 1, 3, lines + rows(3))


def test_a_table_that_keeps_no_rows_is_named_before_rows_are_sent_again(
    engine: Engine, connect: Connect, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    clickhouse = connect(engine.dsn(database))
    clickhouse.create_table()
    engine.command(f"RENAME TABLE {database}.audit_logs TO {database}.kept")
    engine.command(f"CREATE TABLE {database}.audit_logs AS {database}.kept ENGINE = Null")
    clickhouse.insert(rows(1), token="t")
    for _ in range(2):
        assert set() == clickhouse.stored("w", 1, 1, rows(1))

    assert 1 == caplog.text.count("(the table has the engine Null, which keeps no rows)")
    assert not clickhouse.can_look_up
