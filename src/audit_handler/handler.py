"""`AuditHandler`, the logging handler: it accepts records, and opens and closes the pipeline."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from audit_handler._clock import SystemClock
from audit_handler._delivery.listener import is_listening
from audit_handler._delivery.pipeline import Pipeline
from audit_handler._delivery.pipelines import Pipelines
from audit_handler._drops import DropReport, unforeseen
from audit_handler._loggers import disabled_with
from audit_handler._process import registry
from audit_handler._process.signals import comes_from_signal_handler
from audit_handler._record.redaction import Redactor
from audit_handler._reports import Reporter
from audit_handler.config import Settings
from audit_handler.errors import ConfigurationError, SpoolClosed, SpoolError, SpoolUnavailable
from audit_handler.spool import (
    DiskFiles,
    Files,
    HeldWrite,
    MemoryFiles,
    has_leftovers,
    held_write_of,
)
from audit_handler.status import Counters, Status, count_by_user

__all__ = ["AuditHandler", "open_handlers"]

_logger = Reporter("audit_handler.handler")


class AuditHandler(logging.Handler):
    """
    Stores audit events in ClickHouse, each exactly once.

    A record that carries an ``action`` is an audit event; other records are ignored. The logger
    call returns when the row is in the spool, and a background thread sends it to ClickHouse. Safe
    to call from several threads and from signal handlers. A forked child gets its own writer with
    its first audit event. All arguments but *level* can come from the environment;
    `audit_handler.config` explains units, ranges and defaults.

    Args:
        dsn: ``https://user:password@host:8443/database``, ``http://host``, ``chdb:///directory`` or
            ``chdb://memory`` (``CLICKHOUSE_URL``).
        level: Lowest level of a record, as in `logging.Handler`.
        database: The database of the table.
        table: The table.
        cluster: Name of the cluster on which *create_table* creates the tables.
        profile: ``low``, ``medium`` or ``high``: batch sizes for such traffic, smaller than the
            default.
        batch_size: The most rows in one insert.
        batch_bytes: The most bytes in one insert.
        flush_interval_ms: The most milliseconds that a row waits for more rows.
        spool_dir: Directory of the spool, by default in the user's state directory; ``"memory"``
            for a spool without a disk.
        max_spool_bytes: The most bytes that may wait.
        max_rejected_bytes: The most bytes of rejected rows that are kept; 0 keeps none.
        on_full: ``block``, ``drop`` or ``raise`` when the spool accepts no more rows.
        block_timeout: Seconds that ``block`` waits for space.
        fsync: ``never``, ``batch`` or ``always``.
        hold_gil: Let a logger call hold the interpreter lock (GIL) while it writes its row, when
            threads compete for it.
        capture: ``audit`` or ``all``.
        service_name: Value of the column *service_name* for rows without one.
        redact_keys: Parts of key names to redact in addition to the default ones.
        redact_except: Names of keys whose values stay, whatever else says that they are secret.
        redact_patterns: Regular expressions of secrets in texts, in addition to the known ones.
        redact_default_keys: False redacts *redact_keys* and *redact_patterns* only.
        list_redacted: List in ``metadata._redacted`` where something was redacted.
        max_value_bytes: The most bytes of one value; a longer one is cut.
        async_insert: Let the server combine the inserts of many small writers.
        create_table: Create database and table on connecting; by default for chDB only.
        shutdown_timeout: Seconds that `flush`, `close` and the end of the process wait for
            ClickHouse.
        retry_min_ms: Milliseconds, upper bound of the first wait before a retry.
        retry_max_ms: Milliseconds, upper bound of any wait before a retry.
        client_options: Arguments of ``clickhouse_connect.get_client``: TLS, proxies, token,
            settings.

    Raises:
        ConfigurationError: An argument or environment variable is not valid.
    """

    # Read by `_reports`: no person reads a report in the table, and `handle` ignores reports.
    ignores_reports = True

    def __init__(
        self,
        dsn: str | None = None,
        *,
        level: int | str = logging.NOTSET,
        database: str | None = None,
        table: str | None = None,
        cluster: str | None = None,
        profile: str | None = None,
        batch_size: int | None = None,
        batch_bytes: int | None = None,
        flush_interval_ms: int | None = None,
        spool_dir: str | os.PathLike[str] | None = None,
        max_spool_bytes: int | None = None,
        max_rejected_bytes: int | None = None,
        on_full: str | None = None,
        block_timeout: float | None = None,
        fsync: str | None = None,
        hold_gil: bool | None = None,
        capture: str | None = None,
        service_name: str | None = None,
        redact_keys: Iterable[str] | None = None,
        redact_except: Iterable[str] | None = None,
        redact_patterns: Iterable[str] | None = None,
        redact_default_keys: bool | None = None,
        list_redacted: bool | None = None,
        max_value_bytes: int | None = None,
        async_insert: bool | None = None,
        create_table: bool | None = None,
        shutdown_timeout: float | None = None,
        retry_min_ms: int | None = None,
        retry_max_ms: int | None = None,
        client_options: Mapping[str, Any] | None = None,
    ) -> None:
        options = {
            name: value
            for name, value in locals().items()
            if name not in ("self", "level", "__class__")
        }
        # Before logging knows this handler: at exit, logging would flush it even if the check
        # failed.
        settings = Settings.resolve(options, os.environ)
        super().__init__(level)
        self._set_up(settings)

    @classmethod
    def from_settings(cls, settings: Settings) -> AuditHandler:
        """
        Return a handler with *settings*, without reading the environment.

        Raises:
            ConfigurationError: *spool_dir* cannot be used.
        """
        handler = cls.__new__(cls)
        logging.Handler.__init__(handler)
        handler._set_up(settings)
        return handler

    def _set_up(self, settings: Settings) -> None:
        self.settings = settings
        self.redactor = Redactor(
            settings.redact_keys,
            exceptions=settings.redact_except,
            patterns=settings.redact_patterns,
            use_default_keys=settings.redact_default_keys,
        )
        """Removes secrets from the rows of this handler."""
        self.redactor.prepare()
        self._captures_all = settings.capture == "all"
        self._block_timeout = settings.block_timeout if settings.on_full == "block" else 0.0
        self._clock = SystemClock()
        self.is_closed = False
        """Whether `close` was called, and no audit event has come since."""
        self._directory = (settings.spool_dir or Path("/memory")) / settings.target.directory_name
        self._held_write: HeldWrite | None = None
        self._reset()
        try:
            self._files.make_directory(self._directory)
            if settings.hold_gil and self._files.is_durable:
                self._held_write = self._files.held_write = held_write_of(self._directory)
            leaves_rows = has_leftovers(self._files, self._directory)
        except OSError as exc:
            raise ConfigurationError(
                f"spool_dir={settings.spool_dir} cannot be used ({exc.filename}: {exc.strerror}); "
                "give a writable local directory, or 'memory' for a spool that does not survive a "
                "crash"
            ) from exc
        registry.register(self)
        if leaves_rows:
            # Rows of a dead process wait here. Their delivery must not depend on our first audit
            # event.
            self._opened()

    def _reset(self) -> None:
        """Set the state of a new handler. A forked child must not use its parent's pipelines."""
        self._counters = Counters()
        self._pipelines = Pipelines()
        self._drops = DropReport(self._counters, self._clock.time)
        self._files: Files = (
            MemoryFiles() if self.settings.spool_dir is None else DiskFiles(self._held_write)
        )

    # Accepting records

    def handle(self, record: logging.LogRecord) -> bool:
        """
        Accept *record* if it is an audit event.

        Does not acquire the handler's lock: the spool has its own lock, held for one write. With
        ``capture="all"`` it ignores the records of this package and records that a listener's
        thread logs: otherwise each delivery would create new rows.

        Returns:
            Whether the spool has accepted a row for *record*, and synced it if it must.
        """
        if self.filters:
            passed: Any = self.filter(record)
            if not passed:
                return False
            if isinstance(passed, logging.LogRecord):
                record = passed
        if record.__dict__.get("action") is None and not (
            # str(), because makeLogRecord leaves the name None.
            self._captures_all
            and not str(record.name).startswith("audit_handler.")
            and not is_listening()
        ):
            return False
        return self.emit(record)

    def emit(self, record: logging.LogRecord) -> bool:  # type: ignore[override]  # the stdlib's returns nothing
        """
        Put *record* into the spool. When this returns, the row survives the end of the process.

        Returns:
            Whether the spool has accepted the row, and synced it if it must. A method that
            overrides this one must return it too: a policy's durable rule asks for it.

        Raises:
            SpoolError: Only with ``on_full="raise"``: the row was not accepted. A `SpoolUnsynced`
                means that it was accepted but not synced.
        """
        try:
            while True:
                pipeline = self._pipelines.open or self._opened()
                try:
                    pipeline.put(record, self._block_timeout)
                    break
                except SpoolClosed:
                    # Closed by another thread, or by a later dictConfig while this handler is still
                    # attached.
                    self._pipelines.forget(pipeline)
        except SpoolError as exc:
            self._note_refused(exc)
            if self.settings.on_full == "raise":
                raise
        except Exception as exc:
            # Such as the time limit of a job. No system call raises an OSError without errno.
            if (isinstance(exc, OSError) and exc.errno is None) or comes_from_signal_handler(exc):
                raise
            # Our bug must not break the application.
            self._note_defect(exc, record)
        else:
            if self._drops.pending is not None:
                self._drops.report(pipeline.put)
            return True
        return False

    def _note_refused(self, exc: SpoolError) -> None:
        # The spool calls this method, so the spool and the listener's thread keep this handler
        # alive. The handler keeps alive the closed pipelines that the end of the process waits for.
        self._drops.note(exc)

    def _note_defect(self, exc: Exception, record: logging.LogRecord) -> None:
        error = unforeseen(exc)
        self._drops.note(error)
        self.handleError(record)
        if self.settings.on_full == "raise":
            raise error from exc

    def handleError(self, record: logging.LogRecord) -> None:
        """
        Do nothing. `emit` calls this for a defect of this package, after it has counted and logged
        a drop.

        The standard library's method would print the record, which is not redacted.
        """

    def can_take(self) -> bool:
        """
        Return whether the spool would accept a row now: it has space, and its disk is writable.

        With ``on_full="raise"``, ask before an action that must not happen without an audit event.
        """
        try:
            self._opened().spool.check_space()
        except SpoolError:
            return False
        return True

    def may_wait(self) -> bool:
        """
        Return whether a logger call now may wait: for space, with ``on_full="block"``, or for the
        disk, with ``fsync="always"``.

        A caller that must not wait, such as an event loop, asks first and then logs in a thread.
        """
        if self.settings.fsync == "always":
            return True
        return self.settings.on_full == "block" and not self.can_take()

    # Life cycle

    def flush(self, timeout: float | None = None) -> bool:  # type: ignore[override]  # the stdlib's returns nothing
        """
        Send the waiting rows, and wait until ClickHouse has acknowledged them.

        Returns within *timeout* seconds (by default *shutdown_timeout*). True only if every row
        emitted before the call is stored. False also if any row was rejected, dropped or lost since
        the handler was made; see `status`. Raises no `Exception`: it reports it and returns False.
        """
        timeout = self.settings.shutdown_timeout if timeout is None else timeout
        try:
            left = self._pipelines.left()
            if left and self._ends_with_rows():
                return False  # `note_lost` has reported them.
            # The next pipeline adopts the rows that a closed pipeline left.
            pipeline = self._opened() if left else self._pipelines.open
            is_flushed = pipeline is None or pipeline.flush(timeout, left)
        except Exception:
            _logger.exception("Audit rows cannot be flushed. Those in the spool stay there")
            return False
        return is_flushed and not self._counters.has_missing_rows()

    def close(self, timeout: float | None = None) -> bool:  # type: ignore[override]  # the stdlib's returns nothing
        """
        Flush, then stop the thread and close the connection. Rows that are not acknowledged stay in
        the spool.

        Returns within *timeout* seconds, as `flush` does. May be called again. A record that
        arrives later opens the handler again, because a later ``dictConfig`` closes handlers that
        are still attached to a logger. Raises no `Exception`: it reports it and returns False.
        """
        timeout = self.settings.shutdown_timeout if timeout is None else timeout
        try:
            with self._pipelines.lock:
                pipeline = self._pipelines.close_open()
                self.is_closed = True
                registry.forget_open(self)
            super().close()
            if pipeline is not None:
                registry.note_closing(pipeline)
                if registry.is_exiting():
                    pipeline.drain()  # The exit hook waits, for all handlers at the same time.
                else:
                    pipeline.close(timeout)
            left = self._pipelines.left()
        except Exception:
            _logger.exception("A handler cannot be closed properly. Rows in the spool stay there")
            return False
        return not left and not self._counters.has_missing_rows()

    def status(self) -> Status:
        """
        Return the current counts.

        Acquires no lock, so it never waits for a disk or for ClickHouse. The counts may differ by
        the rows of a moment.
        """
        return Status.of(
            self._counters,
            self._pipelines.spools(),
            target=str(self.settings.target),
            rows_emitted=self._pipelines.rows_emitted(),
            max_spool_bytes=self.settings.max_spool_bytes,
            obstacles=disabled_with(self),
            max_rejected_bytes=self.settings.max_rejected_bytes,
            now=self._clock.time(),
        )

    def waiting_by_user(self, max_bytes: int = 16 * 1024 * 1024) -> tuple[dict[str, int], bool]:
        """
        Count the waiting rows by *agent_id*, by reading them; ``""`` counts the rows without one.

        Reads up to *max_bytes* from the disk; do not call it in an event loop.

        Returns:
            The counts, and whether all rows were read. The counts may or may not include rows that
            arrive or are delivered during the call.
        """
        pipeline = self._pipelines.open
        return count_by_user(pipeline.spool.peek(max_bytes) if pipeline else ())

    @property
    def writer_id(self) -> str:
        """
        The id under which the rows of this process are numbered now, as in the column; empty before
        the first row. A forked child gets another id, and so does a handler that opens again.
        """
        pipeline = self._pipelines.open
        return pipeline.spool.writer_id if pipeline else ""

    def __repr__(self) -> str:
        pipeline = self._pipelines.open
        waiting = pipeline.spool.waiting_rows if pipeline else 0
        return (
            f"<{type(self).__name__} {self.settings.target} "
            f"({logging.getLevelName(self.level)}), {waiting} waiting, "
            f"encodes in {'C' if pipeline and pipeline.is_quick else 'Python'}>"
        )

    def _opened(self) -> Pipeline:
        """Return the open pipeline with its listener started; open one if there is none."""
        with self._pipelines.lock:
            pipeline = self._pipelines.open
            if pipeline is None:
                if self._ends_with_rows():
                    raise SpoolUnavailable(
                        "the process is ending, and its spool is in memory; give a spool_dir"
                    )
                pipeline = Pipeline(
                    self.settings,
                    self.redactor,
                    self._files,
                    self._directory,
                    self._counters,
                    self._clock,
                    on_refused=self._note_refused,
                    delivers=not registry.is_exiting(),
                )
                pipeline = self._pipelines.add(pipeline)
                self.is_closed = False
                registry.keep_open(self)
        # Without the lock, because it may log. Also for a pipeline that was already open: the call
        # that opened it may have been interrupted here.
        pipeline.start()
        return pipeline

    def _ends_with_rows(self) -> bool:
        """Return whether the process is ending, and the rows in its memory with it."""
        return registry.is_exiting() and not self._files.is_durable

    def abandon(self) -> None:
        """Release the spools and threads of the parent; called in a forked child."""
        parents = self._pipelines
        self._reset()
        parents.abandon()

    def note_lost(self) -> None:
        """Count and log the rows in memory that are lost with the process; called at its end."""
        left = () if self._files.is_durable else self._pipelines.left()
        rows = sum(pipeline.spool.waiting_rows for pipeline in left)
        if rows:
            self._counters.rows_lost += rows
            _logger.error(
                "%d audit rows are lost: they were in memory when the process ended", rows
            )


def open_handlers() -> list[AuditHandler]:
    """Return the handlers of this process that are not closed, ordered by target."""
    # The registry knows handlers of this class only.
    known = cast("list[AuditHandler]", registry.handlers())
    return sorted(
        (handler for handler in known if not handler.is_closed),
        key=lambda handler: str(handler.settings.target),
    )
