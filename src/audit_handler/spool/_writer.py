"""The writer: numbers the rows of this process and appends them to its open segment."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from audit_handler._clock import Clock
from audit_handler._ids import new_writer_id
from audit_handler.errors import SpoolClosed, SpoolUnavailable
from audit_handler.spool._files import Files, Lock
from audit_handler.spool._segment import OPEN, READY, Segment, is_segment_name, segment_name

__all__ = ["LOCK_NAME", "ROW_OVERHEAD_BYTES", "Writer"]

ROW_OVERHEAD_BYTES = 128
"""Bytes that writer id, seq and punctuation add to a row at most: they take 87."""

LOCK_NAME = "lock"


_CLAIM_TRIES = 20
# Losing to a process that looks for the dead takes a moment that comes once in five seconds.


class Writer:
    """
    One writer directory, held by its lock while this object is open.

    Not safe to call from several threads: the spool's lock is around every call. Built to be
    interrupted at any bytecode, because a signal handler may raise in the middle of a logger call
    (``sys.exit`` in a SIGTERM handler, Ctrl-C): what was going on is settled by the next call from
    what the file says.

    Args:
        files: The file operations.
        target_directory: Where the writer makes its directory.
        batch_size: Rows at which a segment is sealed.
        batch_bytes: Bytes that a segment never exceeds.
        is_synced: Whether a segment is synced when it is sealed, and its directory when it is
            created.
        clock: Tells since when a segment waits.
        on_sealed: Called with each segment that is sealed; with the same one again where a call was
            interrupted before it could note that.
        on_unsynced: Called with the last row of a segment that could not be synced as it was
            sealed.

    Raises:
        SpoolUnavailable: The directory cannot be made or locked.
    """

    def __init__(
        self,
        files: Files,
        target_directory: Path,
        *,
        batch_size: int,
        batch_bytes: int,
        is_synced: bool,
        clock: Clock,
        on_sealed: Callable[[Segment], None],
        on_unsynced: Callable[[int], None],
    ) -> None:
        self._files = files
        self._batch_size = batch_size
        self._batch_bytes = batch_bytes
        self._is_synced = is_synced
        self._clock = clock
        self._on_sealed = on_sealed
        self._on_unsynced = on_unsynced
        self._is_abandoned = False
        self._are_names_synced = True
        self._claim(target_directory)
        self._prefix = b'{"writer_id":"%b","seq":' % self.writer_id.encode()
        self._sealed = (0, 0)
        """The last row that is sealed, and the bytes of all that are."""
        self._open: _OpenSegment | None = None

    def _claim(self, target_directory: Path) -> None:
        # Who looks for the dead may find the new directory before we have locked it, take it for
        # one of theirs, and hold its lock or have removed it: then another id is tried.
        for _ in range(_CLAIM_TRIES):
            self.writer_id = new_writer_id()
            self.directory = target_directory / self.writer_id
            try:
                self._files.make_directory(self.directory)
                lock = self._locked()
            except FileNotFoundError:
                continue
            except OSError as exc:
                raise SpoolUnavailable(
                    f"spool_dir: {self.directory} cannot be made ({exc.strerror}); "
                    "give a writable local directory as spool_dir or AUDIT_SPOOL_DIR"
                ) from exc
            if lock is not None:
                self._lock = lock
                return
        raise SpoolUnavailable(
            f"spool_dir: no directory in {target_directory} could be made and locked; "
            "is it on a local disk?"
        )

    def _locked(self) -> Lock | None:
        """Lock our directory, and make its name survive a power loss; None if somebody holds it."""
        lock = self._files.lock(self.directory / LOCK_NAME)
        if lock is not None and self._is_synced:
            try:
                self._sync_names()
            except BaseException:
                self._remove_directory()
                lock.release()
                raise
        return lock

    def _sync_names(self) -> None:
        self._files.sync_directory(self.directory.parent)
        # A directory is there after a power loss if its parent was synced, so all of them are.
        for parent in self.directory.parent.parents:
            with suppress(OSError):  # Not made by us, or we could read and sync it.
                self._files.sync_directory(parent)

    @property
    def last_seq(self) -> int:
        """The number of the last row that was taken. Read without the lock, too."""
        opened = self._open  # once: another thread may seal it meanwhile
        return opened.last_seq if opened else self._sealed[0]

    @property
    def bytes_taken(self) -> int:
        """The bytes of all rows that were taken. Read without the lock, too."""
        opened = self._open
        return opened.bytes_before + opened.size if opened else self._sealed[1]

    @property
    def open_rows(self) -> int:
        """Rows in the open segment."""
        opened = self._open
        return opened.counts[1] if opened else 0

    @property
    def open_since(self) -> float:
        """Monotonic seconds at which the open segment got its first row. Without the lock, too."""
        opened = self._open
        return opened.opened if opened and opened.rows else 0.0

    @property
    def handle(self) -> int | None:
        """The open segment's file handle, or None."""
        # A seal that failed half-way has synced and closed it.
        return self._open.handle if self._open and self._open.handle >= 0 else None

    def append(self, body: bytes, month: str) -> None:
        """
        Number *body*, a JSON object, and append it.

        When this returns the row survives the end of the process.

        Raises:
            SpoolUnavailable: The file system refused; nothing was written.
            SpoolClosed: This is a forked child's copy.
        """
        try:
            opened = self._open
            if opened and (opened.pending or opened.handle < 0):
                opened = self._settled()
            size, rows = opened.counts if opened else (0, 0)
            # 1. A segment is one insert block, 2. of no more rows than asked for, 3. and of one
            # month, so that it is one part in ClickHouse.
            if opened and (
                size + len(body) + ROW_OVERHEAD_BYTES > self._batch_bytes
                or rows >= self._batch_size
                or opened.month != month
            ):
                self.seal()
                opened = None
            if opened is None:
                opened = self._create(month)
                size = rows = 0
        except OSError as exc:
            raise _refusal(self.directory, exc) from exc
        line = b"%b%d,%b\n" % (self._prefix, opened.first_seq + rows, body[1:])
        opened.pending = len(line)
        try:
            written = self._files.write(opened.handle, line)
            while written < len(line):
                written += self._files.write(opened.handle, line[written:])
        except OSError as exc:
            with suppress(OSError):  # Left to the next call, like what an interrupted one has left.
                self._settle(opened)
            raise _refusal(opened.path, exc) from exc
        # One assignment, so that an interruption finds the row counted or not, and never by half.
        opened.counts = (size + written, rows + 1)
        opened.pending = 0
        if rows + 1 >= self._batch_size:
            # The row is taken; a seal that fails is tried again, and reported, by the next row.
            with suppress(OSError):
                self.seal()

    def seal(self) -> None:
        """
        Close the open segment and hand it to *on_sealed*; nothing happens when there is none.

        Raises:
            OSError: The file system refused; the next call tries again.
        """
        opened = self._open
        if opened is None or self._is_abandoned:
            return
        if opened.handle >= 0:
            self._settle(opened)
            if self._is_synced:
                try:
                    self._files.sync(opened.handle)
                except OSError:
                    # The system tells it once, and calls the next sync a success.
                    self._on_unsynced(opened.last_seq)
                    raise
            # Forgotten before it is closed: a closed number may belong to somebody's socket a
            # moment later.
            handle, opened.handle = opened.handle, -1
            self._files.close(handle)
        if opened.rows == 0:
            self._files.unlink(opened.path)
        else:
            ready = opened.path.with_suffix(READY)
            # Not found: renamed by a call that was interrupted, or removed from outside, which the
            # listener reports.
            with suppress(FileNotFoundError):
                self._files.rename(opened.path, ready)
            self._on_sealed(
                Segment(
                    writer_id=self.writer_id,
                    first_seq=opened.first_seq,
                    rows=opened.rows,
                    size=opened.size,
                    path=ready,
                    since=opened.since,
                )
            )
        self._sealed = (opened.last_seq, opened.bytes_before + opened.size)
        self._open = None

    def close(self) -> None:
        """
        Seal, release the lock, and remove the directory when nothing is left in it.

        Raises:
            OSError: The file system refused to seal; the lock is released all the same, so that the
                rows are adopted.
        """
        try:
            self.seal()
            if self._files.names(self.directory) in ([], [LOCK_NAME]):
                self._remove_directory()
        finally:
            self._close_handle()
            self._lock.release()

    def has_rows(self) -> bool:
        """Whether there is a file with rows in the directory, whoever delivers them by now."""
        try:
            return any(map(is_segment_name, self._files.names(self.directory)))
        except OSError:
            return True  # As far as anybody can tell.

    def settle(self) -> None:
        """
        Finish what an interrupted call has left half done.

        Raises:
            OSError: The file system refused; the next call tries again.
        """
        self._settled()

    def last_seq_of_open(self) -> Callable[[], int]:
        """
        Return what tells the last row of the segment that is open now, also once it is sealed. It
        may be called without the lock.
        """
        opened, last_seq = self._open, self.last_seq
        return lambda: opened.last_seq if opened else last_seq

    def abandon(self) -> None:
        """
        Let go of everything in a forked child: the segment and its lock are the parent's.

        It may have been forked on top of a call here, by a signal handler, and go on with it.
        """
        self._is_abandoned = True
        self._close_handle()

    def _close_handle(self) -> None:
        opened = self._open
        if opened and opened.handle >= 0:
            handle, opened.handle = opened.handle, -1
            with suppress(OSError):
                self._files.close(handle)

    def _remove_directory(self) -> None:
        try:
            if LOCK_NAME in self._files.names(self.directory):
                self._files.unlink(self.directory / LOCK_NAME)
            self._files.remove_directory(self.directory)
        except OSError:
            pass  # An empty directory costs nothing; the next process that starts here removes it.

    def _create(self, month: str) -> _OpenSegment:
        self._refuse_when_abandoned()
        first_seq = self.last_seq + 1
        path = self.directory / segment_name(first_seq, OPEN)
        try:
            handle = self._files.create(path)
        except FileExistsError:
            # A call that was interrupted or refused created it before it could say so; it is empty.
            self._files.unlink(path)
            handle = self._files.create(path)
        except FileNotFoundError:
            self._remake_directory()
            handle = self._files.create(path)
        if self._is_synced:
            try:
                if not self._are_names_synced:
                    self._sync_names()
                    self._are_names_synced = True
                self._files.sync_directory(self.directory)
            except BaseException:
                # Created, and synced, once more by the next call.
                self._files.close(handle)
                raise
        self._open = _OpenSegment(
            path=path,
            handle=handle,
            first_seq=first_seq,
            bytes_before=self._sealed[1],
            month=month,
            opened=self._clock.monotonic(),
            since=self._clock.time(),
        )
        if self._is_abandoned:
            # Forked before the handle was known.
            self._close_handle()
            self._refuse_when_abandoned()
        return self._open

    def _refuse_when_abandoned(self) -> None:
        if self._is_abandoned:
            raise SpoolClosed("the spool is the parent process's")

    def _remake_directory(self) -> None:
        """
        Make our directory again after somebody removed it: what was in it is lost, and is reported
        by the listener, but what comes now is not.
        """
        self._files.make_directory(self.directory)
        lock = self._files.lock(self.directory / LOCK_NAME)
        if lock is None:
            raise OSError(errno.EBUSY, "removed, and taken by another process when made again")
        removed, self._lock = self._lock, lock
        removed.release()
        self._are_names_synced = False

    def _settled(self) -> _OpenSegment | None:
        """Return the open segment, after finishing what an interrupted call left half done."""
        opened = self._open
        if opened is not None and opened.handle < 0:
            self.seal()
            return None
        if opened is not None:
            self._settle(opened)
        return opened

    def _settle(self, opened: _OpenSegment) -> None:
        """Bring the counts in line with the file after a write that failed or was interrupted."""
        if not opened.pending:
            return
        size = self._files.size(opened.handle)
        if size == opened.size + opened.pending:
            opened.counts = (size, opened.rows + 1)
        elif size > opened.size:
            self._files.truncate(opened.handle, opened.size)
        opened.pending = 0


def _refusal(path: Path, exc: OSError) -> SpoolUnavailable:
    """Return the error for *exc*; raise it again where it is none of the system's."""
    if exc.errno is None:
        # A signal handler has raised it, as in TimeoutError("too slow").
        raise exc
    return SpoolUnavailable(f"{path} cannot be written: {exc.strerror}")


class _OpenSegment:
    """The state of the segment that is being written."""

    __slots__ = (
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
        *,
        path: Path,
        handle: int,
        first_seq: int,
        bytes_before: int,
        month: str,
        opened: float,
        since: float,
    ) -> None:
        self.path = path
        self.handle = handle
        self.first_seq = first_seq
        self.bytes_before = bytes_before
        self.month = month
        self.opened = opened
        self.since = since
        self.counts = (0, 0)
        self.pending = 0
        """Bytes of a row that is being written at this moment."""

    @property
    def size(self) -> int:
        return self.counts[0]

    @property
    def rows(self) -> int:
        return self.counts[1]

    @property
    def last_seq(self) -> int:
        return self.first_seq + self.counts[1] - 1
