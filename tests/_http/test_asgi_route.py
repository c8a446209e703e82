"""What is known of routes and paths, whatever the router is and does."""

from __future__ import annotations

import asyncio
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
from tests.support.asgi import Capture, asked


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
