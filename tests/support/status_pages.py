"""Request the health and status pages as an ASGI server does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from audit_handler import AuditHandler

MakeHandler = Callable[..., AuditHandler]


NOBODY = "http://app:hunter2@127.0.0.1:1/audit_db"


AUDIT = {"action": "CREATE", "resource_type": "order"}


async def answer(
    app: Any, path: str = "/", method: str = "GET", kind: str = "http"
) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        raise AssertionError("there is nothing to read")

    await app({"type": kind, "path": path, "method": method, "headers": []}, receive, send)
    return sent


def ask(app: Any, path: str = "/", method: str = "GET") -> tuple[int, Any]:
    start, body = asyncio.run(answer(app, path, method))
    headers = dict(start["headers"])
    assert (b"application/json", b"no-store") == (
        headers[b"content-type"],
        headers[b"cache-control"],
    )
    return start["status"], json.loads(body["body"]) if body["body"] else None
