"""A cluster in one process: rows through a Distributed table, each stored once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from audit_handler import AuditHandler
from audit_handler.clickhouse import ClickHouse
from audit_handler.errors import SetupError, TransientError
from audit_handler.schema import changes, query_names, statements
from audit_handler.schema.upgrade import upgrade
from audit_handler.target import Target
from tests.support.loopback import LoopbackClickHouse
from tests.support.loopback.cluster import OneServer, on_one_server, write_config
from tests.support.older import create_older_table, fill_older_table
from tests.support.questions import ask, record, rows

pytestmark = pytest.mark.once

MakeHandler = Callable[..., AuditHandler]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackClickHouse]:
    path = tmp_path_factory.mktemp("cluster")
    with LoopbackClickHouse.start(path / "data", config=write_config(path)) as server:
        yield server


@pytest.fixture
def target(server: LoopbackClickHouse, database: str) -> Target:
    return Target(
        scheme="http", host="127.0.0.1", port=server.port, database=database, cluster="{cluster}"
    )


@pytest.fixture
def clickhouse(server: LoopbackClickHouse, target: Target) -> Iterator[ClickHouse]:
    server.clear_faults()
    clickhouse = ClickHouse(target, create_table=False, async_insert=False)
    yield clickhouse
    clickhouse.close()
    server.clear_faults()


@pytest.fixture
def tables(clickhouse: ClickHouse, target: Target) -> Target:
    """The tables of the cluster of one shard, with a local table that accepts rows."""
    for sql in statements(target):
        OneServer(clickhouse).command(sql)
    return target


def front_over(server: LoopbackClickHouse, target: Target, cluster: str) -> None:
    """Put the Distributed table over *cluster*."""
    create = on_one_server(statements(target)[-1])
    server.command(f"DROP TABLE {target.database}.{target.table} SYNC")
    server.command(create.replace("'{cluster}'", f"'{cluster}'"))


def stored(server: LoopbackClickHouse, table: str) -> list[int]:
    return [row["seq"] for row in server.query(f"SELECT seq FROM {table} ORDER BY seq")]


def test_the_files_create_replicated_tables_that_lack_nothing(
    server: LoopbackClickHouse, clickhouse: ClickHouse, target: Target
) -> None:
    """On ClickHouse's keeper for tests, which accepts the DDL but no rows."""
    for sql in statements(target):
        server.command(on_one_server(sql))
    engines = server.query(
        f"SELECT name, engine FROM system.tables WHERE database = '{target.database}' ORDER BY name"
    )

    assert [
        {"name": "audit_logs", "engine": "Distributed"},
        {"name": "audit_logs_local", "engine": "ReplicatedMergeTree"},
    ] == engines
    assert [] == changes(clickhouse, target)


def test_missing_columns_are_added_to_both_tables_of_a_cluster(
    server: LoopbackClickHouse, clickhouse: ClickHouse, target: Target
) -> None:
    for sql in statements(target):
        server.command(
            on_one_server(re.sub(r"\n    span_id .*|\n    INDEX ix_session_id .*", "", sql))
        )
    found = changes(clickhouse, target)
    name = target.database

    assert [
        f"column span_id of {name}.audit_logs_local is missing",
        f"index ix_session_id of {name}.audit_logs_local is missing",
        f"column span_id of {name}.audit_logs is missing",
    ] == [change.what for change in found]
    assert all(f"{change.sql}".count("ON CLUSTER '{cluster}'") == 1 for change in found)


def test_a_batch_that_is_sent_again_is_stored_once(
    server: LoopbackClickHouse, clickhouse: ClickHouse, tables: Target
) -> None:
    for _ in range(3):
        clickhouse.insert(rows(1, 2, 3), token="w:1-3")

    assert [1, 2, 3] == stored(server, f"{tables.database}.audit_logs")
    assert [1, 2, 3] == stored(server, f"{tables.database}.audit_logs_local")


