"""
What an endpoint says of its own request's audit: fields that it adds or overrides, or that there is
to be none.

Kept in an object that the middleware makes for each request it may audit, and that a
`contextvars.ContextVar` points to. So what is said counts wherever the context was copied to: in a
synchronous endpoint on a thread of the pool, in a task, in a generator of a streaming response.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Any

from audit_handler._record.redaction import Redactor

__all__ = ["CURRENT", "Said", "audit"]

_logger = logging.getLogger("audit_handler.request")

_copier = Redactor(use_default_keys=False)
# Copies, and redacts nothing: that is the handler's business, which knows all the keys.


class Said:
    """What the application said of one request's audit. Safe to use from several threads."""

    __slots__ = ("fields", "is_logged", "is_skipped")

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.is_skipped = False
        self.is_logged = False


CURRENT: ContextVar[Said | None] = ContextVar("audit_handler_request", default=None)
"""What is said of the request that is being answered in this context."""


def audit(*, skip: bool | None = None, **fields: Any) -> bool:
    """
    Add *fields*, named like the columns, to the audit of the request that is being answered here.

    They win over what was bound, over the policy, and over what the middleware worked out. Called
    again, it adds; a name that was given already is replaced. Values are copied now, so the
    application may go on changing them. Call it from any thread or task that has the request's
    context: synchronous endpoints, dependencies and streaming generators have it.

    The audit is logged just before the last chunk of the response is sent. A background task comes
    too late for it: there, as in a generator's last ``finally``, this logs a warning that names the
    fields and does nothing else; log an audit of its own instead.

    Args:
        skip: True: log no audit of this request at all. False: log it after all.
        **fields: Columns by name; other names go to *metadata*.

    Returns:
        Whether the request's audit takes it. False outside of a request, in one that the policy
        does not audit, and after the audit was logged; nothing is raised there, so that code may
        call this that does not know where it runs.
    """
    said = CURRENT.get()
    if said is None:
        return False
    if said.is_logged:
        names = ", ".join(sorted(fields)) or "skip"
        _logger.warning("audit() came too late for its request's audit: %s not recorded", names)
        return False
    if skip is not None:
        said.is_skipped = skip
    if fields:
        said.fields.update((name, _copier.clean(value)) for name, value in fields.items())
    return True
