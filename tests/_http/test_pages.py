"""Health and status, asked as an ASGI server and as Flask ask."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import flask
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Mount
from starlette.testclient import TestClient

from audit_handler import AuditHandler, ConfigurationError
from audit_handler._http.flask_pages import health_blueprint, status_blueprint
from audit_handler._process import registry
from audit_handler.status_pages import PUBLIC, HealthApp, StatusApp
from tests.support.loopback import LoopbackClickHouse

MakeHandler = Callable[..., AuditHandler]

NOBODY = "http://app:hunter2@127.0.0.1:1/audit_db"
AUDIT = {"action": "CREATE", "resource_type": "order"}


@pytest.fixture(autouse=True)
def _no_other_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_all", weakref.WeakSet())


async def answer(
    app: Any, path: str = "/", method: str = "GET", kind: str = "http"
) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        raise AssertionError("there is nothing to read")

    await app({"type": kind, "path": path, "method": method, "headers": []}, receive, send)
    return sent


def ask(app: Any, path: str = "/", method: str = "GET") -> tuple[int, Any]:
    start, body = asyncio.run(answer(app, path, method))
    headers = dict(start["headers"])
    assert (b"application/json", b"no-store") == (
        headers[b"content-type"],
        headers[b"cache-control"],
    )
    return start["status"], json.loads(body["body"]) if body["body"] else None


# Health


def test_a_process_whose_rows_are_delivered_is_live_and_ready(
    faults: LoopbackClickHouse, database: str, make_handler: MakeHandler, log: logging.Logger
) -> None:
    made = make_handler(faults.dsn(database), logger=log.name)
    log.info("x", extra=AUDIT)
    assert made.flush()

    app = HealthApp()
    assert (200, {"live": True}) == ask(app, "/health/live")
    assert (200, {"ready": True, "reasons": []}) == ask(app, "/health/ready/")
    assert (200, {"live": True, "ready": True, "reasons": []}) == ask(app, "/health")


def test_a_full_spool_is_not_ready_and_the_process_is_live(
    make_handler: MakeHandler, log: logging.Logger
) -> None:
    limits = {"max_spool_bytes": 65_536, "batch_bytes": 65_536, "on_full": "drop"}
    made = make_handler(NOBODY, logger=log.name, **limits)
    while made.can_take():
        log.info("x", extra={**AUDIT, "request_body": "x" * 8_000})

    assert (503, {"ready": False, "reasons": ["the spool is full"]}) == ask(HealthApp(), "/ready")
    assert (200, {"live": True}) == ask(HealthApp(), "/live")


def test_rows_that_wait_longer_than_the_bound_are_not_ready(
    make_handler: MakeHandler, log: logging.Logger
) -> None:
    made = make_handler(NOBODY, logger=log.name, flush_interval_ms=3_600_000)
    log.info("x", extra=AUDIT)
    while made.status().oldest_waiting_seconds == 0.0:
        pass  # the clock's next tick
    status, content = ask(HealthApp(max_waiting_seconds=1e-9), "/ready")

    assert (503, False) == (status, content["ready"])
    assert "audit rows have waited 0 s; the bound is 1e-09 s" == content["reasons"][0]
    assert 200 == ask(HealthApp(max_waiting_seconds=None), "/ready")[0]


def test_without_a_handler_nothing_is_ready_to_be_audited(make_handler: MakeHandler) -> None:
    closed = make_handler(NOBODY)
    closed.close(0.0)

    assert (503, ["no AuditHandler is open"]) == (
        ask(HealthApp(), "/ready")[0],
        ask(HealthApp(), "/ready")[1]["reasons"],
    )


def test_a_handler_that_was_given_is_the_one_that_is_asked(
    make_handler: MakeHandler, log: logging.Logger
) -> None:
    limits = {"max_spool_bytes": 65_536, "batch_bytes": 65_536, "on_full": "drop"}
    full = make_handler(NOBODY, logger=log.name, **limits)
    while full.can_take():
        log.info("x", extra={**AUDIT, "request_body": "x" * 8_000})
    empty = make_handler(NOBODY, table="others")

    statuses = [ask(HealthApp(given), "/ready")[0] for given in (full, empty, [empty], None)]
    assert [503, 200, 200, 503] == statuses


def test_a_handler_that_a_late_record_opened_again_counts_again(
    make_handler: MakeHandler, log: logging.Logger
) -> None:
    made = make_handler(NOBODY, logger=log.name)
    made.close(0.0)
    log.info("x", extra=AUDIT)

    assert 200 == ask(HealthApp(), "/ready")[0]


@pytest.mark.parametrize("bound", [0, -1, "5", float("nan")])
def test_a_bound_that_is_none_is_refused(bound: Any) -> None:
    with pytest.raises(ConfigurationError, match="max_waiting_seconds"):
        HealthApp(max_waiting_seconds=bound)


def test_pages_answer_while_the_disk_hangs(make_handler: MakeHandler, log: logging.Logger) -> None:
    """The spool's lock is held across a write; an event loop must not wait for it."""
    made = make_handler(NOBODY, logger=log.name, flush_interval_ms=3_600_000)
    log.info("x", extra=AUDIT)
    pipeline = made._pipeline
    assert pipeline is not None
    answers: list[int] = []

    def ask_all() -> None:
        apps = (HealthApp(), StatusApp(authorize=PUBLIC, by_user=True))
        answers.extend(ask(app)[0] for app in apps)

    with pipeline.spool.lock:
        thread = threading.Thread(target=ask_all)
        thread.start()
        thread.join(30)

    assert [200, 200] == answers


