"""Group commit: callers that wait until their rows are on the disk share one sync."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from audit_handler.errors import SpoolUnsynced
from audit_handler.spool._files import Files

__all__ = ["GroupCommit"]


class GroupCommit:
    """
    Syncs the open segment for all callers that wait.

    Safe to call from several threads, and from a signal handler on top of itself. Its lock is taken
    after the spool's or without it, never before.

    Args:
        files: The file operations.
        duplicate: Gives two values. The first is a function that returns the last row that a sync
            covers, or that was synced before. The second is a duplicate of the open segment's
            handle, or None when there is none. It is a duplicate because the segment may be
            sealed, and its handle closed, during the sync; a sealed segment has been synced.
        on_failure: Called when a sync failed: the next row must go to another file.
    """

    def __init__(
        self,
        files: Files,
        duplicate: Callable[[], AbstractContextManager[tuple[Callable[[], int], int | None]]],
        on_failure: Callable[[], None],
    ) -> None:
        self._files = files
        self._duplicate = duplicate
        self._on_failure = on_failure
        # Reentrant, for a signal handler that logs on top of a sync.
        self._lock = threading.RLock()
        self._synced_seq = 0
        # Numbers of rows that could not be synced.
        self._unsynced = range(0)

    def note_failure(self, last_seq: int) -> None:
        """Note that the rows up to *last_seq* could not be synced."""
        with self._lock:
            first = self._unsynced.start if self._unsynced else self._synced_seq + 1
            self._unsynced = range(first, last_seq + 1)

    def wait_for(self, seq: int) -> None:
        """
        Return when row *seq* is on the disk; the first of several callers syncs for all.

        Raises:
            SpoolUnsynced: The sync failed. The row is written, and will be delivered.
        """
        try:
            with self._duplicate() as (covered, handle), self._lock:
                if seq in self._unsynced:
                    # After a failed sync the kernel may drop the unwritten data, and report success
                    # for the next sync of that file.
                    raise _refusal("an earlier sync failed")
                if self._synced_seq >= seq:
                    return
                # Includes the rows that were written while we waited for the lock.
                written = covered()
                try:
                    if handle is not None:
                        self._files.sync(handle)
                except OSError:
                    self.note_failure(max(written, seq))
                    raise
                self._synced_seq = max(self._synced_seq, written)
        except OSError as exc:
            if exc.errno is None:
                raise  # A signal handler raised it.
            self._on_failure()
            raise _refusal(exc.strerror) from exc


def _refusal(reason: str | None) -> SpoolUnsynced:
    return SpoolUnsynced(
        f"the spool cannot be synced ({reason}); the row is written, and survives the end of the "
        "process, but a power loss may take it"
    )
