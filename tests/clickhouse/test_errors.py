"""Every failure gets a type by the action that helps, and names the remedy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import OperationalError

from audit_handler.clickhouse import ClickHouse
from audit_handler.errors import (
    DataError,
    DeliveryError,
    SetupError,
    TransientError,
    ViewError,
)
from tests.support.commands import environment_with
from tests.support.engines import Engine
from tests.support.loopback import LoopbackClickHouse
from tests.support.tables import Connect, count, rows

pytestmark = pytest.mark.once


def test_a_bad_row_stores_nothing_and_is_named(
    engine: Engine, connect: Connect, database: str
) -> None:
    clickhouse = connect(engine.dsn(database))
    bad = rows(1, 2) + rows(3, status_code="abc") + rows(4)
    with pytest.raises(DataError) as caught:
        clickhouse.insert(bad, token="t")

    assert (27, 3) == (caught.value.code, caught.value.row)
    assert 0 == count(engine, database)
    assert "abc" not in str(caught.value)


HOSTILE: dict[int, dict[str, Any]] = {
    27: {"status_code": "abc"},
    72: {"status_code": -1},
    676: {"ip_address": "n/a"},
    376: {"event_id": "no"},
    41: {"event_time": "later"},
    469: {"event_time": "1970-06-01 00:00:00.000000"},
    25: {"message": "\ud800"},
}


@pytest.mark.parametrize("code", HOSTILE)
def test_every_kind_of_bad_row_is_a_data_error(ready: ClickHouse, code: int) -> None:
    """The encoder produces none of these; a constraint or a column of the user may."""
    with pytest.raises(DataError) as caught:
        ready.insert(rows(2) + rows(3, **HOSTILE[code]), token="t")

    assert code == caught.value.code


@pytest.mark.parametrize(
    ("kind", "is_stored"),
    [
        ("reset_before", False),
        ("reset_during", False),
        ("close_before", False),
        ("execute_then_reset", True),
    ],
)
def test_a_broken_connection_is_transient_unsure_and_sent_once(
    ready: ClickHouse, faults: LoopbackClickHouse, database: str, kind: str, is_stored: bool
) -> None:
    """
    The driver repeats an insert of bytes by itself. It must not repeat ours, because only we look
    up first.
    """
    faults.fault(kind)
    with pytest.raises(TransientError) as caught:
        ready.insert(rows(2), token="t")

    assert caught.value.is_ambiguous
    assert 1 == len(faults.requests(match="^INSERT"))
    assert (2 if is_stored else 1) == count(faults, database)


def test_a_timeout_is_transient_and_unsure(
    faults: LoopbackClickHouse, connect: Connect, database: str
) -> None:
    clickhouse = connect(faults.dsn(database), client_options={"send_receive_timeout": 1})
    clickhouse.insert(rows(1), token="a")
    faults.fault("execute_then_hang")
    with pytest.raises(TransientError) as caught:
        clickhouse.insert(rows(2), token="b")

    assert caught.value.is_ambiguous
    assert 2 == count(faults, database)


def test_the_driver_does_not_warn_about_errors_that_it_raises(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(TransientError):
        connect("http://127.0.0.1:1").insert(rows(1), token="w:1-1")
    ours = list(caplog.messages)
    with pytest.raises(OperationalError):
        clickhouse_connect.get_client(dsn="http://127.0.0.1:1")

    assert [] == ours
    assert "Unexpected Http Driver Exception" in caplog.messages


def test_a_server_that_is_away_is_transient_and_sure(connect: Connect) -> None:
    with pytest.raises(TransientError) as caught:
        connect("http://127.0.0.1:1").insert(rows(1), token="t")

    assert not caught.value.is_ambiguous


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 408])
def test_the_pages_of_proxies_are_transient(
    ready: ClickHouse, faults: LoopbackClickHouse, status: int
) -> None:
    faults.fault("http_status", status=status)
    with pytest.raises(TransientError, match=str(status)):
        ready.insert(rows(2), token="t")


@pytest.mark.parametrize("status", [401, 403, 404])
def test_rejections_of_proxies_are_setup_errors(
    ready: ClickHouse, faults: LoopbackClickHouse, status: int
) -> None:
    faults.fault("http_status", status=status)
    with pytest.raises(SetupError, match=f"HTTP status {status} .*; check"):
        ready.insert(rows(2), token="t")


def test_an_insert_too_large_for_a_proxy_is_to_be_split(
    ready: ClickHouse, faults: LoopbackClickHouse
) -> None:
    faults.fault("http_status", status=413)
    with pytest.raises(DataError) as caught:
        ready.insert(rows(2), token="t")

    assert (None, None) == (caught.value.code, caught.value.row)
    assert caught.value.is_too_large


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (252, TransientError),
        (241, TransientError),
        (202, TransientError),
        (242, TransientError),
        (999, TransientError),
        (319, TransientError),
        (123_456, TransientError),
        # Without the number of a row: a shard died, or a disk failed.
        (32, TransientError),
        (33, TransientError),
        (55, SetupError),
        (60, SetupError),
        (81, SetupError),
        (497, SetupError),
        (516, SetupError),
        (164, SetupError),
        (27, DataError),
        (395, DataError),
    ],
)
def test_codes_are_sorted_by_the_action_that_helps(
    ready: ClickHouse, faults: LoopbackClickHouse, code: int, expected: type[DeliveryError]
) -> None:
    faults.fault("error", code=code, name="SOME_NAME", text="made up")
    with pytest.raises(expected) as caught:
        ready.insert(rows(2), token="t")

    assert code == caught.value.code


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("While executing Values", SetupError),
        # Its source may be down: no row is bad.
        ("while executing 'FUNCTION dictGet('d'_String :: 1) -> dictGet('d')'", SetupError),
        ("while executing 'FUNCTION or(equals(a, '') :: 1, dictHas('d', a)) -> or()'", SetupError),
        ("while executing 'FUNCTION toTimeZone(a :: 1) -> toTimeZone(a)'", DataError),
    ],
)
def test_a_wrong_argument_is_a_value_only_in_an_expression_of_the_table(
    ready: ClickHouse, faults: LoopbackClickHouse, place: str, expected: type[DeliveryError]
) -> None:
    faults.fault("error", code=36, name="BAD_ARGUMENTS", text=f"made up: {place}")
    with pytest.raises(expected):
        ready.insert(rows(2), token="t")


@pytest.mark.parametrize("question", ["SELECT seq", "DESCRIBE"])
def test_a_question_rejects_no_row(
    ready: ClickHouse, faults: LoopbackClickHouse, question: str
) -> None:
    """A view in place of the table may convert, so that a look-up gets a data error."""
    ask: Callable[[], object] = partial(ready.stored, "w", 1, 1, rows(1))
    if question == "DESCRIBE":
        ready.close()
        ask = partial(ready.insert, rows(2), token="t")
    faults.fault("error", match=question, code=6, name="CANNOT_PARSE_TEXT", text="x")
    with pytest.raises(TransientError) as caught:
        ask()

    assert 6 == caught.value.code
    assert "cannot answer a question about the table: code 6" in str(caught.value)


def test_init_is_no_remedy_for_a_missing_table_of_others(
    ready: ClickHouse, faults: LoopbackClickHouse, database: str
) -> None:
    faults.command(f"CREATE TABLE {database}.other (seq UInt64) ENGINE = MergeTree ORDER BY seq")
    faults.command(f"CREATE VIEW {database}.audit_view AS SELECT seq FROM {database}.other")
    faults.command(f"DROP TABLE {database}.other SYNC")
    with pytest.raises(SetupError) as of_view:
        ready.query(f"SELECT seq FROM {database}.audit_view")
    faults.command(f"DROP TABLE {database}.audit_logs SYNC")
    with pytest.raises(SetupError) as own:
        ready.query(f"SELECT seq FROM {database}.audit_logs")

    assert [60, 60] == [of_view.value.code, own.value.code]
    assert "create it again, or change what reads it" in of_view.value.remedy
    assert "audit-handler init" in own.value.remedy


def test_too_many_partitions_is_a_data_error(ready: ClickHouse, faults: LoopbackClickHouse) -> None:
    faults.fault("error", code=252, text="Too many partitions for single INSERT block")
    with pytest.raises(DataError) as caught:
        ready.insert(rows(2), token="t")

    assert caught.value.has_too_many_partitions


@pytest.mark.parametrize(
    ("table", "row", "is_from_shard"), [("audit_logs", 3, False), ("audit_logs_local", None, True)]
)
def test_a_row_that_a_shard_counts_is_not_taken_for_one_of_the_insert(
    ready: ClickHouse,
    faults: LoopbackClickHouse,
    database: str,
    table: str,
    row: int | None,
    is_from_shard: bool,
) -> None:
    """The shard on the server that got the insert says nothing of being one, now and then."""
    where = f"{database}.{table} (38be3c71-5f63-4c7d-a67f-f6ac5a56f8b6)"
    text = f"Constraint `c` for table {where} is violated at row 3. Expression: (x = 1)"
    faults.fault("error", code=469, name="VIOLATED_CONSTRAINT", text=text)
    with pytest.raises(DataError) as caught:
        ready.insert(rows(2), token="t")

    error = caught.value
    assert (row, is_from_shard, is_from_shard) == (
        error.row,
        error.is_from_shard,
        error.is_ambiguous,
    )


@pytest.mark.parametrize(
    "value", ["DB::Exception: Received from x", "a\nWrote 1 blocks and 1 rows"]
)
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("ADD CONSTRAINT short CHECK length(user_agent) < 9", 469),
        # Quotes the value with its ends of lines.
        ("ADD COLUMN grade UUID MATERIALIZED toUUID(user_agent)", 376),
    ],
)
def test_the_words_of_a_shard_in_a_value_are_not_believed(
    ready: ClickHouse, faults: LoopbackClickHouse, database: str, value: str, change: str, code: int
) -> None:
    """Without a look-up, rows wait for a grant if one shard rejects some."""
    faults.command(f"ALTER TABLE {database}.audit_logs {change}")
    with pytest.raises(DataError) as caught:
        ready.insert(rows(2) + rows(3, user_agent=value), token="t")

    assert (code, False) == (caught.value.code, caught.value.is_from_shard)


def test_a_wrong_password_is_named_without_it_and_works_once_it_is_right(
    tmp_path: Path, database: str, connect: Connect
) -> None:
    with LoopbackClickHouse.start(tmp_path / "db", user="app", password="right") as server:
        server.command(f"CREATE DATABASE {database}")
        clickhouse = connect(server.dsn("default", password="wr0ng"))
        with pytest.raises(SetupError, match="CLICKHOUSE_PASSWORD") as caught:
            clickhouse.insert(rows(1), token="t")
        server.set_password("wr0ng")
        clickhouse.insert(rows(1), token="t")

        assert 516 == caught.value.code
        assert "wr0ng" not in str(caught.value)
        assert 1 == count(server, database)


@pytest.mark.parametrize(
    ("fault", "remedy"),
    [
        ({"kind": "error", "code": 252}, "raise batch_size and flush_interval_ms"),
        ({"kind": "error", "code": 242}, "lost Keeper"),
        ({"kind": "http_status", "status": 502}, "see the proxy between here and ClickHouse"),
        ({"kind": "reset_before"}, "whether ClickHouse restarts"),
    ],
)
def test_a_failure_that_may_pass_has_a_remedy_too(
    fault: dict[str, Any], remedy: str, ready: ClickHouse, faults: LoopbackClickHouse
) -> None:
    faults.fault(**fault)
    with pytest.raises(TransientError, match=remedy):
        ready.insert(rows(1), token="t")


def test_a_missing_certificate_is_named(connect: Connect, faults: LoopbackClickHouse) -> None:
    dsn = f"https://127.0.0.1:{faults.port}"
    clickhouse = connect(dsn, client_options={"ca_cert": "/nowhere/ca.pem"})
    with pytest.raises(SetupError, match="ca_cert"):
        clickhouse.insert(rows(1), token="t")


OPENS_TWICE = """
import subprocess, sys
from audit_handler.clickhouse import ClickHouse
from audit_handler.errors import DeliveryError
from audit_handler.target import Target

