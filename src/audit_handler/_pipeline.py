"""What a handler has while it is open, put together: an encoder, a spool, and its listener."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from audit_handler import context
from audit_handler._clock import Clock
from audit_handler._metrics import Timed
from audit_handler.clickhouse import ClickHouse
from audit_handler.config import Settings
from audit_handler.listener import Listener
from audit_handler.record import RecordEncoder
from audit_handler.redaction import Redactor
from audit_handler.spool import ROW_OVERHEAD_BYTES, Files, Spool
from audit_handler.status import Counters

__all__ = ["Pipeline"]

_logger = logging.getLogger("audit_handler.handler")


class Pipeline:
    """
    An encoder, a spool and its listener. Safe to call from several threads.

    Args:
        settings: What the handler was told.
        files: The file operations of the spool.
        directory: The target's directory in the spool.
        counters: Counted into.
        clock: Time and waiting.
        after_connect: Called by the listener after each connect.
    """

    def __init__(
        self,
        settings: Settings,
        files: Files,
        directory: Path,
        counters: Counters,
        clock: Clock,
        after_connect: Callable[[], None] | None,
    ) -> None:
        self._clock = clock
        self.encoder = RecordEncoder(
            redactor=Redactor(settings.redact_keys, use_default_keys=settings.redact_default_keys),
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
        Start the listener, if that is still possible; else the rows wait in the spool for the next
        process.
        """
        try:
            self.listener.start()
        except RuntimeError:
            # From Python 3.12 no thread starts once the interpreter is shutting down.
            _logger.warning(
                "the interpreter is ending: audit rows wait in the spool for the next process"
            )

    def put(self, record: logging.LogRecord, timeout: float) -> None:
        line, month = self.encoder.encode(record)
        self.spool.put(line, month, timeout=timeout)

    def flush(self, timeout: float) -> bool:
        self.listener.hurry()
        return self.spool.flush(timeout if self._may_wait() else 0.0)

    def close(self, timeout: float) -> bool:
        """Drain, stop, and tell whether everything was delivered; by the deadline."""
        deadline = self._clock.monotonic() + timeout
        if self.listener.is_stopping:
            return self.spool.flush(0.0)
        if not self.listener.is_alive:
            is_flushed = self.spool.flush(0.0)
            self.spool.close()
            return is_flushed
        self.listener.drain()
        if _holds_logging_lock():
            # The listener may need that lock for a line of its own, or the driver's. It ends by
            # itself.
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
