"""
Secrets that are planted in requests, wherever a secret can be, appear nowhere: not in ClickHouse,
the spool, our own logs, a ``repr`` or the status.

Random requests go through the real middleware, handler, spool and engine. Every secret contains the
same word, so that one look finds any of them; spool and table are looked at once, after all.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

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
from audit_handler.redaction import DEFAULT_KEYS
from audit_handler.starlette import AuditMiddleware
from tests.asgi import Capture, asked
from tests.loopback import LoopbackClickHouse

pytestmark = pytest.mark.once

MARK = "s3cr3t"

# What is planted


KEYS = st.builds(
    lambda before, key, after, change: change(f"{before}{key}{after}"),
    st.sampled_from(["", "user_", "X-", "db."]),
    st.sampled_from(DEFAULT_KEYS),
    st.sampled_from(["", "_value", "2"]),
    st.sampled_from([str, str.upper, str.title]),
)
WORDS = st.text("abcXYZ019", max_size=6).map(lambda text: f"{MARK}-{text}")
TEXTS = st.builds(lambda a, b: f"{a}{MARK}{b}", st.text(max_size=5), st.text(max_size=5))
HARMLESS = st.none() | st.booleans() | st.integers() | st.text("abc é\"'&=:,{[", max_size=8)
NAMES = st.sampled_from(["id", "name", "title", "detail", "items", "note", "value", "x"])

SECRETS = st.recursive(
    TEXTS,
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(NAMES, inner),
    max_leaves=4,
)
PLANTED = st.dictionaries(KEYS, SECRETS, min_size=1, max_size=2)
"""An object that has secrets under keys that say so."""
MESSAGES = st.builds(
    lambda key, sign, secret: f"it failed: {key}{sign}{secret} (and so on)",
    st.sampled_from(["password", "api_key", "X-Token", "ssn"]),
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
            lambda key, word: f"{quote(key[0])}%{ord(key[1]):x}{key[2:]}={word}", KEYS, WORDS
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
        "path": st.sampled_from(["/api/orders", "/api/reset/{}", "/api/login;token={}"]),
        "path_secret": WORDS,
        "end": st.sampled_from(["echo", "raise", "refuse", "audit"]),
        "message": MESSAGES,
        "chunks": st.sampled_from([7, 1000]),
    }
)


async def endpoint(request: Request) -> Response:
    """Do with a request what applications do with them: answer it, log it, fail."""
    body = await request.body()
    end, message = request.scope["state"]["end"], request.scope["state"]["message"]
    log = request.scope["state"]["logger"]
    log.info("it came: %s", message, extra={"action": "NOTE", "note": message})
    if end == "raise":
        raise LookupError(message)
    if end == "refuse":
        raise HTTPException(409, message)
    if end == "audit":
        old = {"password": "new", "note": message}
        audit(**changes(old, {"password": body.decode()}), note=message, error_message=message)
    answer = Response(body, media_type=request.headers.get("content-type") or None)
    answer.set_cookie("sid", MARK)
    return answer


async def refused(_request: Request, exc: Any) -> Response:
    return JSONResponse({"detail": exc.detail}, exc.status_code)


def send(app: Any, logger: logging.Logger, request: dict[str, Any]) -> None:
    content_type, body = request["body"]
    # Lone surrogates are no UTF-8; a client that sends them sends them escaped.
    data = body.encode("utf-8", "backslashreplace")
    size = request["chunks"]
    try:
        asked(
            app,
            path=request["path"].format(request["path_secret"]) + "?" + request["query"],
            headers={
                **request["headers"],
                "referer": request["referer"],
                "user-agent": request["message"],
                **({"content-type": content_type} if content_type else {}),
            },
            chunks=tuple(data[at : at + size] for at in range(0, len(data), size)) or (b"",),
            state={"end": request["end"], "message": request["message"], "logger": logger},
        )
    except LookupError:
        assert request["end"] == "raise"


def leaks(text: str) -> list[str]:
    """Return what stands around each secret in *text*."""
    return re.findall(rf".{{0,60}}{MARK}.{{0,20}}", text, re.DOTALL)


def test_no_planted_secret_is_found_anywhere(
    faults: LoopbackClickHouse,
    database: str,
    make_handler: Callable[..., AuditHandler],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "audit_handler")
    handler = make_handler(faults.dsn(database), flush_interval_ms=600_000)
    audits = Capture()
    audits.logger.addHandler(handler)
    app = Starlette(
        routes=[
            Route("/api/orders", endpoint, methods=["POST"]),
            Route("/api/reset/{reset_token}", endpoint, methods=["POST"]),
        ],
        middleware=[
            Middleware(
                AuditMiddleware,
                logger=audits.logger,
                request_headers=["content-type", "user-agent", "referer"],
                response_headers=["content-type"],
                session_cookie="sid",
                max_body_bytes=300,
            )
        ],
        exception_handlers={HTTPException: refused},
    )

    @settings(
        max_examples=300,
        deadline=None,  # the first example pays for imports
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(REQUESTS)
    def nothing_is_in_the_rows_of(request: dict[str, Any]) -> None:
        audits.lines.clear()
        send(app, audits.logger, request)
        assert audits.lines
        assert [] == leaks("".join(audits.lines))

    nothing_is_in_the_rows_of()
    waiting = handler.status().rows_waiting
    spool = b"".join(path.read_bytes() for path in tmp_path.rglob("*.open"))
    said = [repr(handler), str(handler.status())]
    assert handler.flush()
    said += [repr(handler), str(handler.status()), *(r.getMessage() for r in caplog.records)]
    stored = faults.query(f"SELECT * FROM {database}.audit_logs")

    assert waiting == len(stored) > 300
    assert spool.count(b"\n") > 0
    assert [] == leaks(spool.decode())
    assert [] == leaks("\n".join(said))
    assert [] == leaks(json.dumps(stored, default=str))
