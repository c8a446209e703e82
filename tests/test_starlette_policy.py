"""Policies, routes, WebSockets and trusted proxies, through the middleware of Starlette."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from audit_handler import AuditHandler, ConfigurationError, Rule, bind
from audit_handler.starlette import AuditMiddleware
from tests.support.asgi import Answer, Capture, as_json, asked, private_logger


async def answered(request: Request) -> Response:
    """Answer with the status that the query wants."""
    await request.body()
    status = int(request.query_params.get("status", "200"))
    if request.query_params.get("as"):
        bind(agent_id=request.query_params["as"])
    return JSONResponse({"id": 17, "detail": "made up"}, status)


def application(audits: Capture, *rules: Any, **options: Any) -> Starlette:
    inner = Mount("/orders/{order}", routes=[Route("/items/{item:int}", answered)])
    return Starlette(
        routes=[
            Route("/api/orders", answered, methods=["GET", "POST"]),
            Route("/api/health", answered),
            Mount("/api/{tenant}", routes=[inner]),
            Mount("/files", app=Response("a file")),
        ],
        middleware=[
            Middleware(AuditMiddleware, logger=audits.logger, policy=rules or None, **options)
        ],
    )


def levels(audits: Capture) -> list[str]:
    """Return which bodies each audit has."""
    return [
        "+".join(name for name in ("request_body", "response_body") if name in row) or "none"
        for row in audits.rows
    ]


def test_the_level_says_which_bodies_are_stored() -> None:
    audits = Capture()
    app = application(
        audits,
        Rule(level="none", paths="/api/health"),
        Rule(level="metadata", methods="GET"),
        Rule(level="request", statuses="4xx"),
        Rule(level="request_response"),
    )

    asked(app, "GET", "/api/health")
    asked(app, "GET", "/api/orders")
    asked(app, "POST", "/api/orders?status=404", **as_json({"name": "Tea"}))
    asked(app, "POST", "/api/orders?status=201", **as_json({"name": "Tea"}))

    assert ["none", "request_body", "request_body+response_body"] == levels(audits)


def test_the_user_of_the_end_decides() -> None:
    """Who was bound inside, or authenticated there, and not who it was when the request came."""
    audits = Capture()
    app = application(
        audits,
        Rule(level="none", users="monitor"),
        Rule(level="metadata"),
        get_user=lambda scope: dict(scope["headers"]).get(b"x-user", b"").decode() or None,
    )

    asked(app, "GET", "/api/orders", headers={"x-user": "monitor"})
    asked(app, "GET", "/api/orders?as=monitor")
    asked(app, "GET", "/api/orders?as=u-1", headers={"x-user": "monitor"})
    asked(app, "GET", "/api/orders")

    assert ["u-1", ""] == [row.get("agent_id", "") for row in audits.rows]


def test_a_policy_can_be_read_from_yaml() -> None:
    audits = Capture()
    policy = yaml.safe_load(
        """
        - level: none
          paths: /api/health
        - level: metadata
          methods: [POST]
          statuses: [2xx, 404]
          action: PLACE
          resource_type: order
          mask: [coupon]
        """
    )
    app = application(audits, *policy)

    asked(app, path="/api/orders?coupon=s3cr3t")

    assert ("PLACE", "order") == (audits.row["action"], audits.row["resource_type"])
    assert "s3cr3t" not in audits.lines[0]


def test_a_bad_rule_fails_when_the_middleware_is_made() -> None:
    rules = [Rule(level="none", paths="/health"), {"level": "request", "statuses": "7xx"}]

    with pytest.raises(ConfigurationError, match="policy rule 2: status '7xx' is impossible"):
        AuditMiddleware(Response(), policy=rules)  # type: ignore[arg-type]


# Routes


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/api/orders", "/api/orders"),
        ("/api/acme/orders/A-1/items/3", "/api/{tenant}/orders/{order}/items/{item:int}"),
        ("/files/a.txt", "/files"),
        ("/nowhere", ""),
    ],
)
def test_the_route_is_the_whole_template(path: str, route: str) -> None:
    audits = Capture()

    asked(application(audits, Rule(level="metadata")), "GET", path)

    assert route == audits.row.get("metadata", {}).get("route", "")


def test_the_route_is_known_where_the_router_does_not_tell() -> None:
    """Starlette tells it since 1.0 only."""
    audits = Capture()
    inner = application(Capture())

    async def silent(scope: Any, receive: Any, send: Any) -> None:
        await inner(scope, receive, send)
        scope.pop("route", None)

    middleware = AuditMiddleware(silent, logger=audits.logger, policy=[Rule(level="metadata")])

    class Late(dict[str, Any]):
        """A scope without a route."""

        def get(self, key: str, default: Any = None) -> Any:
            return default if key == "route" else super().get(key, default)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await middleware(Late(scope), receive, send)

    asked(app, "GET", "/api/acme/orders/A-1/items/3")

    assert "/api/{tenant}/orders/{order}/items/{item:int}" == audits.row["metadata"]["route"]


@pytest.mark.parametrize(
    "route",
    [
        "/api/{tenant}/orders/{order}/items/{item:int}",
        "/api/<tenant>/orders/<string:order>/items/<int:item>",
    ],
)
def test_a_rule_can_name_a_route(route: str) -> None:
    """As either framework writes it, so that one policy serves both."""
    audits = Capture()
    app = application(audits, Rule(level="metadata", routes=route))

    asked(app, "GET", "/api/acme/orders/A-1/items/3")
    asked(app, "GET", "/api/orders")

    assert "/api/acme/orders/A-1/items/3" == audits.row["endpoint"]


# Durable


@pytest.fixture
def full(make_handler: Callable[..., AuditHandler]) -> AuditHandler:
    """A handler whose spool is full, and that drops rows then."""
    handler = make_handler(
        "http://127.0.0.1:1", on_full="drop", batch_bytes=65_536, max_spool_bytes=65_536
    )
    filler = private_logger(logging.INFO, handler)
    while handler.can_take():
        filler.info("fills the spool", extra={"action": "FILL", "new_value": "y" * 1_000})
    return handler


DURABLE = (
    Rule(level="metadata", methods="POST", statuses="2xx", durable=True),
    Rule(level="metadata"),
)


@pytest.mark.parametrize(("method", "status"), [("POST", 503), ("GET", 200)])
def test_a_durable_rule_refuses_what_the_trail_would_not_take(
    full: AuditHandler, method: str, status: int
) -> None:
    audits = Capture()
    audits.logger.addHandler(full)

    answer = asked(application(audits, *DURABLE), method)

    assert status == answer.status


def test_a_durable_rule_needs_a_handler(make_handler: Callable[..., AuditHandler]) -> None:
    without, silent = Capture(), Capture()
    silent.logger.addHandler(make_handler("http://127.0.0.1:1"))
    silent.logger.setLevel(logging.WARNING)
    with_one = Capture()
    with_one.logger.addHandler(make_handler("http://127.0.0.1:1"))

    statuses = [asked(application(a, *DURABLE)).status for a in (without, silent, with_one)]

    assert [503, 503, 200] == statuses


# WebSockets


async def chat(websocket: WebSocket) -> None:
    if "refuse" in websocket.query_params:
        await websocket.close()
        return
    if "deny" in websocket.query_params:
        await websocket.send_denial_response(Response("no", 402))
        return
    bind(resource_id="room-1")
    await websocket.accept()
    await websocket.receive_text()
    raise LookupError("after the opening")


def opened(audits: Capture, query: str = "", **options: Any) -> Answer:
    app = Starlette(
        routes=[WebSocketRoute("/api/chat", chat)],
        middleware=[Middleware(AuditMiddleware, logger=audits.logger, **options)],
    )
    answer = Answer()
    messages = (
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "s3cr3t"},
    )
    scope = {"type": "websocket", "extensions": {"websocket.http.response": {}}}
    try:
        asked(app, path=f"/api/chat?{query}", chunks=messages, answer=answer, **scope)
    except LookupError:
        assert not query
    return answer


@pytest.mark.parametrize(
    ("query", "status", "outcome"),
    [("", 101, "success"), ("refuse=1", 403, "failure"), ("deny=1", 402, "failure")],
)
def test_a_websocket_is_audited_once_when_it_is_answered(
    query: str, status: int, outcome: str
) -> None:
    audits = Capture()

    opened(audits, query, policy=[Rule(level="request_response", methods="WEBSOCKET")])

    row = audits.row
    assert ("CONNECT", "chat", status, outcome) == (
        row["action"],
        row["resource_type"],
        row["status_code"],
        row["outcome"],
    )
    assert ("room-1" if status == 101 else "") == row.get("resource_id", "")
    assert "s3cr3t" not in audits.lines[0]


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        ({}, 0),
        ({"path_prefixes": "/"}, 0),
        ({"policy": [Rule(level="metadata")]}, 0),
        ({"methods": ["POST", "WEBSOCKET"]}, 1),
    ],
)
def test_a_websocket_is_audited_only_where_that_is_said(options: Any, rows: int) -> None:
    audits = Capture()

    opened(audits, **options)

    assert rows == len(audits.rows)


def test_a_durable_rule_refuses_a_websocket(full: AuditHandler) -> None:
    audits = Capture()
    audits.logger.addHandler(full)

    answer = opened(audits, policy=[Rule(level="metadata", methods="WEBSOCKET", durable=True)])

    assert [("websocket.close", 1013)] == [(m["type"], m["code"]) for m in answer.messages]


# Proxies


def test_a_trusted_proxy_says_where_a_request_came_from() -> None:
    audits = Capture()
    app = application(audits, Rule(level="metadata"), trusted_proxies="203.0.113.0/24")
    forwarded = {"x-forwarded-for": "6.6.6.6, 198.51.100.1", "forwarded": "for=6.6.6.6"}

    asked(app, "GET", headers=forwarded)
    asked(app, "GET", headers=forwarded, client=("198.51.100.9", 1))
    asked(app, "GET", headers=forwarded, client=None)

    addresses = [row.get("ip_address", "") for row in audits.rows]
    assert ["198.51.100.1", "198.51.100.9", ""] == addresses


def test_a_proxy_over_a_unix_socket_can_be_trusted() -> None:
    audits = Capture()
    app = application(audits, Rule(level="metadata"), trusted_proxies="unix")

    for client in (None, ("", 0)):
        asked(app, "GET", headers={"x-forwarded-for": "198.51.100.1"}, client=client)

    assert ["198.51.100.1"] * 2 == [row["ip_address"] for row in audits.rows]


def test_a_header_that_comes_twice_is_read_as_one() -> None:
    """Some proxies add a line of their own below the client's."""
    audits = Capture()
    app = application(
        audits, Rule(level="metadata"), trusted_proxies="203.0.113.9", session_cookie="sid"
    )
    twice = [
        (b"x-forwarded-for", b"6.6.6.6"),
        (b"X-Forwarded-For", b"198.51.100.1"),
        (b"x-request-id", b"a"),
        (b"x-request-id", b"b"),
        (b"cookie", b"sid=1"),
        (b"cookie", b"theme=dark"),
    ]

    async def doubled(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "headers": twice}, receive, send)

    asked(doubled, "GET")

    row = audits.row
    assert "198.51.100.1" == row["ip_address"]
    assert 32 == len(row["request_id"])
    assert 32 == len(row["session_id"])
