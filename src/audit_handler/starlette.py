"""
`AuditMiddleware` audits the requests of a Starlette or FastAPI application.

    app.add_middleware(AuditMiddleware)

It is plain ASGI: it works with every ASGI framework and needs none of them. An endpoint, ``async``
or not, can set fields that the path does not contain:

    audit(action="APPROVE", resource_type="order", resource_id=order.id)
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from audit_handler import context
from audit_handler._http import Exchange, Guard, HttpAuditor, HttpRules, Request
from audit_handler._http.asgi import Passage, headers_of, refuse, with_request_id
from audit_handler._http.asgi_route import own_path, path_params, template
from audit_handler._http.asgi_types import ASGIApp, Receive, Scope, Send
from audit_handler._http.caller import check_get_user
from audit_handler._http.threads import finish_in_thread
from audit_handler.policy import WEBSOCKET, Rule
from audit_handler.request import CURRENT

__all__ = ["AuditMiddleware"]

_DEFAULTS = HttpRules()

# Key in the scope of a request that a middleware is certain to audit.
_IS_TAKEN = "audit_handler.is_taken"


class AuditMiddleware:
    """
    Logs one audit event for each writing request, and adds user and origin to all records that are
    logged during the request.

    The event is logged before the last chunk of the response goes to the server, so a client that
    has the whole response knows that the request was audited. Bodies are observed as they pass and
    never held back. If the handler may block (its spool is full, or it has ``fsync="always"``), the
    event is logged in a thread, and the event loop serves other requests meanwhile.

    All records that are logged during a request carry its id, address, endpoint, user agent,
    session and agent. Add fields to all of them with `audit_handler.bind`, and to the request's own
    event with `audit_handler.audit`. Responses get the request's id as ``X-Request-ID``, except
    responses that are made outside of this middleware, like Starlette's page for an unhandled
    exception.

    If the events go to an `AuditHandler` with ``on_full="raise"``, or the policy's rule is
    ``durable``, a request that cannot be audited gets a 503 and never reaches the application.

    Add middleware that compresses responses, like ``GZipMiddleware``, with ``app.add_middleware``
    after this one. It is then the outer one, and this one sees plain bodies. Of a body in gzip or
    deflate it stores what its first *max_body_bytes* hold.

    A request gets one event. Inside another `AuditMiddleware` that is certain to audit the request,
    as in a mounted application, this one does nothing.

    A WebSocket gets an event only if *methods* or a rule name ``WEBSOCKET``: one ``CONNECT`` when
    it is accepted or rejected. All records that are logged during it carry the fields of its
    request.

    Args:
        app: The application inside.
        logger: Logger of the events, or its name. It must be enabled for INFO.
        get_user: Called with the ASGI scope; returns a mapping with ``id``, ``name``, ``role`` and
            ``email``, or a user object, or an id, or None for an anonymous request. Called when the
            request arrives and, because authentication may happen inside, again when it is audited.
            Must not be ``async``. By default it reads ``scope["user"]``, which authentication
            middleware sets.
        session_cookie: Name of the cookie that identifies the session. Only a hash of its value is
            stored.
        methods: Methods to audit; by default POST, PUT, PATCH and DELETE. ``WEBSOCKET`` stands for
            the opening of a WebSocket.
        path_prefixes: Prefixes of the paths to audit, in whole segments; by default ``/api``.
        exclude_paths: Prefixes of the paths not to audit; ``*`` stands for one segment.
        policy: Rules to use instead of *methods*, *path_prefixes* and *exclude_paths*; the first
            that matches decides. See `audit_handler.policy`.
        trusted_proxies: Addresses and networks (``10.0.0.0/8``) of the proxies whose
            X-Forwarded-For is trusted, and ``unix`` for a proxy that connects over a Unix socket;
            by default none. Leave it out if the server itself replaces the client's address, as
            uvicorn does for ``--forwarded-allow-ips`` (by default 127.0.0.1): this middleware then
            sees the client as its peer. If you use both, give both the same hosts.
        request_headers: Headers of the request to store.
        response_headers: Headers of the response to store.
        max_body_bytes: Bytes to store of each body, 0 (no bodies) to 1,048,576. The beginning of a
            longer body is stored as text.

    Raises:
        ConfigurationError: An option cannot work; the text names option, value and remedy.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        logger: str | logging.Logger = "audit",
        get_user: Callable[[Scope], Any] | None = None,
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
        self.app = app
        self._get_user = get_user or _scope_user
        check_get_user(self._get_user, "the scope")
        self._path_guard = Guard("reading the path", "the audit event does not contain it")
        self._route_guard = Guard("reading the route", "the audit event does not contain it")
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; the entry point of an ASGI application."""
        if scope["type"] not in ("http", "websocket") or _IS_TAKEN in scope:
            await self.app(scope, receive, send)
            return
        request = self._request(scope)
        fields = self._auditor.fields(request)
        token, said_token = context.bind(**fields), CURRENT.set(None)
        try:
            if scope["type"] == "http":
                send = with_request_id(send, fields["request_id"])
            exchange = self._auditor.begin(request)
            if exchange is None:
                await self.app(scope, receive, send)
                return
            if not self._auditor.can_audit(exchange):
                await refuse(scope, send)
                return
            if exchange.is_certain:
                scope[_IS_TAKEN] = True
            passage = Passage(
                exchange, receive, send, partial(self._audit, exchange, request, scope)
            )
            try:
                await self.app(scope, passage.receive, passage.send)
            except BaseException as exc:
                # Cancellation too: some servers cancel the task when the client disconnects.
                exchange.error = exc
                raise
            finally:
                await passage.finish()
        finally:
            CURRENT.reset(said_token)
            context.reset(token)

    def _request(self, scope: Scope) -> Request:
        return Request(
            # Servers pass the client's spelling on, and older HTTPEndpoints accept "post" as POST.
            method=scope["method"].upper() if scope["type"] == "http" else WEBSOCKET,
            path=own_path(scope),
            query=scope.get("query_string", b"").decode("latin-1"),
            headers=headers_of(scope),
            host=(scope.get("client") or ("",))[0],
            agent=partial(self._auditor.agent, partial(self._get_user, scope)),
            session=partial(scope.get, "session"),
            path_params=partial(self._path_guard.call, partial(path_params, scope), None),
        )

    async def _audit(self, exchange: Exchange, request: Request, scope: Scope) -> None:
        exchange.path_params = request.path_params()
        exchange.route = self._route_guard.call(partial(template, scope), "")
        entry = self._auditor.entry(exchange, request)
        if entry is None:
            return
        log = partial(self._auditor.log, entry)
        if self._auditor.may_wait():
            await finish_in_thread(log)
        else:
            log()


def _scope_user(scope: Scope) -> Any:
    return scope.get("user")
