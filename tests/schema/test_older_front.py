"""
The tables of a cluster that release 0.1.0 made: a Distributed front, and local tables on two real
servers.

``ON CLUSTER`` needs Keeper, which these servers do not have. So each statement that `init` would
run on the cluster runs on each server here; that ClickHouse distributes it is not tested.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest

from audit_handler import AuditHandler
from audit_handler.clickhouse import ClickHouse
from audit_handler.schema import Change, changes, script, statements
from audit_handler.target import Target
from tests.support.commands import audit, check_steps
from tests.support.listening.shards import TwoShards
from tests.support.loopback.cluster import on_one_server, unreplicated
from tests.support.tables import Connect, target_of

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_settings")]

MakeHandler = Callable[..., AuditHandler]

EARLIER = (
    "ALTER TABLE {}.audit_logs_local MODIFY TTL event_date + INTERVAL 2 YEAR",
    "ALTER TABLE {}.audit_logs_local DROP CONSTRAINT time_is_sane, ADD CONSTRAINT time_is_sane "
    "CHECK event_time >= toDateTime64('2020-01-01 00:00:00', 6, 'UTC')",
    "DROP TABLE {}.audit_logs SYNC",
    # The front copies the constraint.
    "CREATE TABLE {0}.audit_logs AS {0}.audit_logs_local "
    "ENGINE = Distributed('{{cluster}}', '{0}', 'audit_logs_local', sipHash64(agent_id))",
)


@pytest.fixture
def earlier(two_shards: TwoShards, database: str) -> TwoShards:
    """The two servers, with the tables of release 0.1.0."""
    for sql in EARLIER:
        on_each(two_shards, sql.format(database))
    return two_shards


@pytest.fixture
def target(two_shards: TwoShards, database: str) -> Target:
    return target_of(two_shards.dsn(database), database, cluster="{cluster}")


@pytest.fixture
def clickhouse(target: Target) -> Iterator[ClickHouse]:
    clickhouse = ClickHouse(target, create_table=False, async_insert=False)
    yield clickhouse
    clickhouse.close()


def on_each(shards: TwoShards, sql: str) -> None:
    for server in shards.servers:
        server.command(unreplicated(on_one_server(sql)))


def differences(clickhouse: ClickHouse, target: Target) -> list[Change]:
    """Return the changes but those of replication, which these tables do not have."""
    found = changes(clickhouse, target)
    return [change for change in found if not change.what.startswith("setting replicated_")]


def audit_past(make_handler: MakeHandler, shards: TwoShards, database: str) -> AuditHandler:
    """Audit 40 events of 2012 by 40 users, so that both shards get some."""
    handler = make_handler(shards.dsn(database), create_table=False)
    for number in range(40):
        audit(handler, agent_id=f"u-{number}", event_time="2012-06-01T10:00:00Z")
    return handler


def test_init_makes_the_local_tables_keep_the_past_and_names_the_way_for_the_front(
    earlier: TwoShards,
    clickhouse: ClickHouse,
    target: Target,
    database: str,
    make_handler: MakeHandler,
) -> None:
    found = differences(clickhouse, target)
    for change in found:
        if change.sql is not None:
            on_each(earlier, change.sql)
    left = differences(clickhouse, target)
    # What the remedy says.
    for name in ("2_flush_front", "3_drop_front"):
        on_each(earlier, script(f"upgrade/cluster/{name}.sql", target))
    on_each(earlier, statements(target)[-1])
    handler = audit_past(make_handler, earlier, database)

    assert handler.flush()
    for server in earlier.servers:
        server.command(f"OPTIMIZE TABLE {database}.audit_logs_local FINAL")
    counts = earlier.local_counts(database)
    name = f"{database}.audit_logs"
    assert [
        f"constraint time_is_sane of {name}_local rejects events from before 2020",
        f"the retention of {name}_local counts from the event alone, so it drops past events at "
        "once",
        f"constraint time_is_sane of {name} rejects events from before 2020",
    ] == [change.what for change in found]
    assert [True, True, False] == [
        "ON CLUSTER '{cluster}'" in (change.sql or "") for change in found
    ]
    assert [(found[2].what, None)] == [(change.what, change.sql) for change in left]
    assert "3_drop_front.sql" in left[0].remedy
    assert [] == differences(clickhouse, target)
    assert (40, True) == (sum(counts), min(counts) > 0)


def test_check_warns_of_an_earlier_front_and_of_its_local_tables(
    earlier: TwoShards, database: str
) -> None:
    arguments = ["--dsn", earlier.dsn(database), "--cluster", "{cluster}"]
    state, detail, remedy = check_steps(*arguments)["table"]

    assert ("warning", True) == (state, "time_is_sane" in detail)
    assert "3_drop_front.sql" in remedy


@pytest.mark.parametrize("cluster", ["{cluster}", ""])
def test_the_log_warns_of_the_local_tables_behind_a_front(
    earlier: TwoShards,
    database: str,
    cluster: str,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The application need not name the cluster."""
    clickhouse = connect(earlier.dsn(database), create_table=False, cluster=cluster)
    with caplog.at_level(logging.WARNING, "audit_handler"):
        clickhouse.stored("w", 1, 1, b"")

    assert f"table {database}.audit_logs_local drops events of the past" in caplog.text
