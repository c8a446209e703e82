"""A request on its way through an ASGI application: its id, chunks, disconnects, failures."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from audit_handler.starlette import AuditMiddleware
from tests.support.asgi import (
    DISCONNECT,
    Answer,
    Capture,
    Message,
    as_json,
    ask,
    asked,
    private_logger,
)
from tests.support.starlette_orders import application, endpoint

pytestmark = pytest.mark.usefixtures("context_is_restored")


def test_a_request_without_an_id_gets_one_that_the_client_is_told(
    logger: logging.Logger, audits: Capture
) -> None:
    answer = asked(application(logger), headers={"x-request-id": "not valid!"}, method="DELETE")

    assert answer.headers["x-request-id"] == audits.row["request_id"]
    assert 32 == len(audits.row["request_id"])


def test_a_read_is_told_its_request_id_too(logger: logging.Logger) -> None:
    answer = asked(application(logger), "GET", "/api/orders/17", headers={"x-request-id": "req-1"})

    assert "req-1" == answer.headers["x-request-id"]


def test_a_request_id_that_the_application_answers_stays(logger: logging.Logger) -> None:
    async def own(_request: Request) -> Response:
        return Response(headers={"X-Request-ID": "own"})

    answer = asked(application(logger, endpoint(own)))

    ids = [value for name, value in answer.messages[0]["headers"] if name == b"x-request-id"]
    assert [b"own"] == ids


def test_a_stream_passes_chunk_by_chunk(logger: logging.Logger, audits: Capture) -> None:
    """
    Each chunk is with the server before the next one is made, and the audit comes before the end.
    """
    answer = Answer()
    out_before: list[int] = []

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(5):
            out_before.append(len(answer.messages))
            yield b"x" * 30_000
        assert [] == audits.rows

    async def streaming(_request: Request) -> Response:
        return StreamingResponse(chunks(), media_type="text/plain")

    asked(application(logger, endpoint(streaming)), answer=answer)

    assert [1, 2, 3, 4, 5] == out_before
    assert 150_000 == len(answer.body)
    assert "x" * 65_536 == audits.row["response_body"]
    assert {"response_body": 150_000} == audits.row["metadata"]["_truncated_body"]


def test_the_audit_is_logged_before_the_client_has_the_whole_answer(
    logger: logging.Logger, audits: Capture
) -> None:
    logged_before: list[tuple[str, int]] = []

    class Watching(Answer):
        def take(self, message: Message) -> None:
            logged_before.append((message["type"], len(audits.rows)))

    asked(application(logger), answer=Watching(), **as_json({}))

    assert [("http.response.start", 0), ("http.response.body", 1)] == logged_before


def test_a_file_that_the_server_sends_itself_completes_the_response(
    logger: logging.Logger, audits: Capture
) -> None:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.pathsend", "path": "/srv/report.pdf"})

    asked(AuditMiddleware(app, logger=logger))

    assert (200, "success") == (audits.row["status_code"], audits.row["outcome"])


def test_an_exception_in_a_stream_keeps_the_status_that_was_sent(
    logger: logging.Logger, audits: Capture
) -> None:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise LookupError("the other half")

    with pytest.raises(LookupError):
        asked(AuditMiddleware(app, logger=logger))

    row = audits.row
    assert ("ERROR", 200, "failure") == (row["action"], row["status_code"], row["outcome"])


def test_an_exception_after_the_response_adds_no_second_audit(
    logger: logging.Logger, audits: Capture
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await Response()(scope, receive, send)
        raise LookupError("in the background")

    with pytest.raises(LookupError):
        asked(AuditMiddleware(app, logger=logger))

    assert "success" == audits.row["outcome"]


def test_an_application_that_never_answers_is_audited_as_500(
    logger: logging.Logger, audits: Capture
) -> None:
    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        """Forget to answer."""

    asked(AuditMiddleware(app, logger=logger))

    assert (500, "failure") == (audits.row["status_code"], audits.row["outcome"])


def test_a_disconnect_in_the_request_is_audited_once_as_499(
    logger: logging.Logger, audits: Capture
) -> None:
    with suppress(Exception):  # Starlette's ClientDisconnect, as without the middleware
        asked(application(logger), chunks=(b'{"name": "Te', DISCONNECT))

    row = audits.row
    assert ("CREATE", 499, "failure") == (row["action"], row["status_code"], row["outcome"])
    assert row["metadata"]["client_disconnected"] is True
    assert '{"name": "Te' == row["request_body"]


def test_a_disconnect_in_the_response_keeps_the_status_that_was_sent(
    logger: logging.Logger, audits: Capture
) -> None:
    """
    Up to ASGI 2.3 Starlette listens for the disconnect, and ends the stream without a word.
    """

    async def endless() -> AsyncIterator[bytes]:
        yield b"first"
        await asyncio.Event().wait()

    async def streaming(_request: Request) -> Response:
        return StreamingResponse(endless(), media_type="text/plain")

    asked(application(logger, endpoint(streaming)), chunks=(DISCONNECT,))

    row = audits.row
    assert (200, "failure") == (row["status_code"], row["outcome"])
    assert row["metadata"]["client_disconnected"] is True


def test_a_server_that_refuses_the_next_chunk_means_a_disconnect(
    logger: logging.Logger, audits: Capture
) -> None:
    """
    Since ASGI 2.4 that is what a server does when the client has gone.
    """

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    class Refusing(Answer):
        def take(self, message: Message) -> None:
            if message["type"] == "http.response.body":
                raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        asked(AuditMiddleware(app, logger=logger), answer=Refusing())

    row = audits.row
    assert ("CREATE", 200, "failure") == (row["action"], row["status_code"], row["outcome"])
    assert row["metadata"]["client_disconnected"] is True


def test_an_answer_to_a_client_that_has_gone_is_what_the_application_did(
    logger: logging.Logger, audits: Capture
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert DISCONNECT == await receive()
        await JSONResponse({"id": 17}, status_code=201)(scope, receive, send)

    asked(AuditMiddleware(app, logger=logger), chunks=(DISCONNECT,))

    row = audits.row
    assert (201, "success") == (row["status_code"], row["outcome"])
    assert row["metadata"]["client_disconnected"] is True


def test_a_disconnect_after_the_response_is_no_news(
    logger: logging.Logger, audits: Capture
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await Response()(scope, receive, send)
        assert DISCONNECT == await receive()

    asked(AuditMiddleware(app, logger=logger), chunks=(DISCONNECT,))

    assert "success" == audits.row["outcome"]
    assert "metadata" not in audits.row


def test_a_cancelled_request_is_audited_and_stays_cancelled(
    logger: logging.Logger, audits: Capture
) -> None:
    async def cancelled() -> asyncio.Task[Answer]:
        is_inside = asyncio.Event()

        async def endless(_request: Request) -> Response:
            is_inside.set()
            await asyncio.Event().wait()
            raise AssertionError

        task = asyncio.ensure_future(ask(application(logger, endpoint(endless))))
        await is_inside.wait()
        task.cancel()
        await asyncio.wait([task])
        return task

    assert asyncio.run(cancelled()).cancelled()
    row = audits.row
    assert ("CREATE", 499, "failure") == (row["action"], row["status_code"], row["outcome"])
    assert row["metadata"]["cancelled"] is True
    assert "INFO" == row["level"]


def test_a_handler_that_fails_closed_stops_the_answer_and_logs_once() -> None:
    """
    With ``on_full="raise"`` the handler raises: the client must not take the answer for audited.
    """
    calls: list[str] = []

    class Full(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            calls.append(record.getMessage())
            raise RuntimeError("the spool is full")

    answer = Answer()
    with pytest.raises(RuntimeError, match="the spool is full"):
        asked(
            application(private_logger(logging.INFO, Full())),
            "DELETE",
            "/api/orders/1",
            answer=answer,
        )

    assert ["DELETE /api/orders/1: 204"] == calls
    assert b"" == answer.body
    assert ["http.response.start"] == [message["type"] for message in answer.messages]
