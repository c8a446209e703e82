"""Who asks a Flask application, and in which request: users, sessions, proxies, spans."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import flask
import pytest
from flask import Flask, Response, g, request
from flask_login import (  # type: ignore[import-untyped]  # it has no types
    LoginManager,
    UserMixin,
    current_user,
    login_user,
    logout_user,
)
from opentelemetry import trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.trace import TracerProvider

from audit_handler import bind
from audit_handler.errors import ConfigurationError
from audit_handler.flask import AuditFlask
from tests.support.asgi import Capture
from tests.support.flask_orders import application, asked

pytestmark = pytest.mark.usefixtures("context_is_restored")


@pytest.mark.parametrize("where", ["before", "after", "view"])
def test_the_user_in_g_is_named_wherever_it_is_set(
    logger: logging.Logger, audits: Capture, where: str
) -> None:
    def identify() -> None:
        g.user = {"id": "u-1", "name": "Ada"}

    def view() -> Any:
        if where == "view":
            identify()
        return "", 204

    app = Flask(__name__)
    if where == "before":
        app.before_request(identify)
    AuditFlask(app, logger=logger)
    if where == "after":
        app.before_request(identify)
    app.add_url_rule("/api/orders", "view", view, methods=["POST"])
    asked(app)

    assert ("u-1", "Ada") == (audits.row["agent_id"], audits.row["agent_name"])


def test_an_agent_that_the_application_binds_is_not_replaced(
    logger: logging.Logger, audits: Capture
) -> None:
    def identify() -> None:
        g.user = "ada"
        bind(agent_id="key-7")

    def view() -> Any:
        logger.info("inside", extra={"action": "NOTE"})
        return "", 204

    app = Flask(__name__)
    app.before_request(identify)
    app.add_url_rule("/api/orders", "view", view, methods=["POST"])
    AuditFlask(app, logger=logger)
    asked(app)

    assert ["key-7", "key-7"] == [row["agent_id"] for row in audits.rows]


def test_who_began_a_request_is_not_mixed_with_who_ended_it(
    logger: logging.Logger, audits: Capture
) -> None:
    users = iter([{"id": "u-1", "name": "Ada"}, {"id": "u-2", "email": "ben@shop.example"}])

    asked(application(logger, get_user=lambda: next(users)), "DELETE", "/api/orders/1")

    assert ("u-1", "Ada", None) == (
        audits.row["agent_id"],
        audits.row["agent_name"],
        audits.row.get("agent_email"),
    )


class User(UserMixin):  # type: ignore[misc]  # likewise
    def __init__(self, user_id: str) -> None:
        self.id = user_id
        self.name = user_id.title()


def with_logins(logger: logging.Logger) -> Flask:
    """
    Return an application with Flask-Login: log in, see who it is, log out.
    """

    def login() -> Any:
        login_user(User("ada"))
        return "", 204

    def seen() -> Any:
        logger.info("seen", extra={"action": "SEEN"})
        return {"user": current_user.get_id()}

    def logout() -> Any:
        logout_user()
        return "", 204

    app = application(
        logger, {"/api/login": login, "/api/seen": seen, "/api/logout": logout}, session_cookie="s"
    )
    manager = LoginManager(app)
    manager.user_loader(User)
    return app


def test_flask_logins_user_is_named_from_login_to_logout(
    logger: logging.Logger, audits: Capture
) -> None:
    client = with_logins(logger).test_client()

    for path in ("seen", "login", "seen", "logout", "seen"):
        client.post(f"/api/{path}")

    named = [
        (r["endpoint"], r["action"], r.get("agent_id"), r.get("agent_name")) for r in audits.rows
    ]
    assert [
        ("/api/seen", "SEEN", None, None),
        ("/api/seen", "CREATE", None, None),
        ("/api/login", "CREATE", "ada", "Ada"),
        ("/api/seen", "SEEN", "ada", "Ada"),
        ("/api/seen", "CREATE", "ada", "Ada"),
        ("/api/logout", "CREATE", "ada", "Ada"),
        ("/api/seen", "SEEN", None, None),
        ("/api/seen", "CREATE", None, None),
    ] == named


def test_the_user_in_g_is_named_where_flask_login_has_none(
    logger: logging.Logger, audits: Capture
) -> None:
    app = with_logins(logger)
    app.before_request(lambda: setattr(g, "user", "machine"))

    asked(app, path="/api/seen")

    assert "machine" == audits.rows[-1]["agent_id"]


def test_files_are_served_without_loading_a_user(logger: logging.Logger) -> None:
    asked_for: list[str] = []
    app = Flask(__name__, static_folder=".")
    AuditFlask(app, logger=logger, get_user=lambda: asked_for.append(request.path))

    asked(app, "GET", "/static/test_flask.py").close()
    asked(app, "GET", "/nowhere")

    assert [] == asked_for


def test_a_get_user_that_fails_costs_neither_the_request_nor_the_audit(
    logger: logging.Logger, audits: Capture, caplog: pytest.LogCaptureFixture
) -> None:
    def get_user() -> Any:
        raise LookupError(request.path)

    app = application(logger, get_user=get_user)

    answers = [asked(app, "DELETE", "/api/orders/1") for _ in range(2)]

    assert [204, 204] == [answer.status_code for answer in answers]
    assert ["DELETE", "DELETE"] == [row["action"] for row in audits.rows]
    (told,) = caplog.messages
    assert told.startswith("get_user failed (LookupError at ")
    assert "/api/orders" not in caplog.text


def test_an_async_get_user_is_refused() -> None:
    async def get_user() -> Any:
        return "u-1"

    with pytest.raises(ConfigurationError, match=r"get_user is async.*put into flask\.g"):
        AuditFlask(get_user=get_user)


def test_a_session_is_kept_as_a_hash_and_never_looked_at_before_its_response(
    logger: logging.Logger, audits: Capture
) -> None:
    def view() -> Any:
        if request.args:
            flask.session["session_id"] = "s3cr3t"
        return "", 204

    app = application(logger, {"/api/orders": view})
    client = app.test_client()

    client.post("/api/orders?start=1")
    answer = client.post("/api/orders")

    first, second = audits.rows
    assert first["session_id"] == second["session_id"]
    assert 32 == len(first["session_id"])
    assert "s3cr3t" not in "".join(audits.lines)
    assert "Vary" not in answer.headers


def test_the_id_of_a_session_on_the_server_is_taken(
    logger: logging.Logger, audits: Capture
) -> None:
    """As Flask-Session has it."""

    class Session(dict[str, Any], flask.sessions.SessionMixin):
        sid = "s3cr3t"

    class Sessions(flask.sessions.SessionInterface):
        def open_session(self, *_: Any) -> Any:
            return Session()

        def save_session(self, *_: Any) -> None:
            """Nothing to do."""

    app = application(logger)
    app.session_interface = Sessions()
    asked(app, "DELETE", "/api/orders/1")

    assert 32 == len(audits.row["session_id"])
    assert "s3cr3t" not in audits.lines[0]


def test_a_proxy_over_a_unix_socket_can_be_trusted(logger: logging.Logger, audits: Capture) -> None:
    asked(
        application(logger, trusted_proxies=["unix"]),
        "DELETE",
        "/api/orders/1",
        headers={"X-Forwarded-For": "198.51.100.1"},
        environ_overrides={"REMOTE_ADDR": ""},
    )

    assert "198.51.100.1" == audits.row["ip_address"]


@pytest.mark.parametrize("is_first", [True, False])
def test_the_span_of_flasks_instrumentation_is_the_requests(
    logger: logging.Logger, audits: Capture, is_first: bool
) -> None:
    """
    Its span begins after the request, and ends before a stream begins.
    """

    def streaming() -> Any:
        def chunks() -> Iterator[str]:
            yield "a"
            logger.info("inside", extra={"action": "NOTE"})

        return Response(chunks(), mimetype="text/plain")

    instrument: Any = FlaskInstrumentor.instrument_app
    provider = TracerProvider()
    app = Flask(__name__)
    app.add_url_rule("/api/orders", "streaming", streaming, methods=["POST"])
    if is_first:
        instrument(app, tracer_provider=provider)
    AuditFlask(app, logger=logger)
    if not is_first:
        instrument(app, tracer_provider=provider)
    headers = {"traceparent": f"00-{'a1' * 16}-{'b2' * 8}-01", "X-Request-ID": "req-1"}

    bare, known = asked(app), asked(app, headers=headers)
    bare.get_data()
    known.get_data()

    first, second, third, fourth = audits.rows
    assert first["request_id"] == first["trace_id"] == bare.headers["X-Request-ID"]
    assert 32 == len(first["trace_id"])
    assert ("a1" * 16, "a1" * 16) == (fourth["request_id"], fourth["trace_id"])
    assert ("req-1", "req-1") == (known.headers["X-Request-ID"], fourth["metadata"]["x_request_id"])
    for inside, around in ((first, second), (third, fourth)):
        for name in ("request_id", "trace_id", "span_id"):
            assert inside[name] == around[name]
    assert "x_request_id" not in second["metadata"]
    assert second["span_id"] not in ("b2" * 8, fourth["span_id"])
    assert not trace.get_current_span().get_span_context().is_valid
