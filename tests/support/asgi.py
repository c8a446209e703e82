"""A server for ASGI applications without a socket, and a handler that keeps audit events."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from audit_handler import context
from audit_handler._record.encoder import RecordEncoder
from audit_handler._record.redaction import Redactor

Message = dict[str, Any]
DISCONNECT = {"type": "http.disconnect"}


class Capture(logging.Handler):
    """
    Keeps the rows, formed at the call as by the real handler, and their encoded lines.
    """

    def __init__(self, redact_keys: Iterable[str] = ()) -> None:
        super().__init__()
        self.logger = private_logger(logging.INFO, self)
        self.rows: list[dict[str, Any]] = []
        self.lines: list[str] = []
        self._encoder = RecordEncoder(
            redactor=Redactor(redact_keys),
            context=context.current,
            service_name="",
            max_value_bytes=65_536,
            max_row_bytes=8_000_000,
            now=time.time,
        )

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self._encoder.encode(record)[0].decode())
        self.rows.append(json.loads(self.lines[-1]))

    @property
    def row(self) -> dict[str, Any]:
        (row,) = self.rows
        return row


def private_logger(level: int, *handlers: logging.Handler) -> logging.Logger:
    logger = logging.Logger("audit", level)  # noqa: LOG001  # of one test alone, not the program's
    for handler in handlers:
        logger.addHandler(handler)
    return logger


@dataclass
class Answer:
    """The messages that the application sent to the server."""

    messages: list[Message] = field(default_factory=list)

    def take(self, message: Message) -> None:
        self.messages.append(message)

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {k.decode(): v.decode() for k, v in self.messages[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages[1:])


async def ask(
    app: Any,
    method: str = "POST",
    path: str = "/api/orders",
    *,
    chunks: tuple[bytes | Message, ...] = (b"",),
    headers: dict[str, str] | None = None,
    answer: Answer | None = None,
    **scope: Any,
) -> Answer:
    """
    Send a request as a server does: *chunks* one by one, then nothing until the response is
    complete.

    A chunk may be another message instead. Pass *answer* to read it after the application has
    failed.
    """
    answer = Answer() if answer is None else answer
    incoming = [
        {"type": "http.request", "body": c, "more_body": c is not chunks[-1]}
        if isinstance(c, bytes)
        else c
        for c in chunks
    ]

    async def receive() -> Message:
        if incoming:
            return incoming.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        answer.take(message)

    path, _, query = path.partition("?")
    await app(
        {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(k.encode(), v.encode()) for k, v in (headers or {}).items()],
            "client": ("203.0.113.9", 4711),
            "server": ("localhost", 80),
            "state": {},
            **scope,
        },
        receive,
        send,
    )
    return answer


def asked(app: Any, *args: Any, **kwargs: Any) -> Answer:
    return asyncio.run(ask(app, *args, **kwargs))


def as_json(value: Any) -> dict[str, Any]:
    return {
        "chunks": (json.dumps(value).encode(),),
        "headers": {"content-type": "application/json"},
    }
