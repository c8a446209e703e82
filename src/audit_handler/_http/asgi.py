"""
One request on its way through an ASGI application, observed from outside.

Chunks are observed as they pass and never held back. If a rule that can match is durable, the start
of the response waits for the next message.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from audit_handler._http.asgi_types import Message, Receive, Scope, Send
from audit_handler._http.exchange import Exchange
from audit_handler._http.headers import by_name

__all__ = ["Passage", "headers_of", "refuse", "with_request_id"]

_DISCONNECTS = frozenset({"http.disconnect", "websocket.disconnect"})

# 1013, "try again later".
_WEBSOCKET_REFUSAL = {
    "type": "websocket.close",
    "code": 1013,
    "reason": "the audit trail accepts no events",
}

# The messages that end a response, or the opening of a WebSocket. A server that sends files itself
# gets the body in a pathsend or zerocopysend message.
_ALWAYS_LAST = frozenset({"http.response.pathsend", "websocket.accept", "websocket.close"})
_LAST_UNLESS_MORE_BODY = frozenset(
    {"http.response.body", "http.response.zerocopysend", "websocket.http.response.body"}
)


class Passage:
    """
    One request on its way through the application, which gets `receive` and `send`.

    Args:
        exchange: Filled in as messages pass.
        receive: The server's.
        send: The server's.
        audit: Logs the audit event. Called once, before the last message of the response is sent.
    """

    __slots__ = ("_audit", "_exchange", "_held", "_is_audited", "_receive", "_send")

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
        self._held: Message | None = None

    async def receive(self) -> Message:
        """Pass on the next message of the request."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._exchange.request_body.add(message.get("body", b""))
        elif message["type"] in _DISCONNECTS and not self._exchange.is_complete:
            self._exchange.is_disconnected = True
        return message

    async def send(self, message: Message) -> None:
        """Pass on the next message of the response; log the audit event before the last one."""
        exchange, kind = self._exchange, message["type"]
        if kind == "http.response.start" and exchange.must_be_durable:
            # A response whose audit event is not accepted must not start with 200. Servers wait for
            # the body anyway, as ASGI asks them to.
            exchange.start_response(message["status"], headers_of(message))
            self._held = message
            return
        if kind == "http.response.body":
            exchange.response_body.add(message.get("body", b""))
        elif kind in ("http.response.start", "websocket.http.response.start"):
            exchange.start_response(message["status"], headers_of(message))
        elif kind == "websocket.accept":
            exchange.start_response(101, headers_of(message))
        elif kind == "websocket.close" and not exchange.status:
            # A server answers 403 when the application closes before it accepts.
            exchange.start_response(403, {})
        if kind in _ALWAYS_LAST or (
            kind in _LAST_UNLESS_MORE_BODY and not message.get("more_body", False)
        ):
            exchange.is_complete = True
            await self.finish()
        try:
            if self._held is not None:
                held, self._held = self._held, None
                await self._send(held)
            await self._send(message)
        except OSError:
            # Since ASGI 2.4 this is how a server reports that the client has disconnected.
            exchange.is_disconnected = True
            raise

    async def finish(self) -> None:
        """Log the audit event, unless it was logged before."""
        if not self._is_audited:
            self._is_audited = True
            await self._audit()


def with_request_id(send: Send, request_id: str) -> Send:
    """Return a *send* that adds ``X-Request-ID`` to a response that has none."""

    async def send_with_request_id(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            if not any(name.lower() == b"x-request-id" for name, _ in headers):
                headers.append((b"x-request-id", request_id.encode("latin-1")))
                message = {**message, "headers": headers}
        await send(message)

    return send_with_request_id


async def refuse(scope: Scope, send: Send) -> None:
    """Answer 503, or close the WebSocket, instead of calling the application."""
    if scope["type"] == "websocket":
        await send({**_WEBSOCKET_REFUSAL})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"retry-after", b"5")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": b"the audit trail accepts no events now\n"})


def headers_of(message: Message) -> dict[str, str]:
    """Return the headers of a scope or message by lower-case name."""
    headers = message.get("headers", ())
    return by_name([(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers])
