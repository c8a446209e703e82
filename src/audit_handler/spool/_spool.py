"""The spool: the queue between the logger calls and the listener."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from audit_handler._clock import Clock
from audit_handler.errors import SpoolError
from audit_handler.spool._adopted import AdoptedWriters
from audit_handler.spool._files import Files
from audit_handler.spool._held_write import HeldWrite
from audit_handler.spool._intake import Intake
from audit_handler.spool._peek import waiting_lines
from audit_handler.spool._quarantine import Quarantine
from audit_handler.spool._queue import SegmentQueue
from audit_handler.spool._recovery import adopt_dead_writers
from audit_handler.spool._reentry import Reentry
from audit_handler.spool._rejected import RejectedRows
from audit_handler.spool._segment import Segment

__all__ = ["Appending", "Spool"]

# `flush` checks this often whether the rows of closed spools are gone: another spool or another
# process may deliver them.
_OTHERS_CHECK_SECONDS = 0.1


class Appending(NamedTuple):
    """What appends a row, and its limits."""

    reentry: Reentry | None
    intake: Intake | None
    queue: SegmentQueue | None
    adopted: AdoptedWriters | None
    held_write: HeldWrite | None
    """None if the interpreter lock must not be held."""
    most_waiting_bytes: int
    most_segment_bytes: int
    most_segment_rows: int


class Spool:
    """
    A queue: rows go in, segments come out; `put`, `get` and `task_done` as in `queue.Queue`.

    Any thread may call `put` and `flush`; one thread, the listener, calls `get`, `task_done`,
    `adopt`, the methods of *taken* and *rejected*, and, last, `close`. Nothing is created on disk
    before the first `put`.

    Args:
        files: The file operations; `MemoryFiles` for a spool without a disk.
        target_directory: This target's directory. Other processes may use the same one.
        batch_size: Rows at which a segment is sealed.
        batch_bytes: Bytes that a segment never exceeds.
        flush_interval: Seconds after which an open segment is sealed if the listener has nothing
            else to send.
        max_bytes: Bytes that may wait here, those of adopted writers included.
        fsync: ``never``, ``batch`` or ``always``.
        clock: Time and waiting.
        on_refused: Called with the error for each row that was not accepted after its `put` had
            returned: that `put` ran on top of another call. Also called on the listener's thread,
            for rejected rows that *max_rejected_bytes* refuses.
        max_rejected_bytes: Bytes of rejected rows that may be kept for this target; None for no
            limit.
    """

    def __init__(
        self,
        files: Files,
        target_directory: Path,
        *,
        batch_size: int,
        batch_bytes: int,
        flush_interval: float,
        max_bytes: int,
        fsync: str,
        clock: Clock,
        on_refused: Callable[[SpoolError], None] = lambda _error: None,
        max_rejected_bytes: int | None = None,
    ) -> None:
        self.files = files
        self.target_directory = target_directory
        self._clock = clock
        # Reentrant, because a signal handler may log while the interrupted thread is inside `put`.
        self.lock = threading.RLock()
        """The thread that appends a row holds it."""
        self._changed = threading.Condition(self.lock)
        is_synced = fsync != "never"
        self._queue = SegmentQueue(files, is_synced=is_synced, notify=self._changed.notify_all)
        self._intake = Intake(
            files,
            target_directory,
            self._queue,
            lock=self.lock,
            changed=self._changed,
            batch_size=batch_size,
            batch_bytes=batch_bytes,
            flush_interval=flush_interval,
            max_bytes=max_bytes,
            fsync=fsync,
            clock=clock,
            on_refused=on_refused,
        )
        self._reentry = self._intake.reentry
        self._syncs_every_row = fsync == "always"
        self.taken = self._queue.taken
        """The file operations on the segment that `get` returned last."""
        self.rejected = Quarantine(
            RejectedRows(files, target_directory, is_synced=is_synced),
            files,
            max_bytes=max_rejected_bytes,
            on_refused=on_refused,
        )
        """The rows of this target that ClickHouse rejected."""
        self.adopted_writers: Set[str] = self._queue.adopted.ids
        """The ids of the writers whose rows count here, or were delivered from here."""
        self._flush_seq = 0
        self._is_closing = False

    def put(self, body: bytes, month: str, *, timeout: float = 0.0) -> None:
        """
        Append one row. When this returns, the row survives the end of the process (fsync="always":
        of the machine).

        Args:
            body: The row as one JSON object without line ends, at most *batch_bytes* less 128
                bytes.
            month: The month of its *event_time* as ``YYYY-MM``.
            timeout: Seconds to wait for space when the spool is full or the disk fails.

        Raises:
            SpoolFull: *max_bytes* are waiting; the row was not accepted.
            SpoolUnavailable: A file operation failed; the row was not accepted.
            SpoolClosed: `close` was called; the row was not accepted.
            SpoolUnsynced: The row was accepted, but its sync failed.
        """
        seq = self._reentry.put(body, month, timeout)
        if self._syncs_every_row and seq:
            self._intake.group_commit.wait_for(seq)

    def appending(self) -> Appending | None:
        """Return what `_native` appends rows with, or None where only `put` may."""
        held_write = self.files.held_write
        if held_write is None or self._syncs_every_row:
            return None
        return Appending(
            reentry=self._reentry,
            intake=self._intake,
            queue=self._queue,
            adopted=self._queue.adopted,
            held_write=held_write,
            most_waiting_bytes=self._intake.max_bytes,
            most_segment_bytes=self._intake.batch_bytes,
            most_segment_rows=self._intake.batch_size,
        )

    def check_space(self) -> None:
        """Raise the error that `put` would raise for a row of the usual size; put nothing."""
        with self.lock:
            self._intake.check_space()

    def flush(self, timeout: float, others: Sequence[Spool] = ()) -> bool:
        """
        Seal the open segment; return whether all rows put before are done in time.

        On top of a `put`, in a signal handler, it does not wait and returns False: to wait would
        let the listener see a half-done append.

        Args:
            timeout: Seconds to wait at most.
            others: Closed spools; their rows must be done too, and any process may deliver them.
        """
        deadline = self._clock.monotonic() + timeout
        with self.lock:
            if self.is_busy:
                return False
            self._reentry.append_left()
            target_seq = self.last_seq
            self._flush_seq = max(self._flush_seq, target_seq)
            self._changed.notify_all()
            # Rows of *others* that this spool has adopted are gone from disk before they are
            # counted as done.
            while self._queue.finished_seq < target_seq or any(
                other.has_rows() or other.writer_id in self._queue.adopted for other in others
            ):
                remaining = deadline - self._clock.monotonic()
                if remaining <= 0:
                    return False
                self._clock.wait(
                    self._changed, min(remaining, _OTHERS_CHECK_SECONDS) if others else remaining
                )
            return True

    @property
    def is_busy(self) -> bool:
        """Whether this thread is in the middle of a `put`: True only in a signal handler."""
        return self._reentry.is_busy

    def has_rows(self) -> bool:
        """Return whether rows of this process's writer are on disk, or not yet counted as done."""
        return self._intake.has_rows()

    @property
    def writer_id(self) -> str:
        """The id of this process's writer; empty before the first row."""
        return self._intake.writer.writer_id if self._intake.writer else ""

    @property
    def last_seq(self) -> int:
        """The number of the last row put by this process."""
        return self._intake.last_seq

    @property
    def waiting_rows(self) -> int:
        """Rows put here or adopted, and not yet done."""
        return self.last_seq - self._queue.finished_seq + self._queue.adopted.rows

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the waiting rows."""
        return self._intake.waiting_bytes

    def oldest_age(self) -> float:
        """
        Return for how many seconds the oldest waiting row has waited; 0.0 when none waits.

        Takes no lock: the caller must not wait for a disk that hangs in the middle of an append.
        """
        return self._intake.oldest_age()

    @property
    def is_full(self) -> bool:
        """Whether there is no space for a row of the usual size. Takes no lock."""
        return self._intake.is_full

    def peek(self, max_bytes: int) -> Iterator[bytes | None]:
        """
        Yield the waiting rows as encoded lines; then None if *max_bytes* were read before the end.

        Reads files, which takes time, but takes no lock.
        """
        directories = self._queue.adopted.directories()
        if self._intake.writer:
            directories.append(self._intake.writer.directory.path)
        return waiting_lines(self.files, directories, max_bytes)

    def get(self, timeout: float | None) -> Segment | None:
        """
        Return the oldest segment, sealing the open one if it is due, or None after *timeout*
        seconds or on `wake`.

        The segment stays in the spool until `task_done`.
        """
        deadline = None if timeout is None else self._clock.monotonic() + timeout
        with self.lock:
            while True:
                if (segment := self._queue.take_adopted()) is not None:
                    return segment
                with self._reentry.changing():
                    due = self._intake.seal_if_due(self._is_closing, self._flush_seq)
                if (segment := self._queue.take_sealed()) is not None:
                    return segment
                now = self._clock.monotonic()
                if self._is_closing or (deadline is not None and now >= deadline):
                    return None
                ends = [end for end in (deadline, due) if end is not None]
                self._clock.wait(self._changed, min(ends) - now if ends else None)

    def task_done(self) -> None:
        """Remove the segment that `get` returned last: every row of it is stored or rejected."""
        self.taken.remove()
        with self._reentry.changing():
            self._queue.finish()

    @contextmanager
    def taken_later(self, *, newest: bool = False) -> Iterator[Segment | None]:
        """
        Hold the taken segment back inside this block, and yield the one behind it, or the newest
        one behind that; None if there is none.

        After the block the taken segment is the held one again, and the other one has its place.
        """
        with self.lock:
            with self._reentry.changing():
                self._intake.seal_if_due(
                    self._is_closing, self._flush_seq, although_others_wait=newest
                )
            later = self._queue.hold(newest=newest)
        try:
            yield later
        finally:
            with self.lock:
                self._queue.resume()

    def adopt(self) -> int:
        """Take over the rows of dead processes of this target; return the number of rows."""
        adopted = self._queue.adopted
        found = adopt_dead_writers(
            self.files,
            self.target_directory,
            lambda name: name in adopted or name == self.writer_id,
        )
        with self._reentry.changing():
            before = adopted.rows
            for dead, segments in found:
                adopted.add(dead, segments)
            return adopted.rows - before

    def wake(self, *, closing: bool = False) -> None:
        """Make `get` return; with *closing* set, at once and always."""
        with self.lock:
            self._is_closing = self._is_closing or closing
            self._changed.notify_all()

    def close(self) -> None:
        """Seal, and release the locks: other processes deliver the waiting rows."""
        with self.lock:
            # On top of a `put`, in a signal handler, the segment cannot be sealed: then the locks
            # last as long as the process.
            if self.is_closed or self.is_busy:
                return
            self._reentry.append_left()
            self._intake.close()
            self._queue.adopted.close()

    def abandon(self) -> None:
        """Leave rows, files and locks to the parent, in a forked child. Do not use it again."""
        self._intake.abandon()

    @property
    def is_closed(self) -> bool:
        """Whether the spool neither accepts nor delivers rows any more."""
        return self._intake.is_closed
