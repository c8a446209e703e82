"""
The cost of auditing a request, above the same application without it, on Starlette and Flask.

`AuditMiddleware` and `AuditFlask`, which log to an `AuditHandler` with its spool on disk, are
compared with OpenTelemetry: its instrumentation of the framework with the tracer of the SDK, and
one log record per request, with the body that the view has, through `LoggingHandler` and
`BatchLogRecordProcessor`. The exporters count their input and drop it: OpenTelemetry encodes
nothing and keeps its records in memory.

No rows are delivered during a turn: the server of `AuditHandler` is a closed port, so its listener
only waits, and the queues of OpenTelemetry are flushed between the turns. Applications are called
as a server calls them, without a socket, one request after the other on one thread.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import flask
from _measure import (
    SPREAD_HEADERS,
    Spread,
    close_undelivered,
    closed_port,
    few_extras,
    figure,
    interleaved,
    logger_with,
    parser,
    print_note,
    print_table,
    scratch_directory,
    wait_until,
    write_report,
)
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.logging.handler import LoggingHandler
from opentelemetry.instrumentation.starlette import StarletteInstrumentor
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    LogRecordExporter,
    LogRecordExportResult,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from audit_handler import AuditHandler
from audit_handler.flask import AuditFlask
from audit_handler.starlette import AuditMiddleware

BARE, AUDIT, OTEL = "without", "audit-handler", "OpenTelemetry"
PATH = "/api/orders/17"
HEADERS = {
    "host": "shop.example",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "accept": "application/json",
    "accept-language": "en-GB,en;q=0.8",
    "origin": "https://shop.example",
    "cookie": "theme=dark; sid=8f14e45fceea167a5a36dedd4bea2543",
}


def order(lines: int) -> bytes:
    """Return an order as JSON, of about 80 bytes a line."""
    line = {"sku": "sku-77", "count": 2, "price": {"amount": 1999, "currency": "EUR"}}
    named = [{**line, "note": f"gift {n:04d}"} for n in range(lines)]
    return json.dumps({"name": "Tea", "customer": "u-7", "lines": named}).encode()


KINDS = {
    "GET, not audited": ("GET", b""),
    "POST of a small JSON body": ("POST", order(1)),
    "POST of 10 KB of JSON": ("POST", order(105)),
}


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """An application, and a function that is called, untimed, after its turn."""

    ask: Callable[[str, bytes, int], None]
    """Send a method and a body a number of times, and check the responses."""
    settle: Callable[[], object] = lambda: None

    def turn(self, method: str, body: bytes, requests: int) -> float:
        """Return the microseconds of one request, on average over *requests* without a pause."""
        started = time.perf_counter()
        self.ask(method, body, requests)
        elapsed = time.perf_counter() - started
        self.settle()
        return elapsed / requests * 1e6


# The same application on both frameworks


def log_write(logger: logging.Logger | None, body: bytes) -> None:
    """Log the fields that the instrumentation of OpenTelemetry lacks, if there is a logger."""
    if logger is not None:
        extra = {"action": "UPDATE", "resource_type": "orders", "resource_id": "17", "user": "u-7"}
        logger.info("POST %s", PATH, extra={**extra, "request_body": body.decode()})


def starlette_application(logger: logging.Logger | None = None) -> Starlette:
    async def show(_request: Request) -> Response:
        return JSONResponse({"id": 17, "name": "Tea"})

    async def change(request: Request) -> Response:
        body = await request.body()
        name = json.loads(body)["name"]
        log_write(logger, body)
        return JSONResponse({"id": 17, "name": name})

    path = "/api/orders/{order_id:int}"
    return Starlette(routes=[Route(path, show), Route(path, change, methods=["POST"])])


def flask_application(logger: logging.Logger | None = None) -> flask.Flask:
    app = flask.Flask(__name__, static_folder=None)

    @app.get("/api/orders/<int:order_id>")
    def show(order_id: int) -> Any:
        return {"id": order_id, "name": "Tea"}

    @app.post("/api/orders/<int:order_id>")
    def change(order_id: int) -> Any:
        body = flask.request.get_data()
        name = json.loads(body)["name"]
        log_write(logger, body)
        return {"id": order_id, "name": name}

    return app


def ask_starlette(
    loop: asyncio.AbstractEventLoop, app: Any, method: str, body: bytes, requests: int
) -> None:
    headers = {**HEADERS, "content-type": "application/json", "content-length": str(len(body))}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def all_of_them() -> None:
        for _ in range(requests):
            scope = {
                "type": "http",
                "asgi": {"version": "3.0", "spec_version": "2.4"},
                "http_version": "1.1",
                "method": method,
                "scheme": "https",
                "path": PATH,
                "raw_path": PATH.encode(),
                "query_string": b"",
                "root_path": "",
                "headers": raw,
                "client": ("203.0.113.9", 4711),
                "server": ("shop.example", 443),
            }
            await app(scope, receive, send)

    loop.run_until_complete(all_of_them())
    check(statuses == [200] * requests, f"Starlette answered {set(statuses)}")


def ask_flask(app: flask.Flask, method: str, body: bytes, requests: int) -> None:
    named = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in HEADERS.items()}
    statuses: list[str] = []

    def start_response(status: str, _headers: Any, _exc_info: Any = None) -> Any:
        statuses.append(status)

    for _ in range(requests):
        environ = {
            **named,
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": PATH,
            "QUERY_STRING": "",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_ADDR": "203.0.113.9",
            "SERVER_NAME": "shop.example",
            "SERVER_PORT": "443",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "https",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        chunks: Any = app(environ, start_response)
        for _chunk in chunks:
            pass
        if close := getattr(chunks, "close", None):
            close()
    check(statuses == ["200 OK"] * requests, f"Flask answered {set(statuses)}")


def check(is_so: bool, otherwise: str) -> None:
    if not is_so:
        sys.exit(otherwise)


# The contestants


class CountingSpans(SpanExporter):
    """Count spans, and drop them."""

    count = 0

    def export(self, spans: Sequence[Any]) -> SpanExportResult:
        self.count += len(spans)
        return SpanExportResult.SUCCESS


class CountingRecords(LogRecordExporter):
    """Count log records, and drop them."""

    count = 0

    def export(self, batch: Sequence[Any]) -> LogRecordExportResult:
        self.count += len(batch)
        return LogRecordExportResult.SUCCESS

    def shutdown(self) -> None:
        """Do nothing."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002
        return True


