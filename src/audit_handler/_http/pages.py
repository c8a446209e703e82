"""
Health and status of the handlers, as pages: what they say, without any web framework.

They report this process. Where an application runs in several, each answers for itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

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

MAX_WAITING_SECONDS = 900.0
"""
Seconds that rows may wait before *ready* is answered with 503. A restart or an upgrade of
ClickHouse takes less; and the longer the bound, the later an outage of ClickHouse takes the
application out of its load balancer.
"""

HEADERS = {"content-type": "application/json", "cache-control": "no-store"}

_MAX_USERS = 100
# Listed by name; a page is for people.


def PUBLIC(_asker: object) -> bool:
    """As *authorize*: everybody may read the status, and that is meant."""
    return True


def check_authorize(authorize: Any) -> Callable[[Any], Any]:
    """
    Return *authorize* if it can be asked.

    Raises:
        ConfigurationError: It is None or no callable.
    """
    if not callable(authorize):
        raise ConfigurationError(
            f"authorize={authorize!r} is no callable; give one that says who may read the status, "
            "or PUBLIC for everybody"
        )
    answer: Callable[[Any], Any] = authorize
    return answer


@dataclass(frozen=True, slots=True)
class Page:
    """An answer: HTTP status and JSON."""

    status: int
    body: bytes

    @classmethod
    def of(cls, status: int, content: Any) -> Page:
        return cls(status, encode(content))


Handlers = AuditHandler | Iterable[AuditHandler] | None


def _chosen(handlers: Handlers) -> Callable[[], Sequence[AuditHandler]]:
    if handlers is None:
        return open_handlers
    chosen = [handlers] if isinstance(handlers, AuditHandler) else list(handlers)
    return lambda: chosen


class HealthPages:
    """
    Whether the process lives, and whether it is ready: no handler's spool is full, and no row
    waits longer than *max_waiting_seconds* (None: however long).

    Says nothing that must be hidden, takes no lock, touches no disk and no network.
    """

    def __init__(self, handlers: Handlers, max_waiting_seconds: float | None) -> None:
        is_number = isinstance(max_waiting_seconds, int | float)
        if max_waiting_seconds is not None and not (is_number and max_waiting_seconds > 0):
            raise ConfigurationError(
                f"max_waiting_seconds={max_waiting_seconds!r} is no number above 0; give seconds, "
                "or None for no bound"
            )
        self._handlers = _chosen(handlers)
        self._max_waiting_seconds = max_waiting_seconds

    def page(self, which: str) -> Page:
        """Return the page *which*: ``live``, ``ready``, or any other word for both."""
        if which == "live":
            return Page.of(200, {"live": True})
        reasons = self._reasons()
        both = {} if which == "ready" else {"live": True}
        return Page.of(503 if reasons else 200, {**both, "ready": not reasons, "reasons": reasons})

    def _reasons(self) -> list[str]:
        handlers = self._handlers()
        reasons = [] if handlers else ["no AuditHandler is open"]
        for status in (handler.status() for handler in handlers):
            if status.is_full:
                reasons.append("the spool is full")
            bound, waited = self._max_waiting_seconds, status.oldest_waiting_seconds
            if bound is not None and waited > bound:
                reasons.append(f"audit rows have waited {waited:.0f} s; the bound is {bound:g} s")
        return reasons


class StatusPages:
    """
    What the handlers have done so far.

    With *by_user* the rows that wait are read and counted by user, at most 16 MiB of each handler
    and by one caller at a time; the page must then not be made on an event loop.
    """

    def __init__(self, handlers: Handlers, *, by_user: bool) -> None:
        self._handlers = _chosen(handlers)
        self.reads_files = by_user
        self._reading = threading.Lock()

    def page(self) -> Page:
        return Page.of(200, {"handlers": [self._told(each) for each in self._handlers()]})

    def _told(self, handler: AuditHandler) -> dict[str, Any]:
        status = handler.status()
        told = asdict(status)
        told["last_error"] = handler.redactor.clean_text(status.last_error)
        told["spool_usage"] = status.bytes_waiting / status.max_spool_bytes
        told["success_rate"] = _success_rate(status)
        if self.reads_files:
            told["waiting_by_user"], told["waiting_by_user_is_complete"] = self._users(handler)
        return told

    def _users(self, handler: AuditHandler) -> tuple[dict[str, int], bool]:
        # Who asks again while a disk hangs must not pile up threads.
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
    """Return which share of the attempts to store a batch succeeded; None before the first."""
    attempts = status.batches_stored + status.retries
    return status.batches_stored / attempts if attempts else None
