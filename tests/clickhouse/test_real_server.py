"""
Features of real servers only: users and their grants, ``ON CLUSTER``, shards and replicas.

``AUDIT_TEST_CLICKHOUSE_URL`` names a server, as a user who may create users. Without it, a
container is started; the cluster always runs in containers. What a full server alone can do is
skipped without both.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from audit_handler import AuditHandler
from audit_handler.clickhouse import ClickHouse
from audit_handler.errors import SetupError
from audit_handler.schema import (
    access_statements,
    changes,
    query_names,
    retention_statements,
    script,
    statements,
)
from audit_handler.schema.upgrade import upgrade
from audit_handler.target import Target
from tests.support.containers import full_server, require_docker, start_cluster, url_of
from tests.support.engines import Engine
from tests.support.listening import NOT_HERE
from tests.support.older import create_older_table, fill_older_table
from tests.support.questions import ask
from tests.support.tables import rows, target_of

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

pytestmark = [pytest.mark.integration, pytest.mark.once, pytest.mark.timeout(600)]

MakeHandler = Callable[..., AuditHandler]

PASSWORDS = {f"{name}_password": uuid.uuid4().hex for name in ("writer", "reader", "auditor")}
ACCESS_DENIED = 497


@pytest.fixture(scope="module")
def node(request: pytest.FixtureRequest) -> str:
    """The URL of one full server."""
    return full_server(request) or pytest.skip(NOT_HERE)


@pytest.fixture(scope="module")
def servers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, DockerContainer]:
    """The servers of a cluster by host: ch1 and ch2 are one shard, ch3 and ch4 the other."""
    require_docker()
    return start_cluster(request, tmp_path_factory.mktemp("cluster"))


Connect = Callable[[Target], ClickHouse]


@pytest.fixture
def connect() -> Iterator[Connect]:
    made: list[ClickHouse] = []

    def make(target: Target) -> ClickHouse:
        made.append(ClickHouse(target, create_table=False, async_insert=False))
        return made[-1]

    yield make
    for clickhouse in made:
        clickhouse.close()


def as_user(target: Target, name: str) -> Target:
    return replace(target, user=f"audit_{name}", password=PASSWORDS[f"{name}_password"])


def give_access(admin: ClickHouse, target: Target) -> None:
    """Create the users with the passwords of this run, even if an earlier run created them."""
    on_cluster = f" ON CLUSTER '{target.cluster}'" if target.cluster else ""
    for name in ("writer", "reader", "auditor"):
        admin.command(f"DROP USER IF EXISTS audit_{name}{on_cluster}")
    for sql in access_statements(target):
        given = {name: value for name, value in PASSWORDS.items() if f"{{{name}:" in sql}
        admin.command(sql, given)


def refused(clickhouse: ClickHouse, sql: str) -> int | None:
    with pytest.raises(SetupError) as caught:
        clickhouse.command(sql)
    return caught.value.code


# One node


@pytest.fixture
def target(node: str, connect: Connect, database: str) -> Iterator[Target]:
    """A table with access for the three users."""
    target = target_of(node, database)
    admin = connect(target)
    admin.create_table()
    give_access(admin, target)
    yield target
    admin.command(f"DROP DATABASE {database}")


def test_the_writer_may_do_what_the_handler_does_and_no_more(
    target: Target, connect: Connect
) -> None:
    writer = connect(as_user(target, "writer"))
    writer.insert(rows(1, 2), token="w:1-2")
    table = f"{target.database}.{target.table}"

    assert {1, 2} == writer.stored("w", 1, 3, rows(1, 2, 3))
    assert writer.can_look_up
    assert {ACCESS_DENIED} == {
        refused(writer, f"SELECT action FROM {table}"),
        refused(writer, f"ALTER TABLE {table} DELETE WHERE 1"),
        refused(writer, f"TRUNCATE TABLE {table}"),
        refused(writer, f"DROP TABLE {table}"),
    }


def test_the_reader_may_ask_and_not_write(target: Target, connect: Connect) -> None:
    connect(as_user(target, "writer")).insert(rows(1), token="t")
    reader = connect(as_user(target, "reader"))
    answers = {name: ask(reader, name, target) for name in query_names()}

    assert answers.keys() == set(query_names())
    with pytest.raises(SetupError, match="readonly"):
        reader.insert(rows(2), token="u")
    assert ACCESS_DENIED == refused(reader, "SELECT query FROM system.query_log")


def test_the_auditor_sees_the_queries_of_each_user(target: Target, connect: Connect) -> None:
    ask(connect(as_user(target, "reader")), "top_users", target)
    connect(target).command("SYSTEM FLUSH LOGS")
    (found,) = connect(as_user(target, "auditor")).query(
        "SELECT count() AS n FROM system.query_log "
        f"WHERE user = 'audit_reader' AND has(tables, '{target.database}.{target.table}')"
    )

    assert found["n"]


def test_a_row_policy_narrows_what_the_reader_sees(target: Target, connect: Connect) -> None:
    admin = connect(target)
    admin.insert(rows(1, service_name="billing") + rows(2, service_name="shop"), token="t")
    for name in ("row_policy", "row_policy_for_the_others"):
        admin.command(script(f"access/examples/{name}.sql", target))
    sql = f"SELECT seq FROM {target.database}.{target.table} ORDER BY seq"

    assert [{"seq": 1}] == connect(as_user(target, "reader")).query(sql)
    assert [{"seq": 1}, {"seq": 2}] == connect(as_user(target, "auditor")).query(sql)


# A cluster


@pytest.fixture
def cluster(servers: dict[str, DockerContainer], database: str) -> Target:
    return replace(target_of(url_of(servers["ch1"]), database), cluster="{cluster}")


def everywhere(clickhouse: ClickHouse, table: str) -> list[dict[str, Any]]:
    """Return the rows of *table* on each server."""
    clickhouse.command(f"SYSTEM SYNC REPLICA {table} ON CLUSTER 'audit'")
    return clickhouse.query(
        f"SELECT hostName() AS host, count() AS n FROM clusterAllReplicas('audit', {table}) "
        "GROUP BY host ORDER BY host"
    )


def log_rows(name: str, first: int, count: int) -> None:
    log = logging.getLogger(name)
    for number in range(first, first + count):
        log.info("x", extra={"action": "READ", "agent_id": f"u-{number}"})


def test_the_tables_are_created_on_every_server_and_lack_nothing(
    cluster: Target, connect: Connect
) -> None:
    clickhouse = connect(cluster)
    clickhouse.create_table()
    clickhouse.create_table()
    found = clickhouse.query(
        "SELECT hostName() AS host, count() AS n FROM clusterAllReplicas('audit', system.tables) "
        f"WHERE database = '{cluster.database}' GROUP BY host ORDER BY host"
    )

    assert [2, 2, 2, 2] == [row["n"] for row in found]
    assert [] == changes(clickhouse, cluster)


def test_rows_are_on_both_shards_and_on_every_replica_once(
    cluster: Target, connect: Connect, make_handler: MakeHandler
) -> None:
    clickhouse = connect(cluster)
    dsn = f"http://{cluster.user}:{cluster.password}@{cluster.host}:{cluster.port}"
    handler = make_handler(
        dsn, database=cluster.database, cluster="{cluster}", logger=cluster.database
    )
    log_rows(cluster.database, 1, 1_000)
    assert handler.flush(60.0)
    ch1, ch2, ch3, ch4 = (
        r["n"] for r in everywhere(clickhouse, f"{cluster.database}.audit_logs_local")
    )

    assert (ch1, ch3) == (ch2, ch4)
    assert 1_000 == ch1 + ch3
    assert 0 < ch1 < 1_000


def test_a_batch_that_is_sent_again_is_stored_once_on_each_shard(
    cluster: Target, connect: Connect
) -> None:
    clickhouse = connect(cluster)
    clickhouse.create_table()
    batch = b"".join(rows(n, agent_id=f"u-{n}") for n in range(1, 501))
    for _ in range(3):
        clickhouse.insert(batch, token="w:1-500")
    counts = [r["n"] for r in everywhere(clickhouse, f"{cluster.database}.audit_logs_local")]

    assert 1_000 == sum(counts)


def test_while_a_shard_is_down_nothing_is_acknowledged_and_later_all_is_stored_once(
    servers: dict[str, DockerContainer],
    cluster: Target,
    connect: Connect,
    make_handler: MakeHandler,
) -> None:
    clickhouse = connect(cluster)
    dsn = f"http://{cluster.user}:{cluster.password}@{cluster.host}:{cluster.port}"
    handler = make_handler(
        dsn, database=cluster.database, cluster="{cluster}", logger=cluster.database
    )
    log_rows(cluster.database, 1, 100)
    assert handler.flush(60.0)
    shard = [servers[host].get_wrapped_container() for host in ("ch3", "ch4")]
    for container in shard:
        container.stop()
    log_rows(cluster.database, 101, 200)
    was_flushed = handler.flush(5.0)
    for container in shard:
        container.start()

    assert not was_flushed
    assert handler.flush(120.0)
    assert [{"rows": 300, "missing": 0, "repeated": 0}] == [
        {name: writer[name] for name in ("rows", "missing", "repeated")}
        for writer in ask(clickhouse, "completeness", cluster)
    ]


def test_a_clusters_writer_and_reader_have_what_they_need(
    cluster: Target, connect: Connect
) -> None:
    admin = connect(cluster)
    admin.create_table()
    give_access(admin, cluster)
    writer, reader = connect(as_user(cluster, "writer")), connect(as_user(cluster, "reader"))
    writer.insert(rows(1, 2, 3), token="w:1-3")
    for name in query_names():
        ask(reader, name, cluster)

    assert {1, 2, 3} == writer.stored("w", 1, 3, rows(1, 2, 3))
    assert ACCESS_DENIED == refused(writer, f"SELECT action FROM {cluster.database}.audit_logs")


def test_a_clusters_retention_is_changed_on_every_server(cluster: Target, connect: Connect) -> None:
    clickhouse = connect(cluster)
    clickhouse.create_table()
    for sql in retention_statements(cluster, "18 MONTH"):
        clickhouse.command(sql)
    found = clickhouse.query(
        "SELECT countIf(position(create_table_query, 'TTL greatest(event_date, "
        "toDate(ingested_at)) + toIntervalMonth(18)') > 0) AS n "
        "FROM clusterAllReplicas('audit', system.tables) "
        f"WHERE database = '{cluster.database}' AND name = 'audit_logs_local'"
    )

    assert [{"n": 4}] == found


def test_a_clusters_older_tables_are_upgraded_whole(
    servers: dict[str, DockerContainer], cluster: Target, connect: Connect
) -> None:
    """In 2025 each shard had a table of its own, without replicas: rows on ch1 and ch3 only."""
    clickhouse, name = connect(cluster), cluster.database
    for host in servers:
        one = connect(replace(target_of(url_of(servers[host]), name)))
        create_older_table(one, name, "audit_logs_local")
        if host in ("ch1", "ch2"):
            fill_older_table(one, name, 1_000, table="audit_logs_local")
    clickhouse.command(
        f"CREATE TABLE {name}.audit_logs ON CLUSTER 'audit' AS {name}.audit_logs_local "
        f"ENGINE = Distributed('audit', {name}, audit_logs_local, sipHash64(agent_id))"
    )
    done = upgrade(clickhouse, cluster)
    again = upgrade(clickhouse, cluster)

    assert 1_000 == sum(month.copied for month in done.months)
    assert 0 == again.copied_months
    assert [] == changes(clickhouse, cluster)
    assert 2_000 == sum(r["n"] for r in everywhere(clickhouse, f"{name}.audit_logs_local"))


def test_every_statement_of_the_files_is_known_to_the_server(
    real_server: Engine, connect: Connect, database: str
) -> None:
    """As clickhouse-client would run them: with comments, and with the semicolon."""
    target = target_of(real_server.dsn(database), database)
    admin = connect(target)
    for sql in (*statements(target), *statements(target)):
        admin.command(f"{sql};\n")
    admin.command(f"DROP DATABASE {database}")