class OpenTelemetry:
    """The SDK, with exporters that drop their input."""

    def __init__(self) -> None:
        self.spans, self.records = CountingSpans(), CountingRecords()
        self.tracers, self.loggers = TracerProvider(), LoggerProvider()
        self.tracers.add_span_processor(BatchSpanProcessor(self.spans))
        self.loggers.add_log_record_processor(BatchLogRecordProcessor(self.records))
        self.logger = logger_with(LoggingHandler(logger_provider=self.loggers))

    def settle(self) -> None:
        self.tracers.force_flush()
        self.loggers.force_flush()

    def close(self) -> None:
        self.tracers.shutdown()
        self.loggers.shutdown()


@contextmanager
def undelivered(directory: Path) -> Iterator[AuditHandler]:
    """Yield a handler that spools to *directory* and has no server."""
    handler = AuditHandler(
        f"http://127.0.0.1:{closed_port()}",
        spool_dir=directory,
        # The attempt below fails; the next one comes after the end of the benchmark.
        retry_min_ms=60_000,
        retry_max_ms=3_600_000,
        flush_interval_ms=3_600_000,
        max_spool_bytes=64 << 30,
    )
    # Without a handler, the reports of the listener and the driver would be printed.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        # The listener loads the driver here, and not during the first requests.
        logger_with(handler).info("warm", extra=few_extras(0))
        handler.flush(0.0)
        wait_until(lambda: handler.status().retries > 0, "the attempt on a closed port")
        yield handler
    finally:
        close_undelivered(handler)


