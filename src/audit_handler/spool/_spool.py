"""The spool: the queue between the logger calls and the listener."""

from __future__ import annotations

import errno
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from audit_handler._clock import Clock
from audit_handler.errors import SpoolClosed, SpoolError, SpoolFull, SpoolUnavailable
from audit_handler.spool._files import Files, write_whole
from audit_handler.spool._group_commit import GroupCommit
from audit_handler.spool._peek import waiting_lines
from audit_handler.spool._recovery import (
    AdoptedWriters,
    adopt_dead_writers,
    neglected_targets,
    rejected_directory,
)
from audit_handler.spool._segment import (
    SENDING,
    UNREADABLE,
    Segment,
    SegmentGone,
    SegmentUnreadable,
)
from audit_handler.spool._writer import Writer

__all__ = ["Spool"]

_BLOCKED_CHECK_SECONDS = 0.5
# Space may come back without our doing (somebody frees the disk), so a blocked call looks again
# this often.

_OTHERS_CHECK_SECONDS = 0.1
# So often `flush` looks whether what closed spools have left is gone: who delivers it may be
# another spool, or another process.

_USUAL_ROW_BYTES = 16 * 1024
# For the question whether a row could be taken: above what a request with its bodies takes mostly.


class Spool:
    """
    A queue of rows in, segments out; `put`, `get` and `task_done` as in `queue.Queue`.

    Any thread may `put` and `flush`; one thread, the listener, calls `get`, `task_done`, `adopt`,
    and, last, `close`. Nothing is created on disk before the first `put`.

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
        on_refused: Called with the reason for each row that could not be taken, and whose `put` had
            returned: it was called on top of another one.
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
    ) -> None:
        self.files = files
        self.target_directory = target_directory
        self._batch_size = batch_size
        self._batch_bytes = batch_bytes
        self._flush_interval = flush_interval
        self._max_bytes = max_bytes
        self._is_synced = fsync != "never"
        self._syncs_every_row = fsync == "always"
        self._clock = clock
        self._on_refused = on_refused
        # Reentrant, because a signal handler may log while the interrupted thread is inside `put`.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._group_commit = GroupCommit(files, self._duplicate, self._start_afresh)
        self._writer: Writer | None = None
        self._is_busy = False
        """Whether the thread that holds the lock is in the middle of a change."""
        self._deferred: deque[tuple[bytes, str]] = deque()
        self._refused: deque[SpoolError] = deque()
        self._sealed: deque[Segment] = deque()
        self._adopted = AdoptedWriters(files)
        self._taken: Segment | None = None
        self._finished_seq = 0
        self._finished_bytes = 0
        self._flush_seq = 0
        self._has_disk_failed = False
        self._is_closing = False
        self._is_closed = False

    # What the application's threads call

    def put(self, body: bytes, month: str, *, timeout: float = 0.0) -> None:
        """
        Append one row. When this returns, the row survives the end of the process (fsync="always":
        of the machine).

        Args:
            body: The row as one JSON object without line ends, at most *batch_bytes* less 128
                bytes.
            month: The month of its *event_time* as ``YYYY-MM``.
            timeout: Seconds to wait for room when the spool is full or the disk refuses.

        Raises:
            SpoolFull: *max_bytes* are waiting; the row was not taken.
            SpoolUnavailable: The file system refused; the row was not taken.
            SpoolClosed: `close` was called; the row was not taken.
            SpoolUnsynced: The row was taken, but the disk refused to sync it.
        """
        try:
            with self._lock:
                if self._is_busy:
                    # Logged by a signal handler or finalizer on top of this very object: taken when
                    # the interrupted call is over.
                    self._deferred.append((body, month))
                    return
                try:
                    self._is_busy = True
                    try:
                        self._append_when_possible(body, month, timeout)
                    finally:
                        # Also when a signal handler has logged and then raised: its call has
                        # returned.
                        if self._deferred:
                            self._take_deferred()
                finally:
                    self._is_busy = False
                seq = self.last_seq if self._syncs_every_row else 0
        finally:
            if self._refused:
                self._report_refused()
        if self._syncs_every_row:
            self._group_commit.wait_for(seq)

    def check_room(self) -> None:
        """
        Raise what `put` would raise for a row of the usual size; nothing is put.

        Raises:
            SpoolFull, SpoolUnavailable, SpoolClosed: See `put`.
        """
        with self._lock:
            self._refuse_when_full(_USUAL_ROW_BYTES)
            if self._has_disk_failed:
                self._probe_disk()

    def flush(self, timeout: float, others: Sequence[Spool] = ()) -> bool:
        """
        Seal what is open, and wait up to *timeout* seconds until all rows put before are done with;
        whether they are.

        From a signal handler on top of a `put` it does not wait, and is False: to wait would let
        the listener in to a half-done append.

        Args:
            timeout: Seconds.
            others: Spools that were closed before, whose rows count too, whoever delivers them.
        """
        deadline = self._clock.monotonic() + timeout
        with self._lock:
            if self._is_busy:
                return False
            self._take_left()
            target_seq = self.last_seq
            self._flush_seq = max(self._flush_seq, target_seq)
            self._changed.notify_all()
            while self._finished_seq < target_seq or any(other.has_rows() for other in others):
                remaining = deadline - self._clock.monotonic()
                if remaining <= 0:
                    return False
                self._clock.wait(
                    self._changed, min(remaining, _OTHERS_CHECK_SECONDS) if others else remaining
                )
            return True

    @property
    def is_busy(self) -> bool:
        """Whether this thread is in the middle of a `put`: as a signal handler sees it."""
        with self._lock:
            return self._is_busy

    def has_rows(self) -> bool:
        """Whether rows of this process's writer lie in the spool, for whoever delivers them."""
        return self._writer is not None and self._writer.has_rows()

    @property
    def writer_id(self) -> str:
        """The id of this process's writer; empty before the first row."""
        return self._writer.writer_id if self._writer else ""

    @property
    def last_seq(self) -> int:
        """The number of the last row put by this process."""
        return self._writer.last_seq if self._writer else 0

    @property
    def waiting_rows(self) -> int:
        """Rows put here or adopted, and not yet done with."""
        return self.last_seq - self._finished_seq + self._adopted.rows

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the waiting rows."""
        taken = self._writer.bytes_taken if self._writer else 0
        return taken - self._finished_bytes + self._adopted.bytes

    def oldest_age(self) -> float:
        """
        Return for how many seconds the oldest waiting row has waited; 0.0 when none waits.

        Takes no lock: who asks must not wait for a disk that hangs in the middle of an append.
        """
        sinces = []
        for queue in (self._adopted.segments, self._sealed):
            with suppress(IndexError):  # None there, or none any more.
                sinces.append(queue[0].since)
        if taken := self._taken:
            sinces.append(taken.since)
        if sinces:
            return max(0.0, self._clock.time() - min(sinces))
        opened = self._writer.open_since if self._writer else 0.0
        return max(0.0, self._clock.monotonic() - opened) if opened else 0.0

    @property
    def is_full(self) -> bool:
        """Whether there is no room for a row of the usual size. Takes no lock."""
        return self.waiting_bytes + _USUAL_ROW_BYTES > self._max_bytes

    def peek(self, max_bytes: int) -> Iterator[bytes | None]:
        """
        Yield the waiting rows as encoded lines; then None if *max_bytes* were read before the end.

        Reads files, so it takes its time, but no lock.
        """
        directories = self._adopted.directories()
        if self._writer:
            directories.append(self._writer.directory)
        return waiting_lines(self.files, directories, max_bytes)

    # What the listener calls

    def get(self, timeout: float | None) -> Segment | None:
        """
        Return the oldest segment, sealing the open one if it is due, or None after *timeout*
        seconds or on `wake`.

        The segment stays in the spool until `task_done`.
        """
        deadline = None if timeout is None else self._clock.monotonic() + timeout
        with self._lock:
            while True:
                if self._adopted.segments:
                    self._taken = self._adopted.segments.popleft()
                    return self._taken
                with self._changing():
                    due = self._seal_if_due()
                if self._sealed:
                    self._taken = self._sealed.popleft()
                    return self._taken
                now = self._clock.monotonic()
                if self._is_closing or (deadline is not None and now >= deadline):
                    return None
                ends = [end for end in (deadline, due) if end is not None]
                self._clock.wait(self._changed, min(ends) - now if ends else None)

    def attempting(self, segment: Segment) -> tuple[Segment, bytes]:
        """
        Note on disk, before an insert of *segment*, that its rows may be stored from now on.

        Returns:
            The segment under its new name, and its content.

        Raises:
            SegmentGone: Somebody else removed it.
            SegmentUnreadable: The disk does not give it back.
            OSError: The file system refused, perhaps not the next time.
        """
        taken = self._taken
        if taken and (taken.writer_id, taken.first_seq) == (segment.writer_id, segment.first_seq):
            segment = taken  # Renamed already by a call that then failed.
        try:
            content = self._content(segment.path)
            if not segment.was_attempted:
                renamed = replace(segment, path=segment.path.with_suffix(SENDING))
                self.files.rename(segment.path, renamed.path)
                with self._lock:
                    self._taken = segment = renamed
        except FileNotFoundError as exc:
            raise SegmentGone(str(exc)) from exc
        if self._is_synced:
            self.files.sync_directory(segment.path.parent)
        return segment, content

    def _content(self, path: Path) -> bytes:
        """Read a segment that is to be sent, and sync it first."""
        # Synced here and not when it is sealed: that may happen inside a logger call, which must
        # not wait for a disk. An attempted one too: who renamed it may have died before its sync.
        for is_synced in (True, False) if self._is_synced else (False,):
            try:
                return self.files.read(path, is_synced=is_synced)
            except OSError as exc:
                if exc.errno != errno.EIO:
                    raise
                # What cannot be synced can be sent, as long as it can be read.
        raise SegmentUnreadable(f"{path}: {os.strerror(errno.EIO)}")

    def task_done(self) -> None:
        """Forget the segment that `get` returned last: every row of it is stored or set aside."""
        segment = self._taken
        if segment is None:
            return
        # Removed already is as good; a file that cannot be removed is looked up, and found stored,
        # by the next process.
        with suppress(OSError):
            self.files.unlink(segment.path)
        with self._changing():
            self._taken = None
            if self._is(segment.writer_id):
                self._finished_seq = segment.last_seq
                self._finished_bytes += segment.size
            else:
                self._adopted.finish(segment)
            self._changed.notify_all()

    def give_up(self, segment: Segment) -> Path:
        """
        Set *segment*, which `get` returned last, aside under a name that nobody delivers.
        """
        path = segment.path.with_suffix(UNREADABLE)
        for name in (segment.path, segment.path.with_suffix(SENDING)):
            with suppress(FileNotFoundError):
                self.files.rename(name, path)
        return path

    def adopt(self) -> int:
        """Take over the rows of dead processes of this target; return how many rows."""
        found = adopt_dead_writers(
            self.files, self.target_directory, lambda name: name in self._adopted or self._is(name)
        )
        with self._changing():
            before = self._adopted.rows
            for dead, segments in found:
                self._adopted.add(dead, segments)
            return self._adopted.rows - before

    @property
    def adopted_writers(self) -> Set[str]:
        """The ids of all writers whose rows were taken over, delivered since or not."""
        return self._adopted.ids

    def neglected_targets(self) -> list[Path]:
        """Return the directories of other targets in this spool whose rows nobody delivers."""
        return neglected_targets(self.files, self.target_directory)

    def set_aside(self, name: str, content: bytes) -> Path:
        """
        Write *content* to the file *name* in ``rejected/``, synced, replacing what an interrupted
        try left.
        """
        directory = rejected_directory(self.target_directory)
        self.files.make_directory(directory)
        if self._is_synced:
            self.files.sync_directory(self.target_directory)
        return write_whole(self.files, directory / name, content, is_synced=self._is_synced)

    def helper_file(self, segment: Segment, name: str, content: bytes) -> Path:
        """
        Write *content* beside *segment*, for an insert that reads a file; recovery removes it.
        """
        path = segment.path.with_name(name)
        return write_whole(self.files, path, content, is_synced=self._is_synced)

    def wake(self, *, closing: bool = False) -> None:
        """Make `get` return; with *closing* set, at once and always."""
        with self._lock:
            self._is_closing = self._is_closing or closing
            self._changed.notify_all()

    def close(self) -> None:
        """Seal, and release the locks, so that other processes deliver what still waits."""
        with self._lock:
            # On top of a `put`, in a signal handler, there is no sealing under its hands: then the
            # locks last as long as the process.
            if self._is_closed or self._is_busy:
                return
            self._take_left()
            self._is_closed = True
            self._changed.notify_all()
            if self._writer:
                with suppress(OSError):
                    self._writer.close()
            self._adopted.close()

    def abandon(self) -> None:
        """
        Let go in a forked child: rows, files and locks are the parent's. This spool is not used any
        more.
        """
        self._is_closed = True
        if self._writer and self.files.is_durable:
            self._writer.abandon()

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is taken, and nothing delivered."""
        return self._is_closed

    @property
    def lock(self) -> threading.RLock:
        """Held while a row is appended."""
        return self._lock

    # Inside

    def _append_when_possible(self, body: bytes, month: str, timeout: float) -> None:
        deadline: float | None = None
        while True:
            try:
                self._append(body, month)
            except SpoolError:
                now = self._clock.monotonic()
                if deadline is None:
                    deadline = now + timeout
                if now >= deadline or self._is_closed:
                    raise
                # Other threads come in meanwhile, and must not be taken for a signal handler.
                self._is_busy = False
                try:
                    self._clock.wait(self._changed, min(deadline - now, _BLOCKED_CHECK_SECONDS))
                finally:
                    self._is_busy = True
            else:
                return

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the lock; what is logged on top of this block is taken at its end."""
        was_any_deferred = False
        with self._lock:
            was_busy, self._is_busy = self._is_busy, True
            try:
                yield
            finally:
                try:
                    if self._deferred and not was_busy:
                        was_any_deferred = True
                        self._take_deferred()
                finally:
                    self._is_busy = was_busy
        if was_any_deferred:
            if self._syncs_every_row:
                try:
                    self._group_commit.wait_for(self.last_seq)
                except SpoolError as exc:
                    self._refused.append(exc)
            self._report_refused()

    def _take_left(self) -> None:
        """Take what was logged on top of a call, and left as that was interrupted."""
        with self._changing():
            pass

    def _take_deferred(self) -> None:
        while self._deferred:
            before = self.last_seq
            try:
                self._append(*self._deferred[0])
            except SpoolError as exc:
                self._refused.append(exc)
            except BaseException:
                # Interrupted itself: it stays where it is, unless it was written by then.
                if self._writer:
                    with suppress(OSError):
                        self._writer.settle()
                if self.last_seq > before:
                    self._deferred.popleft()
                raise
            self._deferred.popleft()

    def _report_refused(self) -> None:
        """Tell of the rows whose `put` had returned. Without the lock: who is told may log."""
        while self._refused:
            self._on_refused(self._refused.popleft())

    def _append(self, body: bytes, month: str) -> None:
        self._refuse_when_full(len(body))
        writer = self._writer or self._new_writer()
        try:
            writer.append(body, month)
        except SpoolUnavailable:
            self._has_disk_failed = True
            raise
        self._has_disk_failed = False
        if writer.open_rows == 1:
            # The listener sleeps until the first row comes, and counts the flush interval from it.
            self._changed.notify_all()

    def _refuse_when_full(self, size: int) -> None:
        if self._is_closed:
            raise SpoolClosed("the spool is closed")
        waiting = self.waiting_bytes
        if waiting + size > self._max_bytes:
            raise SpoolFull(
                f"the spool {self.target_directory} holds {waiting:,} of "
                f"max_spool_bytes={self._max_bytes:,}; "
                "see why ClickHouse does not take them, or raise max_spool_bytes"
            )

    def _new_writer(self) -> Writer:
        self._writer = Writer(
            self.files,
            self.target_directory,
            batch_size=self._batch_size,
            batch_bytes=self._batch_bytes,
            is_synced=self._syncs_every_row,
            clock=self._clock,
            on_sealed=self._on_sealed,
            on_unsynced=self._group_commit.note_failure,
        )
        return self._writer

    def _probe_disk(self) -> None:
        """Write a file as large as a row usually is, after the disk has refused a row."""
        directory = self._writer.directory if self._writer else self.target_directory
        try:
            if not self.files.names(directory):
                # Removed by somebody. The next row makes it again, if there is a disk for it.
                directory = self.target_directory
                self.files.make_directory(directory)
            row = b" " * _USUAL_ROW_BYTES
            self.files.unlink(
                write_whole(self.files, directory / "probe", row, is_synced=self._is_synced)
            )
        except OSError as exc:
            raise SpoolUnavailable(f"{directory} cannot be written: {exc.strerror}") from exc

    def _on_sealed(self, segment: Segment) -> None:
        # A call that was interrupted may have handed it over before.
        if self._sealed:
            handed_seq = self._sealed[-1].last_seq
        elif self._taken and self._is(self._taken.writer_id):
            handed_seq = self._taken.last_seq
        else:
            handed_seq = self._finished_seq
        if segment.last_seq > handed_seq:
            self._sealed.append(segment)
        self._changed.notify_all()

    def _is(self, writer_id: str) -> bool:
        """Whether that is this process's writer."""
        return self._writer is not None and writer_id == self._writer.writer_id

    def _seal_if_due(self) -> float | None:
        """
        Seal the open segment if it is old enough or being flushed; else return when it will be, if
        there is one.
        """
        writer = self._writer
        if writer is None or not writer.open_rows or self._sealed:
            return None
        due = writer.open_since + self._flush_interval
        if (
            self._is_closing
            or self._flush_seq > self._finished_seq
            or self._clock.monotonic() >= due
        ):
            writer.seal()
            return None
        return due

    @contextmanager
    def _duplicate(self) -> Iterator[tuple[Callable[[], int], int | None]]:
        handle: int | None = None
        try:
            with self._changing():
                writer = self._writer
                covered = writer.last_seq_of_open() if writer else lambda: 0
                if writer and writer.handle is not None:
                    handle = self.files.duplicate(writer.handle)
            yield covered, handle
        finally:
            if handle is not None:
                self.files.close(handle)

    def _start_afresh(self) -> None:
        self._has_disk_failed = True
        with suppress(OSError), self._changing():
            if self._writer:
                self._writer.seal()