def opened(path):
    target = Target(scheme="chdb", path=path)
    clickhouse = ClickHouse(target, create_table=False, async_insert=False)
    try:
        clickhouse.query("SELECT 1")
    except DeliveryError as exc:
        print(type(exc).__name__, exc)
    return clickhouse

first = opened(sys.argv[1])
if sys.argv[2:] == ["another"]:
    opened(sys.argv[1] + "2")
elif len(sys.argv) > 2:
    subprocess.run([sys.executable, "-c", sys.argv[2], sys.argv[1]])
"""


def test_a_directory_of_chdb_is_locked_only_where_another_process_has_it(tmp_path: Path) -> None:
    """Every error on opening the engine was reported as another process."""
    (tmp_path / "file").write_text("")
    told = [
        subprocess.run(
            [sys.executable, "-c", OPENS_TWICE, *arguments],
            env=environment_with({}),
            stdout=subprocess.PIPE,
            text=True,
            timeout=100,
        ).stdout
        for arguments in (
            [f"{tmp_path}/db", OPENS_TWICE],
            [f"{tmp_path}/file/db"],
            [f"{tmp_path}/db", "another"],
        )
    ]

    assert "SetupError" == told[0].split()[0]
    assert "another process (pid " in told[0]
    assert "SetupError" == told[1].split()[0]
    assert "Not a directory" in told[1]
    assert "a directory that this user may create" in told[1]
    assert "TransientError" == told[2].split()[0]
    assert f"chDB has the database {tmp_path}/db open in this process" in told[2]
    assert "another process" not in told[2]


@pytest.mark.parametrize(
    "column_type",
    ["Enum8('a' = 1)", "Decimal(9, 2)", "UInt8", "Map(String, UInt8)", "IPv4", "Date"],
)
@pytest.mark.parametrize(
    "value",
    [
        "(at row 1)",
        "(at 1) (while reading the value of key level)",
        "for table a.b is violated at row 1",
        ": while pushing to view a.b (c)",
    ],
)
def test_a_value_that_an_error_quotes_names_no_row_and_no_view(
    engine: Engine, connect: Connect, database: str, column_type: str, value: str
) -> None:
    clickhouse = connect(engine.dsn(database))
    clickhouse.create_table()
    engine.command(f"ALTER TABLE {database}.audit_logs ADD COLUMN mark {column_type}")
    lines = rows(1) + rows(2, mark=value) + rows(3)
    with pytest.raises(DeliveryError) as first:
        clickhouse.insert(lines, token="t")
    # Only an insert that ignores views shows whether there is such a view.
    with pytest.raises(DataError) as second:
        clickhouse.insert(lines, token="t", ignores_views=True)

    if isinstance(first.value, ViewError):
        assert first.value.may_be_forged
    assert (2, "mark") == (second.value.row, second.value.key)
    assert 0 == count(engine, database)


@pytest.mark.parametrize(("code", "kind"), [(60, SetupError), (27, DataError)])
def test_an_error_without_the_query_id_leaves_open_whether_the_insert_ran(
    ready: ClickHouse,
    faults: LoopbackClickHouse,
    code: int,
    kind: type[SetupError] | type[DataError],
) -> None:
    headers = {"X-ClickHouse-Exception-Code": str(code)}
    faults.fault("http_status", status=404, headers=headers, execute=True)
    with pytest.raises(kind) as caught:
        ready.insert(rows(2), token="t2")

    assert isinstance(caught.value, SetupError | DataError)
    assert code == caught.value.code
    assert caught.value.is_ambiguous
    assert getattr(caught.value, "may_be_forged", True)
