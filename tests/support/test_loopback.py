"""
The loopback server: the driver's own HTTP client, the real engine, faults.
"""

from __future__ import annotations

import base64
import gzip
import importlib.util
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection, RemoteDisconnected
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from tests.support.loopback import LoopbackClickHouse, LoopbackError
from tests.support.loopback.server import Statement
from tests.support.paths import ROOT

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(
        importlib.util.find_spec("chdb")
        is None,  # find_spec, not an import: that would break forks
        reason="the loopback server needs chdb",
    ),
]

USER = "audit_writer"
PASSWORD = "p:a@s/s é"
COLUMNS = ["x", "s"]
TABLE_SQL = """
    CREATE TABLE {} (x Int64, s String) ENGINE = MergeTree ORDER BY x
    SETTINGS non_replicated_deduplication_window = 100
"""


def rows(*numbers: int, text: str = "a") -> bytes:
    """
    Return JSONEachRow, one row for each number.
    """
    return b"".join(json.dumps({"x": n, "s": text}).encode() + b"\n" for n in numbers)


@contextmanager
def connected(server: LoopbackClickHouse, **options: Any) -> Iterator[Client]:
    client = clickhouse_connect.get_client(
        dsn=server.dsn(), autogenerate_session_id=False, **options
    )
    try:
        yield client
    finally:
        client.close()


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackClickHouse]:
    path = tmp_path_factory.mktemp("loopback")
    with LoopbackClickHouse.start(path, user=USER, password=PASSWORD) as server:
        server.command("CREATE DATABASE audit_db")
        yield server


@pytest.fixture
def server(shared_server: LoopbackClickHouse) -> Iterator[LoopbackClickHouse]:
    """
    The module's server, reset before and after each test.
    """
    shared_server.forget_requests()
    yield shared_server
    shared_server.clear_faults()
    shared_server.deny()
    shared_server.set_password(PASSWORD)


@pytest.fixture
def client(server: LoopbackClickHouse) -> Iterator[Client]:
    with connected(server) as client:
        server.forget_requests()
        yield client


table_numbers = count()


@pytest.fixture
def table(server: LoopbackClickHouse) -> str:
    name = f"audit_db.t{next(table_numbers)}"
    server.command(TABLE_SQL.format(name))
    return name


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def stored(server: LoopbackClickHouse, table: str) -> list[int]:
    return [row["x"] for row in server.query(f"SELECT x FROM {table} ORDER BY x")]


def insert(client: Client, table: str, body: Any, token: str = "", **options: Any) -> Any:
    settings = {"insert_deduplication_token": token} if token else {}
    return client.raw_insert(
        table, COLUMNS, body, settings=settings, fmt="JSONEachRow", **options
    ).summary


def insert_stream(client: Client, table: str, *chunks: bytes) -> Any:
    """
    Insert from a generator, which the driver cannot send a second time by itself.
    """
    return insert(client, table, (chunk for chunk in chunks))


class Reply:
    """
    One answer, as it came over the wire.
    """

    def __init__(
        self,
        server: LoopbackClickHouse,
        body: bytes = b"",
        *,
        method: str = "POST",
        headers: dict[str, str] | None = None,
        login: str = f"{USER}:{PASSWORD}",
        **parameters: str,
    ) -> None:
        basic = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()}
        connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
        try:
            path = f"/?{urlencode(parameters)}"
            connection.request(method, path, body, {**(basic if login else {}), **(headers or {})})
            response = connection.getresponse()
            self.status = response.status
            self.headers = response.headers
            self.body = response.read()
        finally:
            connection.close()

    @property
    def code(self) -> str | None:
        return self.headers["X-ClickHouse-Exception-Code"]


# The driver's client


def test_client_inserts_zstd_and_reads_back(
    server: LoopbackClickHouse, client: Client, table: str
) -> None:
    summary = insert(client, table, zstd.compress(rows(1, 2, 3)), compression="zstd")

    assert summary["written_rows"] == "3"
    found = client.query(
        f"SELECT x, s FROM {table} WHERE x > {{low:Int64}} ORDER BY x", parameters={"low": 1}
    )
    assert found.result_rows == [(2, "a"), (3, "a")]
    logged = server.requests("^INSERT")[0]
    assert (
        logged["content_encoding"],
        logged["user"],
        logged["database"],
    ) == ("zstd", USER, "audit_db")