# Status


def test_the_status_tells_all_that_the_handler_knows(
    faults: LoopbackClickHouse, database: str, make_handler: MakeHandler, log: logging.Logger
) -> None:
    made = make_handler(faults.dsn(database), logger=log.name)
    faults.fault("http_status", status=503, times=1)
    log.info("x", extra=AUDIT)
    assert made.flush()
    status, content = ask(StatusApp(authorize=PUBLIC))

    (told,) = content["handlers"]
    assert 200 == status
    assert {
        "target": str(made.settings.target),
        "rows_emitted": 1,
        "rows_dropped": 0,
        "drops": {},
        "rows_adopted": 0,
        "rows_stored": 1,
        "rows_rejected": 0,
        "rows_lost": 0,
        "rows_waiting": 0,
        "bytes_waiting": 0,
        "max_spool_bytes": 1024**3,
        "spool_usage": 0.0,
        "is_full": False,
        "oldest_waiting_seconds": 0.0,
        "batches_stored": 1,
        "retries": 1,
        "success_rate": 0.5,
        "last_error": "",
    } == told


def test_an_outage_shows_without_secrets(make_handler: MakeHandler, log: logging.Logger) -> None:
    made = make_handler(NOBODY, logger=log.name)
    log.info("x", extra=AUDIT)
    made.flush(0.5)
    (told,) = ask(StatusApp(authorize=PUBLIC))[1]["handlers"]

    assert "TransientError" in told["last_error"]
    assert (1, True, 0.0) == (told["rows_waiting"], told["spool_usage"] > 0, told["success_rate"])
    assert "hunter2" not in str(told)


def test_what_an_error_says_is_redacted_as_rows_are(make_handler: MakeHandler) -> None:
    made = make_handler(NOBODY, redact_keys=["pin"])
    made._counters.last_error = "cannot parse pin=4711"
    (told,) = ask(StatusApp(authorize=PUBLIC))[1]["handlers"]

    assert "cannot parse pin=***REDACTED***" == told["last_error"]


