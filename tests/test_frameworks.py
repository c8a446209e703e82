"""
One table of requests, sent to a Starlette and to a Flask application that do the same: the audits
are the same, column by column.
"""

from __future__ import annotations

import gzip
import json
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import flask
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Mount, Route
from werkzeug.exceptions import HTTPException as WerkzeugHTTPException

from audit_handler import AuditHandler, audit, bind, clear, current
from audit_handler._record.redaction import REDACTED
from audit_handler.flask import AuditFlask
from audit_handler.starlette import AuditMiddleware
from tests.support.asgi import Capture, asked, private_logger
from tests.support.engines import Engine

USERS = {
    "ada": {"id": "u-1", "name": "Ada", "role": ["sales", "admin"], "email": "ada@shop.example"},
    "ben": "u-2",
}
JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
TEXT = {"content-type": "text/plain; charset=utf-8"}
TRACEPARENT = f"00-{'a1' * 16}-{'b2' * 8}-01"

OWN = {"event_id", "event_time", "event_date", "ingested_at", "writer_id", "response_time_ms"}
# What is each row's own: numbers and times. The request id is sent by the client.


@dataclass(frozen=True, kw_only=True)
class Case:
    """A request, how often it is audited, and with which options."""

    method: str = "POST"
    path: str = "/api/orders"
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    user: str = ""
    rows: int = 1
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def sent_headers(self) -> dict[str, str]:
        """Return what a client sends: Starlette's sees no length without a header."""
        sent = {"user-agent": "table/1.0", "x-request-id": "req-1", "x-user": self.user}
        if self.body:
            sent["content-length"] = str(len(self.body))
        return {**sent, **self.headers}


LINKS = ("</a>; rel=next", "</b>; rel=prev")
POLICY = {
    "policy": [
        {"level": "metadata", "methods": "POST", "paths": "/api/orders"},
        {
            "level": "request",
            "routes": "/api/orders/{order_id:int}",
            "statuses": "2xx",
            "methods": ["PUT"],
            "action": "MERGE",
            "resource_type": "order",
            "mask": "phone",
        },
        {"level": "none", "users": "u-2"},
        {"level": "metadata", "statuses": ["4xx", "5xx"]},
    ]
}

