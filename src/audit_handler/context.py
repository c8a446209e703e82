"""
Bind fields, such as the user, to every audit event of the current context.

A `contextvars.ContextVar` keeps the fields: each thread and each asyncio task has its own. A new
task inherits the fields that are bound when it starts.

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
    A text that is printed for an unknown value. It is never stored: the encoder treats it like
    None, and a pickled record contains None in its place.
    """

    __slots__ = ()

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()


_P = ParamSpec("_P")
_T = TypeVar("_T")

NO_FIELDS: Mapping[str, Any] = MappingProxyType({})
"""What `current` returns where nothing is bound."""
_FIELDS: ContextVar[Mapping[str, Any]] = ContextVar("audit_handler_fields", default=NO_FIELDS)

current = _FIELDS.get
"""
Return the fields bound in this context, as a mapping that never changes.

This is the variable's own getter, because it runs for every audit event and a wrapper would cost
time.
"""


def bind(**fields: Any) -> Token[Mapping[str, Any]]:
    """
    Add *fields*, named like the columns, to the audit events of this context.

    Replaces fields of the same names. Values are read when a record is logged, not when they are
    bound. Pass the token to `reset` to restore the fields that were bound before.

    A function that a framework runs in a thread of its pool has a copy of the context: fields that
    it binds are bound in that function only. FastAPI runs dependencies and endpoints that are not
    ``async def`` in this way. Use `audit_handler.audit` there: it adds fields to the event of the
    request.
    """
    return _FIELDS.set(MappingProxyType({**_FIELDS.get(), **fields}))


def restore(fields: Mapping[str, Any]) -> Token[Mapping[str, Any]]:
    """Bind exactly *fields*, which `current` returned in another context."""
    return _FIELDS.set(fields)


def reset(token: Token[Mapping[str, Any]]) -> None:
    """
    Restore the fields that were bound before the `bind` that returned *token*.

    Must run in the same context.
    """
    _FIELDS.reset(token)


def clear() -> None:
    """Unbind all fields of this context."""
    _FIELDS.set(NO_FIELDS)


def bound(**fields: Any) -> _Bound:
    """
    Bind *fields* in a ``with`` block or, as a decorator, in each call of a function.

    Decorates ``async def`` and plain functions.

    Raises:
        TypeError: The function is a generator function. Its caller would have the fields too,
            between two items.
    """
    return _Bound(fields)


class _Bound:
    """The result of `bound`. Only the same thread may enter it again inside its block."""

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
                "its caller, or use `with bound(...)` inside it between two items"
            )
        # Each call has its own block, because calls may run at the same time.
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def call_async(*args: _P.args, **kwargs: _P.kwargs) -> Any:
                with _Bound(self._fields):
                    return await function(*args, **kwargs)

            return call_async  # type: ignore[return-value]  # _T is a coroutine here

        @functools.wraps(function)
        def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            with _Bound(self._fields):
                return function(*args, **kwargs)

        return call
