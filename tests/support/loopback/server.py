"""
A ClickHouse HTTP server on loopback: the real engine (chDB) behind ClickHouse's HTTP interface,
with faults on request.

Run it as ``python -m tests.support.loopback.server --path DIR`` or by the path of this file, as the
handle in ``tests.support.loopback`` does. It is a process of its own because chDB must not be
imported in a process that forks, and because tests ``kill -9`` it.

Two ports, both on 127.0.0.1 only:

- the *ClickHouse port* supports the requests of clickhouse-connect: statement in the URL, in the
  body or split over both, settings and ``param_*`` in the URL, compressed and chunked bodies,
  errors with ClickHouse's codes, texts and HTTP statuses;
- the *control port* accepts ``POST /<operation>`` with a JSON object (see `ControlHandler`),
  without log, faults or login.

The process prints one JSON line with both ports once chDB is open, and ends at the first line or
EOF on stdin, so that it never outlives the test process. It ends without closing the engine:
acknowledged rows are stored, as after ``kill -9``.

Differences from a server: sessions keep nothing between requests, ``written_rows`` of an ``INSERT
... VALUES`` and of an ``INSERT ... SELECT`` is 0, a result is sent whole and uncompressed, external
data is rejected, roles and quotas are ignored.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import errno
import gzip
import json
import os
import random
import re
import shutil
import socket
import socketserver
import struct
import sys
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP as HTTP_POLICY
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

# Request parameters of the HTTP interface itself; every other one is a setting.
# fmt: off
RESERVED_PARAMETERS = frozenset({
    "query", "database", "user", "password", "query_id", "session_id", "session_timeout",
    "session_check", "default_format", "wait_end_of_query", "buffer_size", "compress", "decompress",
    "enable_http_compression", "client_protocol_version", "send_progress_in_http_headers",
    "http_headers_progress_interval_ms", "quota_key", "role",
})

# From ClickHouse's src/Server/HTTP/exceptionCodeToHTTPStatus.cpp, read at 08f89d9b; that file has
# the names, and the engine's errorCodeToName gave the numbers. Every other code is 500, among them
# 164 READONLY, 202 TOO_MANY_SIMULTANEOUS_QUERIES, 241 and 252. Servers before that commit answer
# 497 ACCESS_DENIED with 500, too.
HTTP_STATUSES = {
    401: (194,),
    403: (192, 193, 497, 512, 516),
    400: (6, 8, 15, 25, 26, 27, 36, 37, 38, 41, 44, 53, 62, 72, 117, 123, 167, 168, 223, 321, 376,
          427, 441, 675, 676),
    404: (46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511),
    408: (159,),
    411: (381,),
    413: (229,),
    415: (779,),
    501: (48,),
    503: (76, 209, 439),
}
# fmt: on
HTTP_STATUS_OF_CODE = {code: status for status, codes in HTTP_STATUSES.items() for code in codes}

# A fault or a wait may need a statement before its data has arrived. 64 KiB holds any statement of
# the tests.
HEAD_BYTES = 65536
LOGGED_STATEMENT_CHARS = 300

# Below the ephemeral range of Linux (32768 and up). There, a client that tries a dead server's port
# again and again sometimes gets this port as its own, connects to itself, and prevents the
# restarted server from binding it.
PORTS = range(20000, 32000)

QUOTED = rb"""'(?:[^'\\]|\\[\s\S])*'|"(?:[^"\\]|\\[\s\S])*"|`(?:[^`\\]|\\[\s\S])*`"""
TOKENS = rb"(?:" + QUOTED + rb"|[^'\"`])*?"
IGNORED = rb"(?:\s|--[^\n]*\n|/\*.*?\*/)*"
INSERT_WITH_DATA = re.compile(
    rb"(?P<target>" + IGNORED + rb"INSERT\s" + TOKENS + rb")"
    rb"(?P<settings>\s+SETTINGS\s" + TOKENS + rb")?"
    # Data begins after the first newline, or else after the blanks (ParserInsertQuery).
    rb"\s+FORMAT\s+(?P<format>\w+)[ \t\r;]*\n?",
    re.IGNORECASE | re.DOTALL,
)
NO_DATA_FOLLOWS = re.compile(rb"\b(?:SELECT|WITH|VALUES|INFILE)\b", re.IGNORECASE)
STATEMENT_KIND = re.compile(IGNORED + rb"\(*(\w*)", re.DOTALL)
TRAILING_FORMAT = re.compile(rb"\bFORMAT\s+(\w+)\s*(?:SETTINGS\b[^;]*)?;?\s*$", re.IGNORECASE)
KINDS_WITH_RESULT = frozenset(
    {"SELECT", "WITH", "SHOW", "DESC", "DESCRIBE", "EXISTS", "EXPLAIN", "CHECK", "FROM"}
)