CASES = {
    "create": Case(headers=JSON, body=b'{"name": "Tea", "lines": [1, 2]}', user="ada"),
    "create without a user": Case(headers=JSON, body=b'{"name": "Tea"}'),
    "create with secrets": Case(
        path="/api/orders?api_key=s3cr3t&dry=1&dry=2",
        headers={**JSON, "authorization": "Bearer s3cr3t", "cookie": "sid=s3cr3t; other=1"},
        body=b'{"name": "Tea", "password": "s3cr3t", "deep": [{"to\\u006ben": "s3cr3t"}]}',
        user="ben",
    ),
    "create with an origin": Case(
        headers={**JSON, "origin": "https://shop.example"}, body=b'{"name": "Tea"}', user="ada"
    ),
    "create with a trace": Case(
        headers={**JSON, "traceparent": TRACEPARENT}, body=b'{"name": "Tea"}', user="ada"
    ),
    "create with a forged address": Case(
        headers={**JSON, "x-forwarded-for": "198.51.100.1", "forwarded": "for=198.51.100.1"},
        body=b'{"name": "Tea"}',
        user="ada",
    ),
    "create from no JSON": Case(headers=JSON, body=b'{"name": "Te', user="ada"),
    "create at length": Case(
        headers=JSON, body=json.dumps({"name": "Tea", "lines": ["tea"] * 9_000}).encode()
    ),
    "update": Case(method="PUT", path="/api/orders/17", headers=JSON, body=b"{}", user="ada"),
    "patch": Case(method="PATCH", path="/api/orders/17", user="ben"),
    "delete": Case(method="DELETE", path="/api/orders/17", user="ada"),
    "read": Case(method="GET", path="/api/orders/17", user="ada", rows=0),
    "a read that nothing answers": Case(method="GET", path="/elsewhere", rows=0),
    "elsewhere": Case(path="/login", body=b"password=s3cr3t", headers=FORM, rows=0),
    "nested": Case(path="/api/v2/shops/acme/carts/7", user="ada"),
    "anything below": Case(path="/api/files/2026/tea/list.txt", user="ada"),
    "a secret in the path": Case(path="/api/tokens/s3cr3t", user="ada"),
    "a secret in the path of two audits": Case(path="/api/reset/s3cr3t", user="ada", rows=2),
    "a secret in the path, not allowed": Case(
        method="PUT", path="/api/reset/s3cr3t", user="ada", rows=2
    ),
    "a path to be escaped": Case(path="/api/files/caf%C3%A9%20au%20lait", user="ada"),
    "a path that forges a line": Case(path="/api/a%0ACREATE", user="ada"),
    "a form": Case(path="/api/echo", headers=FORM, body=b"name=Ada&p%61ssword=s3cr3t&a=1&a=2"),
    "a text": Case(path="/api/echo", headers=TEXT, body="caf\u00e9 password: s3cr3t".encode()),
    "bytes": Case(path="/api/echo", headers={"content-type": "image/png"}, body=b"\x89PNG" * 100),
    "no type": Case(path="/api/echo", body=b'{"name": "Tea"}'),
    "zipped": Case(
        path="/api/echo", headers={**JSON, "content-encoding": "gzip"}, body=b"\x1f\x8b..."
    ),
    "zipped with a secret": Case(
        path="/api/echo",
        headers={**JSON, "content-encoding": "gzip"},
        body=gzip.compress(b'{"name": "Tea", "password": "s3cr3t"}', mtime=0),
    ),
    "said to be zipped": Case(
        path="/api/echo",
        headers={**JSON, "content-encoding": "gzip"},
        body=b'{"name": "Tea", "password": "s3cr3t"}',
    ),
    "JSON as an image": Case(
        path="/api/echo",
        headers={"content-type": "image/png", "content-encoding": "Identity"},
        body=b'{"name": "Tea", "password": "s3cr3t"}',
    ),
    "a form with a file": Case(
        path="/api/echo",
        headers={"content-type": "multipart/form-data; boundary=b"},
        body=b'--b\r\nContent-Disposition: form-data; name="password"\r\n\r\ns3cr3t\r\n--b\r\n'
        b'Content-Disposition: form-data; name="f"; filename="f.txt"\r\n\r\ns3cr3t\r\n--b--\r\n',
    ),
    "XML": Case(
        path="/api/echo",
        headers={"content-type": "text/xml"},
        body=b"<order><password>s3cr3t</password><name>Tea</name></order>",
    ),
    "refused with details": Case(
        path="/api/invalid", headers=JSON, body=b'{"password": "s3cr3t"}', user="ada"
    ),
    "an action of its own": Case(path="/api/orders/17/approve", user="ada"),
    "two audits": Case(path="/api/orders/17/ship", user="ada", rows=2),
    "nowhere": Case(path="/api/nowhere/17", user="ada"),
    "not allowed": Case(path="/api/orders/17", user="ada"),
    "refused": Case(path="/api/refused", user="ben"),
    "an error that is handled": Case(path="/api/handled", headers=JSON, body=b"{}", user="ada"),
    "an error that is not": Case(path="/api/failing", headers=JSON, body=b'{"id": 9}', user="ada"),
    "a redirection": Case(path="/api/moved", user="ada"),
    "a stream": Case(path="/api/stream", user="ada"),
    "a stream that fails": Case(path="/api/broken", user="ada"),
    "said by the view": Case(path="/api/orders/17/rename", user="ada"),
    "metadata bound by the view": Case(path="/api/noted?dry=1", user="ada"),
    "cleared by the view": Case(path="/api/cleared", user="ada"),
    "skipped by the view": Case(path="/api/quiet", user="ada", rows=0),
    "through a proxy": Case(
        method="DELETE",
        path="/api/orders/17",
        headers={"x-forwarded-for": "192.0.2.66, 198.51.100.7, 10.0.0.1"},
        options={"trusted_proxies": ["203.0.113.0/24", "10.0.0.0/8"]},
    ),
    "a head": Case(method="HEAD", path="/api/orders/17", options={"methods": ["HEAD"]}),
    "a header twice": Case(path="/api/linked", options={"response_headers": ["link"]}),
    "no body kept": Case(headers=JSON, body=b'{"id": 5}', options={"max_body_bytes": 0}),
    "other headers": Case(
        path="/api/orders/17/approve",
        headers={"x-shop": "acme"},
        options={"request_headers": ["X-Shop"], "response_headers": ["content-length"]},
    ),
    "policy: metadata": Case(headers=JSON, body=b'{"name": "Tea"}', options=POLICY),
    "policy: a route": Case(
        method="PUT", path="/api/orders/17", headers=JSON, body=b'{"phone": 5}', options=POLICY
    ),
    "policy: a route, not allowed": Case(path="/api/orders/17", options=POLICY),
    "policy: a user": Case(path="/api/echo", user="ben", body=b"{}", rows=0, options=POLICY),
    "policy: a status": Case(method="GET", path="/api/nowhere", user="ada", options=POLICY),
    "policy: another status": Case(method="GET", path="/api/orders/17", rows=0, options=POLICY),
}


