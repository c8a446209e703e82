"""Re-entry: calls of the spool on top of an interrupted call of the same thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from audit_handler._clock import Clock
from audit_handler.errors import SpoolError

__all__ = ["Reentry", "Rows"]

# A blocked call tries again this often, because other programs may free space on the disk.
_BLOCKED_CHECK_SECONDS = 0.5

# So often and so long a call lets other threads run before it waits for the lock. A switch of
# threads takes 0.05 ms; the whole is as long as some fifty calls take.
_TURNS = 20
_TURN_SECONDS = 0.00005


class Rows(Protocol):
    """
    Where rows are appended. Called with the lock held, `sync_accepted` and `note_contention`
    without it.
    """

    @property
    def last_seq(self) -> int:
        """The number of the last accepted row."""

    @property
    def is_closed(self) -> bool:
        """Whether no row is accepted any more."""

    def append(self, body: bytes, month: str) -> int:
        """Append one row and return its number, or raise SpoolError."""

    def settle(self) -> None:
        """Finish an interrupted `append`, or raise OSError."""

    def note_contention(self) -> None:
        """Note that a thread waits for the lock."""

    def sync_accepted(self) -> None:
        """Wait until all accepted rows are as durable as *fsync* demands, or raise SpoolError."""


class Reentry:
    """
    The spool's lock, and the rows that were put on top of a call that held it.

    A signal handler or finalizer runs on the interrupted thread, between any two bytecodes. The
    lock is reentrant, so a call of the handler gets it too, and finds the interrupted change half
    done. Every change is therefore made inside `put` or `changing`. A row that is put on top of one
    is deferred: its call returns at once, and the row is appended when the interrupted call ends,
    also when the signal handler raises.

    Args:
        lock: The spool's lock.
        changed: Notified when there may be space again; it has that lock.
        rows: Where rows are appended.
        clock: Time and waiting.
        on_refused: Called with the reason for each deferred row that was not accepted.
    """

    def __init__(
        self,
        lock: threading.RLock,
        changed: threading.Condition,
        rows: Rows,
        clock: Clock,
        on_refused: Callable[[SpoolError], None],
    ) -> None:
        self._lock = lock
        self._changed = changed
        self._rows = rows
        self._clock = clock
        self._on_refused = on_refused
        # Whether the thread that holds the lock is in the middle of a change.
        self._is_busy = False
        self._deferred: deque[tuple[bytes, str]] = deque()
        self._refused: deque[SpoolError] = deque()

    @property
    def is_busy(self) -> bool:
        """Whether this thread is in the middle of a change: True only on top of one."""
        with self._lock:
            return self._is_busy

    def put(self, body: bytes, month: str, timeout: float) -> int:
        """
        Append one row, or defer it on top of another call.

        Returns:
            The number of the row, or of the last one that was deferred on top of it; 0 when the
            row itself is deferred.

        Raises:
            SpoolError: The row was not accepted within *timeout* seconds.
        """
        if self._is_busy:
            self._let_others_finish()
        try:
            with self._lock:
                if self._is_busy:
                    self._deferred.append((body, month))
                    return 0
                try:
                    self._is_busy = True
                    try:
                        deadline: float | None = None
                        while True:
                            try:
                                seq = self._rows.append(body, month)
                            except SpoolError:
                                if deadline is None:
                                    deadline = self._clock.monotonic() + timeout
                                if not self._wait_for_space(deadline):
                                    raise
                            else:
                                break
                    finally:
                        # Also when a signal handler has put a row and then raised: its `put` has
                        # returned.
                        if self._deferred:
                            seq = self._append_deferred()
                finally:
                    self._is_busy = False
                return seq
        finally:
            if self._refused:
                self._report_refused()

    def _let_others_finish(self) -> None:
        """
        Wait a moment for the thread that is in the middle of a change, without the lock.

        It is there because the interpreter has switched from it to this thread. If this thread
        waited for the lock, it would be given it, but not the interpreter: the next thread would
        have to wait for the lock too, and from then on each call would wait for another thread.
        """
        for turn in range(_TURNS):
            # On top of a change of this thread there is nothing to wait for.
            if not self._is_busy or self._changed._is_owned():  # type: ignore[attr-defined]  # the lock's own method
                break
            if not turn:
                self._rows.note_contention()
            self._clock.sleep(_TURN_SECONDS)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """
        Hold the lock inside this block; at its end, append the rows that were put on top of it.
        """
        was_any_deferred = False
        with self._lock:
            was_busy, self._is_busy = self._is_busy, True
            try:
                yield
            finally:
                try:
                    if self._deferred and not was_busy:
                        was_any_deferred = True
                        self._append_deferred()
                finally:
                    self._is_busy = was_busy
        if was_any_deferred:
            try:
                self._rows.sync_accepted()
            except SpoolError as exc:
                self._refused.append(exc)
            self._report_refused()

    def append_left(self) -> None:
        """Append the rows that an interruption of `put` or `changing` left deferred."""
        with self.changing():
            pass

    def _wait_for_space(self, deadline: float) -> bool:
        """Wait until there may be space again; return False if there is no more time."""
        now = self._clock.monotonic()
        if now >= deadline or self._rows.is_closed:
            return False
        # Other threads get the lock meanwhile, and must not be mistaken for a signal handler.
        self._is_busy = False
        try:
            self._clock.wait(self._changed, min(deadline - now, _BLOCKED_CHECK_SECONDS))
        finally:
            self._is_busy = True
        return True

    def _append_deferred(self) -> int:
        """Append the deferred rows; return the number of the last accepted row."""
        while self._deferred:
            before = self._rows.last_seq
            try:
                self._rows.append(*self._deferred[0])
            except SpoolError as exc:
                self._refused.append(exc)
            except BaseException:
                # If this call is interrupted, the row stays deferred unless it was written before.
                with suppress(OSError):
                    self._rows.settle()
                if self._rows.last_seq > before:
                    self._deferred.popleft()
                raise
            self._deferred.popleft()
        return self._rows.last_seq

    def _report_refused(self) -> None:
        """
        Report deferred rows that were not accepted. Call it without the lock: the report may log.
        """
        while self._refused:
            self._on_refused(self._refused.popleft())