ERROR = re.compile(
    r"Code: (?P<code>\d+)\. DB::(?:Net)?Exception: (?P<text>.*?)"
    r"(?: \((?P<name>[A-Z0-9_]+)\))?(?: \(version [^)]*\))?\.?\s*",
    re.DOTALL,
)
# Only we use INFILE: a server that reads the data from the request would not add this text to an
# error.
INFILE_NOISE = re.compile(
    r": \(in file/uri [^)]*\)|: While executing File(?:: data for INSERT was parsed from file)?"
)


class ClickHouseError(Exception):
    """
    An error that is answered in ClickHouse's own form.
    """

    def __init__(self, code: int, name: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.name = name
        self.text = text

    @classmethod
    def from_engine(cls, message: str) -> ClickHouseError:
        """
        Read the code, the text and the name from an exception of chDB.
        """
        found = ERROR.fullmatch(message.strip())
        if not found:
            return cls(1002, "UNKNOWN_EXCEPTION", message)
        code, name, text = int(found["code"]), found["name"] or "UNKNOWN_EXCEPTION", found["text"]
        # Errors from INFILE come wrapped in themselves: "Code: 27. DB::Exception: Code: 27. ...".
        if text.startswith(f"Code: {code}. DB::Exception: "):
            return cls.from_engine(text)
        return cls(code, name, INFILE_NOISE.sub("", text))


def quoted(value: str, mark: str = "'") -> str:
    """
    Return *value* as a string literal, or as an identifier when *mark* is a backtick.

    ClickHouse accepts a string for a numeric setting too.
    """
    return mark + value.replace("\\", "\\\\").replace(mark, "\\" + mark) + mark


@dataclass(frozen=True)
class Statement:
    """
    One statement, and the data that follows it when it is an INSERT with a FORMAT clause.
    """

    text: bytes
    data: bytes | None = None
    insert: re.Match[bytes] | None = None

    @classmethod
    def parse(cls, raw: bytes) -> Statement:
        """
        Split *raw* at the start of an INSERT's data; keep any other statement whole.
        """
        found = INSERT_WITH_DATA.match(raw[:HEAD_BYTES])
        if not found or NO_DATA_FOLLOWS.search(re.sub(QUOTED, b"", found["target"])):
            return cls(raw)
        return cls(raw[: found.end()], raw[found.end() :], found)

    @property
    def kind(self) -> str:
        """
        The first keyword in capitals, ``""`` for an empty statement.
        """
        found = STATEMENT_KIND.match(self.text)
        return found[1].decode(errors="replace").upper() if found else ""

    def __str__(self) -> str:
        return self.text.decode(errors="replace").strip()

    def from_infile(self, path: Path) -> bytes:
        """
        Return the INSERT with its data in the file at *path*, not after it.
        """
        assert self.insert is not None
        target, settings, fmt = self.insert.group("target", "settings", "format")
        infile = b" FROM INFILE " + quoted(str(path)).encode()
        return target + infile + (settings or b"") + b" FORMAT " + fmt


@dataclass(frozen=True)
class Result:
    """
    The result of one statement.
    """

    body: bytes
    format: str | None
    summary: dict[str, str]


class Engine:
    """
    chDB on one directory.

    Each statement gets a connection of its own, for 0.2 ms: ``USE`` and ``SET`` stay within a
    connection, so a request's database and settings (such as ``insert_deduplication_token``) apply
    only to its own statement, and threads need no lock.
    """

    def __init__(self, path: Path, config: Path | None = None) -> None:
        # Imported only here: a forked child of a process that imported chDB hangs.
        import chdb

        database = f"{path}?config-file={config}" if config else str(path)
        self._connect: Callable[[], Any] = lambda: chdb.connect(database)
        self._keeper = self._connect()  # the engine lives as long as one connection does
        # Bodies of a killed server. This process holds chDB's lock, so no other one writes there.
        self._bodies = path / "loopback_bodies"
        shutil.rmtree(self._bodies, ignore_errors=True)
        self._bodies.mkdir()
        self._numbers = count()
        facts = self.run(Statement(b"SELECT version(), timezone()"))
        self.version, self.timezone = facts.body.decode().split()

    def run(
        self,
        statement: Statement,
        *,
        database: str = "",
        settings: Mapping[str, str] | None = None,
        parameters: Mapping[str, str] | None = None,
        default_format: str = "TabSeparated",
    ) -> Result:
        """
        Run *statement* with *settings* that end with it.

        Raises:
            ClickHouseError: The engine's error.
        """
        if not statement.text.strip(b" \t\r\n;"):
            # chDB accepts an empty statement.
            raise ClickHouseError(62, "SYNTAX_ERROR", "Syntax error: Empty query")
        connection = self._connect()
        # No suffix that tells INFILE a compression.
        body_path = self._bodies / f"{next(self._numbers)}.data"
        try:
            if database:
                connection.query("USE " + quoted(database, "`"))
            if settings:
                pairs = (
                    f"{quoted(name, '`')} = {quoted(value)}" for name, value in settings.items()
                )
                connection.query("SET " + ", ".join(pairs))
            sql = statement.text
            if statement.data is not None:
                body_path.write_bytes(statement.data)
                sql = statement.from_infile(body_path)
            result = connection.query(sql, default_format, params=dict(parameters or {}))
            return self._result(statement, result, default_format)
        except RuntimeError as exc:  # ChdbError is one
            raise ClickHouseError.from_engine(str(exc)) from exc
        finally:
            body_path.unlink(missing_ok=True)
            connection.close()

    @staticmethod
    def _result(statement: Statement, result: Any, default_format: str) -> Result:
        rows, size = str(result.rows_read()), str(result.bytes_read())
        # An INFILE insert counts all rows that it reads as written, also those that the table drops
        # because of their token.
        is_insert = statement.data is not None
        summary = {
            "read_rows": rows,
            "read_bytes": size,
            "written_rows": rows if is_insert else "0",
            "written_bytes": size if is_insert else "0",
            "elapsed_ns": str(int(result.elapsed() * 1e9)),
        }
        if statement.kind not in KINDS_WITH_RESULT:
            return Result(b"", None, summary)
        named = TRAILING_FORMAT.search(statement.text)
        return Result(result.bytes(), named[1].decode() if named else default_format, summary)


DECODER_ERRORS = {
    "zstd": (561, "ZSTD_DECODER_FAILED"),
    "lz4": (618, "LZ4_DECODER_FAILED"),
    "gzip": (354, "ZLIB_INFLATE_FAILED"),
    "deflate": (354, "ZLIB_INFLATE_FAILED"),
}


def decompressed(body: bytes, encoding: str) -> bytes:
    """
    Undo *encoding*, the value of a ``Content-Encoding`` header.

    Raises:
        ClickHouseError: *body* is damaged or cut, or the encoding is unknown.
    """
    try:
        if encoding in ("", "identity"):
            return body
        if encoding == "zstd":
            return _zstd_decompressed(body)
        if encoding == "lz4":
            return _lz4_decompressed(body)
        if encoding == "gzip":
            return gzip.decompress(body)
        if encoding == "deflate":
            return zlib.decompress(body)
    except Exception as exc:  # each codec has an exception type of its own
        code, name = DECODER_ERRORS[encoding]
        raise ClickHouseError(code, name, f"{encoding} stream decoding failed: {exc}") from exc
    raise ClickHouseError(89, "UNKNOWN_COMPRESSION_METHOD", f"Unknown compression {encoding}")


def _zstd_decompressed(body: bytes) -> bytes:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd.decompress(body)


def _lz4_decompressed(body: bytes) -> bytes:
    import lz4.frame  # type: ignore[import-untyped]  # it ships no types

    parts = []
    while body:  # the driver sends one frame per block
        frame = lz4.frame.LZ4FrameDecompressor()
        parts.append(frame.decompress(body))
        if not frame.eof:
            raise ValueError("the stream ends within a frame")
        body = frame.unused_data or b""
    return b"".join(parts)


class RequestBody:
    """
    The body of one request, read from the connection only as far as needed.
    """

    def __init__(self, stream: BufferedIOBase, headers: Message) -> None:
        self._stream = stream
        self._is_chunked = "chunked" in headers.get("Transfer-Encoding", "").lower()
        self._length = int(headers.get("Content-Length") or 0)
        self._is_complete = False
        self.encoding = headers.get("Content-Encoding", "")
        self.received = bytearray()

    def read_half(self) -> None:
        """
        Read half of the body, or the first chunk of a chunked one.
        """
        self.read(1 if self._is_chunked else self._length // 2)

    def read(self, at_least: int | None = None) -> bytes:
        """
        Read until *at_least* bytes or the whole body (None) are there, and return them.

        Raises:
            ConnectionError: The client went away in the middle.
        """
        while not self._is_complete and (at_least is None or len(self.received) < at_least):
            if self._is_chunked:
                self._read_chunk()
            else:
                wanted = self._length if at_least is None else min(at_least, self._length)
                self.received += self._read_exactly(wanted - len(self.received))
                self._is_complete = len(self.received) == self._length
        return bytes(self.received)

    def content(self) -> bytes:
        """
        Return the whole body, decompressed.
        """
        return decompressed(self.read(), self.encoding)

    def _read_chunk(self) -> None:
        size_line = self._stream.readline()
        if not size_line.endswith(b"\n"):
            raise ConnectionError("the client went away between two chunks")
        size = int(size_line.split(b";")[0], 16)
        self.received += self._read_exactly(size)
        self._stream.readline()  # the end of the chunk; after the last one, the empty trailer
        self._is_complete = size == 0

    def _read_exactly(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) < size:
            raise ConnectionError(f"the client went away after {len(data)} of {size} bytes")
        return data


@dataclass
class Fault:
    """
    One armed fault; ``LoopbackClickHouse.fault`` explains kinds and options.
    """

    kind: str
    match: str = r"^\s*INSERT"
    times: int = 1
    skip: int = 0
    execute: bool = False
    status: int | None = None
    code: int = 0
    name: str = ""
    text: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    KINDS = (
        "reset_before",
        "reset_during",
        "close_before",
        "execute_then_reset",
        "execute_then_hang",
        "hang",
        "http_status",
        "error",
    )

    def __post_init__(self) -> None:
        if self.kind not in self.KINDS:
            raise ValueError(f"fault kind {self.kind!r} is none of {', '.join(self.KINDS)}")
        if self.kind == "http_status" and self.status is None:
            raise ValueError("a fault of the kind http_status needs a status")
        if self.kind == "error" and not self.code:
            raise ValueError("a fault of the kind error needs a code")
        re.compile(self.match)


def matches(pattern: str, statement: str) -> bool:
    """
    Search *pattern* in *statement*, ignoring case.
    """
    return re.search(pattern, statement, re.IGNORECASE) is not None


@dataclass
class LogEntry:
    """
    One request in the log. `State` owns it: change it only under the state's lock.
    """

    n: int
    statement: str
    kind: str
    database: str
    settings: dict[str, str]
    user: str
    content_encoding: str
    fault: str | None = None
    body_bytes: int = 0
    status: int | None = None
    executed: bool = False
    phase: str = "received"

    def has_reached(self, phase: str) -> bool:
        reached = {"received": True, "executed": self.executed, "finished": self.is_finished}
        return reached[phase]

    @property
    def is_finished(self) -> bool:
        return self.phase == "finished"

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "statement": self.statement[:LOGGED_STATEMENT_CHARS]}


class State:
    """
    The state of both ports: the armed faults, the users, the denied statements and the request log.
    """

    def __init__(self, users: dict[str, str]) -> None:
        self._changed = threading.Condition()
        self._numbers = count(1)
        self._faults: list[Fault] = []
        self._released = threading.Event()
        self._log: list[LogEntry] = []
        self.users = users
        self.denied: list[str] = []

    def arm(self, fault: Fault) -> None:
        with self._changed:
            self._faults.append(fault)

    def clear(self) -> None:
        """
        Disarm all faults, and release the hanging requests.
        """
        with self._changed:
            self._faults.clear()
        self.release()

    def release(self) -> None:
        """
        Release every request that hangs now; later ones wait for the next release.
        """
        with self._changed:
            self._released.set()
            self._released = threading.Event()

    def arrive(self, **fields: Any) -> tuple[LogEntry, Fault | None, threading.Event]:
        """
        Log a request, and choose its fault and the event that releases it, in one step: a test that
        has seen the request in the log can release it.
        """
        with self._changed:
            entry = LogEntry(n=next(self._numbers), **fields)
            fault = self._take_fault(entry.statement)
            entry.fault = fault.kind if fault else None
            self._log.append(entry)
            self._changed.notify_all()
            return entry, fault, self._released

    def _take_fault(self, statement: str) -> Fault | None:
        for fault in self._faults:
            if not matches(fault.match, statement):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            fault.times -= 1  # from -1 it never reaches 0
            if fault.times == 0:
                self._faults.remove(fault)
            return fault
        return None

    def update(self, entry: LogEntry, **changes: Any) -> None:
        with self._changed:
            for name, value in changes.items():
                setattr(entry, name, value)
            self._changed.notify_all()

    def requests(self, match: str) -> list[dict[str, Any]]:
        with self._changed:
            return [entry.as_json() for entry in self._log if matches(match, entry.statement)]

    def forget_requests(self) -> None:
        with self._changed:
            self._log.clear()

    def wait(
        self, match: str, at_least: int, phase: str, timeout: float
    ) -> list[dict[str, Any]] | None:
        """
        Block until *at_least* matching requests have reached *phase*; return None after *timeout*
        seconds.
        """

        def found() -> list[LogEntry]:
            return [
                entry
                for entry in self._log
                if entry.has_reached(phase) and matches(match, entry.statement)
            ]

        with self._changed:
            if self._changed.wait_for(lambda: len(found()) >= at_least, timeout):
                return [entry.as_json() for entry in found()]
            return None


@dataclass(frozen=True)
class Answer:
    """
    One HTTP answer, ready to send.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class LoopbackServer(ThreadingHTTPServer):
    """
    A threaded server on 127.0.0.1. Its handlers use its engine and its state.
    """

    daemon_threads = True
    request_queue_size = 128  # with the default of 5, a connect may wait for the kernel's retry

    def __init__(
        self, port: int, handler: type[BaseHTTPRequestHandler], engine: Engine, state: State
    ) -> None:
        self.engine = engine
        self.state = state
        super().__init__(("127.0.0.1", port), handler)

    def server_bind(self) -> None:
        # Not HTTPServer's method: it asks a name server for the name of 127.0.0.1.
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Half of the tests make a client go away. Any other error is our bug, and goes to stderr.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """
    The common part of both ports.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave in one piece
    server: LoopbackServer

    def log_message(self, format: str, *args: Any) -> None:
        """
        Print nothing: tests read the request log.
        """

    def send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)


