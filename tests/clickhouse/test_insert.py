"""The request of an insert."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from unittest.mock import create_autospec

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.models import SettingDef
from clickhouse_connect.driver.summary import QuerySummary

from audit_handler.clickhouse import ClickHouse
from audit_handler.clickhouse._insert import insert_file, insert_lines, profile_settings
from audit_handler.errors import DataError, SetupError, TransientError, UnconfirmedError
from tests.support.engines import Engine
from tests.support.loopback import LoopbackClickHouse
from tests.support.tables import Connect, count, rows

pytestmark = pytest.mark.once


def test_an_insert_is_one_compressed_request_with_its_settings(
    ready: ClickHouse, faults: LoopbackClickHouse
) -> None:
    ready.insert(rows(*range(2, 1_000)), token="w:2-999")
    (request,) = faults.requests()
    settings = request["settings"]

    assert "zstd" == request["content_encoding"]
    assert request["body_bytes"] < len(rows(*range(2, 1_000))) / 5
    assert {
        "insert_deduplication_token": "w:2-999",
        "async_insert": "0",
        "distributed_foreground_insert": "1",
        "deduplicate_blocks_in_dependent_materialized_views": "1",
        "input_format_parallel_parsing": "0",
    }.items() <= settings.items()


def test_async_insert_waits_for_the_acknowledgement(
    faults: LoopbackClickHouse, connect: Connect, database: str
) -> None:
    clickhouse = connect(faults.dsn(database), async_insert=True)
    clickhouse.insert(rows(1, 2), token="t")
    request = faults.requests(match="^INSERT")[-1]

    assert {"async_insert": "1", "wait_for_async_insert": "1"}.items() <= request[
        "settings"
    ].items()
    assert 2 == count(faults, database)


@pytest.fixture
def gathering(faults: LoopbackClickHouse, connect: Connect, database: str) -> ClickHouse:
    """A writer with ``async_insert``, and one row."""
    clickhouse = connect(faults.dsn(database), async_insert=True)
    clickhouse.insert(rows(1), token="w:1")
    faults.forget_requests()
    return clickhouse


def violated(database: str) -> str:
    return f"Constraint `known` for table {database}.audit_logs (0-0) is violated at row 1"


def test_the_bad_row_of_an_async_insert_may_be_another_writers(
    gathering: ClickHouse, faults: LoopbackClickHouse, database: str
) -> None:
    """The server gathers the rows of all."""
    faults.fault("error", code=469, text=violated(database))
    with pytest.raises(DataError) as raised:
        gathering.insert(rows(2, 3), token="w:2-3")
    gathering.insert(rows(2, 3), token="w:2-3", alone=True)
    names = ("async_insert", "insert_deduplication_token")
    sent = [tuple(each["settings"][name] for name in names) for each in faults.requests("^INSERT")]

    assert raised.value.may_be_of_others
    assert [("1", "w:2-3"), ("0", "w:2-3")] == sent
    assert 3 == count(faults, database)


def test_a_row_that_is_refused_alone_is_named(
    gathering: ClickHouse, faults: LoopbackClickHouse, database: str
) -> None:
    with pytest.raises(DataError) as raised:
        gathering.insert(rows(2) + b'{"event_time":"never"}\n', token="w:2-3", alone=True)

    assert (2, False) == (raised.value.row, raised.value.may_be_of_others)
    assert 1 == count(faults, database)


def test_a_file_is_named_with_its_settings_and_every_value_is_quoted() -> None:
    client = create_autospec(Client, instance=True)
    settings = {"async_insert": 0, "insert_deduplication_token": "it's:1-2"}
    insert_file(client, "`db`.`t`", ("seq", "a`b\\c"), Path("/a\\b/1.ready"), settings)

    client.command.assert_called_once_with(
        "INSERT INTO `db`.`t` (`seq`, `a\\`b\\\\c`) FROM INFILE '/a\\\\b/1.ready' "
        "COMPRESSION 'none' SETTINGS async_insert = 0, insert_deduplication_token = 'it\\'s:1-2' "
        "FORMAT JSONEachRow",
        use_database=False,
    )


def test_a_key_that_differs_from_a_column_by_case_is_not_put_into_it(
    engine: Engine, connect: Connect, database: str
) -> None:
    """Beside the column's own key, ClickHouse would reject the row."""
    clickhouse = connect(engine.dsn(database))
    clickhouse.create_table()
    engine.command(f"ALTER TABLE {database}.audit_logs ADD COLUMN n UInt8")
    others = {"Action": "x", "Level": "Informational", "Status_Code": 70_000, "N": 300}
    clickhouse.insert(rows(1, **others), token="w:1-1")

    assert [{"action": "TRY", "level": "", "status_code": 0, "n": 0}] == engine.query(
        f"SELECT action, level, status_code, n FROM {database}.audit_logs"
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"describe_compact_output": 1},
        {"describe_include_subcolumns": 1},
        {"describe_include_virtual_columns": 1},
        {"input_format_json_read_objects_as_strings": 0},
        {"input_format_json_read_arrays_as_strings": 0},
        {"input_format_json_read_numbers_as_strings": 0},
        {"input_format_json_read_bools_as_strings": 0},
        {"input_format_json_map_as_array_of_tuples": 1},
        {"input_format_json_named_tuples_as_objects": 0},
        {"input_format_null_as_default": 0},
        {"input_format_defaults_for_omitted_fields": 0},
        {"input_format_force_null_for_omitted_fields": 1},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_every_value_is_stored_whatever_the_settings_of_the_user(
    faults: LoopbackClickHouse, connect: Connect, database: str, settings: dict[str, int]
) -> None:
    clickhouse = connect(faults.dsn(database), client_options={"settings": settings})
    clickhouse.create_table()
    types = {
        "pairs": "Map(String, String)",
        "tup": "Tuple(a UInt8, b String)",
        "listed": "String",
        "digits": "String",
        "truth": "String",
        "nothing": "String DEFAULT 'x'",
        "note": "Nullable(String)",
        "made": "String DEFAULT agent_id",
    }
    added = ", ".join(f"ADD COLUMN {name} {kind}" for name, kind in types.items())
    faults.command(f"ALTER TABLE {database}.audit_logs {added}")
    sent = {
        "agent_id": "me",
        "pairs": {"a": "b"},
        "tup": {"a": 1, "b": "c"},
        "listed": [1, 2],
        "digits": 12,
        "truth": True,
        "nothing": None,
        "metadata": {"a": {"b": 1}},
        "event_date": "2026-11-23",
    }
    clickhouse.insert(rows(1, **sent), token="w:1-1")

    stored = {"listed": "[1,2]", "digits": "12", "truth": "true", "nothing": "x", "made": "me"}
    asked = ", ".join(f"{name}" for name in sent | stored)
    assert [
        sent | stored | {"tup": {"a": 1, "b": "c"}, "metadata": '{"a":{"b":1}}'}
    ] == faults.query(f"SELECT {asked} FROM {database}.audit_logs")


