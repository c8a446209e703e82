"""
`audit`: lets an endpoint set fields of its request's audit event, or skip the event.

The middleware makes one `Said` for each request that it may audit, and a `contextvars.ContextVar`
refers to it. So `audit` works in every copy of the context: in a synchronous endpoint on a thread
of the pool, in a task, in the generator of a streaming response.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from audit_handler._record.plain import plain
from audit_handler._reports import Reporter

__all__ = ["CURRENT", "Said", "audit"]

_logger = Reporter("audit_handler.request")


class Said:
    """
    The fields that the application sets for one request's audit event. Safe to use from threads.
    """

    __slots__ = ("fields", "is_logged", "is_skipped")

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.is_skipped = False
        self.is_logged = False


# The fields for the current request of this context.
CURRENT: ContextVar[Said | None] = ContextVar("audit_handler_request", default=None)


def audit(*, skip: bool | None = None, **fields: Any) -> bool:
    """
    Set fields of the current request's audit event, or skip the event.

    These fields win over bound fields, over the policy, and over the fields that the middleware
    found. A second call adds fields, and replaces those of the same name. Values are copied during
    the call, so the application may change them later. Call it from any thread or task that has
    the request's context; synchronous endpoints, dependencies and streaming generators have it.

    The event is logged just before the last chunk of the response is sent. A background task, or
    the last ``finally`` of a streaming generator, is too late: there the call logs a warning that
    names the fields, and does nothing else. Log a separate audit event there.

    Args:
        skip: True to log no event for this request, False to log it after all.
        **fields: Columns by name. Other names go to *metadata*.

    Returns:
        Whether the call had an effect. False outside of a request, in a request that the policy
        does not audit, and after the event was logged. Raises nothing, so shared code may call this
        anywhere.
    """
    said = CURRENT.get()
    if said is None:
        return False
    if said.is_logged:
        names = ", ".join(sorted(fields)) or "skip"
        _logger.warning(
            "audit() was called after the request's audit event was logged: %s not recorded; "
            "log a separate audit event there",
            names,
        )
        return False
    if skip is not None:
        said.is_skipped = skip
    if fields:
        # Copies without redaction: the handler redacts, because it knows all secret keys.
        said.fields.update((name, plain(value)) for name, value in fields.items())
    return True
