"""
`AuditMiddleware`: audits the requests of a Starlette or FastAPI application.

Plain ASGI, so it works with every ASGI framework and needs none of them. Chunks are looked at as
they pass and never held back; what is kept of a request lives in an object of its own.

    app.add_middleware(AuditMiddleware)

An endpoint can say of its request what the path cannot; that wins, from ``async`` and from
synchronous endpoints alike:

    audit(action="APPROVE", resource_type="order", resource_id=order.id)
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextvars import copy_context
from functools import partial
from typing import Any

from audit_handler import context
from audit_handler._http import Exchange, Guard, HttpAuditor, HttpRules, Request
from audit_handler._http.asgi_route import own_path, path_params, template
from audit_handler._http.caller import check_get_user
from audit_handler._http.headers import by_name
from audit_handler.policy import WEBSOCKET, Rule
from audit_handler.request import CURRENT

__all__ = ["AuditMiddleware"]

# As in starlette.types.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_DEFAULTS = HttpRules()

_IS_TAKEN = "audit_handler.is_taken"
# In the scope of a request that a middleware is going to audit.


class AuditMiddleware:
    """
    Logs one audit for each writing request, and binds who and which request for all that is logged
    inside.

    The audit is logged before the last chunk of the response goes to the server: a client that has
    the whole answer can rely on it. Where a handler may keep it waiting, for room in a full spool
    or with ``fsync="always"`` for the disk, it is logged in a thread, and other requests go on.
    Bind more with `audit_handler.bind`.

    Responses get the request's id as ``X-Request-ID``, but for those that are made further out, as
    Starlette's page of an unhandled exception is.

    Where the audits go to an `AuditHandler` with ``on_full="raise"``, or a rule says ``durable``, a
    request that could not be audited is answered with 503 before the application sees it.

    It sees bodies as they are where it stands: add what compresses them, as ``GZipMiddleware``,
    after it, so that it stands further out.

    One request has one audit: inside of another one that is going to audit a request however that
    ends, as in a mounted application that has its own, it leaves the request alone.

    A WebSocket has the context, and an audit only where *methods*, or a rule, name ``WEBSOCKET``:
    one ``CONNECT`` when it is accepted or refused.

    Args:
        app: The application inside.
        logger: Logger of the audits, or its name. It must be enabled for INFO.
        get_user: Called with the ASGI scope; returns a mapping with ``id``, ``name``, ``role``,
            ``email``, or a user object, or an id, or None for nobody. By default
            ``scope["user"]``, as authentication middleware sets it. Called when the request comes
            and, as authentication may happen inside, again when it is audited. No ``async def``.
        session_cookie: Name of the cookie that tells sessions apart; only its hash is kept.
        methods: Methods to audit; by default POST, PUT, PATCH and DELETE. ``WEBSOCKET`` stands for
            the opening of a WebSocket.
        path_prefixes: Beginnings of paths to audit, by default ``/api``.
        exclude_paths: Exceptions from that; ``*`` stands for one segment.
        policy: Instead of these three: rules, the first that matches decides, see
            `audit_handler.policy`.
        trusted_proxies: Addresses and networks (``10.0.0.0/8``) of proxies whose X-Forwarded-For
            says where a request came from, and ``unix`` for one that calls over a Unix socket; by
            default none. Leave it out where the server replaces the client's address itself, as
            uvicorn does for ``--forwarded-allow-ips`` (by default for 127.0.0.1): by then the
            client is the peer. Where both are used, name the same hosts in both.
        request_headers: Headers of the request to keep.
        response_headers: Headers of the response to keep.
        max_body_bytes: Bytes to keep of a body; 0 for no bodies.

    Raises:
        ConfigurationError: An option cannot work.
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
        self._path_guard = Guard("a look at the path", "the request's audit will not show it")
        self._route_guard = Guard("a look at the route", "the request's audit will not name it")
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
        if scope["type"] not in ("http", "websocket") or _IS_TAKEN in scope:
            await self.app(scope, receive, send)
            return
        request = self._request(scope)
        fields = self._auditor.fields(request)
        token, said_token = context.bind(**fields), CURRENT.set(None)
        is_http = scope["type"] == "http"
        try:
            if is_http:
                send = _with_header(send, fields["request_id"])
            exchange = self._auditor.begin(request)
            if exchange is None:
                await self.app(scope, receive, send)
                return
            if not self._auditor.can_audit(exchange):
                await (_refuse(send) if is_http else send({**_REFUSAL}))
                return
            if exchange.is_certain:
                scope[_IS_TAKEN] = True
            passage = _Passage(
                exchange, receive, send, partial(self._audit, exchange, request, scope)
            )
            try:
                await self.app(scope, passage.receive, passage.send)
            except BaseException as exc:
                # Cancelled tasks too: some servers cancel when the client goes.
                exchange.error = exc
                raise
            finally:
                await passage.finish()
        finally:
            CURRENT.reset(said_token)
            context.reset(token)

    def _request(self, scope: Scope) -> Request:
        return Request(
            # Servers pass on what was sent, and older HTTPEndpoints take "post" as well.
            method=scope["method"].upper() if scope["type"] == "http" else WEBSOCKET,
            path=own_path(scope),
            query=scope.get("query_string", b"").decode("latin-1"),
            headers=_by_name(scope["headers"]),
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
            await _in_thread(log)
        else:
            log()


_DISCONNECTS = ("http.disconnect", "websocket.disconnect")
_REFUSAL = {"type": "websocket.close", "code": 1013, "reason": "the audit trail takes no entries"}


class _Passage:
    """The two callables that an audited application is given: they look at what passes by."""

    __slots__ = ("_audit", "_exchange", "_is_audited", "_receive", "_send")

    def __init__(
        self,
        exchange: Exchange,
        receive: Receive,
        send: Send,
        audit: Callable[[], Awaitable[None]],
    ) -> None:
        self._exchange = exchange
        self._receive = receive
        self._send = send
        self._audit = audit
        self._is_audited = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._exchange.request_body.add(message.get("body", b""))
        elif message["type"] in _DISCONNECTS and not self._exchange.is_complete:
            self._exchange.is_disconnected = True
        return message

    async def send(self, message: Message) -> None:
        exchange, kind = self._exchange, message["type"]
        if kind == "http.response.start":
            exchange.start_response(message["status"], _by_name(message.get("headers", ())))
        elif kind == "http.response.body":
            exchange.response_body.add(message.get("body", b""))
        elif kind == "websocket.accept":
            exchange.start_response(101, _by_name(message.get("headers", ())))
        elif kind == "websocket.close" and not exchange.status:
            # What servers answer where it was not accepted.
            exchange.start_response(403, {})
        elif kind == "websocket.http.response.start":
            exchange.start_response(message["status"], _by_name(message.get("headers", ())))
        # Servers that send files themselves get them in one of the other two.
        is_last = kind in ("http.response.pathsend", "websocket.accept", "websocket.close") or (
            kind
            in (
                "http.response.body",
                "http.response.zerocopysend",
                "websocket.http.response.body",
            )
            and not message.get("more_body", False)
        )
        if is_last:
            exchange.is_complete = True
            await self.finish()
        try:
            await self._send(message)
        except OSError:
            # Since ASGI 2.4 that is how a server says that the client has gone.
            exchange.is_disconnected = True
            raise

    async def finish(self) -> None:
        """Audit, the first time this is called."""
        if not self._is_audited:
            self._is_audited = True
            await self._audit()


async def _in_thread(log: Callable[[], None]) -> None:
    """
    Call *log* in this context, and let other requests go on meanwhile.

    Once it is begun it is brought to its end, also where the request is cancelled.
    """
    try:
        loop = asyncio.get_running_loop()
        logged = loop.run_in_executor(None, copy_context().run, log)
    except RuntimeError:
        # No loop of asyncio, or one that is being closed: here, then.
        log()
    else:
        await asyncio.shield(logged)


async def _refuse(send: Send) -> None:
    """Answer for an application that must not act without an audit."""
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"retry-after", b"5")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": b"the audit trail takes no entries now\n"})


def _scope_user(scope: Scope) -> Any:
    return scope.get("user")


def _by_name(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return by_name([(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers])


def _with_header(send: Send, request_id: str) -> Send:
    """Return *send* that adds the request's id to a response which has none."""

    async def send_with_request_id(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            if not any(name.lower() == b"x-request-id" for name, _ in headers):
                headers.append((b"x-request-id", request_id.encode("latin-1")))
                message = {**message, "headers": headers}
        await send(message)

    return send_with_request_id
