"""
`audit`: lets an endpoint set fields of its own request's audit, or skip the audit.

The middleware makes one `Said` for each request that it may audit, and a `contextvars.ContextVar`
refers to it. So `audit` works wherever the context was copied to: in a synchronous endpoint on a
thread of the pool, in a task, in the generator of a streaming response.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Any

from audit_handler._record.redaction import Redactor

__all__ = ["CURRENT", "Said", "audit"]

_logger = logging.getLogger("audit_handler.request")

# Copies and redacts nothing: the handler redacts, because it knows all secret keys.
_copier = Redactor(use_default_keys=False)


class Said:
    """The fields that the application sets for one request's audit. Safe to use from threads."""

    __slots__ = ("fields", "is_logged", "is_skipped")

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.is_skipped = False
        self.is_logged = False


# Of the request that is being answered in this context.
CURRENT: ContextVar[Said | None] = ContextVar("audit_handler_request", default=None)


def audit(*, skip: bool | None = None, **fields: Any) -> bool:
    """
    Set fields of the current request's audit, or skip the audit.

    These fields win over bound fields, over the policy, and over the fields that the middleware
    found. A second call adds fields, and replaces those of the same name. Values are copied during
    the call, so the application may change them later. Call it from any thread or task that has
    the request's context; synchronous endpoints, dependencies and streaming generators have it.

    The audit is logged just before the last chunk of the response is sent. A background task, or
    the last ``finally`` of a streaming generator, is too late: there the call logs a warning that
    names the fields, and does nothing else. Log a separate audit there.

    Args:
        skip: True to log no audit of this request, False to log it after all.
        **fields: Columns by name. Other names go to *metadata*.

    Returns:
        Whether the request's audit accepted the call. False outside of a request, in a request that
        the policy does not audit, and after the audit was logged. Nothing is raised, so shared code
        may call this anywhere.
    """
    said = CURRENT.get()
    if said is None:
        return False
    if said.is_logged:
        names = ", ".join(sorted(fields)) or "skip"
        _logger.warning(
            "audit() was called after the request's audit was logged: %s not recorded; "
            "log a separate audit there",
            names,
        )
        return False
    if skip is not None:
        said.is_skipped = skip
    if fields:
        said.fields.update((name, _copier.clean(value)) for name, value in fields.items())
    return True
