"""The middlewares of this process, and what keeps their audit events from every handler."""

from __future__ import annotations

import threading
import weakref

from audit_handler._http.handlers import Handlers

__all__ = ["forget_all", "obstacles", "watch"]

# Replaced as a whole, because readers acquire no lock. Weak: an application may be gone.
_watched: tuple[weakref.ref[Handlers], ...] = ()
_lock = threading.Lock()


def watch(handlers: Handlers) -> None:
    """Show the obstacles of *handlers* on the health and status pages while it is alive."""
    global _watched  # a fact about this process
    with _lock:
        _watched = (*(each for each in _watched if each() is not None), weakref.ref(handlers))


def obstacles() -> list[str]:
    """Return why middlewares of this process reach no handler now, each reason once."""
    alive = [handlers for each in _watched if (handlers := each()) is not None]
    return sorted({obstacle for handlers in alive if (obstacle := handlers.obstacle())})


def forget_all() -> None:
    """Watch no middleware any more. For tests, whose applications may outlive them."""
    global _watched
    _watched = ()
