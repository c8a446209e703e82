"""
A request on its way through a WSGI application, looked at from outside.

Chunks are looked at as they pass and never held back; the request's body is looked at as the
application reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from audit_handler import context
from audit_handler._http import Exchange, HttpAuditor, Request
from audit_handler._http.caller import is_request_id
from audit_handler._http.headers import by_name
from audit_handler._record.span_ids import activated, active_span, active_span_ids
from audit_handler.request import CURRENT

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["KEY", "Passage"]

_T = TypeVar("_T")

KEY = "audit_handler.passage"
"""In the WSGI environment, where the framework's side finds the request's passage."""


class Passage:
    """
    One request on its way through the application: what the server is given to iterate over.

    What is bound in the request is bound only while the application runs: in between, the server's
    thread may serve others, and a generator may run when Flask's own context is gone.
    """

    def __init__(
        self, auditor: HttpAuditor, environ: WSGIEnvironment, start_response: StartResponse
    ) -> None:
        self.exchange: Exchange | None = None
        """What is filled in; None where the request is not audited."""
        self.agent: Mapping[str, str] = {}
        """The agent's columns, as far as they are known."""
        self.path_params: Mapping[str, Any] | None = {}
        """What the router has read from the path, or None where it could not."""
        self.session_id: Any = None
        """The session's own id, which only its hash is kept of."""
        self._span: Any = None
        self._auditor = auditor
        self._start_response = start_response
        self._request = Request(
            # As the router reads them: another way to write them is no way around the audit.
            method=environ["REQUEST_METHOD"].upper(),
            path="/" + _text(environ.get("PATH_INFO", "")).lstrip("/"),
            query=environ.get("QUERY_STRING", ""),
            headers=_headers(environ),
            host=environ.get("REMOTE_ADDR"),
            agent=lambda: self.agent,
            session=lambda: {"id": self.session_id},
            path_params=lambda: self.path_params,
        )
        token = context.bind(**auditor.fields(self._request))
        self._bound = context.current()
        context.reset(token)
        self._request_id: str = self._bound["request_id"]
        self._length: int | None = None
        self._is_audited = False
        self._body: Iterable[bytes] = ()
        self._chunks: Iterator[bytes] = iter(())

    def serve(self, app: WSGIApplication, environ: WSGIEnvironment) -> Iterable[bytes]:
        """Call *app* and return what the server is to send."""
        outer = environ.get(KEY)
        environ[KEY] = self
        try:
            self._body = self._inside(partial(self._call, app, environ))
        finally:
            # An application that is called from another one's view, with its environment.
            environ[KEY] = outer
        file_wrapper = environ.get("wsgi.file_wrapper")
        if self.exchange is None and file_wrapper and type(self._body) is file_wrapper:
            # The server sends it in a way of its own, and nothing is logged meanwhile.
            return self._body
        self._chunks = iter(self._body)
        return self

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return self._inside(self._next)

    def close(self) -> None:
        """Called by the server when all is sent, or nobody is there to take it."""
        self._inside(self._close)

    def start_response(self, status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
        """Pass the start of the response on, with the request's id."""
        named = by_name(headers)
        if "x-request-id" not in named:
            headers = [*headers, ("X-Request-ID", self._request_id)]
        if (exchange := self.exchange) is not None:
            exchange.status = int(status[:3])
            # The page that is made of an unhandled exception is not what the application answered.
            if exchange.error is None:
                exchange.start_response(exchange.status, named)
            length = named.get("content-length", "")
            self._length = int(length) if length.isdecimal() else None
        return self._start_response(status, headers, *exc_info)

    def keep_span(self) -> None:
        """Make the active span the request's; for one that begins and ends inside of it."""
        self._span = active_span()
        ids = active_span_ids()
        if ids is None:
            return
        context.bind(request_id=ids[0], trace_id=ids[0], span_id=ids[1])
        if not is_request_id(self._request.headers.get("x-request-id", "")):
            self._request_id = ids[0]
            if self.exchange is not None:
                self.exchange.bound = {**self.exchange.bound, "request_id": ids[0]}

    def _call(self, app: WSGIApplication, environ: WSGIEnvironment) -> Iterable[bytes]:
        self.exchange = exchange = self._auditor.begin(self._request)
        if exchange is not None:
            if not self._auditor.can_audit(exchange):
                self.exchange = None
                return self._refuse()
            environ["wsgi.input"] = _Input(environ["wsgi.input"], exchange)
        try:
            return app(environ, self.start_response)
        except BaseException as exc:
            self._finish(exc)
            raise

    def _refuse(self) -> Iterable[bytes]:
        """Answer for an application that must not act without an audit."""
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Retry-After", "5")]
        self.start_response("503 SERVICE UNAVAILABLE", headers)
        return [b"the audit trail takes no entries now\n"]

    def _next(self) -> bytes:
        exchange = self.exchange
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
        if (exchange := self.exchange) is not None:
            exchange.is_disconnected |= not exchange.is_complete and exchange.error is None
            self._finish()

    def _complete(self) -> None:
        if (exchange := self.exchange) is not None:
            exchange.is_complete = exchange.error is None
            self._finish()

    def _finish(self, error: BaseException | None = None) -> None:
        """Audit, the first time this is called."""
        exchange = self.exchange
        if exchange is None or self._is_audited:
            return
        self._is_audited = True
        exchange.error = error or exchange.error
        with activated(self._span):
            if entry := self._auditor.entry(exchange, self._request):
                self._auditor.log(entry)

    def _inside(self, call: Callable[[], _T]) -> _T:
        """Call with what is bound in this request, and keep what is bound at the end of it."""
        said = self.exchange.said if self.exchange is not None else None
        token, said_token = context.restore(self._bound), CURRENT.set(said)
        try:
            return call()
        finally:
            self._bound = context.current()
            CURRENT.reset(said_token)
            context.reset(token)


class _Input:
    """The request's body, looked at as the application reads it; never read ahead."""

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
        # Werkzeug takes this where it is there.
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
            # The end, before all came that was announced.
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
    """Return what WSGI hands on as bytes in Latin-1."""
    return path.encode("latin-1").decode("utf-8", "replace")