BREAKS = {"timeout_overflow_mode": "break", "max_execution_time": 0.5}


def test_an_insert_that_takes_too_long_is_not_acknowledged(
    engine: Engine, connect: Connect, database: str
) -> None:
    """With *break* the answer counts every row, and none may be stored."""
    clickhouse = connect(engine.dsn(database), client_options={"settings": BREAKS})
    clickhouse.create_table()
    engine.command(
        f"ALTER TABLE {database}.audit_logs ADD COLUMN slow UInt8 MATERIALIZED sleepEachRow(0.01)"
    )
    with pytest.raises(TransientError) as raised:
        clickhouse.insert(rows(*range(1, 101)), token="w:1-100")

    assert (159, 0) == (raised.value.code, count(engine, database))


def client_with(**settings: tuple[str, int]) -> Client:
    """A client of a server with *settings*: value, and whether the user may not change it."""
    client: Client = create_autospec(Client, instance=True)
    client.server_settings = {
        name: SettingDef(name=name, value=value, readonly=readonly)
        for name, (value, readonly) in settings.items()
    }
    return client


def test_a_setting_that_loses_rows_and_cannot_be_changed_stops_the_insert() -> None:
    limits = {"max_execution_time": ("30", 0)}
    with pytest.raises(SetupError, match="timeout_overflow_mode=break") as raised:
        profile_settings(client_with(timeout_overflow_mode=("break", 1), **limits))

    assert "let the user change it" in raised.value.remedy
    for name in ({"timeout_overflow_mode": ("throw", 1)}, {"timeout_overflow_mode": ("break", 0)}):
        profile_settings(client_with(**name, **limits))
    profile_settings(client_with(timeout_overflow_mode=("break", 1), max_execution_time=("0", 0)))


@pytest.mark.parametrize("counted", [1, 2, 3])
def test_the_embedded_engine_counts_every_row_or_acknowledges_none(counted: int) -> None:
    client = create_autospec(Client, instance=True)
    client.raw_insert.return_value = QuerySummary({"written_rows": str(counted)})
    is_enough = counted >= 2
    with nullcontext() if is_enough else pytest.raises(UnconfirmedError, match="1 of 2 rows"):
        insert_lines(client, "`db`.`t`", ("seq",), rows(1, 2), 2, {})
