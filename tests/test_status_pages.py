"""The pages of health and status as ASGI applications: who may read them, and how."""

from __future__ import annotations

import asyncio
import logging
import threading
import weakref
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Mount
from starlette.testclient import TestClient

from audit_handler import ConfigurationError
from audit_handler._http.flask_pages import status_blueprint
from audit_handler._process import registry
from audit_handler.status_pages import PUBLIC, HealthApp, StatusApp
from tests.support.status_pages import AUDIT, NOBODY, MakeHandler, answer, ask


@pytest.fixture(autouse=True)
def _no_other_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_all", weakref.WeakSet())


def test_pages_answer_while_the_disk_hangs(make_handler: MakeHandler, log: logging.Logger) -> None:
    """The spool's lock is held across a write; an event loop must not wait for it."""
    made = make_handler(NOBODY, logger=log.name, flush_interval_ms=3_600_000)
    log.info("x", extra=AUDIT)
    pipeline = made._pipelines.open
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


@pytest.mark.parametrize("authorize", [None, "admin", False])
def test_the_status_needs_an_authorize_that_can_be_called(authorize: Any) -> None:
    for make in (StatusApp, status_blueprint):
        with pytest.raises(ConfigurationError, match="or PUBLIC to let everyone read it"):
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
    expected = [
        {"live", "ready", "reasons"},
        {"live"},
        {"ready", "reasons"},
        {"handlers", "obstacles"},
    ]
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
