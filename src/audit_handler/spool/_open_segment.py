"""The open segment: the file that rows are appended to, and its counts."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from audit_handler.spool._files import Files

__all__ = ["MAX_MONTHS", "OpenSegment"]

# The most months in a segment. Each is a partition of the table, and by default ClickHouse rejects
# an insert into more than 100 (max_partitions_per_insert_block). 64 months are five years, which a
# backfill in any order usually stays within.
MAX_MONTHS = 64


class OpenSegment:
    """
    A file with rows of at most `MAX_MONTHS` months, open for appending.

    May be interrupted at any bytecode: `settle` finishes an interrupted `append`, from the size of
    the file. Call `settle` before the next `append` when `pending` is not 0.

    Args:
        files: The file operations.
        path: The file.
        handle: Its handle; it is closed by `close`.
        first_seq: The number of its first row.
        bytes_before: Bytes of all rows that the writer wrote before it.
        month: The month of its first row.
        opened: Monotonic seconds at which it was created.
        since: Unix seconds at which it was created.
    """

    __slots__ = (
        "_files",
        "_months",
        "bytes_before",
        "counts",
        "first_seq",
        "handle",
        "month",
        "opened",
        "path",
        "pending",
        "since",
    )

    def __init__(
        self,
        files: Files,
        *,
        path: Path,
        handle: int,
        first_seq: int,
        bytes_before: int,
        month: str,
        opened: float,
        since: float,
    ) -> None:
        self._files = files
        self.path = path
        # -1 once it is closed.
        self.handle = handle
        self.first_seq = first_seq
        self.bytes_before = bytes_before
        self.month = month
        """The month that was admitted last: most rows have the month of the row before."""
        self._months = {month}
        self.opened = opened
        self.since = since
        # Bytes and rows. One tuple, because an interruption must find a row counted in both or in
        # neither.
        self.counts = (0, 0)
        # Bytes of the row that is being written at this moment.
        self.pending = 0

    @property
    def size(self) -> int:
        """Bytes of its rows."""
        return self.counts[0]

    @property
    def rows(self) -> int:
        """Rows in it."""
        return self.counts[1]

    @property
    def last_seq(self) -> int:
        """The number of its last row, or of the row before it when it is empty."""
        return self.first_seq + self.counts[1] - 1

    def admits(self, month: str) -> bool:
        """
        Return whether a row of *month* may be appended. Count the month from now on, even if that
        row never comes.
        """
        if month not in self._months:
            if len(self._months) >= MAX_MONTHS:
                return False
            self._months.add(month)
        self.month = month
        return True

    def append(self, line: bytes) -> int:
        """
        Write one row with its line end; return how many rows are in the file now.

        Raises:
            OSError: The write failed, and the row is not in the file. An OSError without an errno
                comes from a signal handler, and the row may be in the file.
        """
        size, rows = self.counts
        self.pending = len(line)
        try:
            held_write = self._files.held_write
            # Nothing comes between the reading of the handle and the write: see `HeldWrite`.
            written = (
                held_write.append(self, line)
                if held_write
                else self._files.write(self.handle, line)
            )
            while written < len(line):
                written += self._files.write(self.handle, line[written:])
        except OSError:
            with suppress(OSError):  # The next call settles it, as after an interruption.
                self.settle()
            raise
        self.counts = (size + written, rows + 1)
        self.pending = 0
        return rows + 1

    def settle(self) -> None:
        """
        Make counts and file agree after a write that failed or was interrupted.

        A whole row is counted; a part of one is cut off.

        Raises:
            OSError: A file operation failed; the next call tries again.
        """
        if not self.pending:
            return
        before, rows = self.counts
        size = self._files.size(self.handle)
        if size == before + self.pending:
            self.counts = (size, rows + 1)
        elif size > before:
            self._files.truncate(self.handle, before)
        self.pending = 0

    def close(self) -> None:
        """
        Close the file, if it is open.

        Raises:
            OSError: The file system reported an error; the handle is closed anyway.
        """
        if self.handle >= 0:
            # Forget the number before the close: a moment later it may be that of a socket.
            handle, self.handle = self.handle, -1
            self._files.close(handle)