def on_starlette(
    handler: AuditHandler, sdk: OpenTelemetry, loop: asyncio.AbstractEventLoop
) -> dict[str, Contestant]:
    audited, traced = starlette_application(), starlette_application(sdk.logger)
    audited.add_middleware(
        AuditMiddleware, logger=logger_with(handler), get_user=lambda _scope: "u-7"
    )
    StarletteInstrumentor.instrument_app(traced, tracer_provider=sdk.tracers)
    ask = partial(partial, ask_starlette, loop)
    return {
        BARE: Contestant(ask=ask(starlette_application())),
        AUDIT: Contestant(ask=ask(audited)),
        OTEL: Contestant(ask=ask(traced), settle=sdk.settle),
    }


def on_flask(handler: AuditHandler, sdk: OpenTelemetry) -> dict[str, Contestant]:
    audited, traced = flask_application(), flask_application(sdk.logger)
    AuditFlask(audited, logger=logger_with(handler), get_user=lambda: "u-7")
    instrumentor: Any = FlaskInstrumentor()  # its methods have no types
    instrumentor.instrument_app(traced, tracer_provider=sdk.tracers)
    ask = partial(partial, ask_flask)
    return {
        BARE: Contestant(ask=ask(flask_application())),
        AUDIT: Contestant(ask=ask(audited)),
        OTEL: Contestant(ask=ask(traced), settle=sdk.settle),
    }


def print_costs(title: str, results: Mapping[str, list[float]]) -> None:
    """Print the cost of each contestant above the bare application, within the rounds."""
    base = results[BARE]
    above = {
        name: [value - bare for value, bare in zip(results[name], base, strict=True)]
        for name in (AUDIT, OTEL)
    }
    rows = [["without (whole request)", *Spread.of(base).cells(1), "", ""]]
    for name, values in above.items():
        of_bare = [1 + value / bare for value, bare in zip(values, base, strict=True)]
        of_otel = [value / other for value, other in zip(values, above[OTEL], strict=True)]
        if name == AUDIT and title.startswith("Starlette, POST of a small"):
            figure("POST on Starlette / OpenTelemetry", Spread.of(of_otel).median)
        ratios = (f"{Spread.of(of).median:.2f}" for of in (of_bare, of_otel))
        rows.append([f"{name} above it", *Spread.of(values).cells(1), *ratios])
    headers = ["", *SPREAD_HEADERS, "whole / without", "above / OpenTelemetry's"]
    print_table(f"{title}: microseconds a request", headers, rows)


def main() -> None:
    options = parser(__doc__)
    options.add_argument(
        "--rounds", type=int, default=40, help="turns of each contestant, for each kind"
    )
    options.add_argument("--requests", type=int, default=200, help="requests in a turn")
    arguments = options.parse_args()
    rounds, requests = arguments.rounds, arguments.requests

    print_note(
        f"{rounds} rounds of {requests:,} requests on one thread, without a pause, without a "
        "server and without delivery."
    )
    with scratch_directory() as directory, undelivered(directory) as handler, ExitStack() as stack:
        loop = asyncio.new_event_loop()
        stack.callback(loop.close)
        sdk = OpenTelemetry()
        stack.callback(sdk.close)
        frameworks = {
            "Starlette": on_starlette(handler, sdk, loop),
            "Flask": on_flask(handler, sdk),
        }
        for framework, contestants in frameworks.items():
            for kind, (method, body) in KINDS.items():
                for contestant in contestants.values():
                    contestant.turn(
                        method, body, requests
                    )  # the first requests load modules and fill caches
                turns = {
                    name: partial(contestant.turn, method, body, requests)
                    for name, contestant in contestants.items()
                }
                print_costs(
                    f"{framework}, {kind} ({len(body):,} bytes)", interleaved(turns, rounds)
                )
        writes = len(frameworks) * 2 * (rounds + 1) * requests
        audits = handler.status().rows_emitted - 1
        print_note(
            f"{writes:,} writes each: {audits:,} events spooled, {sdk.records.count:,} log "
            f"records and {sdk.spans.count:,} spans exported and dropped."
        )
        check(writes == audits == sdk.records.count, "not every write was recorded")
    write_report(arguments.output)


if __name__ == "__main__":
    main()
