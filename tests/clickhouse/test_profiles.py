"""Users whose profile changes how ClickHouse reads inserts and answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from audit_handler.clickhouse import ClickHouse
from audit_handler.errors import DataError, TransientError
from tests.support.listening import ListeningClickHouse
from tests.support.listening.config import ADMIN, User
from tests.support.tables import Connect, count, rows

pytestmark = [pytest.mark.integration, pytest.mark.once]

_ALL = ["GRANT ALL ON *.*"]
SMALL_BLOCKS = User(
    name="small_blocks",
    password="made-up",
    grants=_ALL,
    settings={
        "max_insert_block_size": 10,
        "min_insert_block_size_rows": 10,
        "min_insert_block_size_bytes": 0,
    },
)
REFUSES_SCANS = User(
    name="refuses_scans",
    password="made-up",
    grants=_ALL,
    settings={
        "force_primary_key": 1,
        "force_index_by_date": 1,
        "max_rows_to_read": 2,
        "max_partitions_to_read": 2,
    },
)
CUT_ANSWERS = User(
    name="cut_answers",
    password="made-up",
    grants=_ALL,
    settings={"max_result_rows": 20, "result_overflow_mode": "break", "max_block_size": 10},
)
NO_TOKENS = User(
    name="no_tokens",
    password="made-up",
    grants=_ALL,
    settings={"deduplicate_insert": "disable", "insert_deduplicate": 0},
)

BREAKS = User(
    name="breaks",
    password="made-up",
    grants=_ALL,
    settings={"timeout_overflow_mode": "break", "max_execution_time": 0.5},
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ListeningClickHouse]:
    users = [SMALL_BLOCKS, REFUSES_SCANS, CUT_ANSWERS, NO_TOKENS, BREAKS]
    with ListeningClickHouse(tmp_path_factory.mktemp("profiles"), users=users) as server:
        yield server


def connected(
    server: ListeningClickHouse, connect: Connect, database: str, user: User
) -> ClickHouse:
    clickhouse = connect(server.dsn(database, user=user))
    clickhouse.create_table()
    return clickhouse


@pytest.mark.parametrize("bad", [{"agent_id": "stranger"}, {"due": "never"}])
def test_a_bad_row_leaves_nothing_stored_whatever_the_block_size(
    server: ListeningClickHouse, connect: Connect, database: str, bad: dict[str, str]
) -> None:
    """The rows before it would be stored twice: the rest of them goes under another token."""
    clickhouse = connected(server, connect, database, SMALL_BLOCKS)
    server.command(
        f"ALTER TABLE {database}.audit_logs ADD COLUMN due Date, "
        "ADD CONSTRAINT known CHECK agent_id != 'stranger'"
    )
    with pytest.raises(DataError) as raised:
        clickhouse.insert(rows(*range(1, 101)) + rows(101, **bad) + rows(102), token="w:1-102")

    assert (0, 101) == (count(server, database), raised.value.row)


def test_an_insert_that_takes_too_long_is_not_acknowledged(
    server: ListeningClickHouse, connect: Connect, database: str
) -> None:
    clickhouse = connected(server, connect, database, BREAKS)
    server.command(
        f"ALTER TABLE {database}.audit_logs ADD COLUMN slow UInt8 MATERIALIZED sleepEachRow(0.01)"
    )
    with pytest.raises(TransientError):
        clickhouse.insert(rows(*range(1, 101)), token="w:1-100")

    assert 0 == count(server, database)


def test_a_look_up_is_never_cut_short(
    server: ListeningClickHouse, connect: Connect, database: str
) -> None:
    clickhouse = connected(server, connect, database, CUT_ANSWERS)
    lines = rows(*range(1, 1_001))
    clickhouse.insert(lines, token="w:1-1000")

    assert set(range(1, 1_001)) == clickhouse.stored("w", 1, 1_000, lines)


def test_a_look_up_is_never_refused(
    server: ListeningClickHouse, connect: Connect, database: str
) -> None:
    clickhouse = connected(server, connect, database, REFUSES_SCANS)
    server.command(
        f"ALTER TABLE {database}.audit_logs MODIFY COLUMN event_date DEFAULT "
        "CAST(event_time, 'Date')"
    )
    for month in range(1, 10):
        moment = f"2026-0{month}-10 10:00:00.000000"
        clickhouse.insert(rows(month, event_time=moment), token=f"w:{month}")

    assert set() == clickhouse.stored("w", 20, 20, rows(20))


def test_a_look_up_is_not_filtered(
    start_listening: Callable[..., ListeningClickHouse], connect: Connect, database: str
) -> None:
    filters = {"additional_table_filters": f"{{'{database}.audit_logs': 'seq = 0'}}"}
    user = User(name="filtered", password="made-up", grants=_ALL, settings=filters)
    clickhouse = connected(start_listening(users=[user]), connect, database, user)
    clickhouse.insert(rows(1), token="w:1")

    assert [{"n": 0}] == clickhouse.query(f"SELECT count() AS n FROM {database}.audit_logs")
    assert {1} == clickhouse.stored("w", 1, 1, rows(1))


def test_a_token_counts_for_every_user(
    server: ListeningClickHouse, connect: Connect, database: str
) -> None:
    clickhouse = connected(server, connect, database, NO_TOKENS)
    for _ in range(2):
        clickhouse.insert(rows(1, 2), token="w:1-2")

    assert 2 == count(server, database)


def test_a_row_policy_is_seen(
    start_listening: Callable[..., ListeningClickHouse], connect: Connect, database: str
) -> None:
    policy = f"<{database}><audit_logs><filter>agent_id = 'me'</filter></audit_logs></{database}>"
    limited = User(name="limited", password="made-up", grants=_ALL, databases=policy)
    server = start_listening(users=[limited])
    everything = connected(server, connect, database, ADMIN)
    some = connect(server.dsn(database, user=limited))
    lines = rows(1, agent_id="me") + rows(2)
    some.insert(lines, token="w:1-2")

    assert ({1}, {1, 2}) == (some.stored("w", 1, 2, lines), everything.stored("w", 1, 2, lines))
    assert (True, False) == (some.hides_rows(), everything.hides_rows())
    # Not an empty set: they would pass for missing.
    assert some.stored("w", 2, 2, rows(2)) is None
