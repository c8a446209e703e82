"""
`AuditFlask` around real Flask applications, called as a server calls them.
"""

from __future__ import annotations

import io
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import flask
import pytest
from flask import Blueprint, Flask, Response, abort, g, request, stream_with_context
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user
from opentelemetry import trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.routing import BaseConverter
from werkzeug.test import EnvironBuilder
from werkzeug.wsgi import FileWrapper

from audit_handler import AuditHandler, audit, bind, bound, current
from audit_handler._record.redaction import REDACTED
from audit_handler.errors import ConfigurationError
from audit_handler.flask import AuditFlask, health_blueprint, status_blueprint
from audit_handler.policy import Rule
from audit_handler.request import CURRENT
from tests.support.asgi import Capture, private_logger

TRACEPARENT = f"00-{'a1' * 16}-{'b2' * 8}-01"


@pytest.fixture
def audits() -> Capture:
    return Capture()


@pytest.fixture
def logger(audits: Capture) -> logging.Logger:
    return private_logger(logging.INFO, audits)


@pytest.fixture(autouse=True)
def _context_is_restored() -> Iterator[None]:
    before = current()
    yield
    assert before is current()
    assert CURRENT.get() is None


def created() -> Any:
    return {"id": 17, **request.get_json()}, 201


def read(order_id: int) -> Any:
    return {"id": order_id}


def emptied(**_: Any) -> Any:
    return "", 204


def failing() -> Any:
    raise LookupError("no such drawer")


def application(
    logger: logging.Logger, views: dict[str, Callable[..., Any]] | None = None, **options: Any
) -> Flask:
    """
    Return an audited application of *views*, which are posted to, or of a few that most can use.
    """
    app = Flask(__name__, static_folder=None)
    app.secret_key = "made-up"
    for path, view in (views or {}).items():
        app.add_url_rule(path, path.replace(".", "-"), view, methods=["POST"])
    if views is None:
        change = ["PUT", "PATCH", "DELETE"]
        app.add_url_rule("/api/orders", "created", created, methods=["POST"])
        app.add_url_rule("/api/orders/<int:order_id>", "read", read)
        app.add_url_rule("/api/orders/<int:order_id>", "emptied", emptied, methods=change)
        app.add_url_rule("/api/failing", "failing", failing, methods=["GET", "POST"])
        app.add_url_rule("/login", "login", emptied, methods=["POST"])
    AuditFlask(app, logger=logger, **options)
    return app


def asked(app: Flask, method: str = "POST", path: str = "/api/orders", **kwargs: Any) -> Any:
    kwargs.setdefault("environ_overrides", {"REMOTE_ADDR": "203.0.113.9"})
    return app.test_client().open(path, method=method, **kwargs)


