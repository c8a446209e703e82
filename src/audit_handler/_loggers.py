"""The handlers that a logger reaches, and their answers to one record."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from logging.handlers import MemoryHandler, QueueHandler
from typing import Any, cast

__all__ = ["Answer", "disabled", "disabled_with", "filtered", "inner_handlers", "offer", "reached"]

# A handler, the logger that it is attached to, and what its `handle` returned.
Answer = tuple[logging.Handler, logging.Logger, Any]


def reached(logger: logging.Logger) -> Iterator[tuple[logging.Handler, logging.Logger]]:
    """
    Yield the handlers of *logger* and of the loggers that it propagates to, whatever their level,
    each with the logger that it is attached to.
    """
    source: logging.Logger | None = logger
    while source is not None:
        for handler in list(source.handlers):
            yield handler, source
        source = source.parent if source.propagate else None


def offer(logger: logging.Logger, record: logging.LogRecord, answers: list[Answer]) -> None:
    """
    Pass *record* to the handlers of *logger*, as ``Logger.callHandlers`` does, and append their
    answers.

    Does not ask whether the logger is disabled, its level and its filters. Raises what a handler
    raises; the answers before that one are in *answers*.
    """
    observed = [_Observed(handler, source, answers) for handler, source in reached(logger)]
    # Called on a copy of the logger, not replaced: tools like Sentry's patch the method.
    view = object.__new__(type(logger))
    vars(view).update(vars(logger))
    # Without any handler, logging would use its last resort.
    view.handlers = cast("list[logging.Handler]", observed or [logging.NullHandler()])
    view.propagate = False
    view.callHandlers(record)


def filtered(
    source: logging.Logger | logging.Handler, record: logging.LogRecord
) -> logging.LogRecord | None:
    """Return the record that the filters of *source* let pass, or None. Raises what they raise."""
    passed: Any = source.filter(record)
    # From Python 3.12 on, a filter may return another record.
    return passed if isinstance(passed, logging.LogRecord) else (record if passed else None)


def disabled(name: str) -> str:
    """Return the line that says that the logger *name* is disabled, and what to do."""
    return (
        f"the logger {name!r} is disabled; set disable_existing_loggers to False in the logging "
        "configuration, or name the logger there"
    )


def disabled_with(handler: logging.Handler) -> tuple[str, ...]:
    """Return a line for each logger that has *handler* and is disabled."""
    known = list(logging.root.manager.loggerDict.values())
    return tuple(
        disabled(logger.name)
        for logger in known
        if isinstance(logger, logging.Logger) and logger.disabled and handler in logger.handlers
    )


def inner_handlers(handler: logging.Handler) -> Iterable[logging.Handler] | None:
    """
    Return the handlers to which *handler* passes its records, or None if that is not known.

    A `QueueHandler` knows its listener only if dictConfig made both, from Python 3.12 on.
    """
    if isinstance(handler, MemoryHandler):
        return [handler.target] if handler.target is not None else []
    listener = getattr(handler, "listener", None) if isinstance(handler, QueueHandler) else None
    return None if listener is None else list(listener.handlers)


class _Observed:
    """Stands for a handler during one call, and keeps its answer."""

    def __init__(
        self, handler: logging.Handler, source: logging.Logger, answers: list[Answer]
    ) -> None:
        self.level = handler.level
        self._handler = handler
        self._source = source
        self._answers = answers

    def handle(self, record: logging.LogRecord) -> Any:
        answer = cast(Any, self._handler.handle(record))
        self._answers.append((self._handler, self._source, answer))
        return answer
