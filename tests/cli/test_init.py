"""``init``: new tables, incomplete ones, and those of 2025."""

from __future__ import annotations

import json

import pytest

from tests.support.commands import check_steps, run
from tests.support.engines import Engine
from tests.support.loopback import LoopbackClickHouse
from tests.support.older import create_older_table, fill_older_table

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]


def tables(engine: Engine, database: str) -> list[str]:
    rows = engine.query(f"SELECT name FROM system.tables WHERE database = '{database}'")
    return [row["name"] for row in rows]


AWAY = "http://127.0.0.1:1"


def test_init_creates_database_and_table_and_may_run_again(engine: Engine, database: str) -> None:
    arguments = ["init", "--dsn", engine.dsn("default"), "--database", database]
    first, second = run(*arguments), run(*arguments)

    assert [0, 0] == [first.exit_code, second.exit_code]
    assert "ready: http://" in first.output
    assert f"table {database}.audit_logs is missing: created" in first.output
    assert "nothing to change" in second.output
    assert ["audit_logs"] == tables(engine, database)


def test_init_reports_the_columns_that_it_adds(
    dsn: str, faults: LoopbackClickHouse, database: str
) -> None:
    faults.command(f"ALTER TABLE {database}.audit_logs DROP COLUMN user_agent")
    faults.command(f"ALTER TABLE {database}.audit_logs ADD COLUMN tenant String")
    result = run("init", "--dsn", dsn, "--json")
    columns = [row["name"] for row in faults.query(f"DESCRIBE TABLE {database}.audit_logs")]

    assert [f"column user_agent of {database}.audit_logs is missing: added"] == json.loads(
        result.output
    )["changed"]
    assert {"user_agent", "tenant"} <= set(columns)


def test_init_leaves_a_column_of_another_type_alone_and_reports_it(
    dsn: str, faults: LoopbackClickHouse, database: str
) -> None:
    table = f"{database}.audit_logs"
    faults.command(f"ALTER TABLE {table} MODIFY COLUMN status_code UInt32")
    faults.command(f"INSERT INTO {table} (event_time, status_code) VALUES (now(), 70000)")
    result = run("init", "--dsn", dsn)

    assert (0, "nothing to change") == (result.exit_code, result.stdout.splitlines()[0])
    assert f"not changed: column status_code of {table} is UInt32, not UInt16" in result.stderr
    assert [{"status_code": 70000}] == faults.query(f"SELECT status_code FROM {table}")


def test_init_rejects_a_table_for_another_purpose(
    faults: LoopbackClickHouse, database: str
) -> None:
    faults.command(f"CREATE DATABASE {database}")
    faults.command(f"CREATE TABLE {database}.audit_logs (a String) ENGINE = MergeTree ORDER BY a")
    before = faults.command(f"SHOW CREATE TABLE {database}.audit_logs")
    init = run("init", "--dsn", faults.dsn(database))
    checked = check_steps("--dsn", faults.dsn(database))

    assert (3, before) == (
        init.exit_code,
        faults.command(f"SHOW CREATE TABLE {database}.audit_logs"),
    )
    assert "is not an audit table" in init.stderr
    assert "name another table with --table" in checked["table"][2]


def test_init_sets_the_retention_of_a_new_table(faults: LoopbackClickHouse, database: str) -> None:
    result = run("init", "--dsn", faults.dsn(database), "--retention", "90 DAY")
    (row,) = faults.query(f"SHOW CREATE TABLE {database}.audit_logs")

    assert 0 == result.exit_code
    assert "TTL greatest(event_date, toDate(ingested_at)) + toIntervalDay(90)" in row["statement"]


def test_init_does_not_change_the_retention_of_a_table_that_exists(dsn: str) -> None:
    result = run("init", "--dsn", dsn, "--retention", "90 DAY")

    assert "not changed: the retention of audit_logs" in result.stderr


def test_init_upgrades_a_table_of_2025_and_reports_it(
    faults: LoopbackClickHouse, database: str
) -> None:
    create_older_table(faults, database)
    fill_older_table(faults, database, 300)
    first, second = (run("init", "--dsn", faults.dsn(database)) for _ in range(2))
    (rows,) = faults.query(f"SELECT count() AS rows FROM {database}.audit_logs")

    assert [0, 0] == [first.exit_code, second.exit_code]
    assert "rows copied" in first.output
    assert "upgraded from the layout of 2025: 300 rows" in first.output
    assert f"stays as {database}.audit_logs_before_upgrade until" in first.output
    assert "nothing to change" in second.output
    assert 300 == rows["rows"]


def test_print_shows_the_sql_and_runs_nothing() -> None:
    result = run("init", "--dsn", AWAY, "--table", "trail", "--print")

    assert result.exit_code == 0
    assert "CREATE TABLE IF NOT EXISTS audit_db.trail\n" in result.output


def test_print_for_a_cluster_shows_its_tables_as_json() -> None:
    result = run("init", "--dsn", AWAY, "--cluster", "main", "--print", "--json")

    assert 3 == len(json.loads(result.output)["statements"])
    assert "ON CLUSTER 'main'" in result.output


def test_a_dry_run_prints_the_statements_and_runs_none(
    dsn: str, faults: LoopbackClickHouse, database: str
) -> None:
    nothing = run("init", "--dsn", dsn, "--dry-run")
    faults.command(f"ALTER TABLE {database}.audit_logs DROP INDEX ix_trace_id")
    faults.command(f"ALTER TABLE {database}.audit_logs MODIFY COLUMN status_code UInt32")
    before = faults.command(f"SHOW CREATE TABLE {database}.audit_logs")
    missing = run("init", "--dsn", dsn, "--dry-run")

    assert (0, "") == (nothing.exit_code, nothing.stdout)
    assert "nothing to change" in nothing.stderr
    assert (
        f"ALTER TABLE {database}.audit_logs ADD INDEX IF NOT EXISTS ix_trace_id" in missing.stdout
    )
    assert 1 == missing.stdout.count(";\n")
    assert "column status_code" in missing.stderr
    assert before == faults.command(f"SHOW CREATE TABLE {database}.audit_logs")


def test_a_dry_run_of_an_upgrade_prints_its_statements(
    faults: LoopbackClickHouse, database: str
) -> None:
    create_older_table(faults, database)
    fill_older_table(faults, database, 300)
    planned = json.loads(run("init", "--dsn", faults.dsn(database), "--dry-run", "--json").stdout)
    made = tables(faults, database)
    run("init", "--dsn", faults.dsn(database))
    nothing = run("init", "--dsn", faults.dsn(database), "--dry-run", "--json")
    rename, *_, create, copy = planned["statements"]

    assert ["audit_logs"] == made
    assert "RENAME TABLE" in rename
    assert f"CREATE TABLE IF NOT EXISTS {database}.audit_logs" in create
    assert "INSERT INTO" in copy
    assert {"statements": []} == json.loads(nothing.stdout)
