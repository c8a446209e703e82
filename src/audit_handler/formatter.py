"""
`AuditJsonFormatter`: prints audit events as the rows that are stored, and other records as ordinary
JSON lines.

Only this module imports python-json-logger::

    "formatters": {"json": {"()": "audit_handler.formatter.AuditJsonFormatter"}},
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any

from pythonjsonlogger.core import BaseJsonFormatter

from audit_handler import context
from audit_handler._record.encoder import RecordEncoder
from audit_handler._record.plain import Unencodable, encode_plain
from audit_handler._record.redaction import Redactor

__all__ = ["AuditJsonFormatter"]

# Both kinds of lines use the same names for these fields.
_ORDINARY: dict[str, Any] = {
    "timestamp": "event_time",
    "rename_fields": {"levelname": "level", "name": "logger"},
}
# The handler's default batch_bytes, which limits a row.
_ROW_BYTES = 8 * 1024 * 1024


class AuditJsonFormatter(BaseJsonFormatter):
    """
    Prints an audit event as the row that `AuditHandler` stores, and any other record as
    python-json-logger prints it. One line each, with secrets redacted. Safe to call from several
    threads.

    A printed row has no *writer_id* and *seq*, which number the rows of the table. It has an
    *event_id* only if the record has one: the handler makes the id in the table.

    Args:
        fmt: Fields of an ordinary line, in addition to its time and its extras, in a form that
            python-json-logger accepts; by default level, logger and message.
        args: *datefmt*, *style* and *validate* of `logging.Formatter`.
        service_name: Value of the column *service_name* for audit events without one.
        redact_keys: Parts of key names to redact in addition to the default ones.
        redact_except: Names of keys whose values stay, whatever else says that they are secret.
        redact_patterns: Regular expressions of secrets in texts, in addition to the known ones.
        redact_default_keys: False redacts *redact_keys* and *redact_patterns* only.
        max_value_bytes: The most UTF-8 bytes of one value of an audit event; a longer value is cut.
        options: Those of ``pythonjsonlogger.core.BaseJsonFormatter``, for the ordinary lines:
            *rename_fields*, *static_fields* and so on.
    """

    def __init__(
        self,
        fmt: str | Sequence[str] | None = None,
        *args: Any,
        service_name: str = "",
        redact_keys: Iterable[str] = (),
        redact_except: Iterable[str] = (),
        redact_patterns: Iterable[str] = (),
        redact_default_keys: bool = True,
        max_value_bytes: int = 64 * 1024,
        **options: Any,
    ) -> None:
        super().__init__(fmt or ["levelname", "name", "message"], *args, **{**_ORDINARY, **options})
        self._redactor = Redactor(
            redact_keys,
            exceptions=redact_except,
            patterns=redact_patterns,
            use_default_keys=redact_default_keys,
        )
        self._encoder = RecordEncoder(
            redactor=self._redactor,
            context=context.current,
            service_name=service_name,
            max_value_bytes=max_value_bytes,
            max_row_bytes=_ROW_BYTES,
            now=time.time,
            makes_ids=False,
        )

    def format(self, record: logging.LogRecord) -> str:
        """Return *record* as one line of JSON."""
        if record.__dict__.get("action") is None:
            return super().format(record)
        line, _ = self._encoder.encode(record)
        return self.prefix + line.decode()

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Return the fields of an ordinary record, redacted."""
        cleaned: dict[str, Any] = self._redactor.clean(log_data)
        return cleaned

    def jsonify_log_record(self, log_data: dict[str, Any]) -> str:
        """Return the redacted fields as JSON."""
        try:
            return encode_plain(log_data).decode()
        except Unencodable:
            # It has a lone surrogate, which UTF-8 cannot hold; json escapes it.
            return json.dumps(log_data)
