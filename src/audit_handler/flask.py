"""
`AuditFlask`: audits the requests of a Flask application; `health_blueprint` and `status_blueprint`
show how the trail does.

    audit = AuditFlask()  # or AuditFlask(app)

    def create_app():
        app = Flask(__name__)
        ...
        audit.init_app(app)  # after the application's own before_request functions
        return app

It stands around `app.wsgi_app`, because only there a request is seen from its first to its last
byte: Flask's hooks are over before a stream has begun, are skipped when an earlier one answers, and
its teardown runs late or on another thread where somebody kept the request context. From inside,
where the context is alive, it learns what only Flask knows, through signals and one
``before_request`` function: the route, the user, the exception that became a 500 page, the span.

Chunks are looked at as they pass and never held back; the request's body is looked at as the
application reads it. A view can say of its request what the path cannot, and that wins:

    audit(action="APPROVE", resource_type="order", resource_id=order.id)
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
    Logs one audit for each writing request, and binds who and which request for all that is logged
    inside.

    The audit is logged before the last chunk of the response goes to the server: a client that has
    the whole answer can rely on it. Bind more with `audit_handler.bind`.

    Where the audits go to an `AuditHandler` with ``on_full="raise"``, or a rule says ``durable``, a
    request that could not be audited is answered with 503 before the application sees it.

    One instance may serve several applications, from several threads.

    Args:
        app: The application; or pass it to `init_app` later.
        logger: Logger of the audits, or its name. It must be enabled for INFO.
        get_user: Called without arguments in the request's context; returns a mapping with ``id``,
            ``name``, ``role``, ``email``, or a user object, or an id, or None for nobody. By
            default Flask-Login's ``current_user``, then ``g.user``. Called before the view and, as
            authentication may happen there, again after it for an audit that has no agent yet. No
            ``async def``.
        session_cookie: Name of the cookie that tells sessions apart; only its hash is kept. Flask's
            own session has no id, and its cookie is another one after each change.
        methods: Methods to audit; by default POST, PUT, PATCH and DELETE.
        path_prefixes: Beginnings of paths to audit, by default ``/api``.
        exclude_paths: Exceptions from that; ``*`` stands for one segment.
        policy: Instead of these three: rules, the first that matches decides, see
            `audit_handler.policy`. A route is recorded as ``/api/orders/{order_id:int}``, as from
            Starlette.
        trusted_proxies: Addresses and networks (``10.0.0.0/8``) of proxies whose X-Forwarded-For
            says where a request came from, and ``unix`` for one that calls over a Unix socket; by
            default none. Leave it out where the client's address is replaced further out, by
            werkzeug's ``ProxyFix`` around this or by the server.
        request_headers: Headers of the request to keep.
        response_headers: Headers of the response to keep.
        max_body_bytes: Bytes to keep of a body; 0 for no bodies.

    Raises:
        ConfigurationError: An option cannot work.
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
        self._path_guard = Guard("a look at the path", "the request's audit will not show it")
        self._guard = Guard("a look at the request", "its audit will be incomplete")
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
        Audit the requests of *app*, from now on.

        Call it after the application's own ``before_request`` functions are registered: what is
        logged in a view then carries the user that they found. One who is found later, by a
        decorator or a ``before_request`` of a blueprint, is in the request's audit; for what the
        view logs besides, `audit_handler.bind` the user there.

        Raises:
            ConfigurationError: *app* is audited already.
        """
        if "audit_handler" in app.extensions:
            raise ConfigurationError(f"{app!r} is audited already; call init_app once")
        # Signals hold their receivers weakly: this is what keeps them.
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
        """Take note of the route before anything of the application runs; a signal's receiver."""
        passage = flask.request.environ.get(KEY)
        if passage is None:
            return
        rule, passage.path_params = self._path_guard.call(_route, None) or (None, None)
        if passage.exchange is not None:
            passage.exchange.route = route_template(rule.rule) if rule is not None else ""
            passage.exchange.path_params = passage.path_params

    def _bind_user(self) -> None:
        """Bind the user for what is logged in the view; a ``before_request`` function."""
        request = flask.request
        passage = request.environ.get(KEY)
        if passage is None:
            return
        endpoint = request.endpoint or "static"
        # Files are for everybody, and to load the user costs a query; an audit wants it anyway.
        if passage.exchange is not None or endpoint.rpartition(".")[2] != "static":
            passage.agent = self._auditor.agent(self._get_user)
            if "agent_id" not in context.current():
                context.bind(**passage.agent)

    def _look(self, _app: Flask, exception: BaseException | None = None, **_: Any) -> None:
        """Take note of what only Flask knows, while it knows; a receiver of two signals."""
        # Flask would take what it raises for an error of the application.
        self._guard.call(partial(self._fill_in, exception), None)

    def _fill_in(self, exception: BaseException | None) -> None:
        passage = flask.request.environ.get(KEY)
        if passage is None:
            return
        exchange = passage.exchange
        if exchange is not None and exception is not None:
            exchange.error = exception  # told first, and then its page is finished
        # Flask's instrumentation begins it after us, and ends it before a stream begins.
        passage.keep_span()
        if exchange is None:
            return
        if not passage.agent:
            # Authentication may have happened inside.
            passage.agent = self._auditor.agent(self._get_user)
        # Not before: a session that was looked at makes its response vary by cookie.
        session = flask.session
        # "sid" is Flask-Session's.
        sid = getattr(session, "sid", None)
        passage.session_id = sid or session.get("session_id") or session.get("id")


def _flask_user() -> Any:
    login: Any = sys.modules.get("flask_login")
    if login is not None and hasattr(flask.current_app, "login_manager"):
        user = login.current_user
        if getattr(user, "is_authenticated", False):
            return user
    return flask.g.get("user")


def _route() -> tuple[URLRule | None, Mapping[str, Any]]:
    """Return the rule that was matched, if any, and what was read from the path."""
    rule: URLRule | None = flask.request.url_rule
    args: Mapping[str, Any] | None = flask.request.view_args
    if flask.request.routing_exception is not None:
        rule, args = _other_route(flask.request.routing_exception)
    # A copy: the application may take out of it what it has dealt with.
    return rule, dict(args or {})


def _other_route(refusal: Exception) -> tuple[URLRule | None, Mapping[str, Any] | None]:
    """
    Return rule and arguments of a path that has a route, but not for the request's method, or not
    as it is written: those of the path that the client is sent to, then, and no rule.
    """
    adapter = flask.current_app.create_url_adapter(flask.request)
    with suppress(HTTPException):
        if adapter is not None and isinstance(refusal, MethodNotAllowed) and refusal.valid_methods:
            return adapter.match(method=next(iter(refusal.valid_methods)), return_rule=True)
        if adapter is not None and isinstance(refusal, RequestRedirect):
            path = unquote(urlsplit(refusal.new_url).path)
            return None, adapter.match(path.removeprefix(adapter.script_name.rstrip("/")))[1]
    return None, None
