"""The fields of every record of a request, and requests that cannot be audited."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from audit_handler import AuditHandler, ConfigurationError
from audit_handler.starlette import AuditMiddleware
from tests.support.asgi import (
    Capture,
    asked,
    private_logger,
)
from tests.support.starlette_orders import application, endpoint

pytestmark = pytest.mark.usefixtures("context_is_restored")


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
def test_an_async_get_user_is_refused(get_user: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"get_user is async.*put into the scope"):
        AuditMiddleware(Response(), get_user=get_user)


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
        "No request is audited: the logger 'audit' is not enabled for INFO; set its level"
        == record.getMessage()
    )


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
