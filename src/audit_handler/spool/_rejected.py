"""
Rejected rows: the files in ``rejected/``, beside the writers' directories of a target.

The rows of one segment that ClickHouse rejected are one batch of two files::

    <writer_id>-<first_seq>-<last_seq>.ndjson       the rows, one a line, as in the segment
    <writer_id>-<first_seq>-<last_seq>.error.json   {"rows": [{"seq": 7, "code": 27, "reason": ""}]}
    lock                                            held by a replay

The numbers are those of the whole segment. The reasons are written first and removed last: rows
always have their reasons beside them, and reasons without rows are ignored.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from audit_handler.errors import DataError, SpoolError
from audit_handler.spool._files import Files, write_whole
from audit_handler.spool._layout import LOCK_NAME
from audit_handler.spool._own import ForeignError, report_foreign

__all__ = [
    "Reason",
    "RejectedRows",
    "files_of",
    "is_batch",
    "rejected_directory",
    "size_of",
]

_REJECTED = "rejected"
_ROWS = ".ndjson"
_REASONS = ".error.json"
_PART = "replay.part"


def rejected_directory(target_directory: Path) -> Path:
    """Return the directory, beside the writers', for rows that ClickHouse rejected."""
    return target_directory / _REJECTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why ClickHouse rejected a row."""

    seq: int | None
    """The row's number; None for a line that holds no row."""
    code: int | None
    """The number of ClickHouse's error."""
    text: str
    """The message of ClickHouse. It may quote the row."""

    @classmethod
    def of(cls, seq: int | None, exc: DataError) -> Reason:
        """Return the reason that *exc* gives for row *seq*."""
        return cls(seq=seq, code=exc.code, text=str(exc.__cause__ or exc))


class RejectedRows:
    """
    The batches in ``rejected/`` of one target. A batch is named by the path of its rows.

    Nothing is created before the first `write`.

    Args:
        files: The file operations.
        target_directory: The target's directory.
        is_synced: Whether each file is synced when it is written.
    """

    def __init__(self, files: Files, target_directory: Path, *, is_synced: bool = True) -> None:
        self._files = files
        self._target_directory = target_directory
        self._is_synced = is_synced
        self.directory = rejected_directory(target_directory)

    def write(
        self, writer_id: str, first_seq: int, last_seq: int, rows: bytes, reasons: Sequence[Reason]
    ) -> Path:
        """
        Write rows of one segment, and the reasons; return their batch.

        After a crash, the same call replaces the files of the first one.

        Args:
            writer_id: The writer of the segment.
            first_seq: The number of the segment's first row.
            last_seq: The number of its last row.
            rows: The rejected rows, as lines.
            reasons: One for each row.
        """
        batch = self.batch(writer_id, first_seq, last_seq)
        self._write(batch.with_suffix(_REASONS), _encoded(reasons))
        return self._write(batch, rows)

    def batch(self, writer_id: str, first_seq: int, last_seq: int) -> Path:
        """Return the batch of a segment; it need not exist."""
        return self.directory / f"{writer_id}-{first_seq}-{last_seq}{_ROWS}"

    def batches(self) -> list[Path]:
        """Return all batches, sorted by name; none if the directory is another user's or a link."""
        if not self._files.is_own(self.directory):
            return []
        names = self._files.names(self.directory)
        return [self.directory / name for name in names if is_batch(name)]

    def read(self, batch: Path) -> bytes:
        """Return the rows of *batch*, as lines; none if the file is foreign."""
        try:
            return self._files.read(batch)
        except ForeignError as exc:
            report_foreign(batch, exc)
            return b""

    def modified(self, batch: Path) -> float:
        """Return the Unix seconds at which *batch* was last written."""
        return self._files.modified(batch)

    def reasons(self, batch: Path) -> dict[int, str]:
        """Return the text of each reason by *seq*; none when they are missing or damaged."""
        try:
            reasons = json.loads(self._files.read(batch.with_suffix(_REASONS)))["rows"]
            return {each["seq"]: str(each.get("reason", "")) for each in reasons}
        except (OSError, ValueError, TypeError, LookupError, AttributeError):
            return {}

    def rewrite_reasons(self, batch: Path, reasons: Sequence[Reason]) -> None:
        """Replace the reasons of *batch*."""
        self._write(batch.with_suffix(_REASONS), _encoded(reasons))

    def rewrite_rows(self, batch: Path, rows: bytes) -> None:
        """Replace the rows of *batch* by the remaining ones."""
        self._write(batch, rows)

    def remove(self, batch: Path) -> None:
        """Remove *batch*: no row of it is left."""
        self._files.unlink(batch)
        with suppress(FileNotFoundError):  # An operator may have read and removed it.
            self._files.unlink(batch.with_suffix(_REASONS))

    @contextmanager
    def part(self, rows: bytes) -> Iterator[Path]:
        """Keep *rows* in a file of their own inside this block, for an insert that reads a file."""
        path = self._write(self.directory / _PART, rows)
        try:
            yield path
        finally:
            self._files.unlink(path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """
        Keep other replays out inside this block.

        Raises:
            SpoolError: Another replay of this target is running.
        """
        lock = self._files.lock(self.directory / LOCK_NAME)
        if lock is None:
            raise SpoolError(
                f"another replay is running in {self.directory}; try again when it has ended"
            )
        try:
            yield
        finally:
            lock.release()

    def move_to(self, other: RejectedRows) -> int:
        """
        Move all batches to *other*, the batches of another target; return the number of rows.

        May be interrupted and repeated.

        Raises:
            SpoolError: A replay of this target is running.
            OSError: A file operation failed; the rest stays here.
        """
        files, names = self._files, self._files.names(self.directory)
        names = [name for name in names if name.endswith((_ROWS, _REASONS))]
        if not names:
            return 0
        rows = 0
        with self.locked():
            files.make_directory(other.directory)
            # Sorted, so the reasons of a batch go before its rows.
            for name in names:
                try:
                    content = files.read(self.directory / name)
                except ForeignError as exc:
                    report_foreign(self.directory / name, exc)
                    continue
                rows += content.count(b"\n") if name.endswith(_ROWS) else 0
                files.rename(self.directory / name, other.directory / name)
            files.sync_directory(other.directory)
            files.sync_directory(self.directory)
        return rows

    def remove_directory_if_empty(self) -> None:
        """
        Remove ``rejected/`` if only its lock file is left.

        Raises:
            OSError: A file operation failed.
        """
        if self._files.names(self.directory) == [LOCK_NAME]:
            self._files.unlink(self.directory / LOCK_NAME)
            self._files.remove_directory(self.directory)

    def _write(self, path: Path, content: bytes) -> Path:
        self._files.make_directory(self._target_directory)
        self._files.make_directory(self.directory)
        if self._is_synced:
            self._files.sync_directory(self._target_directory)
        return write_whole(self._files, path, content, is_synced=self._is_synced)


def is_batch(name: str) -> bool:
    """Return whether a file of this *name* has the rows of a batch."""
    return name.endswith(_ROWS)


def files_of(batch: Path) -> tuple[str, str]:
    """Return the names of the two files of *batch*: rows and reasons."""
    return batch.name, batch.with_suffix(_REASONS).name


def size_of(rows: bytes, reasons: Sequence[Reason]) -> int:
    """Return the bytes of a batch with *rows* and *reasons*."""
    return len(rows) + len(_encoded(reasons))


def _encoded(reasons: Sequence[Reason]) -> bytes:
    rows = [{"seq": each.seq, "code": each.code, "reason": each.text} for each in reasons]
    return json.dumps({"rows": rows}, indent=1).encode()
