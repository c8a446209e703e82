"""Routes and path parameters, whatever the router of an ASGI application can answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.convertors import CONVERTOR_TYPES, StringConvertor
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from audit_handler._record.redaction import REDACTED
from audit_handler.starlette import AuditMiddleware
from tests.support.asgi import (
    Capture,
    as_json,
    asked,
)
from tests.support.starlette_orders import application, created, emptied, endpoint


class OtherFramework:
    """Has routes that cannot be asked, as Litestar's, and tells the parameters as it does."""

    routes = (object(),)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope["app"] = self
        scope["path_params"] = {"order_id": 17, "token": "s3cr3t"}
        await Response(status_code=204)(scope, receive, send)


@pytest.mark.parametrize("prefix", ["", "/other"])
def test_a_framework_whose_routes_cannot_be_asked_is_audited(prefix: str) -> None:
    audits = Capture()
    app: Any = OtherFramework()
    if prefix:
        app = Starlette(routes=[Mount(prefix, app=app)])
    app = AuditMiddleware(app, logger=audits.logger, path_prefixes="/")

    answer = asked(app, "PUT", f"{prefix}/orders/17/s3cr3t")

    row = audits.row
    assert (204, f"{prefix}/orders/17/{REDACTED}") == (answer.status, row["endpoint"])
    assert {"order_id": 17, "token": REDACTED} == row["metadata"]["path_params"]


# A route that fails when it is asked


class Failing(StringConvertor):
    """A convertor for even numbers, as people write them."""

    def convert(self, value: str) -> str:
        if int(value) % 2:
            raise ValueError(f"{value} is odd")
        return value


@pytest.fixture(autouse=True)
def _convertor() -> Iterator[None]:
    CONVERTOR_TYPES["failing"] = Failing()
    yield
    del CONVERTOR_TYPES["failing"]


def refusing(audits: Capture) -> Starlette:
    """Return an application that answers before its router is asked."""

    async def emptied(_request: Request) -> Response:
        raise AssertionError

    class Refusing(BaseHTTPMiddleware):
        async def dispatch(self, _request: Request, _call_next: Any) -> Response:
            audits.logger.info("who?", extra={"action": "REFUSE"})
            return Response(status_code=401)

    return Starlette(
        routes=[Route("/api/reset/{token:failing}", emptied, methods=["POST"])],
        middleware=[Middleware(AuditMiddleware, logger=audits.logger), Middleware(Refusing)],
    )


def test_a_route_that_fails_when_we_ask_it_costs_no_answer_and_shows_no_path(
    caplog: pytest.LogCaptureFixture,
) -> None:
    audits = Capture()
    app = refusing(audits)

    for _ in range(2):
        assert 401 == asked(app, path="/api/reset/s3cr3t").status

    assert [("REFUSE", f"/{REDACTED}"), ("CREATE", f"/{REDACTED}")] * 2 == [
        (row["action"], row["endpoint"]) for row in audits.rows
    ]
    (told,) = caplog.messages
    assert "reading the path failed (ValueError at " in told
    assert "s3cr3t" not in "".join(audits.lines) + caplog.text


def test_an_error_of_the_router_is_raised_on_and_audited() -> None:
    audits = Capture()
    app = Starlette(routes=[Route("/api/reset/{token:failing}", asyncio.sleep, methods=["POST"])])

    with pytest.raises(ValueError, match="s3cr3t"):
        asked(AuditMiddleware(app, logger=audits.logger), path="/api/reset/s3cr3t")

    assert (500, f"/{REDACTED}") == (audits.row["status_code"], audits.row["endpoint"])


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
