"""The steps about the table: its columns, and how it deduplicates."""

from __future__ import annotations

import pytest

from audit_handler._operations.check_table import TableSteps
from tests.support.findings import findings
from tests.support.loopback import LoopbackClickHouse
from tests.support.older import create_older_table
from tests.support.tables import Connect, create_with_engine, target_of

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]


def test_a_missing_table_names_init(dsn: str) -> None:
    found = findings(dsn, table="trail")

    assert ("failed", True) == (found["table"].state, "audit-handler init" in found["table"].remedy)
    assert "skipped" == found["deduplication"].state


def test_a_missing_column_is_named(dsn: str, faults: LoopbackClickHouse, database: str) -> None:
    faults.command(f"ALTER TABLE {database}.audit_logs DROP COLUMN user_agent")
    found = findings(dsn)["table"]

    assert ("failed", f"{database}.audit_logs lacks the columns user_agent") == (
        found.state,
        found.detail,
    )


def test_a_user_who_may_not_read_mutations_sees_none(dsn: str, faults: LoopbackClickHouse) -> None:
    faults.deny(r"system\.mutations")
    try:
        found = findings(dsn)["table"]
    finally:
        faults.deny()

    assert ("ok", True) == (found.state, "is up to date" in found.detail)


def test_an_older_table_is_known_to_later_steps(
    faults: LoopbackClickHouse, database: str, connect: Connect
) -> None:
    create_older_table(faults, database)
    dsn = faults.dsn(database)
    steps = TableSteps(connect(dsn), target_of(dsn, database))
    (layout,) = steps.columns()
    (deduplication,) = steps.deduplication()

    assert steps.is_older
    assert ("warning", "warning") == (layout.state, deduplication.state)
    assert "has the layout of 2025" in layout.detail
    assert "no columns to look rows up by" in deduplication.detail


def test_a_window_of_none_is_a_warning_with_the_statement(
    dsn: str, faults: LoopbackClickHouse, database: str
) -> None:
    table = f"{database}.audit_logs"
    faults.command(f"ALTER TABLE {table} MODIFY SETTING non_replicated_deduplication_window = 0")
    found = findings(dsn)["deduplication"]

    assert "warning" == found.state
    assert "only the look-up" in found.detail
    assert found.remedy == (
        f"ALTER TABLE {table} MODIFY SETTING non_replicated_deduplication_window = 10000"
    )


def test_a_table_that_holds_no_rows_sends_the_question_to_an_administrator(
    faults: LoopbackClickHouse, database: str, connect: Connect
) -> None:
    faults.command(f"CREATE DATABASE {database}")
    faults.command(f"CREATE VIEW {database}.audit_logs AS SELECT 1 AS a")
    dsn = faults.dsn(database)
    (found,) = TableSteps(connect(dsn), target_of(dsn, database)).deduplication()

    assert ("warning", True) == (found.state, "as an administrator" in found.remedy)


@pytest.mark.parametrize("engine", ["Log", "Memory", "Null"])
def test_an_engine_that_loses_rows_is_named_with_a_table_that_does_not(
    faults: LoopbackClickHouse, database: str, connect: Connect, engine: str
) -> None:
    table = create_with_engine(faults, database, engine)
    dsn = faults.dsn(database)
    steps = TableSteps(connect(dsn), target_of(dsn, database))
    (columns,), (deduplication,) = steps.columns(), steps.deduplication()

    assert ("warning", "warning") == (columns.state, deduplication.state)
    assert columns.detail.startswith(f"{table} has the engine {engine}, which ")
    assert f"a {engine} table does not recognise a repeated insert" == deduplication.detail
    assert "audit-handler init --table" in columns.remedy


def test_an_engine_that_merges_rows_is_a_warning(
    faults: LoopbackClickHouse, database: str, connect: Connect
) -> None:
    create_with_engine(faults, database, "ReplacingMergeTree ORDER BY agent_id")
    dsn = faults.dsn(database)
    details = [each.detail for each in TableSteps(connect(dsn), target_of(dsn, database)).columns()]

    assert 1 == sum("has the engine ReplacingMergeTree" in detail for detail in details)