def test_an_answer_that_is_lost_leaves_each_row_once(
    server: LoopbackClickHouse, tables: Target, make_handler: MakeHandler
) -> None:
    server.fault("execute_then_reset", times=2)
    handler = make_handler(server.dsn(tables.database), create_table=False)
    for number in range(200):
        handler.handle(record(number))

    assert handler.flush(30.0)
    assert list(range(1, 201)) == stored(server, f"{tables.database}.audit_logs_local")


def test_with_a_dead_shard_nothing_is_acknowledged_and_later_all_is_stored_once(
    server: LoopbackClickHouse, tables: Target, make_handler: MakeHandler
) -> None:
    """
    An insert in the background would have been acknowledged, with half of the rows in a queue.
    """
    front_over(server, tables, "half_dead")
    server.forget_requests()
    handler = make_handler(server.dsn(tables.database), create_table=False)
    for number in range(200):
        handler.handle(record(number))
    server.wait_for_request()
    was_flushed = handler.flush(0.0)
    before = (handler.status().rows_stored, stored(server, f"{tables.database}.audit_logs_local"))
    front_over(server, tables, "one")

    assert not was_flushed
    assert (0, []) == before
    assert handler.flush(30.0)
    assert list(range(1, 201)) == stored(server, f"{tables.database}.audit_logs")


def test_a_dead_shard_is_an_error_that_is_tried_again(
    server: LoopbackClickHouse, clickhouse: ClickHouse, tables: Target
) -> None:
    front_over(server, tables, "half_dead")
    with pytest.raises(TransientError) as caught:
        clickhouse.insert(rows(*range(1, 100)), token="w:1-99")

    assert 210 == caught.value.code


@pytest.mark.parametrize("name", query_names())
def test_a_question_has_one_answer_through_both_tables(
    clickhouse: ClickHouse, tables: Target, name: str
) -> None:
    clickhouse.insert(rows(*range(1, 10)), token="w:1-9")
    answer = ask(clickhouse, name, tables)

    assert answer
    assert answer == ask(clickhouse, name, tables, "audit_logs_local")


def test_a_cluster_without_a_distributed_table_in_front_is_left_as_it_is(
    server: LoopbackClickHouse, clickhouse: ClickHouse, target: Target
) -> None:
    """The table there may hold rows of its own."""
    name = target.database
    create_older_table(server, name, "audit_logs_local")
    create_older_table(server, name, "audit_logs")
    tables = f"SELECT name, engine FROM system.tables WHERE database = '{name}' ORDER BY name"
    before = server.query(tables)
    with pytest.raises(SetupError, match="needs a Distributed one in front"):
        upgrade(OneServer(clickhouse), target)
    found = changes(clickhouse, target)

    assert before == server.query(tables)
    assert [None, None] == [change.sql for change in found]
    assert "needs a Distributed one in front" in found[1].what


def test_a_clusters_older_tables_are_upgraded(
    server: LoopbackClickHouse, clickhouse: ClickHouse, target: Target
) -> None:
    name = target.database
    create_older_table(server, name, "audit_logs_local")
    fill_older_table(server, name, 3_000, table="audit_logs_local")
    server.command(
        f"CREATE TABLE {name}.audit_logs AS {name}.audit_logs_local "
        f"ENGINE = Distributed('one', {name}, audit_logs_local, sipHash64(agent_id))"
    )
    clickhouse.insert(rows(1), token="t")
    done = upgrade(OneServer(clickhouse), target)
    clickhouse.insert(rows(2), token="u")
    again = upgrade(OneServer(clickhouse), target)

    assert (True, 3_001, False, 0) == (
        done.was_set_aside,
        sum(month.copied for month in done.months),
        again.was_set_aside,
        again.copied_months,
    )
    for table in ("audit_logs", "audit_logs_local"):
        assert [{"n": 3_002, "ids": 3_002, "seqs": 1}] == server.query(
            "SELECT count() AS n, uniqExact(event_id) AS ids, "
            f"countIf(writer_id = 'w' AND seq = 2) AS seqs FROM {name}.{table}"
        )
