"""The intake: accepts rows, within bounds, into the writer that it creates for the first one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from audit_handler._clock import Clock
from audit_handler.errors import SpoolClosed, SpoolError, SpoolFull, SpoolUnavailable
from audit_handler.spool._files import Files, write_whole
from audit_handler.spool._group_commit import GroupCommit
from audit_handler.spool._queue import SegmentQueue
from audit_handler.spool._reentry import Reentry
from audit_handler.spool._writer import Writer

__all__ = ["Intake"]

# The size that is assumed where no row is at hand: most requests with their bodies take less.
_USUAL_ROW_BYTES = 16 * 1024


class Intake:
    """
    Accepts rows into the writer of this process.

    Call `append`, `check_space`, `seal_if_due` and `close` with the spool's lock held. The counts
    may be read without it.

    Args:
        files: The file operations.
        target_directory: The target's directory.
        queue: Gets the sealed segments, and counts the bytes that are done.
        changed: The condition of the spool's lock, notified when its first row comes.
        batch_size: Rows at which a segment is sealed.
        batch_bytes: Bytes that a segment never exceeds.
        flush_interval: Seconds after which an open segment is sealed.
        max_bytes: Bytes that may wait, those of adopted writers included.
        fsync: ``never``, ``batch`` or ``always``.
        clock: Time and waiting.
        on_refused: See `Reentry`.
    """

    def __init__(
        self,
        files: Files,
        target_directory: Path,
        queue: SegmentQueue,
        *,
        lock: threading.RLock,
        changed: threading.Condition,
        batch_size: int,
        batch_bytes: int,
        flush_interval: float,
        max_bytes: int,
        fsync: str,
        clock: Clock,
        on_refused: Callable[[SpoolError], None],
    ) -> None:
        self._files = files
        self._target_directory = target_directory
        self._queue = queue
        self._changed = changed
        self.batch_size = batch_size
        self.batch_bytes = batch_bytes
        self._flush_interval = flush_interval
        self.max_bytes = max_bytes
        self._is_synced = fsync != "never"
        self._syncs_every_row = fsync == "always"
        self._clock = clock
        self._has_disk_failed = False
        self.is_closed = False
        self.writer: Writer | None = None
        """The writer of this process; None before the first row."""
        self.reentry = Reentry(lock, changed, self, clock, on_refused)
        """Make every change of this object and of the queue inside it."""
        self.group_commit = GroupCommit(files, self._duplicate, self._leave_open_segment)

    @property
    def last_seq(self) -> int:
        """The number of the last accepted row."""
        return self.writer.last_seq if self.writer else 0

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the rows that wait, those of adopted writers included."""
        accepted = self.writer.bytes_accepted if self.writer else 0
        return accepted - self._queue.finished_bytes + self._queue.adopted.bytes

    @property
    def is_full(self) -> bool:
        """Whether there is no space for a row of the usual size. Takes no lock."""
        return self.waiting_bytes + _USUAL_ROW_BYTES > self.max_bytes

    def has_rows(self) -> bool:
        """Return whether rows of the writer are on disk, or not yet counted as done."""
        if self.writer is None:
            return False
        if self.writer.directory.has_segments():
            return True
        # A taken segment is removed from disk before it is counted. After `close` the listener has
        # ended, and counts nothing any more.
        taken = self._queue.taken.segment
        return bool(taken and taken.writer_id == self.writer.writer_id and not self.is_closed)

    def oldest_age(self) -> float:
        """Return for how many seconds the oldest waiting row has waited; 0.0 when none waits."""
        since = self._queue.oldest_since()
        if since is not None:
            return max(0.0, self._clock.time() - since)
        opened = self.writer.open_since if self.writer else 0.0
        return max(0.0, self._clock.monotonic() - opened) if opened else 0.0

    def append(self, body: bytes, month: str) -> int:
        """
        Append one row; return its number.

        Raises:
            SpoolFull, SpoolUnavailable, SpoolClosed: The row was not accepted.
        """
        if self.is_closed or self.waiting_bytes + len(body) > self.max_bytes:
            raise self._refusal()
        writer = self.writer or self._new_writer()
        try:
            seq = writer.append(body, month)
        except SpoolUnavailable:
            self._has_disk_failed = True
            raise
        self._has_disk_failed = False
        if writer.open_rows == 1:
            # The listener sleeps until the first row comes, and counts the flush interval from it.
            self._changed.notify_all()
        return seq

    def note_contention(self) -> None:
        """Note that a thread waits for the lock. Needs no lock."""
        if self._files.held_write:
            self._files.held_write.note_contention()

    def check_space(self) -> None:
        """
        Raise the error that `append` would raise for a row of the usual size; append nothing.

        Raises:
            SpoolFull, SpoolUnavailable, SpoolClosed: The row would not be accepted.
        """
        if self.is_closed or self.is_full:
            raise self._refusal()
        if self._has_disk_failed:
            self._probe_disk()

    def settle(self) -> None:
        """
        Finish an interrupted `append`.

        Raises:
            OSError: A file operation failed; the next call tries again.
        """
        if self.writer:
            self.writer.settle()

    def sync_accepted(self) -> None:
        """
        With fsync="always", wait until all accepted rows are on the disk. Takes the lock itself.

        Raises:
            SpoolUnsynced: The sync failed.
        """
        if self._syncs_every_row:
            self.group_commit.wait_for(self.last_seq)

    def seal_if_due(
        self, is_closing: bool, flush_seq: int, *, although_others_wait: bool = False
    ) -> float | None:
        """
        Seal the open segment if it is old enough or awaited, unless a sealed one waits.

        Args:
            is_closing: No more rows will come.
            flush_seq: The last row for which a flush waits.
            although_others_wait: Seal it although a sealed one waits.

        Returns:
            Monotonic seconds at which the open segment will be due, if there is one.

        Raises:
            OSError: A file operation failed; the next call tries again.
        """
        writer = self.writer
        if writer is None or not writer.open_rows:
            return None
        if self._queue.sealed and not although_others_wait:
            return None
        due = writer.open_since + self._flush_interval
        is_awaited = is_closing or flush_seq > self._queue.finished_seq
        if is_awaited or self._clock.monotonic() >= due:
            writer.seal()
            return None
        return due

    def close(self) -> None:
        """Accept no more rows; seal, and release the lock of the writer."""
        self.is_closed = True
        self._changed.notify_all()
        if self.writer:
            with suppress(OSError):
                self.writer.close()

    def abandon(self) -> None:
        """Accept no more rows in a forked child; leave the files to the parent."""
        self.is_closed = True
        if self.writer and self._files.is_durable:
            self.writer.abandon()

    def _refusal(self) -> SpoolError:
        if self.is_closed:
            return SpoolClosed("the spool is closed")
        return SpoolFull(
            f"the spool {self._target_directory} holds {self.waiting_bytes:,} of "
            f"max_spool_bytes={self.max_bytes:,}; "
            "find out why ClickHouse does not store them, or raise max_spool_bytes"
        )

    def _new_writer(self) -> Writer:
        self.writer = Writer(
            self._files,
            self._target_directory,
            batch_size=self.batch_size,
            batch_bytes=self.batch_bytes,
            is_synced=self._syncs_every_row,
            clock=self._clock,
            on_sealed=self._queue.add,
            on_unsynced=self.group_commit.note_failure,
        )
        return self.writer

    def _probe_disk(self) -> None:
        """
        Write a file of the usual row's size, after the write of a row has failed.

        Raises:
            SpoolUnavailable: The write still fails.
        """
        directory = self.writer.directory.path if self.writer else self._target_directory
        try:
            if not self._files.names(directory):
                # Another program removed it. The next row creates it again, if the disk allows.
                directory = self._target_directory
                self._files.make_directory(directory)
            row = b" " * _USUAL_ROW_BYTES
            self._files.unlink(
                write_whole(self._files, directory / "probe", row, is_synced=self._is_synced)
            )
        except OSError as exc:
            raise SpoolUnavailable(f"{directory} cannot be written: {exc.strerror}") from exc

    @contextmanager
    def _duplicate(self) -> Iterator[tuple[Callable[[], int], int | None]]:
        """Yield the two values that `GroupCommit` needs to sync the open segment."""
        handle: int | None = None
        try:
            with self.reentry.changing():
                writer = self.writer
                covered = writer.last_seq_of_open() if writer else lambda: 0
                if writer and writer.handle is not None:
                    handle = self._files.duplicate(writer.handle)
            yield covered, handle
        finally:
            if handle is not None:
                self._files.close(handle)

    def _leave_open_segment(self) -> None:
        """Seal the segment after its sync failed: later rows go to another file."""
        self._has_disk_failed = True
        with suppress(OSError), self.reentry.changing():
            if self.writer:
                self.writer.seal()
