"""
Every file of sql/ is one statement that the engine can parse; it runs those that it can run here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit_handler.clickhouse import ClickHouse
from audit_handler.errors import (
    ConfigurationError,
)
from audit_handler.schema import (
    COLUMNS,
    access_statements,
    query,
    query_names,
    retention_statements,
    script,
    statements,
)
from audit_handler.schema._files import sql_directory
from audit_handler.target import Target
from tests.support.loopback import LoopbackClickHouse
from tests.support.loopback.cluster import on_one_server, write_config
from tests.support.tables import rows, target_of

pytestmark = pytest.mark.once

NODE = Target(scheme="https", host="ch")
CLUSTER = Target(scheme="https", host="ch", cluster="{cluster}")
FILES = sorted(path.relative_to(sql_directory()) for path in sql_directory().rglob("*.sql"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackClickHouse]:
    """A server with a disk for backups."""
    path = tmp_path_factory.mktemp("files")
    with LoopbackClickHouse.start(path / "data", config=write_config(path)) as server:
        yield server


@pytest.fixture
def target(server: LoopbackClickHouse, database: str) -> Target:
    return target_of(server.dsn(), database)


@pytest.fixture
def clickhouse(target: Target) -> Iterator[ClickHouse]:
    """A connection to a table of three rows."""
    clickhouse = ClickHouse(target, create_table=True, async_insert=False)
    clickhouse.insert(rows(1, 2, 3), token="t")
    yield clickhouse
    clickhouse.close()


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_file_is_one_statement_that_the_engine_reads(
    server: LoopbackClickHouse, path: Path
) -> None:
    sql = (sql_directory() / path).read_text()
    quoted = sql.replace("\\", "\\\\").replace("'", "\\'")

    assert sql.endswith(";\n")
    assert server.command(f"SELECT formatQuerySingleLine('{quoted}')")


def test_the_engine_rejects_a_statement_that_it_cannot_read(server: LoopbackClickHouse) -> None:
    """Otherwise the test before this one would prove nothing."""
    with pytest.raises(Exception, match="62"):
        server.command("SELECT formatQuerySingleLine('CREATE ROLE IF NOT a')")


@pytest.mark.parametrize("path", [p for p in FILES if "cluster" in p.parts], ids=str)
def test_a_clusters_file_runs_on_all_of_it(path: Path) -> None:
    assert " ON CLUSTER '{cluster}'" in (sql_directory() / path).read_text()


@pytest.mark.parametrize("path", [p for p in FILES if "cluster" not in p.parts], ids=str)
def test_any_other_file_names_no_cluster(path: Path) -> None:
    sql = re.sub("--.*", "", (sql_directory() / path).read_text())

    assert "CLUSTER" not in sql


# Access


def test_a_clusters_access_is_that_of_a_node_and_of_its_local_table() -> None:
    local = re.compile(r",\s+(\w+, )*\w+(\([^)]*\))? ON audit_db\.audit_logs_local")
    without = [
        re.sub(r"sql/access/\w+/", "", local.sub("", on_one_server(sql)))
        for sql in access_statements(CLUSTER)
    ]

    assert [re.sub(r"sql/access/\w+/", "", sql) for sql in access_statements(NODE)] == without
    assert 3 == sum("audit_logs_local" in sql for sql in access_statements(CLUSTER))


def test_no_file_contains_a_password() -> None:
    users = [sql for sql in access_statements(NODE) if "IDENTIFIED" in sql]

    assert ["writer", "reader", "auditor"] == [
        re.findall(r"IDENTIFIED WITH sha256_password BY \{(\w+)_password:String\}$", sql)[0]
        for sql in users
    ]


def test_the_writer_may_read_no_more_than_the_look_up_needs() -> None:
    (grant,) = (sql for sql in access_statements(NODE) if "TO audit_writer_role" in sql)

    assert grant.endswith(
        "GRANT INSERT, SELECT(writer_id, seq, event_date) ON audit_db.audit_logs "
        "TO audit_writer_role"
    )


# Retention


def ttl(server: LoopbackClickHouse, target: Target) -> str:
    ddl = server.command(f"SHOW CREATE TABLE {target.database}.{target.table}")
    (found,) = re.findall(r"TTL greatest\(event_date, toDate\(ingested_at\)\) \+ (\w+\(\d+\))", ddl)
    return str(found)


def test_retention_is_two_years_and_can_be_changed(
    server: LoopbackClickHouse, clickhouse: ClickHouse, target: Target
) -> None:
    before = ttl(server, target)
    for sql in retention_statements(target, "18 months"):
        clickhouse.command(sql)

    assert ("toIntervalYear(2)", "toIntervalMonth(18)") == (before, ttl(server, target))


def test_a_table_is_created_with_another_retention(
    server: LoopbackClickHouse, target: Target
) -> None:
    for sql in statements(target, retention="400 day"):
        server.command(sql)

    assert "toIntervalDay(400)" == ttl(server, target)


@pytest.mark.parametrize(
    "retention", ["", "2", "YEAR", "0 DAY", "2 YEAR; DROP", "-1 DAY", "1 HOUR"]
)
def test_a_retention_that_is_no_length_of_time_is_rejected(retention: str) -> None:
    with pytest.raises(ConfigurationError, match="retention="):
        retention_statements(NODE, retention)


# Backup


def test_a_backup_is_restored_beside_the_table(
    server: LoopbackClickHouse, clickhouse: ClickHouse, target: Target
) -> None:
    name = {"name": f"{target.database}-2026-11-23"}
    clickhouse.command(script("backup/node/backup.sql", target), name)
    clickhouse.insert(rows(4), token="u")
    clickhouse.command(script("backup/node/restore.sql", target), name)
    columns = ", ".join(COLUMNS)

    assert server.query(
        f"SELECT {columns} FROM {target.database}.audit_logs WHERE seq < 4 ORDER BY seq"
    ) == server.query(f"SELECT {columns} FROM {target.database}.audit_logs_restored ORDER BY seq")


def test_a_second_backup_of_one_name_is_rejected(clickhouse: ClickHouse, target: Target) -> None:
    name = {"name": f"{target.database}-twice"}
    backup = script("backup/node/backup.sql", target)
    clickhouse.command(backup, name)
    with pytest.raises(Exception, match="598"):
        clickhouse.command(backup, name)


# Questions


def test_an_unknown_query_is_rejected_with_the_names_of_the_others() -> None:
    with pytest.raises(ConfigurationError, match="use one of activity_by_day, by_request"):
        query("by_user; DROP", NODE)


@pytest.mark.parametrize("name", query_names())
def test_a_query_begins_with_its_question(name: str) -> None:
    assert re.match(r"-- [A-Z].*\?", query(name, NODE))


def test_the_cluster_statements_are_sql(faults: LoopbackClickHouse, database: str) -> None:
    """Executed for real only where there is a cluster; the engine parses them here."""
    target = target_of(faults.dsn(), database, cluster="c1")
    for statement in statements(target):
        quoted = statement.replace("\\", "\\\\").replace("'", "\\'")
        (row,) = faults.query(f"SELECT formatQuerySingleLine('{quoted}') AS line")
        assert row["line"].startswith("CREATE")
        assert "ON CLUSTER c1" in row["line"]
