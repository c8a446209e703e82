"""
The background thread: takes segments from the spool, sees each one into ClickHouse, and never gives
one up.
"""

from __future__ import annotations

import logging
import os
import random
import threading
from collections.abc import Callable
from logging.handlers import QueueListener
from queue import Empty

from audit_handler._clock import Clock
from audit_handler._delivery.attempt import Delivery
from audit_handler._delivery.metrics import register
from audit_handler.clickhouse import Destination
from audit_handler.errors import SetupError, TransientError
from audit_handler.spool import Segment, SegmentGone, SegmentUnreadable, Spool
from audit_handler.status import Counters

__all__ = ["Listener", "is_listening"]

_logger = logging.getLogger("audit_handler.listener")

_ADOPT_SECONDS = 5.0
# How soon the rows of a process that died are taken over. A look costs one directory listing and
# one lock per writer.
_UNREADABLE_TRIES = 8
# Of a segment that the disk does not give back, before those behind it have their turn: half a
# minute with the default waits.

_listening: set[int] = set()


def is_listening() -> bool:
    """Whether this thread is a listener, of whichever handler."""
    return threading.get_ident() in _listening


if hasattr(os, "register_at_fork"):
    # The threads stay with the parent, and others may get their identifiers.
    os.register_at_fork(after_in_child=_listening.clear)


