"""`AuditContextFilter`: puts the ids of request, trace and user on every record, to print them."""

from __future__ import annotations

import logging
from typing import Any

from audit_handler._record.redaction import Redactor
from audit_handler._record.span_ids import active_span_ids
from audit_handler.context import Placeholder, current

__all__ = ["AuditContextFilter"]

_redactor = Redactor()


class AuditContextFilter(logging.Filter):
    """
    Puts ``request_id``, ``trace_id`` and ``agent_id`` on every record, for the format of
    ordinary log lines::

        "filters": {"context": {"()": "audit_handler.AuditContextFilter"}},
        "formatters": {"line": {"format": "%(levelname)s %(request_id)s %(message)s"}},

    The values are those of an audit event at this moment: the record's own extra, else (not for
    *agent_id*) the trace id of the active OpenTelemetry span, else the bound field. The filter
    rejects no record. A secret in a text is redacted, and what does not print is escaped: a client
    that chooses its own id must not forge a log line.

    On a `logging.handlers.QueueHandler` it also passes the values to the other thread, which has
    neither the span nor the context.

    Args:
        default: Printed for a missing value. It is never stored.
    """

    def __init__(self, *, default: str = "-") -> None:
        super().__init__()
        self._default = Placeholder(default)

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the three values to *record*, and accept it."""
        attributes = record.__dict__
        span = active_span_ids()
        bound = current()
        for name in ("request_id", "trace_id", "agent_id"):
            given = attributes.get(name)
            from_span = span[0] if span and name != "agent_id" else None
            # An empty extra counts, as in a row, unless a span has the value.
            is_empty = type(given) is str and not given
            if given is None or type(given) is Placeholder or (from_span and is_empty):
                given = from_span or bound.get(name)
            attributes[name] = self._default if given is None else _shown(given)
        return True


def _shown(value: Any) -> Any:
    """Return *value* as it may be printed in a line."""
    if type(value) is not str:
        return value
    text = _redactor.clean_text(value)
    return text if text.isprintable() else "".join(map(_printable, text))


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode()
