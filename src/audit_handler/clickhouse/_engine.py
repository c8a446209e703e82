"""
The embedded engine and the end of the process.

At the end of a process C++ destroys what the engine consists of. A thread that is inside the engine
at that moment ends the process by a signal, and so does an engine that is still open. So the end
waits for the call that runs, which is local and finite, refuses every later call, closes our
clients, and then leaves without these destructors: the application may have the engine open too, or
threads inside it. A forked child has none of the engine's threads: whatever touches the engine
there waits for ever, so the child leaves it as it is.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from audit_handler._clock import SystemClock
from audit_handler._process import registry
from audit_handler._reports import Reporter
from audit_handler.errors import TransientError

__all__ = ["Engine", "EngineClosed", "engine"]

_logger = Reporter("audit_handler.clickhouse")

# An insert of 8 MiB takes well under a second, and a first import of chDB a few on a slow machine.
# What takes longer hangs.
_PATIENCE_SECONDS = 60.0


class EngineClosed(TransientError):
    """The process is ending, and does not enter the engine any more. Nothing was inserted."""

    def __init__(self) -> None:
        super().__init__(
            "the process is ending; the rows wait for the next start", is_ambiguous=False
        )


class Engine:
    """Knows the threads that are inside chDB. Safe to call from several threads."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._forking: list[Any] = []
        self._was_used = False
        self._reset()

    def _reset(self) -> None:
        self._changed = threading.Condition()
        # The threads that are inside, by their identifiers; one for each `use`.
        self._inside: list[int] = []
        self._has_ended = False
        # The end closes them, unless their owners did. Replaced, never changed: a fork reads it
        # while another thread may write.
        self._clients: tuple[weakref.ref[Any], ...] = ()
        self._kept: list[Any] = []

    @contextmanager
    def use(self) -> Iterator[None]:
        """
        Be inside the engine: loading, opening, calling or closing it. May be nested.

        Raises:
            EngineClosed: The process is ending.
        """
        thread = threading.get_ident()
        with self._changed:
            if self._has_ended:
                raise EngineClosed
            self._was_used = True
            self._inside.append(thread)
        try:
            yield
        finally:
            with self._changed:
                with suppress(ValueError):  # A child that was forked inside has a new list.
                    self._inside.remove(thread)
                self._changed.notify_all()

    def opened(self, client: Any) -> None:
        """Note a connected client. Call it inside `use`."""
        with self._changed:
            alive = [known for known in self._clients if known() is not None]
            self._clients = (*alive, weakref.ref(client))
            if self._has_ended:
                self._kept.append(client)

    def end(self) -> None:
        """
        Let no thread in, wait until none is inside, and close every client.

        If one is still inside after a minute, the clients are left open. An interruption (Ctrl-C)
        is raised only after that.
        """
        interruption: BaseException | None = None
        deadline = self._clock.monotonic() + _PATIENCE_SECONDS
        with self._changed:
            self._has_ended = True
            # Kept from now on: an owner on another thread may let go of its client during the wait,
            # and would destroy it in the midst of the end.
            self._kept = _alive(self._clients)
            while self._is_used() and (left := deadline - self._clock.monotonic()) > 0:
                try:
                    self._clock.wait(self._changed, left)
                except BaseException as exc:  # noqa: BLE001  # a signal handler's; raised below
                    interruption = exc
            is_used = self._is_used()
        if self._is_loaded():
            _skip_destructors()
        if is_used:
            _keep(self._kept)
            _logger.error(
                "chDB does not return from a call after %g seconds, and the process ends without "
                "it. The rows wait for the next start. See whether the disk of the database hangs",
                _PATIENCE_SECONDS,
            )
        else:
            for client in self._kept:
                try:
                    client.close()
                except Exception:  # noqa: BLE001  # nothing can be done at the end of a process
                    _keep([client])
        if interruption is not None:
            raise interruption

    def _is_loaded(self) -> bool:
        # Not if the application loaded it for itself alone.
        return self._was_used and "chdb" in sys.modules

    def _is_used(self) -> bool:
        # Not by this thread: an interruption may have kept it from noting that it left.
        return any(thread != threading.get_ident() for thread in self._inside)

    def before_fork(self) -> None:
        """Keep the clients until `abandon` or `after_fork`."""
        # Other hooks of the child come first, and may release a client, whose end closes the
        # engine.
        self._forking = _alive(self._clients)

    def after_fork(self) -> None:
        """Go on, in the parent."""
        self._forking = []

    def abandon(self) -> None:
        """Leave the engine alone, in a forked child: it is the parent's."""
        inherited, self._forking = self._forking, []
        self._reset()  # With a new lock: a thread of the parent may hold the old one.
        if self._is_loaded():
            _keep(inherited)
            _skip_destructors()


def _alive(clients: tuple[weakref.ref[Any], ...]) -> list[Any]:
    return [client for known in clients if (client := known()) is not None]


def _keep(clients: list[Any]) -> None:
    """Keep *clients* from closing their engine."""
    # chDB has imported it already. Nothing else here needs it.
    import ctypes

    for client in clients:
        # Never destroyed, because a reference is left over.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(client))
        # The driver closes a client in an exit hook.
        with suppress(AttributeError):
            client._backend._release.detach()


def _skip_destructors() -> None:
    """End this process, when Python is done, before the C library calls the destructors of C++."""
    import ctypes  # As above.

    libc = ctypes.CDLL(None)
    # The C library's exit calls hooks and destructors in one reverse order, so these come first.
    # Python has then run its own hooks and flushed its files.
    with suppress(AttributeError):  # Only glibc has it; chDB's wheels for Linux need glibc too.
        # Called with the exit code.
        libc.on_exit(libc._exit, None)
        # What C code has printed. Not all files: a thread may wait for input, and hold that file.
        stdout = ctypes.c_void_p.in_dll(libc, "stdout")
        libc.__cxa_atexit(libc.fflush, stdout, None)


engine = Engine()
"""The engine of this process."""


registry.at_end(engine.end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=engine.before_fork,
        after_in_parent=engine.after_fork,
        after_in_child=engine.abandon,
    )