# The same application twice


def read_body(text: bytes) -> dict[str, Any]:
    try:
        return dict(json.loads(text))
    except ValueError:
        raise Refusal("no JSON") from None


class Refusal(Exception):
    pass


def approve(order_id: int) -> None:
    bind(action="APPROVE", resource_type="order", resource_id=order_id, new_value={"ok": True})
    bind(agent_id="u-9", tenant="acme")


def invalid_details(sent: Any) -> dict[str, Any]:
    fault = {"loc": ["body", "password"], "msg": "too short", "input": sent["password"]}
    return {"detail": [fault]}


def rename() -> None:
    audit(action="RENAME", resource_id="T-17", old_value={"name": "Te"}, note="on the phone")


def reset(logger: logging.Logger) -> dict[str, str]:
    """Log an audit of its own; return what is said to be the endpoint."""
    logger.info("inside", extra={"action": "RESET", "resource_type": "password"})
    return {"endpoint": str(current()["endpoint"])}


def starlette_application(logger: logging.Logger, **options: Any) -> Starlette:
    def answer(value: Any, status: int = 200) -> Response:
        return Response(json.dumps(value), status, media_type="application/json")

    async def create(request: Request) -> Response:
        body = read_body(await request.body())
        return answer({"id": 17, **body}, 201)

    async def change(request: Request) -> Response:
        await request.body()
        return Response(status_code=204)

    async def show(request: Request) -> Response:
        return answer(request.path_params)

    async def approved(request: Request) -> Response:
        approve(request.path_params["order_id"])
        return answer({})

    async def ship(_request: Request) -> Response:
        logger.info("shipped", extra={"action": "SHIP", "resource_type": "orders"})
        return answer({})

    async def reset_password(_request: Request) -> Response:
        return answer(reset(logger))

    async def renamed(_request: Request) -> Response:
        rename()
        return answer({})

    async def noted(_request: Request) -> Response:
        bind(metadata={"note": "on the phone"})
        return answer({})

    async def cleared(_request: Request) -> Response:
        clear()
        return answer({})

    async def quiet(_request: Request) -> Response:
        audit(skip=True)
        return answer({})

    async def echo(request: Request) -> Response:
        kind = request.headers.get("content-type", "application/octet-stream")
        return Response(await request.body(), headers={"content-type": kind})

    async def refuse(_request: Request) -> Response:
        raise HTTPException(409, "sold out")

    async def invalid(request: Request) -> Response:
        return answer(invalid_details(json.loads(await request.body())), 422)

    async def handled(request: Request) -> Response:
        await request.body()
        raise Refusal("not today")

    async def fail(request: Request) -> Response:
        await request.body()
        raise LookupError("no such drawer")

    async def moved(_request: Request) -> Response:
        return Response(status_code=307, headers={"location": "/api/orders"})

    async def linked(_request: Request) -> Response:
        response = answer({})
        for link in LINKS:
            response.headers.append("link", link)
        return response

    async def stream(_request: Request) -> Response:
        async def chunks() -> AsyncIterator[str]:
            for text in ("one ", "two ", "three"):
                yield text

        return StreamingResponse(chunks(), media_type="text/plain")

    async def broken(_request: Request) -> Response:
        async def chunks() -> AsyncIterator[str]:
            yield "half"
            raise LookupError("the other half")

        return StreamingResponse(chunks(), media_type="text/plain")

    async def http_error(request: Request, exc: Any) -> Response:
        if exc.status_code == 405 and "reset" in request.url.path:
            logger.info("refused", extra={"action": "REFUSE"})
        return answer({"error": exc.status_code}, exc.status_code)

    async def refusal(_request: Request, exc: Exception) -> Response:
        return answer({"detail": str(exc)}, 422)

    writes = ["PUT", "PATCH", "DELETE"]
    return Starlette(
        routes=[
            Route("/api/orders", create, methods=["POST"]),
            Route("/api/orders/{order_id:int}", show),
            Route("/api/orders/{order_id:int}", change, methods=writes),
            Route("/api/orders/{order_id:int}/approve", approved, methods=["POST"]),
            Route("/api/orders/{order_id:int}/rename", renamed, methods=["POST"]),
            Route("/api/reset/{token}", reset_password, methods=["POST"]),
            Route("/api/noted", noted, methods=["POST"]),
            Route("/api/cleared", cleared, methods=["POST"]),
            Route("/api/quiet", quiet, methods=["POST"]),
            Route("/api/orders/{order_id:int}/ship", ship, methods=["POST"]),
            Mount(
                "/api/v2/shops/{shop}",
                routes=[Route("/carts/{cart_id:int}", show, methods=["POST"])],
            ),
            Route("/api/files/{name:path}", show, methods=["POST"]),
            Route("/api/tokens/{token}", show, methods=["POST"]),
            Route("/api/echo", echo, methods=["POST"]),
            Route("/api/refused", refuse, methods=["POST"]),
            Route("/api/invalid", invalid, methods=["POST"]),
            Route("/api/handled", handled, methods=["POST"]),
            Route("/api/failing", fail, methods=["POST"]),
            Route("/api/moved", moved, methods=["POST"]),
            Route("/api/linked", linked, methods=["POST"]),
            Route("/api/stream", stream, methods=["POST"]),
            Route("/api/broken", broken, methods=["POST"]),
            Route("/login", change, methods=["POST"]),
        ],
        middleware=[
            Middleware(
                AuditMiddleware,
                logger=logger,
                session_cookie="sid",
                get_user=lambda scope: USERS.get(HTTPConnection(scope).headers.get("x-user", "")),
                **options,
            )
        ],
        exception_handlers={HTTPException: http_error, Refusal: refusal},
    )


