"""
Deliver rows before a signal ends the process, because Python then runs no exit hooks.

A signal handler runs on the main thread, between any two bytecodes. The interrupted code may hold
the spool's lock, or a lock that the listener needs to log a line. So the handler itself neither
delivers nor waits. Another thread does that while the application continues. Then it sends the
signal again, which has the effect that it would have without this module.
"""

from __future__ import annotations

import _thread
import atexit
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterable
from types import CodeType, FrameType
from typing import Any

from audit_handler._process import registry
from audit_handler._reports import Reporter
from audit_handler.errors import ConfigurationError

__all__ = ["comes_from_signal_handler", "install_signal_handlers"]

_logger = Reporter("audit_handler.signals")

# A function, or ``SIG_DFL``.
_Before = Callable[[int, "FrameType | None"], Any] | int


def install_signal_handlers(signals: Iterable[int] = (signal.SIGTERM,)) -> None:
    """
    Deliver the waiting rows before one of *signals* ends the process.

    When the signal arrives, the application continues while each `AuditHandler` of the process is
    flushed for at most *shutdown_timeout* seconds. Then the signal has the effect that it had
    before this call: a handler that was installed is called on the main thread. By default the
    process ends by that signal, and its exit status shows this. A second signal does not wait.

    Without this call no row is lost either, but the last rows wait in the spool for the next start.
    The default is SIGTERM alone: Ctrl-C (SIGINT) raises KeyboardInterrupt, and exit hooks deliver.
    An ignored signal stays ignored. A signal whose handler was not installed by Python is not
    changed. A handler that is installed later replaces this one, as asyncio's and uvicorn's do;
    uvicorn restores this one and raises the signal again once it has stopped. A forked child
    inherits this handler.

    Call it on the main thread; a second call changes nothing.

    Args:
        signals: The signals, such as ``[signal.SIGTERM, signal.SIGHUP]``.

    Raises:
        ConfigurationError: This is not the main thread, or a signal cannot be handled.
    """
    thread = threading.current_thread()
    if thread is not threading.main_thread():
        raise ConfigurationError(
            f"install_signal_handlers() was called on the thread {thread.name!r}; Python handles "
            "signals on the main thread only, so call it there when the application starts"
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
    """A signal handler that delivers on the first signal, and calls *before* on the second."""

    def __init__(self, before: _Before) -> None:
        self.before = before

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if number not in _under_way:
            _under_way[number] = self
            try:
                # Not threading.Thread: its `start` waits, and takes locks that the interrupted code
                # may hold.
                _thread.start_new_thread(_deliver, (number,))
            except RuntimeError:
                pass  # No thread can be started, or the interpreter is ending.
            else:
                return
        _under_way.pop(number, None)
        if callable(self.before):
            self.before(number, frame)
        else:
            _end_by(number)


# The signals that arrived and for which rows are being delivered.
_under_way: dict[int, _Answer] = {}


def _deliver(number: int) -> None:
    try:
        _logger.info("Signal %d: delivering the waiting audit rows.", number)
        if not registry.flush_all():
            _logger.warning(
                "Signal %d: not all audit rows are stored; the lines above say why. "
                "The next start delivers them from a spool on disk.",
                number,
            )
    except Exception:
        _logger.exception(
            "Signal %d: delivery failed. The next start delivers the rows from a spool on disk.",
            number,
        )
    finally:
        if number in _under_way:
            _send_to_main_thread(number)


def _send_to_main_thread(number: int) -> None:
    main = threading.main_thread().ident
    if main is not None:
        # To the main thread, because this ends the call in which it sleeps.
        signal.pthread_kill(main, number)


def _end_by(number: int) -> None:
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


def _end() -> None:
    """
    End by the signal even if the application ends by itself during the delivery.

    uvicorn does so: it stops, raises the signal again, and returns.
    """
    for number, answer in list(_under_way.items()):
        if not callable(answer.before):
            _under_way.clear()
            registry.close_all()
            _end_by(number)


atexit.register(_end)
# The child has neither the delivering thread nor the signal.
os.register_at_fork(after_in_child=_under_way.clear)


def comes_from_signal_handler(exc: BaseException) -> bool:
    """
    Return whether a signal handler of the application raised *exc*: it means the code that the
    signal has interrupted, as the time limit of a job does.
    """
    codes = {_code_of(signal.getsignal(number)) for number in signal.valid_signals()} - {None}
    return any(frame.f_code in codes for frame, _line in traceback.walk_tb(exc.__traceback__))


def _code_of(handler: Any) -> CodeType | None:
    if not callable(handler):
        return None
    function = getattr(handler, "func", handler)  # of a `functools.partial`
    return getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
