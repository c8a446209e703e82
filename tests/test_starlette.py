"""
The ASGI middleware around real Starlette applications, called as a server calls them.
"""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from audit_handler import AuditHandler, ConfigurationError, Rule, bind, current
from audit_handler._record.redaction import REDACTED
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


@pytest.fixture
def audits() -> Capture:
    return Capture()


@pytest.fixture
def logger(audits: Capture) -> logging.Logger:
    return audits.logger


@pytest.fixture(autouse=True)
def _context_is_restored() -> Iterator[None]:
    before = current()
    yield
    assert before is current()


async def created(request: Request) -> Response:
    order = await request.json()
    return JSONResponse({"id": 17, **order}, status_code=201)


async def read(request: Request) -> Response:
    return JSONResponse({"id": request.path_params["order_id"]})


async def emptied(_request: Request) -> Response:
    return Response(status_code=204)


async def failing(_request: Request) -> Response:
    raise LookupError("no such drawer")


def application(
    logger: logging.Logger, *routes: Any, inside: tuple[Middleware, ...] = (), **options: Any
) -> Starlette:
    """
    Return an application of *routes*, or of a few that most tests can use.
    """
    return Starlette(
        routes=routes
        or [
            Route("/api/orders", created, methods=["POST"]),
            Route("/api/orders/{order_id:int}", read, methods=["GET"]),
            Route("/api/orders/{order_id:int}", emptied, methods=["PUT", "PATCH", "DELETE"]),
            Route("/api/failing", failing, methods=["GET", "POST"]),
            Route("/login", emptied, methods=["POST"]),
        ],
        middleware=[Middleware(AuditMiddleware, logger=logger, **options), *inside],
    )


def endpoint(
    function: Callable[[Request], Awaitable[Response]], path: str = "/api/orders"
) -> Route:
    return Route(path, function, methods=["POST"])


# What is audited


def test_a_creation_is_audited_with_all_that_is_known(
    logger: logging.Logger, audits: Capture
) -> None:
    headers = {
        "content-type": "application/json",
        "user-agent": "orders-cli/1.4",
        "origin": "https://shop.example",
        "authorization": "Bearer t0k3n",
        "x-request-id": "req-1",
        "traceparent": f"00-{'a1' * 16}-{'b2' * 8}-01",
    }

    answer = asked(
        application(logger),
        path="/api/orders?dry=1",
        headers=headers,
        chunks=(b'{"name": "Tea", ', b'"password": "s3cr3t"}'),
    )

    assert 201 == answer.status
    row = audits.row
    assert 0 <= row.pop("response_time_ms") < 60_000
    # A recent Starlette tells the route, an older one does not.
    row["metadata"].pop("route", None)
    del row["event_id"], row["event_time"]
    assert {
        "level": "INFO",
        "logger": "audit",
        "message": "POST /api/orders: 201",
        "action": "CREATE",
        "outcome": "success",
        "resource_type": "orders",
        "resource_id": "17",
        "resource_name": "Tea",
        "endpoint": "/api/orders",
        "http_method": "POST",
        "status_code": 201,
        "request_body": {"name": "Tea", "password": "***REDACTED***"},
        "response_body": {"id": 17, "name": "Tea", "password": "***REDACTED***"},
        "request_headers": {
            "content-type": "application/json",
            "user-agent": "orders-cli/1.4",
            "origin": "https://shop.example",
        },
        "response_headers": {"content-type": "application/json"},
        "request_id": "req-1",
        "trace_id": "a1" * 16,
        "ip_address": "203.0.113.9",
        "user_agent": "orders-cli/1.4",
        "metadata": {"query_params": {"dry": "1"}},
    } == row


@pytest.mark.parametrize(
    ("method", "action"), [("PUT", "UPDATE"), ("PATCH", "UPDATE"), ("DELETE", "DELETE")]
)
def test_a_change_names_the_resource_of_its_path(
    logger: logging.Logger, audits: Capture, method: str, action: str
) -> None:
    asked(application(logger), method, "/api/orders/17")

    row = audits.row
    assert (action, "orders", "17") == (row["action"], row["resource_type"], row["resource_id"])
    assert {"order_id": 17} == row["metadata"]["path_params"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/orders/17"), ("POST", "/login"), ("GET", "/elsewhere")],
)
def test_other_requests_are_not_audited(
    logger: logging.Logger, audits: Capture, method: str, path: str
) -> None:
    asked(application(logger), method, path)

    assert [] == audits.rows


