"""The fault proxy passes exchanges on, and breaks those that it was told to break."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException, HTTPResponse

import pytest

from tests.support.fault_proxy import (
    Fault,
    FaultProxy,
    Reach,
    answering,
    cutting,
    resetting,
    without_headers,
)
from tests.support.loopback import LoopbackClickHouse

pytestmark = pytest.mark.once


@pytest.fixture
def proxy(faults: LoopbackClickHouse) -> Iterator[FaultProxy]:
    with FaultProxy(faults.port) as proxy:
        yield proxy


def ask(proxy: FaultProxy, sql: str) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection("127.0.0.1", proxy.port, timeout=60)
    try:
        connection.request("POST", "/?query_id=q", sql.encode())
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def test_without_a_fault_it_passes_everything_on_over_one_connection(proxy: FaultProxy) -> None:
    connection = HTTPConnection("127.0.0.1", proxy.port, timeout=60)
    answers = []
    for number in (1, 2):
        # An iterator is sent in chunks.
        connection.request(
            "POST", "/?query=SELECT+", iter([f"{number}".encode()]), encode_chunked=True
        )
        answers.append(connection.getresponse().read())
    connection.close()

    assert [b"1\n", b"2\n"] == answers
    assert proxy.requests[0].startswith(b"POST /?query=SELECT  HTTP/1.1\r\n")


@pytest.mark.parametrize("reach", Reach)
def test_a_reset_reaches_the_client_before_during_or_after_the_request(
    proxy: FaultProxy, faults: LoopbackClickHouse, reach: Reach
) -> None:
    fault = Fault(resetting, match="SELECT 1", reach=reach)
    proxy.arm(fault)
    with pytest.raises(ConnectionResetError):
        ask(proxy, "SELECT 1")

    assert [fault] == proxy.met
    assert b"1\n" == ask(proxy, "SELECT 1")[1]
    if reach is Reach.ALL:
        assert [True, True] == [entry["executed"] for entry in faults.requests("SELECT 1")]


def test_an_answer_is_replaced_as_often_as_told(proxy: FaultProxy) -> None:
    page = b"HTTP/1.1 202 Fine\r\nContent-Length: 2\r\n\r\nhi"
    proxy.arm(Fault(answering(page), reach=Reach.NOTHING, times=2))
    answers = [ask(proxy, "SELECT 1") for _ in range(3)]

    assert [(202, b"hi"), (202, b"hi"), (200, b"1\n")] == [(a.status, b) for a, b in answers]


def test_an_answer_is_cut(proxy: FaultProxy) -> None:
    proxy.arm(Fault(cutting(-1)))
    with pytest.raises((HTTPException, ConnectionError)):
        ask(proxy, "SELECT 1")


def test_headers_are_removed_and_the_body_stays(proxy: FaultProxy) -> None:
    proxy.arm(Fault(without_headers("X-ClickHouse"), times=None, closes=False))
    response, body = ask(proxy, "SELECT 1")

    assert b"1\n" == body
    assert not [name for name in response.headers if name.lower().startswith("x-clickhouse")]
    assert response.headers["Content-Length"] or response.headers["Transfer-Encoding"]


def test_a_request_waits_for_its_event(proxy: FaultProxy, faults: LoopbackClickHouse) -> None:
    event = threading.Event()
    proxy.arm(Fault(without_headers("none"), match="SELECT 7", until=event))
    thread = threading.Thread(target=ask, args=(proxy, "SELECT 7"))
    thread.start()
    assert b"1\n" == ask(proxy, "SELECT 1")[1]
    before = faults.requests("SELECT 7")
    event.set()
    thread.join()

    assert [] == before
    assert 1 == len(faults.requests("SELECT 7"))


def test_a_server_that_is_away_is_a_reset() -> None:
    with FaultProxy(1) as proxy, pytest.raises(ConnectionError):
        ask(proxy, "SELECT 1")
