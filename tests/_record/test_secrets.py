"""
Secrets that are planted in requests, wherever a secret can be, appear nowhere: not in ClickHouse,
the spool, our own logs, a ``repr`` or the status.

Random requests go through the real middleware of both frameworks, handler, spool and engine. Every
secret contains the same word, so that one look finds any of them; spool and table are looked at
once, after all.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import flask
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from audit_handler import AuditHandler, audit, changes
from audit_handler._record.redaction.names import NOUNS, RIGHTS, TAILS
from audit_handler.flask import AuditFlask
from audit_handler.starlette import AuditMiddleware
from tests.support.asgi import Capture, asked
from tests.support.loopback import LoopbackClickHouse

pytestmark = pytest.mark.once

MARK = "s3cr3t"
OWN_KEYS = ("iban", "title")
# The handler's own; one is a key under which a resource's name is looked for.

# What is planted


def _keys(nouns: list[str]) -> st.SearchStrategy[str]:
    return st.builds(
        lambda before, noun, sign, after, change: change(before + noun.replace("-", sign) + after),
        st.sampled_from(["", "user_", "X-", "db."]),
        st.sampled_from(nouns),
        st.sampled_from(["", "_", "-"]),
        st.sampled_from(["", "s", "2", *(f"_{tail}" for tail in sorted(TAILS)), "_value_2"]),
        st.sampled_from([str, str.upper, str.title]),
    )


KEYS = _keys(
    sorted({noun for kind in NOUNS.keys() - {RIGHTS} for noun in NOUNS[kind].split()} | {*OWN_KEYS})
)
# An object of these names says who may do what, and stays; a text is secret.
TEXT_KEYS = _keys(NOUNS[RIGHTS].split())
WORDS = st.text("abcXYZ019", max_size=6).map(lambda text: f"{MARK}-{text}")
TEXTS = st.builds(
    # A path stays under "pwd", where shells put the working directory.
    lambda a, b: f"{a.lstrip('/~.')}{MARK}{b}",
    st.text(max_size=5),
    st.text(max_size=5),
)
HARMLESS = st.none() | st.booleans() | st.integers() | st.text("abc é\"'&=:,{[", max_size=8)
NAMES = st.sampled_from(["id", "name", "detail", "items", "note", "value", "x"])

# The names that tell which secret it is, such as "id", stay in an object under a secret name.
INNER_NAMES = st.sampled_from(["detail", "items", "note", "value", "x"])

SECRETS = st.recursive(
    TEXTS,
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(INNER_NAMES, inner),
    max_leaves=4,
)
PLANTED = st.dictionaries(KEYS, SECRETS, min_size=1, max_size=2) | st.dictionaries(
    TEXT_KEYS, TEXTS, min_size=1, max_size=2
)
"""An object that has secrets under keys that say so."""
MESSAGES = st.builds(
    lambda key, sign, secret: f"it failed: {key}{sign}{secret} (and so on)",
    st.sampled_from(["password", "api_key", "X-Token", "ssn", "iban"]),
    st.sampled_from(["=", ": ", "=Bearer "]),
    WORDS,
)
OBJECTS = st.recursive(
    PLANTED | MESSAGES,
    lambda inner: (
        st.lists(inner | HARMLESS, max_size=3)
        | st.dictionaries(NAMES, inner | HARMLESS, max_size=4)
        | st.builds(lambda key, value: {"name": key, "value": value}, KEYS, TEXTS)
        | inner.map(lambda value: json.dumps(value) if isinstance(value, dict) else value)
    ),
    max_leaves=6,
)
PAIRS = st.lists(
    st.tuples(KEYS | st.builds("user[{}]".format, KEYS), TEXTS)
    | st.tuples(NAMES, PLANTED.map(json.dumps) | MESSAGES),
    min_size=1,
    max_size=3,
)
BODIES = (
    st.tuples(
        st.sampled_from(
            ["application/json", "application/vnd.x+json", "text/plain", "", "image/x"]
        ),
        OBJECTS.map(json.dumps) | OBJECTS.map(lambda body: json.dumps(body, ensure_ascii=False)),
    )
    | st.tuples(
        st.sampled_from(["application/x-www-form-urlencoded", "text/plain"]), PAIRS.map(urlencode)
    )
    | st.tuples(
        st.just("application/x-www-form-urlencoded"),
        st.builds(
            lambda key, word: f"{quote(key[0])}%{ord(key[1]):x}{key[2:]}={word}",
            KEYS.filter(lambda key: key[1:2].isascii()),
            WORDS,
        ),
    )
    | st.tuples(st.sampled_from(["text/plain", ""]), MESSAGES)
)
REQUESTS = st.fixed_dictionaries(
    {
        "body": BODIES,
        "query": PAIRS.map(urlencode),
        "headers": st.dictionaries(
            st.sampled_from(["authorization", "cookie", "x-api-key", "proxy-authorization"]),
            WORDS.map("sid={}".format),
        ),
        "referer": WORDS.map("https://shop.example/?page=1&api_key={}".format),
        "path": st.sampled_from(
            ["/api/orders", "/api/reset/{}", "/api/accounts/{}", "/api/login;token={}"]
        ),
        "path_secret": WORDS,
        "end": st.sampled_from(["echo", "raise", "refuse", "audit"]),
        "message": MESSAGES,
        "chunks": st.sampled_from([7, 1000]),
    }
)


# The same application twice. It does with a request what applications do: answers, logs, fails.


@dataclass
class Told:
    """What the next request is to come to."""

    logger: logging.Logger
    end: str = ""
    message: str = ""

    def note(self, body: bytes) -> None:
        message = self.message
        self.logger.info("it came: %s", message, extra={"action": "NOTE", "note": message})
        if self.end == "raise":
            raise LookupError(message)
        if self.end == "audit":
            old = {"password": "new", "note": message}
            new = {"password": body.decode()}
            audit(**changes(old, new), note=message, error_message=message)


PATHS = ("/api/orders", "/api/reset/{reset_token}", "/api/accounts/{iban}")
OPTIONS: dict[str, Any] = {
    "request_headers": ["content-type", "user-agent", "referer"],
    "response_headers": ["content-type"],
    "session_cookie": "sid",
    "max_body_bytes": 300,
}


def starlette_application(told: Told) -> Any:
    async def endpoint(request: Request) -> Response:
        body = await request.body()
        told.note(body)
        if told.end == "refuse":
            raise HTTPException(409, told.message)
        answer = Response(body, media_type=request.headers.get("content-type") or None)
        answer.set_cookie("sid", MARK)
        return answer

    async def refused(_request: Request, exc: Any) -> Response:
        return JSONResponse({"detail": exc.detail}, exc.status_code)

    return Starlette(
        routes=[Route(path, endpoint, methods=["POST"]) for path in PATHS],
        middleware=[Middleware(AuditMiddleware, logger=told.logger, **OPTIONS)],
        exception_handlers={HTTPException: refused},
    )


def flask_application(told: Told) -> Any:
    app = flask.Flask(__name__, static_folder=None)

    def view(**_: Any) -> Any:
        body = flask.request.get_data()
        told.note(body)
        if told.end == "refuse":
            return {"detail": told.message}, 409
        answer = flask.Response(body, content_type=flask.request.headers.get("content-type"))
        answer.set_cookie("sid", MARK)
        return answer

    for path in PATHS:
        rule = path.translate(str.maketrans("{}", "<>"))
        app.add_url_rule(rule, path.replace(".", ""), view, methods=["POST"])
    AuditFlask(app, logger=told.logger, **OPTIONS)
    return app


def ask_starlette(app: Any, path: str, query: str, data: bytes, **request: Any) -> None:
    size = request["chunks"]
    chunks = tuple(data[at : at + size] for at in range(0, len(data), size))
    asked(app, path=f"{path}?{query}", headers=request["headers"], chunks=chunks or (b"",))


def ask_flask(app: Any, path: str, query: str, data: bytes, **request: Any) -> None:
    client = app.test_client(use_cookies=False)
    client.post(path, query_string=query, data=data, headers=request["headers"]).get_data()


def send(app: Any, ask: Callable[..., None], told: Told, request: dict[str, Any]) -> None:
    told.end, told.message = request["end"], request["message"]
    content_type, body = request["body"]
    headers = {
        **request["headers"],
        "referer": request["referer"],
        "user-agent": request["message"],
        **({"content-type": content_type} if content_type else {}),
    }
    path = request["path"].format(request["path_secret"])
    # Lone surrogates are no UTF-8; a client that sends them sends them escaped.
    data = body.encode("utf-8", "backslashreplace")
    with suppress(LookupError):
        ask(app, path, request["query"], data, headers=headers, chunks=request["chunks"])


def leaks(text: str) -> list[str]:
    """Return what stands around each secret in *text*."""
    return re.findall(rf".{{0,60}}{MARK}.{{0,20}}", text, re.DOTALL)


@pytest.mark.parametrize(
    ("make", "ask"),
    [
        pytest.param(starlette_application, ask_starlette, id="starlette"),
        pytest.param(flask_application, ask_flask, id="flask"),
    ],
)
def test_no_planted_secret_is_found_anywhere(
    make: Callable[[Told], Any],
    ask: Callable[..., None],
    faults: LoopbackClickHouse,
    database: str,
    make_handler: Callable[..., AuditHandler],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "audit_handler")
    dsn = faults.dsn(database)
    handler = make_handler(dsn, flush_interval_ms=600_000, redact_keys=OWN_KEYS)
    audits = Capture(OWN_KEYS)
    audits.logger.addHandler(handler)
    told = Told(audits.logger)
    app = make(told)

    @settings(
        max_examples=300,
        # The same requests in each run. A run of 5,000 random ones, now and then, finds more.
        derandomize=True,
        deadline=None,  # the first example pays for imports
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(REQUESTS)
    def nothing_is_in_the_rows_of(request: dict[str, Any]) -> None:
        audits.lines.clear()
        send(app, ask, told, request)
        assert audits.lines
        assert [] == leaks("".join(audits.lines))

    nothing_is_in_the_rows_of()
    waiting = handler.status().rows_waiting
    spool = b"".join(path.read_bytes() for path in tmp_path.rglob("*.open"))
    said = [repr(handler), str(handler.status())]
    assert handler.flush()
    said += [repr(handler), str(handler.status())]
    # Flask logs what a view raised itself.
    ours = [record for record in caplog.records if record.name.startswith("audit_handler")]
    said += [f"{record.getMessage()} {record.exc_text}" for record in ours]
    stored = faults.query(f"SELECT * FROM {database}.audit_logs")

    assert waiting == len(stored) > 300
    assert spool.count(b"\n") > 0
    assert [] == leaks(spool.decode())
    assert [] == leaks("\n".join(said))
    assert [] == leaks(json.dumps(stored, default=str))
