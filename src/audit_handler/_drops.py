"""Dropped rows: counted, logged, and reported in the trail once the spool accepts rows again."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from audit_handler._reports import Reporter
from audit_handler.errors import RejectedFull, SpoolError, SpoolUnavailable, SpoolUnsynced
from audit_handler.status import Counters

__all__ = ["DropReport", "Drops", "unforeseen"]

_logger = Reporter("audit_handler.handler")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drops:
    """The rows that were dropped since the last accepted one; times in Unix seconds."""

    rows: int
    first: float
    last: float
    reason: str

    def __add__(self, later: Drops) -> Drops:
        return replace(self, rows=self.rows + later.rows, last=max(self.last, later.last))

    def record(self) -> logging.LogRecord:
        """Return the audit event that reports them."""
        return logging.makeLogRecord(
            {
                "name": "audit_handler.handler",
                "levelno": logging.ERROR,
                "levelname": "ERROR",
                "msg": "%d audit rows were dropped",
                "args": (self.rows,),
                "action": "AUDIT_DROPPED",
                "resource_type": "audit_log",
                "outcome": "failure",
                "error_message": self.reason,
                "metadata": {
                    "rows_dropped": self.rows,
                    "first_dropped": _utc_text(self.first),
                    "last_dropped": _utc_text(self.last),
                },
            }
        )


class DropReport:
    """
    Counts the rows that the spool did not accept or could not keep after ClickHouse rejected them,
    logs the first one, and reports all of them in the trail.

    Safe to call from several threads and from signal handlers.

    Args:
        counters: Updated here.
        now: Returns Unix seconds.
    """

    def __init__(self, counters: Counters, now: Callable[[], float]) -> None:
        self._counters = counters
        self._now = now
        # Reentrant, for a signal handler.
        self._lock = threading.RLock()
        self.pending: Drops | None = None
        """The drops that are not in the trail yet. Logger calls read it without the lock."""
        self._is_unsynced = False

    def note(self, exc: SpoolError) -> None:
        """
        Count a dropped row, or all rows of a `RejectedFull`; log the first one, and the first of
        each kind. `SpoolUnsynced` is not a drop.
        """
        if isinstance(exc, SpoolUnsynced):
            self._note_unsynced(exc)
            return
        now, kind = self._now(), type(exc).__name__
        dropped = exc.rows if isinstance(exc, RejectedFull) else 1
        drops = Drops(rows=dropped, first=now, last=now, reason=str(exc))
        counters = self._counters
        with self._lock:
            while True:
                rows, before = counters.rows_dropped, self.pending
                pending = before + drops if before else drops
                earlier = counters.drops.get(kind, 0)
                kinds = {**counters.drops, kind: earlier + dropped}
                # Python runs signal handlers at calls, and there is none from here to the end: an
                # interruption finds the row counted everywhere or nowhere, and a row that was
                # dropped on top of this call is not overwritten.
                if counters.rows_dropped == rows and self.pending is before:
                    counters.rows_dropped = rows + dropped
                    counters.drops = kinds
                    self.pending = pending
                    break
        if before is None or not earlier:
            _logger.error(
                "%s dropped, and later rows may be too: %s",
                "An audit row was" if dropped == 1 else f"{dropped:,} audit rows were",
                exc,
            )

    def report(self, put: Callable[[logging.LogRecord, float], None]) -> None:
        """
        Report the pending drops, in the log and as an audit event.

        Call it after the spool has accepted a row. If the spool does not accept the report, the
        next call repeats it.

        Args:
            put: Puts a record into the spool; its second argument is the seconds to wait.
        """
        drops: Drops | None = None
        try:
            with self._lock:
                drops, self.pending = self.pending, None
            if not drops:
                return  # Another thread was faster.
            _logger.warning("The spool accepts audit rows again; %d were dropped", drops.rows)
            put(drops.record(), 0.0)
        except SpoolUnsynced:
            pass  # The row is accepted.
        except Exception:  # noqa: BLE001  # reported with the next row that is accepted
            self._add(drops)
        except BaseException:
            # A signal handler raised: rather report them twice than never.
            self._add(drops)
            raise

    def _note_unsynced(self, exc: SpoolUnsynced) -> None:
        if not self._is_unsynced:
            self._is_unsynced = True
            _logger.error("%s; later rows may not be synced either", exc)

    def _add(self, drops: Drops | None) -> None:
        """Add *drops*, which are not reported, to the pending ones."""
        with self._lock:
            while drops:
                later = self.pending
                pending = drops + later if later else drops
                # As in `note`.
                if self.pending is later:
                    self.pending = pending
                    break


def unforeseen(exc: Exception) -> SpoolUnavailable:
    """Return an error that says where *exc* was raised, and that quotes nothing of the record."""
    frame = traceback.extract_tb(exc.__traceback__)[-1]
    return SpoolUnavailable(
        f"{type(exc).__name__} in {frame.name} ({Path(frame.filename).name}:{frame.lineno}), "
        "a defect of audit-handler; please report it"
    )


def _utc_text(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, timezone.utc).isoformat()