def test_client_inserts_a_generator_as_chunks(
    server: LoopbackClickHouse, client: Client, table: str
) -> None:
    summary = insert_stream(client, table, rows(1, 2), rows(3))

    assert summary["written_rows"] == "3"
    assert stored(server, table) == [1, 2, 3]


def test_client_inserts_python_rows_as_native(
    server: LoopbackClickHouse, client: Client, table: str
) -> None:
    client.insert(table, [[n, "a"] for n in range(1000)], column_names=COLUMNS)

    assert list(range(1000)) == stored(server, table)
    # The statement is compressed too: it is the first line of the body.
    assert server.requests("^INSERT")[0]["content_encoding"] in ("lz4", "zstd")


@pytest.mark.parametrize(
    ("type_name", "value"),
    [
        ("Int64", -5),
        ("String", "it's a \t tab, a \\ and an é"),
        ("Array(String)", ["a", "b'c"]),
        ("Nullable(String)", None),
        ("Float64", 0.5),
    ],
)
def test_query_parameters_arrive_with_their_types(
    client: Client, type_name: str, value: Any
) -> None:
    found = client.query(f"SELECT {{v:{type_name}}} AS v", parameters={"v": value})

    assert [(value,)] == found.result_rows


def test_parameters_too_long_for_the_url_arrive_as_a_form(client: Client) -> None:
    found = client.query("SELECT length({v:String})", parameters={"v": "a" * 100_000})

    assert found.result_rows == [(100_000,)]


def test_client_sees_the_difference_between_no_rows_and_no_result(
    client: Client, table: str
) -> None:
    assert client.query(f"SELECT * FROM {table}").result_rows == []
    assert client.query(f"SELECT * FROM {table} LIMIT 0").column_names == ("x", "s")
    assert not isinstance(client.command(f"OPTIMIZE TABLE {table}"), str)
    assert client.command(f"SELECT count() FROM {table}") == 0


def test_used_token_stores_nothing_and_says_ok(
    server: LoopbackClickHouse, client: Client, table: str
) -> None:
    written = [
        insert(client, table, rows(1, 2), token)["written_rows"] for token in ("a", "a", "b")
    ]

    assert written == ["2", "2", "2"]
    assert stored(server, table) == [1, 1, 2, 2]


def test_settings_end_with_their_statement(client: Client, table: str) -> None:
    insert(client, table, rows(1), "a token")

    changed = "SELECT name FROM system.settings WHERE changed AND name LIKE '%token%'"
    assert client.query(changed).result_rows == []


def test_eight_threads_with_own_clients_insert_at_once(
    server: LoopbackClickHouse, table: str
) -> None:
    def work(worker: int) -> None:
        with connected(server) as client:
            for batch in range(5):
                first = worker * 500 + batch * 100
                insert(client, table, rows(*range(first, first + 100)), f"{worker}-{batch}")

    with ThreadPoolExecutor(8) as executor:
        list(executor.map(work, range(8)))

    assert list(range(4000)) == stored(server, table)


# Errors


def test_bad_row_is_code_27_and_stores_nothing(
    server: LoopbackClickHouse, client: Client, table: str
) -> None:
    with pytest.raises(DatabaseError, match=r"\(at row 2\)") as caught:
        insert(client, table, rows(1) + b'{"x": "abc"}\n' + rows(3))

    assert (caught.value.code, caught.value.name) == (27, "CANNOT_PARSE_INPUT_ASSERTION_FAILED")
    assert "file" not in str(caught.value).lower()
    assert stored(server, table) == []
    logged = server.requests("^INSERT")[0]
    assert (logged["status"], logged["executed"]) == (400, False)


@pytest.mark.parametrize(
    ("sql", "parameters", "code", "status"),
    [
        ("SELECT * FROM audit_db.no_such_table", {}, "60", 404),
        ("SELECT 1", {"database": "no_such_database"}, "81", 404),
        ("SELECT 1", {"no_such_setting": "1"}, "115", 404),
        ("SELECT 1 2", {}, "62", 400),
        ("", {"database": "audit_db"}, "62", 400),
        ("SELECT no_such_column", {}, "47", 404),
        ("SELECT throwIf(1)", {}, "395", 500),
        ("SELECT number FROM numbers(1e9) FORMAT Null", {"max_rows_to_read": "10"}, "158", 500),
    ],
)
def test_error_carries_code_status_and_text(
    server: LoopbackClickHouse, sql: str, parameters: dict[str, Any], code: str, status: int
) -> None:
    reply = Reply(server, sql.encode(), **parameters)

    assert (code, status) == (reply.code, reply.status)
    assert reply.body.startswith(f"Code: {code}. DB::Exception: ".encode())
    assert b" (version 2" in reply.body
    assert reply.body.count(b"DB::Exception") == 1


