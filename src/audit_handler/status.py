"""The state of a handler in numbers: running counters, and a snapshot of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import orjson

__all__ = ["Counters", "RejectedUsage", "Status", "count_by_user"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedUsage:
    """What is in ``rejected/`` of one target."""

    rows: int = 0
    bytes: int = 0
    """The bytes of all files, reasons included."""
    since: float | None = None
    """Unix seconds at which the oldest batch was written; None if there is none."""


@dataclass(slots=True)
class Counters:
    """
    The running counts of one handler.

    Each field has one writer: the logger calls under their lock, or the listener.
    """

    rows_dropped: int = 0
    drops: dict[str, int] = field(default_factory=dict)
    rows_stored: int = 0
    rows_rejected: int = 0
    rows_adopted: int = 0
    rows_lost: int = 0
    batches_stored: int = 0
    retries: int = 0
    skipped_columns: Mapping[str, int] = field(default_factory=dict)
    last_error: str = ""
    in_rejected: RejectedUsage = RejectedUsage()

    def has_missing_rows(self) -> bool:
        """Return whether any row was rejected, dropped or lost."""
        return bool(self.rows_rejected or self.rows_dropped or self.rows_lost)


class Waiting(Protocol):
    """The numbers of a spool that a status needs. No call acquires a lock."""

    @property
    def waiting_rows(self) -> int: ...

    @property
    def waiting_bytes(self) -> int: ...

    @property
    def is_full(self) -> bool: ...

    def oldest_age(self) -> float: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """
    A handler at one moment. Counts start when the handler is made, in this process.

    Every row that was emitted here or adopted is stored, rejected, lost or waiting, or was dropped
    as ``RejectedFull``.
    """

    target: str
    """Where the rows go, without credentials."""
    rows_emitted: int
    """Rows of logger calls that the spool accepted."""
    rows_dropped: int
    """
    Rows that the spool did not accept because it was full or the disk failed; and, as
    ``RejectedFull``, accepted rows that ClickHouse rejected and ``rejected/`` had no space for.
    """
    drops: Mapping[str, int]
    """The dropped rows by the kind of error, as in ``{"SpoolFull": 12}``."""
    rows_adopted: int
    """Rows taken over from processes that ended before their rows were delivered."""
    rows_stored: int
    """Rows that ClickHouse acknowledged."""
    rows_rejected: int
    """Rows that ClickHouse rejected; they are in ``rejected/`` with the reason."""
    rows_in_rejected: int
    """
    Rows in ``rejected/`` of this target now, of all its processes, earlier ones included. These
    three numbers are some seconds old.
    """
    bytes_in_rejected: int
    """Bytes in ``rejected/`` of this target now, reasons included."""
    max_rejected_bytes: int
    """The most bytes that may be in ``rejected/``."""
    oldest_in_rejected_seconds: float
    """Seconds since the oldest file in ``rejected/`` was written; 0.0 when there is none."""
    rows_lost: int
    """
    Rows whose file another program removed from the spool, or that the disk cannot read, and rows
    in memory when the process ended.
    """
    rows_waiting: int
    """Rows in the spool."""
    bytes_waiting: int
    """Bytes in the spool."""
    max_spool_bytes: int
    """The most bytes that may wait."""
    is_full: bool
    """Whether the spool has no space for a row of the usual size."""
    oldest_waiting_seconds: float
    """Seconds for which the oldest row in the spool has waited; 0.0 when no row waits."""
    batches_stored: int
    """Batches whose rows are all stored or in ``rejected/``."""
    retries: int
    """Deliveries that failed and are tried again."""
    skipped_columns: Mapping[str, int] = field(default_factory=dict)
    """
    Rows that were stored without a column that you added to the table, by column, as in ``{"due":
    12}``: it rejects values. The values are in *metadata*.
    """
    last_error: str
    """
    The last failure of a delivery, without secrets; empty if none has failed since the last
    success.
    """
    obstacles: tuple[str, ...] = ()
    """What keeps audit events from the handler: loggers that have it and are disabled."""

    @classmethod
    def of(
        cls,
        counters: Counters,
        spools: Sequence[Waiting],
        *,
        target: str,
        rows_emitted: int,
        max_spool_bytes: int,
        obstacles: tuple[str, ...] = (),
        max_rejected_bytes: int,
        now: float,
    ) -> Status:
        """
        Return the status at *now*, in Unix seconds, of the handler with *counters*, whose rows wait
        in *spools*.
        """
        kept = counters.in_rejected
        return cls(
            target=target,
            rows_emitted=rows_emitted,
            rows_dropped=counters.rows_dropped,
            drops=dict(counters.drops),
            rows_adopted=counters.rows_adopted,
            rows_stored=counters.rows_stored,
            rows_rejected=counters.rows_rejected,
            rows_in_rejected=kept.rows,
            bytes_in_rejected=kept.bytes,
            max_rejected_bytes=max_rejected_bytes,
            oldest_in_rejected_seconds=0.0 if kept.since is None else max(0.0, now - kept.since),
            rows_lost=counters.rows_lost,
            rows_waiting=sum(spool.waiting_rows for spool in spools),
            bytes_waiting=sum(spool.waiting_bytes for spool in spools),
            max_spool_bytes=max_spool_bytes,
            is_full=any(spool.is_full for spool in spools),
            oldest_waiting_seconds=max((spool.oldest_age() for spool in spools), default=0.0),
            batches_stored=counters.batches_stored,
            retries=counters.retries,
            skipped_columns=dict(counters.skipped_columns),
            last_error=counters.last_error,
            obstacles=obstacles,
        )


def count_by_user(lines: Iterable[bytes | None]) -> tuple[dict[str, int], bool]:
    """
    Count encoded rows by *agent_id*; ``""`` counts the rows without one.

    Args:
        lines: The rows; None means that more rows follow that were not read.

    Returns:
        The counts, and whether all rows were read.
    """
    counts: dict[str, int] = {}
    for line in lines:
        if line is None:
            return counts, False
        # The last row may be half written.
        with suppress(orjson.JSONDecodeError):
            user = orjson.loads(line).get("agent_id", "")
            counts[user] = counts.get(user, 0) + 1
    return counts, True
