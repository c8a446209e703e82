"""Only ClickHouse's own answer, which counts every row, acknowledges an insert."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from audit_handler.clickhouse import ClickHouse
from audit_handler.clickhouse._acknowledgement import (
    Answer,
    ForeignAnswer,
    require_acknowledgement,
)
from audit_handler.errors import SetupError, TransientError, UnconfirmedError
from tests.support.fault_proxy import Fault, FaultProxy, answering
from tests.support.listening import ListeningClickHouse
from tests.support.listening.config import CLUSTER, User
from tests.support.loopback import LoopbackClickHouse
from tests.support.tables import Connect, count, rows

pytestmark = pytest.mark.once


def answer(*, status: int = 200, body: bytes = b"", **changes: str | None) -> Answer:
    """Return ClickHouse's answer to an insert of ten rows, with *changes* of its headers."""
    headers = {
        "X-ClickHouse-Query-Id": "q-1",
        "X-ClickHouse-Summary": json.dumps({"written_rows": "10"}),
        "Content-Length": "0",
    }
    changed = {name.replace("_", "-"): value for name, value in changes.items()}
    kept = {name: value for name, value in {**headers, **changed}.items() if value is not None}
    return Answer(status, kept, "q-1", body)


@pytest.mark.parametrize("written", [10, 20])
def test_an_answer_that_counts_every_row_acknowledges_them(written: int) -> None:
    summary = json.dumps({"written_rows": str(written)})
    require_acknowledgement(answer(X_ClickHouse_Summary=summary), 10, is_async=False)


@pytest.mark.parametrize(
    "changes",
    [
        {"X_ClickHouse_Query_Id": None},
        {"X_ClickHouse_Query_Id": "q-0"},
        {"X_ClickHouse_Summary": None},
        {"X_ClickHouse_Summary": "no JSON"},
        {"X_ClickHouse_Summary": "[]"},
        {"X_ClickHouse_Summary": '{"written_rows":"9"}'},
        {"X_ClickHouse_Summary": '{"written_rows":"-10"}'},
        {"X_ClickHouse_Summary": '{"written_rows":"0"}'},
        {"Content_Length": None},
        {"status": 202},
        {"body": b"<html>Please log in</html>"},
        {"body": b"__exception__\r\nabc\r\nCode: 241. DB::Exception: memory"},
    ],
)
def test_any_other_answer_acknowledges_nothing(changes: dict[str, Any]) -> None:
    with pytest.raises(ForeignAnswer):
        require_acknowledgement(answer(**changes), 10, is_async=False)


def test_an_async_insert_may_count_no_rows_but_not_some() -> None:
    none = answer(X_ClickHouse_Summary='{"written_rows":"0"}')
    require_acknowledgement(none, 10, is_async=True)
    with pytest.raises(ForeignAnswer, match="3 of 10"):
        require_acknowledgement(
            answer(X_ClickHouse_Summary='{"written_rows":"3"}'), 10, is_async=True
        )


def test_a_text_of_clickhouse_is_not_quoted_because_it_may_hold_a_row() -> None:
    said = str(answer(body=b"Code: 6. DB::Exception: Cannot parse string 'secret' as UInt8"))

    assert "Code: 6" in said
    assert "secret" not in said


@pytest.mark.parametrize("is_stored", [False, True], ids=["refused", "stored"])
@pytest.mark.parametrize("status", [200, 202, 204])
def test_a_page_of_something_else_is_no_acknowledgement(
    ready: ClickHouse, faults: LoopbackClickHouse, status: int, is_stored: bool
) -> None:
    faults.fault("http_status", status=status, execute=is_stored)
    with pytest.raises(UnconfirmedError, match=rf"HTTP status {status} from .*text/html"):
        ready.insert(rows(2), token="t2")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirected_insert_is_not_followed_and_names_the_target(
    ready: ClickHouse, faults: LoopbackClickHouse, status: int
) -> None:
    there = f"http://bob:t0p-s3cr3t@127.0.0.1:{faults.port}/there?token=t0p-s3cr3t"
    faults.fault("http_status", status=status, headers={"Location": there})
    with pytest.raises(UnconfirmedError, match=r"/there.*final address") as caught:
        ready.insert(rows(2), token="t2")

    assert "t0p-s3cr3t" not in str(caught.value)
    assert 1 == len(faults.requests())


@pytest.mark.parametrize("text", ["<html>Please log in</html>", "{}", " "])
@pytest.mark.parametrize("content_type", ["text/html", "application/json"])
def test_a_look_up_believes_no_page(
    ready: ClickHouse, faults: LoopbackClickHouse, text: str, content_type: str
) -> None:
    faults.fault(
        "http_status",
        match="^SELECT seq",
        status=200,
        text=text,
        headers={"Content-Type": content_type},
    )
    with pytest.raises(TransientError, match="HTTP status 200"):
        ready.stored("w", 1, 1, rows(1))

    assert {1} == ready.stored("w", 1, 1, rows(1))


# What a real server counts


@pytest.fixture
def seen() -> list[bytes]:
    """The answers to inserts, as they came from the server."""
    return []


@pytest.fixture
def behind(
    listening: ListeningClickHouse, connect: Connect, database: str, seen: list[bytes]
) -> Iterator[Connect]:
    """Connect to a real server through a proxy that notes its answers to inserts."""

    def noting(_request: bytes, answer: bytes) -> bytes:
        seen.append(answer)
        return answer

    with FaultProxy(listening.port) as proxy:
        proxy.arm(Fault(noting, match="INSERT INTO", times=None, closes=False))
        dsn = listening.dsn(database, port=proxy.port)
        yield lambda **options: connect(dsn, **options)


