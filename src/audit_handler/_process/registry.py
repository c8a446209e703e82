"""
The handlers of this process: known to those who watch them, at forks, and at its end.

Safe to call from several threads.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from typing import Protocol

from audit_handler.status import Status

__all__ = [
    "close_all",
    "flush_all",
    "forget_open",
    "handlers",
    "is_exiting",
    "keep_open",
    "move_exit_hook",
    "note_closing",
    "register",
]


class Registered(Protocol):
    """What is asked of a handler here."""

    def flush(self) -> bool: ...

    def close(self) -> bool: ...

    def status(self) -> Status: ...

    def note_lost(self) -> None:
        """Tell of the rows that end with the process."""

    def abandon(self) -> None:
        """Let go, in a forked child, of what is the parent's."""


class Closing(Protocol):
    """What is being closed, by the name of its handler or after it."""

    def close(self, timeout: float) -> bool: ...


_CLOSING_SECONDS = 10.0
# For what a later dictConfig has closed, with logging's lock in its hands and so without waiting.

# Kept by importlib.reload: handlers made before it are still attached to their loggers.
_all: weakref.WeakSet[Registered] = globals().get("_all", weakref.WeakSet())
_open: set[Registered] = globals().get("_open", set())
_closing: weakref.WeakSet[Closing] = globals().get("_closing", weakref.WeakSet())
_lock = threading.RLock()  # reentrant, for a signal handler
# A WeakSet that is iterated over must not be added to meanwhile.
_is_exiting = False


def register(handler: Registered) -> None:
    """Know *handler* from now on, as long as it lives."""
    with _lock:
        _all.add(handler)


def handlers() -> list[Registered]:
    """Return all handlers that live."""
    with _lock:
        return list(_all)


def keep_open(handler: Registered) -> None:
    """Keep *handler* alive: one that nobody holds any more has rows to deliver all the same."""
    _open.add(handler)


def forget_open(handler: Registered) -> None:
    """Keep *handler* alive no longer: it is closed."""
    _open.discard(handler)


def note_closing(closing: Closing) -> None:
    """Close *closing* again at the end of the process, if it lives until then."""
    with _lock:
        _closing.add(closing)


def is_exiting() -> bool:
    """Whether the exit hook has begun: nothing is delivered any more."""
    return _is_exiting


def flush_all() -> bool:
    """
    Flush every handler, each within its *shutdown_timeout*; whether all rows were delivered.
    """
    return all([handler.flush() for handler in handlers()])


def close_all() -> None:
    """
    Deliver what waits, each handler within its *shutdown_timeout*. Later records stay in the spool.
    """
    global _is_exiting  # a fact about this process
    _is_exiting = True
    with _lock:
        closing = list(_closing)
    for each in closing:
        each.close(_CLOSING_SECONDS)
    for handler in handlers():
        handler.close()
        handler.note_lost()


def move_exit_hook() -> None:
    """
    Put our exit hook in front of those registered so far: they run last in, first out.

    The driver's client closes the embedded engine in a hook of its own, registered when the client
    is made.
    """
    atexit.unregister(close_all)
    atexit.register(close_all)


def _after_fork_in_child() -> None:
    global _lock  # the child's own: another thread may have held it
    _lock = threading.RLock()
    _closing.clear()
    _open.clear()
    for handler in handlers():
        handler.abandon()


atexit.register(close_all)
if hasattr(os, "register_at_fork"):
    # Nothing is taken before a fork: all that another thread may have half done stays with the
    # parent, and a lock that is taken there could be wanted by one whom logging's own hook waits
    # for.
    os.register_at_fork(after_in_child=_after_fork_in_child)
