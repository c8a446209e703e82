"""What the handler has done so far, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Counters", "Status"]


@dataclass(slots=True)
class Counters:
    """
    The running counts of one handler. Each field has one writer: the logger calls under their lock,
    or the listener.
    """

    rows_dropped: int = 0
    drops: dict[str, int] = field(default_factory=dict)
    rows_stored: int = 0
    rows_rejected: int = 0
    rows_adopted: int = 0
    rows_lost: int = 0
    batches_stored: int = 0
    retries: int = 0
    last_error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """
    A handler at one moment. Counts are since the handler was made, in this process.

    Every row that was emitted here or adopted is stored, rejected, lost or waiting.
    """

    target: str
    """Where the rows go, without credentials."""
    rows_emitted: int
    """Rows that logger calls handed over and the spool took."""
    rows_dropped: int
    """Rows that the spool did not take: it was full, or the disk refused."""
    drops: Mapping[str, int]
    """The dropped rows by the kind of error, as in ``{"SpoolFull": 12}``."""
    rows_adopted: int
    """Rows taken over from processes that ended before theirs were delivered."""
    rows_stored: int
    """Rows that ClickHouse acknowledged."""
    rows_rejected: int
    """Rows that ClickHouse cannot take; they are in ``rejected/`` with the reason."""
    rows_lost: int
    """
    Rows whose segment somebody else removed from the spool, or the disk does not give back; and
    those that a spool in memory held when the process ended.
    """
    rows_waiting: int
    """Rows in the spool."""
    bytes_waiting: int
    """Bytes in the spool."""
    max_spool_bytes: int
    """Bytes that may wait."""
    is_full: bool
    """Whether there is no room for a row of the usual size."""
    oldest_waiting_seconds: float
    """Seconds for which the oldest row in the spool has waited; 0.0 when none waits."""
    batches_stored: int
    retries: int
    """Inserts that had to be tried again."""
    last_error: str
    """
    The last trouble with ClickHouse, without secrets; empty when there was none, or none since the
    last success.
    """
