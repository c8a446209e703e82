"""
`Handlers`: the audit handlers that a logger reaches, and the questions of a middleware to them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import lru_cache
from logging.handlers import QueueHandler
from typing import Protocol, cast

from audit_handler._http.redactors import Redactors
from audit_handler._loggers import Answer, disabled, filtered, inner_handlers, offer, reached
from audit_handler._record.redaction import Redactor
from audit_handler.errors import SpoolUnavailable
from audit_handler.handler import AuditHandler

__all__ = ["Handlers"]

_DEFAULT = Redactor()


class _Taking(Protocol):
    """The parts of `AuditHandler` that a middleware uses; tests pass other classes."""

    redactor: Redactor

    def can_take(self) -> bool: ...

    def may_wait(self) -> bool: ...


class Handlers:
    """
    The audit handlers that the records of *logger* reach. Looked up each time, because an
    application may add and remove handlers.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def __iter__(self) -> Iterator[_Taking]:
        for handler, _ in reached(self._logger):
            if _is_audit(handler):
                yield cast(_Taking, handler)

    def redactors(self) -> Redactors:
        """Return the redactors of all of them, or the default one if there is no handler."""
        return _together(tuple(handler.redactor for handler in self) or (_DEFAULT,))

    def can_take(self) -> bool:
        """
        Return whether every `AuditHandler` with ``on_full="raise"`` would accept an audit event
        now.
        """
        return all(handler.can_take() for handler in self if _fails_closed(handler))

    def may_wait(self) -> bool:
        """Return whether one of them may block a call that logs an audit event now."""
        return any(handler.may_wait() for handler in self)

    def obstacle(self) -> str:
        """
        Return why no handler gets the audit events of the logger, or an empty text.

        A handler that passes its records on may lead to an `AuditHandler`, so it is no obstacle.
        """
        logger, name = self._logger, self._logger.name
        if logger.disabled:
            return disabled(name)
        if logger.manager.disable >= logging.INFO:
            return "logging.disable stops INFO in the whole process; lower its level"
        if not logger.isEnabledFor(logging.INFO):
            return f"the logger {name!r} is not enabled for INFO; set its level"
        ways = [handler for handler, _ in reached(logger) if _may_lead_to_audit(handler)]
        if not ways:
            return f"the logger {name!r} reaches no AuditHandler; attach one"
        if all(handler.level > logging.INFO for handler in ways):
            return f"the AuditHandler of the logger {name!r} is not enabled for INFO; set its level"
        return ""

    def durable_obstacle(self, probe: logging.LogRecord) -> str:
        """
        Return why an event like *probe* would not be accepted now by an `AuditHandler`, or an empty
        text.

        Asks everything between the logger and the spools. Filters are asked with *probe*, which
        has the fields that are known before the application runs and reaches no handler: a filter
        that changes its record changes nothing that is stored, and one that counts sees one record
        more. A filter that raises does not know such a record; `log_durably` decides then.
        """
        logger, name = self._logger, self._logger.name
        if obstacle := self.obstacle():
            return obstacle
        probe_after = _passed(logger, probe)
        if probe_after is None:
            return f"a filter of the logger {name!r} rejects their audit events; change the filter"
        takers = [
            cast(_Taking, handler)
            for handler, _ in reached(logger)
            if _is_audit(handler)
            and probe_after.levelno >= handler.level
            and _passed(handler, probe_after) is not None
        ]
        if not takers:
            return (
                f"no AuditHandler gets their audit events from the logger {name!r} during the "
                "call; attach one without a level, filter or queue that stops them"
            )
        if not all(handler.can_take() for handler in takers):
            return "the spool accepts no rows; the log and the status say why"
        return ""

    def log_durably(self, record: logging.LogRecord) -> None:
        """
        Log *record*, and check that an `AuditHandler` has accepted it.

        Raises:
            SpoolUnavailable: None has.
            SpoolError: As raised by a handler with ``on_full="raise"``.
        """
        logger = self._logger
        answers: list[Answer] = []
        if not logger.disabled and logger.isEnabledFor(record.levelno):
            passed = filtered(logger, record)
            if passed is not None:
                offer(logger, passed, answers)
        if not any(answer for handler, _, answer in answers if _is_audit(handler)):
            raise SpoolUnavailable(
                f"no AuditHandler of the logger {logger.name!r} has accepted the audit event; see "
                "the level and the filters of both, and whether the spool is full"
            )


def _passed(
    source: logging.Logger | logging.Handler, probe: logging.LogRecord
) -> logging.LogRecord | None:
    """Return *probe* as the filters of *source* pass it on, or None if they reject it."""
    try:
        return filtered(source, probe)
    except Exception:  # noqa: BLE001  # of the application's filter
        return probe


def _is_audit(handler: logging.Handler) -> bool:
    return isinstance(getattr(handler, "redactor", None), Redactor)


def _may_lead_to_audit(handler: logging.Handler) -> bool:
    if _is_audit(handler):
        return True
    inner = inner_handlers(handler)
    if inner is not None:
        return any(map(_may_lead_to_audit, inner))
    # Other classes of the standard library write somewhere themselves; classes of the application
    # may pass records on, as QueueHandler does.
    is_known = type(handler).__module__ in ("logging", "logging.handlers")
    ends = isinstance(handler, logging.StreamHandler) or is_known
    return isinstance(handler, QueueHandler) or not ends


def _fails_closed(handler: object) -> bool:
    return isinstance(handler, AuditHandler) and handler.settings.on_full == "raise"


# Cached, because other caches use the object as a key.
_together = lru_cache(maxsize=16)(Redactors)