def test_get_may_not_write(server: LoopbackClickHouse, table: str) -> None:
    reply = Reply(server, method="GET", query=f"TRUNCATE TABLE {table}")

    assert (reply.code, reply.status) == ("164", 500)


def test_damaged_zstd_is_rejected(server: LoopbackClickHouse, table: str) -> None:
    reply = Reply(
        server,
        zstd.compress(rows(1))[:-4],
        headers={"Content-Encoding": "zstd"},
        query=f"INSERT INTO {table} FORMAT JSONEachRow",
    )

    assert reply.code == "561"
    assert stored(server, table) == []


# The HTTP interface


def lz4_frame(body: bytes) -> bytes:
    # From Python 3.14 on, the driver is installed without it.
    compressed: bytes = pytest.importorskip("lz4.frame").compress(body)
    return compressed


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("identity", bytes),
        ("zstd", zstd.compress),
        ("lz4", lz4_frame),
        ("lz4", lambda body: lz4_frame(body[:5]) + lz4_frame(body[5:])),
        ("gzip", gzip.compress),
    ],
)
@pytest.mark.parametrize("place", ["url", "body"])
def test_insert_arrives_in_each_encoding(
    server: LoopbackClickHouse,
    table: str,
    place: str,
    encoding: str,
    compress: Callable[[bytes], bytes],
) -> None:
    sql = f"INSERT INTO {table} FORMAT JSONEachRow"
    headers = {"Content-Encoding": encoding}
    if place == "url":
        reply = Reply(server, compress(rows(1, 2)), headers=headers, query=sql)
    else:
        reply = Reply(server, compress(f"{sql}\n".encode() + rows(1, 2)), headers=headers)

    assert reply.status == 200
    assert stored(server, table) == [1, 2]
    assert sql == server.requests()[-1]["statement"]


def test_statement_continues_from_the_url_into_the_body(server: LoopbackClickHouse) -> None:
    reply = Reply(server, b"2 AS b", query="SELECT 1 AS a,", default_format="JSONEachRow")

    assert json.loads(reply.body) == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("raw", "data"),
    [
        (b"INSERT INTO t FORMAT JSONEachRow\n\n{}", b"\n{}"),
        (b"insert into t (a, format) format JSONEachRow {}", b"{}"),
        (b"/* why */ INSERT INTO t SETTINGS a = 1, b = ' FORMAT x' FORMAT Native \n\x00", b"\x00"),
        (b"INSERT INTO `a FORMAT b` FORMAT CSV\n1", b"1"),
        (b"INSERT INTO `select` FORMAT CSV\n1", b"1"),
        (b"INSERT INTO t VALUES ('a FORMAT b c')", None),
        (b"INSERT INTO t SELECT 1 FORMAT Null", None),
        (b"SELECT 'INSERT INTO t FORMAT CSV'", None),
    ],
)
def test_data_begins_after_the_format_of_an_insert(raw: bytes, data: bytes | None) -> None:
    assert data == Statement.parse(raw).data


def test_settings_of_the_statement_win_over_those_of_the_url(
    server: LoopbackClickHouse, table: str
) -> None:
    sql = f"INSERT INTO {table} SETTINGS insert_deduplication_token = 'mine' FORMAT JSONEachRow"
    for token in ("a", "b"):
        assert Reply(server, rows(1), query=sql, insert_deduplication_token=token).status == 200

    assert stored(server, table) == [1]


def test_answer_carries_the_headers_of_clickhouse(server: LoopbackClickHouse) -> None:
    reply = Reply(server, b"SELECT 1", query_id="mine", default_format="CSV")

    assert reply.body == b"1\n"
    assert (
        reply.headers["X-ClickHouse-Query-Id"],
        reply.headers["X-ClickHouse-Timezone"],
        reply.headers["X-ClickHouse-Format"],
    ) == ("mine", "UTC", "CSV")
    assert json.loads(reply.headers["X-ClickHouse-Summary"])["read_rows"] == "1"
    assert Reply(server, b"SELECT 1 FORMAT TSKV").headers["X-ClickHouse-Format"] == "TSKV"


# Users and grants


