"""
Health and status as ASGI applications, for routes of Starlette and FastAPI, or any other server.

    for path in ("/health", "/health/live", "/health/ready"):
        app.add_route(path, HealthApp())
    app.add_route("/admin/audit-status", StatusApp(authorize=is_admin))

Routes, because Starlette's ``mount`` would send who asks for ``/health`` to ``/health/``. Plain
ASGI: needs no framework. For Flask see `audit_handler.flask`.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from importlib import import_module
from typing import Any, TypeVar

from audit_handler._http.pages import (
    HEADERS,
    MAX_WAITING_SECONDS,
    PUBLIC,
    HealthPages,
    Page,
    StatusPages,
    check_authorize,
)
from audit_handler.handler import AuditHandler

__all__ = ["PUBLIC", "HealthApp", "StatusApp"]

_T = TypeVar("_T")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class HealthApp:
    """
    Answers whether the process is alive and ready to audit: paths that end in ``/live`` and
    ``/ready``, and any other path for both. 200, or 503 with the reasons.

    Not ready: a spool is full, rows have waited longer than the bound, or there is no handler. The
    page tells no secrets and asks nobody. It never blocks the event loop: it takes no lock, and
    touches neither disk nor network.

    Args:
        handlers: The handler, or several; by default all open ones of this process.
        max_waiting_seconds: How long rows may wait, by default 15 minutes; None for no bound, so
            that an outage of ClickHouse never takes the application out of its load balancer.

    Raises:
        ConfigurationError: An argument cannot work.
    """

    def __init__(
        self,
        handlers: AuditHandler | Iterable[AuditHandler] | None = None,
        *,
        max_waiting_seconds: float | None = MAX_WAITING_SECONDS,
    ) -> None:
        self._pages = HealthPages(handlers, max_waiting_seconds)

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if await _is_readable(scope, send):
            last = scope["path"].rstrip("/").rpartition("/")[2]
            await _answer(scope, send, self._pages.page(last))


class StatusApp:
    """
    Answers what the handlers have done so far, as JSON: one object each with the fields of
    `audit_handler.Status`, and ``spool_usage`` (share of the limit), ``success_rate`` (share of
    the attempts to store a batch that succeeded, null before the first).

    Args:
        authorize: Called with the ASGI scope, sync or async; the page is shown if its answer is
            true, else 403. What it raises goes to the framework. `PUBLIC` shows it to everybody.
        handlers: The handler, or several; by default all open ones of this process.
        by_user: Add ``waiting_by_user``: the rows in the spool by *agent_id*. Off by default,
            because they are read for it, in a thread: at most 16 MiB of each handler;
            ``waiting_by_user_is_complete`` says whether that, and 100 users, were enough.

    Raises:
        ConfigurationError: *authorize* is None, or cannot be called.
    """

    def __init__(
        self,
        *,
        authorize: Callable[[Scope], object],
        handlers: AuditHandler | Iterable[AuditHandler] | None = None,
        by_user: bool = False,
    ) -> None:
        self._authorize = check_authorize(authorize)
        self._pages = StatusPages(handlers, by_user=by_user)

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if not await _is_readable(scope, send):
            return
        answer = self._authorize(scope)
        if inspect.isawaitable(answer):
            answer = await answer
        if not answer:
            await _answer(scope, send, Page.of(403, {"detail": "not allowed"}))
        elif self._pages.reads_files:
            await _answer(scope, send, await _in_thread(self._pages.page))
        else:
            await _answer(scope, send, self._pages.page())


async def _is_readable(scope: Scope, send: Send) -> bool:
    """Refuse all but GET and HEAD."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000})
        return False
    if scope["type"] != "http":
        raise ValueError(f"a status page knows no {scope['type']}")
    if scope["method"] in ("GET", "HEAD"):
        return True
    await _answer(scope, send, Page.of(405, {"detail": "use GET"}), {"allow": "GET, HEAD"})
    return False


async def _answer(
    scope: Scope, send: Send, page: Page, headers: MutableMapping[str, str] | None = None
) -> None:
    named = {**HEADERS, "content-length": str(len(page.body)), **(headers or {})}
    await send(
        {
            "type": "http.response.start",
            "status": page.status,
            "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        }
    )
    body = b"" if scope["method"] == "HEAD" else page.body
    await send({"type": "http.response.body", "body": body})


async def _in_thread(function: Callable[[], _T]) -> _T:
    """Run *function* in a thread: anyio's, which knows trio, where a framework has loaded it."""
    if "anyio" in sys.modules:
        result: _T = await import_module("anyio.to_thread").run_sync(function)
        return result
    return await asyncio.to_thread(function)