@pytest.mark.parametrize("spool_dir", ["disk", "memory"])
def test_the_waiting_rows_are_counted_by_user_when_that_is_asked_for(
    make_handler: MakeHandler, log: logging.Logger, spool_dir: str
) -> None:
    options = {"spool_dir": "memory"} if spool_dir == "memory" else {}
    made = make_handler(NOBODY, logger=log.name, batch_size=2, **options)
    for user in ("u-1", "u-2", "u-1", None, "u-1"):
        log.info("x", extra={**AUDIT, "agent_id": user})
    (told,) = ask(StatusApp(authorize=PUBLIC, by_user=True))[1]["handlers"]

    assert ({"u-1": 3, "": 1, "u-2": 1}, True) == (
        told["waiting_by_user"],
        told["waiting_by_user_is_complete"],
    )
    assert 5 == made.status().rows_waiting


def test_rows_of_a_dead_process_are_counted_by_user_too(
    make_handler: MakeHandler, log: logging.Logger
) -> None:
    first = make_handler(NOBODY, logger=log.name)
    log.info("x", extra={**AUDIT, "agent_id": "u-1"})
    first.close(0.0)
    pipeline = first._pipeline
    log.handlers.clear()
    second = make_handler(NOBODY, logger=log.name)
    while not second.status().rows_adopted:
        pass  # the listener looks at once, and the test's time limit ends this

    assert pipeline is None
    assert ({"u-1": 1}, True) == second.waiting_by_user()


def test_what_is_read_for_the_counts_is_bounded(
    make_handler: MakeHandler, log: logging.Logger
) -> None:
    made = make_handler(NOBODY, logger=log.name, batch_size=2)
    for _ in range(6):
        log.info("x", extra={**AUDIT, "agent_id": "u-1"})

    assert ({"u-1": 2}, False) == made.waiting_by_user(max_bytes=1)


def test_of_many_users_a_hundred_are_listed(make_handler: MakeHandler, log: logging.Logger) -> None:
    make_handler(NOBODY, logger=log.name)
    for number in range(150):
        log.info("x", extra={**AUDIT, "agent_id": f"u-{number % 120}"})
    (told,) = ask(StatusApp(authorize=PUBLIC, by_user=True))[1]["handlers"]

    assert (100, False, 2) == (
        len(told["waiting_by_user"]),
        told["waiting_by_user_is_complete"],
        told["waiting_by_user"]["u-0"],
    )


# Who may read


@pytest.mark.parametrize("authorize", [None, "admin", False])
def test_the_status_needs_somebody_who_says_who_may_read_it(authorize: Any) -> None:
    for make in (StatusApp, status_blueprint):
        with pytest.raises(ConfigurationError, match="or PUBLIC for everybody"):
            make(authorize=authorize)


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(("is_allowed", "expected"), [(True, 200), (False, 403), (None, 403)])
def test_authorize_decides_by_the_scope_sync_or_async(
    make_handler: MakeHandler, is_async: bool, is_allowed: bool | None, expected: int
) -> None:
    make_handler(NOBODY)
    asked: list[str] = []

    def authorize(scope: Any) -> bool | None:
        asked.append(scope["path"])
        return is_allowed

    async def authorize_async(scope: Any) -> bool | None:
        return authorize(scope)

    app = StatusApp(authorize=authorize_async if is_async else authorize)
    status, content = ask(app, "/admin/audit-status")

    assert (expected, ["/admin/audit-status"]) == (status, asked)
    assert ("handlers" in content) == (expected == 200)


def test_what_authorize_raises_goes_to_the_framework(make_handler: MakeHandler) -> None:
    make_handler(NOBODY)

    def authorize(_scope: Any) -> bool:
        raise HTTPException(401)

    app = Starlette(routes=[Mount("/audit-status", StatusApp(authorize=authorize))])

    assert 401 == TestClient(app).get("/audit-status/").status_code


# HTTP


