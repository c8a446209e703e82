"""
One request on its way through a WSGI application, observed from outside.

Chunks are observed as they pass and never held back. The request's body is observed as the
application reads it, and never read ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from audit_handler import context
from audit_handler._http import Exchange, HttpAuditor, Request
from audit_handler._http.headers import by_name
from audit_handler._http.request_ids import is_request_id
from audit_handler._record.span_ids import activated, active_span, active_span_ids
from audit_handler.request import CURRENT

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["KEY", "Passage"]

_T = TypeVar("_T")

# Key in the WSGI environment under which the framework's hooks find the request's passage.
KEY = "audit_handler.passage"

# An argument of `Passage.learn` that was left out. None has another meaning: not known.
_LEFT_OUT: Any = object()


class Passage:
    """
    One request on its way through the application; the iterable that the server gets.

    The request's fields are bound only while the application runs. In between, the server's thread
    may serve other requests, and a generator may run after Flask's own context is gone.
    """

    def __init__(
        self, auditor: HttpAuditor, environ: WSGIEnvironment, start_response: StartResponse
    ) -> None:
        # None if the request is not audited.
        self._exchange: Exchange | None = None
        self._agent: Mapping[str, str] = {}
        self._path_params: Mapping[str, Any] | None = {}
        self._session_id: Any = None
        self._span: Any = None
        self._auditor = auditor
        self._start_response = start_response
        self._request = Request(
            # In the router's spelling, so that no other spelling avoids the audit.
            method=environ["REQUEST_METHOD"].upper(),
            path="/" + _text(environ.get("PATH_INFO", "")).lstrip("/"),
            query=environ.get("QUERY_STRING", ""),
            headers=_headers(environ),
            host=environ.get("REMOTE_ADDR"),
            agent=lambda: self._agent,
            session=lambda: {"id": self._session_id},
            path_params=lambda: self._path_params,
        )
        token = context.bind(**auditor.fields(self._request))
        self._bound = context.current()
        context.reset(token)
        self._request_id: str = self._bound["request_id"]
        self._length: int | None = None
        self._is_audited = False
        self._body: Iterable[bytes] = ()
        self._chunks: Iterator[bytes] = iter(())

    @property
    def may_be_audited(self) -> bool:
        """Whether the request may be audited, so that `learn` is useful."""
        return self._exchange is not None

    @property
    def has_agent(self) -> bool:
        """Whether it has learned the agent."""
        return bool(self._agent)

    def learn(
        self,
        *,
        route: str | None = None,
        path_params: Mapping[str, Any] | None = _LEFT_OUT,
        agent: Mapping[str, str] | None = None,
        session_id: Any = _LEFT_OUT,
        error: BaseException | None = None,
    ) -> None:
        """
        Store facts that only the framework knows. An argument that is left out changes nothing.

        Args:
            route: The template that the router matched.
            path_params: The path parameters, or None if they could not be read.
            agent: The agent's columns.
            session_id: The session's own id, of which only a hash is stored.
            error: The exception that the framework turned into a response.
        """
        if path_params is not _LEFT_OUT:
            self._path_params = path_params
        if agent is not None:
            self._agent = agent
        if session_id is not _LEFT_OUT:
            self._session_id = session_id
        if (exchange := self._exchange) is None:
            return
        if route is not None:
            exchange.route = route
        if path_params is not _LEFT_OUT:
            exchange.path_params = path_params
        if error is not None:
            exchange.error = error

    def serve(self, app: WSGIApplication, environ: WSGIEnvironment) -> Iterable[bytes]:
        """Call *app* and return the response for the server to send."""
        outer = environ.get(KEY)
        environ[KEY] = self
        try:
            self._body = self._inside(partial(self._call, app, environ))
        finally:
            # A view of another application may have called this application with its own
            # environment.
            environ[KEY] = outer
        file_wrapper = environ.get("wsgi.file_wrapper")
        if self._exchange is None and file_wrapper and type(self._body) is file_wrapper:
            # Unwrapped, so that the server can send the file itself. No record is logged during
            # that.
            return self._body
        self._chunks = iter(self._body)
        return self

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return self._inside(self._next)

    def close(self) -> None:
        """
        End the response. The server calls this when all is sent or the client has disconnected.
        """
        self._inside(self._close)

    def start_response(self, status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
        """Pass on the start of the response, and add ``X-Request-ID`` if it has none."""
        named = by_name(headers)
        if "x-request-id" not in named:
            headers = [*headers, ("X-Request-ID", self._request_id)]
        if (exchange := self._exchange) is not None:
            exchange.status = int(status[:3])
            # The framework's page for an unhandled exception is not the application's response.
            if exchange.error is None:
                exchange.start_response(exchange.status, named)
            length = named.get("content-length", "")
            self._length = int(length) if length.isdecimal() else None
        return self._start_response(status, headers, *exc_info)

    def keep_span(self) -> None:
        """
        Use the active span for the request. For a span that begins and ends inside the request.
        """
        self._span = active_span()
        ids = active_span_ids()
        if ids is None:
            return
        context.bind(request_id=ids[0], trace_id=ids[0], span_id=ids[1])
        if not is_request_id(self._request.headers.get("x-request-id", "")):
            self._request_id = ids[0]
            if self._exchange is not None:
                self._exchange.bound = {**self._exchange.bound, "request_id": ids[0]}

    def _call(self, app: WSGIApplication, environ: WSGIEnvironment) -> Iterable[bytes]:
        self._exchange = exchange = self._auditor.begin(self._request)
        if exchange is not None:
            if not self._auditor.can_audit(exchange):
                self._exchange = None
                return self._refuse()
            environ["wsgi.input"] = _Input(environ["wsgi.input"], exchange)
        try:
            return app(environ, self.start_response)
        except BaseException as exc:
            self._finish(exc)
            raise

    def _refuse(self) -> Iterable[bytes]:
        """Answer 503 instead of calling the application."""
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Retry-After", "5")]
        self.start_response("503 SERVICE UNAVAILABLE", headers)
        return [b"the audit trail accepts no events now\n"]

    def _next(self) -> bytes:
        exchange = self._exchange
        try:
            chunk = next(self._chunks)
        except StopIteration:
            self._complete()
            raise
        except BaseException as exc:
            self._finish(exc)
            raise
        if exchange is not None:
            exchange.response_body.add(chunk)
            if self._length is not None and exchange.response_body.size >= self._length:
                self._complete()
        return chunk

    def _close(self) -> None:
        try:
            if close := getattr(self._body, "close", None):
                close()
        except BaseException as exc:
            self._finish(exc)
            raise
        if (exchange := self._exchange) is not None:
            exchange.is_disconnected |= not exchange.is_complete and exchange.error is None
            self._finish()

    def _complete(self) -> None:
        if (exchange := self._exchange) is not None:
            exchange.is_complete = exchange.error is None
            self._finish()

    def _finish(self, error: BaseException | None = None) -> None:
        """Log the audit event, unless it was logged before."""
        exchange = self._exchange
        if exchange is None or self._is_audited:
            return
        self._is_audited = True
        exchange.error = error or exchange.error
        with activated(self._span):
            if entry := self._auditor.entry(exchange, self._request):
                self._auditor.log(entry)

    def _inside(self, call: Callable[[], _T]) -> _T:
        """
        Call with the request's fields bound, and keep the fields that are bound after the call.
        """
        said = self._exchange.said if self._exchange is not None else None
        token, said_token = context.restore(self._bound), CURRENT.set(said)
        try:
            return call()
        finally:
            self._bound = context.current()
            CURRENT.reset(said_token)
            context.reset(token)


class _Input:
    """The request's body, observed as the application reads it; never read ahead."""

    def __init__(self, stream: Any, exchange: Exchange) -> None:
        self._stream = stream
        self._exchange = exchange
        length = exchange.request_headers.get("content-length", "")
        self._length = int(length) if length.isdecimal() else 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Iterator[bytes]:
        return map(self._seen, self._stream)

    def read(self, *size: int) -> bytes:
        return self._seen(self._passing(self._stream.read, *size), *size)

    def readline(self, *size: int) -> bytes:
        return self._seen(self._passing(self._stream.readline, *size), *size)

    def readlines(self, *hint: int) -> list[bytes]:
        return [self._seen(line) for line in self._passing(self._stream.readlines, *hint)]

    def readinto(self, buffer: Any) -> int:
        # Werkzeug calls this if it exists.
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _passing(self, read: Callable[..., _T], *args: int) -> _T:
        try:
            return read(*args)
        except OSError:
            self._exchange.is_disconnected = True
            raise

    def _seen(self, data: bytes, *size: int) -> bytes:
        body = self._exchange.request_body
        body.add(data)
        if not data and size != (0,) and body.size < self._length:
            # The body ended before its announced length.
            self._exchange.is_disconnected = True
        return data


def _headers(environ: WSGIEnvironment) -> dict[str, str]:
    """Return the request's headers by lower-case name."""
    headers = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if value := environ.get(name):
            headers[name.replace("_", "-").lower()] = value
    return headers


def _text(path: str) -> str:
    """Return *path*, whose bytes WSGI passes as Latin-1, decoded as UTF-8."""
    return path.encode("latin-1").decode("utf-8", "replace")
