"""
OpenTelemetry metrics out, under the names of its audit-logging draft.

| name | kind, unit | attributes besides audit.target |
|---|---|---|
| audit.records.emitted | counter, records that were handed over | |
| audit.records.exported | counter, records that ClickHouse acknowledged | |
| audit.records.rejected | counter, records that ClickHouse cannot take | |
| audit.records.dropped | counter, records that are lost | error.type |
| audit.queue.depth | gauge, records in the spool | |
| audit.queue.size | gauge, bytes in the spool | |
| audit.queue.capacity | gauge, bytes that may be in the spool | |
| audit.queue.age | gauge, seconds for which the oldest record has waited | |
| audit.export.duration | histogram, seconds of one insert attempt | error.type, if it failed |

The instruments are made by the listener once the application has loaded OpenTelemetry's metrics,
and nothing is imported for those who have not. Which provider is behind them, and when it is set,
is OpenTelemetry's affair. They are made once in a process, and read all of its handlers.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from operator import add
from pathlib import Path
from typing import Any

from audit_handler._process.registry import handlers
from audit_handler.clickhouse import Destination
from audit_handler.status import Status

__all__ = ["Timed", "register"]

_logger = logging.getLogger("audit_handler.metrics")

_MODULE = "opentelemetry.metrics"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
# The histogram's bounds: those of OpenTelemetry for requests, and up to the driver's timeout.


_made = threading.Lock()
# Taken by the thread that makes the instruments, and never given back: a fork finds it free or
# taken, and nobody waits for it.
_duration: Any = None


def register() -> None:
    """
    Make the instruments, if OpenTelemetry's metrics are loaded and nobody has made them before.

    Cheap enough to be called for every batch.
    """
    global _duration  # a fact about this process
    if _duration is not None:
        return
    metrics = sys.modules.get(_MODULE)
    # Half imported by another thread at this very moment: next time.
    get_meter = getattr(metrics, "get_meter", None)
    if get_meter is None or not _made.acquire(blocking=False):
        return
    try:
        _duration = make_instruments(get_meter("audit_handler"))
    except Exception:
        _logger.exception("there will be no metrics")


def make_instruments(meter: Any) -> Any:
    """Make the observed instruments with *meter*, and return the histogram."""
    counters: tuple[tuple[str, _Read, str], ...] = (
        ("emitted", _emitted, "Audit records that were handed over."),
        ("exported", _exported, "Audit records that ClickHouse acknowledged."),
        ("rejected", _rejected, "Audit records that ClickHouse cannot take; kept, to be replayed."),
        ("dropped", _dropped, "Audit records that are lost."),
    )
    for name, read, description in counters:
        meter.create_observable_counter(
            f"audit.records.{name}", [_observer(read)], unit="{record}", description=description
        )
    gauges: tuple[tuple[str, Callable[[Any], Iterable[Any]], str, str], ...] = (
        ("depth", _observer(_waiting), "{record}", "Audit records that wait in the spool."),
        ("size", _observer(_bytes), "By", "Bytes that wait in the spool."),
        ("capacity", _observer(_capacity), "By", "Bytes that may wait in the spool."),
        ("age", _observer(_age, max), "s", "Time for which the oldest audit record has waited."),
    )
    for name, observe, unit, description in gauges:
        meter.create_observable_gauge(
            f"audit.queue.{name}", [observe], unit=unit, description=description
        )
    return meter.create_histogram(
        "audit.export.duration",
        unit="s",
        description="Duration of one insert attempt.",
        explicit_bucket_boundaries_advisory=_SECONDS,
    )


_Read = Callable[[Status], dict[str, int] | dict[str, float]]
"""Takes a number out of a status, by error type; that is empty where it is about none."""


def _emitted(status: Status) -> dict[str, int]:
    return {"": status.rows_emitted + status.rows_dropped}


def _exported(status: Status) -> dict[str, int]:
    return {"": status.rows_stored}


def _rejected(status: Status) -> dict[str, int]:
    return {"": status.rows_rejected}


def _dropped(status: Status) -> dict[str, int]:
    lost = {"SegmentRemoved": status.rows_lost} if status.rows_lost else {}
    # A zero when there is none: an alert on its rise needs something to rise from.
    return {**status.drops, **lost} or {"": 0}


def _waiting(status: Status) -> dict[str, int]:
    return {"": status.rows_waiting}


def _bytes(status: Status) -> dict[str, int]:
    return {"": status.bytes_waiting}


def _capacity(status: Status) -> dict[str, int]:
    return {"": status.max_spool_bytes}


def _age(status: Status) -> dict[str, float]:
    return {"": status.oldest_waiting_seconds}


def _observer(
    read: _Read, combine: Callable[[float, float], float] = add
) -> Callable[[Any], Iterable[Any]]:
    def observe(_options: Any) -> Iterator[Any]:
        from opentelemetry.metrics import Observation

        # Two handlers may have one target, and one set of attributes is one number.
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
    A destination whose insert attempts are timed, connecting included where it takes that.

    Args:
        destination: Does the work.
        target: What it is called in the attributes; without credentials.
        monotonic: The clock.
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
        self.stored = destination.stored
        self.close = destination.close

    def insert(
        self, lines: bytes, *, token: str, path: Path | None = None, is_standard: bool = False
    ) -> None:
        """Insert, see there."""
        register()
        error, started = "", self._monotonic()
        try:
            self._destination.insert(lines, token=token, path=path, is_standard=is_standard)
        except BaseException as exc:
            error = type(exc).__name__
            raise
        finally:
            self._record(self._monotonic() - started, error)

    def _record(self, seconds: float, error: str) -> None:
        if _duration is not None:
            try:
                _duration.record(seconds, _attributes(self._target, error))
            except (
                Exception
            ):  # an exporter's bug must not make a stored batch look like a failed one
                _logger.exception("the duration of an insert is not recorded")