class Server:
    """
    Calls an application as a server does, one step at a time. *upload* is what it reads from, and
    how much the client has announced.
    """

    def __init__(
        self,
        app: Flask,
        path: str = "/api/orders",
        *,
        upload: tuple[Any, int] | None = None,
        **kwargs: Any,
    ) -> None:
        self.status = ""
        self.headers: dict[str, str] = {}
        environ = EnvironBuilder(path, method="POST", **kwargs).get_environ()
        if upload is not None:
            environ["wsgi.input"], environ["CONTENT_LENGTH"] = upload[0], str(upload[1])
        self.body: Any = app(environ, self._start)
        self._chunks = iter(self.body)

    def _start(self, status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
        self.status, self.headers = status, dict(headers)

    def next(self) -> bytes:
        return next(self._chunks)

    def close(self) -> None:
        self.body.close()


# What is audited


def test_a_creation_is_audited_with_all_that_is_known(
    logger: logging.Logger, audits: Capture
) -> None:
    headers = {
        "User-Agent": "orders-cli/1.4",
        "Origin": "https://shop.example",
        "Authorization": "Bearer t0k3n",
        "X-Request-ID": "req-1",
        "traceparent": TRACEPARENT,
    }
    sent = {"name": "Tea", "password": "s3cr3t"}

    answer = asked(application(logger), path="/api/orders?dry=1", headers=headers, json=sent)

    assert (201, {"id": 17, **sent}) == (answer.status_code, answer.get_json())
    row = audits.row
    assert 0 <= row.pop("response_time_ms") < 60_000
    del row["event_id"], row["event_time"]
    assert {
        "level": "INFO",
        "logger": "audit",
        "message": "POST /api/orders: 201",
        "action": "CREATE",
        "outcome": "success",
        "resource_type": "orders",
        "resource_id": "17",
        "resource_name": "Tea",
        "endpoint": "/api/orders",
        "http_method": "POST",
        "status_code": 201,
        "request_body": {"name": "Tea", "password": "***REDACTED***"},
        "response_body": {"id": 17, "name": "Tea", "password": "***REDACTED***"},
        "request_headers": {
            "content-type": "application/json",
            "user-agent": "orders-cli/1.4",
            "origin": "https://shop.example",
        },
        "response_headers": {"content-type": "application/json"},
        "request_id": "req-1",
        "trace_id": "a1" * 16,
        "ip_address": "203.0.113.9",
        "user_agent": "orders-cli/1.4",
        "metadata": {"query_params": {"dry": "1"}, "route": "/api/orders"},
    } == row


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/orders/17"),
        ("HEAD", "/api/orders/17"),
        ("OPTIONS", "/api/orders/17"),
        ("POST", "/login"),
        ("GET", "/elsewhere"),
    ],
)
def test_other_requests_are_not_audited(
    logger: logging.Logger, audits: Capture, method: str, path: str
) -> None:
    answer = asked(application(logger), method, path)

    assert [] == audits.rows
    assert 32 == len(answer.headers["X-Request-ID"])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "//api/orders"),
        ("POST", "///api/orders"),
        ("POST", "api/orders"),
        ("post", "/api/orders"),
    ],
)
def test_no_other_way_to_write_a_request_gets_around_its_audit(
    logger: logging.Logger, audits: Capture, method: str, path: str
) -> None:
    """Flask's router takes all of these, and servers hand them on as they were sent."""
    environ = EnvironBuilder(json={"name": "Tea"}).get_environ()
    environ |= {"REQUEST_METHOD": method, "PATH_INFO": path}

    body: Any = application(logger)(environ, lambda *_: None)
    list(body)
    body.close()

    row = audits.row
    assert ("CREATE", "POST", "/api/orders", 201) == (
        row["action"],
        row["http_method"],
        row["endpoint"],
        row["status_code"],
    )


def test_reads_are_audited_where_they_are_asked_for(
    logger: logging.Logger, audits: Capture
) -> None:
    app = application(logger, methods=["GET", "HEAD", "OPTIONS"])

    for method in ("GET", "HEAD", "OPTIONS"):
        asked(app, method, "/api/orders/17")

    assert [("READ", "success"), ("READ", "success"), ("OPTIONS", "success")] == [
        (row["action"], row["outcome"]) for row in audits.rows
    ]
    assert [{"id": 17}, None, None] == [row.get("response_body") for row in audits.rows]


@pytest.mark.parametrize(
    ("method", "path", "status", "metadata"),
    [
        ("POST", "/api/nowhere", 404, None),
        (
            "POST",
            "/api/orders/17",
            405,
            {"route": "/api/orders/{order_id:int}", "path_params": {"order_id": 17}},
        ),
    ],
)
def test_a_refused_request_is_audited_as_a_failure(
    logger: logging.Logger, audits: Capture, method: str, path: str, status: int, metadata: Any
) -> None:
    asked(application(logger), method, path)

    row = audits.row
    assert (status, "failure", metadata) == (
        row["status_code"],
        row["outcome"],
        row.get("metadata"),
    )


def test_the_route_of_a_nested_blueprint_is_kept_whole(
    logger: logging.Logger, audits: Capture
) -> None:
    app = application(logger)
    orders = Blueprint("orders", __name__, url_prefix="/orders/<any(a, b):kind>")
    orders.add_url_rule("/<string(length=5):name>/<path:item>", view_func=emptied, methods=["PUT"])
    tenant = Blueprint("tenant", __name__, url_prefix="/api/<tenant>")
    tenant.register_blueprint(orders)
    app.register_blueprint(tenant)

    asked(app, "PUT", "/api/acme/orders/a/items/tea/blue")

    metadata = audits.row["metadata"]
    assert "/api/{tenant}/orders/{kind:any}/{name}/{item:path}" == metadata["route"]
    assert {"tenant": "acme", "kind": "a", "name": "items", "item": "tea/blue"} == metadata[
        "path_params"
    ]


