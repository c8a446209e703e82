"""
Heavy traffic through both frameworks: a crowd under real servers, and bodies of a gigabyte.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import socket
import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from http.client import HTTPConnection
from typing import Any

import flask
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from werkzeug.serving import make_server
from werkzeug.test import EnvironBuilder

from audit_handler import AuditHandler, bind
from audit_handler.flask import AuditFlask
from audit_handler.starlette import AuditMiddleware
from tests.support.asgi import Capture, Message, private_logger
from tests.support.engines import Engine
from tests.support.flask_orders import start_nothing

pytestmark = pytest.mark.once


def starlette_application(endpoint: Callable[..., Any], **options: Any) -> Starlette:
    return Starlette(
        routes=[Route("/api/orders", endpoint, methods=["POST"])],
        middleware=[Middleware(AuditMiddleware, **options)],
    )


def flask_application(view: Callable[[], Any], **options: Any) -> flask.Flask:
    app = flask.Flask(__name__, static_folder=None)
    app.add_url_rule("/api/orders", "view", view, methods=["POST"])
    AuditFlask(app, **options)
    return app


# A crowd

CROWD = 200
TOGETHER = {"trusted_proxies": ["127.0.0.1"]}


def note(logger: logging.Logger, number: int) -> None:
    logger.info("inside", extra={"action": "NOTE", "resource_id": number})


def crowded_starlette(logger: logging.Logger) -> Starlette:
    everyone_is_here, here = asyncio.Event(), []

    async def crowded(request: Request) -> Response:
        number = (await request.json())["number"]
        bind(number=number)
        here.append(number)
        if len(here) == CROWD:
            everyone_is_here.set()
        await everyone_is_here.wait()

        async def chunks() -> AsyncIterator[str]:
            yield f'{{"id": {number}, '
            await asyncio.sleep(0)  # the others' turn
            note(logger, number)
            yield f'"for": "{request.headers["x-user"]}"}}'

        return StreamingResponse(chunks(), media_type="application/json")

    return starlette_application(
        crowded,
        logger=logger,
        get_user=lambda scope: dict(scope["headers"])[b"x-user"].decode(),
        **TOGETHER,
    )


def crowded_flask(logger: logging.Logger) -> flask.Flask:
    everyone_is_here = threading.Barrier(CROWD, timeout=60)

    def crowded() -> flask.Response:
        number, user = flask.request.get_json()["number"], flask.request.headers["X-User"]
        bind(number=number)
        everyone_is_here.wait()

        def chunks() -> Iterator[str]:
            yield f'{{"id": {number}, '
            everyone_is_here.wait()
            note(logger, number)
            yield f'"for": "{user}"}}'

        return flask.Response(chunks(), mimetype="application/json")

    return flask_application(
        crowded, logger=logger, get_user=lambda: flask.request.headers["X-User"], **TOGETHER
    )


@contextmanager
def under_uvicorn(app: Starlette) -> Iterator[int]:
    """Serve *app* with a task for each request, and yield the port."""
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", ws="none"))
    with socket.create_server(("127.0.0.1", 0), backlog=CROWD) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def under_werkzeug(app: flask.Flask) -> Iterator[int]:
    """Serve *app* with a thread for each request, and yield the port."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def posted(port: int, number: int) -> tuple[str | None, Any]:
    """Send the request of one in the crowd; return the id that it was told, and the answer."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {
        "Content-Type": "application/json",
        "X-Forwarded-For": f"10.0.0.{number}",
        "X-Request-ID": f"r-{number}",
        "X-User": f"u-{number % 20}",
    }
    connection.request("POST", "/api/orders", json.dumps({"number": number}), headers)
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()
    return answer.headers["X-Request-ID"], body


@pytest.mark.parametrize(
    ("application", "served"),
    [
        pytest.param(crowded_starlette, under_uvicorn, id="starlette"),
        pytest.param(crowded_flask, under_werkzeug, id="flask"),
    ],
)
def test_200_requests_of_20_users_at_once_never_cross_over(
    engine: Engine,
    database: str,
    make_handler: Callable[..., AuditHandler],
    application: Callable[[logging.Logger], Any],
    served: Callable[[Any], AbstractContextManager[int]],
) -> None:
    """
    All of them are inside the application at the same time before the first one goes on, and each
    logs one more audit in the middle of its streamed answer.
    """
    handler = make_handler(engine.dsn(database))
    app = application(private_logger(logging.INFO, handler))

    with served(app) as port, ThreadPoolExecutor(CROWD) as pool:
        answers = list(pool.map(lambda number: posted(port, number), range(CROWD)))

    said = [{"id": n, "for": f"u-{n % 20}"} for n in range(CROWD)]
    assert [(f"r-{n}", said[n]) for n in range(CROWD)] == answers
    assert handler.flush()
    rows = engine.query(
        "SELECT action, agent_id, request_id, toString(ip_address) AS ip_address, resource_id, "
        "JSONExtractInt(metadata, 'number') AS number, request_body, response_body "
        f"FROM {database}.audit_logs ORDER BY action, number"
    )
    expected = []
    for action in ("CREATE", "NOTE"):
        for n in range(CROWD):
            bodies = (f'{{"number":{n}}}', f'{{"id":{n},"for":"u-{n % 20}"}}')
            who = (f"u-{n % 20}", f"r-{n}", f"::ffff:10.0.0.{n}")
            expected.append(
                (action, *who, str(n), n, *(bodies if action == "CREATE" else ("", "")))
            )
    assert expected == [tuple(row.values()) for row in rows]


# A gigabyte

GIGABYTE = 1 << 30
PIECE = b"x" * (1 << 16)


class Way:
    """
    Bytes on their way from one end to the other: noted when they are made, and when they are there.
    """

    def __init__(self) -> None:
        self.made = self.arrived = 0
        self.held_back: set[int] = set()
        """How many were still on their way when the next ones were made."""

    def make(self) -> bytes:
        """Return the next piece; nothing when all is made."""
        if self.made == GIGABYTE:
            return b""
        self.held_back.add(self.made - self.arrived)
        self.made += len(PIECE)
        return PIECE

    def arrive(self, piece: bytes) -> None:
        self.arrived += len(piece)


def swap_with_starlette(up: Way, down: Way, logger: logging.Logger) -> None:
    async def swap(request: Request) -> Response:
        async for piece in request.stream():
            up.arrive(piece)

        async def pieces() -> AsyncIterator[bytes]:
            while piece := down.make():
                yield piece

        return StreamingResponse(pieces(), media_type="text/plain")

    async def receive() -> Message:
        if up.made == GIGABYTE:
            await asyncio.Event().wait()
        piece = up.make()
        return {"type": "http.request", "body": piece, "more_body": up.made < GIGABYTE}

    async def send(message: MutableMapping[str, Any]) -> None:
        down.arrive(message.get("body", b""))

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/orders",
        "headers": [(b"content-type", b"text/plain")],
    }
    asyncio.run(starlette_application(swap, logger=logger)(scope, receive, send))


def swap_with_flask(up: Way, down: Way, logger: logging.Logger) -> None:
    def swap() -> flask.Response:
        while piece := flask.request.stream.read(len(PIECE)):
            up.arrive(piece)
        return flask.Response(iter(down.make, b""), mimetype="text/plain")

    class Upload(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:  # noqa: ARG002
            return up.make()

    app = flask_application(swap, logger=logger)
    environ = EnvironBuilder("/api/orders", method="POST", content_type="text/plain").get_environ()
    environ |= {"wsgi.input": Upload(), "CONTENT_LENGTH": str(GIGABYTE)}
    body: Any = app(environ, start_nothing)
    for piece in body:
        down.arrive(piece)
    body.close()


@pytest.mark.parametrize("swap", [swap_with_starlette, swap_with_flask])
def test_a_gigabyte_passes_both_ways_without_being_held_back_or_kept(
    swap: Callable[[Way, Way, logging.Logger], None],
) -> None:
    """
    From the first piece to the last, none is made before the one ahead of it has arrived.
    """
    up, down, audits = Way(), Way(), Capture()

    tracemalloc.start()
    try:
        swap(up, down, audits.logger)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert [GIGABYTE, GIGABYTE] == [up.arrived, down.arrived]
    assert [{0}, {0}] == [up.held_back, down.held_back]
    cut = audits.row["metadata"]["_truncated_body"]
    assert {"request_body": GIGABYTE, "response_body": GIGABYTE} == cut
    assert peak < 8_000_000
