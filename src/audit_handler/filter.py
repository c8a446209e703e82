"""
`AuditContextFilter`: who and which request, on every record, for the formats that print them.
"""

from __future__ import annotations

import logging

from audit_handler._record.span_ids import active_span_ids
from audit_handler.context import Placeholder, current

__all__ = ["AuditContextFilter"]


class AuditContextFilter(logging.Filter):
    """
    Puts ``request_id``, ``trace_id`` and ``agent_id`` on every record, so that the log lines which
    an application has already can print them::

        "filters": {"context": {"()": "audit_handler.AuditContextFilter"}},
        "formatters": {"line": {"format": "%(levelname)s %(request_id)s %(message)s"}},

    They are what an audit of this moment has in its columns: the record's own extra, else for the
    two ids the active OpenTelemetry span, else what is bound. No record is held back. On a
    `logging.handlers.QueueHandler` the filter also takes them along to the other thread, where
    neither span nor context is to be seen.

    Args:
        default: Printed where there is none, and never stored.
    """

    def __init__(self, *, default: str = "-") -> None:
        super().__init__()
        self._default = Placeholder(default)

    def filter(self, record: logging.LogRecord) -> bool:
        """Complete *record*, and pass it on."""
        attributes = record.__dict__
        span = active_span_ids()
        bound = current()
        for name in ("request_id", "trace_id", "agent_id"):
            given = attributes.get(name)
            from_span = span[0] if span and name != "agent_id" else None
            # An empty extra counts, as in a row, but where the span knows better.
            is_empty = type(given) is str and not given
            if given is None or type(given) is Placeholder or (from_span and is_empty):
                value = from_span or bound.get(name)
                attributes[name] = self._default if value is None else value
        return True
