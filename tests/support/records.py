"""Log records, and the rows that an encoder makes from them."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import datetime, timezone
from types import TracebackType
from typing import Any

from audit_handler._record.encoder import RecordEncoder
from audit_handler._record.redaction import Redactor

NOW = datetime(2026, 11, 23, 3, 4, 5, 123456, timezone.utc)
MAX_ROW_BYTES = 65_536 - 128


def encoder_with(**options: Any) -> RecordEncoder:
    defaults: dict[str, Any] = {
        "redactor": Redactor(),
        "context": dict,
        "service_name": "",
        "max_value_bytes": 65_536,
        "max_row_bytes": 8 * 1024 * 1024,
        "now": NOW.timestamp,
    }
    return RecordEncoder(**{**defaults, **options})


def record_of(extra: Mapping[Any, Any] | None = None, **attributes: Any) -> logging.LogRecord:
    """Return a record as `Logger.makeRecord` makes it, without its checks."""
    record = logging.LogRecord("app", logging.INFO, "app.py", 1, "done", (), None)
    record.created = NOW.timestamp()
    record.__dict__.update({**(extra or {}), **attributes})
    return record


def decoded(encoder: RecordEncoder, record: logging.LogRecord) -> dict[str, Any]:
    """Return the row that ClickHouse would read."""
    row: dict[str, Any] = json.loads(encoder.encode(record)[0])
    return row


def row_of(
    extra: Mapping[Any, Any] | None = None, *, bound: Mapping[str, Any] | None = None, **extras: Any
) -> dict[str, Any]:
    """Return the row that ClickHouse would read."""
    return decoded(encoder_with(context=lambda: bound or {}), record_of(extra, **extras))


def error_info() -> tuple[type[BaseException], BaseException, TracebackType | None]:
    try:
        raise ValueError("no such user")
    except ValueError as exc:
        return type(exc), exc, exc.__traceback__
