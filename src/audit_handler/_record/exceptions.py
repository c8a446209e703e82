"""Read the exception that a log record carries. Never raises, even if the exception's code does."""

from __future__ import annotations

import logging
import traceback
from typing import Any

__all__ = ["exception_of", "stack_of"]


def exception_of(record: logging.LogRecord) -> BaseException | None:
    """Return the exception object of *record*, or None if there is only its text."""
    info: Any = record.exc_info
    error = info[1] if isinstance(info, tuple) and len(info) == 3 else info
    return error if isinstance(error, BaseException) else None


def stack_of(error: BaseException) -> str:
    """Return the traceback of *error* as text."""
    try:
        return "".join(traceback.format_exception(type(error), error, error.__traceback__))
    except Exception as exc:  # noqa: BLE001  # formatting calls the exception's own __str__
        return f"<unreadable stack: {type(exc).__name__}>"