def test_wrong_password_is_516_until_it_is_changed_here(
    server: LoopbackClickHouse, client: Client
) -> None:
    server.set_password("another")

    with pytest.raises(DatabaseError) as caught:
        client.command("SELECT 1")
    assert (caught.value.code, caught.value.name) == (516, "AUTHENTICATION_FAILED")
    assert server.requests()[-1]["status"] == 403
    server.set_password(PASSWORD)
    assert client.command("SELECT 1") == 1


@pytest.mark.parametrize(
    ("headers", "parameters", "status"),
    [
        ({"X-ClickHouse-User": USER, "X-ClickHouse-Key": "secret"}, {}, 200),
        ({}, {"user": USER, "password": "secret"}, 200),
        ({}, {"user": USER, "password": "wrong"}, 403),
        ({}, {}, 403),
    ],
)
def test_credentials_are_read_from_headers_or_url(
    server: LoopbackClickHouse, headers: dict[str, str], parameters: dict[str, str], status: int
) -> None:
    server.set_password("secret")  # a header holds latin-1 only

    reply = Reply(server, b"SELECT 1", login="", headers=headers, **parameters)

    assert status == reply.status


def test_denied_statements_are_497_and_others_pass(
    server: LoopbackClickHouse, client: Client, table: str
) -> None:
    server.deny("^SELECT")

    insert(client, table, rows(1))
    with pytest.raises(DatabaseError) as caught:
        client.command("SELECT 1")
    assert (caught.value.code, server.requests("SELECT")[-1]["status"]) == (497, 403)
    server.deny()
    assert client.command("SELECT 1") == 1


# Faults


@pytest.mark.parametrize("kind", ["reset_before", "reset_during", "close_before"])
def test_connection_breaks_and_nothing_ran(
    server: LoopbackClickHouse, client: Client, table: str, kind: str
) -> None:
    server.fault(kind)

    with pytest.raises(OperationalError) as caught:
        insert_stream(client, table, rows(1), rows(2))

    assert caught.value.code is None
    logged = server.requests("^INSERT")
    assert [(kind, None, False)] == [(r["fault"], r["status"], r["executed"]) for r in logged]
    assert stored(server, table) == []
    insert_stream(client, table, rows(1))
    assert stored(server, table) == [1]


def test_reset_during_reads_half_of_the_body(
    server: LoopbackClickHouse, client: Client, table: str
) -> None:
    server.fault("reset_during", times=2)  # the driver sends bytes twice by itself
    body = os.urandom(5_000_000)

    with pytest.raises(OperationalError):
        insert(client, table, body, compression="zstd")

    assert [r["body_bytes"] for r in server.requests("^INSERT")] == [2_500_000] * 2


def test_reset_and_close_differ_on_the_wire(server: LoopbackClickHouse) -> None:
    server.fault("reset_before", match="1 AS reset")
    server.fault("close_before", match="1 AS closed")

    with pytest.raises(ConnectionResetError) as reset:
        Reply(server, query="SELECT 1 AS reset")
    assert not isinstance(reset.value, RemoteDisconnected)
    with pytest.raises(RemoteDisconnected):
        Reply(server, query="SELECT 1 AS closed")


def test_execute_then_reset_leaves_the_row_behind(
    server: LoopbackClickHouse, client: Client, table: str
) -> None:
    server.fault("execute_then_reset")

    with pytest.raises(OperationalError):
        insert_stream(client, table, rows(1))

    assert stored(server, table) == [1]
    logged = server.requests("^INSERT")[0]
    assert (logged["executed"], logged["status"]) == (True, None)


def test_the_drivers_silent_second_send_duplicates_only_without_a_token(
    server: LoopbackClickHouse, client: Client, table: str
) -> None:
    plain = table + "_plain"
    server.command(TABLE_SQL.format(plain).replace("window = 100", "window = 0"))
    for target in (plain, table):
        server.fault("execute_then_reset")
        insert(client, target, rows(1), "token")

    assert (stored(server, plain), stored(server, table)) == ([1, 1], [1])
    assert len(server.requests("^INSERT")) == 4


def test_hang_runs_nothing_and_closes_when_released(
    server: LoopbackClickHouse, client: Client, table: str, thread: ThreadPoolExecutor
) -> None:
    server.fault("hang")
    future = thread.submit(insert_stream, client, table, rows(1))
    server.wait_for_request(phase="received")

    assert not future.done()
    server.clear_faults()
    assert isinstance(future.exception(30), OperationalError)
    assert stored(server, table) == []


def test_hang_with_execute_runs_late(
    server: LoopbackClickHouse, client: Client, table: str, thread: ThreadPoolExecutor
) -> None:
    server.fault("hang", execute=True)
    future = thread.submit(insert, client, table, rows(1))
    server.wait_for_request(phase="received")

    assert stored(server, table) == []
    server.release()
    assert future.result(30)["written_rows"] == "1"
    assert stored(server, table) == [1]


