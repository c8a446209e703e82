"""
`AuditMiddleware`: audits the requests of a Starlette or FastAPI application.

Plain ASGI, so it works with every ASGI framework and needs none of them. Chunks are looked at as
they pass and never held back; what is kept of a request lives in an object of its own.

    app.add_middleware(AuditMiddleware)

An endpoint can name what it does better than its path can; what it binds wins in the request's
audit (seen from ``async`` endpoints; a thread of the pool has a context of its own):

    bind(action="APPROVE", resource_type="order", resource_id=order.id)
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from functools import partial
from typing import Any

from audit_handler import context
from audit_handler._http import Exchange, HttpAuditor, HttpRules, Request

__all__ = ["AuditMiddleware"]

# As in starlette.types.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_DEFAULTS = HttpRules()


class AuditMiddleware:
    """
    Logs one audit for each writing request, and binds who and which request for all that is logged
    inside.

    The audit is logged before the last chunk of the response goes to the server: a client that has
    the whole answer can rely on it. Bind more with `audit_handler.bind`.

    Where the audits go to an `AuditHandler` with ``on_full="raise"``, a request that could not be
    audited is answered with 503 before the application sees it.

    Args:
        app: The application inside.
        logger: Logger of the audits, or its name. It must be enabled for INFO.
        get_user: Called with the ASGI scope; returns a mapping with ``id``, ``name``, ``role``,
            ``email``, or a user object, or an id, or None for nobody. By default
            ``scope["user"]``, as authentication middleware sets it. Called when the request comes
            and, as authentication may happen inside, again when it is audited.
        session_cookie: Name of the cookie that tells sessions apart; only its hash is kept.
        methods: Methods to audit.
        path_prefixes: Beginnings of paths to audit.
        exclude_paths: Exceptions from that; ``*`` stands for one segment.
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
        methods: Iterable[str] = _DEFAULTS.methods,
        path_prefixes: Iterable[str] = _DEFAULTS.path_prefixes,
        exclude_paths: Iterable[str] = _DEFAULTS.exclude_paths,
        request_headers: Iterable[str] = _DEFAULTS.request_headers,
        response_headers: Iterable[str] = _DEFAULTS.response_headers,
        max_body_bytes: int = _DEFAULTS.max_body_bytes,
    ) -> None:
        self.app = app
        self._get_user = get_user or _scope_user
        self._auditor = HttpAuditor(
            logger,
            session_cookie,
            HttpRules(
                methods=methods,
                path_prefixes=path_prefixes,
                exclude_paths=exclude_paths,
                request_headers=request_headers,
                response_headers=response_headers,
                max_body_bytes=max_body_bytes,
            ),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        request = self._request(scope)
        fields = self._auditor.fields(request)
        token = context.bind(**fields)
        try:
            if scope["type"] == "websocket":
                await self.app(scope, receive, send)
                return
            send = _with_header(send, fields["request_id"])
            exchange = self._auditor.begin(request)
            if exchange is None:
                await self.app(scope, receive, send)
                return
            if not self._auditor.can_audit():
                await _refuse(send)
                return
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
                passage.finish()
        finally:
            context.reset(token)

    def _request(self, scope: Scope) -> Request:
        return Request(
            method=scope.get("method", ""),
            path=_path(scope),
            query=scope.get("query_string", b"").decode("latin-1"),
            headers=_by_name(scope["headers"]),
            host=(scope.get("client") or ("",))[0],
            user=partial(self._get_user, scope),
            session=partial(scope.get, "session"),
        )

    def _audit(self, exchange: Exchange, request: Request, scope: Scope) -> None:
        exchange.path_params = scope.get("path_params") or {}
        exchange.route = getattr(scope.get("route"), "path", "")
        self._auditor.log(exchange, request)


class _Passage:
    """The two callables that an audited application is given: they look at what passes by."""

    __slots__ = ("_audit", "_exchange", "_is_audited", "_receive", "_send")

    def __init__(
        self, exchange: Exchange, receive: Receive, send: Send, audit: Callable[[], None]
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
        elif message["type"] == "http.disconnect" and not self._exchange.is_complete:
            self._exchange.is_disconnected = True
        return message

    async def send(self, message: Message) -> None:
        exchange, kind = self._exchange, message["type"]
        if kind == "http.response.start":
            exchange.start_response(message["status"], _by_name(message.get("headers", ())))
        elif kind == "http.response.body":
            exchange.response_body.add(message.get("body", b""))
        # Servers that send files themselves get them in one of the other two.
        is_last = kind == "http.response.pathsend" or (
            kind in ("http.response.body", "http.response.zerocopysend")
            and not message.get("more_body", False)
        )
        if is_last:
            exchange.is_complete = True
            self.finish()
        try:
            await self._send(message)
        except OSError:
            # Since ASGI 2.4 that is how a server says that the client has gone.
            exchange.is_disconnected = True
            raise

    def finish(self) -> None:
        """Audit, the first time this is called."""
        if not self._is_audited:
            self._is_audited = True
            self._audit()


async def _refuse(send: Send) -> None:
    """Answer for an application that must not act without an audit."""
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"retry-after", b"5")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": b"the audit trail takes no entries now\n"})


def _scope_user(scope: Scope) -> Any:
    return scope.get("user")


def _by_name(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}


def _path(scope: Scope) -> str:
    """Return the application's own path, without the one that a proxy in front of it took off."""
    root: str = scope.get("app_root_path", scope.get("root_path", ""))
    path: str = scope["path"]
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


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
