"""The inventory of a spool: waiting and rejected rows. It changes and adopts nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit_handler.spool._files import Files, Found
from audit_handler.spool._layout import LOCK_NAME, is_writer_name, readable_names
from audit_handler.spool._own import ForeignError, report_foreign, report_unreadable
from audit_handler.spool._rejected import RejectedRows, files_of
from audit_handler.spool._segment import is_segment_name

__all__ = ["RejectedBatch", "SpooledRow", "WaitingWriter", "rejected", "spooled_rows", "waiting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingWriter:
    """Rows of one writer that are not delivered yet."""

    target: str
    """Name of the target's directory in the spool."""
    writer_id: str
    is_alive: bool
    """Whether its process lives. The next process delivers the rows of a dead one."""
    segments: int
    rows: int
    bytes: int
    since: float
    """Unix seconds since which the oldest segment waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedBatch:
    """Rows of one segment that ClickHouse rejected."""

    target: str
    """Name of the target's directory in the spool."""
    path: Path
    rows: int
    bytes: int
    """The bytes of the rows and of the reasons."""
    reasons: Mapping[int, str]
    """The message of ClickHouse, by *seq*. It may quote the row."""
    since: float
    """Unix seconds at which the file was last written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpooledRow:
    """One row that is in the spool."""

    target: str
    is_rejected: bool
    reason: str
    """Why ClickHouse rejected it; empty if it did not."""
    row: dict[str, Any]
    """The values by column; for a damaged line, its text under ``_damaged``."""


def waiting(files: Files, spool_directory: Path) -> Iterator[WaitingWriter]:
    """Yield every writer of the spool that has rows, for all targets."""
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
    """Yield every batch of rejected rows, for all targets."""
    for name in _names(files, spool_directory):
        rows = RejectedRows(files, spool_directory / name)
        sizes: Mapping[str, Found] = {}
        for path in _batches(rows):
            if found := _read(files, path):
                sizes = sizes or files.found(rows.directory)
                yield RejectedBatch(
                    target=name,
                    path=path,
                    rows=found[0].count(b"\n"),
                    bytes=sum(sizes[each].size for each in files_of(path) if each in sizes),
                    reasons=rows.reasons(path),
                    since=found[1],
                )


def _batches(rejected: RejectedRows) -> list[Path]:
    try:
        return rejected.batches()
    except OSError:
        return []  # It belongs to another user, or is no directory.


def spooled_rows(files: Files, spool_directory: Path) -> Iterator[SpooledRow]:
    """
    Yield every row in the spool: first the waiting ones, writer by writer in the order of their
    numbers, then the rejected ones.

    A row that is yielded may be stored in ClickHouse a moment later.
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
    """Return a row; for a damaged line, its text under ``_damaged``."""
    try:
        row: dict[str, Any] = json.loads(line)
    except ValueError:
        return {"_damaged": line.decode("utf-8", "backslashreplace")}
    return row


def _writers(files: Files, spool_directory: Path) -> Iterator[Path]:
    for target in _names(files, spool_directory):
        # The names first: files that stand beside the targets are nothing to report.
        names = _names(files, spool_directory / target)
        if not names or not files.is_own(spool_directory / target):
            continue
        for name in names:
            directory = spool_directory / target / name
            if is_writer_name(name) and files.is_own(directory):
                yield directory


def _segments(files: Files, directory: Path) -> Iterator[tuple[bytes, float]]:
    """Yield, in order, the whole lines of each segment and the time of its last write."""
    for name in _names(files, directory):
        path = directory / name
        if is_segment_name(name):
            found = _read(files, path)
            # It may be removed, or not written yet.
            if found and found[0]:
                yield found


def _names(files: Files, directory: Path) -> list[str]:
    """Return the names in *directory*; none if it cannot be read, which is reported once."""
    try:
        return files.names(directory)
    except PermissionError as exc:
        report_unreadable(directory, exc)
    except OSError:
        pass  # No directory, or it was removed.
    return []


def _read(files: Files, path: Path) -> tuple[bytes, float] | None:
    """Return the whole lines of a file and the time of its last write; None if gone or foreign."""
    try:
        content, since = files.read(path), files.modified(path)
    except FileNotFoundError:
        return None
    except ForeignError as exc:
        report_foreign(path, exc)
        return None
    except PermissionError as exc:
        report_unreadable(path, exc)
        return None
    return content[: content.rfind(b"\n") + 1], since


def _is_alive(files: Files, directory: Path) -> bool:
    # Look for the lock file first: taking the lock would create it.
    if LOCK_NAME not in readable_names(files, directory):
        return False
    try:
        lock = files.lock(directory / LOCK_NAME)
    except OSError:
        # It belongs to another user. False would promise that the next process delivers the rows.
        return True
    if lock is None:
        return True
    lock.release()
    return False