class Listener(QueueListener):
    """
    The stdlib's listener on a queue of segments: it overrides where a segment comes from and what
    is done with it.

    One thread per handler and process. `start` and `stop` as in the stdlib; when the thread ends it
    closes the destination and the spool, whoever asked it to.

    Args:
        spool: The queue.
        destination: Where segments go.
        counters: Counted into.
        clock: Time and waiting.
        retry_min: Seconds, upper bound of the first wait.
        retry_max: Seconds, upper bound of every wait.
        jitter: Returns a number from 0 to 1, for full jitter: the wait is a random share of its
            bound, so that many processes do not come back at the same moment.
    """

    def __init__(
        self,
        spool: Spool,
        destination: Destination,
        *,
        counters: Counters,
        clock: Clock,
        retry_min: float,
        retry_max: float,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(spool)  # type: ignore[arg-type]  # a queue by shape: get, task_done
        self._spool = spool
        self._destination = destination
        self._counters = counters
        self._clock = clock
        self._retry_min = retry_min
        self._retry_max = retry_max
        self._jitter = jitter
        self._changed = threading.Condition()
        self._is_stopping = False
        self._is_draining = False
        self._is_hurried = False
        self._next_adoption = 0.0
        self._trouble: tuple[type[BaseException], int | None] | None = None
        self._is_claimed = threading.Lock()

    def start(self) -> None:
        """
        Start the thread. May be called again when that was interrupted, or failed.

        Raises:
            RuntimeError: No thread can be started, as when the interpreter is shutting down.
        """
        thread = threading.Thread(target=self._run, name="audit-handler-listener", daemon=True)
        thread.start()
        if self._thread is None:
            self._thread = thread

    def stop(self, timeout: float | None = None) -> None:
        """
        Ask the thread to end after the request it is in, and wait up to *timeout* seconds for it.

        What is not delivered stays in the spool.
        """
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        self._spool.wake(closing=True)
        if self._thread is not None:
            self._thread.join(timeout)

    def drain(self) -> None:
        """Ask the thread to end by itself once the spool is empty. Does not wait."""
        self._is_draining = True
        self._spool.wake(closing=True)
        self.hurry()

    def join(self, timeout: float) -> None:
        """Wait up to *timeout* seconds for the thread to end by itself."""
        if self._thread is not None:
            self._thread.join(timeout)

    def hurry(self) -> None:
        """Cut a wait before a retry short: somebody is waiting for the rows."""
        with self._changed:
            self._is_hurried = True
            self._changed.notify_all()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def retire(self) -> bool:
        """Keep the thread from beginning, if it has not begun; whether it has not."""
        return self._is_claimed.acquire(blocking=False)

    @property
    def was_started(self) -> bool:
        """Whether the thread runs, or did."""
        return self._thread is not None

    @property
    def is_stopping(self) -> bool:
        """Whether `stop` was called; the thread may still be in its last request."""
        return self._is_stopping

    # On the thread

    def _run(self) -> None:
        # One is enough: two threads may call `start`, or one again that was interrupted in it.
        if not self._is_claimed.acquire(blocking=False):
            return
        self._thread = threading.current_thread()
        _listening.add(threading.get_ident())
        try:
            self._monitor()  # type: ignore[attr-defined]  # the stdlib's loop: dequeue, handle, task_done
        finally:
            try:
                self._destination.close()
            except Exception:
                _logger.exception("closing the connection to ClickHouse failed")
            self._spool.close()
            _listening.discard(threading.get_ident())

    def dequeue(self, block: bool) -> Segment | None:  # type: ignore[override]  # noqa: ARG002  # segments, not records
        """Return the next segment, or None, the stdlib's sentinel, when it is time to end."""
        while not self._is_stopping:
            register()  # Here too: rows may be dropped while there is nothing to insert.
            try:
                self._adopt_when_due()
                segment = self._spool.get(max(0.0, self._next_adoption - self._clock.monotonic()))
            except Exception as exc:  # noqa: BLE001  # the top of the thread: a full disk must not end it
                self._note_trouble(exc)
                self._pause(self._retry_max)
                continue
            if segment is not None:
                return segment
            if self._is_draining:
                break
        return None

    def handle(self, record: Segment) -> None:  # type: ignore[override]  # segments, not records
        """
        Deliver one segment, however long it takes. Raises `queue.Empty`, which ends the stdlib's
        loop, on `stop`.
        """
        delivery = Delivery(record, self._spool, self._destination, self._counters)
        failures = unreadable = 0
        while not self._is_stopping:
            try:
                delivery.run()
            except SegmentGone as exc:
                self._counters.rows_lost += record.rows
                _logger.error(
                    "%d rows were removed from the spool by somebody else: %s", record.rows, exc
                )
                return
            except Exception as exc:  # noqa: BLE001  # the top of the thread: whatever it is, the rows stay
                self._note_trouble(exc)
                if isinstance(exc, SegmentUnreadable):
                    unreadable += 1
                    if unreadable % _UNREADABLE_TRIES == 0 and self._give_up(record):
                        return
                self._counters.retries += 1
                self._pause(
                    min(self._retry_max, self._retry_min * 2.0 ** min(failures, 60))
                    * self._jitter()
                )
                failures += 1
            else:
                self._counters.batches_stored += 1
                self._note_success()
                return
        raise Empty

    def _give_up(self, segment: Segment) -> bool:
        """Set *segment* aside, so that those behind it need not wait for a disk's bad block."""
        try:
            path = self._spool.give_up(segment)
        except OSError as exc:
            _logger.error("a segment that cannot be read cannot be set aside either: %s", exc)
            return False
        self._counters.rows_lost += segment.rows
        _logger.error(
            "%d rows cannot be read from the spool's disk; they are left in %s. Where it can be "
            "read again, give it back its ending .sending",
            segment.rows,
            path,
        )
        return True

    def _adopt_when_due(self) -> None:
        is_first = not self._next_adoption
        # While draining only the first time: a short-lived process delivers for the dead as well,
        # and then ends.
        if not is_first and (self._is_draining or self._clock.monotonic() < self._next_adoption):
            return
        self._next_adoption = self._clock.monotonic() + _ADOPT_SECONDS
        if is_first:
            for directory in self._spool.neglected_targets():
                _logger.warning(
                    "audit rows wait in %s for a target that no process serves; they are sent by a "
                    "handler with that dsn, database and table, or elsewhere by: audit-handler "
                    "spool move",
                    directory,
                )
        rows = self._spool.adopt()
        if rows:
            self._counters.rows_adopted += rows
            _logger.info("taking over %d rows of processes that have ended", rows)

    def _pause(self, seconds: float) -> None:
        deadline = self._clock.monotonic() + seconds
        with self._changed:
            while not (self._is_stopping or self._is_hurried):
                remaining = deadline - self._clock.monotonic()
                if remaining <= 0:
                    break
                self._clock.wait(self._changed, remaining)
            self._is_hurried = False

    def _note_trouble(self, exc: BaseException) -> None:
        """Log a failure when it is news: one line for each change, not for each retry."""
        self._counters.last_error = f"{type(exc).__name__}: {exc}"
        kind = (type(exc), getattr(exc, "code", None))
        if kind == self._trouble:
            return
        self._trouble = kind
        if isinstance(exc, SetupError):
            _logger.error(
                "ClickHouse cannot take rows until somebody mends this: %s. They are kept in the "
                "spool",
                exc,
            )
        elif isinstance(exc, TransientError):
            _logger.warning(
                "ClickHouse does not take rows: %s. They are kept in the spool, and tried again",
                exc,
            )
        else:
            _logger.error(
                "delivery failed; the rows are kept in the spool, and tried again", exc_info=exc
            )

    def _note_success(self) -> None:
        if self._trouble is not None:
            self._trouble = None
            self._counters.last_error = ""
            _logger.info("ClickHouse takes rows again; %d are waiting", self._spool.waiting_rows)
