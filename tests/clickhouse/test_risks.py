"""The log names what in a table loses rows that ClickHouse has acknowledged."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from audit_handler.schema import changes
from tests.support.listening import ListeningClickHouse
from tests.support.listening.config import ADMIN, CLUSTER, User
from tests.support.loopback import LoopbackClickHouse
from tests.support.tables import Connect, count, create_with_engine, rows, target_of

pytestmark = pytest.mark.once

PAST = "drops events of the past"


def warnings(caplog: pytest.LogCaptureFixture, text: str) -> list[str]:
    return [line for record in caplog.records if text in (line := record.getMessage())]


def create(
    faults: LoopbackClickHouse, database: str, connect: Connect, change: str
) -> tuple[str, str]:
    """Create the table with *change*; return its name and the dsn."""
    table, dsn = f"{database}.audit_logs", faults.dsn(database)
    connect(dsn).create_table()
    faults.command(f"ALTER TABLE {table} {change}")
    return table, dsn


@pytest.mark.parametrize(
    "ttl",
    [
        "event_date + INTERVAL 2 YEAR",
        "toDateTime(event_time) + INTERVAL 90 DAY DELETE WHERE action = 'READ'",
    ],
)
def test_a_retention_by_event_time_alone_is_reported_once(
    faults: LoopbackClickHouse,
    database: str,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
    ttl: str,
) -> None:
    table, dsn = create(faults, database, connect, f"MODIFY TTL {ttl}")
    other = connect(dsn)
    for number in (2, 3, 4):
        other.insert(rows(number), token=f"t{number}")
        other.close()  # the next insert connects and describes the table again
    (warning,) = warnings(caplog, PAST)

    assert warning.startswith(f"table {table} {PAST}")
    assert "audit-handler init" in warning


@pytest.mark.parametrize("kind", ["DEFAULT", "MATERIALIZED"])
def test_a_retention_through_another_column_is_reported_once(
    faults: LoopbackClickHouse,
    database: str,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
    kind: str,
) -> None:
    table, dsn = create(
        faults,
        database,
        connect,
        f"ADD COLUMN keep_until Date {kind} toDate(event_time) + INTERVAL 2 YEAR, "
        "MODIFY COLUMN request_body TTL event_date + INTERVAL 1 YEAR",
    )
    faults.command(f"ALTER TABLE {table} MODIFY TTL keep_until")
    other = connect(dsn)
    for number in (2, 3):
        other.insert(rows(number), token=f"t{number}")
        other.close()
    (warning,) = warnings(caplog, PAST)
    (of_column,) = warnings(caplog, "column request_body of table")
    found = [each.what for each in changes(other, target_of(dsn, database))]

    assert "(TTL keep_until)" in warning
    assert "(TTL event_date + toIntervalYear(1))" in of_column
    assert ["the TTL of column request_body", f"the retention of {table} counts from"] == [
        found[0][:30],
        found[1][: len(f"the retention of {table} counts from")],
    ]


@pytest.mark.parametrize(
    "ttl",
    [
        "greatest(event_date, toDate(ingested_at)) + INTERVAL 90 DAY",
        "ingested_at + INTERVAL 2 YEAR, event_date + INTERVAL 1 MONTH RECOMPRESS CODEC(ZSTD(9))",
    ],
)
def test_a_retention_that_keeps_past_events_is_not_reported(
    faults: LoopbackClickHouse,
    database: str,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
    ttl: str,
) -> None:
    _table, dsn = create(faults, database, connect, f"MODIFY TTL {ttl}")
    connect(dsn).insert(rows(2), token="t2")

    assert [] == warnings(caplog, PAST)


def test_the_engine_is_asked_for_once_and_not_at_each_insert(
    faults: LoopbackClickHouse, database: str, connect: Connect
) -> None:
    clickhouse = connect(faults.dsn(database))
    faults.forget_requests()
    for number in range(1, 5):
        clickhouse.insert(rows(number), token=f"t{number}")

    assert 1 == len(faults.requests("FROM system.tables"))


@pytest.mark.parametrize(("code", "asked"), [(497, 1), (202, 2)])
def test_an_insert_succeeds_if_the_engine_cannot_be_read(
    faults: LoopbackClickHouse, database: str, connect: Connect, code: int, asked: int
) -> None:
    clickhouse = connect(faults.dsn(database))
    faults.forget_requests()
    faults.fault("error", match="FROM system.tables", code=code)
    for number in (1, 2):
        clickhouse.insert(rows(number), token=f"t{number}")
        clickhouse.close()

    assert asked == len(faults.requests("FROM system.tables"))
    assert 2 == count(faults, database)


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        ("ReplacingMergeTree ORDER BY (agent_id, event_time)", "events disappear"),
        ("SummingMergeTree ORDER BY agent_id", "events disappear"),
        ("Buffer({database}, store, 1, 60, 60, 99, 99, 99999, 99999)", "name the table behind it"),
        ("Memory", "a restart of ClickHouse loses them"),
        ("Null", "keeps no rows"),
        ("Log", "neither recognises a repeated insert"),
    ],
)
def test_an_engine_that_loses_rows_is_reported_once(
    faults: LoopbackClickHouse,
    database: str,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
    engine: str,
    said: str,
) -> None:
    table = create_with_engine(faults, database, engine.format(database=database))
    clickhouse = connect(faults.dsn(database), create_table=False)
    for number in (1, 2):
        clickhouse.insert(rows(number), token=f"t{number}")
        clickhouse.close()
    (warning,) = warnings(caplog, f"table {table} has the engine {engine.split('(')[0].split()[0]}")

    assert said in warning


@pytest.mark.parametrize(
    "engine", ["ReplacingMergeTree ORDER BY event_id", "MergeTree ORDER BY agent_id"]
)
def test_an_engine_that_keeps_every_row_is_not_reported(
    faults: LoopbackClickHouse,
    database: str,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
    engine: str,
) -> None:
    create_with_engine(faults, database, engine)
    connect(faults.dsn(database), create_table=False).insert(rows(1), token="t")

    assert [] == warnings(caplog, "has the engine")


@pytest.mark.integration
def test_an_engine_behind_a_distributed_table_is_reported(
    listening: ListeningClickHouse,
    database: str,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
) -> None:
    table = create_with_engine(listening, database, "Memory")
    put_front(listening, table, "sipHash64(agent_id)")
    connect(listening.dsn(database), create_table=False).insert(rows(1), token="t")
    (warning,) = warnings(caplog, "has the engine")

    assert f"table {database}.local has the engine Memory" in warning


SEES_NOTHING = User(name="sees_nothing", password="made-up", grants=["GRANT INSERT ON *.*"])


@pytest.mark.integration
def test_a_random_sharding_key_is_reported_to_a_writer_that_cannot_look_rows_up(
    start_listening: Callable[..., ListeningClickHouse],
    database: str,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its rows go to other shards when they are sent again: some were lost, others doubled."""
    server = start_listening(users=[SEES_NOTHING])
    table = create_with_engine(server, database, "MergeTree ORDER BY agent_id")
    put_front(server, table, "rand()")
    warned = []
    for user in (ADMIN, SEES_NOTHING):
        clickhouse = connect(server.dsn(database, user=user), create_table=False)
        for number in (1, 2):
            clickhouse.insert(rows(number), token=f"t{number}")
            clickhouse.close()
        warned.append(warnings(caplog, f"table {table} distributes rows by rand()"))

    assert [0, 1] == [len(each) for each in warned]
    assert "grant SELECT(writer_id, seq, event_date)" in warned[1][0]


@pytest.mark.integration
def test_check_names_a_random_sharding_key(
    listening: ListeningClickHouse, database: str, connect: Connect
) -> None:
    table = create_with_engine(listening, database, "MergeTree ORDER BY agent_id")
    put_front(listening, table, "rand()")
    dsn = listening.dsn(database)
    found = [each.what for each in changes(connect(dsn), target_of(dsn, database))]

    assert f"{table} distributes rows by rand(): " in found[0]


def put_front(server: ListeningClickHouse, table: str, key: str) -> None:
    """Rename *table* to ``local``, and put a Distributed table with *key* in front."""
    database, _, _ = table.partition(".")
    server.command(f"RENAME TABLE {table} TO {database}.local")
    server.command(
        f"CREATE TABLE {table} AS {database}.local "
        f"ENGINE = Distributed({CLUSTER}, {database}, local, {key})"
    )
