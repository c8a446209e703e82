"""
OpenTelemetry metrics of the handlers, with the names of OpenTelemetry's draft for audit logging.

A record in these names is a row.

| name | kind, unit | attributes in addition to audit.target |
|---|---|---|
| audit.records.emitted | counter, records of logger calls, dropped ones included | |
| audit.records.exported | counter, records that ClickHouse acknowledged | |
| audit.records.rejected | counter, records that ClickHouse rejected | |
| audit.records.dropped | counter, records that are lost | error.type |
| audit.queue.depth | gauge, records in the spool | |
| audit.queue.size | gauge, bytes in the spool | |
| audit.queue.capacity | gauge, bytes that may be in the spool | |
| audit.queue.age | gauge, seconds for which the oldest record has waited | |
| audit.rejected.depth | gauge, records in ``rejected/`` | |
| audit.rejected.size | gauge, bytes in ``rejected/`` | |
| audit.rejected.capacity | gauge, bytes that may be in ``rejected/`` | |
| audit.rejected.age | gauge, seconds since the oldest file in ``rejected/`` was written | |
| audit.export.duration | histogram, seconds of one insert attempt | error.type, if it failed |

The listener makes the instruments after the application has loaded OpenTelemetry's metrics; it
never imports them itself. OpenTelemetry chooses the provider, and may do so later. The instruments
are made once in a process, and read all of its handlers.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from operator import add
from pathlib import Path
from typing import Any

from audit_handler._process.registry import handlers
from audit_handler._reports import Reporter
from audit_handler.clickhouse import Destination
from audit_handler.errors import RejectedFull
from audit_handler.status import Status

__all__ = ["Timed", "register"]

_logger = Reporter("audit_handler.metrics")

_MODULE = "opentelemetry.metrics"

# The bounds of the histogram: OpenTelemetry's bounds for requests, and more up to the driver's
# timeout.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

# Acquired by the thread that makes the instruments, and never released: a forked child finds it
# free or acquired, and no thread waits for it.
_made = threading.Lock()
_duration: Any = None


def register() -> None:
    """
    Make the instruments if OpenTelemetry's metrics are loaded and no instruments were made before.

    Cheap enough to call for every batch.
    """
    global _duration  # a fact about this process
    if _duration is not None:
        return
    metrics = sys.modules.get(_MODULE)
    # None while another thread is importing the module: the next call makes them.
    get_meter = getattr(metrics, "get_meter", None)
    if get_meter is None or not _made.acquire(blocking=False):
        return
    try:
        _duration = make_instruments(get_meter("audit_handler"))
    except Exception:
        _logger.exception("The OpenTelemetry instruments cannot be made. There are no metrics")


def make_instruments(meter: Any) -> Any:
    """Make the observed instruments with *meter*, and return the histogram."""
    counters: tuple[tuple[str, _Read, str], ...] = (
        ("emitted", _emitted, "Audit records of logger calls, dropped ones included."),
        ("exported", _exported, "Audit records that ClickHouse acknowledged."),
        ("rejected", _rejected, "Audit records that ClickHouse rejected; kept for a replay."),
        ("dropped", _dropped, "Audit records that were dropped or lost."),
    )
    for name, read, description in counters:
        meter.create_observable_counter(
            f"audit.records.{name}", [_observer(read)], unit="{record}", description=description
        )
    gauges: tuple[tuple[str, Callable[[Any], Iterable[Any]], str, str], ...] = (
        ("queue.depth", _observer(_waiting), "{record}", "Audit records that wait in the spool."),
        ("queue.size", _observer(_bytes), "By", "Bytes that wait in the spool."),
        ("queue.capacity", _observer(_capacity), "By", "Bytes that may wait in the spool."),
        ("queue.age", _observer(_age, max), "s", "Time for which the oldest record has waited."),
        # The handlers of one target share one directory.
        ("rejected.depth", _observer(_kept, max), "{record}", "Rejected audit records on disk."),
        ("rejected.size", _observer(_kept_bytes, max), "By", "Bytes of rejected audit records."),
        ("rejected.capacity", _observer(_kept_most, max), "By", "The most bytes of them."),
        ("rejected.age", _observer(_kept_age, max), "s", "Time since the oldest was rejected."),
    )
    for name, observe, unit, description in gauges:
        meter.create_observable_gauge(
            f"audit.{name}", [observe], unit=unit, description=description
        )
    return meter.create_histogram(
        "audit.export.duration",
        unit="s",
        description="Duration of one insert attempt.",
        explicit_bucket_boundaries_advisory=_SECONDS,
    )


_Read = Callable[[Status], dict[str, int] | dict[str, float]]
"""Returns numbers of a status by error type. The type is empty for a number without a type."""


def _emitted(status: Status) -> dict[str, int]:
    # Rows that are dropped after ClickHouse rejected them were accepted before, by this process or
    # by the one that wrote them.
    refused = status.rows_dropped - status.drops.get(RejectedFull.__name__, 0)
    return {"": status.rows_emitted + refused}


def _exported(status: Status) -> dict[str, int]:
    return {"": status.rows_stored}


def _rejected(status: Status) -> dict[str, int]:
    return {"": status.rows_rejected}


def _dropped(status: Status) -> dict[str, int]:
    lost = {"SegmentRemoved": status.rows_lost} if status.rows_lost else {}
    # Zero without drops, because an alert on an increase needs a first value.
    return {**status.drops, **lost} or {"": 0}


def _waiting(status: Status) -> dict[str, int]:
    return {"": status.rows_waiting}


def _bytes(status: Status) -> dict[str, int]:
    return {"": status.bytes_waiting}


def _capacity(status: Status) -> dict[str, int]:
    return {"": status.max_spool_bytes}


def _age(status: Status) -> dict[str, float]:
    return {"": status.oldest_waiting_seconds}


def _kept(status: Status) -> dict[str, int]:
    return {"": status.rows_in_rejected}


def _kept_bytes(status: Status) -> dict[str, int]:
    return {"": status.bytes_in_rejected}


def _kept_most(status: Status) -> dict[str, int]:
    return {"": status.max_rejected_bytes}


def _kept_age(status: Status) -> dict[str, float]:
    return {"": status.oldest_in_rejected_seconds}


def _observer(
    read: _Read, combine: Callable[[float, float], float] = add
) -> Callable[[Any], Iterable[Any]]:
    def observe(_options: Any) -> Iterator[Any]:
        from opentelemetry.metrics import Observation

        # Two handlers may have the same target, but each set of attributes has one number.
        values: dict[tuple[str, str], float] = {}
        for handler in handlers():
            status = handler.status()
            for error, value in read(status).items():
                key = (status.target, error)
                values[key] = combine(values[key], value) if key in values else value
        for (target, error), value in values.items():
            yield Observation(value, _attributes(target, error))

    return observe


def _attributes(target: str, error: str) -> dict[str, str]:
    return {"audit.target": target, **({"error.type": error} if error else {})}


class Timed:
    """
    A destination whose insert attempts are timed, including the time to connect.

    Args:
        destination: Stores the rows.
        target: The target's name in the attributes, without credentials.
        monotonic: Returns seconds that never step back.
    """

    def __init__(
        self,
        destination: Destination,
        target: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._destination = destination
        self._target = target
        self._monotonic = monotonic
        self.reads_files = destination.reads_files
        self.stored = destination.stored
        self.hides_rows = destination.hides_rows
        self.refuses_size = destination.refuses_size
        self.close = destination.close

    def insert(
        self,
        lines: bytes,
        *,
        token: str,
        path: Path | None = None,
        without: Collection[str] = (),
        ignores_views: bool = False,
        alone: bool = False,
        rows: int | None = None,
    ) -> None:
        """Insert as `Destination.insert` does, and record how long it took."""
        register()
        error, started = "", self._monotonic()
        try:
            self._destination.insert(
                lines,
                token=token,
                path=path,
                without=without,
                ignores_views=ignores_views,
                alone=alone,
                rows=rows,
            )
        except BaseException as exc:
            error = type(exc).__name__
            raise
        finally:
            self._record(self._monotonic() - started, error)

    def _record(self, seconds: float, error: str) -> None:
        if _duration is not None:
            try:
                _duration.record(seconds, _attributes(self._target, error))
            # A bug of an exporter must not make a stored batch look like a failed one.
            except Exception:
                _logger.exception("The duration of an insert cannot be recorded")