class ClickHouseHandler(Handler):
    """
    The ClickHouse port.
    """

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/ping" or (self.command == "GET" and not url.query):
            self.send(Answer(200, {}, b"Ok.\n"))
            return
        self._parameters = dict(
            parse_qsl(url.query, keep_blank_values=True, errors="surrogateescape")
        )
        self._body = RequestBody(self.rfile, self.headers)
        user, _ = self._credentials()
        statement = self._statement_so_far()
        self._entry, fault, released = self.server.state.arrive(
            statement=str(statement),
            kind=statement.kind,
            database=self._parameters.get("database", ""),
            settings=self._settings(),
            user=user,
            content_encoding=self._body.encoding,
        )
        try:
            self._serve(fault, released)
        finally:
            self._finish()

    do_POST = do_GET

    def _serve(self, fault: Fault | None, released: threading.Event) -> None:
        kind = fault.kind if fault else ""
        # 1. The connection breaks before the whole request is here.
        if kind == "reset_before":
            return self._reset()
        if kind == "reset_during":
            self._body.read_half()
            return self._reset()
        self._body.read()
        # 2. There is no answer.
        if kind == "close_before":
            return self._close()
        if fault and kind == "hang":
            released.wait()
            if not fault.execute:
                return self._close()
        # 3. A proxy answers, whether the statement ran or not.
        if fault and kind in ("http_status", "error"):
            if fault.execute:
                self._answer()
            if kind == "http_status":
                return self._finish(proxy_page(fault))
            return self._finish(self._error(fault_error(fault), fault.status))
        # 4. The statement runs; its answer may be late or lost.
        answer = self._answer()
        if kind == "execute_then_reset":
            return self._reset()
        if kind == "execute_then_hang":
            released.wait()
        self._finish(answer)

    def _answer(self) -> Answer:
        """
        Run the request's statement after its whole body has arrived, and return the answer of
        ClickHouse.
        """
        settings = self._settings()
        if self.command == "GET":
            settings["readonly"] = "2"  # a GET may not write
        try:
            self._authenticate()
            statement = Statement.parse(self._statement())
            self._check_granted(str(statement))
            result = self.server.engine.run(
                statement,
                database=self._parameter("database", "X-ClickHouse-Database"),
                settings=settings,
                parameters=self._query_parameters(),
                default_format=self._parameter("default_format", "X-ClickHouse-Format")
                or "TabSeparated",
            )
        except ClickHouseError as exc:
            return self._error(exc)
        self.server.state.update(self._entry, executed=True)
        headers = {
            **self._clickhouse_headers(),
            "X-ClickHouse-Summary": json.dumps(result.summary, separators=(",", ":")),
        }
        if result.format:
            headers["X-ClickHouse-Format"] = result.format
        return Answer(200, headers, result.body)

    def _error(self, error: ClickHouseError, status: int | None = None) -> Answer:
        version = f"(version {self.server.engine.version} (official build))"
        body = f"Code: {error.code}. DB::Exception: {error.text} ({error.name}) {version}\n"
        headers = {
            **self._clickhouse_headers(),
            "X-ClickHouse-Exception-Code": str(error.code),
            "Content-Type": "text/plain; charset=UTF-8",
        }
        status = status or HTTP_STATUS_OF_CODE.get(error.code, 500)
        return Answer(status, headers, body.encode(errors="surrogateescape"))

    def _clickhouse_headers(self) -> dict[str, str]:
        return {
            "X-ClickHouse-Query-Id": self._parameters.get("query_id") or str(uuid.uuid4()),
            "X-ClickHouse-Timezone": self.server.engine.timezone,
            "X-ClickHouse-Server-Display-Name": "loopback",
        }

    # The request's parts

    def _statement_so_far(self) -> Statement:
        """
        Return the statement; read no more of the body than necessary.
        """
        if "query" in self._parameters:
            raw = self._parameters["query"].encode(errors="surrogateescape")
        elif self._body.encoding or self._is_form():
            try:
                raw = self._statement()
            except ClickHouseError:
                raw = b""  # the answer will give the reason
        else:
            raw = self._body.read(HEAD_BYTES)
        return Statement(Statement.parse(raw).text)

    def _statement(self) -> bytes:
        """
        Return the URL's statement, a newline and the body, joined as a server does.
        """
        content = self._body.content()
        if self._is_form():
            content = b""
            for name, value in self._form_fields().items():
                self._parameters.setdefault(name, value)
        from_url = self._parameters.get("query", "").encode(errors="surrogateescape")
        return b"\n".join(part for part in (from_url, content) if part)

    def _is_form(self) -> bool:
        return self.headers.get("Content-Type", "").startswith("multipart/form-data")

    def _form_fields(self) -> dict[str, str]:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        form = BytesParser(policy=HTTP_POLICY).parsebytes(head + self._body.content())
        fields = {}
        for part in form.iter_parts():
            if part.get_filename():
                raise ClickHouseError(48, "NOT_IMPLEMENTED", "External data is not implemented")
            name = part.get_param("name", header="content-disposition")
            payload: Any = part.get_payload(decode=True)
            fields[str(name)] = payload.decode(errors="surrogateescape")
        return fields

    def _parameter(self, name: str, header: str) -> str:
        return self._parameters.get(name) or self.headers.get(header) or ""

    def _query_parameters(self) -> dict[str, str]:
        return {
            name.removeprefix("param_"): value
            for name, value in self._parameters.items()
            if name.startswith("param_")
        }

    def _settings(self) -> dict[str, str]:
        return {
            name: value
            for name, value in self._parameters.items()
            if name not in RESERVED_PARAMETERS and not name.startswith("param_")
        }

    def _credentials(self) -> tuple[str, str]:
        if "X-ClickHouse-User" in self.headers:
            return self.headers["X-ClickHouse-User"], self.headers.get("X-ClickHouse-Key", "")
        scheme, _, encoded = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            user, _, password = base64.b64decode(encoded).decode(errors="replace").partition(":")
            return user, password
        return self._parameters.get("user", "default"), self._parameters.get("password", "")

    def _authenticate(self) -> None:
        user, password = self._credentials()
        users = self.server.state.users
        if users and users.get(user) != password:
            reason = "password is incorrect, or there is no user with such name."
            raise ClickHouseError(
                516, "AUTHENTICATION_FAILED", f"{user}: Authentication failed: {reason}"
            )

    def _check_granted(self, statement: str) -> None:
        if any(matches(pattern, statement) for pattern in self.server.state.denied):
            grant = f"it's necessary to have the grant {self._entry.kind} ON *.*"
            raise ClickHouseError(
                497,
                "ACCESS_DENIED",
                f"{self._entry.user}: Not enough privileges. To execute this query, {grant}",
            )

    # The ends of a request. The log is written first: a test that has seen the end finds it in the
    # log.

    def _finish(self, answer: Answer | None = None) -> None:
        if self._entry.is_finished:
            return
        status = answer.status if answer else None
        self.server.state.update(
            self._entry, phase="finished", status=status, body_bytes=len(self._body.received)
        )
        if answer:
            self.send(answer)

    def _close(self) -> None:
        """
        Close in order (FIN) without an answer.
        """
        self._finish()
        self.close_connection = True

    def _reset(self) -> None:
        """
        Break the connection with RST.
        """
        self._finish()
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # Close it by its number: the files on the socket would keep it open, and socketserver would
        # send a FIN first.
        os.close(self.connection.detach())


