"""
The reports of this package: log lines about its own trouble, which always reach a person.

A report is an ordinary record of a logger ``audit_handler.*``. Filters and handlers of the
application get it, with four differences:

1. ``disabled`` has no effect: ``dictConfig`` and ``fileConfig`` set it, by default, on every logger
   that they do not name.
2. A warning or an error that no handler takes goes to ``sys.stderr``, as with
   ``logging.lastResort``. A handler does not take a record that its level or a filter rejects. A
   ``NullHandler`` takes none, and neither does an `AuditHandler`, which ignores these records.
3. A warning or an error also goes to ``sys.stderr`` if an inherited level or ``logging.disable``
   keeps it from the handlers.
4. It raises no `Exception`: a report must not break the work that it reports on.

What the application sets on the loggers ``audit_handler`` and ``audit_handler.*`` themselves is a
choice and is respected: a level, a filter, and any handler, a ``NullHandler`` too.

This module has no lock and no state, so a report is safe in a signal handler, in the listener's
thread, in a forked child and at the end of the process.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from contextlib import suppress
from types import FrameType
from typing import Any

from audit_handler._loggers import Answer, filtered, inner_handlers, offer

__all__ = ["Reporter"]

_PACKAGE = "audit_handler"

# As logging's last resort: the message, then the traceback.
_formatter = logging.Formatter()


class Reporter:
    """
    Reports under the name of one logger. Has the methods of a logger that this package uses.

    Safe to call from several threads and from signal handlers.

    Args:
        name: The logger's name: ``audit_handler.spool``.
    """

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def info(self, message: str, *args: object) -> None:
        """Report a change that needs no action. It is not written to stderr."""
        self._report(logging.INFO, message, args)

    def warning(self, message: str, *args: object) -> None:
        """Report trouble that loses nothing."""
        self._report(logging.WARNING, message, args)

    def error(
        self, message: str, *args: object, exc_info: BaseException | bool | None = None
    ) -> None:
        """Report a loss, or trouble that needs a person."""
        self._report(logging.ERROR, message, args, exc_info)

    def exception(self, message: str, *args: object) -> None:
        """Report the exception that is being handled, as an error with its traceback."""
        self._report(logging.ERROR, message, args, exc_info=True)

    def _report(
        self,
        level: int,
        message: str,
        args: tuple[object, ...],
        exc_info: BaseException | bool | None = None,
    ) -> None:
        logger = self._logger
        if level < _chosen_level(logger):
            return
        # Not `isEnabledFor`: it acquires logging's module lock, which dictConfig may hold while it
        # waits for this thread.
        is_enabled = level >= logger.getEffectiveLevel() and level > logger.manager.disable
        if not is_enabled and level < logging.WARNING:
            return
        caller = sys._getframe(2)
        answers: list[Answer] = []
        record: logging.LogRecord | None
        try:
            record = filtered(
                logger,
                _made(logger.makeRecord, logger.name, level, message, args, exc_info, caller),
            )
            if record is not None and is_enabled:
                offer(logger, record, answers)
        except Exception:  # noqa: BLE001  # of the application's filter or handler
            # It may have raised after another one changed the record, or before there was one.
            record = _made(logging.LogRecord, logger.name, level, message, args, exc_info, caller)
        if record is not None and level >= logging.WARNING and not any(map(_is_heard, answers)):
            _write_to_stderr(record)


def _chosen_level(logger: logging.Logger) -> int:
    """Return the level that was set on this package's loggers, or `NOTSET`."""
    source: logging.Logger | None = logger
    while source is not None and source.name.partition(".")[0] == _PACKAGE:
        if source.level:
            return source.level
        source = source.parent
    return logging.NOTSET


def _made(
    make: Any,
    name: str,
    level: int,
    message: str,
    args: tuple[object, ...],
    exc_info: BaseException | bool | None,
    caller: FrameType,
) -> logging.LogRecord:
    if isinstance(exc_info, BaseException):
        found: Any = (type(exc_info), exc_info, exc_info.__traceback__)
    else:
        found = sys.exc_info() if exc_info else None
    code = caller.f_code
    record: logging.LogRecord = make(
        name, level, code.co_filename, caller.f_lineno, message, args, found, code.co_name
    )
    return record


def _is_heard(answer: Answer) -> bool:
    """Return whether a person may read the record that was offered to a handler."""
    handler, source, answered = answer
    if isinstance(handler, logging.NullHandler):
        return source.name.partition(".")[0] == _PACKAGE
    # None is the answer of a class that overrides `handle` and returns nothing.
    was_filtered = answered is not None and not answered
    return not was_filtered and not _is_deaf(handler)


def _is_deaf(handler: logging.Handler) -> bool:
    """Return whether *handler*, and all handlers behind it, ignore reports."""
    if isinstance(handler, logging.NullHandler) or getattr(handler, "ignores_reports", False):
        return True
    inner: Iterable[logging.Handler] | None = inner_handlers(handler)
    return inner is not None and all(map(_is_deaf, inner))


def _write_to_stderr(record: logging.LogRecord) -> None:
    stream = sys.stderr
    # None without a console. It may be closed, or replaced by anything that can be written to.
    if stream is not None:
        with suppress(Exception):
            stream.write(f"{_formatter.format(record)}\n")
            stream.flush()
