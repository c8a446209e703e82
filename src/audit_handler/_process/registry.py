"""
The registry of the handlers of this process. Closes them when the process ends, and abandons them
in a forked child.

Safe to call from several threads.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable
from typing import Protocol

from audit_handler._clock import SystemClock
from audit_handler._reports import Reporter
from audit_handler.status import Status

__all__ = [
    "at_end",
    "close_all",
    "flush_all",
    "forget_open",
    "handlers",
    "is_exiting",
    "keep_open",
    "note_closing",
    "register",
]


_logger = Reporter("audit_handler.handler")


class Registered(Protocol):
    """The methods of a handler that this module calls."""

    def flush(self) -> bool:
        """Deliver the waiting rows; return whether all were delivered."""

    def close(self) -> bool:
        """
        Deliver the waiting rows and stop; return whether all were delivered. When the process is
        ending, only begin that.
        """

    def status(self) -> Status:
        """Return the counters."""

    def note_lost(self) -> None:
        """Report the rows in memory that are lost when the process ends."""

    def abandon(self) -> None:
        """Release, in a forked child, everything that belongs to the parent."""


class Closing(Protocol):
    """A part of a closed handler that may still deliver."""

    shutdown_timeout: float

    def close(self, timeout: float) -> bool:
        """Deliver the waiting rows within *timeout* seconds; return whether all were delivered."""


# The sets survive importlib.reload: handlers created before it are still attached to their loggers.
_all: weakref.WeakSet[Registered] = globals().get("_all", weakref.WeakSet())
_open: set[Registered] = globals().get("_open", set())
_closing: weakref.WeakSet[Closing] = globals().get("_closing", weakref.WeakSet())
_last: list[Callable[[], None]] = globals().get("_last", [])
# A WeakSet must not grow during an iteration. Reentrant, for a signal handler.
_lock = threading.RLock()
_is_exiting = False


def register(handler: Registered) -> None:
    """Add *handler*. The registry does not keep it alive."""
    with _lock:
        _all.add(handler)


def handlers() -> list[Registered]:
    """Return all handlers that are alive."""
    with _lock:
        return list(_all)


def keep_open(handler: Registered) -> None:
    """Keep *handler* alive, because it may have rows to deliver when it has no other reference."""
    _open.add(handler)


def forget_open(handler: Registered) -> None:
    """Stop keeping *handler* alive, because it is closed."""
    _open.discard(handler)


def note_closing(closing: Closing) -> None:
    """Close *closing* again at the end of the process, if it is alive then."""
    with _lock:
        _closing.add(closing)


def at_end(call: Callable[[], None]) -> None:
    """Make *call* at the end of the process, after the handlers were closed."""
    _last.append(call)


def is_exiting() -> bool:
    """Return whether the exit hook has begun. Later rows are not delivered by this process."""
    return _is_exiting


def flush_all() -> bool:
    """Flush each handler within its *shutdown_timeout*; return whether all rows were delivered."""
    return all([handler.flush() for handler in handlers()])


def close_all() -> None:
    """
    Close all handlers, and make the calls of `at_end`. Later records stay in the spool.

    All deliver at the same time, each for its *shutdown_timeout* from now on. So do those that a
    later dictConfig has closed: it holds logging's lock, and their `close` did not wait.
    """
    global _is_exiting  # A fact about this process.
    clock = SystemClock()
    try:
        _is_exiting = True
        began = clock.monotonic()
        known = handlers()
        for handler in known:
            handler.close()
        with _lock:
            closing = list(_closing)
        for each in closing:
            try:
                each.close(max(0.0, began + each.shutdown_timeout - clock.monotonic()))
            except Exception:
                # The other ones must be closed too.
                _logger.exception("Audit rows of a closed handler may still be in the spool")
        for handler in known:
            handler.note_lost()
    finally:
        # Also after Ctrl-C: the process ends in any case.
        for call in _last:
            call()


def _after_fork_in_child() -> None:
    global _lock  # A new one: another thread of the parent may have held it.
    _lock = threading.RLock()
    _closing.clear()
    _open.clear()
    for handler in handlers():
        handler.abandon()


# The driver's client closes the embedded engine in the exit hook of `weakref`, which gives up if a
# call runs; the engine then stays open. It must come after our hook. Hooks run in reverse order, so
# weakref registers it here at the latest, with the first finalizer of the process.
weakref.finalize(close_all, bool).atexit = False
atexit.register(close_all)
# No lock is acquired before a fork: logging's own fork hook could wait for a thread that needs the
# lock. The child does not use state that another thread left half changed.
os.register_at_fork(after_in_child=_after_fork_in_child)
