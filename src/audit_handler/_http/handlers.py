"""
`Handlers`: the audit handlers that a logger reaches, and the questions of a middleware to them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import lru_cache
from typing import Protocol, cast

from audit_handler._http.redactors import Redactors
from audit_handler._record.redaction import Redactor
from audit_handler.handler import AuditHandler

__all__ = ["Handlers"]

_DEFAULT = Redactor()


class _Taking(Protocol):
    """The methods of `AuditHandler` that a middleware calls; tests pass other classes."""

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
        source: logging.Logger | None = self._logger
        while source is not None:
            for handler in source.handlers:
                if isinstance(getattr(handler, "redactor", None), Redactor):
                    yield cast(_Taking, handler)
            source = source.parent if source.propagate else None

    def redactors(self) -> Redactors:
        """Return the redactors of all of them, or the default one if there is no handler."""
        return _together(tuple(handler.redactor for handler in self) or (_DEFAULT,))

    def can_take(self, *, must_be_durable: bool) -> bool:
        """
        Return whether every handler that must not miss an audit event would accept one now.

        Those are the `AuditHandler`s with ``on_full="raise"``. An event that *must_be_durable*
        needs all handlers, and at least one.
        """
        handlers = list(self)
        if not must_be_durable:
            return all(h.can_take() for h in handlers if _fails_closed(h))
        return bool(handlers) and all(handler.can_take() for handler in handlers)

    def may_wait(self) -> bool:
        """Return whether one of them may block a call that logs an audit event now."""
        return any(handler.may_wait() for handler in self)


def _fails_closed(handler: object) -> bool:
    return isinstance(handler, AuditHandler) and handler.settings.on_full == "raise"


# Cached, because other caches use the object as a key.
_together = lru_cache(maxsize=16)(Redactors)
