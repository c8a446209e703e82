"""
Who is acting, in which request: fields that every audit of the current context carries.

Kept in a `contextvars.ContextVar`, so each thread and each asyncio task sees its own, and a task
that is started inherits what was bound at that moment.

    >>> with bound(agent_id="u-3", request_id="r-9"):
    ...     logger.info("paid", extra={"action": "PAY", "resource_type": "order"})
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from types import MappingProxyType, TracebackType
from typing import Any, ParamSpec, TypeVar

__all__ = ["bind", "bound", "clear", "current", "reset", "restore"]


class Placeholder(str):
    """
    What is printed where nothing is known. Never stored: for a row it is as good as None, and it
    becomes None where a record is pickled.
    """

    __slots__ = ()

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()


_P = ParamSpec("_P")
_T = TypeVar("_T")

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

    A function that a framework runs in a thread of its pool, as FastAPI does with a dependency or
    an endpoint that is no ``async def``, has a copy of the context: what it binds is bound in that
    function alone. Say it to the request's audit with `audit_handler.audit`, which works there.
    """
    return _FIELDS.set(MappingProxyType({**_FIELDS.get(), **fields}))


def restore(fields: Mapping[str, Any]) -> Token[Mapping[str, Any]]:
    """Bind *fields*, which `current` returned elsewhere, instead of what is bound here."""
    return _FIELDS.set(fields)


def reset(token: Token[Mapping[str, Any]]) -> None:
    """
    Restore what was bound before the `bind` that returned *token*. Must run in the same context.
    """
    _FIELDS.reset(token)


def clear() -> None:
    """Forget all that is bound in this context."""
    _FIELDS.set(_EMPTY)


def bound(**fields: Any) -> _Bound:
    """
    Bind *fields* for the length of a ``with`` block, or of each call where it stands as a
    decorator, of an ``async def`` as of a plain function.

    A generator function cannot be decorated (TypeError): between two of its items the fields would
    be bound for whoever reads them.
    """
    return _Bound(fields)


class _Bound:
    """What `bound` returns. A block may be entered again inside itself, but by one thread only."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields
        self._tokens: list[Token[Mapping[str, Any]]] = []

    def __enter__(self) -> None:
        self._tokens.append(bind(**self._fields))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        reset(self._tokens.pop())

    def __call__(self, function: Callable[_P, _T]) -> Callable[_P, _T]:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"bound() cannot decorate the generator function {function.__qualname__}; decorate "
                "what reads it, or use `with bound(...)` inside it between two items"
            )
        # Each call has a block of its own: calls may run at the same time.
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def call_async(*args: _P.args, **kwargs: _P.kwargs) -> Any:
                with _Bound(self._fields):
                    return await function(*args, **kwargs)

            return call_async  # type: ignore[return-value]  # a coroutine is what _T is here

        @functools.wraps(function)
        def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            with _Bound(self._fields):
                return function(*args, **kwargs)

        return call