def test_execute_then_hang_holds_the_answer_only(
    server: LoopbackClickHouse, client: Client, table: str, thread: ThreadPoolExecutor
) -> None:
    server.fault("execute_then_hang")
    future = thread.submit(insert, client, table, rows(1))
    server.wait_for_request(phase="executed")

    assert stored(server, table) == [1]
    assert not future.done()
    server.release()
    assert future.result(30)["written_rows"] == "1"


@pytest.mark.parametrize("status", [413, 429, 502, 503, 504])
@pytest.mark.parametrize("execute", [False, True])
def test_http_status_is_a_proxys_page(
    server: LoopbackClickHouse, client: Client, table: str, status: int, execute: bool
) -> None:
    server.fault("http_status", status=status, execute=execute, headers={"Retry-After": "7"})

    with pytest.raises(DatabaseError) as caught:
        insert(client, table, rows(1))

    assert caught.value.code is None
    assert isinstance(caught.value, OperationalError) == (status in (429, 503, 504))
    assert ([1] if execute else []) == stored(server, table)
    server.fault("http_status", status=status, match="SELECT", headers={"Retry-After": "7"})
    reply = Reply(server, b"SELECT 1")
    assert reply.headers["Retry-After"] == "7"
    assert not [name for name in reply.headers if name.startswith("X-ClickHouse")]


@pytest.mark.parametrize("execute", [False, True])
def test_error_is_clickhouses_with_the_given_code(
    server: LoopbackClickHouse, client: Client, table: str, execute: bool
) -> None:
    server.fault(
        "error", code=252, name="TOO_MANY_PARTS", text="Too many parts (300)", execute=execute
    )

    with pytest.raises(DatabaseError, match="Too many parts") as caught:
        insert(client, table, rows(1))

    assert (caught.value.code, caught.value.name) == (252, "TOO_MANY_PARTS")
    assert server.requests("^INSERT")[0]["status"] == 500
    assert ([1] if execute else []) == stored(server, table)


def test_faults_count_skip_and_match(
    server: LoopbackClickHouse, client: Client, table: str
) -> None:
    server.fault("error", code=241, skip=1, times=2)
    codes: list[int | None] = []
    for number in range(5):
        assert client.command("SELECT 1") == 1  # not an INSERT: passes and is not counted
        try:
            insert(client, table, rows(number))
            codes.append(0)
        except DatabaseError as exc:
            codes.append(exc.code)

    assert codes == [0, 241, 241, 0, 0]
    assert stored(server, table) == [0, 3, 4]


def test_fault_without_end_lasts_until_cleared(
    server: LoopbackClickHouse, client: Client, table: str
) -> None:
    with server.faulted("error", code=202, status=503, times=-1):
        for _ in range(5):
            with pytest.raises(OperationalError):
                insert(client, table, rows(1))

    insert(client, table, rows(2))
    assert stored(server, table) == [2]


def test_unknown_fault_is_rejected(server: LoopbackClickHouse) -> None:
    with pytest.raises(LoopbackError, match="'explode' is none of reset_before"):
        server.fault("explode")
    with pytest.raises(LoopbackError, match="needs a status"):
        server.fault("http_status")


# The log, and the queries that bypass it


def test_log_lists_the_requests_that_arrived(
    server: LoopbackClickHouse, client: Client, table: str
) -> None:
    insert(client, table, rows(1), "a token")

    (logged,) = server.requests("^insert")
    assert f"INSERT INTO {table} (`x`, `s`) FORMAT JSONEachRow" == logged["statement"]
    assert logged["settings"]["insert_deduplication_token"] == "a token"
    assert (
        logged["kind"],
        logged["status"],
        logged["fault"],
        logged["executed"],
        logged["phase"],
    ) == ("INSERT", 200, None, True, "finished")
    assert len(logged["statement"]) + 1 + len(rows(1)) == logged["body_bytes"]


def test_wait_ends_with_the_request_or_at_its_timeout(
    server: LoopbackClickHouse, client: Client, table: str, thread: ThreadPoolExecutor
) -> None:
    waiting: Future[Any] = thread.submit(server.wait_for_request, table, count=2)
    for number in (1, 2):
        insert(client, table, rows(number))

    assert len(waiting.result(30)) == 2
    with pytest.raises(TimeoutError, match="not 3 requests"):
        server.wait_for_request(table, count=3, timeout=0)