def proxy_page(fault: Fault) -> Answer:
    """
    Return the error page of a proxy in front of the server: without ClickHouse's headers and code.
    """
    assert fault.status is not None
    body = fault.text or f"<html><body><h1>{fault.status}</h1><hr>proxy</body></html>\n"
    return Answer(fault.status, {"Content-Type": "text/html", **fault.headers}, body.encode())


def fault_error(fault: Fault) -> ClickHouseError:
    """
    Return the ClickHouse error that *fault* asks for.
    """
    return ClickHouseError(
        fault.code, fault.name or f"ERROR_{fault.code}", fault.text or "Injected by the test."
    )


class ControlHandler(Handler):
    """
    The control port: ``POST /<operation>`` with a JSON object of its arguments.

    Answers 200 with the JSON of the result, or 400 with the text of the error.
    """

    def do_POST(self) -> None:
        try:
            arguments = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            result = self._operations()[self.path.lstrip("/")](**arguments)
        except ClickHouseError as exc:
            self.send(Answer(400, {}, f"Code: {exc.code}. {exc.text} ({exc.name})".encode()))
        except Exception as exc:  # the test gets every error
            self.send(Answer(400, {}, f"{type(exc).__name__}: {exc}".encode()))
        else:
            self.send(Answer(200, {}, json.dumps(result).encode()))

    def _operations(self) -> dict[str, Callable[..., Any]]:
        state = self.server.state
        return {
            "fault": lambda **options: state.arm(Fault(**options)),
            "clear_faults": state.clear,
            "release": state.release,
            "users": lambda users: setattr(state, "users", users),
            "deny": lambda patterns: setattr(state, "denied", patterns),
            "requests": state.requests,
            "forget_requests": state.forget_requests,
            "wait": state.wait,
            "query": self._query,
        }

    def _query(self, sql: str, default_format: str) -> str:
        result = self.server.engine.run(
            Statement.parse(sql.encode()),
            settings={"output_format_json_quote_64bit_integers": "0"},
            default_format=default_format,
        )
        return result.body.decode()