def written(answer: bytes) -> int:
    found = re.search(rb'"written_rows":"(\d+)"', answer)
    assert found, answer
    return int(found[1])


TEN = rows(*range(1, 11))


@pytest.mark.parametrize("is_async", [False, True], ids=["insert", "async insert"])
def test_a_server_counts_every_row_also_when_it_drops_a_repeated_insert(
    behind: Connect,
    seen: list[bytes],
    listening: ListeningClickHouse,
    database: str,
    is_async: bool,
) -> None:
    clickhouse = behind(async_insert=is_async)
    for _ in range(2):
        clickhouse.insert(TEN, token="t")

    assert [10, 10] == list(map(written, seen))
    assert 10 == count(listening, database)


def test_a_server_counts_the_rows_of_a_view_too(
    behind: Connect, seen: list[bytes], listening: ListeningClickHouse, database: str
) -> None:
    clickhouse = behind()
    clickhouse.create_table()
    listening.command(f"CREATE TABLE {database}.copy (seq UInt64) ENGINE = MergeTree ORDER BY seq")
    listening.command(
        f"CREATE MATERIALIZED VIEW {database}.v TO {database}.copy "
        f"AS SELECT seq FROM {database}.audit_logs"
    )
    clickhouse.insert(TEN, token="t")

    assert [20] == list(map(written, seen))


def test_a_distributed_table_counts_no_row_less(
    behind: Connect, seen: list[bytes], listening: ListeningClickHouse, database: str
) -> None:
    behind().create_table()
    listening.command(
        f"CREATE TABLE {database}.everywhere AS {database}.audit_logs "
        f"ENGINE = Distributed({CLUSTER}, {database}, audit_logs)"
    )
    behind(create_table=False, table="everywhere").insert(TEN, token="t")

    assert written(seen[0]) >= 10
    assert 10 == count(listening, database)


def test_a_writer_of_a_server_without_select_inserts_and_is_told_once(
    start_listening: Callable[..., ListeningClickHouse],
    connect: Connect,
    database: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    writer = User(name="writer", password="made-up", grants=[f"GRANT INSERT ON {database}.*"])
    server = start_listening(users=[writer])
    connect(server.dsn(database)).create_table()
    clickhouse = connect(server.dsn(database, user=writer), create_table=False)
    clickhouse.insert(TEN, token="t")
    found = [clickhouse.stored("w", 1, 10, TEN) for _ in range(2)]

    assert [None, None] == found
    assert not clickhouse.can_look_up
    assert 10 == count(server, database)
    assert 1 == caplog.text.count("grant SELECT(writer_id, seq, event_date)")


TOO_LARGE = b"HTTP/1.1 413 Request Entity Too Large\r\nContent-Length: 0\r\n\r\n"


def test_a_proxy_is_asked_for_its_limit_with_a_request_that_stores_nothing(
    listening: ListeningClickHouse, connect: Connect, database: str
) -> None:
    with FaultProxy(listening.port) as proxy:
        clickhouse = connect(listening.dsn(database, port=proxy.port))
        clickhouse.insert(TEN, token="t")
        is_free = clickhouse.refuses_size(TEN)
        proxy.arm(Fault(answering(TOO_LARGE), "INSERT INTO"))
        is_limited = clickhouse.refuses_size(TEN)
        proxy.arm(Fault(answering(b""), "INSERT INTO"))
        is_broken = clickhouse.refuses_size(TEN)
        asked = [each for each in proxy.requests if b"INSERT INTO" in each]

    assert (False, True, False) == (is_free, is_limited, is_broken)
    assert 10 == count(listening, database)
    heads, bodies = zip(*(each.split(b"\r\n\r\n", 1) for each in asked), strict=True)
    assert (4, 1) == (len(asked), len(set(bodies)))
    assert len(heads[0]) < min(map(len, heads[1:]))  # some proxies count them too


@pytest.mark.parametrize("code", [47, 164, 497])
def test_a_refused_look_up_is_believed_only_from_clickhouse(
    ready: ClickHouse, faults: LoopbackClickHouse, code: int
) -> None:
    """Without the look-up, rows that are stored would be split and doubled."""
    faults.fault(
        "http_status",
        match="^SELECT seq",
        status=403,
        headers={"X-ClickHouse-Exception-Code": str(code)},
    )
    with pytest.raises(SetupError):
        ready.stored("w", 1, 1, rows(1))

    assert ready.can_look_up


def test_a_proxy_that_gives_queries_other_ids_is_named(
    listening: ListeningClickHouse, connect: Connect, database: str
) -> None:
    """Such as chproxy, which also drops the settings of the insert."""

    def rename(_request: bytes, answer: bytes) -> bytes:
        return re.sub(rb"(?i)(x-clickhouse-query-id: )[^\r]*", rb"\g<1>17A2B3", answer)

    with FaultProxy(listening.port) as proxy:
        clickhouse = connect(listening.dsn(database, port=proxy.port))
        proxy.arm(Fault(rename, times=None, closes=False))
        with pytest.raises(TransientError, match="as chproxy does"):
            clickhouse.insert(rows(1), token="t")
