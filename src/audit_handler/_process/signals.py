"""
Delivery before a signal ends the process: Python runs no exit hooks when one does.

A signal handler runs on the main thread, between any two bytecodes of what it interrupts, which may
hold the spool's lock, or one that the listener needs to log a line. So nothing is delivered, and
nothing waits, inside the handler: another thread does that while the application goes on, and then
sends the signal once more, to do what it would have done without us.
"""

from __future__ import annotations

import _thread
import atexit
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

from audit_handler._process import registry
from audit_handler.errors import ConfigurationError

__all__ = ["install_signal_handlers"]

_logger = logging.getLogger("audit_handler.signals")

_Before = Callable[[int, "FrameType | None"], Any] | int
"""A function, or ``SIG_DFL``."""


def install_signal_handlers(signals: Iterable[int] = (signal.SIGTERM,)) -> None:
    """
    Deliver what waits before one of *signals* ends the process.

    When the signal comes, the application goes on while every `AuditHandler` of the process is
    flushed, each for *shutdown_timeout* seconds at most. Then the signal does what it did before
    this call: a handler that was installed is called, on the main thread; by default the process
    ends by that signal, with the exit status that says so. A second signal does not wait.

    Without this nothing is lost either, but the last rows wait in the spool for the next start.
    For SIGTERM only, unless told: Ctrl-C (SIGINT) raises KeyboardInterrupt, and exit hooks deliver.
    A signal that is ignored stays ignored. One whose handler is not Python's is left to it. What is
    installed later replaces this, as asyncio's and uvicorn's handlers do; uvicorn puts it back, and
    raises the signal again, once it has stopped. A forked child inherits it.

    Call it on the main thread; a second call changes nothing.

    Args:
        signals: Such as ``[signal.SIGTERM, signal.SIGHUP]``.

    Raises:
        ConfigurationError: This is not the main thread, or such a signal cannot be handled.
    """
    thread = threading.current_thread()
    if thread is not threading.main_thread():
        raise ConfigurationError(
            f"install_signal_handlers() was called on the thread {thread.name!r}; Python handles "
            "signals on the main thread only: call it there, where the application starts"
        )
    for number in signals:
        try:
            before = signal.getsignal(number)
            if isinstance(before, _Answer) or before in (None, signal.SIG_IGN):
                continue
            signal.signal(number, _Answer(before))
        except (OSError, ValueError) as exc:
            raise ConfigurationError(f"signals: {number!r} cannot be handled ({exc})") from exc


class _Answer:
    """What a signal does: the first time deliver, the second time what it did *before*."""

    def __init__(self, before: _Before) -> None:
        self.before = before

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if number not in _under_way:
            _under_way[number] = self
            try:
                # Not threading's, whose start waits, and takes locks that the interrupted code may
                # hold.
                _thread.start_new_thread(_deliver, (number,))
            except RuntimeError:
                pass  # There are no more threads to be had, or the interpreter is ending.
            else:
                return
        _under_way.pop(number, None)
        if callable(self.before):
            self.before(number, frame)
        else:
            _end_by(number)


_under_way: dict[int, _Answer] = {}
"""The signals that came, and for which rows are being delivered."""


def _deliver(number: int) -> None:
    try:
        _logger.info("signal %d: delivering what waits", number)
        if not registry.flush_all():
            _logger.warning("signal %d: not all audit rows are stored, see above", number)
    except Exception:
        _logger.exception("signal %d: the rows that wait are left to the next start", number)
    finally:
        if number in _under_way:
            _send_to_main_thread(number)


def _send_to_main_thread(number: int) -> None:
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        # To this thread in particular, so that it ends what the main thread sleeps in.
        signal.pthread_kill(main, number)
    else:
        signal.raise_signal(number)


def _end_by(number: int) -> None:
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


def _end() -> None:
    """
    End by the signal also when the application came to its own end before all was delivered.

    uvicorn does: it stops, raises the signal again, and returns.
    """
    for number, answer in list(_under_way.items()):
        if not callable(answer.before):
            _under_way.clear()
            registry.close_all()
            _end_by(number)


atexit.register(_end)
if hasattr(os, "register_at_fork"):
    # The thread that delivers stays with the parent, as the signal does.
    os.register_at_fork(after_in_child=_under_way.clear)
