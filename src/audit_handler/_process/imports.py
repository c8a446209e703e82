"""
Import modules late, and never during a fork.

A fork in the middle of an import leaves the child with module locks that nothing releases, and the
child's own import would wait forever. So a fork waits for these imports: a fraction of a second,
once in the life of a process.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from types import ModuleType

__all__ = ["imported"]

# Ten times the import on a slow machine. Both waits have an end. 1. A program that forks while it
# imports may hold the lock of a module that our import waits for. 2. An import may hold a lock that
# the fork waits for: dictConfig holds logging's while it imports a handler.
_PATIENCE_SECONDS = 5.0

# Reentrant: a module may import others in this way, and a signal handler may fork on top of one.
_importing = threading.RLock()
_fork = threading.local()
# The names of modules that were imported here: these need no lock, which another import may hold.
_known: set[str] = set()


def imported(name: str) -> ModuleType:
    """
    Return a module, imported if it is not.

    Raises:
        ImportError: As the import does.
    """
    if name in _known and (known := sys.modules.get(name)):
        return known
    has_waited_out = False
    lock = _importing  # a child that is forked on top of the import has another one
    try:
        has_waited_out = lock.acquire(timeout=_PATIENCE_SECONDS)
        module = importlib.import_module(name)
    finally:
        if has_waited_out:
            lock.release()
    _known.add(name)
    return module


def _before_fork() -> None:
    _fork.has_waited_out = _importing.acquire(timeout=_PATIENCE_SECONDS)


def _after_fork_in_parent() -> None:
    # Not set if the fork had begun before this module was loaded.
    if getattr(_fork, "has_waited_out", False):
        _importing.release()


def _after_fork_in_child() -> None:
    global _importing  # it belongs to the process
    _importing = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
