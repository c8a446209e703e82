"""`AuditFlask` around real Flask applications, called as a server calls them."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import flask
import pytest
from flask import Blueprint, Flask, Response, abort, g, request
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.routing import BaseConverter

from audit_handler import AuditHandler, audit
from audit_handler._record.redaction import REDACTED
from audit_handler.errors import ConfigurationError
from audit_handler.flask import AuditFlask, health_blueprint, status_blueprint
from audit_handler.policy import Rule
from tests.support.asgi import Capture, private_logger
from tests.support.flask_orders import Server, application, asked, emptied, failing

pytestmark = pytest.mark.usefixtures("context_is_restored")


# What is audited


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

        def start(*arguments: Any) -> Any:
            started.append(arguments)

        body = inner.wsgi_app(request.environ, start)
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


def test_a_request_id_that_the_application_answers_stays(logger: logging.Logger) -> None:
    app = application(logger, {"/api/orders": lambda: ("", 204, {"x-request-id": "own"})})

    assert ["own"] == asked(app).headers.getlist("X-Request-ID")


# Bodies


def test_what_a_view_reads_as_json_is_audited_as_json(
    logger: logging.Logger, audits: Capture
) -> None:
    def forced() -> Any:
        return {"name": request.get_json(force=True)["name"]}

    app = application(logger, {"/api/orders": forced})
    sent = b'{"name": "Tea", "token": "s3cr3t"}'
    answer = asked(app, data=sent, content_type="image/png")

    assert {"name": "Tea"} == answer.get_json()
    assert {"name": "Tea", "token": REDACTED} == audits.row["request_body"]


def test_a_form_with_a_file_is_audited_field_by_field(
    logger: logging.Logger, audits: Capture
) -> None:
    def saved() -> Any:
        return {"size": len(request.files["photo"].read())}

    form = {"name": "Ada", "password": "s3cr3t", "photo": (io.BytesIO(b"\x89PNG"), "me.png")}
    asked(application(logger, {"/api/people": saved}), path="/api/people", data=form)

    assert {
        "name": "Ada",
        "password": REDACTED,
        "photo": "<me.png: image/png, 4 bytes>",
    } == audits.row["request_body"]


# Failures


def test_a_refusal_by_fields_says_why(logger: logging.Logger, audits: Capture) -> None:
    def refuse() -> Any:
        return {"name": ["This field is required."], "password": ["s3cr3t is too short."]}, 400

    asked(application(logger, {"/api/orders": refuse}))

    expected = f"name: This field is required; {REDACTED} (password)"
    assert expected == audits.row["error_message"]


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
