"""
`AuditJsonFormatter`: audits as JSON lines for stdout or a file, the row that is stored; other
records as ordinary ones.

A room of its own, because python-json-logger is imported here only::

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

_ORDINARY: dict[str, Any] = {
    "timestamp": "event_time",
    "rename_fields": {"levelname": "level", "name": "logger"},
}
# What both kinds of lines have, they have under one name.
_ROW_BYTES = 8 * 1024 * 1024
# As many as the handler's batch_bytes allows a row by default.


class AuditJsonFormatter(BaseJsonFormatter):
    """
    Prints an audit as the row that `AuditHandler` stores, and any other record as python-json-
    logger prints it, with the secrets out. One line each. Safe to call from several threads.

    A printed row has no *writer_id* and *seq*, which number what is in the table, and no
    *event_id* unless the record brings one: the one that the table has is made by the handler.

    Args:
        fmt: Fields of an ordinary line besides its time and its extras, as python-json-logger
            takes them; by default level, logger and message.
        args: *datefmt*, *style* and *validate* of `logging.Formatter`.
        service_name: Column *service_name* of audits that bring none.
        redact_keys: Parts of key names to redact besides the default ones.
        redact_default_keys: False to redact *redact_keys* only.
        max_value_bytes: UTF-8 bytes that a value of an audit may have before it is cut.
        options: Those of ``pythonjsonlogger.core.BaseJsonFormatter``, for the ordinary lines:
            *rename_fields*, *static_fields* and so on.
    """

    def __init__(
        self,
        fmt: str | Sequence[str] | None = None,
        *args: Any,
        service_name: str = "",
        redact_keys: Iterable[str] = (),
        redact_default_keys: bool = True,
        max_value_bytes: int = 64 * 1024,
        **options: Any,
    ) -> None:
        super().__init__(fmt or ["levelname", "name", "message"], *args, **{**_ORDINARY, **options})
        self._redactor = Redactor(redact_keys, use_default_keys=redact_default_keys)
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
        """Return what is known of an ordinary record, with the secrets out."""
        cleaned: dict[str, Any] = self._redactor.clean(log_data)
        return cleaned

    def jsonify_log_record(self, log_data: dict[str, Any]) -> str:
        """Return a cleaned record as JSON."""
        try:
            return encode_plain(log_data).decode()
        except Unencodable:
            # A lone surrogate, which no UTF-8 file takes: escaped.
            return json.dumps(log_data)
