"""`AuditHandler`: the logging handler. Its life cycle, `flush`, `close`, `status`."""

from __future__ import annotations

import logging
import os
import threading
import traceback
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import orjson

from audit_handler._clock import SystemClock
from audit_handler._delivery.listener import is_listening
from audit_handler._delivery.pipeline import Pipeline
from audit_handler._drops import Drops
from audit_handler._process import registry
from audit_handler._record.redaction import Redactor
from audit_handler.config import Settings
from audit_handler.errors import (
    ConfigurationError,
    SpoolClosed,
    SpoolError,
    SpoolUnavailable,
    SpoolUnsynced,
)
from audit_handler.spool import DiskFiles, Files, MemoryFiles, has_leftovers
from audit_handler.status import Counters, Status

__all__ = ["AuditHandler", "open_handlers"]

_logger = logging.getLogger("audit_handler.handler")


class AuditHandler(logging.Handler):
    """
    Stores audit records in ClickHouse: once, whole, whatever happens in between.

    A record that carries an ``action`` is an audit; others pass by. The call returns when the row
    is in the spool, and a background thread brings it to ClickHouse. Safe to call from several
    threads and from signal handlers; a forked child gets a writer of its own with its first audit.
    All arguments but *level* can come from the environment, see `audit_handler.config`; units,
    ranges and defaults are explained there too.

    Args:
        dsn: ``https://user:password@host:8443/database``, ``http://host``, ``chdb:///directory`` or
            ``chdb://memory`` (``CLICKHOUSE_URL``).
        level: Least level of a record, as in `logging.Handler`.
        database: The table's database.
        table: The table.
        cluster: Name of the cluster, where *create_table* is to create the tables of one.
        profile: ``low``, ``medium`` or ``high``: batch sizes for that much traffic.
        batch_size: Rows in one insert at most.
        batch_bytes: Bytes in one insert at most.
        flush_interval_ms: Milliseconds that a row waits for company at most.
        spool_dir: Directory of the spool, by default in the user's state directory; ``"memory"``
            for none.
        max_spool_bytes: Bytes that may wait.
        on_full: ``block``, ``drop`` or ``raise`` when no more rows can be taken.
        block_timeout: Seconds that ``block`` waits for room.
        fsync: ``never``, ``batch`` or ``always``.
        capture: ``audit`` or ``all``.
        service_name: Default of the column.
        redact_keys: Parts of key names to redact besides the default ones.
        redact_default_keys: False to redact *redact_keys* only.
        max_value_bytes: Bytes of one value before it is cut.
        async_insert: Let the server gather the inserts of many small writers.
        create_table: Create database and table on connecting; by default for chDB only.
        shutdown_timeout: Seconds that `flush`, `close` and the end of the process wait for
            ClickHouse.
        retry_min_ms: Milliseconds, bound of the first wait before a retry.
        retry_max_ms: Milliseconds, bound of any wait before a retry.
        client_options: Arguments of ``clickhouse_connect.get_client``: TLS, proxies, token,
            settings.

    Raises:
        ConfigurationError: An argument or environment variable cannot work.
    """

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
        on_full: str | None = None,
        block_timeout: float | None = None,
        fsync: str | None = None,
        capture: str | None = None,
        service_name: str | None = None,
        redact_keys: Iterable[str] | None = None,
        redact_default_keys: bool | None = None,
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
        # Before logging knows this handler: it would flush one that was never made, at the end.
        settings = Settings.resolve(options, os.environ)
        super().__init__(level)
        self._set_up(settings)

    @classmethod
    def from_settings(cls, settings: Settings) -> AuditHandler:
        """
        Return a handler with *settings*, whatever the environment says.

        Raises:
            ConfigurationError: *spool_dir* cannot be made.
        """
        handler = cls.__new__(cls)
        logging.Handler.__init__(handler)
        handler._set_up(settings)
        return handler

    def _set_up(self, settings: Settings) -> None:
        self.settings = settings
        self.redactor = Redactor(
            settings.redact_keys, use_default_keys=settings.redact_default_keys
        )
        """What is taken out of its rows."""
        self._captures_all = self.settings.capture == "all"
        self._block_timeout = (
            self.settings.block_timeout if self.settings.on_full == "block" else 0.0
        )
        self._clock = SystemClock()
        self.is_closed = False
        """Whether `close` was called, and no audit came since."""
        self._directory = (
            self.settings.spool_dir or Path("/memory")
        ) / self.settings.target.directory_name
        self._reset()
        try:
            self._files.make_directory(self._directory)
        except OSError as exc:
            raise ConfigurationError(
                f"spool_dir={self.settings.spool_dir} cannot be made ({exc.strerror}); give a "
                "writable local directory, "
                "or 'memory' for a spool that does not survive a crash"
            ) from exc
        registry.register(self)
        if has_leftovers(self._files, self._directory):
            # Rows of a process that died wait here, and must not wait for our first audit too.
            self._opened()

    def _reset(self) -> None:
        """
        Start afresh, as when made: in a forked child nothing is left of what the parent had open.
        """
        self._state_lock = threading.RLock()
        self._counters = Counters()
        self._pipeline: Pipeline | None = None
        self._earlier: tuple[int, tuple[Pipeline, ...]] = (0, ())
        """
        Rows that pipelines before took and delivered, and those pipelines that were closed and have
        not delivered all of theirs.
        """
        self._drops: Drops | None = None
        self._is_unsynced = False
        self._files: Files = MemoryFiles() if self.settings.spool_dir is None else DiskFiles()

    # Taking records

    def handle(self, record: logging.LogRecord) -> bool:
        """
        Take *record* if it is an audit, without the handler's lock: the spool has its own, held for
        one write.

        With ``capture="all"`` the records of this package are not taken, nor what is logged while a
        listener delivers: the handlers would feed each other.
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
            return True
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """
        Put *record* into the spool. When this returns, its row survives the end of the process.

        Raises:
            SpoolError: With ``on_full="raise"`` only: the row was not taken, or, as `SpoolUnsynced`
                says, not synced.
        """
        try:
            while True:
                pipeline = self._pipeline or self._opened()
                try:
                    pipeline.put(record, self._block_timeout)
                    break
                except SpoolClosed:
                    # Closed by another thread, or by a later dictConfig, while this handler is
                    # still attached.
                    self._forget(pipeline)
        except SpoolError as exc:
            self._note_refused(exc)
            if self.settings.on_full == "raise":
                raise
        except OSError as exc:
            if exc.errno is None:
                raise  # a signal handler has raised it, as in TimeoutError("too slow")
            self._note_defect(exc, record)
        except Exception as exc:  # noqa: BLE001  # our bug does not break the application
            self._note_defect(exc, record)
        else:
            if self._drops is not None:
                self._tell_drops(pipeline)

    def _note_defect(self, exc: Exception, record: logging.LogRecord) -> None:
        unforeseen = _unforeseen(exc)
        self._note_dropped(unforeseen)
        self.handleError(record)
        if self.settings.on_full == "raise":
            raise unforeseen from exc

    def handleError(self, record: logging.LogRecord) -> None:
        """
        Called for a defect of this package. Does nothing: it is counted, and logged as a drop.

        The stdlib's would print the record, which nobody has redacted.
        """

    def can_take(self) -> bool:
        """
        Whether the spool would take a row now: it has room, and its disk takes writes.

        For those who must not act without an audit: ask before, with ``on_full="raise"``.
        """
        try:
            self._opened().spool.check_room()
        except SpoolError:
            return False
        return True

    def may_wait(self) -> bool:
        """
        Whether a call now may keep its caller waiting: for room, with ``on_full="block"``, or for
        the disk, with ``fsync="always"``.

        For those who must not wait, as an event loop: ask before, and log in a thread.
        """
        if self.settings.fsync == "always":
            return True
        return self.settings.on_full == "block" and not self.can_take()

    def _note_refused(self, exc: SpoolError) -> None:
        """Take note of a row that was not taken, or not synced."""
        if not isinstance(exc, SpoolUnsynced):
            self._note_dropped(exc)
        elif not self._is_unsynced:
            self._is_unsynced = True
            _logger.error("%s; and so may be the following", exc)

    def _note_dropped(self, exc: SpoolError) -> None:
        now = self._clock.time()
        with self._state_lock:
            self._counters.rows_dropped += 1
            kind, drops = type(exc).__name__, self._counters.drops
            drops[kind] = drops.get(kind, 0) + 1
            is_news = self._add_drops(Drops(rows=1, first=now, last=now, reason=str(exc)))
        if is_news:
            _logger.error("an audit row was dropped, and the following may be: %s", exc)

    def _add_drops(self, drops: Drops) -> bool:
        """Remember *drops* until they can be told; return whether they are the first ones."""
        with self._state_lock:
            before = self._drops
            self._drops = before + drops if before else drops
            return before is None

    def _tell_drops(self, pipeline: Pipeline) -> None:
        """Say, in the log and in the trail itself, how many rows were dropped and when."""
        with self._state_lock:
            drops, self._drops = self._drops, None
        if not drops:
            return  # Another thread was faster.
        _logger.warning("audit rows are taken again; %d were dropped", drops.rows)
        try:
            pipeline.put(drops.record(), 0.0)
        except SpoolUnsynced:
            pass  # it is taken all the same
        except Exception:  # noqa: BLE001  # told with the next row that is taken
            self._add_drops(drops)

    # Life cycle

    def flush(self, timeout: float | None = None) -> bool:  # type: ignore[override]  # the stdlib's returns nothing
        """
        Send what waits, and wait until ClickHouse has acknowledged it.

        Returns within *timeout* seconds (by default *shutdown_timeout*). True only if every row
        emitted before the call is stored; False also when any was rejected, dropped or lost since
        the handler was made, see `status`.
        """
        left = self._left()
        # What was closed before it was delivered is taken over by the next one.
        pipeline = self._opened() if left else self._pipeline
        return self._told(pipeline is None or pipeline.flush(self._seconds(timeout), left))

    def close(self, timeout: float | None = None) -> bool:  # type: ignore[override]  # the stdlib's returns nothing
        """
        Flush, then stop the thread and close the connection. Rows that are not acknowledged stay in
        the spool.

        Returns within *timeout* seconds, as `flush` does. May be called again. A record that
        arrives later opens the handler again: a later ``dictConfig`` closes handlers that are still
        attached to a logger.
        """
        with self._state_lock:
            pipeline = self._pipeline
            if pipeline is not None:
                rows, closed = self._earlier
                self._earlier = (rows, (*closed, pipeline))
            self._pipeline = None
            self.is_closed = True
            registry.forget_open(self)
        super().close()
        if pipeline is not None:
            registry.note_closing(pipeline)
            pipeline.close(self._seconds(timeout))
        return self._told(not self._left())

    def status(self) -> Status:
        """
        Return the counts of this moment. Takes no lock, so it never waits for a disk or for
        ClickHouse; neither are they all of exactly the same instant.
        """
        # In this order: `close` adds a pipeline there before it takes it away here.
        pipeline = self._pipeline
        rows_emitted, closed = self._earlier
        pipelines = dict.fromkeys(filter(None, (pipeline, *closed)))
        # What a closed one has left counts there, until it is taken over here.
        taken_over = pipeline.spool.adopted_writers if pipeline else ()
        spools = [p.spool for p in pipelines if p.spool.writer_id not in taken_over]
        counters = self._counters
        return Status(
            target=str(self.settings.target),
            rows_emitted=rows_emitted + sum(p.spool.last_seq for p in pipelines),
            rows_dropped=counters.rows_dropped,
            drops=dict(counters.drops),
            rows_adopted=counters.rows_adopted,
            rows_stored=counters.rows_stored,
            rows_rejected=counters.rows_rejected,
            rows_lost=counters.rows_lost,
            rows_waiting=sum(spool.waiting_rows for spool in spools),
            bytes_waiting=sum(spool.waiting_bytes for spool in spools),
            max_spool_bytes=self.settings.max_spool_bytes,
            is_full=any(spool.is_full for spool in spools),
            oldest_waiting_seconds=max((spool.oldest_age() for spool in spools), default=0.0),
            batches_stored=counters.batches_stored,
            retries=counters.retries,
            last_error=counters.last_error,
        )

    def waiting_by_user(self, max_bytes: int = 16 * 1024 * 1024) -> tuple[dict[str, int], bool]:
        """
        Count the waiting rows by *agent_id*, by reading them; ``""`` is nobody.

        Takes as long as the disk takes for *max_bytes*; not for an event loop.

        Returns:
            The counts, and whether all rows were read. Rows that come or go meanwhile may be in
            the counts or not.
        """
        counts: dict[str, int] = {}
        pipeline = self._pipeline
        for line in pipeline.spool.peek(max_bytes) if pipeline else ():
            if line is None:
                return counts, False
            # The last one may be half written.
            with suppress(orjson.JSONDecodeError):
                user = orjson.loads(line).get("agent_id", "")
                counts[user] = counts.get(user, 0) + 1
        return counts, True

    @property
    def writer_id(self) -> str:
        """
        The id under which the rows of this process are numbered now, as in the column; empty before
        the first one. A forked child, and a handler that was closed and opened again, has another.
        """
        pipeline = self._pipeline
        return pipeline.spool.writer_id if pipeline else ""

    def __repr__(self) -> str:
        pipeline = self._pipeline
        waiting = pipeline.spool.waiting_rows if pipeline else 0
        return (
            f"<{type(self).__name__} {self.settings.target} "
            f"({logging.getLevelName(self.level)}), {waiting} waiting>"
        )

    def _opened(self) -> Pipeline:
        with self._state_lock:
            pipeline = self._pipeline
            if pipeline is None:
                if registry.is_exiting() and not self._files.is_durable:
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
                    after_connect=(
                        registry.move_exit_hook if self.settings.target.is_embedded else None
                    ),
                    on_refused=self._note_refused,
                    delivers=not registry.is_exiting(),
                )
                # An audit on top of this one may have been faster.
                pipeline = self._pipeline = self._pipeline or pipeline
                self.is_closed = False
                registry.keep_open(self)
        # Without the lock, since it may log; and again where a call before was interrupted in it.
        pipeline.start()
        return pipeline

    def _forget(self, pipeline: Pipeline) -> None:
        with self._state_lock:
            if self._pipeline is pipeline:
                rows, closed = self._earlier
                self._earlier = (rows, (*closed, pipeline))
                self._pipeline = None

    def _left(self) -> list[Pipeline]:
        """Return the closed pipelines whose rows are not all delivered, by whomever."""
        with self._state_lock:
            rows, closed = self._earlier
            left = [pipeline for pipeline in closed if pipeline.spool.has_rows()]
            # One that is not closed yet may still take a row that was on its way.
            done = [p for p in closed if p not in left and p.spool.is_closed]
            rows += sum(pipeline.spool.last_seq for pipeline in done)
            self._earlier = (rows, tuple(p for p in closed if p not in done))
        return left

    def _told(self, is_flushed: bool) -> bool:
        counters = self._counters
        return is_flushed and not (
            counters.rows_rejected or counters.rows_dropped or counters.rows_lost
        )

    def _seconds(self, timeout: float | None) -> float:
        return self.settings.shutdown_timeout if timeout is None else timeout

    def abandon(self) -> None:
        """Let go of the parent's spools and threads; called in a forked child."""
        pipelines = [self._pipeline, *self._earlier[1]]
        self._reset()
        for pipeline in filter(None, pipelines):
            pipeline.spool.abandon()

    def note_lost(self) -> None:
        """Tell of the rows that end with the process, of a spool in memory; called at its end."""
        rows = 0 if self._files.is_durable else sum(p.spool.waiting_rows for p in self._left())
        if rows:
            self._counters.rows_lost += rows
            _logger.error("%d audit rows are lost: they were in memory as the process ended", rows)


def _unforeseen(exc: Exception) -> SpoolUnavailable:
    """Return what is said of a defect of ours: where, and nothing of what was logged."""
    frame = traceback.extract_tb(exc.__traceback__)[-1]
    return SpoolUnavailable(
        f"{type(exc).__name__} in {frame.name} ({Path(frame.filename).name}:{frame.lineno}), "
        "a defect of audit-handler; please report it"
    )


def open_handlers() -> list[AuditHandler]:
    """Return the handlers of this process that are not closed, by target."""
    # Nothing else is registered.
    known = cast("list[AuditHandler]", registry.handlers())
    return sorted(
        (handler for handler in known if not handler.is_closed),
        key=lambda handler: str(handler.settings.target),
    )
