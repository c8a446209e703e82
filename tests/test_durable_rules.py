"""
A durable rule with everything that may stand between the middleware's logger and a spool: no
request succeeds without its row.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from logging.handlers import MemoryHandler, QueueHandler
from typing import Any

import pytest
from flask import Flask
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from audit_handler import AuditHandler, audit
from audit_handler.errors import SpoolUnavailable
from audit_handler.flask import AuditFlask
from audit_handler.policy import Rule
from audit_handler.starlette import AuditMiddleware
from tests.support.asgi import Answer, asked, private_logger
from tests.support.full_spools import fill

pytestmark = pytest.mark.usefixtures("context_is_restored")

POLICY = [Rule(level="metadata", methods="POST", durable=True), Rule(level="metadata")]


@dataclass
class Trail:
    """A logger that reaches an `AuditHandler` through its parent, and the served requests."""

    logger: logging.Logger
    parent: logging.Logger
    handler: AuditHandler
    served: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return self.handler.status().rows_emitted


Obstacle = Callable[[Trail], object]
Ask = Callable[[Trail, str], int]


@pytest.fixture
def trail(make_handler: Callable[..., AuditHandler]) -> Trail:
    handler = make_handler(
        "http://127.0.0.1:1", on_full="drop", batch_bytes=65_536, max_spool_bytes=65_536
    )
    parent = private_logger(logging.INFO, handler)
    logger = private_logger(logging.INFO)
    logger.parent = parent
    return Trail(logger, parent, handler)


def starlette(trail: Trail, answered: Callable[[], Response] = Response) -> Starlette:
    async def orders(request: Request) -> Response:
        trail.served.append(request.method)
        return answered()

    return Starlette(
        routes=[Route("/api/orders", orders, methods=["GET", "POST"])],
        middleware=[Middleware(AuditMiddleware, logger=trail.logger, policy=POLICY)],
    )


def flask(trail: Trail, answered: Callable[[], Any] = lambda: "done") -> Flask:
    app = Flask(__name__)
    AuditFlask(app, logger=trail.logger, policy=POLICY)

    @app.route("/api/orders", methods=["GET", "POST"])
    def orders() -> Any:
        trail.served.append("served")
        return answered()

    return app


def ask_starlette(trail: Trail, method: str) -> int:
    client = TestClient(starlette(trail), raise_server_exceptions=False)
    return client.request(method, "/api/orders").status_code


def ask_flask(trail: Trail, method: str) -> int:
    try:
        return flask(trail).test_client().open("/api/orders", method=method).status_code
    except SpoolUnavailable:
        return 500  # as a WSGI server answers while it has sent nothing


by_both = pytest.mark.parametrize("ask", [ask_starlette, ask_flask])


# Before the application runs


def behind(trail: Trail, handler: logging.Handler) -> None:
    trail.parent.removeHandler(trail.handler)
    trail.parent.addHandler(handler)


OBSTACLES: dict[str, Obstacle] = {
    "handler level": lambda trail: trail.handler.setLevel(logging.WARNING),
    "handler filter": lambda trail: trail.handler.addFilter(lambda _record: False),
    "handler filter by name": lambda trail: trail.handler.addFilter(logging.Filter("shop")),
    "handler filter by field": lambda trail: trail.handler.addFilter(
        lambda record: vars(record)["http_method"] != "POST"
    ),
    "logger filter": lambda trail: trail.logger.addFilter(lambda _record: False),
    "logger disabled": lambda trail: setattr(trail.logger, "disabled", True),
    "logger level": lambda trail: trail.logger.setLevel(logging.WARNING),
    "no handler": lambda trail: trail.parent.removeHandler(trail.handler),
    "spool full": lambda trail: fill(trail.handler),
    "no propagation": lambda trail: setattr(trail.logger, "propagate", False),
    "queue": lambda trail: behind(trail, QueueHandler(queue.SimpleQueue())),
    "memory": lambda trail: behind(trail, MemoryHandler(100, target=trail.handler)),
}


@by_both
@pytest.mark.parametrize("name", OBSTACLES)
def test_it_refuses_a_request_whose_event_no_handler_would_accept(
    ask: Ask, trail: Trail, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    OBSTACLES[name](trail)
    before = trail.rows

    assert (503, [], before) == (ask(trail, "POST"), trail.served, trail.rows)
    (said,) = [line for line in caplog.messages if "durable rule get 503" in line]
    assert said.partition(": ")[2]


@by_both
def test_without_an_obstacle_a_request_is_served_and_stored(ask: Ask, trail: Trail) -> None:
    assert (200, 1, 1) == (ask(trail, "POST"), len(trail.served), trail.rows)


@by_both
@pytest.mark.parametrize("name", OBSTACLES)
def test_a_rule_that_is_not_durable_refuses_nothing(ask: Ask, trail: Trail, name: str) -> None:
    OBSTACLES[name](trail)

    assert (200, 1) == (ask(trail, "GET"), len(trail.served))


def test_a_handler_that_takes_no_info_is_no_obstacle_beside_one_that_does(
    trail: Trail, make_handler: Callable[..., AuditHandler]
) -> None:
    errors = make_handler("http://127.0.0.1:1", table="errors")
    errors.setLevel(logging.ERROR)
    trail.logger.addHandler(errors)

    assert (200, 1) == (ask_starlette(trail, "POST"), trail.rows)


def test_it_says_each_change_once(trail: Trail, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    client = TestClient(starlette(trail))

    statuses = []
    for level in (logging.WARNING, logging.WARNING, logging.INFO, logging.INFO, logging.ERROR):
        trail.handler.setLevel(level)
        statuses.append(client.post("/api/orders").status_code)

    assert [503, 503, 200, 200, 503] == statuses
    told = [line for line in caplog.messages if "of a durable rule" in line]
    refused = (
        "Requests of a durable rule get 503: the AuditHandler of the logger 'audit' is not enabled "
        "for INFO; set its level"
    )
    assert [refused, "Requests of a durable rule are served again", refused] == told


def test_a_filter_that_changes_records_changes_nothing_that_is_stored(trail: Trail) -> None:
    seen: list[str] = []

    def numbered(record: logging.LogRecord) -> bool:
        seen.append(record.getMessage())
        vars(record)["resource_id"] = str(len(seen))
        return True

    trail.logger.addFilter(numbered)

    assert (200, 1) == (ask_starlette(trail, "POST"), trail.rows)
    assert ["POST '/api/orders': 0", "POST /api/orders: 200"] == seen


# After it has run


def rejects_answers(record: logging.LogRecord) -> bool:
    """Reject what can be known after the application has run only."""
    return not hasattr(record, "status_code")


def needs_answers(record: logging.LogRecord) -> bool:
    """Raise for a record without a status, and reject one with it."""
    return int(getattr(record, "status_code")) < 200  # noqa: B009  # not an attribute for mypy


LATE: dict[str, Obstacle] = {
    "handler filter": lambda trail: trail.handler.addFilter(rejects_answers),
    "logger filter": lambda trail: trail.logger.addFilter(rejects_answers),
    "filter that raises": lambda trail: trail.handler.addFilter(needs_answers),
}


@pytest.fixture(params=LATE)
def late(trail: Trail, request: pytest.FixtureRequest) -> Iterator[Trail]:
    """A trail with an obstacle that shows when the event is logged."""
    LATE[request.param](trail)
    yield trail
    assert 0 == trail.rows


@by_both
def test_an_event_that_is_not_accepted_turns_success_into_an_error(
    ask: Ask, late: Trail, caplog: pytest.LogCaptureFixture
) -> None:
    assert (500, 1) == (ask(late, "POST"), len(late.served))
    (said,) = [line for line in caplog.messages if "of a durable rule" in line]
    assert said.startswith("POST /api/orders: 200, of a durable rule, ends with an error")


@by_both
def test_a_rule_that_is_not_durable_succeeds_without_its_row(ask: Ask, late: Trail) -> None:
    assert (200, 1) == (ask(late, "GET"), len(late.served))


def test_the_server_gets_no_part_of_a_response_without_a_row(late: Trail) -> None:
    answer = Answer()
    inside = AuditMiddleware(
        starlette(late).router, logger=late.logger, policy=POLICY
    )  # without the middleware that answers 500

    with pytest.raises(SpoolUnavailable):
        asked(inside, answer=answer)

    assert [] == answer.messages


def test_a_stream_without_a_row_has_no_end(late: Trail) -> None:
    answer = Answer()

    with pytest.raises(SpoolUnavailable):
        asked(
            starlette(late, lambda: StreamingResponse(iter([b"one", b"two"]))),
            answer=answer,
        )

    bodies = [m for m in answer.messages if m["type"] == "http.response.body"]
    assert [(b"one", True), (b"two", True)] == [(m["body"], m["more_body"]) for m in bodies]


def test_a_flask_stream_without_a_row_raises(late: Trail) -> None:
    app = flask(late, lambda: (part for part in ("one", "two")))
    app.testing = True

    with pytest.raises(SpoolUnavailable):
        app.test_client().post("/api/orders", buffered=True)


def test_a_drop_counts_as_not_accepted(trail: Trail) -> None:
    """The spool gets full while the application runs."""

    def filling() -> Response:
        fill(trail.handler)
        audit(description="y" * 3_000)
        return Response("done")

    client = TestClient(starlette(trail, filling), raise_server_exceptions=False)

    assert (500, 1) == (client.post("/api/orders").status_code, len(trail.served))
    assert 1 == trail.handler.status().rows_dropped


def test_a_subclass_that_returns_nothing_is_no_proof(
    trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trail.handler, "emit", lambda _record: None)

    assert 500 == ask_starlette(trail, "POST")


def test_the_whole_response_of_an_accepted_stream_arrives(trail: Trail) -> None:
    app = starlette(trail, lambda: StreamingResponse(iter([b"one", b"two"]), 202))

    answer = asked(app)

    assert (202, b"onetwo", 1) == (answer.status, answer.body, trail.rows)


def test_an_event_that_was_skipped_needs_no_row(late: Trail) -> None:
    def skipped() -> Response:
        audit(skip=True)
        return Response()

    assert 200 == asked(starlette(late, skipped)).status
