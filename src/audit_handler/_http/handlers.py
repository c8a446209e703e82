"""The handlers that an application's audits reach, and what a middleware asks of them before."""

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
    """What `AuditHandler` has in common with what stands for it in tests."""

    redactor: Redactor

    def can_take(self) -> bool: ...

    def may_wait(self) -> bool: ...


class Handlers:
    """
    The handlers that *logger*'s records reach and that take audits. Looked for each time: they come
    and go.
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
        """Return the redactors of all of them; the default one where there is none."""
        return _together(tuple(handler.redactor for handler in self) or (_DEFAULT,))

    def can_take(self, *, must_be_durable: bool) -> bool:
        """
        Whether an audit would be taken by every handler that must not miss one.

        Those are the `AuditHandler`s with ``on_full="raise"``; for an audit that *must_be_durable*
        all, and there must be one.
        """
        handlers = list(self)
        if not must_be_durable:
            return all(h.can_take() for h in handlers if _fails_closed(h))
        return bool(handlers) and all(handler.can_take() for handler in handlers)

    def may_wait(self) -> bool:
        """Whether one of them may keep whoever logs an audit now waiting."""
        return any(handler.may_wait() for handler in self)


def _fails_closed(handler: object) -> bool:
    return isinstance(handler, AuditHandler) and handler.settings.on_full == "raise"


# Kept, because what is cleaned is remembered by them.
_together = lru_cache(maxsize=16)(Redactors)
