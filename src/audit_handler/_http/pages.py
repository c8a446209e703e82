"""
The content of the health and status pages, without a web framework.

A page reports on this process only. If an application runs in several, each answers for itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from audit_handler._http.watch import obstacles
from audit_handler._record.plain import encode
from audit_handler.errors import ConfigurationError
from audit_handler.handler import AuditHandler, open_handlers
from audit_handler.status import Status

__all__ = [
    "HEADERS",
    "MAX_WAITING_SECONDS",
    "PUBLIC",
    "HealthPages",
    "Page",
    "StatusPages",
    "check_authorize",
]

# Seconds that rows may wait before *ready* answers 503. A restart or an upgrade of ClickHouse takes
# less; a longer bound keeps the application in its load balancer longer when ClickHouse is down.
MAX_WAITING_SECONDS = 900.0

HEADERS = {"content-type": "application/json", "cache-control": "no-store"}

# The most users to list by name, because people read the page.
_MAX_USERS = 100


def PUBLIC(_asker: object) -> bool:
    """Pass it as *authorize* to let everyone read the status."""
    return True


def check_authorize(authorize: Any) -> Callable[[Any], Any]:
    """
    Return *authorize* if it can be called.

    Raises:
        ConfigurationError: It cannot be called.
    """
    if not callable(authorize):
        raise ConfigurationError(
            f"authorize={authorize!r} cannot be called; give a function that returns whether the "
            "caller may read the status, or PUBLIC to let everyone read it"
        )
    answer: Callable[[Any], Any] = authorize
    return answer


@dataclass(frozen=True, slots=True)
class Page:
    """A response: HTTP status and JSON."""

    status: int
    body: bytes

    @classmethod
    def of(cls, status: int, content: Any) -> Page:
        """Return a page with *content* as JSON."""
        return cls(status, encode(content))


Handlers = AuditHandler | Iterable[AuditHandler] | None


def _chosen(handlers: Handlers) -> Callable[[], Sequence[AuditHandler]]:
    if handlers is None:
        return open_handlers
    chosen = [handlers] if isinstance(handlers, AuditHandler) else list(handlers)
    return lambda: chosen


class HealthPages:
    """
    Whether the process is alive, and whether it is ready to audit.

    It is ready if a handler is open, nothing keeps the events of a middleware from every handler,
    no spool is full, and no row has waited longer than
    *max_waiting_seconds* (None for no bound). The pages contain no secrets. Making a page acquires
    no lock and uses neither disk nor network.
    """

    def __init__(self, handlers: Handlers, max_waiting_seconds: float | None) -> None:
        is_number = isinstance(max_waiting_seconds, int | float)
        if max_waiting_seconds is not None and not (is_number and max_waiting_seconds > 0):
            raise ConfigurationError(
                f"max_waiting_seconds={max_waiting_seconds!r} is not a number above 0; give "
                "seconds, or None for no bound"
            )
        self._handlers = _chosen(handlers)
        self._max_waiting_seconds = max_waiting_seconds

    def page(self, which: str) -> Page:
        """Return the page called *which*: ``live``, ``ready``, or any other name for both."""
        if which == "live":
            return Page.of(200, {"live": True})
        reasons = self._reasons()
        both = {} if which == "ready" else {"live": True}
        return Page.of(503 if reasons else 200, {**both, "ready": not reasons, "reasons": reasons})

    def _reasons(self) -> list[str]:
        handlers = self._handlers()
        reasons = [] if handlers else ["no AuditHandler is open"]
        reasons += obstacles()
        for status in (handler.status() for handler in handlers):
            reasons += [obstacle for obstacle in status.obstacles if obstacle not in reasons]
            if status.is_full:
                reasons.append("the spool is full")
            bound, waited = self._max_waiting_seconds, status.oldest_waiting_seconds
            if bound is not None and waited > bound:
                reasons.append(f"audit rows have waited {waited:.0f} s; the bound is {bound:g} s")
        return reasons


class StatusPages:
    """
    The status of the handlers.

    With *by_user*, making a page reads the waiting rows and counts them by user, at most 16 MiB of
    each handler and for one caller at a time. Do not make such a page on an event loop.
    """

    def __init__(self, handlers: Handlers, *, by_user: bool) -> None:
        self._handlers = _chosen(handlers)
        self.reads_files = by_user
        self._reading = threading.Lock()

    def page(self) -> Page:
        """Return the page."""
        handlers = [self._content(each) for each in self._handlers()]
        return Page.of(200, {"handlers": handlers, "obstacles": obstacles()})

    def _content(self, handler: AuditHandler) -> dict[str, Any]:
        status = handler.status()
        content = asdict(status)
        content["last_error"] = handler.redactor.clean_text(status.last_error)
        content["spool_usage"] = status.bytes_waiting / status.max_spool_bytes
        content["success_rate"] = _success_rate(status)
        if self.reads_files:
            counts, is_complete = self._users(handler)
            content["waiting_by_user"] = counts
            content["waiting_by_user_is_complete"] = is_complete
        return content

    def _users(self, handler: AuditHandler) -> tuple[dict[str, int], bool]:
        # Repeated requests must not fill the pool of threads while a disk hangs.
        if not self._reading.acquire(blocking=False):
            return {}, False
        try:
            counts, is_complete = handler.waiting_by_user()
        except OSError:
            return {}, False
        finally:
            self._reading.release()
        most = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        return dict(most[:_MAX_USERS]), is_complete and len(most) <= _MAX_USERS


def _success_rate(status: Status) -> float | None:
    """Return the share of attempts to store a batch that succeeded; None before the first."""
    attempts = status.batches_stored + status.retries
    return status.batches_stored / attempts if attempts else None
