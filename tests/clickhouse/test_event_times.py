"""A table stores the moment of an event, in whatever zone its column and its server are."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit_handler.clickhouse import ClickHouse
from audit_handler.clickhouse._event_times import EventTimes
from audit_handler.schema import statements
from tests.support.commands import environment_with
from tests.support.listening import ListeningClickHouse
from tests.support.listening.config import ADMIN, User
from tests.support.older import create_older_table
from tests.support.tables import Connect, count, rows, target_of

MOMENT = "2026-11-23 10:00:00.123456"
MICROSECONDS = 1_795_428_000_123_456

OURS = "DateTime64(6, 'UTC') COMMENT"
IN_NEW_YORK = User(
    name="in_new_york",
    password="made-up",
    grants=["GRANT ALL ON *.*"],
    settings={"session_timezone": "America/New_York", "date_time_input_format": "basic"},
)
EMBEDDED = """
import sys, tempfile
from pathlib import Path
from audit_handler.clickhouse import ClickHouse
from audit_handler.target import Target
from tests.support.older import create_older_table
from tests.support.tables import rows
with tempfile.TemporaryDirectory() as directory:
    path = Path(directory, "rows.ndjson")
    path.write_bytes(rows(1, event_time="2026-11-23 10:00:00.123456"))
    clickhouse = ClickHouse(
        Target(scheme="chdb", host=directory + "/data", database="audit_db"),
        create_table=False, async_insert=False,
    )
    create_older_table(clickhouse, "audit_db")
    clickhouse.insert(path.read_bytes(), token="t", path=path)
    stored = "SELECT toUnixTimestamp64Milli(event_time) AS t FROM audit_db.audit_logs"
    print(clickhouse.query(stored)[0]["t"])
    clickhouse.close()
"""


@pytest.fixture(scope="module")
def tokyo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ListeningClickHouse]:
    """A server whose zone is Tokyo's."""
    directory = tmp_path_factory.mktemp("tokyo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        server = ListeningClickHouse(directory, users=[IN_NEW_YORK])
    with server:
        yield server


def connected(
    server: ListeningClickHouse, connect: Connect, database: str, column_type: str, user: User
) -> ClickHouse:
    """Return a connection of *user* to a table whose *event_time* is of *column_type*."""
    dsn = server.dsn(database, user=user)
    for statement in statements(target_of(dsn, database)):
        server.command(statement.replace(OURS, f"{column_type} COMMENT"))
    return connect(dsn, create_table=False)


def stored_time(server: ListeningClickHouse, database: str, function: str) -> int:
    """Return the *event_time* of the one row, in the unit of *function*."""
    (row,) = server.query(f"SELECT {function}(event_time) AS t FROM {database}.audit_logs")
    return int(row["t"])


@pytest.mark.integration
@pytest.mark.once
@pytest.mark.parametrize("user", [ADMIN, IN_NEW_YORK], ids=lambda user: user.name)
@pytest.mark.parametrize(
    "column_type",
    [
        "DateTime64(6, 'UTC')",
        "DateTime64(6)",
        "DateTime64(6, 'Europe/Berlin')",
        "DateTime64(6, 'America/St_Johns')",
    ],
)
def test_a_column_of_any_zone_stores_the_moment(
    tokyo: ListeningClickHouse, connect: Connect, database: str, column_type: str, user: User
) -> None:
    clickhouse = connected(tokyo, connect, database, column_type, user)
    clickhouse.insert(rows(1, event_time=MOMENT), token="t")

    assert MICROSECONDS == stored_time(tokyo, database, "toUnixTimestamp64Micro")
    assert {1} == clickhouse.stored("w", 1, 1, rows(1, event_time=MOMENT))


@pytest.mark.integration
@pytest.mark.once
@pytest.mark.parametrize("column_type", ["DateTime", "DateTime('UTC')", "DateTime('Asia/Kolkata')"])
def test_a_column_of_whole_seconds_stores_the_second(
    tokyo: ListeningClickHouse, connect: Connect, database: str, column_type: str
) -> None:
    """With `date_time_input_format = 'basic'`, the default before 26.x, it refused every row."""
    clickhouse = connected(tokyo, connect, database, column_type, IN_NEW_YORK)
    clickhouse.insert(rows(1, event_time=MOMENT), token="t")

    assert MICROSECONDS // 1_000_000 == stored_time(tokyo, database, "toUnixTimestamp")


@pytest.mark.integration
@pytest.mark.once
def test_the_layout_of_2025_stores_the_moment_on_a_server_in_another_zone(
    tokyo: ListeningClickHouse, connect: Connect, database: str
) -> None:
    create_older_table(tokyo, database)
    clickhouse = connect(tokyo.dsn(database), create_table=False)
    clickhouse.insert(rows(1, event_time=MOMENT), token="t")

    assert MICROSECONDS // 1_000 == stored_time(tokyo, database, "toUnixTimestamp64Milli")


@pytest.mark.integration
@pytest.mark.once
def test_a_token_counts_for_rows_with_other_times_too(
    tokyo: ListeningClickHouse, connect: Connect, database: str
) -> None:
    clickhouse = connected(tokyo, connect, database, "DateTime64(6)", ADMIN)
    for _ in range(2):
        clickhouse.insert(rows(1, 2), token="t")

    assert 2 == count(tokyo, database)


@pytest.mark.once
def test_the_embedded_engine_in_another_zone_stores_the_moment() -> None:
    root = str(Path(__file__).parents[2])
    said = subprocess.run(
        [sys.executable, "-c", EMBEDDED],
        env=environment_with({"TZ": "Asia/Tokyo"}),
        cwd=root,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=100,
    ).stdout

    assert str(MICROSECONDS // 1_000) == said.strip()


def test_the_rows_for_a_column_in_utc_are_the_same_object() -> None:
    lines = rows(1)

    assert lines is EventTimes("DateTime64(6, 'UTC')").written(lines)


@pytest.mark.parametrize("column_type", ["", "String", "Date"])
def test_a_column_of_no_time_gets_the_text(column_type: str) -> None:
    lines = rows(1)

    assert lines is EventTimes(column_type).written(lines)


def test_seconds_have_ten_digits() -> None:
    """`best_effort` takes eight digits for a day."""
    written = EventTimes("DateTime64(6)").written(rows(1, event_time="1971-01-01 00:00:01.000002"))

    assert "0031536001.000002" == json.loads(written)["event_time"]


def test_a_time_inside_of_another_value_stays() -> None:
    lines = rows(1, old={"event_time": MOMENT}, message=f'"event_time":"{MOMENT}"')
    row = json.loads(EventTimes("DateTime64(6)").written(lines))

    assert {"event_time": MOMENT} == row["old"]
    assert f'"event_time":"{MOMENT}"' == row["message"]


def test_text_that_is_no_time_stays() -> None:
    lines = rows(1, event_time="2026-13-23 10:00:00.123456")

    assert lines == EventTimes("DateTime64(6)").written(lines)
