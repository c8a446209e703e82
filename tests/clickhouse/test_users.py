"""
Users of a real server: a writer that may only insert, and a reader whose profile is ``readonly=1``.

The users stand in ``users.xml``. ``test_real_server.py`` tests the roles of ``sql/access/``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from audit_handler import AuditHandler
from audit_handler.clickhouse import ClickHouse
from audit_handler.errors import SetupError
from audit_handler.schema import WRITTEN_COLUMNS
from tests.support.commands import audit, found, run
from tests.support.listening import ListeningClickHouse
from tests.support.listening.config import User
from tests.support.tables import Connect, count, rows

pytestmark = [pytest.mark.integration, pytest.mark.once, pytest.mark.usefixtures("no_settings")]

WRITER = User(name="only_writes", password="p&<1>", grants=["GRANT INSERT ON *.*"])
CREATOR = User(
    name="creates_tables",
    password="made-up",
    grants=["GRANT INSERT, CREATE TABLE ON *.*", "GRANT TABLE ENGINE ON *"],
)
NO_DDL = User(
    name="no_ddl", password="made-up", grants=["GRANT ALL ON *.*"], settings={"allow_ddl": 0}
)
READER = User(
    name="only_reads",
    password="p&<2>",
    grants=["GRANT SELECT ON *.*"],
    settings={"readonly": 1},
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ListeningClickHouse]:
    directory = tmp_path_factory.mktemp("users")
    with ListeningClickHouse(directory, users=[WRITER, CREATOR, NO_DDL, READER]) as server:
        yield server


@pytest.fixture(autouse=True)
def table(server: ListeningClickHouse, database: str) -> None:
    """An empty table in *database*, made by the administrator."""
    assert 0 == run("init", "--dsn", server.dsn(database)).exit_code


@pytest.fixture
def writer(server: ListeningClickHouse, connect: Connect, database: str) -> ClickHouse:
    return connect(server.dsn(database, user=WRITER), create_table=False)


@pytest.fixture
def write(
    server: ListeningClickHouse,
    make_handler: Callable[..., AuditHandler],
    database: str,
) -> Callable[[int], AuditHandler]:
    """Deliver a number of events as the writer."""

    def write(events: int) -> AuditHandler:
        handler = make_handler(server.dsn(database, user=WRITER), create_table=False)
        for number in range(events):
            audit(handler, resource_type="order", resource_id=f"o-{number}")
        assert handler.flush(60.0)
        return handler

    return write


def test_a_user_who_may_only_insert_delivers(
    server: ListeningClickHouse, write: Callable[[int], AuditHandler], database: str
) -> None:
    handler = write(10)

    assert (10, 0) == (handler.status().rows_stored, handler.status().rows_rejected)
    assert 10 == count(server, database)


def test_a_user_who_may_not_create_the_table_delivers_to_one_that_exists(
    server: ListeningClickHouse,
    connect: Connect,
    database: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    writer = connect(server.dsn(database, user=WRITER), create_table=True)
    for seq in (1, 2):
        writer.insert(rows(seq), token=f"w:{seq}")
        writer.close()  # so that it would create the table again

    assert 2 == count(server, database)
    assert 1 == caplog.text.count("the grant CREATE TABLE")


def test_a_user_without_ddl_delivers_to_a_table_that_exists(
    server: ListeningClickHouse, connect: Connect, database: str
) -> None:
    connect(server.dsn(database, user=NO_DDL), create_table=True).insert(rows(1), token="w:1")

    assert 1 == count(server, database)


def test_a_user_who_may_not_create_the_database_creates_the_table(
    server: ListeningClickHouse, connect: Connect, database: str
) -> None:
    server.command(f"DROP TABLE {database}.audit_logs SYNC")
    writer = connect(server.dsn(database, user=CREATOR), create_table=True)
    writer.insert(rows(1), token="w:1")

    assert 1 == count(server, database)


def test_a_look_up_that_is_refused_is_said_once_with_the_grant_that_it_needs(
    server: ListeningClickHouse,
    writer: ClickHouse,
    database: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(3):
        writer.insert(rows(1, 2), token="w:1-2")
        assert writer.stored("w", 1, 2, rows(1, 2)) is None

    (line,) = (each for each in caplog.messages if "cannot be looked up" in each)
    assert "grant SELECT(writer_id, seq, event_date)" in line
    assert not writer.can_look_up
    assert 2 == count(server, database)


def test_a_user_who_may_only_insert_cannot_search(
    server: ListeningClickHouse, write: Callable[[int], AuditHandler], database: str
) -> None:
    write(1)
    result = run("search", "--dsn", server.dsn(database, user=WRITER))

    assert 0 != result.exit_code
    assert "only_writes: Not enough privileges" in result.output
    assert WRITER.password not in result.output


def test_a_reader_searches_shows_and_verifies(
    server: ListeningClickHouse,
    write: Callable[[int], AuditHandler],
    database: str,
) -> None:
    write(5)
    dsn = ["--dsn", server.dsn(database, user=READER)]
    events = found(*dsn, "--resource", "order/o-3")
    shown = run("show", *dsn, events[0]["event_id"], "--json")
    everything = run("search", *dsn, "--all", "--format", "ndjson").stdout.splitlines()
    verified = run("verify-completeness", *dsn)

    assert ["o-3"] == [event["resource_id"] for event in events]
    assert "o-3" in shown.stdout
    assert 5 == len({json.loads(line)["seq"] for line in everything})
    assert (0, 0) == (shown.exit_code, verified.exit_code)


def test_a_reader_cannot_write(
    server: ListeningClickHouse, connect: Connect, database: str
) -> None:
    reader = connect(server.dsn(database, user=READER), create_table=False)

    with pytest.raises(SetupError):
        reader.insert(rows(1), token="t")
    assert 0 == count(server, database)


def test_an_added_column_that_the_user_may_not_fill_is_left_out(
    start_listening: Callable[..., ListeningClickHouse],
    connect: Connect,
    database: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With grants on columns, an administrator's new column stopped every insert."""
    columns = ", ".join((*WRITTEN_COLUMNS, "due"))
    grants = [f"GRANT INSERT({columns}), SELECT ON {database}.audit_logs"]
    user = User(name="by_column", password="made-up", grants=grants)
    server = start_listening(users=[user])
    connect(server.dsn(database)).create_table()
    server.command(
        f"ALTER TABLE {database}.audit_logs ADD COLUMN due String, ADD COLUMN `my, tenant` String"
    )
    clickhouse = connect(server.dsn(database, user=user), create_table=False)
    for number in (1, 2):
        clickhouse.insert(rows(number, **{"due": "now", "my, tenant": "t"}), token=f"w:{number}")
        clickhouse.close()
    lines = [each.getMessage() for each in caplog.records if "stay empty" in each.getMessage()]

    assert [{"due": "now", "my, tenant": ""}] * 2 == server.query(
        f"SELECT due, `my, tenant` FROM {database}.audit_logs"
    )
    assert 1 == len(lines)
    assert f"the columns my, tenant of table {database}.audit_logs stay empty" in lines[0]
