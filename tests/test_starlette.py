"""`AuditMiddleware` around real Starlette applications, called as a server calls them."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
)
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from audit_handler import Rule, bind, current
from audit_handler.starlette import AuditMiddleware
from tests.support.asgi import (
    Answer,
    Capture,
    as_json,
    asked,
)
from tests.support.starlette_orders import application, endpoint


@pytest.fixture(autouse=True)
def _context_is_restored() -> Iterator[None]:
    before = current()
    yield
    assert before is current()


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
        "metadata": {"query_params": {"dry": "1"}, "route": "/api/orders"},
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


def test_a_method_in_small_letters_does_not_get_around_its_audit(
    logger: logging.Logger, audits: Capture
) -> None:
    """An `HTTPEndpoint` of older Starlette takes "post" for POST, and uvicorn hands it on."""

    class Orders(HTTPEndpoint):
        async def post(self, _request: Request) -> Response:
            return Response(status_code=201)

    asked(application(logger, Route("/api/orders", Orders)), "post")

    assert ("CREATE", "POST") == (audits.row["action"], audits.row["http_method"])


@pytest.mark.parametrize(
    ("path", "status", "metadata"),
    [
        ("/api/nowhere", 404, None),
        (
            "/api/orders/17",
            405,
            {"route": "/api/orders/{order_id:int}", "path_params": {"order_id": 17}},
        ),
    ],
)
def test_a_refused_request_is_audited_as_a_failure(
    logger: logging.Logger, audits: Capture, path: str, status: int, metadata: Any
) -> None:
    asked(application(logger), "POST", path)

    row = audits.row
    assert (status, "failure") == (row["status_code"], row["outcome"])
    assert metadata == row.get("metadata")


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
    assert "5" == row["resource_id"]
    assert row["request_body"].startswith('{"id": 5, "password": ')
    assert '"lines": ["tea", "tea", ' in row["request_body"]
    assert len(json.dumps(sent)) == row["metadata"]["_truncated_body"]["request_body"]
    assert len(answer.body) == row["metadata"]["_truncated_body"]["response_body"]
    assert "s3cr3t" not in audits.lines[0]


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "image/png"},
        {"content-type": "text/csv"},
        {"content-type": "multipart/form-data"},
        {"content-type": "application/json", "content-encoding": "Identity"},
        {"content-type": "application/json", "content-encoding": "gzip"},
        {},
    ],
)
def test_what_the_application_reads_as_json_is_audited_as_json(
    logger: logging.Logger, audits: Capture, headers: dict[str, str]
) -> None:
    sent = b'{"name": "Tea", "password": "s3cr3t"}'

    answer = asked(application(logger), headers=headers, chunks=(sent,))

    assert 201 == answer.status
    assert {"name": "Tea", "password": "***REDACTED***"} == audits.row["request_body"]
    assert "Tea" == audits.row["resource_name"]


def test_a_response_that_was_compressed_inside_is_audited_as_what_it_holds(
    logger: logging.Logger, audits: Capture
) -> None:
    app = application(logger, inside=(Middleware(GZipMiddleware, minimum_size=1),))
    sent = as_json({"name": "Tea", "lines": ["tea"] * 100})
    sent["headers"]["accept-encoding"] = "gzip"

    answer = asked(app, **sent)

    assert "gzip" == answer.headers["content-encoding"]
    assert {"id": 17, "name": "Tea", "lines": ["tea"] * 100} == audits.row["response_body"]


def test_a_page_is_described(logger: logging.Logger, audits: Capture) -> None:
    async def page(_request: Request) -> Response:
        return HTMLResponse('<input type="hidden" name="csrf" value="s3cr3t">')

    asked(application(logger, endpoint(page)))

    assert "<text/html, 48 bytes>" == audits.row["response_body"]


def test_a_download_is_described(logger: logging.Logger, audits: Capture) -> None:
    async def download(_request: Request) -> Response:
        return FileResponse(__file__, media_type="text/csv", filename="orders.csv")

    answer = asked(application(logger, endpoint(download)))

    assert f"<text/csv, {len(answer.body)} bytes>" == audits.row["response_body"]


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


# Failures


def test_a_refusal_in_plain_text_says_why(logger: logging.Logger, audits: Capture) -> None:
    async def refuse(_request: Request) -> Response:
        raise HTTPException(409, "no tea is left")

    asked(application(logger, endpoint(refuse)))

    assert "no tea is left" == audits.row["error_message"]


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
