"""
Who is acting, in which request: fields that every audit of the current context carries.

Kept in a `contextvars.ContextVar`, so each thread and each asyncio task sees its own, and a task
that is started inherits what was bound at that moment.

    >>> with bound(agent_id="u-3", request_id="r-9"):
    ...     logger.info("paid", extra={"action": "PAY", "resource_type": "order"})
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from types import MappingProxyType
from typing import Any

__all__ = ["bind", "bound", "clear", "current", "reset"]

_EMPTY: Mapping[str, Any] = MappingProxyType({})
_FIELDS: ContextVar[Mapping[str, Any]] = ContextVar("audit_handler_fields", default=_EMPTY)

current = _FIELDS.get
"""
Return the fields bound in this context, as a mapping that never changes.

The variable's own getter: it is called for every audit, and a function around it would only cost
time.
"""


def bind(**fields: Any) -> Token[Mapping[str, Any]]:
    """
    Add *fields*, named like the columns, to the audits of this context; a name that is bound
    already is replaced.

    Values are read when a record is logged, not when they are bound. Pass the token to `reset` to
    go back.
    """
    return _FIELDS.set(MappingProxyType({**_FIELDS.get(), **fields}))


def reset(token: Token[Mapping[str, Any]]) -> None:
    """
    Restore what was bound before the `bind` that returned *token*. Must run in the same context.
    """
    _FIELDS.reset(token)


def clear() -> None:
    """Forget all that is bound in this context."""
    _FIELDS.set(_EMPTY)


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """
    Bind *fields* for the length of a ``with`` block, or of a call where it stands as a decorator.
    """
    token = bind(**fields)
    try:
        yield
    finally:
        reset(token)