def listen(server_on: Callable[[int], LoopbackServer], ports: Sequence[int]) -> int:
    """
    Serve in a thread on the first of *ports* that is free, and return that port.
    """
    port, *others = ports
    try:
        server = server_on(port)
    except OSError as exc:
        if others and exc.errno == errno.EADDRINUSE:
            return listen(server_on, others)
        raise
    threading.Thread(target=server.serve_forever, name=f"port-{port}", daemon=True).start()
    return port


def main() -> None:
    """
    Serve until stdin gets a line or ends.
    """
    parser = argparse.ArgumentParser(description="ClickHouse's HTTP interface over chDB, for tests")
    parser.add_argument(
        "--path", type=Path, required=True, help="directory of the database, made when missing"
    )
    parser.add_argument("--port", type=int, default=0, help="ClickHouse port; 0 takes a free one")
    parser.add_argument("--config", type=Path, help="a configuration file of ClickHouse's")
    parser.add_argument("--user", help="the only user; without it, no login is needed")
    parser.add_argument("--password", default="")
    arguments = parser.parse_args()

    os.environ["TZ"] = "UTC"  # the engine's time zone, read when it starts
    time.tzset()
    arguments.path.mkdir(parents=True, exist_ok=True)
    engine = Engine(arguments.path.resolve(), arguments.config)
    state = State({arguments.user: arguments.password} if arguments.user else {})
    free_ports = random.sample(PORTS, 100)
    ports = {
        "port": listen(
            lambda port: LoopbackServer(port, ClickHouseHandler, engine, state),
            [arguments.port] if arguments.port else free_ports,
        ),
        "control_port": listen(
            lambda port: LoopbackServer(port, ControlHandler, engine, state), free_ports
        ),
    }
    # The parent reads the ports from this line.
    sys.stdout.write(json.dumps({**ports, "pid": os.getpid()}) + "\n")
    sys.stdout.flush()
    with contextlib.suppress(OSError):
        sys.stdin.buffer.readline()
    os._exit(0)  # closing chDB under a running statement may hang or crash


if __name__ == "__main__":
    main()