def test_a_method_in_small_letters_does_not_get_around_its_audit(
    logger: logging.Logger, audits: Capture
) -> None:
    """An `HTTPEndpoint` of older Starlette takes "post" for POST, and uvicorn hands it on."""

    class Orders(HTTPEndpoint):
        async def post(self, _request: Request) -> Response:
            return Response(status_code=201)

    asked(application(logger, Route("/api/orders", Orders)), "post")

    assert ("CREATE", "POST") == (audits.row["action"], audits.row["http_method"])


@pytest.mark.parametrize(("path", "status"), [("/api/nowhere", 404), ("/api/orders/17", 405)])
def test_a_refused_request_is_audited_as_a_failure(
    logger: logging.Logger, audits: Capture, path: str, status: int
) -> None:
    asked(application(logger), "POST", path)

    assert (status, "failure") == (audits.row["status_code"], audits.row["outcome"])


def test_ids_are_found_through_nested_routers(logger: logging.Logger, audits: Capture) -> None:
    inner = Mount("/orders/{order}", routes=[Route("/items/{item}", emptied, methods=["PUT"])])
    app = application(logger, Mount("/api/{tenant}", routes=[inner]))

    asked(app, "PUT", "/api/acme/orders/A-17/items/blue-tea")

    row = audits.row
    assert ("items", "blue-tea") == (row["resource_type"], row["resource_id"])
    assert {"tenant": "acme", "order": "A-17", "item": "blue-tea"} == row["metadata"]["path_params"]


def test_the_path_is_the_applications_own_behind_a_proxy(
    logger: logging.Logger, audits: Capture
) -> None:
    asked(application(logger), "PUT", "/shop/api/orders/17", root_path="/shop")

    assert "/api/orders/17" == audits.row["endpoint"]
    assert 204 == audits.row["status_code"]


def test_a_mounted_application_sees_the_whole_path(logger: logging.Logger, audits: Capture) -> None:
    inner = application(logger, endpoint(created, "/orders"))
    app = Starlette(routes=[Mount("/api", app=inner)])

    asked(app, **as_json({}))

    assert "/api/orders" == audits.row["endpoint"]


@pytest.mark.parametrize("is_mounted", [False, True])
def test_a_secret_in_the_path_is_known_before_the_router_is_asked(
    logger: logging.Logger, audits: Capture, is_mounted: bool
) -> None:
    class Noting(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: Any) -> Any:
            logger.info("coming", extra={"action": "COME"})
            return await call_next(request)

    route = Route("/reset/{token}", emptied, methods=["POST"])
    routes = [
        Mount("/api", app=Starlette(routes=[route]))
        if is_mounted
        else Mount("/api", routes=[route])
    ]
    audited = [Middleware(AuditMiddleware, logger=logger), Middleware(Noting)]
    app = Starlette(routes=routes, middleware=audited)

    asked(app, path="/api/reset/s3cr3t")
    asked(app, path="/api/reset/s3cr3t/")

    path = f"/api/reset/{REDACTED}"
    assert [("COME", path), ("CREATE", path), ("COME", f"{path}/"), ("CREATE", f"{path}/")] == [
        (row["action"], row["endpoint"]) for row in audits.rows
    ]
    assert [204, 307] == [row["status_code"] for row in audits.rows[1::2]]
    assert "s3cr3t" not in "".join(audits.lines)


def test_a_secret_in_the_path_is_known_inside_a_mounted_application(
    logger: logging.Logger, audits: Capture
) -> None:
    inner = application(logger, Route("/reset/{token}", emptied, methods=["POST"]))
    app = Starlette(routes=[Mount("/api", app=inner)])

    asked(app, path="/api/reset/s3cr3t/")

    assert (307, f"/api/reset/{REDACTED}/") == (audits.row["status_code"], audits.row["endpoint"])


