"""The background thread: it takes segments from the spool and delivers each one to ClickHouse."""

from __future__ import annotations

import enum
import os
import random
import threading
from collections.abc import Callable
from logging.handlers import QueueListener

from audit_handler._clock import Clock
from audit_handler._delivery.deliveries import Deliveries
from audit_handler._delivery.metrics import register
from audit_handler._delivery.trouble import Trouble
from audit_handler._reports import Reporter
from audit_handler.clickhouse import Destination, EngineClosed
from audit_handler.spool import Segment, SegmentGone, SegmentUnreadable, Spool, neglected_targets
from audit_handler.status import Counters

__all__ = ["Listener", "State", "is_listening"]

_logger = Reporter("audit_handler.listener")

# The time between two searches for rows of dead processes. A search costs one directory listing and
# one lock per writer.
_ADOPT_SECONDS = 5.0

# After this many failed reads a segment is given up, so that the next segments are delivered: half
# a minute with the default waits.
_UNREADABLE_TRIES = 8

_listening: set[int] = set()


def is_listening() -> bool:
    """Return whether this thread is the listener of any handler."""
    return threading.get_ident() in _listening


if hasattr(os, "register_at_fork"):
    # The child does not have these threads, and its own threads may get their identifiers.
    os.register_at_fork(after_in_child=_listening.clear)


class State(enum.IntEnum):
    """
    The life cycle of a listener. It only moves down this list.

    A forked child has listeners of its own, so these are states of one process.
    """

    NEW = 0
    """No thread has begun. `Listener.start` may start one, and again if that failed."""
    RUNNING = 1
    """A thread has begun. Entered at the latest when `Listener.start` returns."""
    DRAINING = 2
    """After `Listener.drain`: the thread ends once the spool is empty."""
    STOPPING = 3
    """After `Listener.stop`: the thread ends after its current request."""
    ENDED = 4
    """The thread has ended, or, after `Listener.retire`, it never begins."""


