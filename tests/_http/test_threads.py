"""A handler that may block keeps the event loop going: the audit is logged in a thread, once, and
before the last chunk."""

from __future__ import annotations

import asyncio
import importlib
import logging
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from starlette.responses import JSONResponse

from audit_handler import AuditHandler, bind
from audit_handler._http.threads import run_in_thread
from audit_handler._record.redaction import Redactor
from audit_handler.starlette import AuditMiddleware
from tests.support.asgi import Answer, Capture, as_json, ask, asked, private_logger
from tests.support.full_spools import fill
from tests.support.loopback import LoopbackClickHouse


async def created(scope: Any, receive: Any, send: Any) -> None:
    bind(agent_id="u-7")
    await JSONResponse({"id": 17}, status_code=201)(scope, receive, send)


async def failing(_scope: Any, _receive: Any, _send: Any) -> None:
    raise LookupError("no such drawer")


async def endless(_scope: Any, _receive: Any, _send: Any) -> None:
    await asyncio.Event().wait()


class Waiting(Capture):
    """Asked like an `AuditHandler` whose spool is full, and waits for `room` like that."""

    redactor = Redactor()

    def __init__(self) -> None:
        super().__init__()
        self.is_waiting = asyncio.Event()
        self.room = threading.Event()
        self.threads: list[int] = []
        self._loop = asyncio.get_running_loop()

    def can_take(self) -> bool:
        return True

    def may_wait(self) -> bool:
        return True

    def emit(self, record: logging.LogRecord) -> None:
        self.threads.append(threading.get_ident())
        self._loop.call_soon_threadsafe(self.is_waiting.set)
        assert self.room.wait(10)
        super().emit(record)


def test_other_requests_go_on_while_an_audit_waits_for_room() -> None:
    async def both() -> tuple[list[Answer], Waiting]:
        audits, answer = Waiting(), Answer()
        first = asyncio.create_task(
            ask(AuditMiddleware(created, logger=audits.logger), answer=answer)
        )
        await audits.is_waiting.wait()
        assert ["http.response.start"] == [message["type"] for message in answer.messages]
        second = await ask(created)
        audits.room.set()
        return [await first, second], audits

    answers, audits = asyncio.run(both())

    assert [(201, b'{"id":17}')] * 2 == [(answer.status, answer.body) for answer in answers]
    assert ("CREATE", "u-7") == (audits.row["action"], audits.row["agent_id"])
    assert threading.get_ident() not in audits.threads


@pytest.mark.parametrize("app", [created, endless])
def test_a_request_that_is_cancelled_is_audited_once_and_stays_cancelled(app: Any) -> None:
    """Before its audit waits, or meanwhile; and again while that waits."""

    async def cancelled() -> tuple[asyncio.Task[Answer], Waiting]:
        audits = Waiting()
        task = asyncio.create_task(ask(AuditMiddleware(app, logger=audits.logger)))
        await asyncio.sleep(0)
        if app is endless:
            task.cancel()
        await audits.is_waiting.wait()
        task.cancel()
        await asyncio.wait([task])
        audits.room.set()
        await asyncio.get_running_loop().shutdown_default_executor()
        return task, audits

    task, audits = asyncio.run(cancelled())

    assert task.cancelled()
    assert "CREATE" == audits.row["action"]


def test_an_exception_is_audited_once_and_raised_on() -> None:
    async def failed() -> Waiting:
        audits = Waiting()
        audits.room.set()
        with pytest.raises(LookupError, match="no such drawer"):
            await ask(AuditMiddleware(failing, logger=audits.logger))
        return audits

    row = asyncio.run(failed()).row

    assert ("ERROR", "LookupError: no such drawer") == (row["action"], row["error_message"])


def test_what_is_raised_in_the_thread_stops_the_answer() -> None:
    class Refusing(Waiting):
        def emit(self, _record: logging.LogRecord) -> None:
            raise RuntimeError("the spool is full")

    async def refused(answer: Answer) -> None:
        await ask(AuditMiddleware(created, logger=Refusing().logger), answer=answer)

    answer = Answer()
    with pytest.raises(RuntimeError, match="the spool is full"):
        asyncio.run(refused(answer))

    assert b"" == answer.body


def test_without_a_loop_of_asyncio_the_audit_is_logged_in_place() -> None:
    """As under trio."""

    async def made() -> Waiting:
        return Waiting()

    async def send(_message: Any) -> None:
        pass

    audits = asyncio.run(made())
    audits._loop = _NoLoop()  # type: ignore[assignment]  # not waited for
    audits.room.set()
    scope = {"type": "http", "method": "POST", "path": "/api/orders", "headers": []}
    running = AuditMiddleware(created, logger=audits.logger)(scope, asyncio.sleep, send)  # type: ignore[arg-type]  # nothing is received
    with pytest.raises(StopIteration):
        running.send(None)

    assert [threading.get_ident()] == audits.threads
    assert "CREATE" == audits.row["action"]


class _NoLoop:
    def call_soon_threadsafe(self, _call: Callable[[], None]) -> None:
        pass


# With an AuditHandler


def test_a_full_spool_does_not_keep_the_loop_from_what_makes_room(
    faults: LoopbackClickHouse, database: str, make_handler: Callable[..., AuditHandler]
) -> None:
    faults.fault("http_status", status=503, times=-1)
    limits = {"batch_bytes": 65_536, "max_spool_bytes": 65_536}
    handler = make_handler(faults.dsn(database), on_full="block", block_timeout=10, **limits)
    fill(handler)

    async def recovered() -> Answer:
        noticed = asyncio.Event()
        loop = asyncio.get_running_loop()
        before = logging.Handler()
        before.addFilter(lambda _record: loop.call_soon_threadsafe(noticed.set) is None)
        app = AuditMiddleware(created, logger=private_logger(logging.INFO, before, handler))
        request = asyncio.create_task(ask(app, **as_json({"note": "y" * 3_000})))
        await noticed.wait()
        faults.clear_faults()
        return await request

    answer = asyncio.run(recovered())

    assert (201, 0) == (answer.status, handler.status().rows_dropped)
    assert handler.flush()
    stored = faults.query(f"SELECT agent_id FROM {database}.audit_logs WHERE action = 'CREATE'")
    assert [{"agent_id": "u-7"}] == stored


def test_a_handler_with_room_is_logged_to_on_the_loop(
    make_handler: Callable[..., AuditHandler],
) -> None:
    threads: list[int] = []

    def note(_record: logging.LogRecord) -> bool:
        threads.append(threading.get_ident())
        return True

    handler = make_handler("http://127.0.0.1:1", on_full="block")
    handler.addFilter(note)

    asked(AuditMiddleware(created, logger=private_logger(logging.INFO, handler)))

    assert [threading.get_ident()] == threads


# For a status page


@pytest.mark.parametrize("has_anyio", [True, False])
def test_a_function_runs_in_a_thread_with_and_without_anyio(
    monkeypatch: pytest.MonkeyPatch, has_anyio: bool
) -> None:
    if has_anyio:
        importlib.import_module("anyio")
    else:
        monkeypatch.delitem(sys.modules, "anyio")

    thread = asyncio.run(run_in_thread(threading.get_ident))

    assert threading.get_ident() != thread
