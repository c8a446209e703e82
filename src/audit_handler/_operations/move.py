"""
Move: send rows that wait for one target to another.

A row that waits for one table must never get into another by itself, so a process adopts only rows
under its own target. When the dsn has changed for good, an operator moves them: the directories of
dead writers are renamed from the old target's directory into the new one's. From then on they are
dead writers of the new target, and any of its processes may deliver them by the same rules.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from audit_handler._clock import SystemClock
from audit_handler._delivery.deliveries import Deliveries
from audit_handler._delivery.trouble import Trouble
from audit_handler.clickhouse import Destination
from audit_handler.errors import SpoolError
from audit_handler.spool import (
    Files,
    RejectedRows,
    SegmentGone,
    SegmentUnreadable,
    Spool,
    adopt_dead_writers,
)
from audit_handler.status import Counters

__all__ = ["Delivered", "deliver", "remove_target", "rename_target"]

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The outcome for the rows that waited for a target."""

    stored: int
    rejected: int
    """Rows that ClickHouse rejected; they are in the target's ``rejected/``."""


def rename_target(files: Files, old: Path, new: Path) -> int:
    """
    Move the directories of dead writers, and rejected files, from the target directory *old* to
    *new*. Return how many rows were moved. Writers that live stay.

    May be interrupted and repeated: each writer moves in one step, under its own name.

    Raises:
        SpoolError: A replay of the old target is running.
        OSError: A file operation failed; the rest stays where it is.
    """
    # Both must be this user's: rows of another user's directory may have been planted.
    files.make_directory(old)
    files.make_directory(new)
    rows = 0
    for dead, segments in adopt_dead_writers(files, old):
        try:
            files.rename(dead.directory, new / dead.directory.name)
        finally:
            dead.lock.release()
        rows += sum(segment.rows for segment in segments)
    files.sync_directory(new)
    files.sync_directory(old)
    return rows + RejectedRows(files, old).move_to(RejectedRows(files, new))


def remove_target(files: Files, directory: Path) -> None:
    """Remove the directory of a target if nothing is left in it."""
    with suppress(OSError):
        RejectedRows(files, directory).remove_directory_if_empty()
        files.remove_directory(directory)


def deliver(files: Files, directory: Path, destination: Destination) -> Delivered:
    """
    Deliver the rows of dead writers in the *directory* of *destination*'s target, as a handler
    would: rows that may be stored already are looked up first.

    Raises:
        TransientError, SetupError: ClickHouse did not store the rows; they wait in *directory*.
        SpoolError: A file was removed meanwhile, or cannot be read; the rest waits in *directory*.
        OSError: A file operation of the spool failed.
    """
    counters = Counters()
    spool = _spool_of(files, directory)
    deliveries = Deliveries(spool, destination, counters, Trouble(counters, spool))
    try:
        spool.adopt()
        while (segment := spool.get(timeout=0.0)) is not None:
            try:
                deliveries.run(deliveries.of(segment))
            except SegmentGone as exc:
                raise SpoolError(
                    f"{segment.path} was removed by another process before its {segment.rows} rows "
                    "were acknowledged; run this again to deliver the other rows"
                ) from exc
            except SegmentUnreadable as exc:
                raise SpoolError(
                    f"the disk cannot read {segment.path}; its {segment.rows} rows were not sent. "
                    "Move the file elsewhere, and run this again to deliver the other rows"
                ) from exc
            spool.task_done()
    finally:
        spool.close()
    return Delivered(stored=counters.rows_stored, rejected=counters.rows_rejected)


def _spool_of(files: Files, target_directory: Path) -> Spool:
    """
    Return a spool for the files in *target_directory*. No row is put into it, so its limits have no
    effect.
    """
    return Spool(
        files,
        target_directory,
        batch_size=1,
        batch_bytes=8 * _MIB,
        flush_interval=0.0,
        max_bytes=8 * _MIB,
        fsync="batch",
        clock=SystemClock(),
    )
