"""The request of an insert."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from unittest.mock import create_autospec

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.summary import QuerySummary

from audit_handler.clickhouse import ClickHouse
from audit_handler.clickhouse._insert import insert_file, insert_lines
from audit_handler.errors import UnconfirmedError
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


@pytest.mark.parametrize("counted", [1, 2, 3])
def test_the_embedded_engine_counts_every_row_or_acknowledges_none(counted: int) -> None:
    client = create_autospec(Client, instance=True)
    client.raw_insert.return_value = QuerySummary({"written_rows": str(counted)})
    is_enough = counted >= 2
    with nullcontext() if is_enough else pytest.raises(UnconfirmedError, match="1 of 2 rows"):
        insert_lines(client, "`db`.`t`", ("seq",), rows(1, 2), 2, {})