def test_own_queries_meet_no_fault_no_log_and_no_grant(server: LoopbackClickHouse) -> None:
    server.deny("")
    server.fault("error", code=1, match="", times=-1)

    assert server.query("SELECT 18446744073709551615 AS v") == [{"v": 2**64 - 1}]
    assert server.command("SELECT 1, 'a'") == "1\ta"
    assert server.requests() == []
    with pytest.raises(LoopbackError, match="UNKNOWN_TABLE"):
        server.query("SELECT * FROM audit_db.no_such_table")


# The process


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[LoopbackClickHouse]:
    """
    A server that the test may end. It needs no login.
    """
    with LoopbackClickHouse.start(tmp_path / "db") as server:
        server.command("CREATE DATABASE audit_db")
        server.command(TABLE_SQL.format("audit_db.t"))
        yield server


def test_kill_and_restart_keep_what_was_acknowledged(own_server: LoopbackClickHouse) -> None:
    port, pid = own_server.port, own_server.pid
    with connected(own_server) as client:
        for number in range(5):
            insert(client, "t", rows(number), str(number))
        own_server.fault("execute_then_reset", times=-1)
        own_server.kill()
        with pytest.raises(OperationalError):
            insert(client, "t", rows(5), "5")

        own_server.restart()

        assert (port, True) == (own_server.port, own_server.pid != pid)
        assert stored(own_server, "audit_db.t") == [0, 1, 2, 3, 4]
        for number in (4, 5):  # an old token, and a new one over the connection of before
            insert(client, "t", rows(number), str(number))
        assert stored(own_server, "audit_db.t") == [0, 1, 2, 3, 4, 5]


def test_restart_removes_the_bodies_that_a_killed_server_was_reading(
    own_server: LoopbackClickHouse, thread: ThreadPoolExecutor
) -> None:
    bodies = own_server.path / "loopback_bodies"
    with connected(own_server) as client:
        own_server.fault("hang")
        future = thread.submit(insert_stream, client, "t", rows(1))
        own_server.wait_for_request(phase="received")
        own_server.kill()
        assert isinstance(future.exception(30), OperationalError)
    (bodies / "0.data").write_bytes(rows(1))

    own_server.restart()

    assert list(bodies.iterdir()) == []
    assert stored(own_server, "audit_db.t") == []


def test_stop_ends_a_hanging_request_and_does_not_wait_for_a_fork(
    own_server: LoopbackClickHouse, thread: ThreadPoolExecutor
) -> None:
    assert own_server._process.stdin is not None
    held_by_a_fork = os.dup(own_server._process.stdin.fileno())
    with connected(own_server) as client:
        own_server.fault("hang")
        future = thread.submit(insert_stream, client, "t", rows(1))
        own_server.wait_for_request(phase="received")

        own_server.stop()

        assert isinstance(future.exception(30), OperationalError)
    assert own_server._process.returncode == 0
    os.close(held_by_a_fork)


def test_process_ends_when_stdin_closes(own_server: LoopbackClickHouse) -> None:
    assert own_server._process.stdin is not None
    own_server._process.stdin.close()

    assert own_server._process.wait(30) == 0


def test_process_ends_at_sigterm(own_server: LoopbackClickHouse) -> None:
    os.kill(own_server.pid, signal.SIGTERM)

    assert own_server._process.wait(30) == -signal.SIGTERM


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for another's child by pidfd")
def test_process_ends_with_a_killed_parent(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from tests.support.loopback import LoopbackClickHouse\n"
        "print(LoopbackClickHouse.start(sys.argv[1]).pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "db")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with parent:
        assert parent.stdout is not None
        server = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()

    ended, _, _ = select.select([server], [], [], 30)
    os.close(server)
    assert ended


def test_second_server_on_one_path_fails_with_the_reason(
    own_server: LoopbackClickHouse,
) -> None:
    with pytest.raises(LoopbackError, match="did not start"):
        LoopbackClickHouse.start(own_server.path)

    assert own_server.command("SELECT 1") == "1"


def test_password_and_denials_survive_a_restart(tmp_path: Path) -> None:
    with LoopbackClickHouse.start(tmp_path, user=USER, password="old") as server:
        server.set_password("new")
        server.deny("^SELECT")

        server.restart()

        assert Reply(server, b"SELECT 1", login=f"{USER}:new").code == "497"
        assert Reply(server, b"SELECT 1", login=f"{USER}:old").code == "516"
