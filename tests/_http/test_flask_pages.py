"""The pages of health and status as blueprints of Flask."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterator
from typing import Any

import flask
import pytest

from audit_handler._http.flask_pages import health_blueprint, status_blueprint
from audit_handler._process import registry
from tests.support.status_pages import AUDIT, NOBODY, MakeHandler


@pytest.fixture(autouse=True)
def _no_other_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_all", weakref.WeakSet())


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


def test_flask_refuses_an_async_authorize() -> None:
    class Answer:
        """What an ``async def`` returns, without the warning that it was not awaited."""

        def __await__(self) -> Iterator[Any]:
            return iter(())

    client = flask_client(status_blueprint(authorize=lambda _request: Answer()))

    with pytest.raises(TypeError, match="must not be async"):
        client.get("/admin/audit-status")
