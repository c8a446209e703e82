"""A server that answers each request with the credentials it got, in many ways."""

from __future__ import annotations

import base64
import html
import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, quote_plus

__all__ = ["PARTS", "Echo", "echoing", "leaked", "random_secret"]

PARTS = ("Gehe1mAx", "Zw0elfQq", "Dr3izehnK")
"""Words that only the secrets have."""

_BETWEEN = "#?@/:%&=;,+ '\"[]{}<>^`$!*-\\é"

_SPELLINGS: tuple[Callable[[str], str], ...] = (
    str,
    quote_plus,
    lambda text: quote(text, safe=""),
    html.escape,
    json.dumps,
    repr,
    lambda text: text.replace("'", "\\'"),
    lambda text: text.replace(" ", "\n"),
)
_BODIES = (
    "{}",
    "   " * 300 + "{}",
    "x" * 50 + "{}" + "y" * 50,
    "<html><body>Authorization: {}</body></html>",
    "Code: 516. DB::Exception: {}: Authentication failed: password is incorrect. (A_B)",
    "Code: 62. DB::Exception: Syntax error {} (SYNTAX_ERROR)",
    "Code: 27. DB::Exception: Cannot parse input: expected '\"' before: '{}' (at row 1)",
    "Code: 349. DB::Exception: a: while pushing to view db.`{}` (A_B)",
    "Code: 60. DB::Exception: Table {} does not exist",
    "Code: 210. DB::NetException: {} (h:1) Received from a:9000. DB::Exception: {}",
    '{{"meta":[{{"name":"{}"}}],"data":[["{}"]],"rows":1}}',
)
_HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"Server": "nginx {}"},
    {"Server": "a" * 50 + "{}"},
    {"Content-Type": "text/html; x={}"},
    {"Location": "http://{}@other:99/{}"},
    {"X-ClickHouse-Exception-Code": "516"},
    {"X-ClickHouse-Exception-Code": "27"},
    {"X-ClickHouse-Exception-Code": "{}"},
    {"X-ClickHouse-Summary": "{}"},
    {"X-ClickHouse-Query-Id": "{}"},
    {"X-ClickHouse-Timezone": "{}"},
)
_STATUSES = (200, 200, 202, 301, 307, 400, 401, 403, 404, 413, 429, 500, 502, 504)


def random_secret(choose: random.Random) -> str:
    """Return a password with characters that URLs, HTML, JSON and SQL escape."""
    parts = PARTS[: choose.randint(1, len(PARTS))]
    return parts[0] + "".join(choose.choice(_BETWEEN) + part for part in parts[1:])


def leaked(text: str, secret: str, *, size: int = 5) -> list[str]:
    """Return the lines of *text* with *size* characters of *secret*, or 10 of its base64."""
    words = [part for part in PARTS if part in secret]
    words += [
        base64.b64encode(login.encode()).decode().rstrip("=")[:-2]
        for login in (secret, f"app:{secret}", f"default:{secret}")
    ]
    pieces = set()
    for word in words:
        length = size if word in PARTS else 10
        pieces |= {word[start : start + length] for start in range(len(word) - length + 1)}
    return [line for line in text.splitlines() if any(piece in line for piece in pieces)]


class Echo:
    """How the server answers: drawn by *choose*. *is_cut* if it may cut what it repeats."""

    def __init__(self, choose: random.Random) -> None:
        self._choose = choose
        self.port = 0
        self.is_cut = False
        self.again()

    def again(self) -> None:
        """Draw another way to answer."""
        choose = self._choose
        self._spell = choose.choice(_SPELLINGS)
        self._body = choose.choice(_BODIES)
        self._headers = {**choose.choice(_HEADERS), **choose.choice(_HEADERS)}
        self.status = choose.choice(_STATUSES)
        # Not drawn for each request: how many there are depends on time.
        self._which = choose.randrange(60)
        self._share = choose.random() if choose.random() < 0.25 else 1.0
        self.is_cut = self._share < 1.0

    def answer(self, credentials: list[str]) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body for a request with these *credentials*."""
        credentials = credentials or ["none"]
        said = self._spell(credentials[self._which % len(credentials)])
        said = said[: 1 + int(self._share * len(said))]
        headers = {name: _line(value.format(said, said)) for name, value in self._headers.items()}
        return self.status, headers, self._body.format(said, said).encode()


@contextmanager
def echoing(choose: random.Random) -> Iterator[Echo]:
    """Run the server on a port of this machine."""
    echo = Echo(choose)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            given = [self.headers.get(name, "") for name in ("Authorization", "X-Token", "Cookie")]
            if given[0].startswith("Basic "):
                login = base64.b64decode(given[0][6:]).decode()
                given += [login, login.partition(":")[2]]
            status, headers, body = echo.answer([text for text in given if text])
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    echo.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield echo
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _line(text: str) -> str:
    return " ".join(text.split()).encode("latin-1", errors="replace").decode("latin-1")
