"""`audit()`: fields that an endpoint sets for its own request's audit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from audit_handler import Rule, audit, bind, changes
from audit_handler.request import CURRENT
from audit_handler.starlette import AuditMiddleware
from tests.support.asgi import Capture, as_json, ask, asked


def application(audits: Capture, endpoint: Any, **options: Any) -> Starlette:
    return Starlette(
        routes=[Route("/api/orders", endpoint, methods=["GET", "POST"])],
        middleware=[Middleware(AuditMiddleware, logger=audits.logger, **options)],
    )


def test_what_an_endpoint_says_wins() -> None:
    audits = Capture()

    async def approve(_request: Request) -> Response:
        bind(action="BOUND", resource_name="bound")
        assert audit(action="APPROVE", resource_id=17, agent_id="u-9", tenant="acme")
        assert audit(resource_id=18, **changes({"status": "new"}, {"status": "approved"}))
        return JSONResponse({"id": 19, "name": "answered"})

    asked(application(audits, approve))

    row = audits.row
    assert ("APPROVE", "18", "u-9") == (row["action"], row["resource_id"], row["agent_id"])
    assert ("orders", "bound") == (row["resource_type"], row["resource_name"])
    assert ({"status": "new"}, {"status": "approved"}) == (row["old_value"], row["new_value"])
    assert "acme" == row["metadata"]["tenant"]


def test_a_synchronous_endpoint_is_heard_from_its_thread() -> None:
    """There a bind ends with the thread's copy of the context."""
    audits = Capture()

    def approve(_request: Request) -> Response:
        bind(action="UNHEARD")
        audit(resource_id=17)
        return Response()

    asked(application(audits, approve))

    assert ("CREATE", "17") == (audits.row["action"], audits.row["resource_id"])


def test_it_is_heard_through_tasks_threads_and_middleware_with_a_task_of_its_own() -> None:
    audits = Capture()

    async def passing(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    async def approve(_request: Request) -> Response:
        await asyncio.create_task(asyncio.sleep(0, audit(resource_id=17)))
        await run_in_threadpool(audit, resource_name="Tea")
        return Response()

    app = application(audits, approve)
    app.user_middleware.append(Middleware(BaseHTTPMiddleware, dispatch=passing))
    asked(app)

    assert ("17", "Tea") == (audits.row["resource_id"], audits.row["resource_name"])


def test_a_streaming_response_can_say_how_much_it_was() -> None:
    audits = Capture()

    async def lines() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"line\n"
            audit(lines=number + 1)

    async def export(_request: Request) -> Response:
        return StreamingResponse(lines(), media_type="text/plain")

    asked(application(audits, export))

    assert 3 == audits.row["metadata"]["lines"]


def test_a_request_can_be_left_out() -> None:
    audits = Capture()

    async def poll(request: Request) -> Response:
        audit(skip=True)
        if "again" in request.query_params:
            audit(skip=False)
        return Response()

    app = application(audits, poll)
    asked(app)
    asked(app, path="/api/orders?again")

    assert [{"again": ""}] == [row["metadata"]["query_params"] for row in audits.rows]


def test_values_are_those_of_the_call() -> None:
    audits = Capture()

    async def update(_request: Request) -> Response:
        order = {"status": "new", "lines": ["tea"]}
        audit(old_value=order)
        order["status"] = "paid"
        order["lines"].append("milk")  # type: ignore[attr-defined]
        audit(new_value=order)
        return Response()

    asked(application(audits, update))

    assert {"status": "new", "lines": ["tea"]} == audits.row["old_value"]
    assert {"status": "paid", "lines": ["tea", "milk"]} == audits.row["new_value"]


def test_names_that_logging_keeps_for_itself_go_to_metadata() -> None:
    audits = Capture()

    async def named(_request: Request) -> Response:
        audit(name="x", message="y", args=[1], metadata={"own": 1})
        audit(status_code=99_999)
        return Response()

    asked(application(audits, named), path="/api/orders?dry=1")

    metadata = audits.row["metadata"]
    assert ("x", "y", [1], 1) == (
        metadata["name"],
        metadata["message"],
        metadata["args"],
        metadata["own"],
    )
    assert {"dry": "1"} == metadata["query_params"]
    assert {"status_code": 99_999} == metadata["_invalid"]


def test_a_policys_mask_covers_what_the_endpoint_says() -> None:
    audits = Capture()

    async def update(_request: Request) -> Response:
        bind(old_value={"iban": "s3cr3t", "city": "London"})
        audit(new_value={"iban": "s3cr3t"}, iban="s3cr3t", agent_email="ada@example.org")
        return Response()

    asked(application(audits, update, policy=[Rule(level="metadata", mask=["iban"])]))

    assert "s3cr3t" not in audits.lines[0]
    assert "London" == audits.row["old_value"]["city"]
    assert "ada@example.org" == audits.row["agent_email"]


def test_a_background_task_comes_too_late_and_is_told_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    audits = Capture()
    heard: list[bool] = []

    def later() -> None:
        heard.append(audit(resource_id="s3cr3t-17", new_value={}))

    async def create(_request: Request) -> Response:
        return Response(background=BackgroundTask(later))

    asked(application(audits, create))

    assert [False] == heard
    assert "resource_id" not in audits.row
    assert [
        (
            "audit_handler.request",
            logging.WARNING,
            "audit() was called after the request's audit event was logged: new_value, "
            "resource_id not recorded; log a separate audit event there",
        )
    ] == caplog.record_tuples


def test_without_an_audited_request_nothing_happens(caplog: pytest.LogCaptureFixture) -> None:
    audits = Capture()
    heard: list[bool] = []

    async def read(_request: Request) -> Response:
        heard.append(audit(resource_id=17))
        return Response()

    asked(application(audits, read), "GET")

    assert [False] == heard
    assert not audit(resource_id=17)
    assert [] == audits.rows
    assert [] == caplog.records


def test_requests_at_once_are_heard_each_for_itself() -> None:
    audits = Capture()

    def create(request: Request) -> Response:
        audit(resource_id=request.headers["x-number"], new_value={"number": [0]})
        audit(**{f"only_{request.headers['x-number']}": True})
        return Response()

    app = application(audits, create)

    async def everyone() -> None:
        await asyncio.gather(*(ask(app, headers={"x-number": str(n)}) for n in range(60)))

    asyncio.run(everyone())

    assert {str(n) for n in range(60)} == {row["resource_id"] for row in audits.rows}
    for row in audits.rows:
        only = [name for name in row["metadata"] if name.startswith("only_")]
        assert [f"only_{row['resource_id']}"] == only


def test_an_audited_application_within_another_speaks_of_the_same_audit() -> None:
    outer, inner = Capture(), Capture()

    async def create(_request: Request) -> Response:
        audit(resource_id="of the inner")
        return Response()

    async def around(scope: Any, receive: Any, send: Any) -> None:
        audit(resource_id="of the outer")
        await application(inner, create)(scope, receive, send)

    asked(AuditMiddleware(around, logger=outer.logger), **as_json({}))

    assert "of the inner" == outer.row["resource_id"]
    assert [] == inner.rows
    assert CURRENT.get() is None