def flask_application(logger: logging.Logger, **options: Any) -> flask.Flask:
    app = flask.Flask(__name__, static_folder=None)
    shops = flask.Blueprint("shops", __name__, url_prefix="/api/v2/shops/<shop>")

    def answer(value: Any, status: int = 200) -> flask.Response:
        return flask.Response(json.dumps(value), status, mimetype="application/json")

    def empty(status: int) -> flask.Response:
        response = flask.Response(status=status)
        del response.headers["content-type"]
        return response

    @app.post("/api/orders")
    def create() -> Any:
        body = read_body(flask.request.get_data())
        return answer({"id": 17, **body}, 201)

    @app.route("/api/orders/<int:order_id>", methods=["PUT", "PATCH", "DELETE"])
    @app.post("/login")
    def change(**_: Any) -> Any:
        flask.request.get_data()
        return empty(204)

    @app.get("/api/orders/<int:order_id>")
    @app.post("/api/files/<path:name>")
    @app.post("/api/tokens/<token>")
    @shops.post("/carts/<int:cart_id>")
    def show(**arguments: Any) -> Any:
        return answer(arguments)

    @app.post("/api/orders/<int:order_id>/approve")
    def approved(order_id: int) -> Any:
        approve(order_id)
        return answer({})

    @app.post("/api/orders/<int:order_id>/ship")
    def ship(order_id: int) -> Any:  # noqa: ARG001
        logger.info("shipped", extra={"action": "SHIP", "resource_type": "orders"})
        return answer({})

    @app.post("/api/orders/<int:order_id>/rename")
    def renamed(order_id: int) -> Any:  # noqa: ARG001
        rename()
        return answer({})

    @app.post("/api/reset/<token>")
    def reset_password(token: str) -> Any:  # noqa: ARG001
        return answer(reset(logger))

    @app.post("/api/noted")
    def noted() -> Any:
        bind(metadata={"note": "on the phone"})
        return answer({})

    @app.post("/api/cleared")
    def cleared() -> Any:
        clear()
        return answer({})

    @app.post("/api/quiet")
    def quiet() -> Any:
        audit(skip=True)
        return answer({})

    @app.post("/api/echo")
    def echo() -> Any:
        kind = flask.request.headers.get("content-type", "application/octet-stream")
        return flask.Response(flask.request.get_data(), content_type=kind)

    @app.post("/api/refused")
    def refuse() -> Any:
        flask.abort(409, "sold out")

    @app.post("/api/invalid")
    def invalid() -> Any:
        return answer(invalid_details(flask.request.get_json()), 422)

    @app.post("/api/handled")
    def handled() -> Any:
        flask.request.get_data()
        raise Refusal("not today")

    @app.post("/api/failing")
    def fail() -> Any:
        flask.request.get_data()
        raise LookupError("no such drawer")

    @app.post("/api/moved")
    def moved() -> Any:
        response = empty(307)
        response.location = "/api/orders"
        return response

    @app.post("/api/linked")
    def linked() -> Any:
        response = answer({})
        for link in LINKS:
            response.headers.add("link", link)
        return response

    @app.post("/api/stream")
    def stream() -> Any:
        return flask.Response(iter(("one ", "two ", "three")), mimetype="text/plain")

    @app.post("/api/broken")
    def broken() -> Any:
        def chunks() -> Iterator[str]:
            yield "half"
            raise LookupError("the other half")

        return flask.Response(chunks(), mimetype="text/plain")

    @app.errorhandler(WerkzeugHTTPException)
    def http_error(exc: Any) -> Any:
        if exc.code == 308:
            return exc
        if exc.code == 405 and "reset" in flask.request.path:
            logger.info("refused", extra={"action": "REFUSE"})
        return answer({"error": exc.code}, exc.code)

    @app.errorhandler(Refusal)
    def refusal(exc: Exception) -> Any:
        return answer({"detail": str(exc)}, 422)

    app.register_blueprint(shops)
    AuditFlask(
        app,
        logger=logger,
        session_cookie="sid",
        get_user=lambda: USERS.get(flask.request.headers.get("x-user", "")),
        **options,
    )
    return app


