"""
A small TCP proxy in front of any ClickHouse server, which breaks single HTTP exchanges on request.

Put faults on the way to a server with it: resets, answers of something else, cut answers, removed
headers. Faults inside the server are made by ``tests.support.loopback``.

A request and its answer are read whole, as raw bytes, and then passed on. So a `Fault` can see
both, and may send any bytes instead.
"""

from __future__ import annotations

import re
import socket
import socketserver
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from io import BufferedIOBase
from urllib.parse import unquote_to_bytes

__all__ = [
    "Fault",
    "FaultProxy",
    "Reach",
    "answering",
    "cutting",
    "message",
    "passing",
    "resetting",
    "without_headers",
]

# Gives `close` of a socket a reset instead of an orderly end.
_LINGER_NOT = struct.pack("ii", 1, 0)
# `close` waits at most this long for the thread that accepts connections.
_POLL_SECONDS = 0.05

Answering = Callable[[bytes, bytes], bytes]
"""
Gets the request and the server's answer (empty if the server got no whole request), and returns
the bytes for the client. With no bytes, the connection is reset.
"""


class Reach(Enum):
    """How much of a request the server gets."""

    NOTHING = "nothing"
    HALF = "half"
    """Then the connection to the server is reset."""
    ALL = "all"


def passing(_request: bytes, answer: bytes) -> bytes:
    """Return the server's answer."""
    return answer


def resetting(_request: bytes, _answer: bytes) -> bytes:
    """Return nothing: the connection is reset."""
    return b""


def answering(raw: bytes) -> Answering:
    """Answer with the bytes *raw*, whatever the server says."""
    return lambda _request, _answer: raw


def cutting(at: int) -> Answering:
    """Answer with the server's answer up to byte *at*; counted from its end if negative."""
    return lambda _request, answer: answer[:at]


def without_headers(start: str) -> Answering:
    """Answer as the server does, without the headers whose names begin with *start*."""
    unwanted = start.lower().encode()

    def answer_without(_request: bytes, answer: bytes) -> bytes:
        head, blank, body = answer.partition(b"\r\n\r\n")
        kept = [line for line in head.split(b"\r\n") if not line.lower().startswith(unwanted)]
        return b"\r\n".join(kept) + blank + body

    return answer_without


def message(status: int, body: bytes = b"", **headers: str) -> bytes:
    """Return an HTTP answer with the length of its body."""
    named = {"Content-Length": str(len(body))}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status} So", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass(frozen=True)
class Fault:
    """What happens to the requests in which *match* is found."""

    answer: Answering
    match: str = ""
    """A regular expression for the decoded request: URL, headers, and a body that is readable."""
    reach: Reach = Reach.ALL
    times: int | None = 1
    """Requests that meet the fault; None for all of them."""
    closes: bool = True
    """Whether the connection ends after the answer."""
    until: threading.Event | None = None
    """The request waits for this event before it is passed on."""
    answers_after: threading.Event | None = None
    """The answer waits for this event."""
    min_bytes: int = 0
    """Smaller requests do not meet the fault."""


_PASS = Fault(passing, closes=False)


class FaultProxy:
    """
    Listens on a free port of 127.0.0.1 and connects to *port*. Any thread may use it.

    Use it as a context manager or call `close`. Of several faults that match, the first one that
    was armed is met.
    """

    def __init__(self, port: int) -> None:
        self.met: list[Fault] = []
        """The faults that happened, in order."""
        self.requests: list[bytes] = []
        """All requests with their URL decoded."""
        self._to = port
        self._armed: list[tuple[Fault, int | None]] = []
        self._lock = threading.Lock()
        proxy = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                _Conversation(proxy, self.connection, self.rfile, self.wfile).run()

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), daemon=True
        )
        self._thread.start()

    def __enter__(self) -> FaultProxy:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Accept no more connections."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def arm(self, *faults: Fault) -> None:
        """Let *faults* happen to the next requests that match."""
        with self._lock:
            self._armed += [(fault, fault.times) for fault in faults]

    def clear(self) -> None:
        """Forget the armed faults, and what happened."""
        with self._lock:
            self._armed.clear()
            self.met.clear()
            self.requests.clear()

    def connect(self) -> socket.socket:
        """Return a connection to the server."""
        return socket.create_connection(("127.0.0.1", self._to))

    def fault_for(self, request: bytes) -> Fault:
        """Return the fault that *request* meets, and note it."""
        # In a query, a plus is a space.
        line, end, rest = request.partition(b"\r\n")
        decoded = unquote_to_bytes(line.replace(b"+", b" ")) + end + rest
        with self._lock:
            self.requests.append(decoded)
            for place, (fault, left) in enumerate(self._armed):
                is_large = len(request) >= fault.min_bytes
                if is_large and re.search(fault.match.encode(), decoded):
                    if left is not None:
                        self._armed[place : place + 1] = [(fault, left - 1)] if left > 1 else []
                    self.met.append(fault)
                    return fault
        return _PASS


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def shutdown_request(self, request: object) -> None:
        # Without the orderly end that would come before a reset.
        self.close_request(request)  # type: ignore[arg-type]


class _Conversation:
    """The exchanges of one connection."""

    def __init__(
        self,
        proxy: FaultProxy,
        client: socket.socket,
        received: BufferedIOBase,
        sent: BufferedIOBase,
    ) -> None:
        self._proxy = proxy
        self._client = client
        self._received = received
        self._sent = sent
        self._server: socket.socket | None = None

    def run(self) -> None:
        try:
            while self._exchange():
                pass
        except OSError:
            _reset_on_close(self._client)
        finally:
            if self._server is not None:
                self._server.close()

    def _exchange(self) -> bool:
        """Pass one request and its answer on; return whether another one may follow."""
        request = read_message(self._received)
        if not request:
            return False
        fault = self._proxy.fault_for(request)
        if fault.until is not None:
            fault.until.wait()
        answer = fault.answer(request, self._asked(request, fault.reach))
        if fault.answers_after is not None:
            fault.answers_after.wait()
        if not answer:
            _reset_on_close(self._client)
            return False
        self._sent.write(answer)
        return not fault.closes

    def _asked(self, request: bytes, reach: Reach) -> bytes:
        """Return the server's answer to *request*."""
        if reach is Reach.NOTHING:
            return b""
        if self._server is None:
            self._server = self._proxy.connect()
        if reach is Reach.ALL:
            self._server.sendall(request)
            with self._server.makefile("rb") as answers:
                return read_message(answers)
        self._server.sendall(request[: len(request) // 2])
        _reset_on_close(self._server)
        self._server.close()
        self._server = None
        return b""


def read_message(stream: BufferedIOBase) -> bytes:
    """
    Return one HTTP request or answer as raw bytes; empty at the end of *stream*, also in the middle
    of a message.
    """
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline()
        if not line:
            return b""
        head += line
    fields = head.lower()
    if b"\r\ntransfer-encoding: chunked" in fields:
        return _with_chunks(head, stream)
    if length := re.search(rb"\r\ncontent-length: *(\d+)", fields):
        body = stream.read(int(length[1]))
        return head + body if len(body) == int(length[1]) else b""
    is_answer = head.startswith(b"HTTP/")
    return head + stream.read() if is_answer else head


def _with_chunks(head: bytes, stream: BufferedIOBase) -> bytes:
    parts = [head]
    size = -1
    while size != 0:
        line = stream.readline()
        if not line:
            return b""
        size = int(line.partition(b";")[0], 16)
        parts += [line, stream.read(size + 2)]
    return b"".join(parts)


def _reset_on_close(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
