"""What a handler has while it is open, put together: an encoder, a spool, and its listener."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from audit_handler import context
from audit_handler._clock import Clock
from audit_handler._delivery.listener import Listener
from audit_handler._delivery.metrics import Timed
from audit_handler._record.encoder import RecordEncoder
from audit_handler._record.redaction import Redactor
from audit_handler.clickhouse import ClickHouse
from audit_handler.config import Settings
from audit_handler.errors import SpoolError
from audit_handler.spool import ROW_OVERHEAD_BYTES, Files, Spool
from audit_handler.status import Counters

__all__ = ["Pipeline"]

_logger = logging.getLogger("audit_handler.handler")

_START_SECONDS = 1.0
# After so long a call tries to start a thread again. To fail costs the call some 20 us.


class Pipeline:
    """
    An encoder, a spool and its listener. Safe to call from several threads.

    Args:
        settings: What the handler was told.
        redactor: What is taken out of the rows.
        files: The file operations of the spool.
        directory: The target's directory in the spool.
        counters: Counted into.
        clock: Time and waiting.
        after_connect: Called by the listener after each connect.
        on_refused: See `Spool`.
        delivers: False leaves the rows to the next process.
    """

    def __init__(
        self,
        settings: Settings,
        redactor: Redactor,
        files: Files,
        directory: Path,
        counters: Counters,
        clock: Clock,
        after_connect: Callable[[], None] | None,
        on_refused: Callable[[SpoolError], None],
        delivers: bool,
    ) -> None:
        self._clock = clock
        self._is_settled = not delivers
        """Whether the listener was started, or is not to be."""
        self._next_start = 0.0
        self._is_warned = False
        self.encoder = RecordEncoder(
            redactor=redactor,
            context=context.current,
            service_name=settings.service_name,
            max_value_bytes=settings.max_value_bytes,
            max_row_bytes=settings.batch_bytes - ROW_OVERHEAD_BYTES,
            now=clock.time,
        )
        self.spool = Spool(
            files,
            directory,
            batch_size=settings.batch_size,
            batch_bytes=settings.batch_bytes,
            flush_interval=settings.flush_interval_ms / 1000,
            max_bytes=settings.max_spool_bytes,
            fsync=settings.fsync,
            clock=clock,
            on_refused=on_refused,
        )
        self.listener = Listener(
            self.spool,
            Timed(
                ClickHouse(
                    settings.target,
                    create_table=settings.create_table,
                    async_insert=settings.async_insert,
                    after_connect=after_connect,
                ),
                str(settings.target),
            ),
            counters=counters,
            clock=clock,
            retry_min=settings.retry_min_ms / 1000,
            retry_max=settings.retry_max_ms / 1000,
        )

    def start(self) -> None:
        """
        Start the listener, unless it was started; if that cannot be, the rows wait, and a later
        call tries again.
        """
        if self._is_settled or self._clock.monotonic() < self._next_start:
            return
        self._next_start = self._clock.monotonic() + _START_SECONDS
        try:
            # Here already when the call before was interrupted behind it.
            if not self.listener.was_started:
                self.listener.start()
            self._is_settled = True
        except RuntimeError as exc:
            # No more threads to be had, or, from Python 3.12 on, the interpreter is ending.
            if not self._is_warned:
                self._is_warned = True
                _logger.warning(
                    "no thread can be started (%s): audit rows wait in the spool, for a later call "
                    "or the next process",
                    exc,
                )

    def put(self, record: logging.LogRecord, timeout: float) -> None:
        """
        Encode *record* and put it into the spool.

        Raises:
            SpoolError: See `Spool.put`.
        """
        line, month = self.encoder.encode(record)
        self.spool.put(line, month, timeout=timeout)
        if not self._is_settled:
            self.start()

    def flush(self, timeout: float, others: Sequence[Pipeline] = ()) -> bool:
        """Deliver what waits here and in *others*, which were closed before, by the deadline."""
        self._next_start = 0.0
        self.start()
        self.listener.hurry()
        return self.spool.flush(
            timeout if self._may_wait() else 0.0, [other.spool for other in others]
        )

    def close(self, timeout: float) -> bool:
        """Drain, stop, and tell whether everything was delivered; by the deadline."""
        deadline = self._clock.monotonic() + timeout
        if self.listener.is_stopping:
            return self.spool.flush(0.0)
        # 1. Never started, and now it never will be; 2. ended by itself. One that was started, and
        # has not come to its first line yet, is waited for like any other.
        never_began = not self.listener.was_started and self.listener.retire()
        if never_began or (self.listener.was_started and not self.listener.is_alive):
            is_flushed = self.spool.flush(0.0)
            self.spool.close()
            return is_flushed
        self.listener.drain()
        if _holds_logging_lock() or self.spool.is_busy:
            # The listener may need that lock for a line of its own, or the driver's; or a signal
            # handler asks on top of a put, whose end it waits for. It ends by itself.
            return self.spool.flush(0.0)
        is_flushed = self.spool.flush(timeout)
        # What was adopted from dead processes is not part of the answer, but gets the same time.
        self.listener.join(max(0.0, deadline - self._clock.monotonic()))
        self.listener.stop(0.0)
        return is_flushed

    def _may_wait(self) -> bool:
        return self.listener.is_alive and not _holds_logging_lock()


def _holds_logging_lock() -> bool:
    """
    Whether this thread holds logging's module lock, as ``dictConfig`` does while it closes the
    handlers before it.

    Waiting for the listener then would wait for a thread that waits for us.
    """
    is_owned = getattr(getattr(logging, "_lock", None), "_is_owned", None)
    return bool(is_owned and is_owned())