def ask_starlette(app: Starlette, case: Case) -> None:
    path, _, query = case.path.partition("?")
    raw = path.encode()
    path = re.sub(rb"%(..)", lambda match: bytes.fromhex(match[1].decode()), raw).decode()
    with suppress(LookupError):
        asked(
            app,
            case.method,
            path,
            headers=case.sent_headers,
            chunks=(case.body,),
            query_string=query.encode(),
        )


def ask_flask(app: flask.Flask, case: Case) -> None:
    with suppress(LookupError):
        answer = app.test_client(use_cookies=False).open(
            case.path,
            method=case.method,
            headers=case.sent_headers,
            data=case.body,
            environ_overrides={"REMOTE_ADDR": "203.0.113.9"},
        )
        answer.get_data()


def own_less(row: dict[str, Any]) -> dict[str, Any]:
    """Return *row* without what each has for itself, and without the frames of its framework."""
    row = {name: value for name, value in row.items() if name not in OWN}
    if "metadata" in row:
        metadata = row["metadata"]
        if isinstance(metadata, str):
            metadata = json.loads(metadata or "{}")
        row["metadata"] = {n: v for n, v in metadata.items() if n != "exception.stacktrace"}
    row.pop("exception.stacktrace", None)
    return row


# For each framework: what makes the application, and what sends it a request.
FRAMEWORKS: dict[str, tuple[Callable[..., Any], Callable[..., None]]] = {
    "starlette": (starlette_application, ask_starlette),
    "flask": (flask_application, ask_flask),
}
BOTH = pytest.mark.parametrize(("make", "ask"), FRAMEWORKS.values(), ids=FRAMEWORKS)