class Listener(QueueListener):
    """
    Delivers segments on a thread: the standard library's listener with a queue of segments.

    One thread per handler and process. `start` and `stop` as in the standard library. The thread
    always closes the destination and the spool when it ends.

    Args:
        spool: The queue.
        destination: Stores segments.
        counters: Updated here.
        clock: Time and waiting.
        retry_min: Seconds, upper bound of the first wait.
        retry_max: Seconds, upper bound of every wait.
        jitter: Returns a number from 0 to 1, for full jitter: the wait is a random share of its
            bound, so that many processes do not retry at the same moment.
        on_first: Called on the thread before the first segment is sent, unless the listener drains:
            a short-lived process does not pay for what it will not use.
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
        on_first: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(spool)  # type: ignore[arg-type]  # a queue by shape: get, task_done
        self._spool = spool
        self._destination = destination
        self._counters = counters
        self._clock = clock
        self._retry_min = retry_min
        self._retry_max = retry_max
        self._jitter = jitter
        self._on_first: Callable[[], object] | None = on_first
        self._trouble = Trouble(counters, spool)
        self._deliveries = Deliveries(spool, destination, counters, self._trouble)
        self._next_adoption = 0.0
        # With an RLock, because a signal handler may call any method on top of a method that holds
        # it. Never held while a thread is started, joined or waited for, except by the listener's
        # own pause.
        self._changed = threading.Condition(threading.RLock())
        self.state = State.NEW
        """Changed only under the condition. Logger calls read it without the condition."""
        self._is_hurried = False
        """Whether `hurry` was called, and no pause has ended since then."""

    def start(self) -> None:
        """
        Start the thread. May be called again when that failed or was interrupted.

        Raises:
            RuntimeError: No thread can be started, for example because the interpreter is shutting
                down.
        """
        thread = threading.Thread(target=self._run, name="audit-handler-listener", daemon=True)
        with self._changed:
            if self.state is not State.NEW:
                return
            # Two threads may be here, or a signal handler on top of this call, or a call that
            # follows an interrupted one. Each starts a thread; the thread that is stored last
            # serves.
            self._thread = thread
        # Without the condition: a finalizer on the new thread may log an audit event before the
        # thread has begun, and call this method.
        thread.start()
        self._begin(thread)

    def stop(self, timeout: float | None = None) -> None:
        """
        Ask the thread to end after its current request, and wait up to *timeout* seconds for it.

        Rows that are not delivered stay in the spool.
        """
        self._advance(State.STOPPING)
        self._spool.wake(closing=True)
        self.join(timeout)

    def drain(self) -> None:
        """Ask the thread to end by itself once the spool is empty. Does not wait."""
        self._advance(State.DRAINING)
        self._spool.wake(closing=True)
        self.hurry()

    def join(self, timeout: float | None) -> None:
        """Wait up to *timeout* seconds for the thread to end by itself."""
        # A thread that never began cannot be joined.
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(timeout)

    def hurry(self) -> None:
        """End a wait before a retry now, because a caller waits for the rows."""
        with self._changed:
            self._is_hurried = True
            self._changed.notify_all()

    def retire(self) -> bool:
        """Prevent the thread from beginning; return whether no thread serves, now or later."""
        with self._changed:
            if self.state is State.NEW:
                self.state = State.ENDED
            return self.state is State.ENDED or not self.is_alive

    def abandon(self) -> None:
        """Keep the thread from beginning in a forked child, where it would serve the parent."""
        # A signal handler may have forked on top of `start`, which the child goes on with. Another
        # thread of the parent may have held the condition.
        self._changed = threading.Condition(threading.RLock())
        self.state = State.ENDED

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def _begin(self, thread: threading.Thread) -> bool:
        """Enter `RUNNING` if *thread* is the thread that serves; return whether it is."""
        with self._changed:
            if self._thread is not thread or self.state is State.ENDED:
                return False
            self._advance(State.RUNNING)
            return True

    def _advance(self, state: State) -> None:
        """Enter *state*, unless the state is a later one already."""
        with self._changed:
            if self.state < state:
                self.state = state
            self._changed.notify_all()

    # On the thread

    def _run(self) -> None:
        if self._begin(threading.current_thread()):
            self.serve()

    def serve(self) -> None:
        """Deliver segments on the calling thread until it must end; then close everything."""
        _listening.add(threading.get_ident())
        try:
            while (segment := self.dequeue(True)) is not None and self.handle(segment):
                self._counters.in_rejected = self._spool.rejected.usage
                self._spool.task_done()
        finally:
            try:
                self._destination.close()
            except Exception:
                _logger.exception("Closing the connection to ClickHouse failed")
            self._spool.close()
            _listening.discard(threading.get_ident())
            self._advance(State.ENDED)

    def dequeue(self, block: bool) -> Segment | None:  # type: ignore[override]  # noqa: ARG002  # segments, not records
        """Return the next segment, or None if the thread must end."""
        while self.state < State.STOPPING:
            register()  # Here too, because rows may be dropped while there is nothing to insert.
            try:
                self._adopt_when_due()
                segment = self._spool.get(max(0.0, self._next_adoption - self._clock.monotonic()))
            except Exception as exc:  # noqa: BLE001  # the top of the thread: a full disk must not end it
                self._trouble.note(exc)
                self._pause(self._retry_max)
                continue
            if segment is not None:
                self._begin_sending()
                return segment
            if self.state is State.DRAINING:
                break
        return None

    def _begin_sending(self) -> None:
        call = self._on_first
        if call is None or self.state is not State.RUNNING:
            return
        self._on_first = None
        try:
            call()
        except Exception:
            _logger.exception("The listener goes on without what prepares it")

    def handle(self, record: Segment) -> bool:  # type: ignore[override]  # segments, not records
        """
        Deliver one segment; retry until it is delivered or the listener is stopped.

        Returns:
            True if the segment needs no more work; False if the listener was stopped before.
        """
        delivery = self._deliveries.of(record)
        failures = unreadable = 0
        while self.state < State.STOPPING:
            try:
                self._deliveries.run(delivery)
            except EngineClosed:
                return False
            except SegmentGone as exc:
                self._counters.rows_lost += record.rows
                _logger.error(
                    "Another program removed %d rows from the spool; they are lost: %s",
                    record.rows,
                    exc,
                )
                return True
            except Exception as exc:  # noqa: BLE001  # the top of the thread: the rows stay after any failure
                self._trouble.note(exc)
                if isinstance(exc, SegmentUnreadable):
                    unreadable += 1
                    if unreadable % _UNREADABLE_TRIES == 0 and self._give_up(record):
                        return True
                self._counters.retries += 1
                self._pause(
                    min(self._retry_max, self._retry_min * 2.0 ** min(failures, 60))
                    * self._jitter()
                )
                failures += 1
            else:
                self._counters.batches_stored += 1
                if delivery.unconfirmed is not None:
                    self._trouble.note_unconfirmed(delivery.unconfirmed)
                else:
                    self._trouble.clear()
                return True
        return False

    def _give_up(self, segment: Segment) -> bool:
        """
        Set *segment* aside, so that the next segments do not wait for a bad block of the disk.
        """
        try:
            path = self._spool.taken.give_up(segment)
        except OSError as exc:
            _logger.error("A segment that cannot be read cannot be set aside either: %s", exc)
            return False
        self._counters.rows_lost += segment.rows
        _logger.error(
            "%d rows cannot be read from the spool: its disk fails, or a program has changed the "
            "file. What is there is left in %s; to deliver it, rename the file to end in .sending",
            segment.rows,
            path,
        )
        return True

    def _adopt_when_due(self) -> None:
        is_first = not self._next_adoption
        # While draining, only once: a short-lived process delivers the rows of dead processes too,
        # and then ends.
        is_draining = self.state >= State.DRAINING
        if not is_first and (is_draining or self._clock.monotonic() < self._next_adoption):
            return
        self._next_adoption = self._clock.monotonic() + _ADOPT_SECONDS
        if is_first:
            for directory in neglected_targets(self._spool.files, self._spool.target_directory):
                _logger.warning(
                    "Audit rows wait in %s for a target that no process serves. Start a handler "
                    "with that dsn, database and table, or send them elsewhere with: audit-handler "
                    "spool move",
                    directory,
                )
        self._counters.in_rejected = self._spool.rejected.refresh()
        rows = self._spool.adopt()
        if rows:
            self._counters.rows_adopted += rows
            _logger.info("Adopted %d rows of processes that have ended", rows)

    def _pause(self, seconds: float) -> None:
        """Wait for *seconds*, or until `hurry` or `stop` is called."""
        deadline = self._clock.monotonic() + seconds
        with self._changed:
            while self.state < State.STOPPING and not self._is_hurried:
                remaining = deadline - self._clock.monotonic()
                if remaining <= 0:
                    break
                self._clock.wait(self._changed, remaining)
            self._is_hurried = False
