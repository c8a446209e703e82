"""The writer: numbers the rows of this process and appends them to its open segment."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from audit_handler._clock import Clock
from audit_handler.errors import SpoolClosed, SpoolUnavailable
from audit_handler.spool._files import Files
from audit_handler.spool._open_segment import OpenSegment
from audit_handler.spool._segment import OPEN, READY, Segment, segment_name
from audit_handler.spool._writer_directory import WriterDirectory

__all__ = ["ROW_OVERHEAD_BYTES", "Writer"]

# Upper bound of the bytes that writer id, seq and punctuation add to a row: they take 87.
ROW_OVERHEAD_BYTES = 128

_ABANDONED = "the spool belongs to the parent process"


class Writer:
    """
    The rows of this process, in a writer directory that is locked while this object is open.

    Not safe to call from several threads: the spool's lock is held around every call. It may be
    interrupted at any bytecode, because a signal handler may raise in the middle of a logger call
    (``sys.exit`` in a SIGTERM handler, Ctrl-C): the next call finishes the interrupted one, from
    the content of the file.

    Args:
        files: The file operations.
        target_directory: The writer creates its own directory in this one.
        batch_size: Rows at which a segment is sealed.
        batch_bytes: Bytes that a segment never exceeds.
        is_synced: Whether a segment is synced when it is sealed, and its directory when it is
            created.
        clock: Gives the times at which segments are created.
        on_sealed: Called with each segment that is sealed; with the same one again when a call was
            interrupted before it could note that.
        on_unsynced: Called with the last row of a segment if its sync fails while it is sealed.

    Raises:
        SpoolUnavailable: The directory cannot be created or locked.
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
        self.directory = WriterDirectory(files, target_directory, is_synced=is_synced)
        self.writer_id = self.directory.writer_id
        self._prefix = b'{"writer_id":"%b","seq":' % self.writer_id.encode()
        # The number of the last sealed row, and the bytes of all sealed rows.
        self._sealed = (0, 0)
        self._open: OpenSegment | None = None

    @property
    def last_seq(self) -> int:
        """The number of the last accepted row. May be read without the lock."""
        opened = self._open  # Read once: another thread may seal it meanwhile.
        return opened.last_seq if opened else self._sealed[0]

    @property
    def bytes_accepted(self) -> int:
        """Bytes of all accepted rows. May be read without the lock."""
        opened = self._open
        return opened.bytes_before + opened.counts[0] if opened else self._sealed[1]

    @property
    def open_rows(self) -> int:
        """Rows in the open segment."""
        opened = self._open
        return opened.counts[1] if opened else 0

    @property
    def open_since(self) -> float:
        """Monotonic seconds of the open segment's first row, or 0.0. Needs no lock."""
        opened = self._open
        return opened.opened if opened and opened.rows else 0.0

    @property
    def handle(self) -> int | None:
        """The file handle of the open segment, or None."""
        # A seal that failed half-way has synced and closed it.
        return self._open.handle if self._open and self._open.handle >= 0 else None

    def append(self, body: bytes, month: str) -> int:
        """
        Number *body*, a JSON object, and append it; return its number.

        When this returns the row survives the end of the process.

        Raises:
            SpoolUnavailable: A file operation failed; nothing was written.
            SpoolClosed: This is a forked child's copy.
        """
        try:
            opened = self._open
            if opened and (opened.pending or opened.handle < 0):
                opened = self.settle()
            size, rows = opened.counts if opened else (0, 0)
            # A segment has 1. the bytes of one insert block, 2. at most *batch_size* rows, 3. rows
            # of a few months: each month is a partition of the table.
            if opened and (
                size + len(body) + ROW_OVERHEAD_BYTES > self._batch_bytes
                or rows >= self._batch_size
                or (opened.month != month and not opened.admits(month))
            ):
                self.seal()
                opened = None
            if opened is None:
                opened = self._create(month)
                rows = 0
        except OSError as exc:
            raise _refusal(self.directory.path, exc) from exc
        seq = opened.first_seq + rows
        try:
            rows = opened.append(b"%b%d,%b\n" % (self._prefix, seq, body[1:]))
        except OSError as exc:
            raise _refusal(opened.path, exc) from exc
        if rows >= self._batch_size:
            # The row is accepted; the next row tries a failed seal again, and reports it.
            with suppress(OSError):
                self.seal()
        return seq

    def seal(self) -> None:
        """
        Close the open segment and hand it to *on_sealed*. Do nothing when there is none.

        Raises:
            OSError: A file operation failed; the next call tries again.
        """
        opened = self._open
        if opened is None or self._is_abandoned:
            return
        if opened.handle >= 0:
            opened.settle()
            if self._is_synced:
                try:
                    self._files.sync(opened.handle)
                except OSError:
                    # The kernel reports the failure once, and the next sync as a success.
                    self._on_unsynced(opened.last_seq)
                    raise
            opened.close()
        if opened.rows == 0:
            self._files.unlink(opened.path)
        else:
            ready = opened.path.with_suffix(READY)
            # Not found: an interrupted call renamed it, or it was removed from outside, which the
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
        Seal, release the lock, and remove the directory if no row is left in it.

        Raises:
            OSError: The segment could not be sealed. The lock is released anyway: another process
                adopts the rows.
        """
        try:
            self.seal()
            self.directory.remove_if_empty()
        finally:
            self._close_handle()
            self.directory.release()

    def settle(self) -> OpenSegment | None:
        """
        Finish an interrupted call; return the open segment.

        Raises:
            OSError: A file operation failed; the next call tries again.
        """
        opened = self._open
        if opened is not None and opened.handle < 0:
            self.seal()
            return None
        if opened is not None:
            opened.settle()
        return opened

    def last_seq_of_open(self) -> Callable[[], int]:
        """
        Return a function that returns the last row of the segment that is open now.

        The function also works after that segment is sealed, and needs no lock.
        """
        opened, last_seq = self._open, self.last_seq
        return lambda: opened.last_seq if opened else last_seq

    def abandon(self) -> None:
        """Leave the segment and its lock to the parent, in a forked child."""
        # A signal handler may have forked on top of a call here, and the child continues that call.
        self._is_abandoned = True
        self._close_handle()

    def _close_handle(self) -> None:
        if self._open:
            with suppress(OSError):
                self._open.close()

    def _create(self, month: str) -> OpenSegment:
        if self._is_abandoned:
            raise SpoolClosed(_ABANDONED)
        first_seq = self.last_seq + 1
        path = self.directory.path / segment_name(first_seq, OPEN)
        try:
            handle = self._files.create(path)
        except FileExistsError:
            # An earlier call created it, and failed or was interrupted before it noted that; it is
            # empty.
            self._files.unlink(path)
            handle = self._files.create(path)
        except FileNotFoundError:
            self.directory.recreate()
            handle = self._files.create(path)
        if self._is_synced:
            try:
                self.directory.sync()
            except BaseException:
                # The next call creates and syncs it once more.
                self._files.close(handle)
                raise
        self._open = OpenSegment(
            self._files,
            path=path,
            handle=handle,
            first_seq=first_seq,
            bytes_before=self._sealed[1],
            month=month,
            opened=self._clock.monotonic(),
            since=self._clock.time(),
        )
        if self._is_abandoned:
            # Another thread forked before the handle was known.
            self._close_handle()
            raise SpoolClosed(_ABANDONED)
        return self._open


def _refusal(path: Path, exc: OSError) -> SpoolUnavailable:
    """Return the error for *exc*. Raise *exc* itself if it does not come from the system."""
    if exc.errno is None:
        # A signal handler raised it, as in TimeoutError("too slow").
        raise exc
    return SpoolUnavailable(f"{path} cannot be written: {exc.strerror}")
