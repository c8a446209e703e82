"""The pipeline of an open handler: an encoder, a spool, and the listener that empties the spool."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from audit_handler import context
from audit_handler._clock import Clock
from audit_handler._delivery.listener import Listener, State
from audit_handler._delivery.metrics import Timed
from audit_handler._native import call_of
from audit_handler._record.encoder import RecordEncoder
from audit_handler._record.redaction import Redactor
from audit_handler._reports import Reporter
from audit_handler.clickhouse import ClickHouse
from audit_handler.config import Settings
from audit_handler.errors import SpoolError
from audit_handler.spool import ROW_OVERHEAD_BYTES, Files, Spool
from audit_handler.status import Counters

__all__ = ["Pipeline"]

_logger = Reporter("audit_handler.handler")

# Seconds before a later call tries again to start a thread. A failure costs the call about 20 us.
_START_SECONDS = 1.0

# Looked up once, because `put` compares with it for each record.
_NEW = State.NEW


class Pipeline:
    """
    An encoder, a spool and its listener. Safe to call from several threads.

    Args:
        settings: The settings of the handler.
        redactor: Removes secrets from the rows.
        files: The file operations of the spool.
        directory: The target's directory in the spool.
        counters: Updated here.
        clock: Time and waiting.
        on_refused: See `Spool`.
        delivers: False starts no listener and leaves the rows to the next process.
    """

    def __init__(
        self,
        settings: Settings,
        redactor: Redactor,
        files: Files,
        directory: Path,
        counters: Counters,
        clock: Clock,
        on_refused: Callable[[SpoolError], None],
        delivers: bool,
    ) -> None:
        self.shutdown_timeout = settings.shutdown_timeout
        self._clock = clock
        self._next_start = 0.0
        self._is_warned = False
        self.encoder = RecordEncoder(
            redactor=redactor,
            context=context.current,
            service_name=settings.service_name,
            max_value_bytes=settings.max_value_bytes,
            max_row_bytes=settings.batch_bytes - ROW_OVERHEAD_BYTES,
            now=clock.time,
            lists_redacted=settings.list_redacted,
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
            max_rejected_bytes=settings.max_rejected_bytes,
        )
        self.listener = Listener(
            self.spool,
            Timed(
                ClickHouse(
                    settings.target,
                    create_table=settings.create_table,
                    async_insert=settings.async_insert,
                    monotonic=clock.monotonic,
                ),
                str(settings.target),
            ),
            counters=counters,
            clock=clock,
            retry_min=settings.retry_min_ms / 1000,
            retry_max=settings.retry_max_ms / 1000,
            on_first=self.quicken,
        )
        self.put: Callable[[logging.LogRecord, float], None] = self._put_record
        """
        Encodes a record and puts it into the spool. Takes the record and the seconds to wait for
        space; raises the errors of `Spool.put`.
        """
        self.is_quick = False
        """Whether C encodes the ordinary records."""
        if not delivers:
            self.listener.retire()

    def start(self) -> None:
        """
        Start the listener, unless it was started.

        If no thread can be started, the rows wait, and a later call tries again.
        """
        if self.listener.state is not _NEW or self._clock.monotonic() < self._next_start:
            return
        self._next_start = self._clock.monotonic() + _START_SECONDS
        try:
            self.listener.start()
        except RuntimeError as exc:
            # The process has too many threads, or, from Python 3.12 on, the interpreter is ending.
            if not self._is_warned:
                self._is_warned = True
                _logger.warning(
                    "No thread can be started (%s). Audit rows wait in the spool for a later call "
                    "or the next process",
                    exc,
                )

    def _put_record(self, record: logging.LogRecord, timeout: float) -> None:
        line, month = self.encoder.encode(record)
        self.spool.put(line, month, timeout=timeout)
        if self.listener.state is _NEW:
            self.start()

    def _put_line(self, line: bytes, month: str, timeout: float) -> None:
        self.spool.put(line, month, timeout=timeout)
        if self.listener.state is _NEW:
            self.start()

    def quicken(self) -> None:
        """Let C encode the ordinary records from now on, where there is the extension."""
        call = call_of(
            self.encoder,
            self.spool.appending(),
            listener=self.listener,
            new_state=_NEW,
            put_line=self._put_line,
            put_record=self._put_record,
        )
        if call is not None:
            self.put = call.put
            self.is_quick = True

    def flush(self, timeout: float, others: Sequence[Pipeline] = ()) -> bool:
        """
        Deliver the rows of this pipeline and of *others*, which were closed before.

        Waits up to *timeout* seconds; returns whether all are delivered.
        """
        self._next_start = 0.0
        self.start()
        self.listener.hurry()
        may_wait = self.listener.is_alive and not _holds_logging_lock()
        return self.spool.flush(timeout if may_wait else 0.0, [other.spool for other in others])

    def abandon(self) -> None:
        """Let go in a forked child: rows, files, locks and the thread are the parent's."""
        self.listener.abandon()
        self.spool.abandon()

    def drain(self) -> None:
        """Begin to close: seal, and let the listener end by itself. Does not wait."""
        self.spool.flush(0.0)
        if self.listener.state is State.STOPPING:
            return
        if self.listener.retire():
            self.spool.close()
        else:
            self.listener.drain()

    def close(self, timeout: float) -> bool:
        """Drain and stop within *timeout* seconds; return whether all rows are delivered."""
        deadline = self._clock.monotonic() + timeout
        self.drain()
        if self.listener.state is not State.DRAINING or _holds_logging_lock() or self.spool.is_busy:
            # Waiting would be a deadlock: 1. the listener, or the driver, may need that lock to log
            # a line; 2. this is a signal handler on top of a put, and the listener waits for the
            # end of that put. The listener ends by itself.
            return self.spool.flush(0.0)
        is_flushed = self.spool.flush(timeout)
        # The rows adopted from dead processes do not count in the result, but get the same time.
        self.listener.join(max(0.0, deadline - self._clock.monotonic()))
        self.listener.stop(0.0)
        return is_flushed


def _holds_logging_lock() -> bool:
    """
    Return whether this thread holds logging's module lock, as ``dictConfig`` does while it closes
    the handlers of the configuration before.

    To wait for the listener could then be a deadlock: the listener may wait for this thread.
    """
    is_owned = getattr(getattr(logging, "_lock", None), "_is_owned", None)
    return bool(is_owned and is_owned())