def test_the_path_is_the_applications_own(logger: logging.Logger, audits: Capture) -> None:
    app = application(logger, path_prefixes="/")
    app.wsgi_app = DispatcherMiddleware(  # type: ignore[method-assign]
        Flask("outer").wsgi_app, {"/shop": app.wsgi_app}
    )

    asked(app, "PUT", "/shop/api/orders/17")
    asked(app, "POST", "/shop/api/caf\u00e9")
    asked(app, "POST", "/shop")

    assert ["/api/orders/17", "/api/caf\u00e9", "/"] == [row["endpoint"] for row in audits.rows]


def test_what_the_view_binds_wins(logger: logging.Logger, audits: Capture) -> None:
    def approved() -> Any:
        bind(action="APPROVE", resource_type="order", agent_id="u-9", tenant="acme")
        return {"id": 17}

    asked(application(logger, {"/api/orders/17/approve": approved}), path="/api/orders/17/approve")

    row = audits.row
    assert ("APPROVE", "order", "17", "u-9", "acme") == tuple(
        row[name] for name in ("action", "resource_type", "resource_id", "agent_id", "tenant")
    )


def test_what_the_view_says_wins_also_in_a_stream(logger: logging.Logger, audits: Capture) -> None:
    said: list[bool] = []

    def chunks() -> Iterator[str]:
        yield "tea"
        said.append(audit(resource_name="Tea"))

    def view() -> Any:
        audit(action="BREW", resource_id=18)
        return Response(chunks(), mimetype="text/plain")

    app = application(logger, {"/api/orders/<int:n>": lambda **_: view()})

    assert b"tea" == asked(app, path="/api/orders/17").data
    row = audits.row
    assert ("BREW", "18", "Tea") == (row["action"], row["resource_id"], row["resource_name"])
    assert [True] == said
    assert audit(action="LATE") is False