@pytest.mark.parametrize(
    "app", [HealthApp(), StatusApp(authorize=PUBLIC)], ids=["health", "status"]
)
def test_pages_are_read_only(app: Any) -> None:
    start, body = asyncio.run(answer(app, method="POST"))
    head = asyncio.run(answer(app, method="HEAD"))
    websocket = asyncio.run(answer(app, kind="websocket"))

    assert (405, b"GET, HEAD") == (start["status"], dict(start["headers"])[b"allow"])
    assert b"" == head[1]["body"]
    assert int(dict(head[0]["headers"])[b"content-length"]) > 0
    assert [{"type": "websocket.close", "code": 1000}] == websocket
    assert b"use GET" in body["body"]


@pytest.mark.parametrize("make", [Starlette, FastAPI])
def test_every_page_has_a_path_without_a_slash(make_handler: MakeHandler, make: Any) -> None:
    make_handler(NOBODY)
    app = make()
    for path in ("/health", "/health/live", "/health/ready"):
        app.add_route(path, HealthApp())
    app.add_route("/admin/audit-status", StatusApp(authorize=PUBLIC))
    client = TestClient(app, follow_redirects=False)

    pages = [
        client.get(f"{path}?x=1")
        for path in ("/health", "/health/live", "/health/ready", "/admin/audit-status")
    ]

    assert [200] * 4 == [page.status_code for page in pages]
    expected = [{"live", "ready", "reasons"}, {"live"}, {"ready", "reasons"}, {"handlers"}]
    assert expected == [page.json().keys() for page in pages]
    assert 404 == client.get("/healthy").status_code


def test_starlette_mounts_them_too(make_handler: MakeHandler) -> None:
    make_handler(NOBODY)
    app = Starlette(
        routes=[
            Mount("/health", HealthApp()),
            Mount("/admin/audit-status", StatusApp(authorize=PUBLIC, by_user=True)),
        ]
    )
    paths = ("/health/live", "/health/ready", "/health", "/admin/audit-status")
    client = TestClient(app)

    assert [200] * 4 == [client.get(path).status_code for path in paths]


# Flask


def flask_client(*blueprints: flask.Blueprint) -> Any:
    app = flask.Flask(__name__)
    app.testing = True
    for blueprint in blueprints:
        app.register_blueprint(blueprint)
    return app.test_client()


def test_flask_has_the_same_pages(make_handler: MakeHandler, log: logging.Logger) -> None:
    make_handler(NOBODY, logger=log.name)
    log.info("x", extra={**AUDIT, "agent_id": "u-1"})
    client = flask_client(
        health_blueprint(), status_blueprint(authorize=lambda request: request.args, by_user=True)
    )
    live, ready, both = (client.get(f"/health{path}") for path in ("/live", "/ready", ""))
    told = client.get("/admin/audit-status?yes=1")
    with_slash = ("/health/", "/health/live/", "/health/ready/", "/admin/audit-status/?yes=1")

    assert [200] * 4 == [client.get(path).status_code for path in with_slash]
    assert [200, 200, 200, 200] == [page.status_code for page in (live, ready, both, told)]
    assert ({"live": True}, True, True) == (live.json, ready.json["ready"], both.json["live"])
    assert {"u-1": 1} == told.json["handlers"][0]["waiting_by_user"]
    assert ("application/json", "no-store") == (
        told.headers["content-type"],
        told.headers["cache-control"],
    )
    assert 403 == client.get("/admin/audit-status").status_code
    assert 405 == client.post("/health").status_code
    assert 404 == client.get("/health/other").status_code


def test_flask_is_not_ready_without_a_handler() -> None:
    assert 503 == flask_client(health_blueprint()).get("/health/ready").status_code


def test_flask_refuses_an_async_authorize_that_nobody_would_wait_for() -> None:
    class Answer:
        """What an ``async def`` returns, without the warning that nobody awaited it."""

        def __await__(self) -> Iterator[Any]:
            return iter(())

    client = flask_client(status_blueprint(authorize=lambda _request: Answer()))

    with pytest.raises(TypeError, match="must not be async"):
        client.get("/admin/audit-status")
