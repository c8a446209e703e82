"""
`AuditFlask` audits the requests of a Flask application. `health_blueprint` and `status_blueprint`
serve health and status of the handlers.

    audit_requests = AuditFlask()  # or AuditFlask(app)

    def create_app():
        app = Flask(__name__)
        ...
        audit_requests.init_app(app)  # after the application's own before_request functions
        return app

A view can set fields that the path does not contain:

    audit(action="APPROVE", resource_type="order", resource_id=order.id)

`AuditFlask` wraps ``app.wsgi_app``, because only there it sees a request from its first byte to its
last. Flask's hooks end before a stream begins, and Flask skips them if an earlier hook answers. Its
teardown runs late, or on another thread, if something keeps the request context. Signals and one
``before_request`` function report facts that only Flask knows, while its context is alive: the
route, the user, the exception that became a 500 page, and the span.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from audit_handler import context
from audit_handler._http import Guard, HttpAuditor, HttpRules
from audit_handler._http.caller import check_get_user
from audit_handler._http.wsgi import KEY, Passage
from audit_handler.errors import ConfigurationError
from audit_handler.policy import Rule, route_template

try:
    import flask
    from flask.signals import got_request_exception, request_finished, request_started
    from werkzeug.exceptions import HTTPException, MethodNotAllowed
    from werkzeug.routing import RequestRedirect

    from audit_handler._http.flask_pages import PUBLIC, health_blueprint, status_blueprint
except ImportError as exc:
    raise ImportError("Flask is missing: pip install 'audit-handler[flask]'") from exc

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from flask import Flask
    from werkzeug.routing import Rule as URLRule

__all__ = ["PUBLIC", "AuditFlask", "health_blueprint", "status_blueprint"]

_DEFAULTS = HttpRules()


class AuditFlask:
    """
    Logs one audit event for each writing request, and adds user and origin to all records that are
    logged during the request.

    The event is logged before the last chunk of the response goes to the server, so a client that
    has the whole response knows that the request was audited. Bodies are observed as they pass and
    never held back.

    All records that are logged during a request carry its id, address, endpoint, user agent and
    agent. Add fields to all of them with `audit_handler.bind`, and to the request's own event with
    `audit_handler.audit`. Responses get the request's id as ``X-Request-ID``.

    If the events go to an `AuditHandler` with ``on_full="raise"``, or the policy's rule is
    ``durable``, a request that cannot be audited gets a 503 and never reaches the application.

    One instance may serve several applications, from several threads.

    Args:
        app: The application. Leave it out and call `init_app` later in an application factory.
        logger: Logger of the events, or its name. It must be enabled for INFO.
        get_user: Called without arguments in the request's context; returns a mapping with ``id``,
            ``name``, ``role`` and ``email``, or a user object, or an id, or None for an anonymous
            request. Called before the view and, because authentication may happen in the view,
            again after it if no agent was found. Must not be ``async``. By default it reads
            Flask-Login's ``current_user``, then ``g.user``.
        session_cookie: Name of the cookie that identifies the session. Only a hash of its value is
            stored. The cookie of Flask's own session does not work here: the session has no id, and
            the cookie changes with its content.
        methods: Methods to audit; by default POST, PUT, PATCH and DELETE.
        path_prefixes: Prefixes of the paths to audit, in whole segments; by default ``/api``.
        exclude_paths: Prefixes of the paths not to audit; ``*`` stands for one segment.
        policy: Rules to use instead of *methods*, *path_prefixes* and *exclude_paths*; the first
            that matches decides. See `audit_handler.policy`. Routes are stored as Starlette writes
            them: ``/api/orders/{order_id:int}``.
        trusted_proxies: Addresses and networks (``10.0.0.0/8``) of the proxies whose
            X-Forwarded-For is trusted, and ``unix`` for a proxy that connects over a Unix socket;
            by default none. Leave it out if werkzeug's ``ProxyFix`` around this class, or the
            server, replaces the client's address first.
        request_headers: Headers of the request to store.
        response_headers: Headers of the response to store.
        max_body_bytes: Bytes to store of each body, 0 (no bodies) to 1,048,576. The beginning of a
            longer body is stored as text.

    Raises:
        ConfigurationError: An option cannot work; the text names option, value and remedy.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        logger: str | logging.Logger = "audit",
        get_user: Callable[[], Any] | None = None,
        session_cookie: str | None = None,
        methods: Iterable[str] | None = None,
        path_prefixes: Iterable[str] | None = None,
        exclude_paths: Iterable[str] | None = None,
        policy: Iterable[Rule | Mapping[str, Any]] | None = None,
        trusted_proxies: Iterable[str] = (),
        request_headers: Iterable[str] = _DEFAULTS.request_headers,
        response_headers: Iterable[str] = _DEFAULTS.response_headers,
        max_body_bytes: int = _DEFAULTS.max_body_bytes,
    ) -> None:
        self._get_user = get_user or _flask_user
        check_get_user(self._get_user, "flask.g")
        self._path_guard = Guard("reading the path", "the audit event does not contain it")
        self._guard = Guard("reading the request", "its audit event is incomplete")
        self._auditor = HttpAuditor(
            logger,
            session_cookie,
            HttpRules(
                methods=methods,
                path_prefixes=path_prefixes,
                exclude_paths=exclude_paths,
                policy=policy,
                trusted_proxies=trusted_proxies,
                request_headers=request_headers,
                response_headers=response_headers,
                max_body_bytes=max_body_bytes,
            ),
        )
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """
        Audit the requests of *app* from now on.

        Call it after the application has registered its own ``before_request`` functions: records
        that a view logs then carry the user that those functions found. If a decorator or the
        ``before_request`` of a blueprint finds the user, only the request's event names the user;
        call `audit_handler.bind` there to add the user to the other records.

        Raises:
            ConfigurationError: *app* is audited already.
        """
        if "audit_handler" in app.extensions:
            raise ConfigurationError(f"{app!r} is audited already; call init_app once")
        # Signals refer to their receivers weakly; this keeps them alive.
        app.extensions["audit_handler"] = self
        request_started.connect(self._look_at_path, app)
        app.before_request(self._bind_user)
        request_finished.connect(self._look, app)
        got_request_exception.connect(self._look, app)
        app.wsgi_app = partial(self._serve, app.wsgi_app)  # type: ignore[method-assign]  # Flask's way to wrap it

    def _serve(
        self, app: WSGIApplication, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        return Passage(self._auditor, environ, start_response).serve(app, environ)

    def _look_at_path(self, _app: Flask, **_: Any) -> None:
        """Learn the route before any code of the application runs. Receives a signal."""
        passage: Passage | None = flask.request.environ.get(KEY)
        if passage is not None:
            rule, path_params = self._path_guard.call(_route, None) or (None, None)
            passage.learn(
                route=route_template(rule.rule) if rule is not None else "",
                path_params=path_params,
            )

    def _bind_user(self) -> None:
        """Bind the user for the records of the view. A ``before_request`` function."""
        request = flask.request
        passage: Passage | None = request.environ.get(KEY)
        if passage is None:
            return
        endpoint = request.endpoint or "static"
        # A static file needs no user, and loading a user costs a query. An audit event always needs
        # it.
        if passage.may_be_audited or endpoint.rpartition(".")[2] != "static":
            agent = self._auditor.agent(self._get_user)
            passage.learn(agent=agent)
            if "agent_id" not in context.current():
                context.bind(**agent)

    def _look(self, _app: Flask, exception: BaseException | None = None, **_: Any) -> None:
        """Learn the facts that only Flask knows, while it knows them. Receives two signals."""
        # Flask would treat an exception from here as an error of the application.
        self._guard.call(partial(self._fill_in, exception), None)

    def _fill_in(self, exception: BaseException | None) -> None:
        passage: Passage | None = flask.request.environ.get(KEY)
        if passage is None:
            return
        # Flask reports first the exception, then the end of the error page.
        passage.learn(error=exception)
        # OpenTelemetry's Flask instrumentation begins its span after us, and ends it before a
        # stream begins.
        passage.keep_span()
        if not passage.may_be_audited:
            return
        if not passage.has_agent:
            # Authentication may have happened in the view.
            passage.learn(agent=self._auditor.agent(self._get_user))
        # Not earlier: reading the session makes the response vary by cookie.
        session = flask.session
        # "sid" is Flask-Session's.
        sid = getattr(session, "sid", None)
        passage.learn(session_id=sid or session.get("session_id") or session.get("id"))


def _flask_user() -> Any:
    login: Any = sys.modules.get("flask_login")
    if login is not None and hasattr(flask.current_app, "login_manager"):
        user = login.current_user
        if getattr(user, "is_authenticated", False):
            return user
    return flask.g.get("user")


def _route() -> tuple[URLRule | None, Mapping[str, Any]]:
    """Return the rule that matched, if any, and the path parameters."""
    rule: URLRule | None = flask.request.url_rule
    args: Mapping[str, Any] | None = flask.request.view_args
    if flask.request.routing_exception is not None:
        rule, args = _other_route(flask.request.routing_exception)
    # A copy, because the application may remove parameters that it has used.
    return rule, dict(args or {})


def _other_route(refusal: Exception) -> tuple[URLRule | None, Mapping[str, Any] | None]:
    """
    Return rule and arguments of a path that Flask rejected.

    1. Its route does not allow the method: the rule for another method.
    2. Flask redirects it to another spelling: no rule, and the arguments of the other spelling.
    """
    adapter = flask.current_app.create_url_adapter(flask.request)
    with suppress(HTTPException):
        if adapter is not None and isinstance(refusal, MethodNotAllowed) and refusal.valid_methods:
            return adapter.match(method=next(iter(refusal.valid_methods)), return_rule=True)
        if adapter is not None and isinstance(refusal, RequestRedirect):
            path = unquote(urlsplit(refusal.new_url).path)
            return None, adapter.match(path.removeprefix(adapter.script_name.rstrip("/")))[1]
    return None, None
