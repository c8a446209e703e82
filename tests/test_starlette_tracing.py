"""
Request and trace ids with OpenTelemetry's instrumentation of Starlette active, and without any SDK.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.starlette import StarletteInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from audit_handler.starlette import AuditMiddleware
from tests.support.asgi import Answer, Capture, asked

SENT_TRACE = "a1" * 16
TRACEPARENT = f"00-{SENT_TRACE}-{'b2' * 8}-01"


class Traced:
    """Audits, and the spans that were exported."""

    def __init__(self) -> None:
        self.audits = Capture()
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def spans(self) -> dict[str, str]:
        """Return the traces by the spans that were in them."""
        return {
            trace.format_span_id(span.context.span_id): trace.format_trace_id(span.context.trace_id)
            for span in self.exporter.get_finished_spans()
            if span.context
        }


@pytest.fixture
def traced() -> Iterator[Traced]:
    made = Traced()
    yield made
    made.provider.shutdown()


async def create(_request: Request) -> Response:
    return JSONResponse({"id": 17})


def instrumented(traced: Traced) -> Any:
    """OpenTelemetry outside, as its instrumentation puts itself."""
    app = Starlette(
        routes=[Route("/api/orders", create, methods=["POST"])],
        middleware=[Middleware(AuditMiddleware, logger=traced.audits.logger)],
    )
    StarletteInstrumentor.instrument_app(app, tracer_provider=traced.provider)
    return app


def added_later(traced: Traced) -> Any:
    """OpenTelemetry inside, where it was added to the application like any other middleware."""
    app = Starlette(
        routes=[Route("/api/orders", create, methods=["POST"])],
        middleware=[Middleware(OpenTelemetryMiddleware, tracer_provider=traced.provider)],
    )
    return AuditMiddleware(app, logger=traced.audits.logger)


both_orders = pytest.mark.parametrize("make", [instrumented, added_later])


@both_orders
def test_the_audit_has_the_ids_of_a_span_of_its_request(
    traced: Traced, make: Callable[[Traced], Any]
) -> None:
    asked(make(traced))

    row = traced.audits.row
    assert row["trace_id"] == row["request_id"]
    assert row["trace_id"] == traced.spans()[row["span_id"]]


@both_orders
def test_a_trace_that_began_elsewhere_goes_on(
    traced: Traced, make: Callable[[Traced], Any]
) -> None:
    asked(make(traced), headers={"traceparent": TRACEPARENT})

    assert SENT_TRACE == traced.audits.row["trace_id"]
    assert {SENT_TRACE} == set(traced.spans().values())


def told(row: dict[str, Any], answer: Answer) -> tuple[str, str]:
    """Return the id that the client was told, and the one by which the audit knows that id."""
    return answer.headers["x-request-id"], row["metadata"].get("x_request_id", row["request_id"])


@both_orders
@pytest.mark.parametrize("headers", [{}, {"x-request-id": "req-1"}, {"x-request-id": "b\nd"}])
def test_what_the_client_is_told_is_in_the_audit(
    traced: Traced, make: Callable[[Traced], Any], headers: dict[str, str]
) -> None:
    answer = asked(make(traced), headers=headers)
    row = {"metadata": {}, **traced.audits.row}
    told_id, known_id = told(row, answer)

    assert told_id == known_id
    assert (told_id == "req-1") == (headers.get("x-request-id") == "req-1")


def test_without_an_sdk_the_header_gives_the_trace_id() -> None:
    audits = Capture()
    app = AuditMiddleware(
        Starlette(routes=[Route("/api/orders", create, methods=["POST"])]), logger=audits.logger
    )

    asked(app, headers={"traceparent": TRACEPARENT, "x-request-id": "req-1"})
    asked(app, headers={"traceparent": f"{TRACEPARENT}, {TRACEPARENT}"})

    first, second = audits.rows
    assert (SENT_TRACE, "req-1") == (first["trace_id"], first["request_id"])
    assert "trace_id" not in second
