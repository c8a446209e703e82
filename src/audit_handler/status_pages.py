"""
Health and status as ASGI applications, for the routes of Starlette, FastAPI or any ASGI server.

    for path in ("/health", "/health/live", "/health/ready"):
        app.add_route(path, HealthApp())
    app.add_route("/admin/audit-status", StatusApp(authorize=is_admin))

Use routes, because Starlette's ``mount`` would redirect ``/health`` to ``/health/``. These are
plain ASGI and need no framework. For Flask see `audit_handler.flask`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping

from audit_handler._http.asgi_types import Receive, Scope, Send
from audit_handler._http.pages import (
    HEADERS,
    MAX_WAITING_SECONDS,
    PUBLIC,
    HealthPages,
    Page,
    StatusPages,
    check_authorize,
)
from audit_handler._http.threads import run_in_thread
from audit_handler.handler import AuditHandler

__all__ = ["PUBLIC", "HealthApp", "StatusApp"]


class HealthApp:
    """
    Answers whether the process is alive and ready to audit: 200, or 503 with the reasons.

    A path that ends in ``/live`` or ``/ready`` answers one of the two questions, any other path
    both. The process is not ready if a spool is full, rows have waited longer than the bound, or no
    handler is open. The page contains no secrets and needs no authorization. It never blocks the
    event loop: it acquires no lock and uses neither disk nor network.

    Args:
        handlers: The handler, or several; by default all open handlers of this process.
        max_waiting_seconds: Seconds that rows may wait; by default 900. None for no bound: then an
            outage of ClickHouse never takes the application out of its load balancer.

    Raises:
        ConfigurationError: An argument is not valid.
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
    Answers with the status of the handlers as JSON.

    There is one JSON object for each handler. It has the fields of `audit_handler.Status`, and
    ``spool_usage`` (share of the limit) and ``success_rate`` (share of the attempts to store a
    batch that succeeded; null before the first attempt).

    Args:
        authorize: Called with the ASGI scope, sync or async. If its answer is false, the response
            is 403. An exception from it goes to the framework. `PUBLIC` shows the page to everyone.
        handlers: The handler, or several; by default all open handlers of this process.
        by_user: Add ``waiting_by_user``: the number of rows in the spool by *agent_id*. Off by
            default, because a thread must read the rows, at most 16 MiB of each handler.
            ``waiting_by_user_is_complete`` says whether 16 MiB and 100 users covered all rows.

    Raises:
        ConfigurationError: *authorize* cannot be called.
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
            await _answer(scope, send, await run_in_thread(self._pages.page))
        else:
            await _answer(scope, send, self._pages.page())


async def _is_readable(scope: Scope, send: Send) -> bool:
    """Return whether the request is GET or HEAD; answer any other."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000})
        return False
    if scope["type"] != "http":
        raise ValueError(f"a status page serves only HTTP, not {scope['type']!r}")
    if scope["method"] in ("GET", "HEAD"):
        return True
    await _answer(scope, send, Page.of(405, {"detail": "use GET"}), {"allow": "GET, HEAD"})
    return False


async def _answer(
    scope: Scope, send: Send, page: Page, headers: Mapping[str, str] | None = None
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