@pytest.mark.parametrize("route", ["/api/orders/<int:order_id>", "/api/orders/{order_id:int}"])
@pytest.mark.parametrize("make", [dict, Rule])
def test_a_policy_may_name_routes_as_flask_has_them(
    logger: logging.Logger, audits: Capture, make: Any, route: str
) -> None:
    rules = [make(level="metadata", routes=iter([route]), action="CHANGE")]
    app = application(logger, policy=rules)

    asked(app, "PUT", "/api/orders/17")
    asked(app, "POST", "/api/orders", json={})

    assert ("CHANGE", "/api/orders/17") == (audits.row["action"], audits.row["endpoint"])


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ([Rule(level="all")], "policy rule 1: level='all' is unknown"),
        ([{"level": "none", "routes": 5}], "policy rule 1: routes has 5"),
        ([{"level": "none", "routes": ["/a", 5]}], "policy rule 1: routes has 5"),
        ([5], "policy rule 1: it is a int"),
        ("none", "policy is a str"),
        (5, "policy is a int"),
    ],
)
def test_a_policy_that_cannot_work_is_refused_at_the_start(
    logger: logging.Logger, policy: Any, reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        application(logger, policy=policy)


# Applications


def test_one_instance_serves_the_applications_of_a_factory(
    logger: logging.Logger, audits: Capture
) -> None:
    extension = AuditFlask(logger=logger)

    def create_app(name: str) -> Flask:
        app = Flask(name)
        app.add_url_rule(f"/api/{name}", "view", emptied, methods=["POST"])
        extension.init_app(app)
        return app

    apps = {name: create_app(name) for name in ("one", "two")}
    for name, app in apps.items():
        asked(app, path=f"/api/{name}")

    assert ["/api/one", "/api/two"] == [row["metadata"]["route"] for row in audits.rows]


def test_an_application_is_not_audited_twice(logger: logging.Logger) -> None:
    app = application(logger)

    with pytest.raises(ConfigurationError, match="audited already; call init_app once"):
        AuditFlask(app, logger=logger)


def test_an_application_called_from_anothers_view_has_an_audit_of_its_own(
    logger: logging.Logger, audits: Capture
) -> None:
    inner = application(logger, {"/api/orders": lambda: ({"id": "inner"}, 202)})

    def forwarded() -> Any:
        g.user = "ada"
        started: list[Any] = []
        body = inner.wsgi_app(request.environ, lambda *start: started.append(start))
        return Response(body, *started[0])

    asked(application(logger, {"/api/<anything>": lambda **_: forwarded()}))

    within, around = audits.rows
    assert ("/api/orders", "/api/{anything}") == (
        within["metadata"]["route"],
        around["metadata"]["route"],
    )
    assert (None, "ada") == (within.get("agent_id"), around["agent_id"])
    assert {"id": "inner"} == within["response_body"] == around["response_body"]


def test_it_asks_for_flask_by_its_extra() -> None:
    code = "import sys; sys.modules['flask'] = None; import audit_handler.flask"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert "pip install 'audit-handler[flask]'" in ran.stderr


# Who, and which request


def test_records_logged_inside_carry_the_request(logger: logging.Logger, audits: Capture) -> None:
    def approved() -> Any:
        logger.info("approved", extra={"action": "APPROVE"})
        return "", 204

    app = application(
        logger, {"/api/orders": approved}, get_user=lambda: {"id": 7, "name": request.path}
    )
    asked(app, headers={"X-Request-ID": "req-1", "User-Agent": "cli"})

    inside, around = audits.rows
    names = ("request_id", "ip_address", "user_agent", "agent_id", "agent_name", "endpoint")
    expected = ["req-1", "203.0.113.9", "cli", "7", "/api/orders", "/api/orders"]
    assert expected == [inside[n] for n in names]
    assert expected == [around[n] for n in names]
    assert ("APPROVE", "CREATE") == (inside["action"], around["action"])


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


class User(UserMixin):
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


def test_the_user_in_g_is_named_where_flask_login_knows_nobody(
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


def test_a_get_user_that_nobody_would_wait_for_is_refused() -> None:
    async def get_user() -> Any:
        return "u-1"

    with pytest.raises(ConfigurationError, match=r"get_user is async.*put into flask\.g"):
        AuditFlask(get_user=get_user)


def test_a_secret_in_the_path_is_known_before_any_function_of_the_application_runs(
    logger: logging.Logger, audits: Capture
) -> None:
    app = Flask(__name__, static_folder=None)
    app.add_url_rule("/api/reset/<token>", "reset", emptied, methods=["POST"])

    @app.url_value_preprocessor
    def take(_endpoint: str | None, values: dict[str, Any] | None) -> None:
        assert values is not None
        g.token = values.pop("token")

    @app.before_request
    def refuse() -> Any:
        logger.info("refused", extra={"action": "REFUSE"})
        return "", 403

    AuditFlask(app, logger=logger)

    asked(app, path="/api/reset/s3cr3t")

    path = f"/api/reset/{REDACTED}"
    assert [("REFUSE", path), ("CREATE", path)] == [
        (row["action"], row["endpoint"]) for row in audits.rows
    ]
    assert "s3cr3t" not in "".join(audits.lines)


def test_a_converter_that_fails_when_we_ask_it_costs_no_answer(
    logger: logging.Logger, audits: Capture, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing of the path is shown then: what it fails for may be a secret, and our log is told."""

    class Failing(BaseConverter):
        def to_python(self, value: str) -> str:
            raise LookupError(value)

    app = Flask(__name__, static_folder=None)
    app.url_map.converters["failing"] = Failing
    app.add_url_rule("/api/orders/<failing:order_id>", "emptied", emptied, methods=["PUT"])
    AuditFlask(app, logger=logger)

    for _ in range(2):
        assert 405 == asked(app, path="/api/orders/s3cr3t").status_code
    assert [(405, f"/{REDACTED}")] * 2 == [
        (row["status_code"], row["endpoint"]) for row in audits.rows
    ]
    (told,) = caplog.messages
    assert "reading the path failed (LookupError at " in told
    assert "s3cr3t" not in "".join(audits.lines) + caplog.text


def test_a_request_that_the_server_never_saw_is_left_alone(
    logger: logging.Logger, audits: Capture
) -> None:
    app = application(logger)

    with app.test_request_context("/api/orders/17", method="DELETE"):
        answer = app.full_dispatch_request()

    assert 204 == answer.status_code
    assert [] == audits.rows


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


def test_a_request_id_that_the_application_answers_stays(logger: logging.Logger) -> None:
    app = application(logger, {"/api/orders": lambda: ("", 204, {"x-request-id": "own"})})

    assert ["own"] == asked(app).headers.getlist("X-Request-ID")


def test_a_forged_forwarded_for_does_not_count(logger: logging.Logger, audits: Capture) -> None:
    forged = {"X-Forwarded-For": "198.51.100.1", "Forwarded": "for=198.51.100.1"}

    asked(application(logger), "DELETE", "/api/orders/1", headers=forged)

    assert "203.0.113.9" == audits.row["ip_address"]


# OpenTelemetry


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

    provider = TracerProvider()
    app = Flask(__name__)
    app.add_url_rule("/api/orders", "streaming", streaming, methods=["POST"])
    if is_first:
        FlaskInstrumentor.instrument_app(app, tracer_provider=provider)
    AuditFlask(app, logger=logger)
    if not is_first:
        FlaskInstrumentor.instrument_app(app, tracer_provider=provider)
    headers = {"traceparent": TRACEPARENT, "X-Request-ID": "req-1"}

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


# Bodies


def test_no_secret_of_json_form_or_query_is_stored(logger: logging.Logger, audits: Capture) -> None:
    app = application(logger, {"/api/orders": lambda: request.get_data(cache=False)})
    form = "application/x-www-form-urlencoded"

    asked(app, json={"user": {"p\u0061ssword": "s3cr3t"}, "tokens": ["s3cr3t"]})
    asked(app, data=b"name=Ada&p%61ssword=s3cr3t", content_type=form)
    asked(app, path="/api/orders?api_key=s3cr3t", data=b"<a/>", content_type="text/xml")

    assert 3 == len(audits.lines)
    assert "s3cr3t" not in "".join(audits.lines)
    assert {"name": "Ada", "password": "***REDACTED***"} == audits.rows[1]["request_body"]


def test_a_form_and_its_files_are_parsed_as_ever(logger: logging.Logger, audits: Capture) -> None:
    def parsed() -> Any:
        return {"name": request.form["name"], "size": len(request.files["photo"].read())}

    photo = (io.BytesIO(b"x" * 300_000), "photo.png")
    answer = asked(
        application(logger, {"/api/orders": parsed}), data={"name": "Ada", "photo": photo}
    )

    assert {"name": "Ada", "size": 300_000} == answer.get_json()
    assert audits.row["request_body"].startswith("<multipart/form-data, 300")


@pytest.mark.parametrize(
    "take",
    [
        lambda stream: stream.read(),
        lambda stream: b"".join(stream),
        lambda stream: b"".join(stream.readlines()),
        lambda stream: b"".join(iter(stream.readline, b"")),
        lambda stream: b"".join(iter(lambda: stream.read(3), b"")),
    ],
    ids=["read", "iter", "readlines", "readline", "read some"],
)
@pytest.mark.parametrize("is_raw", [True, False], ids=["wsgi.input", "request.stream"])
def test_every_way_to_read_a_body_is_seen_once(
    logger: logging.Logger, audits: Capture, is_raw: bool, take: Callable[[Any], bytes]
) -> None:
    sent = b"first line\nsecond line\n"
    app = application(
        logger,
        {"/api/orders": lambda: take(request.environ["wsgi.input"] if is_raw else request.stream)},
    )

    answer = asked(app, data=sent, content_type="text/plain")

    assert sent == answer.data
    assert sent.decode() == audits.row["request_body"]
    assert "metadata" not in audits.row or "client_disconnected" not in audits.row["metadata"]


def test_a_read_of_nothing_is_no_end(logger: logging.Logger, audits: Capture) -> None:
    app = application(logger, {"/api/orders": lambda: request.environ["wsgi.input"].read(0)})

    asked(app, data=b"tea", content_type="text/plain")

    assert "client_disconnected" not in audits.row["metadata"]


def test_a_body_that_nobody_reads_is_not_read(logger: logging.Logger, audits: Capture) -> None:
    class Untouchable(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, _buffer: Any) -> int:
            raise AssertionError("read ahead")

    server = Server(
        application(logger, {"/api/orders": emptied}),
        upload=(Untouchable(), 5),
    )

    assert "204 NO CONTENT" == server.status
    assert [] == list(server.body)
    assert "request_body" not in audits.row


def test_an_upload_whose_client_goes_is_told_from_one_that_ends(
    logger: logging.Logger, audits: Capture
) -> None:
    server = Server(
        application(logger),
        upload=(io.BytesIO(b'{"name": "Te'), 500),
        content_type="application/json",
    )
    list(server.body)

    row = audits.row
    assert ("CREATE", 400, "failure") == (row["action"], row["status_code"], row["outcome"])
    assert row["metadata"]["client_disconnected"] is True
    assert '{"name": "Te' == row["request_body"]


def test_an_upload_that_breaks_off_is_a_disconnect(logger: logging.Logger, audits: Capture) -> None:
    class Broken:
        def read(self, *_: int) -> bytes:
            raise ConnectionResetError

    server = Server(application(logger), upload=(Broken(), 5), content_type="application/json")
    list(server.body)

    assert audits.row["metadata"]["client_disconnected"] is True


def test_a_long_body_is_cut_in_the_audit_alone(logger: logging.Logger, audits: Capture) -> None:
    sent = {"id": 5, "password": {"old": "s3cr3t"}, "lines": ["tea"] * 1000}

    answer = asked(application(logger, max_body_bytes=500), json=sent)

    assert sent == answer.get_json()
    row = audits.row
    assert ("5", 5) == (row["resource_id"], row["request_body"]["id"])
    assert len(answer.data) == row["metadata"]["_truncated_body"]["response_body"]
    assert "s3cr3t" not in audits.lines[0]


# Streams


def streaming(chunks: Callable[[], Iterator[str]]) -> dict[str, Callable[..., Any]]:
    return {"/api/orders": lambda: Response(chunks(), mimetype="text/plain")}


def test_a_stream_passes_chunk_by_chunk(logger: logging.Logger, audits: Capture) -> None:
    made: list[str] = []

    def chunks() -> Iterator[str]:
        for n in range(3):
            made.append(f"{n}")
            yield made[-1]

    server = Server(application(logger, streaming(chunks)))

    for n in range(3):
        assert (b"%d" % n, n + 1) == (server.next(), len(made))
    assert [] == audits.rows
    with pytest.raises(StopIteration):
        server.next()
    assert ("012", "success") == (audits.row["response_body"], audits.row["outcome"])


def test_the_audit_is_logged_before_the_last_byte_of_a_known_length_goes_out(
    logger: logging.Logger, audits: Capture
) -> None:
    server = Server(application(logger), json={"name": "Tea"})
    before = len(audits.rows)

    assert 0 == before
    assert b"Tea" in server.next()
    assert ("success", "17") == (audits.row["outcome"], audits.row["resource_id"])


def test_a_client_that_goes_closes_the_stream_and_is_audited(
    logger: logging.Logger, audits: Capture
) -> None:
    closed: list[str] = []

    def chunks() -> Iterator[str]:
        try:
            while True:
                yield "tea"
        finally:
            closed.append("generator")

    def view() -> Any:
        response = Response(chunks(), mimetype="text/plain")
        response.call_on_close(lambda: closed.append("call_on_close"))
        return response

    server = Server(application(logger, {"/api/orders": view}))
    server.next()
    server.close()
    server.close()

    assert {"generator", "call_on_close"} == set(closed)
    row = audits.row
    assert ("tea", 200, "failure") == (row["response_body"], row["status_code"], row["outcome"])
    assert row["metadata"]["client_disconnected"] is True


def test_an_exception_in_a_stream_keeps_the_status_that_was_sent(
    logger: logging.Logger, audits: Capture
) -> None:
    def chunks() -> Iterator[str]:
        yield "half"
        raise LookupError("the other half")

    server = Server(application(logger, streaming(chunks)))
    server.next()
    with pytest.raises(LookupError):
        server.next()
    server.close()

    row = audits.row
    assert ("ERROR", 200, "failure") == (row["action"], row["status_code"], row["outcome"])
    assert "LookupError: the other half" == row["error_message"]


def test_an_exception_while_closing_is_raised_on(logger: logging.Logger, audits: Capture) -> None:
    def broken() -> None:
        raise LookupError("close")

    def view() -> Any:
        response = Response(iter(["a", "b"]))
        response.call_on_close(broken)
        return response

    server = Server(application(logger, {"/api/orders": view}))
    with pytest.raises(LookupError):
        server.close()

    assert ("ERROR", "LookupError: close") == (audits.row["action"], audits.row["error_message"])


def test_streams_that_take_turns_on_one_thread_keep_their_own_context(
    logger: logging.Logger, audits: Capture
) -> None:
    def chunks() -> Iterator[str]:
        order = current()["order"]
        with bound(step="first"):
            yield "a"
            assert ("first", order) == (current()["step"], current()["order"])
        assert "step" not in current()
        bind(last=order)
        yield "b"
        logger.info("inside", extra={"action": "NOTE"})

    def view() -> Any:
        bind(order=request.args["order"])
        return Response(chunks(), mimetype="text/plain")

    app = application(logger, {"/api/orders": view})
    before = current()
    servers = [
        Server(app, f"/api/orders?order={n}", headers={"X-Request-ID": f"r-{n}"}) for n in range(3)
    ]

    for _ in range(2):
        for server in servers:
            server.next()
            assert before is current()
    for server in reversed(servers):
        with pytest.raises(StopIteration):
            server.next()
        server.close()

    assert [f"r-{n}" for n in (2, 2, 1, 1, 0, 0)] == [row["request_id"] for row in audits.rows]
    assert [f"{n}" for n in (2, 2, 1, 1, 0, 0)] == [row["last"] for row in audits.rows]


def test_a_stream_with_context_has_its_request(logger: logging.Logger, audits: Capture) -> None:
    """Its teardown runs when the stream ends."""
    torn_down: list[int] = []

    def chunks() -> Iterator[str]:
        yield request.path
        g.user = "ada"

    app = application(logger, {"/api/orders": lambda: Response(stream_with_context(chunks()))})
    app.teardown_request(lambda _exc: torn_down.append(len(audits.rows)))
    answer = asked(app)

    assert b"/api/orders" == answer.data
    assert "success" == audits.row["outcome"]
    assert torn_down


def test_a_response_may_be_closed_by_another_thread(
    logger: logging.Logger, audits: Capture
) -> None:
    def chunks() -> Iterator[str]:
        yield "a"
        yield "b"

    server = Server(application(logger, streaming(chunks)), headers={"X-Request-ID": "req-1"})
    server.next()
    thread = threading.Thread(target=server.close)
    thread.start()
    thread.join()

    assert ("req-1", "failure") == (audits.row["request_id"], audits.row["outcome"])


def test_a_file_that_the_server_sends_itself_stays_one(
    logger: logging.Logger, audits: Capture
) -> None:
    app = application(logger)
    app.add_url_rule("/file", "file", lambda: flask.send_file(__file__))
    app.add_url_rule("/api/file", "audited", lambda: flask.send_file(__file__), methods=["POST"])
    overrides = {"wsgi.file_wrapper": FileWrapper}

    def sent(method: str, path: str) -> Any:
        environ = EnvironBuilder(path, method=method, environ_overrides=overrides).get_environ()
        return app(environ, lambda *_: None)

    plain, audited = sent("GET", "/file"), sent("POST", "/api/file")
    size = len(b"".join(audited))
    for body in (plain, audited):
        body.close()

    assert FileWrapper is type(plain)
    assert f", {size} bytes>" in audits.row["response_body"]


# Failures


def test_an_unhandled_exception_is_audited_and_answered_as_ever(
    logger: logging.Logger, audits: Capture
) -> None:
    app = application(logger)
    app.register_error_handler(500, lambda _exc: ("sorry", 500))

    answer = asked(app, path="/api/failing")

    assert (500, b"sorry") == (answer.status_code, answer.data)
    row = audits.row
    assert ("ERROR", "ERROR", 500, "failure") == tuple(
        row[name] for name in ("action", "level", "status_code", "outcome")
    )
    assert "LookupError: no such drawer" == row["error_message"]
    assert "in failing" in row["metadata"]["exception.stacktrace"]
    assert "/api/failing" == row["metadata"]["route"]
    assert "client_disconnected" not in row["metadata"]


def test_an_unhandled_exception_stays_a_failure_whatever_is_answered(
    logger: logging.Logger, audits: Capture
) -> None:
    app = application(logger, {"/api/orders": failing})
    app.register_error_handler(500, lambda _exc: ("never mind", 200))

    asked(app)
    Server(app).close()

    answered, unread = audits.rows
    assert ("ERROR", 200, "failure") == tuple(
        answered[name] for name in ("action", "status_code", "outcome")
    )
    assert ("ERROR", "ERROR") == (unread["action"], unread["level"])


def test_an_exception_that_flask_propagates_is_audited_once_and_raised_on(
    logger: logging.Logger, audits: Capture
) -> None:
    app = application(logger)
    app.config["PROPAGATE_EXCEPTIONS"] = True

    with pytest.raises(LookupError, match="no such drawer"):
        asked(app, path="/api/failing")
    with pytest.raises(LookupError, match="no such drawer"):
        asked(app, "GET", "/api/failing")

    row = audits.row
    assert ("ERROR", 500, "failure") == (row["action"], row["status_code"], row["outcome"])
    assert "/api/failing" == row["metadata"]["route"]


def test_an_error_made_into_a_response_is_that_response(
    logger: logging.Logger, audits: Capture
) -> None:
    def aborted() -> Any:
        abort(409, "sold out")

    app = application(logger, {"/api/orders": failing, "/api/sales": aborted})
    app.register_error_handler(LookupError, lambda exc: ({"error": str(exc)}, 404))
    app.register_error_handler(409, lambda exc: ({"detail": exc.description}, 409))

    asked(app)
    asked(app, path="/api/sales")

    told = [(r["action"], r["level"], r["status_code"], r["error_message"]) for r in audits.rows]
    assert [
        ("CREATE", "INFO", 404, "no such drawer"),
        ("CREATE", "INFO", 409, "sold out"),
    ] == told


def test_an_exception_in_a_before_request_function_is_audited(
    logger: logging.Logger, audits: Capture
) -> None:
    app = Flask(__name__)
    app.before_request(failing)
    AuditFlask(app, logger=logger)

    assert 500 == asked(app).status_code
    assert ("ERROR", "LookupError: no such drawer") == (
        audits.row["action"],
        audits.row["error_message"],
    )


def test_a_session_that_cannot_be_opened_is_the_applications_error_alone(
    logger: logging.Logger, audits: Capture
) -> None:
    class Sessions(flask.sessions.SessionInterface):
        def open_session(self, *_: Any) -> Any:
            raise LookupError("no store")

    app = application(logger)
    app.session_interface = Sessions()
    app.config["PROPAGATE_EXCEPTIONS"] = True

    with pytest.raises(LookupError, match="no store"):
        asked(app)

    assert "LookupError: no store" == audits.row["error_message"]


def test_a_handler_that_fails_closed_stops_the_answer_and_logs_once() -> None:
    """
    With ``on_full="raise"`` the handler raises: the client must not take the answer for audited.
    """
    calls: list[str] = []

    class Full(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            calls.append(record.getMessage())
            raise RuntimeError("the spool is full")

    server = Server(application(private_logger(logging.INFO, Full())), json={})

    with pytest.raises(RuntimeError, match="the spool is full"):
        server.next()
    server.close()
    assert ["POST /api/orders: 201"] == calls


@pytest.mark.parametrize(
    ("on_full", "method", "status"),
    [("raise", "DELETE", 503), ("raise", "GET", 200), ("drop", "DELETE", 204)],
)
def test_a_request_that_cannot_be_audited_does_not_reach_the_application(
    make_handler: Callable[..., AuditHandler], on_full: str, method: str, status: int
) -> None:
    """Only with ``on_full="raise"``, and only if it had to be audited."""
    reached: list[str] = []
    handler = make_handler(
        "http://127.0.0.1:1", on_full=on_full, batch_bytes=65_536, max_spool_bytes=65_536
    )
    strict = private_logger(logging.INFO, handler)
    while handler.can_take():
        strict.info("fills the spool", extra={"action": "FILL", "new_value": "y" * 1_000})
    app = application(strict)
    app.before_request(lambda: reached.append(request.method))

    answer = asked(app, method, "/api/orders/1")

    assert status == answer.status_code
    assert ([] if status == 503 else [method]) == reached
    assert "X-Request-ID" in answer.headers


# Around it


def test_the_pages_of_health_and_status_are_here_too(logger: logging.Logger) -> None:
    app = application(logger)
    app.register_blueprint(health_blueprint())
    app.register_blueprint(status_blueprint(authorize=lambda _request: False))

    assert 200 == asked(app, "GET", "/health/live").status_code
    assert 403 == asked(app, "GET", "/admin/audit-status").status_code


def test_a_test_client_that_keeps_the_context_still_does(
    logger: logging.Logger, audits: Capture
) -> None:
    app = application(logger, get_user=lambda: g.setdefault("user", request.args["user"]))

    with app.test_client() as client:
        for user in ("ada", "ben"):
            client.delete(f"/api/orders/1?user={user}")
            assert user == g.user
    with app.test_request_context("/?user=eve"):
        asked(app, "DELETE", "/api/orders/1?user=cleo")

    assert ["ada", "ben", "cleo"] == [row["agent_id"] for row in audits.rows]