@pytest.mark.parametrize("name", CASES)
def test_both_frameworks_audit_a_request_alike(name: str) -> None:
    case = CASES[name]
    of_starlette, of_flask = Capture(), Capture()

    for (make, ask), audits in zip(FRAMEWORKS.values(), (of_starlette, of_flask), strict=True):
        ask(make(audits.logger, **case.options), case)

    assert case.rows == len(of_starlette.rows) == len(of_flask.rows)
    assert [own_less(row) for row in of_starlette.rows] == [own_less(row) for row in of_flask.rows]
    assert "s3cr3t" not in re.sub("password: s3cr3t", "", "".join(of_flask.lines))


@BOTH
def test_what_a_view_logs_shows_no_secret_of_its_path(
    make: Callable[..., Any], ask: Callable[..., None]
) -> None:
    audits = Capture()

    ask(make(audits.logger), Case(path="/api/reset/s3cr3t", user="ada"))

    path = f"/api/reset/{REDACTED}"
    assert [("RESET", path), ("CREATE", path)] == [
        (row["action"], row["endpoint"]) for row in audits.rows
    ]
    assert {"endpoint": path} == audits.rows[1]["response_body"]
    assert {"token": REDACTED} == audits.rows[1]["metadata"]["path_params"]
    assert "s3cr3t" not in "".join(audits.lines)


@BOTH
def test_what_a_view_clears_is_still_known_of_its_request(
    make: Callable[..., Any], ask: Callable[..., None]
) -> None:
    audits = Capture()

    ask(make(audits.logger), Case(path="/api/cleared", user="ada"))

    names = ("agent_id", "request_id", "ip_address", "user_agent", "endpoint")
    expected = ["u-1", "req-1", "203.0.113.9", "table/1.0", "/api/cleared"]
    assert expected == [audits.row[name] for name in names]


@BOTH
def test_metadata_that_a_view_binds_joins_what_is_known(
    make: Callable[..., Any], ask: Callable[..., None]
) -> None:
    audits = Capture()

    ask(make(audits.logger), Case(path="/api/noted?dry=1", user="ada"))

    expected = {"note": "on the phone", "query_params": {"dry": "1"}, "route": "/api/noted"}
    assert expected == audits.row["metadata"]


def test_a_redirection_to_a_path_without_a_slash_tells_no_secret_of_it() -> None:
    audits = Capture()

    ask_starlette(starlette_application(audits.logger), Case(path="/api/reset/s3cr3t/"))
    ask_flask(flask_application(audits.logger), Case(path="/api//reset/s3cr3t"))

    assert [307, 308] == [row["status_code"] for row in audits.rows]
    assert [f"/api/reset/{REDACTED}/", f"/api//reset/{REDACTED}"] == [
        row["endpoint"] for row in audits.rows
    ]
    assert "s3cr3t" not in "".join(audits.lines)


@pytest.mark.once
def test_both_frameworks_store_the_same_rows(
    engine: Engine, database: str, make_handler: Callable[..., AuditHandler]
) -> None:
    stored: dict[str, list[dict[str, Any]]] = {}
    for name, (make, ask) in FRAMEWORKS.items():
        handler = make_handler(engine.dsn(f"{database}_{name}"))
        logger = private_logger(logging.INFO, handler)
        for case in CASES.values():
            ask(make(logger, **case.options), case)
        assert handler.flush()
        stored[name] = engine.query(f"SELECT * FROM {database}_{name}.audit_logs ORDER BY seq")

    assert sum(case.rows for case in CASES.values()) == len(stored["starlette"])
    assert [own_less(row) for row in stored["starlette"]] == [
        own_less(row) for row in stored["flask"]
    ]
