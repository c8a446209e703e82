"""What lies in a spool, for those who look at it from outside. Nothing is changed or adopted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit_handler.spool._files import Files
from audit_handler.spool._recovery import _is_writer_name, _names, rejected_directory
from audit_handler.spool._segment import is_segment_name
from audit_handler.spool._writer import LOCK_NAME

__all__ = ["RejectedBatch", "SpooledRow", "WaitingWriter", "rejected", "spooled_rows", "waiting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingWriter:
    """The rows of one writer that are not delivered yet."""

    target: str
    """Name of the target's directory in the spool."""
    writer_id: str
    is_alive: bool
    """Whether its process lives; the rows of a dead one wait for the next process."""
    segments: int
    rows: int
    bytes: int
    since: float
    """Unix seconds since which the oldest segment waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedBatch:
    """Rows that ClickHouse refused, out of one segment."""

    target: str
    """Name of the target's directory in the spool."""
    path: Path
    rows: int
    reasons: Mapping[int, str]
    """What ClickHouse said, by *seq*. It may quote the row."""
    since: float
    """Unix seconds at which they were set aside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpooledRow:
    """One row that is in the spool."""

    target: str
    is_rejected: bool
    reason: str
    """Why ClickHouse refused it, if it did."""
    row: dict[str, Any]
    """By column; of a damaged line its text, under ``_damaged``."""


def waiting(files: Files, spool_directory: Path) -> Iterator[WaitingWriter]:
    """Yield every writer of the spool with rows that wait, whatever their target."""
    for directory in _writers(files, spool_directory):
        segments = list(_segments(files, directory))
        if segments:
            yield WaitingWriter(
                target=directory.parent.name,
                writer_id=directory.name,
                is_alive=_is_alive(files, directory),
                segments=len(segments),
                rows=sum(content.count(b"\n") for content, _ in segments),
                bytes=sum(len(content) for content, _ in segments),
                since=min(since for _, since in segments),
            )


def rejected(files: Files, spool_directory: Path) -> Iterator[RejectedBatch]:
    """Yield what ClickHouse refused, whatever its target."""
    for name in _names(files, spool_directory):
        directory = rejected_directory(spool_directory / name)
        for batch in _names(files, directory):
            path = directory / batch
            if path.suffix == ".ndjson" and (found := _read(files, path)):
                yield RejectedBatch(
                    target=name,
                    path=path,
                    rows=found[0].count(b"\n"),
                    reasons=_reasons(files, path),
                    since=found[1],
                )


def spooled_rows(files: Files, spool_directory: Path) -> Iterator[SpooledRow]:
    """
    Yield every row in the spool: those that wait, writer by writer in the order of their numbers,
    then the rejected ones.

    A row that is being delivered may be yielded, and be in ClickHouse a moment later.
    """
    for directory in _writers(files, spool_directory):
        for content, _ in _segments(files, directory):
            for line in content.splitlines():
                yield SpooledRow(
                    target=directory.parent.name,
                    is_rejected=False,
                    reason="",
                    row=_row(line),
                )
    for batch in rejected(files, spool_directory):
        found = _read(files, batch.path)
        for line in found[0].splitlines() if found else ():
            row = _row(line)
            reason = batch.reasons.get(row.get("seq", 0), "")
            yield SpooledRow(target=batch.target, is_rejected=True, reason=reason, row=row)


def _row(line: bytes) -> dict[str, Any]:
    """Return a row; of a line that a disk has damaged its text, under ``_damaged``."""
    try:
        row: dict[str, Any] = json.loads(line)
    except ValueError:
        return {"_damaged": line.decode("utf-8", "backslashreplace")}
    return row


def _writers(files: Files, spool_directory: Path) -> Iterator[Path]:
    for target in _names(files, spool_directory):
        for name in _names(files, spool_directory / target):
            directory = spool_directory / target / name
            if _is_writer_name(name) and not files.is_link(directory):
                yield directory


def _segments(files: Files, directory: Path) -> Iterator[tuple[bytes, float]]:
    """Yield the whole lines of each segment, in order, and since when it waits."""
    for name in _names(files, directory):
        path = directory / name
        if is_segment_name(name) and not files.is_link(path):
            found = _read(files, path)
            # Delivered a moment ago, or not written yet.
            if found and found[0]:
                yield found


def _read(files: Files, path: Path) -> tuple[bytes, float] | None:
    """
    Return the whole lines of a file and the time of its last write, or None where it is gone.
    """
    try:
        content, since = files.read(path), files.modified(path)
    except FileNotFoundError:
        return None
    return content[: content.rfind(b"\n") + 1], since


def _reasons(files: Files, path: Path) -> dict[int, str]:
    try:
        reasons = json.loads(files.read(path.with_suffix(".error.json")))["rows"]
        return {each["seq"]: str(each.get("reason", "")) for each in reasons}
    except (OSError, ValueError, TypeError, LookupError, AttributeError):
        return {}  # Gone, torn, or not ours.


def _is_alive(files: Files, directory: Path) -> bool:
    # Looked for first, because taking the lock would create it.
    if LOCK_NAME not in _names(files, directory):
        return False
    try:
        lock = files.lock(directory / LOCK_NAME)
    except OSError:
        return True  # Not ours to lock: better too alive than too dead.
    if lock is None:
        return True
    lock.release()
    return False