def test_the_matched_route_is_kept_where_the_router_tells(
    logger: logging.Logger, audits: Capture
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["route"] = Route("/api/orders/{order_id}", emptied)  # as FastAPI does
        scope["path_params"] = {"order_id": "A-17"}
        await Response()(scope, receive, send)

    asked(AuditMiddleware(app, logger=logger), "PUT", "/api/orders/A-17")

    assert "/api/orders/{order_id}" == audits.row["metadata"]["route"]
    assert "A-17" == audits.row["resource_id"]


def test_what_the_endpoint_binds_wins(logger: logging.Logger, audits: Capture) -> None:
    async def approved(_request: Request) -> Response:
        bind(action="APPROVE", resource_type="order", agent_id="u-9", tenant="acme")
        return JSONResponse({"id": 17})

    path = "/api/orders/{order_id:int}/approve"
    asked(application(logger, endpoint(approved, path)), path="/api/orders/17/approve")

    row = audits.row
    assert ("APPROVE", "order", "17") == (
        row["action"],
        row["resource_type"],
        row["resource_id"],
    )
    assert ("u-9", "acme") == (row["agent_id"], row["tenant"])


# Who, and which request


def test_records_logged_inside_carry_the_request(logger: logging.Logger, audits: Capture) -> None:
    async def approved(_request: Request) -> Response:
        logger.info("approved", extra={"action": "APPROVE"})
        return Response()

    asked(
        application(logger, endpoint(approved), get_user=lambda _scope: {"id": 7, "name": "Ada"}),
        headers={"x-request-id": "req-1", "user-agent": "cli"},
    )

    inside, around = audits.rows
    names = ("request_id", "ip_address", "user_agent", "agent_id", "agent_name", "endpoint")
    assert ["req-1", "203.0.113.9", "cli", "7", "Ada", "/api/orders"] == [inside[n] for n in names]
    assert [inside[name] for name in names] == [around[name] for name in names]
    assert ("APPROVE", "CREATE") == (inside["action"], around["action"])


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


def test_an_active_span_gives_the_request_its_id(logger: logging.Logger, audits: Capture) -> None:
    tracer = TracerProvider().get_tracer("tests")
    app = application(logger)
    with tracer.start_as_current_span("server") as span:
        answer = asked(app, "DELETE", "/api/orders/1")
        asked(app, "DELETE", "/api/orders/2", headers={"x-request-id": "req-1"})
    trace_id = trace.format_trace_id(span.get_span_context().trace_id)

    without, with_id = audits.rows
    assert trace_id == without["request_id"] == answer.headers["x-request-id"]
    assert trace_id == with_id["request_id"] == with_id["trace_id"]
    assert "req-1" == with_id["metadata"]["x_request_id"]


def test_a_forged_forwarded_for_does_not_count(logger: logging.Logger, audits: Capture) -> None:
    forged = {"x-forwarded-for": "198.51.100.1", "forwarded": "for=198.51.100.1"}

    asked(application(logger), "DELETE", "/api/orders/1", headers=forged)
    asked(application(logger), "DELETE", "/api/orders/2", headers=forged, client=None)
    asked(application(logger), "DELETE", "/api/orders/3", client=("testclient", 50000))

    first, *others = audits.rows
    assert "203.0.113.9" == first["ip_address"]
    assert all("ip_address" not in row for row in others)
    assert all("_invalid" not in row["metadata"] for row in others)


def test_the_session_cookie_is_kept_as_a_hash(logger: logging.Logger, audits: Capture) -> None:
    app = application(logger, session_cookie="sid")

    asked(app, "DELETE", "/api/orders/1", headers={"cookie": "sid=s3cr3t"})

    assert 32 == len(audits.row["session_id"])
    assert "s3cr3t" not in audits.lines[0]


class Backend(AuthenticationBackend):
    """
    Knows who the header says it is.
    """

    async def authenticate(self, conn: Any) -> tuple[AuthCredentials, SimpleUser] | None:
        name = conn.headers.get("x-user")
        return (AuthCredentials(["write"]), SimpleUser(name)) if name else None


def test_a_user_who_is_authenticated_inside_is_named(
    logger: logging.Logger, audits: Capture
) -> None:
    inside = (Middleware(AuthenticationMiddleware, backend=Backend()),)
    app = application(logger, inside=inside)

    asked(app, "DELETE", "/api/orders/1", headers={"x-user": "ada"})
    asked(app, "DELETE", "/api/orders/2")

    known, anonymous = audits.rows
    assert ("ada", "ada") == (known["agent_id"], known["agent_name"])
    assert not any(name.startswith("agent") for name in anonymous)


def test_a_get_user_that_fails_costs_neither_the_request_nor_the_audit(
    logger: logging.Logger, audits: Capture, caplog: pytest.LogCaptureFixture
) -> None:
    def get_user(scope: Any) -> Any:
        raise LookupError(scope["path"])

    app = application(logger, get_user=get_user)

    answers = [asked(app, "DELETE", "/api/orders/1") for _ in range(2)]

    assert [204, 204] == [answer.status for answer in answers]
    assert ["DELETE", "DELETE"] == [row["action"] for row in audits.rows]
    (told,) = caplog.messages
    assert told.startswith("get_user failed (LookupError at ")
    assert "/api/orders" not in caplog.text


class AsyncUser:
    async def __call__(self, _scope: Any) -> Any:
        return "u-1"


@pytest.mark.parametrize("get_user", [AsyncUser(), AsyncUser().__call__])
def test_a_get_user_that_nobody_would_wait_for_is_refused(get_user: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"get_user is async.*put into the scope"):
        AuditMiddleware(Response(), get_user=get_user)


# Bodies


def test_no_secret_of_json_form_or_query_is_stored(logger: logging.Logger, audits: Capture) -> None:
    async def echo(request: Request) -> Response:
        return Response(await request.body(), media_type=request.headers["content-type"])

    app = application(logger, endpoint(echo))
    form = {"content-type": "application/x-www-form-urlencoded"}

    asked(app, **as_json({"user": {"p\u0061ssword": "s3cr3t"}, "tokens": ["s3cr3t"]}))
    asked(app, chunks=(b'{"p\\u0061ssword": "s3cr3t"}',), headers=form)
    asked(app, chunks=(b"name=Ada&p%61ssword=s3cr3t",), headers=form)
    asked(app, chunks=(b"name: Ada\npassword: s3cr3t",), headers={"content-type": "text/plain"})
    asked(app, path="/api/orders?api_key=s3cr3t", headers={"content-type": "text/xml"})

    assert 5 == len(audits.lines)
    assert "s3cr3t" not in "".join(audits.lines)
    assert {"name": "Ada", "password": "***REDACTED***"} == audits.rows[2]["request_body"]


def test_a_long_body_is_cut_in_the_audit_alone(logger: logging.Logger, audits: Capture) -> None:
    sent = {"id": 5, "password": {"old": "s3cr3t"}, "lines": ["tea"] * 1000}

    answer = asked(application(logger, max_body_bytes=500), **as_json(sent))

    assert sent == json.loads(answer.body)
    row = audits.row
    assert ("5", 5) == (row["resource_id"], row["request_body"]["id"])
    assert len(json.dumps(sent)) == row["metadata"]["_truncated_body"]["request_body"]
    assert len(answer.body) == row["metadata"]["_truncated_body"]["response_body"]
    assert "s3cr3t" not in audits.lines[0]


def test_an_upload_is_described_and_passes_unharmed(
    logger: logging.Logger, audits: Capture
) -> None:
    async def size(request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    chunks = tuple(bytes([n]) * 100_000 for n in range(3))
    answer = asked(
        application(logger, endpoint(size)), chunks=chunks, headers={"content-type": "image/png"}
    )

    assert b"300000" == answer.body
    assert "<image/png, 300000 bytes>" == audits.row["request_body"]
    assert "300000" == audits.row["response_body"]


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


# Failures


def test_an_exception_is_audited_once_and_raised_on(
    logger: logging.Logger, audits: Capture
) -> None:
    answer = Answer()

    with pytest.raises(LookupError, match="no such drawer"):
        asked(application(logger), path="/api/failing", answer=answer)

    row = audits.row
    assert 500 == answer.status
    assert ("ERROR", "ERROR", 500, "failure") == (
        row["action"],
        row["level"],
        row["status_code"],
        row["outcome"],
    )
    assert "LookupError: no such drawer" == row["error_message"]
    assert "in failing" in row["metadata"]["exception.stacktrace"]


def test_an_exception_of_a_read_is_raised_on_without_an_audit(
    logger: logging.Logger, audits: Capture
) -> None:
    with pytest.raises(LookupError):
        asked(application(logger), "GET", "/api/failing")

    assert [] == audits.rows


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


def test_a_logger_that_is_not_enabled_is_reported_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """
    A logger without a level takes the root's, WARNING: every audit would vanish without a word.
    """
    app = application(private_logger(logging.WARNING))

    for _ in range(3):
        asked(app, "DELETE", "/api/orders/1")

    (record,) = caplog.records
    assert (
        "no request is audited: the logger 'audit' is not enabled for INFO; set its level"
        == record.getMessage()
    )


# Around it


def test_it_works_around_and_inside_middleware_that_runs_its_own_task(
    logger: logging.Logger, audits: Capture
) -> None:
    async def passing(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    inside = (Middleware(BaseHTTPMiddleware, dispatch=passing),)
    app = application(logger, inside=inside)
    app.add_middleware(BaseHTTPMiddleware, dispatch=passing)

    answer = asked(app, **as_json({"name": "Tea"}))

    assert {"id": 17, "name": "Tea"} == json.loads(answer.body)
    assert {"name": "Tea"} == audits.row["request_body"]
    assert {"id": 17, "name": "Tea"} == audits.row["response_body"]


@pytest.mark.parametrize(("prefix", "rows"), [("/api", (1, 0)), ("/shop", (0, 1))])
def test_one_request_has_one_audit(prefix: str, rows: tuple[int, int]) -> None:
    """That of the outermost which wants one, with what is said and bound inside."""
    outer, inner = Capture(), Capture()

    async def said(_request: Request) -> Response:
        bind(agent_id="u-7")
        return Response(status_code=201)

    mounted = application(inner.logger, endpoint(said, "/orders"))
    app = Starlette(routes=[Mount("/api", app=mounted)])

    asked(AuditMiddleware(app, logger=outer.logger, path_prefixes=prefix))

    assert rows == (len(outer.rows), len(inner.rows))
    assert ["u-7"] == [row["agent_id"] for row in outer.rows + inner.rows]


def test_an_outer_audit_that_is_not_certain_costs_no_inner_one() -> None:
    """It waits for the status, and what it does not want then would have no audit at all."""
    outer, inner = Capture(), Capture()

    policy = [Rule(level="metadata", statuses="5xx")]
    inside = AuditMiddleware(PlainTextResponse("made", 201), logger=inner.logger)
    asked(AuditMiddleware(inside, logger=outer.logger, policy=policy))

    assert (0, 1) == (len(outer.rows), len(inner.rows))


def test_a_websocket_has_the_context_and_no_audit(logger: logging.Logger, audits: Capture) -> None:
    bound: dict[str, Any] = {}

    async def chat(websocket: WebSocket) -> None:
        bound.update(current())
        await websocket.accept()
        await websocket.close()

    app = application(logger, WebSocketRoute("/api/chat", chat))
    asked(
        app,
        path="/api/chat",
        type="websocket",
        headers={"x-request-id": "req-1"},
        chunks=({"type": "websocket.connect"},),
    )

    assert ("req-1", "203.0.113.9") == (bound["request_id"], bound["ip_address"])
    assert [] == audits.rows


def test_the_lifespan_passes_untouched() -> None:
    calls: list[Any] = []

    async def app(*args: Any) -> None:
        calls.append(args)

    scope = {"type": "lifespan"}
    asyncio.run(AuditMiddleware(app)(scope, asyncio.sleep, asyncio.sleep))  # type: ignore[arg-type]  # only passed on

    assert [(scope, asyncio.sleep, asyncio.sleep)] == calls


def test_the_middleware_needs_no_framework() -> None:
    code = (
        "import sys; sys.modules['starlette'] = None; import audit_handler.starlette; "
        "print(sorted(m for m in sys.modules if m in ('anyio', 'clickhouse_connect', 'flask')))"
    )

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]\n" == ran.stdout


# Fail closed


@pytest.mark.parametrize(
    ("on_full", "method", "status"),
    [("raise", "POST", 503), ("raise", "GET", 200), ("drop", "POST", 204)],
)
def test_a_request_that_cannot_be_audited_does_not_reach_the_application(
    make_handler: Callable[..., AuditHandler], on_full: str, method: str, status: int
) -> None:
    """Only with ``on_full="raise"``, and only if it had to be audited."""
    reached: list[str] = []

    async def noted(request: Request) -> Response:
        reached.append(request.method)
        return Response(status_code=200 if request.method == "GET" else 204)

    handler = make_handler(
        "http://127.0.0.1:1", on_full=on_full, batch_bytes=65_536, max_spool_bytes=65_536
    )
    strict = private_logger(logging.INFO, handler)
    while handler.can_take():
        strict.info("fills the spool", extra={"action": "FILL", "new_value": "y" * 1_000})
    app = application(strict, Route("/api/orders", noted, methods=["GET", "POST"]))
    answer = asked(app, method)

    assert status == answer.status
    assert ([] if status == 503 else [method]) == reached
    assert "x-request-id" in answer.headers
